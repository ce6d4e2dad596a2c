from autograd_bn.core.tensor import Tensor, tensor, asarray
from autograd_bn.core.state import *
from autograd_bn.core.constructors import composite
from autograd_bn import ops
from autograd_bn.ops.arithmetic import *
from autograd_bn.ops.exponential import *
from autograd_bn.ops.shape import *
from autograd_bn.ops.reduction import *
from autograd_bn.ops.linalg import *
from autograd_bn.ops.creation import *
from autograd_bn import nn
from autograd_bn.transforms import *
from autograd_bn.core.tree import register_container

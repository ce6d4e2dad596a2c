"""Functions of functions: derivatives and maps. All compose with one another and with ``backward()``."""

from autograd_bn.transforms.forward import jvp
from autograd_bn.transforms.forward_rule import custom_jvp
from autograd_bn.transforms.mapping import vmap
from autograd_bn.transforms.matrices import hessian, hvp, jacobian
from autograd_bn.transforms.recomputation import checkpoint
from autograd_bn.transforms.reverse import grad, value_and_grad, vjp
from autograd_bn.transforms.reverse_rule import custom_vjp
from autograd_bn.transforms.stopping import stop_gradient

__all__ = ["checkpoint", "custom_jvp", "custom_vjp", "grad", "hessian", "hvp", "jacobian", "jvp", "stop_gradient", "value_and_grad", "vjp", "vmap"]

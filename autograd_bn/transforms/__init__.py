"""Functions of functions: derivatives and maps. All compose with one another and with ``backward()``."""

from autograd_bn.transforms.forward import jvp
from autograd_bn.transforms.mapping import vmap
from autograd_bn.transforms.reverse import grad, value_and_grad, vjp

__all__ = ["grad", "jvp", "value_and_grad", "vjp", "vmap"]

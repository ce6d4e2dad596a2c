"""Operations of one's own, by the constructors that made the engine's: ``ab.primitives``."""

from autograd_bn.core import primitive
from autograd_bn.core.axes import normalized_axes
from autograd_bn.core.constructors import binary, composite, discrete, elementwise, gathering, linear, reduction, unary
from autograd_bn.core.contraction import contraction
from autograd_bn.core.namespaces import curated
from autograd_bn.core.primitive import Domain, Primitive

curated(__name__)
__all__ = [
    "Domain",
    "Primitive",
    "binary",
    "composite",
    "contraction",
    "discrete",
    "elementwise",
    "gathering",
    "linear",
    "normalized_axes",
    "raw",
    "reduction",
    "registry",
    "unary",
]

raw = primitive.raw
"""Every operation by name, yours included: ``raw.exp(x)``. Rules are written in them, as they give arrays for arrays and tensors for tensors."""
registry = primitive.registry
"""Every Primitive by name. Yours may be defined again, as a notebook's cell is run again."""

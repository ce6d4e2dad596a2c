"""Automatic differentiation on NumPy, whose recorded graph can be drawn, differentiated and tested.

The main namespace follows the array API standard; NumPy's names are aliases. What is not needed by every program
(networks, drawing, data) is imported when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autograd_bn import ops as ops
from autograd_bn.core.allocation import keep_freed_memory
from autograd_bn.core.constructors import composite
from autograd_bn.core.display import show_with
from autograd_bn.core.effects import assign
from autograd_bn.core.elsewhere import FUNCTIONS, missing, tell
from autograd_bn.core.errors import (
    AnomalyError,
    AutogradError,
    ConversionError,
    DrawingError,
    DtypeError,
    GradientError,
    MutationError,
    OperationError,
    RuleError,
    ShapeError,
    TraceError,
)
from autograd_bn.core.namespaces import curated
from autograd_bn.core.record import record
from autograd_bn.core.state import enable_grad, is_grad_enabled, no_effects, no_grad, scope
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.core.tree import register_container, tree_map
from autograd_bn.ops.arithmetic import abs, add, divide, hypot, maximum, minimum, multiply, negative, positive, pow, reciprocal, sign, square, subtract, where
from autograd_bn.ops.circular import acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, degrees, radians, sin, sinh, tan, tanh
from autograd_bn.ops.comparison import (
    bitwise_and,
    bitwise_invert,
    bitwise_or,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
)
from autograd_bn.ops.complex_numbers import angle, conj, imag, real
from autograd_bn.ops.creation import arange, eye, full, full_like, linspace, ones, ones_like, zeros, zeros_like
from autograd_bn.ops.diagonals import diag, diagonal, trace, tril, triu
from autograd_bn.ops.einsum import einsum, outer, tensordot, vecdot
from autograd_bn.ops.error_function import erf
from autograd_bn.ops.exponential import cbrt, exp, exp2, expm1, log, log1p, log2, log10, logaddexp, relu, sigmoid, softplus, sqrt
from autograd_bn.ops.matmul import matmul
from autograd_bn.ops.nan_statistics import nan_to_num, nanmax, nanmean, nanmin, nanprod, nanstd, nansum, nanvar
from autograd_bn.ops.products import cross, dot, inner, kron, vdot
from autograd_bn.ops.rearranging import flip, meshgrid, moveaxis, pad, repeat, roll, split, swapaxes, tile, unstack
from autograd_bn.ops.reduction import all, any, argmax, argmin, count_nonzero, logsumexp, max, mean, min, sum
from autograd_bn.ops.rounding import ceil, clip, floor, floor_divide, remainder, round, trunc
from autograd_bn.ops.scans import cumulative_prod, cumulative_sum, diff
from autograd_bn.ops.searching import interp, searchsorted
from autograd_bn.ops.shape import astype, broadcast_to, concat, expand_dims, flatten, matrix_transpose, permute_dims, reshape, squeeze, stack
from autograd_bn.ops.sorting import argsort, sort, take, take_along_axis
from autograd_bn.ops.stacking import atleast_1d, atleast_2d, broadcast_arrays, column_stack, dstack, fliplr, flipud, hstack, rot90, vstack
from autograd_bn.ops.statistics import average, log_softmax, median, percentile, prod, ptp, quantile, softmax, std, var
from autograd_bn.transforms import checkpoint, custom_jvp, custom_vjp, grad, hessian, hvp, jacobian, jvp, stop_gradient, value_and_grad, vjp, vmap

if TYPE_CHECKING:
    from autograd_bn import compiler, data, drawing, lab, linalg, nn, optim, primitives, testing, train
    from autograd_bn.compiler import get_num_threads, jit, set_num_threads
    from autograd_bn.core.anomaly import anomaly_mode
    from autograd_bn.core.graph import Graph, GraphNode, graph
    from autograd_bn.core.profile import Profile, ProfileRow, profile
    from autograd_bn.drawing import draw
    from autograd_bn.drawing.explore import explore
    from autograd_bn.nn.functional import batch_norm
    from autograd_bn.nn.stateless import functional_call

__version__ = "0.1.0"

keep_freed_memory()

absolute = abs
amax = max
amin = min
arccos = acos
arccosh = acosh
arcsin = asin
arcsinh = asinh
arctan = atan
arctan2 = atan2
arctanh = atanh
bitwise_not = bitwise_invert
concatenate = concat
conjugate = conj
cumprod = cumulative_prod
cumsum = cumulative_sum
deg2rad = radians
invert = bitwise_invert
mod = remainder
power = pow
rad2deg = degrees
ravel = flatten

_LATER = {
    "Graph": "autograd_bn.core.graph",
    "GraphNode": "autograd_bn.core.graph",
    "Profile": "autograd_bn.core.profile",
    "ProfileRow": "autograd_bn.core.profile",
    "anomaly_mode": "autograd_bn.core.anomaly",
    "batch_norm": "autograd_bn.nn.functional",
    "draw": "autograd_bn.drawing",
    "explore": "autograd_bn.drawing.explore",
    "functional_call": "autograd_bn.nn.stateless",
    "graph": "autograd_bn.core.graph",
    "get_num_threads": "autograd_bn.compiler",
    "jit": "autograd_bn.compiler",
    "profile": "autograd_bn.core.profile",
    "set_num_threads": "autograd_bn.compiler",
}
_PACKAGES = ("compiler", "data", "drawing", "lab", "linalg", "nn", "optim", "primitives", "testing", "train")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(_LATER[name]), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f"autograd_bn.{name}")
    else:
        raise missing("autograd_bn", "module 'autograd_bn'", name, sys.modules[__name__])
    globals()[name] = value
    return value


def _shown(x: object) -> Mapping[str, str]:
    from autograd_bn.drawing.notebook import shown

    return shown(x)


show_with(_shown)


curated(__name__)


__all__ = [
    "AnomalyError",
    "AutogradError",
    "ConversionError",
    "DrawingError",
    "DtypeError",
    "GradientError",
    "Graph",
    "GraphNode",
    "MutationError",
    "OperationError",
    "Profile",
    "ProfileRow",
    "RuleError",
    "ShapeError",
    "Tensor",
    "TraceError",
    "__version__",
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "all",
    "amax",
    "amin",
    "angle",
    "anomaly_mode",
    "any",
    "arange",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argsort",
    "asarray",
    "asin",
    "asinh",
    "assign",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "atleast_1d",
    "atleast_2d",
    "average",
    "batch_norm",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "broadcast_arrays",
    "broadcast_to",
    "cbrt",
    "ceil",
    "checkpoint",
    "clip",
    "column_stack",
    "compiler",
    "composite",
    "concat",
    "concatenate",
    "conj",
    "conjugate",
    "cos",
    "cosh",
    "count_nonzero",
    "cross",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "custom_jvp",
    "custom_vjp",
    "data",
    "deg2rad",
    "degrees",
    "diag",
    "diagonal",
    "diff",
    "divide",
    "dot",
    "draw",
    "drawing",
    "dstack",
    "einsum",
    "enable_grad",
    "equal",
    "erf",
    "exp",
    "exp2",
    "expand_dims",
    "explore",
    "expm1",
    "eye",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "floor",
    "floor_divide",
    "full",
    "full_like",
    "functional_call",
    "grad",
    "graph",
    "greater",
    "greater_equal",
    "hessian",
    "hstack",
    "hvp",
    "hypot",
    "imag",
    "inner",
    "interp",
    "invert",
    "is_grad_enabled",
    "isfinite",
    "isinf",
    "isnan",
    "jacobian",
    "jit",
    "jvp",
    "kron",
    "lab",
    "less",
    "less_equal",
    "linalg",
    "linspace",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "median",
    "meshgrid",
    "min",
    "minimum",
    "mod",
    "moveaxis",
    "multiply",
    "nan_to_num",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
    "negative",
    "nn",
    "no_effects",
    "no_grad",
    "not_equal",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "pad",
    "percentile",
    "permute_dims",
    "positive",
    "pow",
    "power",
    "primitives",
    "prod",
    "profile",
    "ptp",
    "quantile",
    "rad2deg",
    "radians",
    "ravel",
    "real",
    "reciprocal",
    "record",
    "register_container",
    "relu",
    "remainder",
    "repeat",
    "reshape",
    "roll",
    "rot90",
    "round",
    "scope",
    "searchsorted",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensor",
    "tensordot",
    "testing",
    "tile",
    "trace",
    "train",
    "tree_map",
    "tril",
    "triu",
    "trunc",
    "unstack",
    "value_and_grad",
    "var",
    "vdot",
    "vecdot",
    "vjp",
    "vmap",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
    "get_num_threads",
    "set_num_threads",
]

FUNCTIONS.update(__all__)
tell(Tensor)

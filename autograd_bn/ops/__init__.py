"""All primitives by family, and the methods and operators of Tensor that call them."""

from __future__ import annotations

from typing import Any, Never

import numpy as np

from autograd_bn.core.dispatch import apply, serve_ufunc
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import DtypeError
from autograd_bn.core.methods import Methods
from autograd_bn.core.operators import binary_operator, reflected_operator
from autograd_bn.core.primitive import Primitive, close_registry, registry
from autograd_bn.core.tensor import Tensor, plain
from autograd_bn.core.tree import flatten
from autograd_bn.ops import (
    arithmetic,
    circular,
    comparison,
    complex_numbers,
    creation,
    decompositions,
    diagonals,
    einsum,
    error_function,
    exponential,
    indexing,
    matmul,
    missing,
    products,
    random,
    rearranging,
    reduction,
    rounding,
    scans,
    searching,
    shape,
    sorting,
    stacking,
    statistics,
    windows,
    writing,
)
from autograd_bn.ops.reduction import Axis

OPERATORS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "pow": "pow",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "matmul": "matmul",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
"""Python's binary operators and their primitives."""

SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "matmul": "@", "floordiv": "//", "mod": "%", "and": "&", "or": "|", "xor": "^"}
"""Those that have a reflected form and one in place."""

METHODS = {
    "sum": reduction.sum,
    "mean": reduction.mean,
    "max": reduction.max,
    "min": reduction.min,
    "prod": statistics.prod,
    "var": statistics.var,
    "std": statistics.std,
    "any": reduction.any,
    "all": reduction.all,
    "argmax": reduction.argmax,
    "argmin": reduction.argmin,
    "argsort": sorting.argsort,
    "take": sorting.take,
    "cumsum": scans.cumulative_sum,
    "cumprod": scans.cumulative_prod,
    "repeat": rearranging.repeat,
    "swapaxes": rearranging.swapaxes,
    "diagonal": diagonals.diagonal,
    "trace": diagonals.trace,
    "reshape": shape.reshape,
    "flatten": shape.flatten,
    "permute_dims": shape.permute_dims,
    "squeeze": shape.squeeze,
    "astype": shape.astype,
    "exp": exponential.exp,
    "log": exponential.log,
    "sqrt": exponential.sqrt,
    "sin": circular.sin,
    "cos": circular.cos,
    "tanh": circular.tanh,
    "abs": arithmetic.abs,
    "conj": complex_numbers.conj,
    "clip": rounding.clip,
    "round": rounding.round,
    "__round__": rounding.round,
    "__divmod__": rounding.quotient_and_rest,
    "__rdivmod__": rounding.reflected_quotient_and_rest,
    "__pos__": arithmetic.positive,
    "__invert__": comparison.bitwise_invert,
    "__neg__": arithmetic.negative,
    "__abs__": arithmetic.abs,
    "__getitem__": indexing.getitem,
    "__setitem__": writing.setitem,
}
"""Functions that are also methods."""


def method(function: Any) -> Any:
    """NumPy's methods take the axis by position; otherwise the function itself serves."""
    taken = getattr(function, "__wrapped__", function).__kwdefaults__ or ()
    if "axis" not in taken or "keepdims" not in taken:
        return function

    if "correction" in taken:

        @keywords
        def reduced(self: Tensor, axis: Axis = None, keepdims: bool = False, *, correction: float = 0.0, **elsewhere: Never) -> Tensor:
            if elsewhere:
                raise unexpected(reduced, elsewhere)
            return function(self, axis=axis, keepdims=keepdims, correction=correction)  # type: ignore[no-any-return]

    else:

        @keywords
        def reduced(self: Tensor, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:  # type: ignore[misc]
            if elsewhere:
                raise unexpected(reduced, elsewhere)
            return function(self, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]

    reduced.__name__, reduced.__doc__ = function.__name__, function.__doc__
    reduced.__qualname__ = f"Tensor.{function.__name__}"
    return reduced


def _reflected(primitive: Primitive) -> Any:
    """The method for ``number ∘ tensor``, recorded where there is a derivative."""
    if primitive.differentiable:
        return reflected_operator(primitive)
    return lambda self, other: NotImplemented if other is None or type(other) is str else apply(primitive, (other, self))


for _name, _primitive in OPERATORS.items():
    setattr(Methods, f"__{_name}__", binary_operator(registry[_primitive]))
    if _name in SYMBOLS:
        setattr(Methods, f"__r{_name}__", _reflected(registry[_primitive]))
        setattr(Methods, f"__i{_name}__", writing.updating(getattr(Methods, f"__{_name}__"), f"{SYMBOLS[_name]}="))
for _name, _function in METHODS.items():
    setattr(Methods, _name, method(_function))
for _name, _function in {"T": shape.transpose, "mT": shape.matrix_transpose, "real": complex_numbers.real, "imag": complex_numbers.imag}.items():
    setattr(Methods, _name, property(_function))


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Tensor:
    """NumPy's two spellings of the bounds."""
    return rounding.clip(x, **{"min": a_min, "max": a_max, **bounds})


def _spread(function: Any) -> Any:
    """NumPy's variance and deviation, which have two spellings of the correction."""
    return lambda x, axis=None, *, ddof=0, correction=None, keepdims=False: function(
        x, axis=axis, keepdims=keepdims, correction=ddof if correction is None else correction
    )


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:  # noqa: A002 - NumPy's name
    """NumPy's norm, of vectors: of matrices it has another meaning unless it is the root of the sum of squares."""
    if ord is not None and (x.ndim != 1 if axis is None else np.size(axis) != 1):
        raise TypeError(f"the norm of order {ord} of matrices")
    return statistics.vector_norm(x, axis=axis, keepdims=keepdims, ord=2 if ord is None else ord)


_REDUCTIONS: dict[str, Any] = {
    "sum": reduction.sum,
    "mean": reduction.mean,
    "max": reduction.max,
    "amax": reduction.max,
    "min": reduction.min,
    "amin": reduction.min,
    "prod": statistics.prod,
    "var": _spread(statistics.var),
    "std": _spread(statistics.std),
    "median": statistics.median,
    "average": statistics.average,
    "ptp": statistics.ptp,
    **{name: getattr(missing, name) for name in ("nansum", "nanprod", "nanmean", "nanmax", "nanmin")},
    "nanvar": _spread(missing.nanvar),
    "nanstd": _spread(missing.nanstd),
    "any": reduction.any,
    "all": reduction.all,
    "argmax": reduction.argmax,
    "argmin": reduction.argmin,
    "count_nonzero": reduction.count_nonzero,
}
"""NumPy takes the axis of these by position."""


_BY_NUMPY_NAME: dict[str, Any] = {
    **_REDUCTIONS,
    "linalg.norm": _norm,
    "linalg.vector_norm": statistics.vector_norm,
    "linalg.diagonal": lambda x, offset=0: diagonals.diagonal(x, offset, -2, -1),
    "linalg.trace": lambda x, offset=0: diagonals.trace(x, offset, -2, -1),
    "einsum": einsum.einsum,
    "tensordot": einsum.tensordot,
    "outer": einsum.outer,
    **{name: getattr(products, name) for name in ("dot", "inner", "vdot", "kron", "cross")},
    "linalg.cross": products.cross,
    **{name: getattr(stacking, name) for name in ("vstack", "hstack", "dstack", "column_stack", "broadcast_arrays", "flipud", "fliplr", "rot90")},
    "atleast_1d": stacking.atleast_1d,
    "atleast_2d": stacking.atleast_2d,
    "nan_to_num": lambda x, copy=True, **numbers: missing.nan_to_num(x, **numbers),
    "linalg.outer": einsum.outer,
    "linalg.cholesky": decompositions.cholesky,
    "linalg.det": decompositions.det,
    "linalg.eigh": decompositions.eigh,
    "linalg.eigvalsh": decompositions.eigvalsh,
    "linalg.inv": decompositions.inv,
    "linalg.slogdet": decompositions.slogdet,
    "linalg.solve": decompositions.solve,
    "linalg.svd": lambda x, full_matrices=True: decompositions.svd(x, full_matrices=full_matrices),
    "linalg.svdvals": decompositions.svdvals,
    "cumsum": scans.cumulative_sum,
    "cumprod": scans.cumulative_prod,
    "cumulative_sum": scans.cumulative_sum,
    "cumulative_prod": scans.cumulative_prod,
    "diff": lambda x, n=1, axis=-1, **ends: scans.diff(x, n=n, axis=axis, **ends),
    "sort": sorting.sort,
    "searchsorted": lambda a, v, side="left": searching.searchsorted(a, v, side=side),
    "interp": searching.interp,
    "quantile": lambda a, q, axis=None, *, method="linear", keepdims=False: statistics.quantile(a, q, axis=axis, keepdims=keepdims, method=method),
    "percentile": lambda a, q, axis=None, *, method="linear", keepdims=False: statistics.percentile(a, q, axis=axis, keepdims=keepdims, method=method),
    "argsort": sorting.argsort,
    "take": sorting.take,
    "take_along_axis": sorting.take_along_axis,
    "pad": rearranging.pad,
    "flip": rearranging.flip,
    "roll": rearranging.roll,
    "repeat": rearranging.repeat,
    "tile": rearranging.tile,
    "moveaxis": rearranging.moveaxis,
    "swapaxes": rearranging.swapaxes,
    "unstack": rearranging.unstack,
    "split": rearranging.split,
    "meshgrid": rearranging.meshgrid,
    "diag": diagonals.diag,
    "diagonal": diagonals.diagonal,
    "trace": diagonals.trace,
    "tril": lambda x, k=0: diagonals.tril(x, k=k),
    "triu": lambda x, k=0: diagonals.triu(x, k=k),
    "reshape": shape.reshape,
    "concatenate": lambda arrays, axis=0: shape.concat(arrays, axis=axis),
    "stack": lambda arrays, axis=0: shape.stack(arrays, axis=axis),
    "ravel": lambda x: shape.flatten(x),
    "where": arithmetic.where,
    "squeeze": shape.squeeze,
    "expand_dims": lambda x, axis: shape.expand_dims(x, axis=axis),
    "broadcast_to": shape.broadcast_to,
    "transpose": lambda x, axes=None: shape.transpose(x) if axes is None else shape.permute_dims(x, axes),
    "real": complex_numbers.real,
    "imag": complex_numbers.imag,
    "angle": lambda z, deg=False: complex_numbers.angle(z) * (180 / np.pi if deg else 1),
    "clip": _clip,
    "round": rounding.round,
    "around": rounding.round,
    "zeros_like": creation.zeros_like,
    "ones_like": creation.ones_like,
    "full_like": creation.full_like,
    "shape": lambda x: x.shape,
    "ndim": lambda x: x.ndim,
    "size": lambda x: x.size,
}

_TELLING = frozenset({"allclose", "array_equal", "isclose"})
"""What they tell has no gradient."""


def _array_function(self: Tensor, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's functions on tensors: ours of the same name, else a clear refusal."""
    inner = func.__module__.removeprefix("numpy").lstrip(".")
    ours = _BY_NUMPY_NAME.get(f"{inner}.{func.__name__}" if inner else func.__name__)
    name = f"{func.__module__}.{func.__name__}".replace("numpy", "np")
    if ours is None:
        leaves, structure = flatten((args, kwargs))
        if func.__name__ in _TELLING or not any(isinstance(x, Tensor) and x.node.level >= 0 for x in leaves):
            args, kwargs = structure.unflatten(plain(x) for x in leaves)
            return func(*args, **kwargs)
        raise DtypeError(f"{name} has no recorded counterpart for tensors; use the functions of autograd_bn, or .detach().numpy() for the values alone")
    if func.__name__ in _REDUCTIONS and len(args) == 2:
        kwargs["axis"] = args[1]
        args = args[:1]
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    try:
        return ours(*args, **kwargs)
    except TypeError as error:
        raise DtypeError(f"{name} with these arguments has no recorded counterpart for tensors: {error}") from error


Tensor.__array_function__ = _array_function  # type: ignore[attr-defined]
for _primitive_of in registry.values():
    serve_ufunc(_primitive_of.forward, _primitive_of)
close_registry()

__all__ = ["METHODS", "OPERATORS", "error_function", "matmul", "random", "windows"]  # the modules are here for their primitives

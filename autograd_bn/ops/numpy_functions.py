"""NumPy's functions on tensors: ``np.sum(x)`` is ours of the same name, or refused where there is none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from autograd_bn.core.errors import DtypeError
from autograd_bn.core.tensor import Tensor, plain
from autograd_bn.core.tree import flatten
from autograd_bn.ops import (
    arithmetic,
    complex_numbers,
    creation,
    decompositions,
    diagonals,
    einsum,
    nan_statistics,
    products,
    rearranging,
    reduction,
    rounding,
    scans,
    searching,
    shape,
    sorting,
    stacking,
    statistics,
)


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


def _same(module: ModuleType, names: str, prefix: str = "") -> dict[str, Any]:
    """Those that are called as NumPy's are."""
    return {f"{prefix}{name}": getattr(module, name) for name in names.split()}


_REDUCTIONS: dict[str, Any] = {
    **_same(reduction, "sum mean max min any all argmax argmin count_nonzero"),
    **_same(statistics, "prod median average ptp"),
    **_same(nan_statistics, "nansum nanprod nanmean nanmax nanmin"),
    "amax": reduction.max,
    "amin": reduction.min,
    "var": _spread(statistics.var),
    "std": _spread(statistics.std),
    "nanvar": _spread(nan_statistics.nanvar),
    "nanstd": _spread(nan_statistics.nanstd),
}
"""NumPy takes the axis of these by position."""


_BY_NUMPY_NAME: dict[str, Any] = {
    **_REDUCTIONS,
    **_same(arithmetic, "where"),
    **_same(complex_numbers, "real imag"),
    **_same(creation, "zeros_like ones_like full_like"),
    **_same(decompositions, "cholesky det eigh eigvalsh inv slogdet solve svdvals", "linalg."),
    **_same(diagonals, "diag diagonal trace"),
    **_same(einsum, "einsum tensordot outer"),
    **_same(einsum, "outer", "linalg."),
    **_same(products, "dot inner vdot kron cross"),
    **_same(products, "cross", "linalg."),
    **_same(rearranging, "pad flip roll repeat tile moveaxis swapaxes unstack split meshgrid"),
    **_same(scans, "cumulative_sum cumulative_prod"),
    **_same(searching, "interp"),
    **_same(shape, "reshape squeeze broadcast_to"),
    **_same(sorting, "sort argsort take take_along_axis"),
    **_same(stacking, "vstack hstack dstack column_stack broadcast_arrays flipud fliplr rot90 atleast_1d atleast_2d"),
    **_same(statistics, "vector_norm", "linalg."),
    "angle": lambda z, deg=False: complex_numbers.angle(z) * (180 / np.pi if deg else 1),
    "around": rounding.round,
    "clip": _clip,
    "concatenate": lambda arrays, axis=0: shape.concat(arrays, axis=axis),
    "cumprod": scans.cumulative_prod,
    "cumsum": scans.cumulative_sum,
    "diff": lambda x, n=1, axis=-1, **ends: scans.diff(x, n=n, axis=axis, **ends),
    "expand_dims": lambda x, axis: shape.expand_dims(x, axis=axis),
    "linalg.diagonal": lambda x, offset=0: diagonals.diagonal(x, offset, -2, -1),
    "linalg.norm": _norm,
    "linalg.svd": lambda x, full_matrices=True: decompositions.svd(x, full_matrices=full_matrices),
    "linalg.trace": lambda x, offset=0: diagonals.trace(x, offset, -2, -1),
    "nan_to_num": lambda x, copy=True, **numbers: nan_statistics.nan_to_num(x, **numbers),
    "ndim": lambda x: x.ndim,
    "percentile": lambda a, q, axis=None, *, method="linear", keepdims=False: statistics.percentile(a, q, axis=axis, keepdims=keepdims, method=method),
    "quantile": lambda a, q, axis=None, *, method="linear", keepdims=False: statistics.quantile(a, q, axis=axis, keepdims=keepdims, method=method),
    "ravel": lambda x: shape.flatten(x),
    "round": rounding.round,
    "searchsorted": lambda a, v, side="left": searching.searchsorted(a, v, side=side),
    "shape": lambda x: x.shape,
    "size": lambda x: x.size,
    "stack": lambda arrays, axis=0: shape.stack(arrays, axis=axis),
    "transpose": lambda x, axes=None: shape.transpose(x) if axes is None else shape.permute_dims(x, axes),
    "tril": lambda x, k=0: diagonals.tril(x, k=k),
    "triu": lambda x, k=0: diagonals.triu(x, k=k),
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

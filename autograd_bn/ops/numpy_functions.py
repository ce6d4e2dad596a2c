"""NumPy's functions on tensors: ``np.sum(x)`` is ours of the same name, or refused where there is none."""

from __future__ import annotations

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
    **{name: getattr(nan_statistics, name) for name in ("nansum", "nanprod", "nanmean", "nanmax", "nanmin")},
    "nanvar": _spread(nan_statistics.nanvar),
    "nanstd": _spread(nan_statistics.nanstd),
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
    "nan_to_num": lambda x, copy=True, **numbers: nan_statistics.nan_to_num(x, **numbers),
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

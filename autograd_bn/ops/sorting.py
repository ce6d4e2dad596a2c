"""Sorting, and taking elements by their places."""

from __future__ import annotations

from typing import Any, Never

import numpy as np

from autograd_bn.core.axes import kept_shape
from autograd_bn.core.constructors import composite, discrete, gathering
from autograd_bn.core.dispatch import apply
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.node import Batch
from autograd_bn.core.primitive import broadcast_shapes, raw
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, each_level
from autograd_bn.core.tracing import Symbol, lifted
from autograd_bn.ops.indexing import at, getitem
from autograd_bn.ops.rearranging import moveaxis
from autograd_bn.ops.shape import broadcast_to, row_or_axis


def _argsort(x: Any, axis: int, descending: bool) -> Any:
    """Stable in both directions: elements that tie stay in order."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


_argsort_p = discrete(
    "argsort",
    _argsort,
    batch=lambda x, axis, descending: raw.argsort(x, axis=axis + 1, descending=descending),
    shape=lambda x, axis, descending: x.shape,
    example=lambda rng: [((rng.standard_normal((3, 4)),), {"axis": 1, "descending": False}), ((rng.integers(0, 3, (3, 4)),), {"axis": 0, "descending": True})],
)


def _places(places: Any) -> Any:
    if places.dtype.kind not in "iu":
        raise TypeError(f"places are integers, got dtype {places.dtype}")
    return places


def _add_along(g: Any, places: Any, axis: int, length: int) -> Any:
    last = np.moveaxis(_places(places), axis, -1)
    rest = last.shape[:-1]
    rows = np.arange(int(np.prod(rest)), dtype=np.intp).reshape((*rest, 1)) * length
    flat = (last % max(length, 1) + rows).reshape(-1)
    weights = np.moveaxis(g, axis, -1).reshape(-1)
    parts = [np.bincount(flat, part, rows.size * length) for part in ((weights.real, weights.imag) if g.dtype.kind == "c" else (weights,))]
    out = parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]
    return np.moveaxis(out.astype(g.dtype, copy=False).reshape((*rest, length)), -1, axis)


def _take_example(rng: Any) -> Any:
    return [((rng.standard_normal((3, 4)), rng.integers(0, 4, (3, 2))), {"axis": 1}), ((rng.standard_normal(3), np.array([2, 0, 2, -1])), {"axis": 0})]


_take = gathering(
    "take_along_axis",
    lambda x, places, axis: np.take_along_axis(x, _places(places), axis),
    transpose=lambda g, x, places, axis: raw.add_along_axis(g, places, axis=axis, length=x.shape[axis]),
    batch=lambda x, places, axis: raw.take_along_axis(x, places, axis=axis + 1),
    label="take",
    example=_take_example,
)

_add = gathering(
    "add_along_axis",
    _add_along,
    transpose=lambda g, x, places, axis, length: raw.take_along_axis(g, places, axis=axis),
    batch=lambda x, places, axis, length: raw.add_along_axis(x, places, axis=axis + 1, length=length),
    label="scatter +",
    example=lambda rng: [((rng.standard_normal((3, 2)), rng.integers(0, 4, (3, 2))), {"axis": 1, "length": 4})],
)


@keywords
def take_along_axis(x: Any, indices: Any, /, axis: int | None = -1, **elsewhere: Never) -> Tensor:
    """The elements at the places that ``indices`` names along an axis; the other axes are broadcast. With ``axis=None`` of all elements in a row.

    Raises ShapeError if the numbers of axes differ, OperationError for a place that does not exist, DtypeError for
    places that are not integers.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([[1.0, 5.0], [7.0, 3.0]])
    >>> ab.take_along_axis(x, ab.argsort(x), axis=1)
    tensor([[1., 5.],
            [3., 7.]])
    """
    if elsewhere:
        raise unexpected(take_along_axis, elsewhere)
    (x, along), places = row_or_axis(asarray(x), axis), asarray(indices)
    if x.ndim != places.ndim:
        raise ShapeError(f"take_along_axis: x has {x.ndim} axes (shape {x.shape}), the indices {places.ndim} (shape {places.shape}); they must have as many")
    rest = broadcast_shapes(*(kept_shape(v.shape, (along,)) for v in (x, places)))
    spread = [broadcast_to(v, (*rest[:along], v.shape[along], *rest[along + 1 :])) for v in (x, places)]
    return apply(_take, spread, {"axis": along})


@keywords
def argsort(x: Any, /, axis: int | None = -1, *, descending: bool = False, stable: bool = True, **elsewhere: Never) -> Tensor:
    """The places of the elements along an axis in ascending or descending order; those that tie stay in order, NaNs come last.

    With ``axis=None`` of all elements in a row. In descending order NaNs come first. ``stable`` is accepted for the standard's sake: sorting always is.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.argsort(ab.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    if elsewhere:
        raise unexpected(argsort, elsewhere)
    x, along = row_or_axis(asarray(x), axis)
    return apply(_argsort_p, (x,), {"axis": along, "descending": descending})


@composite
def sort(x: Any, /, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements along an axis in ascending or descending order. The gradient goes where each element came from.

    With ``axis=None`` all elements in a row. Those that tie stay in order (see `argsort`).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.sort(ab.tensor([3.0, 1.0, 2.0]), descending=True)
    tensor([3., 2., 1.])
    """
    x, along = row_or_axis(asarray(x), axis)
    return take_along_axis(x, argsort(x, along, descending=descending, stable=stable), along)


def is_known(x: Any) -> bool:
    """Whether it has one value, and not one an example (vmap) or a run (a trace)."""
    return not any(type(level.node) in (Batch, Symbol) for level in each_level(lifted(x)))


@composite
def take(x: Any, indices: Any, /, axis: int | None = None) -> Tensor:
    """The parts of x at the places ``indices`` along an axis, or of all elements in a row; indices may have any shape.

    Raises OperationError for a place that does not exist, or for indices that are not integers.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.take(ab.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0], axis=0)
    tensor([[3., 4.],
            [3., 4.],
            [1., 2.]])
    """
    x, along = row_or_axis(asarray(x), axis)
    places = asarray(indices)
    if places.dtype.kind not in "iu" and places.size:
        raise OperationError(f"take: places are integers, got {places.dtype}{list(places.shape)}; for a mask write x[mask]\n  at {user_line()}")
    if is_known(places):
        return getitem(x, at(along, places))
    last = moveaxis(x, along, -1)
    out = take_along_axis(last, broadcast_to(places.reshape((places.size,)), (*last.shape[:-1], places.size)))
    out = out.reshape((*last.shape[:-1], *places.shape))
    first = x.ndim - 1
    return moveaxis(out, tuple(range(first, out.ndim)), tuple(range(along, along + places.ndim)))

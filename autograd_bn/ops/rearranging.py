"""Flipping, rolling, repeating, padding, splitting: compositions of indexing, reshaping and joining, but for the padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Never

import numpy as np

from autograd_bn.core.axes import normalized_axes, normalized_axis
from autograd_bn.core.constructors import composite, linear
from autograd_bn.core.dispatch import apply
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import integers
from autograd_bn.core.primitive import broadcast_shapes, raw
from autograd_bn.core.tensor import Tensor, asarray, plain
from autograd_bn.core.views import unshared
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.indexing import at, getitem
from autograd_bn.ops.shape import broadcast_to, concat, permute_dims, row_or_axis

Mode = Literal["constant", "edge", "reflect", "symmetric", "wrap"]


def _inner(widths: tuple[tuple[int, int], ...], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(a, a + n) for (a, _), n in zip(widths, shape, strict=True))


_pad = linear(
    "pad",
    lambda x, widths: np.pad(x, widths) if widths else np.array(x)[()],
    transpose=lambda g, x, widths: raw.getitem(g, index=_inner(widths, x.shape)),
    batch=lambda x, widths: raw.pad(x, widths=((0, 0), *widths)),
    example=lambda rng: [((rng.standard_normal((2, 3)),), {"widths": ((1, 0), (2, 1))}), ((rng.standard_normal(()),), {"widths": ()})],
)


@composite
def pad(x: Any, /, pad_width: Any, mode: Mode = "constant", *, constant_values: Any = 0) -> Tensor:
    """More elements before and after those along each axis.

    Parameters
    ----------
    x
        Any shape.
    pad_width
        A number for all sides, (before, after) for all axes, or one such pair an axis.
    mode
        What to add: a constant, the ``edge``, x mirrored without (``reflect``) or with its edge (``symmetric``), or
        x again (``wrap``).
    constant_values
        The constant: one number, which may be a tensor.

    Raises OperationError for another mode or a negative width, ShapeError for widths that do not fit the axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.pad(ab.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    x = asarray(x)
    try:
        table = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
    except ValueError:
        raise ShapeError(f"pad: widths {pad_width} do not fit the {x.ndim} axes of shape {x.shape}; give a number, a pair, or a pair an axis") from None
    if table.size and (table.dtype.kind not in "iu" or table.min() < 0):
        raise OperationError(f"pad: widths are integers from 0 up, got {pad_width}")
    widths = tuple((int(a), int(b)) for a, b in table)
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        for axis, width in enumerate(widths):
            if any(width):
                x = getitem(x, at(axis, np.pad(np.arange(x.shape[axis]), width, mode)))
        return asarray(x)
    if mode != "constant":
        raise OperationError(f"pad: mode {mode!r} is not one of 'constant', 'edge', 'reflect', 'symmetric', 'wrap'")
    if np.shape(constant_values):
        raise OperationError(f"pad: constant_values must be one number, got shape {np.shape(constant_values)}; pad the axes one after the other")
    out = apply(_pad, (x,), {"widths": widths})
    if isinstance(constant_values, (bool, int, float)) and constant_values == 0:
        return out
    inside = np.zeros(out.shape, bool)
    inside[_inner(widths, x.shape)] = True
    return where(inside, out, constant_values)


@composite
def flip(x: Any, /, axis: int | Sequence[int] | None = None) -> Tensor:
    """The elements along one axis, some, or all, in reverse order.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.flip(ab.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    x = asarray(x)
    axes = normalized_axes(axis, x.ndim)
    return getitem(x, tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(x.ndim)))


@composite
def roll(x: Any, /, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    """The elements moved along axes by ``shift`` places; what leaves at the end comes in at the start.

    Without an axis all elements are moved in a row. Raises ShapeError unless there is one shift for all axes or one each.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.roll(ab.tensor([1.0, 2.0, 3.0]), 1)
    tensor([3., 1., 2.])
    """
    given = x = asarray(x)
    shifts = integers(shift)
    if axis is None:
        if len(shifts) != 1:
            raise ShapeError(f"roll: several shifts {shifts} need as many axes")
        return roll(x.reshape((x.size,)), shifts, 0).reshape(x.shape)
    axes = integers(axis)
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    if len(axes) != len(shifts):
        raise ShapeError(f"roll: {len(shifts)} shifts {shifts} for {len(axes)} axes {axes}")
    for one, places in zip(axes, shifts, strict=True):
        along = normalized_axis(one, x.ndim)
        n = x.shape[along]
        if n and places % n:
            cut = n - places % n
            x = concat([getitem(x, at(along, slice(cut, n))), getitem(x, at(along, slice(0, cut)))], axis=along)
    return unshared(x, given)


@composite
def repeat(x: Any, repeats: int | Sequence[int] | Any, /, axis: int | None = None) -> Tensor:
    """Each element repeated along an axis, or, without one, each of all elements in a row.

    ``repeats`` is a number for all, or one for each place along the axis.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.repeat(ab.tensor([1.0, 2.0]), 2)
    tensor([1., 1., 2., 2.])
    """
    given = asarray(x)
    x, along = row_or_axis(given, axis)
    counts = np.asarray(plain(repeats))
    if counts.size and (counts.dtype.kind not in "iu" or counts.min() < 0):
        raise OperationError(f"repeat: repeats are integers from 0 up, got {repeats}")
    before, n, after = x.shape[:along], x.shape[along], x.shape[along + 1 :]
    if counts.ndim:
        if counts.shape not in ((1,), (n,)):
            raise ShapeError(f"repeat: {counts.shape} repeats for an axis of length {n}")
        return getitem(x, at(along, np.repeat(np.arange(n), counts)))
    count = int(counts)
    return unshared(broadcast_to(x.reshape((*before, n, 1, *after)), (*before, n, count, *after)).reshape((*before, n * count, *after)), given)


@composite
def tile(x: Any, repetitions: int | Sequence[int], /) -> Tensor:
    """X laid side by side, ``repetitions`` times along each axis, the last ones if there are fewer numbers than axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tile(ab.tensor([1.0, 2.0]), 2)
    tensor([1., 2., 1., 2.])
    """
    x = asarray(x)
    counts = integers(repetitions)
    rank = max(x.ndim, len(counts))
    counts = (1,) * (rank - len(counts)) + counts
    shape = (1,) * (rank - x.ndim) + x.shape
    apart = x.reshape(tuple(m for n in shape for m in (1, n)))
    spread = broadcast_to(apart, tuple(m for c, n in zip(counts, shape, strict=True) for m in (c, n)))
    return unshared(spread.reshape(tuple(c * n for c, n in zip(counts, shape, strict=True))), x)


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """The axes ``source`` at the places ``destination``, the others in their order.

    Raises ShapeError unless there are as many of both.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.moveaxis(ab.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = asarray(x)
    old, new = integers(source), integers(destination)
    if len(old) != len(new):
        raise ShapeError(f"moveaxis: {len(old)} axes {old} for {len(new)} places {new}")
    normalized_axes(old, x.ndim), normalized_axes(new, x.ndim)
    moved = {b % x.ndim: a % x.ndim for a, b in zip(old, new, strict=True)}
    rest = iter([i for i in range(x.ndim) if i not in moved.values()])
    return permute_dims(x, [moved[i] if i in moved else next(rest) for i in range(x.ndim)])


def swapaxes(x: Any, axis1: int, axis2: int, /) -> Tensor:
    """Two axes exchanged.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.swapaxes(ab.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = asarray(x)
    a, b = normalized_axis(axis1, x.ndim), normalized_axis(axis2, x.ndim)
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return permute_dims(x, order)


@keywords
def unstack(x: Any, /, *, axis: int = 0, **elsewhere: Never) -> tuple[Tensor, ...]:
    """The parts of x along an axis, without it: the opposite of `stack`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.unstack(ab.tensor([[1.0, 2.0], [3.0, 4.0]]))
    (tensor([1., 2.]), tensor([3., 4.]))
    """
    if elsewhere:
        raise unexpected(unstack, elsewhere)
    x = asarray(x)
    along = normalized_axis(axis, x.ndim)
    return tuple(getitem(x, at(along, i)) for i in range(x.shape[along]))


@keywords
def split(x: Any, indices_or_sections: int | Sequence[int], /, axis: int = 0, **elsewhere: Never) -> list[Tensor]:
    """X cut along an axis into equal parts, or before the given places: the opposite of `concat`.

    Raises ShapeError if the axis cannot be cut into so many equal parts.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.split(ab.arange(6), [1, 3])
    [tensor([0]), tensor([1, 2]), tensor([3, 4, 5])]
    """
    if elsewhere:
        raise unexpected(split, elsewhere)
    x = asarray(x)
    along = normalized_axis(axis, x.ndim)
    n = x.shape[along]
    if isinstance(indices_or_sections, (int, np.integer)):
        if indices_or_sections < 1 or n % indices_or_sections:
            raise ShapeError(f"split: axis {along} of shape {x.shape} cannot be cut into {indices_or_sections} equal parts")
        step = n // int(indices_or_sections)
        cuts = list(range(step, n, step)) if step else [0] * (int(indices_or_sections) - 1)
    else:
        cuts = list(integers(indices_or_sections))
    return [getitem(x, at(along, slice(a, b))) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]


def meshgrid(*arrays: Any, indexing: Literal["xy", "ij"] = "xy") -> list[Tensor]:
    """The coordinates of a grid: each vector repeated along the axes of the others.

    Raises OperationError for another indexing, ShapeError for more than one axis.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.meshgrid([1.0, 2.0], [3.0, 4.0], indexing="ij")[0]
    tensor([[1., 1.],
            [2., 2.]])
    """
    if indexing not in ("xy", "ij"):
        raise OperationError(f"meshgrid: indexing {indexing!r} is not 'xy' or 'ij'")
    vectors = [asarray(x) for x in arrays]
    for x in vectors:
        if x.ndim > 1:
            raise ShapeError(f"meshgrid takes vectors, got shape {x.shape}")
    rank = len(vectors)
    places = list(range(rank))
    if indexing == "xy" and rank > 1:
        places[:2] = 1, 0
    columns = [x.reshape(tuple(x.size if i == place else 1 for i in range(rank))) for x, place in zip(vectors, places, strict=True)]
    whole = broadcast_shapes(*(x.shape for x in columns))
    return [unshared(broadcast_to(column, whole), x) for column, x in zip(columns, vectors, strict=True)]

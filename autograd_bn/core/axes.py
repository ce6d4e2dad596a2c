"""Axes as arguments, and the shapes that reductions over them leave."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from autograd_bn.core.errors import ShapeError
from autograd_bn.core.state import user_line


@functools.lru_cache(maxsize=4096)
def kept_shape(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the axes reduced to 1."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


def reduced_shape(shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """The shape after a reduction."""
    return kept_shape(shape, axis) if keepdims else tuple(n for i, n in enumerate(shape) if i not in axis)


def normalized_axis(axis: Any, ndim: int) -> int:
    """One axis, counted from the first. Raises ShapeError for one that does not exist, and where one number is wanted and something else given."""
    try:
        place = operator.index(axis)
    except TypeError:
        raise ShapeError(f"an axis is one integer, here from {-ndim} to {ndim - 1}; got {axis!r}\n  at {user_line()}") from None
    if -ndim <= place < ndim:
        return place if place >= 0 else place + ndim
    raise ShapeError(f"axis {place} does not exist in a tensor of {ndim} axes\n  at {user_line()}")


def normalized_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Non-negative, sorted, distinct axes; None means all. Raises ShapeError for one that does not exist."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, int) or not isinstance(axis, Iterable):
        return (normalized_axis(axis, ndim),)
    found = sorted({normalized_axis(one, ndim) for one in axis})
    if len(found) != len(tuple(axis)):
        raise ShapeError(f"axes {tuple(axis)} name one axis twice\n  at {user_line()}")
    return tuple(found)

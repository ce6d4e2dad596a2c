"""Running sums, products and differences along an axis."""

from __future__ import annotations

from typing import Any, Never

import numpy as np
import numpy.typing as npt

from autograd_bn.core.axes import kept_shape, normalized_axis
from autograd_bn.core.constructors import composite, linear
from autograd_bn.core.dispatch import apply
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import OperationError
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.views import unshared
from autograd_bn.ops.comparison import not_equal
from autograd_bn.ops.creation import ones, zeros
from autograd_bn.ops.indexing import at, getitem
from autograd_bn.ops.shape import astype, broadcast_to, concat, row_or_axis, stack
from autograd_bn.ops.statistics import accumulated_dtype


def _running(x: Any, axis: int, reverse: bool) -> Any:
    return np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse else np.cumsum(x, axis)


_cumsum = linear(
    "cumsum",
    _running,
    transpose=lambda g, x, axis, reverse: raw.cumsum(g, axis=axis, reverse=not reverse),
    batch=lambda x, axis, reverse: raw.cumsum(x, axis=axis + 1, reverse=reverse),
    label=lambda node: "Σ…",
    adds=True,
    example=lambda rng: [((rng.standard_normal((2, 3)),), {"axis": 1, "reverse": False}), ((rng.standard_normal(4),), {"axis": 0, "reverse": True})],
)


def _prepared(x: Any, axis: int | None, dtype: npt.DTypeLike | None) -> tuple[Tensor, int]:
    x = asarray(x)
    return row_or_axis(astype(x, accumulated_dtype(x.dtype) if dtype is None else dtype), axis)


@keywords
def cumulative_sum(x: Any, /, axis: int | None = None, *, dtype: npt.DTypeLike | None = None, include_initial: bool = False, **elsewhere: Never) -> Tensor:
    """The sums of the elements up to each place along an axis, or of all elements in a row.

    ``include_initial`` puts a 0 before them.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.cumulative_sum(ab.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    if elsewhere:
        raise unexpected(cumulative_sum, elsewhere)
    x, along = _prepared(x, axis, dtype)
    out = apply(_cumsum, (x,), {"axis": along, "reverse": False})
    return concat([zeros(kept_shape(x.shape, (along,)), dtype=x.dtype), out], axis=along) if include_initial else out


def _products(x: Tensor, axis: int) -> Tensor:
    """Along an axis: of pairs first, whose running products give those of every other place."""

    def part(x: Tensor, start: int, stop: int, step: int = 1) -> Tensor:
        return getitem(x, at(axis, slice(start, stop, step)))

    n = x.shape[axis]
    if n < 2:
        return x
    h = n // 2
    odd = _products(part(x, 0, 2 * h, 2) * part(x, 1, 2 * h, 2), axis)
    later = part(x, 2, n, 2)
    even = concat([part(x, 0, 1), part(odd, 0, later.shape[axis]) * later], axis=axis)
    out = stack([part(even, 0, h), odd], axis=axis + 1).reshape((*x.shape[:axis], 2 * h, *x.shape[axis + 1 :]))
    return concat([out, part(even, h, h + 1)], axis=axis) if n % 2 else out


@composite
def cumulative_prod(x: Any, /, axis: int | None = None, *, dtype: npt.DTypeLike | None = None, include_initial: bool = False) -> Tensor:
    """The products of the elements up to each place along an axis, or of all elements in a row.

    ``include_initial`` puts a 1 before them. Nothing is divided, so that the gradient is right where there are zeros.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.cumulative_prod(ab.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 6.])
    """
    x, along = _prepared(x, axis, dtype)
    out = unshared(_products(x, along), x)
    return concat([ones(kept_shape(x.shape, (along,)), dtype=x.dtype), out], axis=along) if include_initial else out


def _beside(part: Any, x: Tensor, along: int) -> Tensor:
    """What is joined to x along an axis; a number as often as one place there takes it."""
    if isinstance(part, (int, float, complex)):
        part = asarray(part, dtype=np.result_type(x.dtype, part))
    part = asarray(part)
    return part if part.ndim else broadcast_to(part, kept_shape(x.shape, (along,)))


@composite
def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """The differences between neighbours along an axis, taken ``n`` times; of flags, whether they differ.

    ``prepend`` and ``append`` are joined to x first, a number as one place.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.diff(ab.tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    x = asarray(x)
    if n < 0:
        raise OperationError(f"diff: n must not be negative, got {n}")
    along = normalized_axis(axis, x.ndim)
    parts = [part if part is x else _beside(part, x, along) for part in (prepend, x, append) if part is not None]
    x = concat(parts, axis=along) if len(parts) > 1 else x
    for _ in range(n):
        later, earlier = getitem(x, at(along, slice(1, None))), getitem(x, at(along, slice(0, -1)))
        x = not_equal(later, earlier) if x.dtype.kind == "b" else later - earlier
    return asarray(x)

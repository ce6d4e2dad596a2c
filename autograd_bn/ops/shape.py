"""Operations that move elements and leave them as they are."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, Never

import numpy as np
import numpy.typing as npt

from autograd_bn.core.allocation import native
from autograd_bn.core.axes import normalized_axes, normalized_axis
from autograd_bn.core.constructors import linear
from autograd_bn.core.dispatch import apply
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.integers import integers
from autograd_bn.core.operators import run_unary
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import user_line
from autograd_bn.core.structural import astype_p, broadcast_to_p, reshape_p
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.indexing import at


def reshape(x: Any, /, shape: int | Sequence[int], *rest: int) -> Tensor:
    """The same elements in C order under another shape; one length may be −1.

    Raises ShapeError if the number of elements differs, OperationError for anything after a tuple of lengths, such as another order.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.reshape(ab.arange(4.0), (2, -1))
    tensor([[0., 1.],
            [2., 3.]])
    """
    if type(x) is not Tensor:
        x = asarray(x)
    if type(shape) is not tuple and isinstance(shape, (int, np.integer)):
        wanted = integers((shape, *rest))
    elif rest:
        raise OperationError(f"reshape takes lengths in C order alone, one by one or as one tuple, got {shape} and {', '.join(map(repr, rest))}")
    else:
        wanted = tuple(map(int, shape))
    if wanted.count(-1) > 1:
        raise ShapeError(f"reshape to {wanted}: only one length can be -1")
    if -1 in wanted:
        known = -math.prod(wanted)
        if known == 0 or x.size % known:
            raise ShapeError(f"{x.size} elements of shape {x.shape} cannot take shape {wanted}")
        wanted = tuple(x.size // known if n == -1 else n for n in wanted)
    return run_unary(reshape_p, x, {"shape": wanted})


@keywords
def flatten(x: Any, /, start_axis: int = 0, **elsewhere: Never) -> Tensor:
    """Join all axes from ``start_axis`` on into one. Raises ShapeError if there is no such axis.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.flatten(ab.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    if elsewhere:
        raise unexpected(flatten, elsewhere)
    x = asarray(x)
    start = normalized_axis(start_axis, max(x.ndim, 1))
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:])))


def row_or_axis(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """X and the axis counted from the first; without one, all elements in a row and its only axis. Raises ShapeError."""
    return (reshape(x, (x.size,)), 0) if axis is None else (x, normalized_axis(axis, x.ndim))


@functools.lru_cache(maxsize=256)
def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(i) for i in range(len(axes)))


_permute = linear(
    "permute_dims",
    lambda x, axes: x.transpose(axes),
    transpose=lambda g, x, axes: raw.permute_dims(g, axes=_inverse(axes)),
    batch=lambda x, axes: raw.permute_dims(x, axes=(0, *(a + 1 for a in axes))),
    label="transpose",
    aliases=True,
    example=lambda rng: [((rng.standard_normal((2, 3, 4)),), {"axes": (2, 0, 1)})],
)


@functools.lru_cache(maxsize=256)
def _order(axes: tuple[int, ...], ndim: int) -> dict[str, Any] | None:
    """The static parameters of a permutation, shared by all that are alike; nobody writes into them. None where axes do not name each once."""
    wanted = tuple(a + ndim if a < 0 else a for a in axes)
    return {"axes": wanted} if sorted(wanted) == list(range(ndim)) else None


@functools.lru_cache(maxsize=64)
def _reverse(ndim: int) -> dict[str, Any]:
    return {"axes": tuple(range(ndim))[::-1]}


def transpose(x: Tensor) -> Tensor:
    """All axes in reverse order."""
    return run_unary(_permute, x, _reverse(len(x.shape)))


def permute_dims(x: Any, /, axes: Sequence[int]) -> Tensor:
    """The axes in another order.

    Raises ShapeError unless ``axes`` names every axis once.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.permute_dims(ab.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    if type(x) is not Tensor:
        x = asarray(x)
    static = _order(tuple(axes), len(x.shape))
    if static is None:
        raise ShapeError(f"permute_dims of shape {x.shape}: axes {tuple(axes)} do not name each axis once")
    return run_unary(_permute, x, static)


def matrix_transpose(x: Any, /) -> Tensor:
    """The last two axes swapped. Raises ShapeError if there are fewer than two.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.matrix_transpose(ab.zeros((5, 2, 3))).shape
    (5, 3, 2)
    """
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose needs two axes, got shape {x.shape}")
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def broadcast_to(x: Any, /, shape: int | Sequence[int]) -> Tensor:
    """Repeat along new axes and axes of length 1, without copying.

    Raises ShapeError if the shapes do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.broadcast_to(ab.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    return apply(broadcast_to_p, (asarray(x),), {"shape": integers(shape)})


@keywords
def expand_dims(x: Any, /, axis: int | Sequence[int] = 0, **elsewhere: Never) -> Tensor:
    """Insert an axis of length 1 at ``axis`` of the result, or several.

    Raises ShapeError if there is no such place.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.expand_dims(ab.zeros(3), axis=1).shape
    (3, 1)
    """
    if elsewhere:
        raise unexpected(expand_dims, elsewhere)
    x = asarray(x)
    ndim = x.ndim + (len(axis) if isinstance(axis, Sequence) else 1)
    places, rest = normalized_axes(axis, ndim), iter(x.shape)
    return apply(reshape_p, (x,), {"shape": tuple(1 if i in places else next(rest) for i in range(ndim))})


@keywords
def squeeze(x: Any, /, axis: int | Sequence[int] | None = None, **elsewhere: Never) -> Tensor:
    """Drop axes of length 1: those named, or all. Raises ShapeError if a named one is longer.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.squeeze(ab.zeros((1, 3, 1)), 0).shape
    (3, 1)
    """
    if elsewhere:
        raise unexpected(squeeze, elsewhere)
    x = asarray(x)
    axes = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else normalized_axes(axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} of shape {x.shape} has length {x.shape[a]}, not 1")
    return apply(reshape_p, (x,), {"shape": tuple(n for i, n in enumerate(x.shape) if i not in axes)})


def _split_back(g: Any, parents: Sequence[Any], axis: int, sizes: tuple[int, ...]) -> list[Any]:
    return [raw.getitem(g, index=at(axis, slice(end - size, end))) for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)]


def _concat_example(rng: Any) -> Any:
    return [((rng.standard_normal((2, 3)), rng.standard_normal((2, 1))), {"axis": 1, "sizes": (3, 1)})]


_concat = linear(
    "concat",
    lambda *parts, axis, sizes: np.concatenate(parts, axis),
    transpose=_split_back,
    batch=lambda *parts, axis, sizes: raw.concat(*parts, axis=axis + 1, sizes=sizes),
    variadic=True,
    example=_concat_example,
)


@keywords
def concat(arrays: Sequence[Any], /, *, axis: int | None = 0, **elsewhere: Never) -> Tensor:
    """Join tensors along an axis that they have; None flattens them first.

    Raises ShapeError if another axis differs, or if there is nothing to join.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.concat([ab.zeros(1), ab.ones(2)])
    tensor([0., 1., 1.])
    """
    if elsewhere:
        raise unexpected(concat, elsewhere)
    parts = [asarray(x) for x in arrays]
    if not parts:
        raise ShapeError("concat of no tensors")
    if axis is None:
        parts, axis = [flatten(x) for x in parts], 0
    place = normalized_axis(axis, parts[0].ndim)
    rest = parts[0].shape[:place] + parts[0].shape[place + 1 :]
    for i, x in enumerate(parts):
        if x.ndim != parts[0].ndim or x.shape[:place] + x.shape[place + 1 :] != rest:
            raise ShapeError(f"concat along axis {place}: part {i} has shape {x.shape}, the first {parts[0].shape}; all other axes must be equal")
    return apply(_concat, parts, {"axis": place, "sizes": tuple(x.shape[place] for x in parts)})


@keywords
def stack(arrays: Sequence[Any], /, *, axis: int = 0, **elsewhere: Never) -> Tensor:
    """Join tensors of one shape along a new axis. Raises ShapeError if the shapes differ, or if there is nothing to join.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.stack([ab.zeros(2), ab.ones(2)])
    tensor([[0., 0.],
            [1., 1.]])
    """
    if elsewhere:
        raise unexpected(stack, elsewhere)
    parts = [asarray(x) for x in arrays]
    if not parts:
        raise ShapeError("stack of no tensors")
    place = normalized_axis(axis, parts[0].ndim + 1)
    for i, x in enumerate(parts):
        if x.shape != parts[0].shape:
            raise ShapeError(f"stack: part {i} has shape {x.shape}, the first {parts[0].shape}; all must be equal")
    return concat([expand_dims(x, place) for x in parts], axis=place)


def astype(x: Any, dtype: npt.DTypeLike, /) -> Tensor:
    """The elements in another dtype. The gradient is converted back; to integers or booleans none flows.

    Raises DtypeError if the dtype is not numeric, or complex numbers would lose their imaginary part.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tensor([1.5, 2.5]).astype("float32").dtype
    dtype('float32')
    """
    wanted = np.dtype(dtype)
    if wanted.kind not in "biufc":
        raise DtypeError(f"astype: {wanted} is not a numeric dtype")
    wanted = native(wanted)
    x = asarray(x)
    if x.dtype.kind == "c" and wanted.kind not in "c":
        raise DtypeError(f"astype: {x.dtype} to {wanted} would drop the imaginary part; take ab.real(x) or ab.abs(x) first\n  at {user_line()}")
    return x if x.dtype == wanted else apply(astype_p, (x,), {"dtype": wanted})

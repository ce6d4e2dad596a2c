"""NumPy's ways to put rows, columns and layers together and to turn matrices, made of `concat`, `stack` and `flip`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_bn.core.axes import normalized_axes
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.primitive import broadcast_shapes
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.rearranging import flip, swapaxes
from autograd_bn.ops.shape import broadcast_to, concat, reshape


def atleast_1d(x: Any, /) -> Tensor:
    """A number as a vector of one element; anything else as it is.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.atleast_1d(3.0)
    tensor([3.])
    """
    x = asarray(x)
    return x if x.ndim else reshape(x, (1,))


def atleast_2d(x: Any, /) -> Tensor:
    """A number or a vector as a matrix of one row; anything else as it is.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.atleast_2d([1.0, 2.0])
    tensor([[1., 2.]])
    """
    x = asarray(x)
    return x if x.ndim > 1 else reshape(x, (1, x.size))


def _atleast_3d(x: Any) -> Tensor:
    x = atleast_2d(x)
    return x if x.ndim > 2 else reshape(x, (*x.shape, 1))


def vstack(arrays: Sequence[Any], /) -> Tensor:
    """Join along the first axis; vectors are rows.

    Raises ShapeError if another axis differs.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.vstack([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return concat([atleast_2d(x) for x in arrays], axis=0)


def hstack(arrays: Sequence[Any], /) -> Tensor:
    """Join along the second axis; vectors along their only one.

    Raises ShapeError if another axis differs.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.hstack([[1.0, 2.0], [3.0, 4.0]])
    tensor([1., 2., 3., 4.])
    """
    parts = [atleast_1d(x) for x in arrays]
    return concat(parts, axis=0 if not parts or parts[0].ndim == 1 else 1)


def dstack(arrays: Sequence[Any], /) -> Tensor:
    """Join along the third axis, which vectors and matrices are given at the end.

    Raises ShapeError if another axis differs.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.dstack([[1.0, 2.0], [3.0, 4.0]])
    tensor([[[1., 3.],
             [2., 4.]]])
    """
    return concat([_atleast_3d(x) for x in arrays], axis=2)


def column_stack(arrays: Sequence[Any], /) -> Tensor:
    """Join along the second axis; vectors are columns.

    Raises ShapeError if the first axis differs.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.column_stack([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 3.],
            [2., 4.]])
    """
    parts = [asarray(x) for x in arrays]
    return concat([x if x.ndim > 1 else reshape(x, (x.size, 1)) for x in parts], axis=1)


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """Each tensor, repeated to the shape that all have together.

    Raises ShapeError if there is none.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> [x.shape for x in ab.broadcast_arrays(ab.ones((3, 1)), ab.ones(2))]
    [(3, 2), (3, 2)]
    """
    parts = [asarray(x) for x in arrays]
    whole = broadcast_shapes(*(x.shape for x in parts))
    return [broadcast_to(x, whole) for x in parts]


def flipud(x: Any, /) -> Tensor:
    """The first axis backwards.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.flipud([1.0, 2.0])
    tensor([2., 1.])
    """
    return flip(x, axis=0)


def fliplr(x: Any, /) -> Tensor:
    """The second axis backwards.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.fliplr([[1.0, 2.0]])
    tensor([[2., 1.]])
    """
    return flip(x, axis=1)


def rot90(x: Any, /, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turned by k quarters from the first of two axes towards the second.

    Raises ShapeError if both are the same or one does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.rot90([[1.0, 2.0], [3.0, 4.0]])
    tensor([[2., 4.],
            [1., 3.]])
    """
    x = asarray(x)
    first, second = (place for axis in axes for place in normalized_axes(axis, x.ndim))
    if first == second:
        raise ShapeError(f"rot90 of shape {x.shape}: axes {axes} are one")
    if k % 2 == 0:
        return flip(x, axis=axes if k % 4 else ())
    return swapaxes(flip(x, axis=second), first, second) if k % 4 == 1 else flip(swapaxes(x, first, second), axis=second)

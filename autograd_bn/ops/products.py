"""Products of vectors and tensors by NumPy's names, each a composition of the contractions and of elementwise products."""

from __future__ import annotations

from typing import Any

from autograd_bn.core.axes import normalized_axis
from autograd_bn.core.constructors import composite
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.arithmetic import multiply
from autograd_bn.ops.einsum import tensordot, vecdot
from autograd_bn.ops.indexing import getitem
from autograd_bn.ops.rearranging import moveaxis
from autograd_bn.ops.shape import flatten, reshape


@composite
def dot(x1: Any, x2: Any, /) -> Tensor:
    """NumPy's product: over the last axis of x1 and the last but one of x2, or its only one; with a number, elementwise.

    Raises ShapeError if the lengths differ. ``x1 @ x2`` is the product for stacks of matrices.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.dot([1.0, 2.0], [3.0, 4.0]), ab.dot([[1.0, 2.0]], [3.0, 4.0])
    (tensor(11.), tensor([11.]))
    """
    x, y = asarray(x1), asarray(x2)
    return tensordot(x, y, axes=((x.ndim - 1,), (max(y.ndim - 2, 0),))) if x.ndim and y.ndim else multiply(x, y)


@composite
def inner(x1: Any, x2: Any, /) -> Tensor:
    """The sum of products over the last axis of both; with a number, elementwise.

    Raises ShapeError if the lengths differ.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.inner([1.0, 2.0], [3.0, 4.0])
    tensor(11.)
    """
    x, y = asarray(x1), asarray(x2)
    return tensordot(x, y, axes=((x.ndim - 1,), (y.ndim - 1,))) if x.ndim and y.ndim else multiply(x, y)


@composite
def vdot(x1: Any, x2: Any, /) -> Tensor:
    """The sum of the products of all elements, those of x1 conjugated.

    Raises ShapeError if there are not as many of both.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.vdot([[1.0, 2.0]], [[3.0, 4.0]])
    tensor(11.)
    """
    return vecdot(flatten(x1), flatten(x2))


@composite
def kron(x1: Any, x2: Any, /) -> Tensor:
    """The Kronecker product: each element of x1 times the whole of x2, side by side.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.kron([1.0, 10.0], [1.0, 2.0])
    tensor([ 1.,  2., 10., 20.])
    """
    x, y = asarray(x1), asarray(x2)
    rank = max(x.ndim, y.ndim)
    rows, columns = ((1,) * (rank - z.ndim) + z.shape for z in (x, y))
    products = reshape(x, tuple(n for row in rows for n in (row, 1))) * reshape(y, tuple(n for column in columns for n in (1, column)))
    return reshape(products, tuple(m * n for m, n in zip(rows, columns, strict=True)))


@composite
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three elements along an axis.

    Raises ShapeError for another number of elements.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    tensor([0., 0., 1.])
    """
    vectors = []
    for z in (asarray(x1), asarray(x2)):
        along = normalized_axis(axis, z.ndim)
        if z.shape[along] != 3:
            raise ShapeError(f"cross takes vectors of three elements, got {z.shape[along]} along axis {axis} of shape {z.shape}")
        vectors.append(moveaxis(z, along, -1))
    x, y = vectors
    on, back = (Ellipsis, [1, 2, 0]), (Ellipsis, [2, 0, 1])
    return moveaxis(getitem(x, on) * getitem(y, back) - getitem(x, back) * getitem(y, on), -1, axis)

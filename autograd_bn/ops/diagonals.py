"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import apply
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.primitive import registry
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.indexing import getitem
from autograd_bn.ops.rearranging import moveaxis
from autograd_bn.ops.reduction import sum as total


def _in_a_row(rows: int, columns: int, offset: int) -> slice:
    """A diagonal among the elements of a matrix in a row."""
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = offset if offset >= 0 else -offset * columns
    return slice(start, start + (count - 1) * (columns + 1) + 1 if count else start, columns + 1)


@composite
def diagonal(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of the matrices on two axes, as a last axis; a positive offset takes one above the main diagonal.

    `linalg.diagonal`, as the standard has it, takes those on the last two axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.diagonal(ab.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"diagonal needs two axes, got shape {x.shape}")
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    return getitem(x.reshape((*x.shape[:-2], rows * columns)), (Ellipsis, _in_a_row(rows, columns, offset)))


@composite
def trace(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal of the matrices on two axes (see `diagonal`).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.trace(ab.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return total(diagonal(x, offset, axis1, axis2), axis=-1)


@composite
def diag(x: Any, /, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or the matrix with a vector on its k-th diagonal.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.diag(ab.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = asarray(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix, got shape {x.shape}")
    n = x.size + abs(k)
    return apply(registry["scatter_add"], (x,), {"index": (_in_a_row(n, n, k),), "shape": (n * n,)}).reshape((n, n))


def _triangle(x: Any, k: int, name: str, lower: bool) -> Tensor:
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"{name} needs two axes, got shape {x.shape}")
    inside = np.tri(x.shape[-2], x.shape[-1], k if lower else k - 1, dtype=bool)
    return where(inside if lower else ~inside, x, 0)


@composite
def tril(x: Any, /, *, k: int = 0) -> Tensor:
    """The matrices on the last two axes with 0 above the k-th diagonal.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tril(ab.ones((2, 2)))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _triangle(x, k, "tril", True)


@composite
def triu(x: Any, /, *, k: int = 0) -> Tensor:
    """The matrices on the last two axes with 0 below the k-th diagonal.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.triu(ab.ones((2, 2)))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return _triangle(x, k, "triu", False)

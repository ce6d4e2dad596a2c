"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import composite, linear
from autograd_bn.core.dispatch import apply
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.rearranging import moveaxis
from autograd_bn.ops.reduction import sum as total


def _view(x: Any, offset: int) -> Any:
    """The diagonal as a view, which NumPy gives as one that cannot be written through."""
    out = np.diagonal(x, offset, -2, -1)
    if x.flags.writeable:
        out.flags.writeable = True
    return out


def _embedded(x: Any, shape: tuple[int, int], offset: int) -> Any:
    out = np.zeros((*x.shape[:-1], *shape), x.dtype)
    _view(out, offset)[...] = x
    return out


_diagonal = linear(
    "diagonal",
    _view,
    transpose=lambda g, x, offset: raw.from_diagonal(g, shape=x.shape[-2:], offset=offset),
    batch=lambda x, offset: raw.diagonal(x, offset=offset),
    aliases=True,
    example=lambda rng: [((rng.standard_normal((2, 3, 4)),), {"offset": 1}), ((rng.standard_normal((3, 2)),), {"offset": -1})],
)

_from_diagonal = linear(
    "from_diagonal",
    _embedded,
    transpose=lambda g, x, shape, offset: raw.diagonal(g, offset=offset),
    batch=lambda x, shape, offset: raw.from_diagonal(x, shape=shape, offset=offset),
    example=lambda rng: [((rng.standard_normal((2, 3)),), {"shape": (3, 4), "offset": 1}), ((rng.standard_normal(2),), {"shape": (3, 2), "offset": -1})],
)


@composite
def diagonal(x: Any, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of the matrices on two axes, as a last axis: a view. A positive offset takes one above the main diagonal.

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
    return apply(_diagonal, (moveaxis(x, (axis1, axis2), (-2, -1)),), {"offset": offset})


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
    return apply(_from_diagonal, (x,), {"shape": (n, n), "offset": k})


def _triangle(x: Any, k: int, name: str, lower: bool) -> Tensor:
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"{name} needs two axes, got shape {x.shape}")
    inside = np.tri(x.shape[-2], x.shape[-1], k if lower else k - 1, dtype=bool)
    return where(inside if lower else ~inside, x, False if x.dtype == bool else 0)


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

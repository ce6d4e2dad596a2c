"""New tensors from nothing but a shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never

import numpy as np
import numpy.typing as npt

from autograd_bn.core.arrays import as_numbers
from autograd_bn.core.elsewhere import keywords
from autograd_bn.core.integers import is_integer
from autograd_bn.core.node import Constant
from autograd_bn.core.tensor import Tensor, asarray


def _fresh(value: Any) -> Tensor:
    value = as_numbers(value)
    return Tensor(value, Constant(value.shape, value.dtype))


def _several(name: str, shape: Any, more: tuple[Any, ...]) -> TypeError:
    """The error for lengths that are arguments of their own, as in PyTorch, or a dtype that is not given by name, as in NumPy."""
    here = f"{(shape, *more)}" if all(is_integer(n) for n in (shape, *more)) else f"{shape}, dtype={str(np.dtype(more[0]))!r}"
    return TypeError(f"{name}() takes 1 positional argument but {1 + len(more)} were given; instead: ab.{name}({here})")


@keywords
def zeros(shape: int | Sequence[int], *more: Never, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Zeros, float64 unless told.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.zeros(2)
    tensor([0., 0.])
    """
    if more:
        raise _several("zeros", shape, more)
    return _fresh(np.zeros(shape, dtype))


@keywords
def ones(shape: int | Sequence[int], *more: Never, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Ones, float64 unless told.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.ones(2)
    tensor([1., 1.])
    """
    if more:
        raise _several("ones", shape, more)
    return _fresh(np.ones(shape, dtype))


def full(shape: int | Sequence[int], fill_value: float, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """One value everywhere.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.full(2, 7.0)
    tensor([7., 7.])
    """
    return _fresh(np.full(shape, fill_value, dtype))


def zeros_like(x: Any, /, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Zeros of the shape and dtype of another tensor.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.zeros_like(ab.ones(2))
    tensor([0., 0.])
    """
    x = asarray(x)
    return zeros(x.shape, dtype=dtype or x.dtype)


def ones_like(x: Any, /, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Ones of the shape and dtype of another tensor.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.ones_like(ab.zeros(2))
    tensor([1., 1.])
    """
    x = asarray(x)
    return ones(x.shape, dtype=dtype or x.dtype)


def full_like(x: Any, /, fill_value: float, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """One value everywhere, in the shape and dtype of another tensor.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.full_like(ab.zeros(2), 7.0)
    tensor([7., 7.])
    """
    x = asarray(x)
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


def arange(start: float, stop: float | None = None, step: float = 1, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Evenly spaced numbers, the end left out.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.arange(3)
    tensor([0, 1, 2])
    """
    return _fresh(np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype=dtype))


def linspace(start: float, stop: float, num: int, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """``num`` evenly spaced numbers, both ends included.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linspace(0.0, 1.0, 3)
    tensor([0. , 0.5, 1. ])
    """
    return _fresh(np.linspace(start, stop, num, dtype=dtype))


def eye(n_rows: int, n_cols: int | None = None, *, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Ones on the diagonal, zeros elsewhere.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _fresh(np.eye(n_rows, n_cols, dtype=dtype if dtype is not None else float))

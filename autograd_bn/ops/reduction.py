"""Sums, means and extremes along axes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.constructors import linear, normalized_axes, reduced_shape, reduction
from autograd_bn.core.errors import OperationError
from autograd_bn.core.operators import run_unary
from autograd_bn.core.primitive import Primitive, raw
from autograd_bn.core.structural import add_along, averaged, spread, sum_p
from autograd_bn.core.tensor import Tensor, asarray

Axis = int | Sequence[int] | None


def _mean(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.char in "?bBhHiIlLqQpPe":
        return np.mean(x, axis=axis, keepdims=keepdims)
    return add_along(x, axis, keepdims) / (x.shape[axis[0]] if len(axis) == 1 else averaged(x.shape, axis))


def _examples(rng: Any) -> Any:
    return [
        ((rng.standard_normal((2, 3, 4)),), {"axis": (0, 2), "keepdims": False}),
        ((rng.standard_normal((3, 2)),), {"axis": (0,), "keepdims": True}),
    ]


_mean_p = linear(
    "mean",
    _mean,
    transpose=lambda g, x, axis, keepdims: spread(g / averaged(x.shape, axis), x, axis, keepdims),
    batch=lambda x, axis, keepdims: raw.mean(x, axis=tuple(a + 1 for a in axis), keepdims=keepdims),
    shape=lambda x, axis, keepdims: reduced_shape(x.shape, axis, keepdims),
    label="1/N Σ",
    spreads=True,
    example=_examples,
)


def _shared(x: Any, out: Any, axis: tuple[int, ...]) -> Any:
    """1 over the number of ties at each extreme, 0 elsewhere."""
    chosen = raw.astype(raw.equal(x, out), dtype=x.dtype)
    return chosen / raw.sum(chosen, axis=axis, keepdims=True)


_max = reduction("max", lambda x, axis, keepdims: np.max(x, axis=axis, keepdims=keepdims), _shared, example=_examples)
_min = reduction("min", lambda x, axis, keepdims: np.min(x, axis=axis, keepdims=keepdims), _shared, example=_examples)


@functools.lru_cache(maxsize=4096)
def _static(axis: Any, ndim: int, keepdims: bool) -> dict[str, Any]:
    """The static parameters of a reduction, shared by all that are alike; nobody writes into them."""
    return {"axis": normalized_axes(axis, ndim), "keepdims": keepdims}


def _reduced(primitive: Primitive, x: Any, axis: Axis, keepdims: bool, what: str) -> Tensor:
    """Run a reduction; ``what`` says what cannot be done with no elements ("" where it can)."""
    if type(x) is not Tensor:
        x = asarray(x)
    shape = x.shape
    static = _static(tuple(axis) if isinstance(axis, list) else axis, len(shape), keepdims)
    if what and 0 in shape and averaged(shape, static["axis"]) == 0:
        raise OperationError(f"{primitive.name} over axes {static['axis']} of shape {shape}: there is nothing to {what}")
    return run_unary(primitive, x, static, 3)


def sum(x: Any, /, *, axis: Axis = None, dtype: npt.DTypeLike | None = None, keepdims: bool = False) -> Tensor:  # noqa: A001 - the array API's name
    """The sum over one axis, some axes, or all.

    Parameters
    ----------
    x
        Any shape.
    axis
        An axis, several, or None for all.
    dtype
        Convert to this before summing.
    keepdims
        Keep the summed axes with length 1.

    Raises ShapeError if an axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.sum(ab.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    return _reduced(sum_p, x if dtype is None else asarray(x).astype(dtype), axis, keepdims, "")


def mean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over one axis, some axes, or all.

    Parameters
    ----------
    x
        Any shape; integers give float64.
    axis
        An axis, several, or None for all.
    keepdims
        Keep the averaged axes with length 1.

    Raises OperationError where there is nothing to average, ShapeError if an axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.mean(ab.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([2., 3.])
    """
    return _reduced(_mean_p, x, axis, keepdims, "average")


def max(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: A001 - the array API's name
    """The largest element along axes; elements that tie share the gradient equally.

    Raises OperationError where there is nothing to compare, ShapeError if an axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.max(ab.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([5., 4.])
    """
    return _reduced(_max, x, axis, keepdims, "compare")


def min(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:  # noqa: A001 - the array API's name
    """The smallest element along axes; elements that tie share the gradient equally.

    Raises OperationError where there is nothing to compare, ShapeError if an axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.min(ab.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([1., 3.])
    """
    return _reduced(_min, x, axis, keepdims, "compare")

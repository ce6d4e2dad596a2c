"""Reductions that are made of other operations: product, variance, median, norms, softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.axes import kept_shape, normalized_axes, reduced_shape
from autograd_bn.core.constructors import composite
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.state import user_line
from autograd_bn.core.structural import count_along
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.views import unshared
from autograd_bn.ops.arithmetic import abs as absolute
from autograd_bn.ops.arithmetic import pow as power
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.comparison import equal, isnan, not_equal
from autograd_bn.ops.creation import ones_like
from autograd_bn.ops.exponential import exp, log
from autograd_bn.ops.indexing import getitem
from autograd_bn.ops.precision import narrowed, widened
from autograd_bn.ops.reduction import Axis, norm_p, reduced
from autograd_bn.ops.reduction import max as largest
from autograd_bn.ops.reduction import mean as mean_of
from autograd_bn.ops.reduction import min as smallest
from autograd_bn.ops.reduction import sum as total
from autograd_bn.ops.shape import astype, permute_dims
from autograd_bn.ops.sorting import sort


def _joined(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The axes to reduce as one, the last."""
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    if (*rest, *axes) != tuple(range(x.ndim)):
        x = permute_dims(x, (*rest, *axes))
    count = math.prod(x.shape[len(rest) :])
    return x if len(axes) == 1 else x.reshape((*x.shape[: len(rest)], count))


def accumulated_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that sums and products of small integers are held in."""
    if dtype.kind == "u":
        return np.result_type(dtype, np.uint)
    return np.result_type(dtype, np.int_) if dtype.kind in "bi" else dtype


@composite
def prod(x: Any, /, *, axis: Axis = None, dtype: npt.DTypeLike | None = None, keepdims: bool = False) -> Tensor:
    """The product over one axis, some axes, or all.

    Halves are multiplied until one element is left, so that the gradient is the product of the other elements at every
    order, zeros among them or not.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([2.0, 0.0, 5.0], requires_grad=True)
    >>> ab.prod(x).backward()
    >>> x.grad
    tensor([ 0., 10.,  0.])
    """
    x = asarray(x)
    axes = normalized_axes(axis, x.ndim)
    typed = astype(x, accumulated_dtype(x.dtype) if dtype is None else dtype)
    left = _joined(typed, axes) if axes else typed
    odd = None
    n = left.shape[-1] if axes else 1
    while n > 1:
        h = n // 2
        if n % 2:
            last = getitem(left, (Ellipsis, n - 1))
            odd = last if odd is None else odd * last
        left = getitem(left, (Ellipsis, slice(0, h))) * getitem(left, (Ellipsis, slice(h, 2 * h)))
        n = h
    if axes:
        left = getitem(left, (Ellipsis, 0)) if n else total(left, axis=-1) + 1  # 1, and still recorded
    out = unshared(left if odd is None else left * odd, x)
    return out.reshape(kept_shape(x.shape, axes)) if keepdims else out


def refuse_complex(name: str, x: Tensor, instead: str = "ab.abs(x)") -> None:
    """Raises DtypeError for complex numbers."""
    if x.dtype.kind == "c":
        raise DtypeError(f"{name} of complex numbers ({x.dtype}{list(x.shape)}) is not defined here; take it of {instead}")


def _freedom(name: str, x: Tensor, axes: tuple[int, ...], correction: float) -> float:
    refuse_complex(name, x)
    count = count_along(x.shape, axes)
    if count <= correction and x.size:
        raise OperationError(f"{name} over axes {axes} of shape {x.shape}: {count} elements with a correction of {correction} leave no degree of freedom")
    return count - correction


@composite
def var(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance over axes: the squared distances from the mean, summed and divided by N − correction.

    A correction of 1 gives the unbiased variance of a sample.

    Raises OperationError where N − correction is not positive.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([1.0, 2.0, 3.0])
    >>> ab.var(x), ab.var(x, correction=1)
    (tensor(0.66666667), tensor(1.))
    """
    x = asarray(x)
    axes = normalized_axes(axis, x.ndim)
    freedom = _freedom("var", x, axes, correction)
    wide = widened(x)
    mean = mean_of(wide, axis=axes, keepdims=True)
    sq = (wide - mean) ** 2
    return narrowed(mean_of(sq, axis=axes, keepdims=keepdims) if not correction else total(sq, axis=axes, keepdims=keepdims) / freedom, x)


@composite
def std(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation over axes: the root of the variance. Where all elements are equal its derivative is taken as 0.

    Raises OperationError where N − correction is not positive.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.std(ab.tensor([1.0, 2.0, 3.0]), correction=1)
    tensor(1.)
    """
    x = asarray(x)
    axes = normalized_axes(axis, x.ndim)
    freedom = _freedom("std", x, axes, correction)
    wide = widened(x)
    mean = mean_of(wide, axis=axes, keepdims=True)
    return narrowed(reduced(norm_p, wide - mean, axes, keepdims, "") / math.sqrt(freedom), x)


@composite
def average(x: Any, /, *, axis: Axis = None, weights: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over axes, each element counted by its weight: Σ w·x / Σ w.

    Parameters
    ----------
    x
        Any shape; integers give float64.
    axis
        An axis, several, or None for all.
    weights
        Of the shape of x, or a vector along one axis; 1 unless given.
    keepdims
        Keep the averaged axes with length 1.

    Raises ShapeError if the weights do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.average([1.0, 2.0], weights=[3.0, 1.0])
    tensor(1.25)
    """
    x = asarray(x)
    if weights is None:
        return mean_of(x, axis=axis, keepdims=keepdims)
    w = asarray(weights)
    if x.dtype.kind in "biu":
        x = astype(x, np.float64)
    axes = normalized_axes(axis, x.ndim)
    if w.shape != x.shape:
        if len(axes) != 1 or w.shape != (x.shape[axes[0]],):
            raise ShapeError(f"average over axes {axes} of shape {x.shape}: weights have that shape or that of one axis, got {w.shape}")
        w = w.reshape((-1,) + (1,) * (x.ndim - 1 - axes[0]))
    out: Tensor = total(x * w, axis=axes, keepdims=keepdims) / total(w * ones_like(x), axis=axes, keepdims=keepdims)
    return out


@composite
def ptp(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element along axes less the smallest. Elements that tie share the gradient.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.ptp(ab.tensor([1.0, 5.0, 2.0]))
    tensor(4.)
    """
    out: Tensor = largest(x, axis=axis, keepdims=keepdims) - smallest(x, axis=axis, keepdims=keepdims)
    return out


def _sorted(name: str, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The elements along axes in ascending order, on the last axis."""
    row = sort(_joined(x, axes))
    if row.shape[-1] == 0:
        raise OperationError(f"{name} over axes {axes} of shape {x.shape}: there is nothing to sort\n  at {user_line()}")
    return row


@composite
def median(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle element along axes once they are sorted, or the mean of the two in the middle; NaN where there is one.

    Of elements that tie, the gradient goes to the one that comes to stand in the middle when sorting keeps their order.

    Raises OperationError where there is nothing to sort.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.median(ab.tensor([5.0, 1.0, 2.0, 3.0]))
    tensor(2.5)
    """
    x = asarray(x)
    axes = normalized_axes(axis, x.ndim)
    row = _sorted("median", x, axes)
    n = row.shape[-1]
    out = mean_of(getitem(row, (Ellipsis, slice((n - 1) // 2, n // 2 + 1))), axis=-1)
    if out.dtype.kind == "f":
        last = getitem(row, (Ellipsis, n - 1))
        out = where(isnan(last), last, out)
    return out.reshape(kept_shape(x.shape, axes)) if keepdims else out.reshape(reduced_shape(x.shape, axes, False))


_METHODS = {"linear", "lower", "higher", "midpoint", "nearest"}


@composite
def quantile(x: Any, q: Any, /, *, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Tensor:
    """The elements along axes below which a share ``q`` of them lies once they are sorted; NaN where there is one.

    Parameters
    ----------
    x
        Any shape; integers and booleans give float64.
    q
        Numbers from 0 to 1, constants; of any shape, which comes first in that of the result.
    axis
        An axis, several, or None for all.
    keepdims
        Keep the axes with length 1.
    method
        Between two elements: ``"linear"`` in proportion, ``"lower"``, ``"higher"``, ``"nearest"`` (of two as near the one at the even place) or
        ``"midpoint"``, as NumPy and PyTorch have them.

    Of elements that tie, the gradient goes to those that come to stand there when sorting keeps their order.

    Raises OperationError where there is nothing to sort, for q out of its range and another method.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.quantile(ab.tensor([4.0, 1.0, 2.0, 3.0]), [0.5, 1.0])
    tensor([2.5, 4. ])
    """
    x = asarray(x)
    x = astype(x, np.float64) if x.dtype.kind in "biu" else x
    shares = np.asarray(q, np.float64)
    if method not in _METHODS:
        raise OperationError(f"quantile: method {method!r} is none of {', '.join(sorted(_METHODS))}\n  at {user_line()}")
    if not np.all((shares >= 0) & (shares <= 1)):
        raise OperationError(f"quantile: q must lie between 0 and 1, got {q}\n  at {user_line()}")
    refuse_complex("quantile", x)
    axes = normalized_axes(axis, x.ndim)
    row = _sorted("quantile", x, axes)
    n = row.shape[-1]
    places = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}.get(method, np.positive)(shares * (n - 1))
    low, high = np.floor(places).astype(np.intp), np.ceil(places).astype(np.intp)
    out = getitem(row, (Ellipsis, low))
    if np.any(low != high):
        weight = np.where((low == high) | (method == "midpoint"), 0.5, places - low).astype(x.dtype)
        out = where(low == high, out, out * (1 - weight) + getitem(row, (Ellipsis, high)) * weight)
    last = getitem(row, (Ellipsis, np.full(shares.shape, n - 1)))
    out = where(isnan(last), last, out)
    rest = tuple(range(out.ndim - shares.ndim))
    out = permute_dims(out, (*range(len(rest), out.ndim), *rest))
    return out.reshape((*shares.shape, *kept_shape(x.shape, axes))) if keepdims else out


def percentile(x: Any, q: Any, /, *, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Tensor:
    """The `quantile` of hundredths: q lies between 0 and 100, or an OperationError is raised.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.percentile(ab.tensor([4.0, 1.0, 2.0, 3.0]), 50)
    tensor(2.5)
    """
    hundredths = np.asarray(q, np.float64)
    if not np.all((hundredths >= 0) & (hundredths <= 100)):
        raise OperationError(f"percentile: q must lie between 0 and 100, got {q}\n  at {user_line()}")
    return quantile(x, hundredths / 100, axis=axis, keepdims=keepdims, method=method)


@composite
def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Tensor:  # noqa: A002 - the array API's name
    """The norm (Σ|x|ᵖ)^(1/p) of the elements along axes, p being ``ord``; inf and −inf give the extremes, 0 a count.

    At 0 its derivative is taken as 0.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([3.0, -4.0])
    >>> ab.linalg.vector_norm(x), ab.linalg.vector_norm(x, ord=1)
    (tensor(5.), tensor(7.))
    """
    x = asarray(x)
    if x.dtype.kind in "biu":
        x = astype(x, np.float64)
    if ord == 2:
        return reduced(norm_p, x, axis, keepdims, "")
    size = absolute(x)
    if ord == math.inf:
        return largest(size, axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return smallest(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        return total(astype(not_equal(size, 0), size.dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return total(size, axis=axis, keepdims=keepdims)
    wide = widened(size)
    nought = equal(wide, 0)
    powers = where(nought, 0.0 if ord > 0 else math.inf, power(where(nought, 1.0, wide), ord))
    summed = total(powers, axis=axis, keepdims=keepdims)
    gone = equal(summed, 0 if ord > 0 else math.inf)
    return narrowed(where(gone, 0.0, power(where(gone, 1.0, summed), 1 / ord)), size)


@composite
def softmax(x: Any, /, axis: Axis = -1) -> Tensor:
    """eˣ divided by its sum along axes, the last unless told: positive numbers that add up to 1.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.softmax(ab.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """
    given = asarray(x)
    x = widened(given)
    peak = largest(x.detach(), axis=axis, keepdims=True) if x.size else 0
    e = exp(x - peak)
    out: Tensor = e / total(e, axis=axis, keepdims=True)
    return narrowed(out, given)


@composite
def log_softmax(x: Any, /, axis: Axis = -1) -> Tensor:
    """The logarithm of `softmax`, computed as z − log Σ eᶻ with z = x − max x, so that small ones are not lost.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.log_softmax(ab.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    given = asarray(x)
    x = widened(given)
    peak = largest(x.detach(), axis=axis, keepdims=True) if x.size else 0
    z: Tensor = x - peak
    return narrowed(z - log(total(exp(z), axis=axis, keepdims=True)), given)

"""Sums, means and extremes along axes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Never

import numpy as np
import numpy.typing as npt

from autograd_bn.core.axes import kept_shape, normalized_axes, normalized_axis, reduced_shape
from autograd_bn.core.constructors import discrete, linear, reduction
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import OperationError
from autograd_bn.core.operators import run_unary
from autograd_bn.core.primitive import Primitive, raw, registry
from autograd_bn.core.structural import add_along, count_along, divided, reduction_examples, spread, sum_p
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.arithmetic import direction
from autograd_bn.ops.precision import narrowed, widened

Axis = int | Sequence[int] | None


def _mean(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.char in "?bBhHiIlLqQpPe":
        return np.mean(x, axis=axis, keepdims=keepdims)
    return divided(add_along(x, axis, keepdims), x.shape, axis)


_mean_p = linear(
    "mean",
    _mean,
    transpose=lambda g, x, axis, keepdims: spread(divided(g, x.shape, axis), x, axis, keepdims),
    batch=lambda x, axis, keepdims: raw.mean(x, axis=tuple(a + 1 for a in axis), keepdims=keepdims),
    shape=lambda x, axis, keepdims: reduced_shape(x.shape, axis, keepdims),
    label="1/N Σ",
    adds=True,
    spreads=True,
    example=reduction_examples,
)


def _shared(g: Any, x: Any, out: Any, axis: tuple[int, ...]) -> Any:
    """An equal share of g for each of those that tie at the extreme, 0 elsewhere."""
    chosen = raw.astype(raw.equal(x, out), dtype=g.dtype)
    return chosen * (g / raw.sum(chosen, axis=axis, keepdims=True))


_max = reduction("max", np.max, _shared, code="max(x, y)", example=reduction_examples)
_min = reduction("min", np.min, _shared, code="min(x, y)", example=reduction_examples)


@functools.lru_cache(maxsize=4096)
def _static(axis: Any, ndim: int, keepdims: bool) -> dict[str, Any]:
    """The static parameters of a reduction, shared by all that are alike; nobody writes into them."""
    return {"axis": normalized_axes(axis, ndim), "keepdims": keepdims}


def reduced(primitive: Primitive, x: Any, axis: Axis, keepdims: bool, what: str) -> Tensor:
    """Run a reduction; ``what`` says what cannot be done with no elements ("" where it can)."""
    if type(x) is not Tensor:
        x = asarray(x)
    shape = x.shape
    static = _static(tuple(axis) if isinstance(axis, list) else axis, len(shape), keepdims)
    if what and 0 in shape and count_along(shape, static["axis"]) == 0:
        raise OperationError(f"{primitive.name} over axes {static['axis']} of shape {shape}: there is nothing to {what}")
    return run_unary(primitive, x, static, 3)


@keywords
def sum(x: Any, /, *, axis: Axis = None, dtype: npt.DTypeLike | None = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:  # noqa: A001 - the array API's name
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
    if elsewhere:
        raise unexpected(sum, elsewhere)
    return reduced(sum_p, x if dtype is None else asarray(x).astype(dtype), axis, keepdims, "")


@keywords
def mean(x: Any, /, *, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:
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
    if elsewhere:
        raise unexpected(mean, elsewhere)
    return reduced(_mean_p, x, axis, keepdims, "average")


@keywords
def max(x: Any, /, *, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:  # noqa: A001 - the array API's name
    """The largest element along axes; elements that tie share the gradient equally.

    Raises OperationError where there is nothing to compare, ShapeError if an axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.max(ab.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([5., 4.])
    """
    if elsewhere:
        raise unexpected(max, elsewhere)
    return reduced(_max, x, axis, keepdims, "compare")


@keywords
def min(x: Any, /, *, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:  # noqa: A001 - the array API's name
    """The smallest element along axes; elements that tie share the gradient equally.

    Raises OperationError where there is nothing to compare, ShapeError if an axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.min(ab.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([1., 3.])
    """
    if elsewhere:
        raise unexpected(min, elsewhere)
    return reduced(_min, x, axis, keepdims, "compare")


def _logsumexp(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The largest is taken out first, so that nothing overflows; nothing to sum gives −inf."""
    if x.dtype.kind in "biu":
        x = x.astype(np.float64)
    peak = np.max(x.real, axis=axis, keepdims=True, initial=-np.inf)
    peak = np.where(np.isfinite(peak), peak, 0)
    with np.errstate(divide="ignore"):
        out = np.log(np.sum(np.exp(x - peak), axis=axis, keepdims=True)) + peak
    return out if keepdims else out.reshape(reduced_shape(x.shape, axis, False))[()]


def _softmax(g: Any, x: Any, out: Any, axis: tuple[int, ...]) -> Any:
    """The product with the softmax of x: e to the power of x − out, whose sum is 1 but for the rounding of out; 0 where all are −inf."""
    if out.dtype.kind == "c":
        e = raw.exp(x - raw.where(raw.equal(out, -np.inf), 0, out))
    else:
        most = float(np.finfo(out.dtype).max)  # stands for inf, which would give NaN, but not for an x of −inf
        e = raw.exp(raw.minimum(x, most) - raw.maximum(raw.minimum(out, most), -most))
    total = raw.sum(e, axis=axis, keepdims=True)
    return e * (g / raw.where(raw.equal(total, 0), 1, total))


_logsumexp_p = reduction("logsumexp", _logsumexp, _softmax, label="log Σ eˣ", example=reduction_examples)


@keywords
def logsumexp(x: Any, /, *, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:
    """Log Σ eˣ over axes, which neither overflows nor loses small results. Its derivative is the softmax; where all are −inf, no gradient flows.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.logsumexp(ab.tensor([1000.0, 1000.0]))
    tensor(1000.69314718)
    """
    if elsewhere:
        raise unexpected(logsumexp, elsewhere)
    x = asarray(x)
    return narrowed(reduced(_logsumexp_p, widened(x), axis, keepdims, ""), x)


def _norm(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.kind in "biu":
        x = x.astype(np.float64)
    sizes = np.abs(x) if x.dtype.kind == "c" else x
    with np.errstate(over="ignore", under="ignore"):
        out = np.sqrt(add_along(np.square(sizes), axis, keepdims))
    least = _least(out.dtype)
    if (least <= out < np.inf) if not out.ndim else (out.size and least <= out.min() and out.max() < np.inf):
        return out
    # A square overflowed or lost digits, or there is nothing else than zeros: take the largest element out first.
    peak = np.max(np.abs(sizes), axis=axis, keepdims=True, initial=0.0)
    peak = np.where((peak > 0) & (peak < np.inf), peak, np.ones((), peak.dtype))
    out = np.sqrt(add_along(np.square(sizes / peak), axis, True)) * peak
    return out if keepdims else out.reshape(reduced_shape(x.shape, axis, False))[()]


@functools.cache
def _least(dtype: np.dtype[Any]) -> float:
    """The least norm of which the squares have all their digits."""
    about = np.finfo(dtype)
    return float(np.sqrt(about.tiny / about.eps))


norm_p = reduction("vector_norm", _norm, direction, label="‖x‖", example=reduction_examples)


def _counting(name: str, function: Any, label: str, code: str | None = None) -> Primitive:
    return discrete(
        name,
        lambda x, axis, keepdims: np.asarray(function(x, axis=axis, keepdims=keepdims))[()],
        batch=lambda x, axis, keepdims: registry[name](x, axis=tuple(a + 1 for a in axis), keepdims=keepdims),
        shape=lambda x, axis, keepdims: reduced_shape(x.shape, axis, keepdims),
        label=label,
        code=code,
        example=reduction_examples,
    )


def _placing(name: str, function: Any) -> Primitive:
    return discrete(
        name,
        function,
        batch=lambda x, axis: registry[name](x, axis=axis + 1),
        shape=lambda x, axis: reduced_shape(x.shape, (axis,), False),
        example=lambda rng: [((rng.standard_normal((2, 3)),), {"axis": 1}), ((np.array([[1.0, 2.0, 2.0], [2.0, 1.0, 2.0]]),), {"axis": 0})],
    )


_any, _all = _counting("any", np.any, "∃", "x | y"), _counting("all", np.all, "∀", "x & y")
_count = _counting("count_nonzero", np.count_nonzero, "#≠0")
_argmax, _argmin = _placing("argmax", np.argmax), _placing("argmin", np.argmin)


@keywords
def any(x: Any, /, *, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:  # noqa: A001 - the array API's name
    """Whether some element along axes is true; what is not 0 counts as true.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.any(ab.tensor([[False, True], [False, False]]), axis=1)
    tensor([ True, False])
    """
    if elsewhere:
        raise unexpected(any, elsewhere)
    return reduced(_any, x, axis, keepdims, "")


@keywords
def all(x: Any, /, *, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:  # noqa: A001 - the array API's name
    """Whether every element along axes is true; what is not 0 counts as true.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.all(ab.tensor([[True, True], [True, False]]), axis=1)
    tensor([ True, False])
    """
    if elsewhere:
        raise unexpected(all, elsewhere)
    return reduced(_all, x, axis, keepdims, "")


@keywords
def count_nonzero(x: Any, /, *, axis: Axis = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:
    """How many elements along axes are not 0.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.count_nonzero(ab.tensor([[1.0, 0.0], [2.0, 3.0]]), axis=1)
    tensor([1, 2])
    """
    if elsewhere:
        raise unexpected(count_nonzero, elsewhere)
    return reduced(_count, x, axis, keepdims, "")


def _placed(primitive: Primitive, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    x = asarray(x)
    shape = x.shape
    if axis is None:
        x, place = x.reshape(-1 if x.size else 0), 0
    else:
        place = normalized_axis(axis, len(shape))
    if not x.shape[place]:
        raise OperationError(f"{primitive.name} over axis {axis} of shape {shape}: there is nothing to compare")
    out = run_unary(primitive, x, {"axis": place})
    return out.reshape(kept_shape(shape, normalized_axes(axis, len(shape)))) if keepdims else out


@keywords
def argmax(x: Any, /, *, axis: int | None = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:
    """The place of the largest element along an axis, or among all; the first of those that tie, and of NaNs.

    Raises OperationError where there is nothing to compare, ShapeError if the axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.argmax(ab.tensor([[1.0, 5.0], [3.0, 3.0]]), axis=1)
    tensor([1, 0])
    """
    if elsewhere:
        raise unexpected(argmax, elsewhere)
    return _placed(_argmax, x, axis, keepdims)


@keywords
def argmin(x: Any, /, *, axis: int | None = None, keepdims: bool = False, **elsewhere: Never) -> Tensor:
    """The place of the smallest element along an axis, or among all; the first of those that tie, and of NaNs.

    Raises OperationError where there is nothing to compare, ShapeError if the axis does not exist.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.argmin(ab.tensor([[1.0, 5.0], [3.0, 3.0]]), axis=1)
    tensor([0, 0])
    """
    if elsewhere:
        raise unexpected(argmin, elsewhere)
    return _placed(_argmin, x, axis, keepdims)

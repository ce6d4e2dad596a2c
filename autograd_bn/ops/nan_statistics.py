"""Statistics of what is there where some elements are NaN, which stand for missing ones and get no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import composite
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.views import unshared
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.comparison import equal, isnan, logical_not
from autograd_bn.ops.exponential import sqrt
from autograd_bn.ops.precision import narrowed, widened
from autograd_bn.ops.reduction import Axis
from autograd_bn.ops.reduction import all as every
from autograd_bn.ops.reduction import max as largest
from autograd_bn.ops.reduction import min as smallest
from autograd_bn.ops.reduction import sum as total
from autograd_bn.ops.shape import astype
from autograd_bn.ops.statistics import prod, refuse_complex, vector_norm


@composite
def nan_to_num(x: Any, /, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Numbers in the place of NaN, ∞ and −∞: 0, and the largest and smallest of the dtype, unless told. What is replaced gets no gradient.

    Raises DtypeError for complex numbers.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nan_to_num(ab.tensor([1.0, float("nan"), -float("inf")]), neginf=-9.0)
    tensor([ 1.,  0., -9.])
    """
    x = asarray(x)
    refuse_complex("nan_to_num", x, "ab.real(x) and ab.imag(x)")
    if x.dtype.kind != "f":
        return unshared(x, x)
    ends = np.finfo(x.dtype)
    low, high = (ends.min, ends.max) if x.dtype.itemsize > 8 else (float(ends.min), float(ends.max))
    out = where(equal(x, np.inf), high if posinf is None else posinf, x)
    out = where(equal(x, -np.inf), low if neginf is None else neginf, out)
    return where(isnan(x), nan, out)


def _counted(x: Any, axis: Axis, keepdims: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The elements with 0 for what is missing, what is missing, and how many along axes are not."""
    x = widened(asarray(x))
    x = x if x.dtype.kind in "fc" else astype(x, np.float64)
    missing = isnan(x)
    return where(missing, 0, x), missing, total(astype(logical_not(missing), np.finfo(x.dtype).dtype), axis=axis, keepdims=keepdims)


@composite
def nansum(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum of the elements along axes that are not NaN.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nansum(ab.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    x = asarray(x)
    return total(where(isnan(x), 0, x), axis=axis, keepdims=keepdims)


@composite
def nanprod(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product of the elements along axes that are not NaN.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nanprod(ab.tensor([2.0, float("nan"), 3.0]))
    tensor(6.)
    """
    x = asarray(x)
    return prod(where(isnan(x), 1, x), axis=axis, keepdims=keepdims)


@composite
def nanmean(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean of the elements along axes that are not NaN; NaN where all are.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nanmean(ab.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5)
    """
    x = asarray(x)
    there, _, count = _counted(x, axis, keepdims)
    mean: Tensor = total(there, axis=axis, keepdims=keepdims) / count
    return narrowed(mean, x)


def _centred(name: str, x: Tensor, axis: Axis, correction: float, keepdims: bool) -> tuple[Tensor, Tensor]:
    """The distances from the mean, 0 for what is missing, and by how many their squares are divided, NaN for none."""
    refuse_complex(name, x)
    there, missing, count = _counted(x, axis, True)
    centred = where(missing, 0, there - total(there, axis=axis, keepdims=True) / count)
    freedom = total(count - correction, axis=() if keepdims else axis)
    return centred, where(freedom > 0, freedom, np.nan)


@composite
def nanvar(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance of the elements along axes that are not NaN; NaN where no more than ``correction`` are left.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nanvar(ab.tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    x = asarray(x)
    centred, freedom = _centred("nanvar", x, axis, correction, keepdims)
    var: Tensor = total(centred**2, axis=axis, keepdims=keepdims) / freedom
    return narrowed(var, x)


@composite
def nanstd(x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation of the elements along axes that are not NaN, see `nanvar`. Where it is 0, so is its derivative.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nanstd(ab.tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    x = asarray(x)
    centred, freedom = _centred("nanstd", x, axis, correction, keepdims)
    std: Tensor = vector_norm(centred, axis=axis, keepdims=keepdims) / sqrt(freedom)
    return narrowed(std, x)


def _extreme(reduced: Any, x: Any, filler: float, axis: Axis, keepdims: bool) -> Tensor:
    x = asarray(x)
    if x.dtype.kind != "f":
        return reduced(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
    missing = isnan(x)
    return where(every(missing, axis=axis, keepdims=keepdims), np.nan, reduced(where(missing, filler, x), axis=axis, keepdims=keepdims))


@composite
def nanmax(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest of the elements along axes that are not NaN; NaN where all are.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nanmax(ab.tensor([1.0, float("nan"), 3.0]))
    tensor(3.)
    """
    return _extreme(largest, x, -np.inf, axis, keepdims)


@composite
def nanmin(x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest of the elements along axes that are not NaN; NaN where all are.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nanmin(ab.tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    return _extreme(smallest, x, np.inf, axis, keepdims)

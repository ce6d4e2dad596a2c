"""Derivatives found without any rule of the engine: by a complex step, central differences, the order of the Taylor remainder."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.complex_values import analytic_continuation

Line = Callable[[Any], Array]
"""A function of one number, real or complex, to a flat array."""

COMPLEX_STEP = "complex step"
DIFFERENCES = "central differences"
TAYLOR = "the order of the Taylor remainder"
TINY = 1e-30


class Slope(NamedTuple):
    """A derivative, how far it may be off, and how it was found."""

    value: Array
    error: Array
    method: str


class Tolerance(NamedTuple):
    """Relative tolerances against the two references."""

    complex_step: float
    differences: float

    def of(self, method: str) -> float:
        """The tolerance against a reference that was found by a method."""
        return self.complex_step if method == COMPLEX_STEP else self.differences


def tolerance(dtype: np.dtype[Any]) -> Tolerance:
    """What a derivative computed in a dtype may be off by, relative to the largest of its kind."""
    digits = float(np.finfo(dtype).eps)
    return Tolerance(max(digits**0.6, 1e-9), max(digits**0.6, 2e-6)) if digits < 1e-10 else Tolerance(digits**0.45, digits**0.45)


def close(a: Array, r: Array, allowed: Any) -> Array:
    """Where they differ by no more than is allowed, are equal, or both NaN."""
    with np.errstate(all="ignore"):
        return np.asarray((np.abs(a - r) <= allowed) | (a == r) | (np.isnan(a) & np.isnan(r)))


def complex_slope(line: Line, size: float = 1.0) -> Slope | None:
    """The derivative at 0 by a complex step; None where the function is not written for complex numbers.

    ``size`` is that of the number that moves, beside which the step is small.
    """
    step = TINY * min(1.0, size) if size > 1e-270 else max(1e-5 * size, 5e-324)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(), analytic_continuation():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            stepped = line(1j * step)
    except Exception:  # noqa: BLE001 - whatever it says, it does not take complex numbers
        return None
    if stepped.dtype.kind != "c":
        return None
    moved = np.abs(stepped.real)
    near = moved < 1e-12
    if np.any(near & (moved > 0)):
        near &= line(0.0) == 0
    moved = np.where(near, moved + step**2, 0.0)  # of what is 0, as at the branch point of a root, where the step is too long
    return Slope(stepped.imag / step, (moved + np.finfo(np.float64).tiny) / step, COMPLEX_STEP)


def largest(x: Array) -> float:
    """The largest finite magnitude."""
    return float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))


def infinite_slope(line: Line) -> Array:
    """The infinite derivative at 0, inf or −inf, where the difference quotients grow without bound as the steps shrink; else 0, or NaN at a cusp.

    A side on which the line is not finite, outside of its domain, does not count.
    """
    steps = np.array([1e-3, 1e-5, 1e-7, 1e-9])
    with np.errstate(all="ignore"):
        middle = line(0.0)
        noise = 1e3 * float(np.finfo(middle.dtype).eps) * np.abs(middle)
        sides = []
        for sign in (1, -1):
            quotients = [(line(sign * h) - middle) / (sign * h) for h in steps]
            grows = np.all([np.abs(near) > 1.2 * np.abs(far) for far, near in itertools.pairwise(quotients)], axis=0)
            grows &= np.abs(quotients[-1]) * steps[-1] > noise
            sides.append(np.where(np.isfinite(quotients[-1]), np.where(grows, np.copysign(np.inf, quotients[-1]), 0.0), np.nan))
        right, left = sides
        return np.where(np.isnan(left), right, np.where(np.isnan(right) | (right == left), left, np.nan))


def taylor_order(line: Line, slope: float, size: float = 1.0) -> float:
    """How fast ``f(h) - f(0) - h·slope`` vanishes: 2 for the right slope, 1 for a wrong one; infinity where nothing is left of it.

    ``line`` gives one number. The median of several halvings is taken, of those that stand above the rounding.
    """
    with np.errstate(all="ignore"):
        middle = float(line(0.0).sum())
        noise = 32 * float(np.finfo(line(0.0).dtype).eps) * max(abs(middle), 1e-30)
        left: list[float] = []
        for k in range(8):
            h = size * 0.1 * 2.0**-k
            left.append(abs(float(line(h).sum()) - middle - h * slope))
    orders = [math.log2(a / b) for a, b in itertools.pairwise(left) if min(a, b) > noise and math.isfinite(a) and math.isfinite(b)]
    return float(np.median(orders[-3:])) if orders else math.inf if all(math.isfinite(x) for x in left) else math.nan

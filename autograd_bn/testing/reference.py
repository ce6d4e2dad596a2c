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
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
COARSE_STEPS = (3e-2, 1e-2, 3e-3, 1e-3)


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


def complex_slope(line: Line) -> Array | None:
    """The derivative at 0 by a complex step; None where the function is not written for complex numbers."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(), analytic_continuation():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            stepped = line(1j * TINY)
    except Exception:  # noqa: BLE001 - whatever it says, it does not take complex numbers
        return None
    return stepped.imag / TINY if stepped.dtype.kind == "c" else None


def central_slope(line: Line, size: float = 1.0, coarse: bool = False) -> Slope:
    """The derivative at 0 by central differences, each extrapolated from two steps, at the first step where those agree, or agree best.

    ``size`` is that of the number that moves; ``coarse`` is for a line that is computed in single precision or less.
    """
    best: Slope | None = None
    agrees: Any = False
    with np.errstate(all="ignore"):
        for step in _steps(size, coarse):
            wide, narrow = ((line(h) - line(-h)) / (2 * h) for h in (step, step / 2))
            value = (4 * narrow - wide) / 3
            error = np.abs(narrow - wide)
            if step < STEPS[-1]:  # so small that what is lost in rounding may agree
                error += _noise(line(0.0), step)
            if best is not None:
                kept = agrees | (error >= best.error)
                value, error = np.where(kept, best.value, value), np.where(kept, best.error, error)
            best = Slope(value, error, DIFFERENCES)
            agrees = best.error <= 1e-7 * np.maximum(np.abs(best.value), 1e-3 * largest(best.value))
            if np.all(agrees):
                break
    assert best is not None
    return best


def _steps(size: float, coarse: bool) -> tuple[float, ...]:
    """The steps to try; none that is lost in rounding a number of that size, and those in which it would be lost last."""
    if coarse:
        return tuple(max(1.0, 1e-3 * size) * h for h in COARSE_STEPS)
    if 1e-3 <= size <= 1e3:
        return STEPS
    scaled = tuple(size * h for h in STEPS)
    if size > 1.0:
        return (*scaled, *(h for h in STEPS if h >= 1e-9 * size))
    return (*STEPS, *scaled) if size > 1e-12 else (*scaled, *STEPS)


def _noise(values: Array, step: float) -> Array:
    """How far a difference quotient may be off by the rounding of the values."""
    return np.asarray(4 * float(np.finfo(values.dtype).eps) * np.abs(values) / step)


def largest(x: Array) -> float:
    """The largest finite magnitude."""
    return float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))


def finds_nothing(slope: Slope, values: Array, size: float = 1.0) -> Array:
    """Where differences of several steps disagree by more than rounding explains, as of what is chaotic or nearly singular."""
    by_noise = slope.error <= 100 * _noise(values, STEPS[-1] * size)
    return ~by_noise & ((slope.error > 0.01 * np.abs(slope.value)) | bool(np.any(~by_noise & (slope.error > 0.01 * largest(slope.value)))))


def one_sided(line: Line, size: float = 1.0, coarse: bool = False) -> tuple[Array, Array]:
    """The derivatives at 0 from the left and from the right.

    ``size`` is that of the number that moves: where it is small, and the two come together at steps that are small beside it, these are taken; it
    is a kink where they do not, and curvature where they do.
    """
    step = 1e-3 if coarse else 1e-6
    with np.errstate(all="ignore"):
        middle = line(0.0)
        left, right = ((middle - line(-step)) / step, (line(step) - middle) / step)
        if size < 1.0 and not coarse:
            step *= size
            below, above = ((middle - line(-step)) / step, (line(step) - middle) / step)
            closer = np.abs(above - below) + _noise(middle, step) < 0.5 * np.abs(right - left)
            left, right = np.where(closer, below, left), np.where(closer, above, right)
    return left, right


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

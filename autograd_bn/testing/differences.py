"""Central differences that say how far they may be off: by the rounding of the values, and by the curvature, seen in several steps.

The step is chosen by the method of Lepski (Theory of Probability and its Applications 35, 1991; Goldenshluger and Nemirovski 1997): the quotient of each
step lies within an interval around the derivative as wide as the rounding makes it, as long as curvature does not carry it out; so, from the
smallest step up, the intervals meet in one point until curvature, or a kink, a jump, a pole, has a part in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.testing.reference import DIFFERENCES, Line, Slope, largest

EPS = float(np.finfo(np.float64).eps)
SETTLED = 4
"""So many steps in a row must agree, or the quotients do not settle on anything, as at a jump."""


class Reach(NamedTuple):
    """What is known of a line."""

    size: float = 1.0
    """Of what moves, beside the direction in which it does."""
    digits: float = EPS
    """The precision in which it is computed."""
    noise: Callable[[], Array] | None = None
    """How far rounding may carry its values; unless given, by one rounding."""


UNIT = Reach()


def central_slope(line: Line, reach: Reach = UNIT) -> Slope:
    """The derivative at 0 by central differences, and how far it may be off: infinity where the quotients do not settle.

    Three steps that agree in all digits that are compared are enough; else the step is chosen by Lepski's method.
    """
    with np.errstate(all="ignore"):
        quick = _quick(line, reach)
        return _settled(line, quotients(line, reach)) if quick is None else quick


def one_sided(line: Line, reach: Reach = UNIT) -> tuple[Slope, Slope]:
    """The derivatives at 0 from the left and from the right."""
    left, right = (_settled(line, quotients(line, reach, side)) for side in (-1, 1))
    return left, right


def quotients(line: Line, reach: Reach, side: int = 0) -> list[Slope]:
    """The quotients of a ladder of steps, the smallest first, each with how far rounding may carry it; central, or from the left (−1) or the right (1)."""
    if not math.isfinite(reach.size):
        return []
    fine = reach.digits < 1e-10
    ratio = 8.0 if fine else 2.0
    lowest = math.ceil(math.log2(max(16 * reach.size * reach.digits, 1e-300)))
    steps = [2.0**k for k in np.arange(lowest, math.log2(max(1.0, reach.size)) - (2 if fine else 0), math.log2(ratio))]
    if len(steps) < SETTLED:
        return []
    with np.errstate(all="ignore"):
        middle = line(0.0)
        sides = [(line(h) if side >= 0 else middle, line(-h) if side <= 0 else middle) for h in steps]
        spread = 2 * reach.digits * np.abs(middle) + (reach.noise() if reach.noise else 0.0)
        plain = [(above - below) / (h if side else 2 * h) for h, (above, below) in zip(steps, sides, strict=True)]
        found = []
        gain = ratio if side else ratio**2
        for h, narrow, wide in zip(steps, plain, plain[1:], strict=False):
            value = (gain * narrow - wide) / (gain - 1)
            found.append(Slope(value, (spread * (2 if side else 1) + reach.digits * reach.size * np.abs(narrow)) / h, DIFFERENCES))
    return found


def _quick(line: Line, reach: Reach) -> Slope | None:
    """The quotients of three steps, where they agree to seven digits, and a small one with them as far as rounding lets it, as on no staircase."""
    if reach.digits > 1e-10:
        return None
    steps = [min(1.0, reach.size) * h for h in (2.0**-7, 2.0**-9, 2.0**-11, 2.0**-26)]
    first, second, third, small = ((line(h) - line(-h)) / (2 * h) for h in steps)
    rough, value = (16 * second - first) / 15, (16 * third - second) / 15
    rounding = 2 * reach.digits * (largest(line(0.0)) + reach.size * np.abs(value))
    error = np.abs(value - rough) + rounding / steps[2]
    agrees = error <= 1e-7 * np.maximum(np.abs(value), 1e-3 * largest(value))
    agrees &= np.abs(small - value) <= 1e-6 * np.abs(value) + 4 * rounding / steps[3]
    return Slope(value, error, DIFFERENCES) if np.all(agrees) else None


def _settled(line: Line, ladder: list[Slope]) -> Slope:
    """Of the steps whose intervals meet, the last but one: the last may have as much of curvature in it as of rounding, that one a small part of it."""
    if not ladder:
        return Slope(np.full(line(0.0).shape, np.nan), np.full(line(0.0).shape, np.inf), DIFFERENCES)
    value, error, _ = ladder[0]
    low, high = value - error, value + error
    count = np.isfinite(value).astype(int)
    meets = np.isfinite(value)
    best = Slope(value, error, DIFFERENCES)
    for step in ladder[1:]:
        low, high = np.maximum(low, step.value - step.error), np.minimum(high, step.value + step.error)
        meets &= (low <= high) & np.isfinite(step.value)
        best = Slope(np.where(meets, value, best.value), np.where(meets, error, best.error), DIFFERENCES)
        value, error = step.value, step.error
        count += meets
    return best._replace(error=np.where(count >= SETTLED, best.error, np.inf))

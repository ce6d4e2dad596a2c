"""How far rounding may carry what a function computes, by Monte Carlo arithmetic (Parker, UCLA CSD-970002, 1997).

Every number that is given, and every number that an operation or a rule makes, is moved by one or two roundings up or down at random; the deviation over
several runs is what all of them together do to the result, whatever cancels, amplifies, or absorbs them on the way.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.watch import Event, Observer, observed

RUNS = 8
SURE = 13.0
"""So many standard deviations, estimated from eight values, are exceeded by chance once in 10⁶ times: Student's t with seven degrees of freedom."""
BETWEEN = SURE * math.sqrt(2.0)
"""The same for the difference of two that are each rounded."""


class _Rounding(Observer):
    """Moves each result by roundings where it is an array that nobody else holds."""

    def __init__(self, rng: np.random.Generator, digits: float, size: float) -> None:
        self.rng, self.digits, self.size = rng, digits, size

    def ran(self, event: Event) -> None:
        for out in event.results:
            own = isinstance(out, np.ndarray) and out.dtype.kind in "fc" and out.flags.owndata and out.flags.writeable
            if own and not any(isinstance(x, np.ndarray) and np.may_share_memory(x, out) for x in event.operands):
                np.copyto(out, moved(out, self.rng, self.digits, self.size))


def moved(x: Array, rng: np.random.Generator, digits: float, size: float = 1.0) -> Array:
    """An array whose elements are moved by one or two roundings up or down, or by so many times as much.

    ``digits`` is the precision in which the whole is computed: a result that a rule makes in a coarser one is not excused by that.
    """
    ways = size * min(digits, float(np.finfo(x.dtype).eps)) * rng.choice([-2.0, -1.0, 1.0, 2.0], x.shape)
    return np.asarray(x * (1 + ways), x.dtype)


def deviations(
    compute: Callable[[list[Array]], Array], inputs: Sequence[Array], digits: float, outside: tuple[type[Exception], ...] = (), size: float = 1.0
) -> Array:
    """The standard deviation of each number that is computed from the inputs; 0 of what can be computed at fewer than two of the points."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(RUNS):
        try:
            with observed(_Rounding(rng, digits, size)), np.errstate(all="ignore"):
                found.append(compute([moved(x, rng, digits, size) for x in inputs]).astype(float))
        except outside:
            continue
    if len(found) < 2:
        return np.zeros(())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is NaN everywhere
        return np.asarray(np.nan_to_num(np.nanstd(np.stack(found), axis=0, ddof=1), nan=0.0, posinf=np.inf))


def noise(compute: Callable[[list[Array]], Array], inputs: Sequence[Array], digits: float, outside: tuple[type[Exception], ...] = ()) -> Array:
    """How far rounding may carry each number that is computed from the inputs; infinity at a jump, and of what is chaotic.

    Rounding that is amplified is so in proportion: thousandfold moves deviate far more, and not as much again.
    """
    spread = deviations(compute, inputs, digits, outside)
    suspicious = spread > 1e4 * digits * np.abs(compute(list(inputs)))
    if np.any(suspicious):
        spread = np.where(suspicious & (deviations(compute, inputs, digits, outside, 2.0**10) < 2.0**5 * spread), np.inf, spread)
    return SURE * spread

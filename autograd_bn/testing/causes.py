"""What probably went wrong, from autodiff's numbers beside the right ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from autograd_bn.core.arrays import Array

CLOSE = 1e-4


class Evidence(NamedTuple):
    """One operand's cotangent, and all that may explain it."""

    actual: Array
    expected: Array
    sizes: tuple[tuple[int, ...], ...] = ()
    """Shapes whose lengths may have been forgotten as a factor: of the operands and the result."""
    others: tuple[tuple[Array, Array], ...] = ()
    """The (actual, expected) of the other operands."""
    unsummed: Array | None = None
    """The right cotangent before it is summed over the axes along which the operand was broadcast."""
    swapped: Callable[[], Array | None] | None = None
    """The derivative with two operands' values exchanged."""


def likely_cause(evidence: Evidence) -> str:
    """The first explanation that fits the numbers."""
    a, r = evidence.actual, evidence.expected
    if a.shape != r.shape:
        return _of_shapes(a, r)
    good = np.isfinite(r)
    if not good.any():
        return "the derivative is not finite here"
    if not np.isfinite(a[good]).all():
        return "the rule makes NaN or infinity where the derivative is finite"
    return next((cause for explain in (_nothing, _swapped, _unsummed, _factor, _order, _signs, _part) if (cause := explain(evidence))), _default(evidence))


def _same(a: Array, b: Array) -> bool:
    if a.shape != b.shape:
        return False
    with np.errstate(all="ignore"):
        scale = np.nanmax(np.abs(b), initial=0.0)
        return bool(np.all((np.abs(a - b) <= CLOSE * scale) | (np.isnan(a) & np.isnan(b))) and scale > 0)


def _of_shapes(a: Array, r: Array) -> str:
    if a.shape == r.shape[::-1]:
        return "transposed: the cotangent has the operand's shape backwards"
    return f"broadcast not summed: the cotangent has shape {a.shape}, the operand {r.shape}"


def _nothing(e: Evidence) -> str:
    if np.any(e.actual) or not np.any(e.expected):
        return ""
    return "a term is missing: no cotangent arrives at this operand (the rule gives zeros or None)"


def _swapped(e: Evidence) -> str:
    for a, r in e.others:
        if _same(e.actual, r) and (_same(a, e.expected) or a.shape != e.expected.shape) and not _same(r, e.expected):
            return "operands swapped: this cotangent is that of another operand"
    if e.swapped is not None and _proportion(e.actual, e.expected) is None:
        found = e.swapped()
        if found is not None and _same(e.actual, found) and not _same(found, e.expected):
            return "operands swapped: this is the derivative with the two operands exchanged"
    return ""


def _unsummed(e: Evidence) -> str:
    whole = e.unsummed
    if whole is None or whole.shape == e.expected.shape:
        return ""
    rank = whole.ndim - e.expected.ndim
    axes = tuple(range(rank)) + tuple(i + rank for i, n in enumerate(e.expected.shape) if n == 1 and whole.shape[i + rank] != 1)
    count = math.prod(whole.shape[i] for i in axes)
    if count < 2:
        return ""
    spread = np.moveaxis(whole, axes, range(len(axes))).reshape(count, -1)
    actual = e.actual.reshape(-1)
    if any(_same(actual, k * row) for row in (*spread, spread.mean(axis=0)) for k in (1, count)):
        return f"broadcast not summed: one slice was taken, or a mean, where the sum from shape {whole.shape} to {e.expected.shape} was due"
    return ""


def _proportion(a: Array, r: Array) -> float | None:
    good = np.isfinite(r) & np.isfinite(a)
    x, y = a[good].ravel(), r[good].ravel()
    square = float(y @ y)
    if square == 0:
        return None
    k = float(x @ y) / square
    return k if np.all(np.abs(x - k * y) <= CLOSE * np.max(np.abs(k * y), initial=0.0)) else None


def _factor(e: Evidence) -> str:
    k = _proportion(e.actual, e.expected)
    if k is None:
        return ""
    if abs(k + 1) < CLOSE:
        return "sign: it is minus the right one"
    sign = "the sign, and " if k < 0 else ""
    k = abs(k)
    lengths = _lengths(e.sizes)
    for n in lengths:
        if n > 2 and abs(k / n - 1) < CLOSE:
            return f"{sign}off by {n}: a scale of 1/{n} is missing, such as a mean's 1/N"
        if n > 2 and abs(k * n - 1) < CLOSE:
            return f"{sign}off by 1/{n}: a mean's scale 1/N that does not belong there, or a sum over {n} elements is missing"
    if abs(k - 2) < CLOSE:
        return f"{sign}off by a factor of 2: counted twice, or a scale of 1/2 is missing"
    if abs(k - 0.5) < CLOSE:
        return f"{sign}off by a factor of 1/2: one of two equal paths was dropped, or a factor 2 is missing"
    which = "a scale" if e.actual.size > 1 else "a scale, or a wrong term: one element cannot tell which"
    return f"{sign}off by a factor of {k:.6g} ({which})"


def _lengths(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    found: set[int] = set()
    for shape in shapes:
        for count in range(1, len(shape) + 1):
            found |= {math.prod(some) for some in itertools.combinations(shape, count)}
    return sorted(found - {0, 1})


def _order(e: Evidence) -> str:
    a, r = e.actual, e.expected
    if r.ndim >= 2:
        for axes in itertools.islice(itertools.permutations(range(r.ndim)), 1, 24):
            if tuple(r.shape[i] for i in axes) == a.shape and _same(a, r.transpose(axes)):
                return "transposed: the right numbers, with two axes exchanged"
    for axis in range(r.ndim):
        if _same(a, np.flip(r, axis)):
            return f"reversed along axis {axis}: the right numbers, backwards"
    if r.size > 2 and _same(np.sort(a, axis=None), np.sort(r, axis=None)):
        return "the right numbers at wrong places"
    return ""


def _signs(e: Evidence) -> str:
    return "sign: some elements have the wrong one" if e.actual.size > 1 and _same(np.abs(e.actual), np.abs(e.expected)) else ""


def _part(e: Evidence) -> str:
    wrong = np.abs(e.actual - e.expected) > CLOSE * np.max(np.abs(e.expected), initial=0.0)
    share = int(wrong.sum())
    if e.actual.size > 3 and 0 < share < e.actual.size and not np.any(e.actual[wrong]):
        return f"a term is missing: {share} of {e.actual.size} elements get no cotangent"
    return ""


def _default(e: Evidence) -> str:
    return "a term is missing or wrong: autodiff's numbers are no multiple and no rearrangement of the right ones"

"""Where the coefficients of native_math come from: python -m tests.minimax > autograd_bn/compiler/native_coefficients.py

Minimax polynomials by Remez' exchange in 50 digits: the least possible largest error of the *result*, which is why each fit has
a weight. The coefficients are then rounded to their format: beside the terms that are exact, what that costs is little, and it is printed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np

mpmath.mp.dps = 50
MODULE = Path(__file__).resolve().parent.parent / "autograd_bn" / "compiler" / "native_coefficients.py"
Number = Any
Function = Callable[[Number], Number]


class Target(NamedTuple):
    """A function to fit on an interval; ``weight`` makes the error of the polynomial that of the result, relative to it."""

    function: Function
    weight: Function
    low: Number
    high: Number


def at_zero(value: Number, function: Function) -> Function:
    """A function whose formula fails at 0."""
    return lambda x: function(x) if x else mpmath.mpf(value)


ROOT = mpmath.sqrt(mpmath.mpf(1) / 2)
HALF = mpmath.log(2) / 2 * (1 + mpmath.mpf(2) ** -10)  # n is rounded from a product that is itself rounded

EXP = Target(at_zero(0.5, lambda r: (mpmath.expm1(r) - r) / r**2), at_zero(0, lambda r: r**2 / mpmath.expm1(r)), -HALF, HALF)
LOG = Target(
    at_zero(mpmath.mpf(2) / 3, lambda z: (2 * mpmath.atanh(mpmath.sqrt(z)) / mpmath.sqrt(z) - 2) / z),
    at_zero(0, lambda z: z * mpmath.sqrt(z) / (2 * mpmath.atanh(mpmath.sqrt(z)))),
    mpmath.mpf(0),
    ((1 - ROOT) / (1 + ROOT)) ** 2,
)
ERF_NEAR = Target(
    at_zero(2 / mpmath.sqrt(mpmath.pi) - 1, lambda z: mpmath.erf(mpmath.sqrt(z)) / mpmath.sqrt(z) - 1),
    at_zero(mpmath.sqrt(mpmath.pi) / 2, lambda z: mpmath.sqrt(z) / mpmath.erf(mpmath.sqrt(z))),
    mpmath.mpf(0),
    mpmath.mpf(1),
)


def erf_far(end: int) -> Target:
    """−log(erfc(x)), whose error counts the less the closer the result is to 1."""
    return Target(lambda x: -mpmath.log(mpmath.erfc(x)), lambda x: mpmath.erfc(x) / mpmath.erf(x), mpmath.mpf(1), mpmath.mpf(end))


def at(coefficients: Sequence[Number], x: Number) -> Number:
    """The polynomial's value; the coefficients are in ascending order."""
    return functools.reduce(lambda total, c: total * x + c, reversed(coefficients))


class Sampled:
    """A target on a dense Chebyshev grid, where the exchange looks for its points."""

    def __init__(self, target: Target, count: int) -> None:
        middle, half = (target.high + target.low) / 2, (target.high - target.low) / 2
        self.last = 20 * (count + 1)
        self.points = [middle - half * mpmath.cos(mpmath.pi * k / self.last) for k in range(self.last + 1)]
        self.values = [target.function(x) for x in self.points]
        self.weights = [target.weight(x) for x in self.points]

    def errors(self, coefficients: Sequence[Number]) -> list[Number]:
        """Of the result, at each point."""
        return [w * (v - at(coefficients, x)) for x, v, w in zip(self.points, self.values, self.weights, strict=True)]

    def fitted(self, count: int) -> list[Number]:
        """The best polynomial of that many coefficients."""
        chosen = [round((k + 0.5) * self.last / (count + 1)) for k in range(count + 1)]
        for _ in range(50):
            matrix, right = mpmath.matrix(count + 1, count + 1), mpmath.matrix(count + 1, 1)
            for i, j in enumerate(chosen):
                x, w = self.points[j], self.weights[j]
                for k in range(count):
                    matrix[i, k] = w * x**k
                matrix[i, count] = (-1) ** i
                right[i] = w * self.values[j]
            solution = list(mpmath.lu_solve(matrix, right))
            errors = self.errors(solution[:count])
            if max(map(abs, errors)) <= abs(solution[count]) * (1 + mpmath.mpf(10) ** -3):
                return solution[:count]
            chosen = self._alternating(errors, count + 1)
        raise ArithmeticError(f"no fit of {count} coefficients was found")

    @staticmethod
    def _alternating(errors: Sequence[Number], count: int) -> list[int]:
        """The points of the largest errors of alternating sign; the lesser end goes while there are too many."""
        found: list[int] = []
        for j, error in enumerate(errors):
            if found and (errors[found[-1]] > 0) == (error > 0):
                if abs(error) > abs(errors[found[-1]]):
                    found[-1] = j
            elif error:
                found.append(j)
        while len(found) > count:
            found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
        return found


def coefficients(target: Target, count: int, dtype: type[np.floating[Any]]) -> tuple[tuple[float, ...], Number]:
    """The rounded coefficients, lowest power first, and the largest error of the result that they make."""
    sampled = Sampled(target, count)
    held = [float(rounded(x, dtype)) for x in sampled.fitted(count)]
    return tuple(held), max(map(abs, sampled.errors([*map(mpmath.mpf, held)])))


def rounded(x: Number, dtype: type[np.floating[Any]]) -> np.floating[Any]:
    """To the nearest number of a format."""
    scale = mpmath.mpf(2) ** (np.finfo(dtype).nmant - mpmath.floor(mpmath.log(abs(x), 2)))
    return dtype(float(mpmath.nint(x * scale) / scale))


def ln2(dtype: type[np.floating[Any]]) -> tuple[float, float]:
    """ln 2 as a sum: the first part times any exponent is exact, the second is the rest, rounded."""
    info = np.finfo(dtype)
    scale = mpmath.mpf(2) ** (info.nmant + 1 - (info.maxexp + info.nmant).bit_length())
    high = mpmath.floor(mpmath.log(2) * scale) / scale
    return float(high), float(rounded(mpmath.log(2) - high, dtype))


COUNTS = {
    "float": (np.float32, 6, 3, 7, 8, 4),
    "double": (np.float64, 11, 7, 12, 19, 6),
}
"""The dtype, how many coefficients exp, log and the two parts of erf have, and where erf has become 1."""


def table(kind: str) -> list[str]:
    """One format's lines."""
    dtype, exp, log, near, far, end = COUNTS[kind]
    high, low = ln2(dtype)
    lines = [f"    {kind!r}: Fits(", f"        ln2_high={high!r},", f"        ln2_low={low!r},"]
    for name, target, count in (("exp", EXP, exp), ("log", LOG, log), ("erf_near", ERF_NEAR, near), ("erf_far", erf_far(end), far)):
        numbers, worst = coefficients(target, count, dtype)
        lines += [
            f"        {name}=(  # to 2^{mpmath.nstr(mpmath.log(worst, 2), 4)} of the result",
            *(f"            {number!r}," for number in numbers),
            "        ),",
        ]
    return [*lines, f"        erf_end={float(end)!r},", "    ),"]


HEAD = '''"""The coefficients of native_math, lowest power first, as ``python -m tests.minimax`` prints them."""

from __future__ import annotations

from typing import NamedTuple


class Fits(NamedTuple):
    """Of one format: eʳ = 1 + r + r²·exp(r), 2·artanh(s) = 2·s + s³·log(s²), erf(x) = x + x·near(x²) = 1 − exp(−far(x))."""

    ln2_high: float
    ln2_low: float
    exp: tuple[float, ...]
    log: tuple[float, ...]
    erf_near: tuple[float, ...]
    erf_far: tuple[float, ...]
    erf_end: float


FITS = {'''


def text() -> str:
    """The module."""
    return (
        "\n".join([HEAD, *table("float"), *table("double"), "}", '"""By the names of LLVM\'s types."""', ""])
        .replace("'float'", '"float"')
        .replace("'double'", '"double"')
    )


if __name__ == "__main__":
    print(text(), end="")

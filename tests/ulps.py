"""How exact the native functions are: python -m tests.ulps [NAME ...]

Runs all 2³² float32 values through each and prints the largest error in units in the last place, and where it is, with fused
multiply-adds and without; the oracles are NumPy's and SciPy's functions of float64. And the same over samples of float64, against mpmath.
A minute or two for each.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from scipy import special

from tests.native_loops import native

Array = np.ndarray[Any, Any]

WIDE: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": special.erf,
}
"""Oracles in float64 for results in float32."""

EXACT: dict[str, Callable[[Any], Any]] = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "erf": mpmath.erf,
}
"""Oracles for results in float64."""

LIMITS = {"exp": 1.0, "expm1": 1.5, "log": 1.0, "log1p": 1.5, "tanh": 2.5, "sigmoid": 2.5, "erf": 1.5}
"""The largest error in ulp that each may have, in both formats."""

MACHINES = {"this CPU": None, "without fused multiply-adds": ""}
"""Features to compile for."""

EXPONENT = np.uint64(0x7FF << 52)
"""Where the exponent is in float64."""

CHUNK = 1 << 13
"""So few that NumPy takes the memory of the steps from what it has, rather than from the system each time."""

PATTERNS = 1 << 32
SAMPLES = 20_000


class Worst(NamedTuple):
    """The largest error and where it is."""

    error: float
    at: float


def errors(got: Array, exact: Array, rest: Array | float = 0.0) -> Array:
    """How far results are from exact ones, in units of the last place that the exact result has in their format.

    ``rest`` is what the exact results lack, in the same units.

    Infinite where one is NaN and the other is not, where the signs differ (of zeros too), and where only one of two float64 is infinite.
    A result of float32 that overflowed counts as 2¹²⁸.
    """
    info = np.finfo(got.dtype)
    limit = 2.0**info.maxexp if info.bits < 64 else math.inf
    with np.errstate(invalid="ignore"):
        mine, true = (np.clip(x.astype(np.float64), -limit, limit) for x in (got, exact))
        power = (true.view(np.uint64) & EXPONENT).view(np.float64)
        unit = np.clip(power, 2.0**info.minexp, 2.0 ** (info.maxexp - 1)) * 2.0**-info.nmant
        out = np.abs((mine - true) / unit - rest)
    out[np.isnan(out) | (np.signbit(mine) != np.signbit(true))] = math.inf
    out[(np.isnan(mine) & np.isnan(true)) | (np.isinf(mine) & (mine == true))] = 0.0
    return out


def worst(name: str, patterns: Array, features: str | None) -> Worst:
    """The largest error of a function of float32 at the numbers that have these bits."""
    x = patterns.view(np.float32)
    with np.errstate(all="ignore"):
        exact = WIDE[name](x.astype(np.float64))
    found = errors(native(name, "float32", features)(x), exact)
    at = int(found.argmax())
    return Worst(float(found[at]), float(x[at]))


@functools.cache
def samples(name: str, count: int) -> tuple[Array, Array, Array]:
    """Numbers in float64, the results in 160 bits as the nearest float64, and what these lack, in units of their last place.

    Of every size, near 0, 1 and multiples of ½ ln 2, and where results become subnormal, 1 and infinite; several times as many as ``count``.
    """
    rng = np.random.default_rng(sum(map(ord, name)))

    def sizes(high: int) -> Array:
        return np.ldexp(rng.uniform(1, 2, count), rng.integers(-1074, high, count))

    near = np.concatenate([rng.uniform(-1, 1, 2 * count), rng.uniform(-7, 7, 2 * count), 1 + rng.normal(size=count) * 1e-3])
    steps = np.arange(1, 200) * (math.log(2) / 2) * rng.choice([-1, 1], 199)
    ends = np.concatenate([rng.uniform(-745.5, 709.7, count), rng.uniform(-745.5, -707, count)])
    x = np.concatenate([sizes(9) * rng.choice([-1, 1], count), near, steps, np.nextafter(steps, 0), ends])
    if name.startswith("log"):
        x = np.concatenate([np.abs(x), sizes(1024), [math.sqrt(0.5), math.sqrt(2), 5e-324, sys.float_info.max]])
    if name == "log1p":
        x = np.concatenate([x, -rng.uniform(0, 1, count), np.ldexp(1.0, -np.arange(1, 54)) - 1])
    with mpmath.workprec(160):
        values = [EXACT[name](mpmath.mpf(float(number))) for number in x]
        nearest = [float(value) for value in values]
        rest = [float((value - number) / math.ulp(number)) for value, number in zip(values, nearest, strict=True)]
    return x, np.array(nearest), np.array(rest)


def worst_of_samples(name: str, count: int, features: str | None) -> Worst:
    """The largest error of a function of float64 at samples."""
    x, nearest, rest = samples(name, count)
    found = errors(native(name, "float64", features)(x), nearest, rest)
    at = int(found.argmax())
    return Worst(float(found[at]), float(x[at]))


def worst_of_all(name: str, features: str | None) -> Worst:
    """The largest error of a function of float32 anywhere."""
    found = Worst(0.0, math.nan)
    for start in range(0, PATTERNS, CHUNK):
        found = max(found, worst(name, np.arange(start, start + CHUNK, dtype=np.uint32), features), key=lambda w: w.error)
        if sys.stderr.isatty() and not start % (CHUNK << 10):
            print(f"{name} {100 * start // PATTERNS} %", end="\r", file=sys.stderr)
    return found


def main(names: list[str]) -> int:
    """Print the figures; 1 if one is above its limit."""
    failed = 0
    for name in names or WIDE:
        for machine, features in MACHINES.items():
            for dtype, found in (("float64", worst_of_samples(name, SAMPLES, features)), ("float32", worst_of_all(name, features))):
                failed += found.error > LIMITS[name]
                print(f"{name:8} {dtype} {found.error:.4f} ulp at {found.at!r:24} limit {LIMITS[name]:.2f}, {machine}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

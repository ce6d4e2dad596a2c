"""How exact the native functions are: python -m tests.ulps [NAME ...]

Runs all 2³² float32 values through each and prints the largest error in units in the last place, and where it is, with fused
multiply-adds and without. The oracles are NumPy's and SciPy's functions of float64. Half a minute for each.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

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

LIMITS = {"exp": 1.0, "expm1": 1.5, "log": 1.0, "log1p": 1.5, "tanh": 2.5, "sigmoid": 2.5, "erf": 1.5}
"""The largest error in ulp that each may have, in both formats."""

MACHINES = {"this CPU": None, "without fused multiply-adds": ""}
"""Features to compile for."""

EXPONENT = np.uint64(0x7FF << 52)
"""Where the exponent is in float64."""

CHUNK = 1 << 13
"""So few that NumPy takes the memory of the steps from what it has, rather than from the system each time."""

PATTERNS = 1 << 32


class Worst(NamedTuple):
    """The largest error and where it is."""

    error: float
    at: float


def errors(got: Array, exact: Array, rest: Array | float = 0.0) -> Array:
    """How far results are from ``exact + rest`` in units of the last place that the exact result has in their format.

    Infinite where one is NaN and the other is not, where the signs differ (of zeros too), and where only one of two float64 is infinite.
    A result of float32 that overflowed counts as 2¹²⁸.
    """
    info = np.finfo(got.dtype)
    limit = 2.0**info.maxexp if info.bits < 64 else math.inf
    with np.errstate(invalid="ignore"):
        mine, true = (np.clip(x.astype(np.float64), -limit, limit) for x in (got, exact))
        power = (true.view(np.uint64) & EXPONENT).view(np.float64)
        unit = np.clip(power, 2.0**info.minexp, 2.0 ** (info.maxexp - 1)) * 2.0**-info.nmant
        out = np.abs(mine - true - rest) / unit
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


def main(names: list[str]) -> int:
    """Print the figures; 1 if one is above its limit."""
    failed = 0
    for name in names or WIDE:
        for machine, features in MACHINES.items():
            found = Worst(0.0, math.nan)
            for start in range(0, PATTERNS, CHUNK):
                found = max(found, worst(name, np.arange(start, start + CHUNK, dtype=np.uint32), features), key=lambda w: w.error)
                if sys.stderr.isatty():
                    print(f"\r{name} {100 * start // PATTERNS} %", end="\r", file=sys.stderr)
            failed += found.error > LIMITS[name]
            print(f"{name:8} {found.error:.4f} ulp at {found.at!r:24} limit {LIMITS[name]:.2f}, {machine}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The error function, which NumPy lacks, and its rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_bn.core.constructors import unary
from autograd_bn.core.primitive import raw

# Minimax rationals of W. J. Cody, Rational Chebyshev approximations for the error function, Mathematics of Computation
# 23 (1969) 631-637: erf(x)/x in x² up to 0.46875, and erfc(x)·exp(x²) in x from there to 4. Highest powers first.
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_LARGE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
_BETWEEN = 0.46875
_ONE_FROM = 6.0  # 1 − erf(6) is 2e-17


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: Any) -> Any:
    over, under = (np.polyval(p, x) for p in polynomials)
    return over / under


def _erf(x: Any) -> Any:
    """Both rationals everywhere, each held to where it is good; float64 inside, so that narrower dtypes are rounded once."""
    given = np.asarray(x)
    if given.dtype.kind == "c":
        raise TypeError("erf is defined here for real numbers only")
    wide = given.astype(np.float64)
    size = np.abs(wide)
    inner = np.minimum(size, _BETWEEN)
    outer = np.clip(size, _BETWEEN, _ONE_FROM)
    near = inner * _ratio(_SMALL, inner * inner)
    far = 1.0 - np.exp(-outer * outer) * _ratio(_LARGE, outer)
    out = np.copysign(np.where(size <= _BETWEEN, near, far), wide)
    return out.astype(np.result_type(given.dtype, np.float16) if given.dtype.kind == "f" else np.float64)[()]


_SLOPE = 2 / math.sqrt(math.pi)

erf = unary(
    "erf",
    _erf,
    lambda g, x: g * (_SLOPE * raw.exp(-(x * x))),
    """The error function 2/√π ∫₀ˣ exp(−t²) dt of each element, real; within 5 units in the last place of float64.

    By the rational approximations of Cody (1969).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.erf(ab.tensor([0.0, 1.0]))
    tensor([0.        , 0.84270079])
    """,
    code="erf(x)",
)

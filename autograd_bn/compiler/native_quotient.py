"""Quotients by a divisor that many numbers share: two products with its reciprocal, which take a fraction of the time that divisions take.

The reciprocal of y is a sum h + l of two numbers, exact to twice the precision: h is a little nearer to zero than 1/y, and l is what it lacks, so that both
have one sign. x·h + x·l, the first product not rounded by itself, is the quotient rounded once, but for quotients within 10⁻⁶ of an ulp of the middle
between two numbers; so are zeros with their signs, infinities and NaN. The second product is rounded to a subnormal number where the quotient is subnormal, or
nearly, which is then wrong by at most two ulps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_bn.compiler.native_scalar import FORMATS


class Divisor(NamedTuple):
    """The reciprocal of a divisor that was brought near the middle of the exponents by a power of two, as a sum; and the power, to multiply quotients by."""

    high: ir.Value
    low: ir.Value
    scale: ir.Value


def _call(builder: ir.IRBuilder, name: str, *given: ir.Value) -> ir.Value:
    kind = given[0].type
    return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [kind], ir.FunctionType(kind, [kind] * len(given))), given)


def divisor(builder: ir.IRBuilder, y: ir.Value) -> Divisor:
    """What a divisor's quotients need of it."""
    kind = y.type
    info = np.finfo(FORMATS[str(kind)])
    half = info.maxexp // 2
    # Half of the way up: the quotient of a subnormal number must not be one before it is multiplied.
    large, up, one, small = (ir.Constant(kind, 2.0**k) for k in (half, half // 2, 0, -half))
    size = _call(builder, "fabs", y)
    scale = builder.select(builder.fcmp_ordered(">", size, large), small, builder.select(builder.fcmp_ordered("<", size, small), up, one))
    scaled = builder.fmul(y, scale)
    reciprocal = builder.fdiv(one, scaled)
    high = builder.fmul(reciprocal, ir.Constant(kind, 1 - float(info.eps)))
    rest = _call(builder, "fma", builder.fneg(high), scaled, one)
    # Of zero and infinity the rest is not a number, and the reciprocal all that there is.
    low = builder.select(builder.fcmp_ordered("ord", rest, rest), builder.fmul(rest, reciprocal), reciprocal)
    return Divisor(high, low, scale)


def quotient(builder: ir.IRBuilder, x: ir.Value, by: Divisor) -> ir.Value:
    """What x divided by it is; the processor must have fused multiply-adds."""
    return builder.fmul(_call(builder, "fma", x, by.high, builder.fmul(x, by.low)), by.scale)

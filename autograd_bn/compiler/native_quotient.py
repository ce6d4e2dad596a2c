"""Quotients by a divisor that many numbers share: a product with its reciprocal and one correction, which takes a fraction of the time that divisions take.

With r the rounded 1/y and q the rounded x·r, the remainder x − q·y has no rounding error, and q plus the remainder times r is the quotient rounded
once, but for quotients within 10⁻⁶ of an ulp of the middle between two numbers (Markstein, Computation of elementary functions on the IBM RISC
System/6000 processor, 1990). Where that is the same number as q, or not a number, q is the quotient already: so are zeros with their signs, infinities
and NaN. Where x is subnormal, or nearly, the remainder is rounded too, and the quotient is wrong by at most two ulps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from autograd_bn.compiler.native_scalar import FORMATS


class Divisor(NamedTuple):
    """A divisor, brought near the middle of the exponents by a power of two; its reciprocal; and the power, by which a quotient is multiplied in the end."""

    y: ir.Value
    reciprocal: ir.Value
    scale: ir.Value


def _call(builder: ir.IRBuilder, name: str, *given: ir.Value) -> ir.Value:
    kind = given[0].type
    return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [kind], ir.FunctionType(kind, [kind] * len(given))), given)


def divisor(builder: ir.IRBuilder, y: ir.Value) -> Divisor:
    """What a divisor's quotients need of it."""
    kind = y.type
    half = np.finfo(FORMATS[str(kind)]).maxexp // 2
    # Half of the way up: the quotient of a subnormal number must not be one before it is multiplied.
    large, up, one, small = (ir.Constant(kind, 2.0**k) for k in (half, half // 2, 0, -half))
    size = _call(builder, "fabs", y)
    scale = builder.select(builder.fcmp_ordered(">", size, large), small, builder.select(builder.fcmp_ordered("<", size, small), up, one))
    scaled = builder.fmul(y, scale)
    return Divisor(scaled, builder.fdiv(one, scaled), scale)


def quotient(builder: ir.IRBuilder, x: ir.Value, by: Divisor) -> ir.Value:
    """What x divided by it is; the processor must have fused multiply-adds."""
    q = builder.fmul(x, by.reciprocal)
    remainder = _call(builder, "fma", builder.fneg(q), by.y, x)
    better = _call(builder, "fma", remainder, by.reciprocal, q)
    return builder.fmul(builder.select(builder.fcmp_ordered("!=", better, q), better, q), by.scale)

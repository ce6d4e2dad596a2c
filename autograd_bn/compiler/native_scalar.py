"""Floating-point values of an LLVM function, with Python's operators: what `native_math` is written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

FORMATS: dict[str, np.dtype[np.floating[Any]]] = {"float": np.dtype(np.float32), "double": np.dtype(np.float64)}
"""The dtypes of the LLVM types that there is mathematics for."""

FLAGS = ("contract",)
"""A product and the sum that it goes into may be rounded once, as one fused instruction. Nothing else: NaN, infinities, signed zeros and order are kept."""


class Scalar:
    """One value. Numbers among the operands become constants of its type.

    The tricks with bits hold for IEEE 754's binary formats in the rounding mode to nearest. They stand for the conversions, roundings and shifts of
    64-bit integers that a CPU may lack on vectors, and are defined for every input, which LLVM's conversions are not.
    """

    __slots__ = ("builder", "value")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder = builder
        self.value = value

    @property
    def info(self) -> Any:
        """The limits of the format, as NumPy gives them."""
        return np.finfo(FORMATS[str(self.value.type)])

    @property
    def whole(self) -> ir.IntType:
        """The integers of the same width."""
        return ir.IntType(self.info.bits)

    def made(self, value: ir.Value) -> Scalar:
        """A result of the same function."""
        return Scalar(self.builder, value)

    def operand(self, other: Scalar | float) -> ir.Value:
        """What stands for a value or number in an instruction."""
        return other.value if isinstance(other, Scalar) else ir.Constant(self.value.type, float(other))

    def constant(self, number: float) -> Scalar:
        """A number of this type."""
        return self.made(self.operand(number))

    def __neg__(self) -> Scalar:
        return self.made(self.builder.fneg(self.value))

    def __add__(self, other: Scalar | float) -> Scalar:
        return self.made(self.builder.fadd(self.value, self.operand(other), flags=FLAGS))

    def __sub__(self, other: Scalar | float) -> Scalar:
        return self.made(self.builder.fsub(self.value, self.operand(other), flags=FLAGS))

    def __mul__(self, other: Scalar | float) -> Scalar:
        return self.made(self.builder.fmul(self.value, self.operand(other), flags=FLAGS))

    def __truediv__(self, other: Scalar | float) -> Scalar:
        return self.made(self.builder.fdiv(self.value, self.operand(other), flags=FLAGS))

    def __abs__(self) -> Scalar:
        return self.made(self.builder.call(self._intrinsic("llvm.fabs", 1), [self.value]))

    def signed_as(self, other: Scalar) -> Scalar:
        """The size of this one with the sign of the other."""
        return self.made(self.builder.call(self._intrinsic("llvm.copysign", 2), [self.value, other.value]))

    def _intrinsic(self, name: str, count: int) -> Any:
        kind = self.value.type
        return self.builder.module.declare_intrinsic(name, [kind], ir.FunctionType(kind, [kind] * count))

    def where(self, compare: str, bound: float, yes: Scalar | float, no: Scalar | float) -> Scalar:
        """``yes`` where the comparison (<, <=, >, ==) with a number holds, else ``no``; of NaN none holds."""
        condition = self.builder.fcmp_ordered(compare, self.value, self.operand(bound))
        return self.made(self.builder.select(condition, self.operand(yes), self.operand(no)))

    def at_most(self, bound: float) -> Scalar:
        """The lesser of the two; NaN stays NaN."""
        return self.where(">", bound, bound, self)

    def at_least(self, bound: float) -> Scalar:
        """The greater of the two; NaN stays NaN."""
        return self.where("<", bound, bound, self)

    def polynomial(self, coefficients: Sequence[float]) -> Scalar:
        """The polynomial with these coefficients, lowest power first, by Horner's rule."""
        *rest, highest = coefficients
        out = self.constant(highest)
        for coefficient in reversed(rest):
            out = out * self + coefficient
        return out

    def anchor(self, biases: int) -> float:
        """1.5·2ᵐ, the sum with which has no place for a fraction, plus the bias of the exponent, or several."""
        info = self.info
        return float(1.5 * 2.0**info.nmant + biases * (info.maxexp - 1))

    def anchored(self, biases: int = 1) -> Scalar:
        """The nearest whole number plus the anchor, up to a quarter of the largest that is exact: its lowest bits are the biased number."""
        return self + self.anchor(biases)

    def freed(self, biases: int = 1) -> Scalar:
        """The whole number that was anchored."""
        return self - self.anchor(biases)

    def power_of_two(self) -> Scalar:
        """2 to the power of the whole number that was anchored with one bias, neither subnormal nor infinite."""
        return self.bits().power_of_two()

    def inverse_of_power(self) -> Scalar:
        """The inverse of a power of two, neither of them subnormal: the sum of their bits is twice that of 1."""
        one = self.constant(1.0).bits()
        return (one - (self.bits() - one)).scalar()

    def bits(self) -> Bits:
        """The bits of the value, as an integer."""
        return Bits(self, self.builder.bitcast(self.value, self.whole))


class Bits:
    """The bits of a Scalar, in unsigned arithmetic that wraps around. What is moved left is taken as a Scalar again."""

    __slots__ = ("of", "value")

    def __init__(self, of: Scalar, value: ir.Value) -> None:
        self.of = of
        self.value = value

    def _made(self, value: ir.Value) -> Bits:
        return Bits(self.of, value)

    def _operand(self, number: int) -> ir.Value:
        return ir.Constant(self.of.whole, number)

    def __add__(self, number: int) -> Bits:
        return self._made(self.of.builder.add(self.value, self._operand(number)))

    def __sub__(self, other: Bits) -> Bits:
        return self._made(self.of.builder.sub(self.value, other.value))

    def __and__(self, number: int) -> Bits:
        return self._made(self.of.builder.and_(self.value, self._operand(number)))

    def __or__(self, number: int) -> Bits:
        return self._made(self.of.builder.or_(self.value, self._operand(number)))

    def __rshift__(self, count: int) -> Bits:
        return self._made(self.of.builder.lshr(self.value, self._operand(count)))

    def __lshift__(self, count: int) -> Scalar:
        return self._made(self.of.builder.shl(self.value, self._operand(count))).scalar()

    def power_of_two(self) -> Scalar:
        """2 to the power of the whole number whose biased value is in the lowest bits: moved to where the exponent stands."""
        return self << int(self.of.info.nmant)

    def scalar(self) -> Scalar:
        """The value that has these bits."""
        return self.of.made(self.of.builder.bitcast(self.value, self.of.value.type))


def bits_of(number: float, dtype: np.dtype[np.floating[Any]]) -> int:
    """The bits of a number in a format, as an integer."""
    return int(np.array(number, dtype).view(f"u{dtype.itemsize}"))

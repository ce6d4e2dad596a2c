"""Scalar code as LLVM instructions: ``Primitive.code`` on values of one dtype."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np
from llvmlite import ir

from autograd_bn.compiler import native_math
from autograd_bn.compiler.scalar_code import NEUTRAL, POWERS, parsed

CONTRACT = ("contract",)
"""A product and a sum may become one instruction: the terms of a reduction and what adds them up. Everywhere else each operation is rounded by itself, so
that a value that several kernels compute is the same in all, and the largest of some values is one of them."""

TYPES: dict[np.dtype[Any], ir.Type] = {
    np.dtype("bool"): ir.IntType(1),
    np.dtype("int32"): ir.IntType(32),
    np.dtype("int64"): ir.IntType(64),
    np.dtype("float32"): ir.FloatType(),
    np.dtype("float64"): ir.DoubleType(),
}
BYTE = ir.IntType(8)
WORD = ir.IntType(32)
INDEX = ir.IntType(64)
POINTER = ir.PointerType()

_FLOAT = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_WHOLE = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor"}
_COMPARED = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_INTRINSICS = {
    "max": "maximum", "min": "minimum", "abs": "fabs", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint", "sqrt": "sqrt",
}  # fmt: skip


def stored(dtype: np.dtype[Any]) -> ir.Type:
    """The type of an element in memory."""
    return BYTE if dtype == np.bool_ else TYPES[dtype]


def constant(number: Any, dtype: np.dtype[Any]) -> ir.Constant:
    """A number as a value of a dtype."""
    kind = TYPES[dtype]
    if dtype.kind == "f":
        return ir.Constant(kind, float(dtype.type(number)))
    return ir.Constant(kind, int(bool(number)) if dtype == np.bool_ else int(number))


def neutral(code: str, dtype: np.dtype[Any]) -> ir.Constant:
    """What a reduction begins with."""
    number = NEUTRAL[code]
    if dtype == np.bool_:
        number = number > 0
    elif dtype.kind == "i" and not np.isfinite(number):
        number = np.iinfo(dtype).min if number < 0 else np.iinfo(dtype).max
    return constant(number, dtype)


def cast(builder: ir.IRBuilder, value: ir.Value, source: np.dtype[Any], target: np.dtype[Any]) -> ir.Value:
    """A value in another dtype."""
    kind = TYPES[target]
    if source == target:
        return value
    if target == np.bool_:
        zero = ir.Constant(value.type, 0)
        return builder.fcmp_unordered("!=", value, zero) if source.kind == "f" else builder.icmp_signed("!=", value, zero)
    if source == np.bool_:
        return builder.uitofp(value, kind) if target.kind == "f" else builder.zext(value, kind)
    if source.kind == "i":
        if target.kind == "f":
            return builder.sitofp(value, kind)
        return builder.sext(value, kind) if target.itemsize > source.itemsize else builder.trunc(value, kind)
    return builder.fpext(value, kind) if target.itemsize > source.itemsize else builder.fptrunc(value, kind)


class Expression:
    """Code in the making, of operands that have all been cast to one dtype."""

    def __init__(self, builder: ir.IRBuilder, dtype: np.dtype[Any], operands: Mapping[str, ir.Value]) -> None:
        self.builder = builder
        self.dtype = dtype
        self.kind = TYPES[dtype]
        self.operands = operands

    def value(self, code: str, result: np.dtype[Any], flags: tuple[str, ...] = ()) -> ir.Value:
        """The value of an expression as ``result``; ``flags`` are for its floating-point operations."""
        self.flags = flags
        found = self.visit(parsed(code))
        if found.type == TYPES[result]:
            return found
        return cast(self.builder, found, np.dtype(bool) if found.type == TYPES[np.dtype(bool)] else self.dtype, result)

    def visit(self, part: ast.expr) -> ir.Value:
        """The value of a part. What is compared gives a bool; everything else has the dtype of the operands."""
        if isinstance(part, ast.Name):
            return constant(np.inf, self.dtype) if part.id == "inf" else self.operands[part.id]
        if isinstance(part, ast.Constant):
            return constant(part.value, self.dtype)
        if isinstance(part, ast.UnaryOp):
            return self.negative(self.visit(part.operand), invert=isinstance(part.op, ast.Invert))
        if isinstance(part, ast.BinOp):
            return self.binary(type(part.op), self.visit(part.left), self.visit(part.right))
        if isinstance(part, ast.Compare):
            return self.compared(_COMPARED[type(part.ops[0])], self.visit(part.left), self.visit(part.comparators[0]))
        if isinstance(part, ast.IfExp):
            test = self.visit(part.test)
            truth = test if test.type == TYPES[np.dtype(bool)] else cast(self.builder, test, self.dtype, np.dtype(bool))
            return self.builder.select(truth, self.visit(part.body), self.visit(part.orelse))
        assert isinstance(part, ast.Call)
        assert isinstance(part.func, ast.Name)
        return self.call(part.func.id, [self.visit(argument) for argument in part.args])

    def negative(self, x: ir.Value, invert: bool) -> ir.Value:
        """−x, or ~x."""
        if invert:
            return self.builder.not_(x)
        return self.builder.fneg(x) if self.dtype.kind == "f" else self.builder.neg(x)

    def binary(self, operator: type[ast.operator], x: ir.Value, y: ir.Value) -> ir.Value:
        """An operation of two values; of booleans + is "or" and * is "and", as in NumPy."""
        if isinstance(x.type, ir.IntType):
            name = _WHOLE[operator]
            if x.type.width == 1:
                name = {"add": "or_", "mul": "and_"}.get(name, name)
            return getattr(self.builder, name)(x, y)
        return getattr(self.builder, _FLOAT[operator])(x, y, flags=self.flags)

    def compared(self, sign: str, x: ir.Value, y: ir.Value) -> ir.Value:
        """A comparison, false where one is NaN, but for ≠."""
        if not isinstance(x.type, ir.IntType):
            return self.builder.fcmp_unordered(sign, x, y) if sign == "!=" else self.builder.fcmp_ordered(sign, x, y)
        return self.builder.icmp_unsigned(sign, x, y) if x.type.width == 1 else self.builder.icmp_signed(sign, x, y)

    def call(self, name: str, given: list[ir.Value]) -> ir.Value:
        """A function: an intrinsic, one of our own, or the C library's."""
        builder = self.builder
        if isinstance(given[0].type, ir.IntType):
            sign = "<" if name == "min" else ">"
            return builder.select(self.compared(sign, *given), *given)
        if name in _INTRINSICS:
            flags = ("nsz", *set(self.flags) & {"nnan"}) if name in ("max", "min") else ()  # which zero of two is left open by NumPy, too
            kind = ir.FunctionType(self.kind, [self.kind] * len(given))
            return builder.call(builder.module.declare_intrinsic(f"llvm.{_INTRINSICS[name]}", (self.kind,), kind), given, fastmath=flags)
        if name == "pow":
            power = _power(self, *given)
            if power is not None:
                return power
        if name in native_math.FUNCTIONS:
            return builder.call(native_math.define(builder.module, name, self.kind), given)
        return builder.call(library(builder.module, name, self.kind, len(given)), given)


def library(module: ir.Module, name: str, kind: ir.Type, count: int) -> ir.Function:
    """A function of the C library."""
    symbol = name + ("f" if isinstance(kind, ir.FloatType) else "")
    known = module.globals.get(symbol)
    if known is None:
        known = ir.Function(module, ir.FunctionType(kind, [kind] * count), symbol)
        known.attributes.add("nounwind")
    return known


def _power(expression: Expression, x: ir.Value, y: ir.Value) -> ir.Value | None:
    """A power with a small constant exponent, by products and a quotient, or a square root, which NumPy takes for it: its -∞ is NaN, and its -0.0 is -0.0."""
    exponent = y.constant if isinstance(y, ir.Constant) else None
    if exponent == 0.5:
        return expression.call("sqrt", [x])
    if exponent not in POWERS:
        return None
    one = ir.Constant(x.type, 1.0)
    if exponent == 0:
        return one
    found = square = x if abs(exponent) == 1 else expression.binary(ast.Mult, x, x)
    if exponent > 2:
        found = expression.binary(ast.Mult, square, x if exponent == 3 else square)
    return found if exponent > 0 else expression.binary(ast.Div, one, found)

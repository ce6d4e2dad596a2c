"""The language of ``Primitive.code``: one expression in the operands, read here for what it costs, and turned into LLVM instructions by `llvm_scalar`."""

from __future__ import annotations

import ast
import functools
import math
import sys
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry

DTYPES = frozenset(map(np.dtype, ("bool", "int32", "int64", "float32", "float64")))
"""What native kernels compute with."""

CHEAP = {"max": 1, "min": 1, "abs": 1, "floor": 1, "ceil": 1, "trunc": 1, "rint": 1, "sqrt": 4}
"""Functions that are an instruction or two, and what they cost."""

LIBRARY = frozenset(["pow", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "asinh", "acosh", "atanh", "log2", "log10"])
"""Functions of the C library. It takes one element at a time, where NumPy may have SIMD code."""
FEW = 256
"""For more elements than this those are left to NumPy: a call of it is worth about as much time."""
CALLED = frozenset(["exp", "log", "tanh", "sigmoid", "erf", "expm1", "log1p", "hypot"]) | LIBRARY
"""All others that there are; but for hypot, which is as fast in the C library, these are our own."""
AGAIN = 12
"""How many instructions computing a value again may cost at most."""
CALL = 20
"""What one of those costs."""
POWERS = (-2, -1, 0, 0.5, 1, 2, 3, 4)
"""Exponents for which a power is a few products, or a square root: NumPy and PyTorch take √x for x to the 0.5, which shows at −0 and −inf."""

NEUTRAL: dict[str, float] = {"x + y": 0, "max(x, y)": -np.inf, "min(x, y)": np.inf, "x | y": False, "x & y": True}
"""The combinations of two elements that a reduction may be made of, and what they begin with."""

_OPERATORS = {
    ast.Add: 1, ast.Sub: 1, ast.Mult: 1, ast.Div: 4, ast.BitAnd: 1, ast.BitOr: 1, ast.BitXor: 1, ast.USub: 1, ast.Invert: 1,
    ast.Eq: 1, ast.NotEq: 1, ast.Lt: 1, ast.LtE: 1, ast.Gt: 1, ast.GtE: 1,
}  # fmt: skip


@functools.cache
def parsed(code: str) -> ast.expr:
    """The expression."""
    return ast.parse(code, mode="eval").body


class Cost(NamedTuple):
    """Of one element: how many simple instructions, roughly."""

    steps: int
    floating: bool
    """Whether it has meaning for floating numbers only."""
    library: bool
    """Whether it calls the C library."""


@functools.cache
def cost(code: str) -> Cost | None:
    """What an expression costs; None if something in it is not known here."""
    steps, floating, library = 0, False, False
    for part in ast.walk(parsed(code)):
        if isinstance(part, ast.Call):
            name = part.func.id if isinstance(part.func, ast.Name) else ""
            if name not in CALLED and name not in CHEAP:
                return None
            steps += CHEAP.get(name, CALL)
            floating |= name not in ("max", "min")
            library |= name in LIBRARY
        elif isinstance(part, (ast.BinOp, ast.UnaryOp)):
            if type(part.op) not in _OPERATORS:
                return None
            steps += _OPERATORS[type(part.op)]
            floating |= isinstance(part.op, ast.Div)
        elif isinstance(part, ast.Compare):
            if len(part.ops) != 1 or type(part.ops[0]) not in _OPERATORS:
                return None
            steps += 1
        elif isinstance(part, ast.IfExp):
            steps += 1
        elif not isinstance(part, (ast.Name, ast.Constant, ast.Load, ast.operator, ast.unaryop, ast.cmpop)):
            return None
    return Cost(steps, floating, library)


def steps_of(node: GraphNode) -> int:
    """How many simple instructions an operation takes for an element; 0 where nothing is known of it."""
    price = cost(node.primitive.code) if node.primitive is not None and node.primitive.code is not None else None
    return price.steps if price is not None else 0


def loop_dtype(node: GraphNode, graph: Graph) -> np.dtype[Any] | None:
    """The dtype that an elementwise operation computes in, after NumPy's rules; None where native code would compute in another."""
    assert node.dtype is not None
    given = tuple([graph.nodes[i].dtype for i in node.inputs])
    return _loop_dtype(node.dtype, given, tuple([type(number) for number in node.constants if number is not None]), bool(node.static))


@functools.lru_cache(maxsize=1024)
def _loop_dtype(out: np.dtype[Any], given: tuple[Any, ...], numbers: tuple[type, ...], conversion: bool) -> np.dtype[Any] | None:
    """That of operands of these dtypes and numbers of these types."""
    if out not in DTYPES or any(dtype not in DTYPES for dtype in given) or any(issubclass(number, complex) for number in numbers):
        return None
    if conversion:
        (source,) = given
        return out if out.kind in "fb" or source.kind != "f" else None
    dtype = np.result_type(*given, *[number() for number in numbers]) if out == np.bool_ else out
    if dtype not in DTYPES or not all(np.can_cast(source, dtype, "safe") for source in given):
        return None
    return None if dtype.kind != "f" and any(issubclass(number, float) for number in numbers) else dtype


def _by_products(node: GraphNode) -> bool:
    return node.primitive is registry["pow"] and node.constants[1] in POWERS


def knows(node: GraphNode, graph: Graph) -> bool:
    """Whether native code can be made of an elementwise operation, and is no slower than NumPy."""
    primitive = node.primitive
    if primitive is None or primitive.code is None:
        return False
    price = cost(primitive.code)
    if price is None or (price.library and math.prod(node.shape or ()) > FEW and not _by_products(node)):
        return False
    dtype = loop_dtype(node, graph)
    return dtype is not None and (dtype.kind == "f" or not price.floating) and all(_fits(number, dtype) for number in node.constants)


def _fits(number: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a number is one of a dtype; NumPy, which compares with others and refuses to add them, sees to those that are not."""
    if type(number) is not int or dtype == np.bool_:
        return True
    if dtype.kind == "f":
        return abs(number) <= sys.float_info.max
    return bool(np.iinfo(dtype).min <= number <= np.iinfo(dtype).max)

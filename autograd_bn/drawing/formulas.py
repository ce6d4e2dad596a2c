"""Formulas for reading: what an operation computes, and what its rule sends back. The rule itself is run, on terms of text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_bn.core.graph import GraphNode
from autograd_bn.core.node import Node
from autograd_bn.drawing import notes

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)
_INFIX = {"+": _SUM, "−": _SUM, "*": _PRODUCT, "/": _PRODUCT, "@": _PRODUCT}
_UFUNCS: dict[str, tuple[str, int]] = {
    "add": (" + ", _SUM),
    "subtract": (" − ", _SUM),
    "multiply": (" · ", _PRODUCT),
    "divide": (" / ", _PRODUCT),
    "matmul": (" @ ", _PRODUCT),
}
_COMPARED = {"equal": " = ", "greater": " > ", "less": " < ", "greater_equal": " ≥ ", "less_equal": " ≤ ", "not_equal": " ≠ "}
_SAME = ("reshape", "asarray", "astype", "positive", "copy", "ascontiguousarray", "real")
_TOO_LONG = 160
_NAME = re.compile(r"[\w\u0300-\u036f₀-₉]+")


def value_formula(node: GraphNode, nodes: Sequence[GraphNode]) -> str:
    """What the operation computes from its operands: ``x − μ``."""
    if node.primitive is None:
        return ""
    symbol = node.label
    sources = iter(node.inputs)
    operands = [
        notes.called(nodes[next(sources)]) if number is None else f"{number:g}" if isinstance(number, (int, float)) else str(number)
        for number in node.constants
    ]
    if symbol in _INFIX and len(operands) == 2:
        return f" {'·' if symbol == '*' else symbol} ".join(operands)
    if symbol == "1/x":
        return f"1 / {operands[1]}"
    if symbol.startswith("**"):
        return f"{operands[0]}{'²' if symbol == '**2' else ' ** ' + operands[1]}"
    if symbol.startswith("[") and len(operands) == 1:
        return f"{operands[0]}{symbol}"
    if symbol == "√":
        return f"√{operands[0]}" if _NAME.fullmatch(operands[0]) else f"√({operands[0]})"
    return f"{symbol}({', '.join(operands)})"


def rule_formulas(node: GraphNode, nodes: Sequence[GraphNode]) -> tuple[str | None, ...]:
    """For each entry of ``node.inputs``, the cotangent as its rule computes it: ``dx̂ · ivar``; None where the rule is no formula."""
    nothing = (None,) * len(node.inputs)
    primitive = node.primitive
    if primitive is None or primitive.vjp is None or node.shape is None or node.dtype is None:
        return nothing
    sources = iter(node.inputs)
    saved: list[Any] = []
    parents: list[Any] = []
    for number in node.constants:
        if number is not None:
            saved.append(number)
            parents.append(number)
            continue
        operand = nodes[next(sources)]
        if operand.shape is None or operand.dtype is None:
            return nothing
        saved.append(_Term(notes.called(operand), _ATOM, operand.shape, operand.dtype))
        parent = Node()
        parent.primitive, parent.shape, parent.dtype, parent.level = None, operand.shape, operand.dtype, 0
        parents.append(parent)
    saved.append(_Term(notes.called(node), _ATOM, node.shape, node.dtype))
    g = _Term(notes.differential(node, numbered=True), _ATOM, node.shape, node.dtype)
    try:
        with np.errstate(all="ignore"):
            found = primitive.vjp(g, saved, parents, node.static)
    except Exception:  # noqa: BLE001 - any rule, a user's too: one that needs real arrays has no formula
        return nothing
    texts = [term.text if isinstance(term, _Term) and len(term.text) <= _TOO_LONG else None for term in found]
    return tuple(texts[i] if i < len(texts) else None for i in node.operands)


class _Term:
    """Text that takes part in array expressions."""

    __slots__ = ("binding", "dtype", "shape", "text")

    def __init__(self, text: str, binding: int, shape: tuple[int, ...] = (), dtype: Any = None) -> None:
        self.text = text
        self.binding = binding
        self.shape = shape
        self.dtype = np.dtype(float) if dtype is None else dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        if method == "reduce":
            return self._same("Σ ", _SIGN, np.sum(np.empty(self.shape, bool), axis=options.get("axis", 0), keepdims=options.get("keepdims", False)).shape)
        if method != "__call__":
            return NotImplemented
        return _combined(ufunc.__name__, operands)

    def __array_function__(self, function: Any, types: Any, operands: Any, options: Any) -> Any:
        name = function.__name__
        if name == "broadcast_to":
            return _Term(self.text, self.binding, tuple(options.get("shape", operands[1:] and operands[1])), self.dtype)
        if name in _SAME:
            shape = options.get("shape", operands[1] if len(operands) > 1 and name == "reshape" else self.shape)
            return _Term(self.text, self.binding, tuple(shape), self.dtype)
        return _combined(name, operands)

    def transpose(self, axes: Sequence[int]) -> _Term:
        rank = self.ndim
        if list(axes) != [*range(rank - 2), rank - 1, rank - 2]:
            raise TypeError("only a matrix is transposed in a formula")
        text = self.text[:-1] if self.binding == _ATOM and self.text.endswith("ᵀ") else f"{_wrapped(self, _ATOM)}ᵀ"
        return _Term(text, _ATOM, tuple(self.shape[axis] for axis in axes), self.dtype)

    def dot(self, other: Any) -> _Term:
        return _combined("matmul", (self, other))

    def reshape(self, *shape: Any) -> _Term:
        return _Term(self.text, self.binding, tuple(shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape), self.dtype)

    def astype(self, dtype: Any, **options: Any) -> _Term:
        return _Term(self.text, self.binding, self.shape, np.dtype(dtype))

    def _same(self, prefix: str, binding: int, shape: tuple[int, ...]) -> _Term:
        return _Term(prefix + _wrapped(self, _PRODUCT), binding, shape, self.dtype)

    def __neg__(self) -> _Term:
        return _combined("negative", (self,))

    def __add__(self, other: Any) -> _Term:
        return _combined("add", (self, other))

    def __radd__(self, other: Any) -> _Term:
        return _combined("add", (other, self))

    def __sub__(self, other: Any) -> _Term:
        return _combined("subtract", (self, other))

    def __rsub__(self, other: Any) -> _Term:
        return _combined("subtract", (other, self))

    def __mul__(self, other: Any) -> _Term:
        return _combined("multiply", (self, other))

    def __rmul__(self, other: Any) -> _Term:
        return _combined("multiply", (other, self))

    def __truediv__(self, other: Any) -> _Term:
        return _combined("divide", (self, other))

    def __rtruediv__(self, other: Any) -> _Term:
        return _combined("divide", (other, self))

    def __matmul__(self, other: Any) -> _Term:
        return _combined("matmul", (self, other))

    def __pow__(self, other: Any) -> _Term:
        return _combined("power", (self, other))


def _combined(name: str, operands: Sequence[Any]) -> _Term:
    shapes = [np.shape(x) if not isinstance(x, _Term) else x.shape for x in operands]
    shape = np.broadcast_shapes(*shapes) if name != "matmul" else (*shapes[0][:-1], *shapes[1][-1:])
    dtype = next(x.dtype for x in operands if isinstance(x, _Term))
    if name in _UFUNCS:
        sign, binding = _UFUNCS[name]
        return _Term(_wrapped(operands[0], binding) + sign + _wrapped(operands[1], binding + (sign != " + ")), binding, shape, dtype)
    if name in _COMPARED:
        return _Term(f"[{_wrapped(operands[0], _SUM)}{_COMPARED[name]}{_wrapped(operands[1], _SUM)}]", _ATOM, shape, np.dtype(bool))
    if name == "negative":
        return _Term(f"−{_wrapped(operands[0], _PRODUCT)}", _SIGN, shape, dtype)
    if name == "square":
        return _Term(f"{_wrapped(operands[0], _ATOM)}²", _POWER, shape, dtype)
    if name == "power":
        return _Term(f"{_wrapped(operands[0], _ATOM)} ** {_wrapped(operands[1], _ATOM)}", _POWER, shape, dtype)
    return _Term(f"{name}({', '.join(_wrapped(x, _SUM) for x in operands)})", _ATOM, shape, dtype)


def _wrapped(x: Any, least: int) -> str:
    """The text of a term, in brackets if it binds less than it has to."""
    if isinstance(x, _Term):
        return f"({x.text})" if x.binding < least else x.text
    if isinstance(x, np.ndarray) and x.ndim:
        raise TypeError("an array is no part of a formula")
    return f"{x:g}" if isinstance(x, (int, float, np.number)) else str(x)

"""A kernel as loops that one can read: what the native code does, one statement an operation."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

from autograd_bn.compiler.kernel import Access, Kernel
from autograd_bn.compiler.kinds import uniform
from autograd_bn.compiler.moves import Along
from autograd_bn.compiler.scalar_code import NEUTRAL, parsed

LETTERS = "ijklmnopqrstuvw"


class _Named(ast.NodeTransformer):
    """Puts texts in the place of names."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = texts

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Replace one."""
        return ast.Name(self.texts.get(node.id, node.id))


def _filled(code: str, texts: Mapping[str, str]) -> str:
    return ast.unparse(_Named(texts).visit(ast.parse(ast.unparse(parsed(code)), mode="eval").body))


def _placed(letter: str, along: Along) -> str:
    """An index into a part as one into the whole."""
    term = letter if along.step == 1 or letter == "0" else f"{along.step} * {letter}"
    return term if not along.start else str(along.start) if letter == "0" else f"{term} + {along.start}"


class _Text:
    def __init__(self, kernel: Kernel, names: Mapping[int, str]) -> None:
        self.kernel = kernel
        self.names = names
        self.lines: list[str] = []
        rank = len(kernel.space)
        self.outer = rank - kernel.inner
        self.rows = [i for i in kernel.members if kernel.reduces(i) and set(kernel.axes(i)) & set(range(self.outer))]

    def say(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def element(self, i: int, access: Access) -> str:
        """An element in memory."""
        index = [LETTERS[d] if d is not None else "0" for d in access]
        while i in self.kernel.kinds.home and i in self.kernel.stored:
            long = iter([letter for letter in index if letter != "0"])
            i, box = self.kernel.kinds.home[i]
            index = [_placed("0" if along.length == 1 else next(long), along) for along in box]
        return f"{self.names[i]}[{', '.join(index) or '()'}]"

    def operand(self, i: int, j: int) -> str:
        """What member i reads as operand j."""
        if j in self.kernel.access:
            return self.names[j]
        number = uniform(self.kernel.graph.nodes[j])
        return self.element(j, self.kernel.operand_access(i, j)) if number is None else str(number)

    def statement(self, depth: int, i: int) -> None:
        """A value, or its part in a reduction."""
        kernel = self.kernel
        node = kernel.graph.nodes[i]
        assert node.primitive is not None
        texts = [self.operand(i, j) for j in node.inputs]
        if kernel.reduces(i):
            place = self.element(i, kernel.access[i]) if i in self.rows else self.names[i]
            self.say(depth, f"{place} = {_filled(node.primitive.code or 'x', {'x': place, 'y': texts[0]})}")
            return
        given = iter(texts)
        operands: dict[str, str] = {}
        for name, number in zip(node.primitive.operands, node.constants, strict=False):
            operands[name] = next(given) if number is None else repr(number)
        target = f"{self.names[i]} = {self.element(i, kernel.access[i])}" if i in kernel.stored else self.names[i]
        note = f"  # {node.name}" if node.name else ""
        self.say(depth, f"{target} = {_filled(node.primitive.code or 'x', operands)}{note}")

    def start(self, depth: int, i: int) -> None:
        """What a reduction begins with."""
        node = self.kernel.graph.nodes[i]
        assert node.primitive is not None
        place = f"{self.names[i]}[...]" if i in self.rows else self.names[i]
        self.say(depth, f"{place} = {NEUTRAL[node.primitive.code or '']}")

    def written(self) -> list[str]:
        """All lines."""
        kernel = self.kernel
        size = "×".join(map(str, kernel.space)) or "1"
        self.say(0, f"# over {size}{f', row by row of {math.prod(kernel.space[self.outer :])}' if kernel.by_row else ''}")
        for i in self.rows:
            self.start(0, i)
        for d in range(self.outer):
            self.say(d, f"for {LETTERS[d]} in range({kernel.space[d]}):")
        for phase in range(kernel.phases):
            row = [i for i in kernel.members if kernel.phase[i] == phase and i not in kernel.full and not kernel.reduces(i)]
            for i in row:
                self.statement(self.outer, i)
            work = [i for i in kernel.members if phase in kernel.need[i] and i not in row]
            along = [i for i in work if kernel.reduces(i) and i not in self.rows]
            if not work:
                continue
            for i in along:
                self.start(self.outer, i)
            for d in range(self.outer, len(kernel.space)):
                self.say(d, f"for {LETTERS[d]} in range({kernel.space[d]}):")
            for i in work:
                self.statement(len(kernel.space), i)
            for i in along:
                if i in kernel.stored:
                    self.say(self.outer, f"{self.element(i, kernel.access[i])} = {self.names[i]}")
        return self.lines


def loops(kernel: Kernel, names: Mapping[int, str]) -> list[str]:
    """The lines of a kernel."""
    return _Text(kernel, names).written()


def product(node: Any, names: Mapping[int, str]) -> str:
    """A matrix product, or what else has a loop of its own, as a line."""
    operands = [names[i] for i in node.inputs]
    if node.static:
        return f"{names[node.index]} = {node.primitive.name}({', '.join([*operands, *(f'{key}={value}' for key, value in node.static.items())])})"
    return f"{names[node.index]} = {operands[0]} @ {operands[1]}  # BLAS"

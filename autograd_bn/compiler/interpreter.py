"""A graph run one operation after the other: slow, and with the errors of eager execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_bn.compiler.passes.rewrite import operand_list
from autograd_bn.core.dispatch import explained
from autograd_bn.core.graph import Graph


def interpreted(graph: Graph, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs for the arrays of the leaves. An operation that fails raises what it raises in eager execution, naming the line that it comes from."""
    given = iter(arrays)
    values: list[Any] = []
    for node in graph.nodes:
        if node.primitive is None:
            values.append(node.value if node.kind == "constant" else next(given))
            continue
        operands = [number if i is None else values[i] for i, number in operand_list(node)]
        try:
            values.append(node.primitive.forward(*operands, **node.static))
        except Exception as error:
            raise explained(node.primitive, operands, node.static, error, node.line) from error
    return tuple(values[i] for i in graph.outputs)

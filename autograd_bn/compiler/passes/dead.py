"""Dead code: what no output depends on is left out. Inputs stay, since callers count them."""

from __future__ import annotations

from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.core.graph import Graph


def without_dead_code(graph: Graph) -> Graph:
    """The graph without operations that no output needs."""
    alive = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.index in alive:
            alive.update(node.inputs)
    new = Rewrite(graph)
    for node in graph.nodes:
        if node.index in alive or node.kind == "leaf":
            new.keep(node)
    return new.graph()

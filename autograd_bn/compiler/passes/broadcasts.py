"""Broadcasts: an elementwise operation repeats its operands itself, so what was repeated for it need not be."""

from __future__ import annotations

from autograd_bn.compiler.passes.rewrite import Rewrite, operand_list
from autograd_bn.core.graph import Graph
from autograd_bn.core.primitive import broadcast_shapes


def without_broadcasts(graph: Graph) -> Graph:
    """The graph with elementwise operations reading operands as they were before they were repeated."""
    new = Rewrite(graph)
    for node in graph.nodes:
        primitive = node.primitive
        if primitive is None or not primitive.pointwise:
            new.keep(node)
            continue
        inputs = [new.place[i] for i in node.inputs]
        for k, place in enumerate(inputs):
            source = new.nodes[place]
            if source.primitive is None or source.primitive.name != "broadcast_to":
                continue
            narrow = [*inputs[:k], source.inputs[0], *inputs[k + 1 :]]
            shapes = [new.nodes[i].shape or () for i in narrow]
            if len(shapes) + sum(i is None for i, _ in operand_list(node)) > 1 and broadcast_shapes(*shapes) == node.shape:
                inputs = narrow
        new.put(node, primitive, tuple(inputs), node.constants, node.static)
    return new.graph()

"""Algebra: what is exact to the last bit. x·1, x/1, x−0, −(−x), x¹, and steps between shapes that lead nowhere or can be one."""

from __future__ import annotations

from typing import Any

from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry

NEUTRAL: dict[str, tuple[Any, Any]] = {"mul": (1, 1), "div": (None, 1), "sub": (None, 0), "pow": (None, 1)}
"""The number that leaves the other operand as it is, as first and as second operand."""


def simplified(graph: Graph) -> Graph:
    """The graph without operations that change nothing."""
    new = Rewrite(graph)
    for node in graph.nodes:
        source = _unchanged(node, new)
        if source is not None:
            new.same(node, source)
        elif not _shorter(node, new):
            new.keep(node)
    return new.graph()


def _unchanged(node: GraphNode, new: Rewrite) -> int | None:
    """Where the node's value already is, if it is that of an operand."""
    if node.primitive is None or not node.inputs:
        return None
    name = node.primitive.name
    place = new.place[node.inputs[0]]
    operand = new.nodes[place]
    alike = operand.shape == node.shape and operand.dtype == node.dtype
    if name in NEUTRAL and len(node.inputs) == 1 and alike:
        position = 0 if node.constants[0] is not None else 1
        number, wanted = node.constants[position], NEUTRAL[name][position]
        if wanted is not None and number == wanted and not isinstance(number, bool):
            return place
    if name in ("reshape", "broadcast_to", "astype", "positive") and alike:
        return place
    if name == "permute_dims" and tuple(node.static["axes"]) == tuple(range(len(node.shape or ()))):
        return place
    if name == "neg" and operand.primitive is not None and operand.primitive.name == "neg":
        return operand.inputs[0]
    return None


def _shorter(node: GraphNode, new: Rewrite) -> bool:
    """Put a node that starts from further back, or costs less, if there is one."""
    if node.primitive is None or not node.inputs:
        return False
    name = node.primitive.name
    place = new.place[node.inputs[0]]
    operand = new.nodes[place]
    if name == "pow" and node.constants[1] == 2 and node.dtype is not None and node.dtype.kind in "fc" and operand.dtype == node.dtype:
        new.put(node, registry["square"], (place,), (None,))
        return True
    if operand.primitive is None or operand.primitive.name != name:
        return False
    if name == "reshape":
        if new.nodes[operand.inputs[0]].shape == node.shape:
            new.same(node, operand.inputs[0])
            return True
        new.put(node, node.primitive, operand.inputs, node.constants, node.static)
        return True
    if name == "permute_dims":
        first, second = operand.static["axes"], node.static["axes"]
        axes = tuple(first[a] for a in second)
        if axes == tuple(range(len(axes))):
            new.same(node, operand.inputs[0])
        else:
            new.put(node, node.primitive, operand.inputs, node.constants, {"axes": axes})
        return True
    return False

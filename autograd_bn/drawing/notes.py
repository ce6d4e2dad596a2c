"""What a drawing says of a graph's nodes and edges, in whatever format: symbols, gradients that come together, clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograd_bn.core.errors import ShapeError
from autograd_bn.core.graph import Array, Edge, Graph, GraphNode
from autograd_bn.core.primitive import broadcast_shapes
from autograd_bn.core.state import Scope
from autograd_bn.drawing.words import subscript


def symbol(node: GraphNode) -> str:
    """The label, with the plain number that the operation was given, unless the label is made from it."""
    label = node.label
    if node.primitive is None or callable(node.primitive.label):
        return label
    numbers = [number for number in node.constants if number is not None]
    if len(node.constants) != 2 or len(numbers) != 1:
        return label
    number = f"{numbers[0]:g}" if isinstance(numbers[0], (int, float)) else str(numbers[0])
    return f"{label} {number}" if node.constants[0] is None else f"{number} {label}"


def differential(node: GraphNode) -> str:
    """What the gradient of a value is called: dx."""
    return f"d{node.name}" if node.name is not None else "d"


def parts(graph: Graph, edges: Sequence[Edge]) -> dict[int, dict[tuple[int, int], tuple[str, Array | None]]]:
    """For each node, the gradients that its consumers send back: a name and an array each, numbered in the order of arrival."""
    found: dict[int, dict[tuple[int, int], tuple[str, Array | None]]] = {}
    for edge in sorted(edges, key=lambda e: (-e.target, e.operand)):
        target = graph.nodes[edge.target]
        cotangent = None if target.cotangents is None else target.cotangents[target.operands.index(edge.operand)]
        found.setdefault(edge.source, {})[edge.target, edge.operand] = ("", cotangent)
    for source, arrived in found.items():
        own = differential(graph.nodes[source])
        for number, (key, (_, cotangent)) in enumerate(arrived.items(), 1):
            arrived[key] = (own if len(arrived) == 1 else own + subscript(number), cotangent)
    return found


def complete(gradient: Array, parts: Sequence[Array | None], output: bool) -> bool:
    """Whether a gradient is the sum of what the drawn edges brought. The rest is a seed, or came from outside the drawing."""
    here = [part for part in parts if part is not None]
    if not here:
        return not parts or output
    with np.errstate(all="ignore"):
        total = sum(here[1:], start=here[0])
        if np.array_equal(total, gradient):
            return True
        tolerance = 1e-3 if gradient.dtype.itemsize <= 4 else 1e-9
        return bool(np.allclose(total, gradient, rtol=tolerance, atol=tolerance * float(np.max(np.abs(gradient), initial=0.0)), equal_nan=True))


def summed(target: GraphNode, cotangent: Array | None) -> str:
    """Says that a gradient was summed over the axes along which its operand had been broadcast."""
    if cotangent is None or target.primitive is None or not target.primitive.broadcasts or target.shape is None or cotangent.shape == target.shape:
        return ""
    try:
        spread = broadcast_shapes(cotangent.shape, target.shape)
    except ShapeError:
        return ""
    return f"Σ {target.shape} → {cotangent.shape}" if spread == target.shape else ""


def clusters(graph: Graph, edges: Sequence[Edge]) -> list[Scope | None]:
    """The cluster of each node. An unnamed constant goes where it is used, if that is one place."""
    scopes = [node.scope for node in graph.nodes]
    users: dict[int, set[Scope | None]] = {}
    for edge in edges:
        node = graph.nodes[edge.source]
        if node.kind == "constant" and node.name is None:
            users.setdefault(edge.source, set()).add(scopes[edge.target])
    for index, found in users.items():
        if len(found) == 1:
            (scopes[index],) = found
    return scopes

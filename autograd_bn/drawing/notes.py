"""What a drawing says of a graph's nodes and edges, in whatever format: symbols, gradients that come together, clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.digits import subscript
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.graph import Edge, Graph, GraphNode
from autograd_bn.core.primitive import broadcast_shapes
from autograd_bn.drawing import words
from autograd_bn.drawing.view import View

_TERMS = 8


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


def called(node: GraphNode) -> str:
    """What formulas call a value: its name, or v with its number."""
    return node.name if node.name is not None else f"v{subscript(node.index)}"


def differential(node: GraphNode, numbered: bool = False) -> str:
    """What the gradient of a value is called: dx; of one without a name d, or with its number."""
    return f"d{called(node)}" if numbered or node.name is not None else "d"


def sum_of(terms: Sequence[str]) -> str:
    """``dx₁ + dx₂``; of many terms the first and the last."""
    return " + ".join(terms if len(terms) <= _TERMS else [*terms[:3], "…", terms[-1]])


class Part(NamedTuple):
    """What comes back along an arrow: its name, the cotangent, and with what comes to the same value along the arrow's copies."""

    name: str
    cotangent: Array | None
    whole: Array | None


def parts(view: View, numbered: bool = False) -> dict[int, dict[int, Part]]:
    """For each node, what comes back along each arrow, by the arrow's place, numbered in the order of arrival."""
    found: dict[int, dict[int, list[Sequence[Edge]]]] = {}
    order = sorted(range(len(view.arrows)), key=lambda i: (-view.arrows[i].edges[-1].target, view.arrows[i].edges[-1].operand))
    for place in order:
        arrow = view.arrows[place]
        found.setdefault(arrow.value, {})[place] = [arrow.edges, *(edges for edges in arrow.copies if edges[0].source == arrow.value)]
    return {source: _named(view.graph, source, arrived, numbered) for source, arrived in found.items()}


def _named(graph: Graph, source: int, arrived: Mapping[int, Sequence[Sequence[Edge]]], numbered: bool) -> dict[int, Part]:
    node = graph.nodes[source]
    own = differential(node, numbered)
    dot = "." if numbered and node.name is None else ""  # between two numbers
    wholes = [cotangent(graph, [edge for edges in ways for edge in edges]) for ways in arrived.values()]
    count = sum(map(len, arrived.values()))
    alone = count == 1 and (node.gradient is None or complete(node.gradient, wholes, source in graph.outputs))
    found: dict[int, Part] = {}
    number = 1
    for (place, ways), whole in zip(arrived.items(), wholes, strict=True):
        ends = dict.fromkeys((number, number + len(ways) - 1))
        name = own if alone else " … ".join(own + dot + subscript(end) for end in ends)
        found[place] = Part(name, whole if len(ways) == 1 else cotangent(graph, ways[0]), whole)
        number += len(ways)
    return found


def cotangent(graph: Graph, edges: Sequence[Edge]) -> Array | None:
    """The sum of what came back along edges of one value; None where nothing did."""
    found = []
    for edge in edges:
        target = graph.nodes[edge.target]
        part = None if target.cotangents is None else target.cotangents[target.operands.index(edge.operand)]
        if part is not None:
            found.append(part)
    if len(found) < 2:
        return found[0] if found else None
    with np.errstate(all="ignore"):
        return np.asarray(sum(found[1:], start=found[0]))


def norm(array: Array) -> float:
    """The Euclidean norm of all elements; not finite where one of them is not."""
    return words.norm(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64).ravel())


def finite(array: Array | None) -> bool:
    """Whether no element is NaN or infinite."""
    return array is None or array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def starts_not_finite(node: GraphNode, nodes: Sequence[GraphNode]) -> bool:
    """Whether a value is not finite though all that it was computed from is."""
    return not finite(node.value) and all(finite(nodes[i].value) for i in node.inputs)


def sends_not_finite(node: GraphNode, nodes: Sequence[GraphNode]) -> bool:
    """Whether a rule makes a cotangent that is not finite of a finite one, where the forward pass was finite."""
    return (
        node.cotangents is not None
        and not all(map(finite, node.cotangents))
        and all(map(finite, (node.gradient, node.value, *(nodes[i].value for i in node.inputs))))
    )


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

"""Find the batch norm of an (N, D) input in a graph, by its operations and not by its names."""

from __future__ import annotations

from typing import NamedTuple

from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import Graph, GraphNode

SHOWN = "style='classic' draws the batch norm of an input of shape (N, D), recorded with a gradient required of x"


class BatchNorm(NamedTuple):
    """The nodes of a batch norm, under the names of the figure; ``shifted`` is var + ε."""

    x: GraphNode
    mean: GraphNode
    centred: GraphNode
    squared: GraphNode
    variance: GraphNode
    shifted: GraphNode
    root: GraphNode
    inverse: GraphNode
    normalized: GraphNode
    gamma: GraphNode
    scaled: GraphNode
    beta: GraphNode
    out: GraphNode


class _MismatchError(Exception):
    """Why a node is not the last of a batch norm, and how many of the operations were as they should be."""

    def __init__(self, matched: int, reason: str) -> None:
        super().__init__(reason)
        self.matched = matched


def find_batch_norm(graph: Graph) -> BatchNorm:
    """The batch norm that a graph ends in, else the only one that it contains.

    Raises DrawingError if there is none, saying what is different, or if there are several to choose from.
    """
    found: dict[int, BatchNorm] = {}
    nearest = _MismatchError(0, f"none of its {len(graph.nodes)} nodes is the last + of one")
    for node in graph.nodes:
        try:
            found[node.index] = _match(graph, node)
        except _MismatchError as mismatch:
            if mismatch.matched > nearest.matched:
                nearest = mismatch
    ends = [found[index] for index in dict.fromkeys(graph.outputs) if index in found]
    candidates = ends or list(found.values())
    if not candidates:
        raise DrawingError(f"{SHOWN}; this graph has none: {nearest}. Use the default style for any other graph")
    if len(candidates) > 1:
        raise DrawingError(f"{SHOWN}; this graph has {len(candidates)}: draw the result of one of them")
    return candidates[0]


def _match(graph: Graph, out: GraphNode) -> BatchNorm:
    matched = 0

    def made_by(node: GraphNode, name: str, step: str) -> GraphNode:
        nonlocal matched
        if node.primitive is None or node.primitive.name != name:
            is_one = "a constant" if node.kind == "constant" else f"{node.kind} {node.name or ''}".strip() if node.primitive is None else node.primitive.name
            raise _MismatchError(matched, f"{step} should be {name}, but is {is_one}")
        matched += 1
        return node

    def inputs(node: GraphNode) -> list[GraphNode]:
        return [graph.nodes[i] for i in node.inputs]

    def either(node: GraphNode, name: str, step: str) -> tuple[GraphNode, GraphNode]:
        """The operand of a commutative operation that ``name`` made, and the other."""
        operands = inputs(node)
        if len(operands) != 2:
            raise _MismatchError(matched, f"{step} is not computed from two tensors")
        first, second = operands
        if first.primitive is None or first.primitive.name != name:
            first, second = second, first
        return made_by(first, name, step), second

    def normalizes(node: GraphNode) -> bool:
        names = {operand.primitive.name for operand in inputs(node) if operand.primitive is not None}
        return names == {"sub", "div"}

    made_by(out, "add", "the result")
    products = [node for node in inputs(out) if node.primitive is not None and node.primitive.name == "mul"]
    if len(inputs(out)) != 2 or not products:
        raise _MismatchError(matched, "the result is not the sum of γ·x̂ and β")
    scaled = next((node for node in products if any(normalizes(operand) for operand in inputs(node))), products[0])
    made_by(scaled, "mul", "γ·x̂")
    beta = inputs(out)[1] if scaled is inputs(out)[0] else inputs(out)[0]
    pair = inputs(scaled)
    if len(pair) != 2:
        raise _MismatchError(matched, "γ is not a tensor")
    normalized, gamma = pair if normalizes(pair[0]) else (pair[1], pair[0])
    made_by(normalized, "mul", "x̂")
    inverse, centred = either(normalized, "div", "the inverse deviation")
    if inverse.constants[0] != 1 or len(inverse.inputs) != 1:
        raise _MismatchError(matched, "the inverse deviation is not 1 over one value")
    made_by(centred, "sub", "x − μ")
    (root,) = inputs(inverse)
    made_by(root, "sqrt", "the deviation")
    (shifted,) = inputs(root)
    made_by(shifted, "add", "the variance plus ε")
    variance = next((node for node in inputs(shifted) if node.primitive is not None), inputs(shifted)[0])
    if any(node is not variance and (node.kind != "constant" or node.shape not in (None, ())) for node in inputs(shifted)):
        raise _MismatchError(matched, "ε is not a number")
    made_by(variance, "mean", "the variance")
    (squared,) = inputs(variance)
    made_by(squared, "pow", "the squared deviation")
    if squared.constants[1] != 2 or inputs(squared) != [centred]:
        raise _MismatchError(matched, "the squared deviation is not (x − μ)**2")
    if len(centred.inputs) != 2:
        raise _MismatchError(matched, "x − μ is not a difference of two tensors")
    x, mean = inputs(centred)
    made_by(mean, "mean", "μ")
    if inputs(mean) != [x]:
        raise _MismatchError(matched, "μ is not the mean of the x that it is subtracted from")
    if x.shape is None or len(x.shape) != 2:
        raise _MismatchError(matched, f"x has shape {x.shape}, where the figure has two axes")
    for statistic in (mean, variance):
        if statistic.static["axis"] != (0,):
            raise _MismatchError(matched, f"a mean is taken over axes {statistic.static['axis']}, where the figure has axis 0, the batch")
    for name, parameter in (("γ", gamma), ("β", beta)):
        if parameter.shape not in (None, x.shape[1:]):
            raise _MismatchError(matched, f"{name} has shape {parameter.shape}, where the figure has (D,) = {x.shape[1:]}")
    return BatchNorm(x, mean, centred, squared, variance, shifted, root, inverse, normalized, gamma, scaled, beta, out)

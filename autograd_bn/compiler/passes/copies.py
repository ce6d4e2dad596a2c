"""Copies, where memory has to be in another order than it is: what a reshape or BLAS cannot read as it lies, and parts of a join that are not computed there.

They are elementwise operations, so that fusion makes them part of the loops that compute what is copied.
"""

from __future__ import annotations

import numpy as np

from autograd_bn.compiler.kinds import Kind, Kinds
from autograd_bn.compiler.moves import counts, gaps, join, put
from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.compiler.scalar_code import DTYPES
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry


def with_copies(graph: Graph) -> Graph:
    """The graph with copies where they are needed."""
    return _in_order(_filled(graph))


class _Copies(Rewrite):
    def copied(self, node: GraphNode, i: int) -> int:
        """A copy of a value of the new graph, on behalf of a node."""
        source = self.nodes[i]
        return self.add(node, put, (i,), (None,), source.shape or (), {})


def _filled(graph: Graph) -> Graph:
    """The graph with joins of parts that are computed where they belong, and zeros between them."""
    if not any(node.primitive is join for node in graph.nodes):
        return graph
    new = _Copies(graph)
    kind = Kinds(graph).kind
    free = [True] * len(graph.nodes)
    for i in graph.outputs:
        free[i] = False
    for node in graph.nodes:
        if node.primitive is not join:
            new.keep(node)
            continue
        shape, boxes = node.shape or (), list(node.static["boxes"])
        inputs = []
        for i in node.inputs:
            here = free[i] and kind[i] in (Kind.POINT, Kind.JOINED)
            free[i] = False
            inputs.append(new.place[i] if here else new.copied(node, new.place[i]))
        rest = gaps(shape, boxes)
        if rest is None:
            _summed(new, node, inputs)
            continue
        _joined(new, node, inputs, [*boxes, *rest])
    return new.graph()


def _joined(new: _Copies, node: GraphNode, inputs: list[int], boxes: list[tuple[object, ...]]) -> int:
    """Put a join; boxes without a part are zeros."""
    inputs = list(inputs)
    for box in boxes[len(inputs) :]:
        number = len(new.nodes)
        new.nodes.append(GraphNode(number, "constant", shape=(), dtype=node.dtype, value=np.zeros((), node.dtype)))
        shape = counts(box)  # type: ignore[arg-type]
        inputs.append(new.add(node, registry["broadcast_to"], (number,), (None,), shape, {"shape": shape}))
    return new.put(node, join, tuple(inputs), (None,) * len(inputs), {"shape": node.shape, "boxes": tuple(boxes)})


def _summed(new: _Copies, node: GraphNode, inputs: list[int]) -> None:
    """Parts between which there is no simple way to put zeros: each is a join of its own, and these are added."""
    total = None
    for i, box in zip(inputs, node.static["boxes"], strict=True):
        rest = gaps(node.shape or (), [box])
        assert rest is not None
        one = _joined(new, node, [i], [box, *rest])
        total = one if total is None else new.add(node, registry["add"], (total, one), (None, None), node.shape or (), {})
    assert total is not None
    new.same(node, total)


def _in_order(graph: Graph) -> Graph:
    """The graph with copies of what a reshape or a matrix product would have to copy."""
    kinds = Kinds(graph)
    new = _Copies(graph)
    known: dict[int, int] = {}
    for node in graph.nodes:
        wanted: list[int] = []
        if kinds.kind[node.index] is Kind.FOREIGN and node.dtype in DTYPES and 0 not in (node.shape or ()):
            if node.primitive is registry["reshape"]:
                wanted = list(node.inputs)
            elif node.primitive is registry["matmul"]:
                wanted = [i for i in node.inputs if kinds.matrix(i) is None]
        for i in wanted:
            if i not in known:
                known[i] = new.copied(node, new.place[i])
        if wanted:
            new.put(node, node.primitive, tuple(known.get(i, new.place[i]) if i in wanted else new.place[i] for i in node.inputs), node.constants, node.static)
        else:
            new.keep(node)
    return new.graph()

"""Slices before elementwise operations: what is only ever read in parts is computed in those parts, so that each is computed where it is used.

The gates of an LSTM are slices of one sum, and its steps slices of one product plus a bias: neither sum need be in memory.
"""

from __future__ import annotations

import math

from autograd_bn.compiler.kinds import squeezed
from autograd_bn.compiler.moves import Along, Box, boxed, counts, whole
from autograd_bn.compiler.passes.rewrite import Rewrite, users_of
from autograd_bn.compiler.scalar_code import AGAIN, cost, knows
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry
from autograd_bn.ops.indexing import is_basic


def with_early_slices(graph: Graph) -> Graph:
    """The graph with elementwise operations on slices, where all that reads their results are slices."""
    return _Slices(graph).written()


def _is_slice(node: GraphNode) -> bool:
    return node.primitive is registry["getitem"] and is_basic(node.static["index"]) and 0 not in (node.shape or ())


def _squeezes(node: GraphNode, graph: Graph) -> bool:
    return node.primitive is registry["reshape"] and squeezed(node.shape) == squeezed(graph.nodes[node.inputs[0]].shape)


class _Slices(Rewrite):
    def written(self) -> Graph:
        """The new graph."""
        self.known: dict[tuple[int, Box], int] = {}
        self.cut = self.only_in_parts()
        self.cheap = self.cheap_again()
        for node in self.old.nodes:
            if not _is_slice(node):
                self.keep(node)
                continue
            source, box = self.source(node, whole(node.shape or ()))
            if source.index not in self.cut:
                self.keep(node)
                continue
            self.same(node, self.shaped(node, self.part(node, source, box), node.shape or ()))
        return self.graph()

    def only_in_parts(self) -> set[int]:
        """Elementwise values of which only slices are read, no element more often than once."""
        nodes = self.old.nodes
        users = users_of(self.old)
        ends = set(self.old.outputs)
        read: dict[int, int] = {}
        """How many elements of a value are read through slices, where nothing else reads it."""
        cut: set[int] = set()
        for node in reversed(nodes):
            sizes = []
            for j in users[node.index]:
                user = nodes[j]
                if _is_slice(user) or _squeezes(user, self.old):
                    sizes.append(read.get(j, math.prod(user.shape or ())))
                elif j in cut and user.shape == node.shape:
                    sizes.append(read[j])
                else:
                    break
            else:
                if sizes and node.index not in ends:
                    read[node.index] = sum(sizes)
                    if node.primitive is not None and node.primitive.pointwise and knows(node, self.old) and sum(sizes) <= math.prod(node.shape or ()):
                        cut.add(node.index)
        return cut

    def cheap_again(self) -> set[int]:
        """Elementwise values that cost less to compute than to store and load."""
        steps: dict[int, int] = {}
        for node in self.old.nodes:
            if node.primitive is not None and (node.primitive.pointwise or node.primitive is registry["astype"]) and knows(node, self.old):
                price = cost(node.primitive.code or "x")
                total = (price.steps if price is not None else AGAIN) + sum(steps.get(i, 0) for i in node.inputs)
                if total <= AGAIN:
                    steps[node.index] = total
        return set(steps)

    def source(self, node: GraphNode, box: Box) -> tuple[GraphNode, Box]:
        """What part of which value a part of a node is: slices of slices are one, and axes of length 1 do not matter."""
        while True:
            if _is_slice(node):
                outer = self.old.nodes[node.inputs[0]]
                lines = boxed(node.static["index"], outer.shape or ())
            elif _squeezes(node, self.old):
                outer = self.old.nodes[node.inputs[0]]
                lines = whole(outer.shape or ())
            else:
                return node, box
            long = iter([along for along, n in zip(box, node.shape or (), strict=True) if n != 1])
            box = tuple(next(long).of(along) if along.length != 1 else along for along in lines)
            node = outer

    def part(self, node: GraphNode, source: GraphNode, box: Box) -> int:
        """A part of a value, of as many axes as it has, on behalf of a slice."""
        source, box = self.source(source, box)
        key = (source.index, box)
        if key in self.known:
            return self.known[key]
        shape = source.shape or ()
        if source.index in self.cut or source.index in self.cheap:
            inputs = []
            for i in source.inputs:
                operand = self.old.nodes[i]
                lengths = operand.shape or ()
                near = box[len(shape) - len(lengths) :]
                mine = tuple(Along(0, 1, 1) if n == 1 else along for n, along in zip(lengths, near, strict=True))
                inputs.append(self.shaped(node, self.part(node, operand, mine), counts(mine)))
            assert source.primitive is not None
            found = self.add(source, source.primitive, tuple(inputs), source.constants, counts(box), source.static)
        elif box == whole(shape):
            found = self.place[source.index]
        else:
            index = tuple(along.slice for along in box)
            found = self.add(node, registry["getitem"], (self.place[source.index],), (None,), counts(box), {"index": index}, source.dtype)
        self.known[key] = found
        return found

"""Slices before elementwise operations: what is only ever read in parts is computed in those parts, so that each is computed where it is used.

The gates of an LSTM are slices of one sum, and its steps slices of one product plus a bias: neither sum need be in memory.
"""

from __future__ import annotations

import dataclasses
import math

from autograd_bn.compiler.moves import Along, Box, boxed, counts, whole
from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.compiler.scalar_code import knows
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry
from autograd_bn.ops.indexing import is_basic


def with_early_slices(graph: Graph) -> Graph:
    """The graph with elementwise operations on slices, where all that reads their results are slices."""
    return _Slices(graph).written()


def _is_slice(node: GraphNode) -> bool:
    return node.primitive is registry["getitem"] and is_basic(node.static["index"]) and 0 not in (node.shape or ())


class _Slices(Rewrite):
    def written(self) -> Graph:
        """The new graph."""
        self.known: dict[tuple[int, Box], int] = {}
        self.cut = self.only_in_parts()
        for node in self.old.nodes:
            if not _is_slice(node):
                self.keep(node)
                continue
            source, box = self.source(node)
            if source.index not in self.cut:
                self.keep(node)
                continue
            place = self.part(node, source, box)
            if self.nodes[place].shape != node.shape:
                place = self.add(node, registry["reshape"], (place,), (None,), node.shape or (), {"shape": node.shape})
            self.same(node, place)
        return self.graph()

    def only_in_parts(self) -> set[int]:
        """Elementwise values of which only slices are read, no element more often than once."""
        nodes = self.old.nodes
        users: list[list[int]] = [[] for _ in nodes]
        for node in nodes:
            for i in node.inputs:
                users[i].append(node.index)
        ends = set(self.old.outputs)
        read: dict[int, int] = {}
        """How many elements of a value are read through slices, where nothing else reads it."""
        cut: set[int] = set()
        for node in reversed(nodes):
            sizes = []
            for j in users[node.index]:
                user = nodes[j]
                if _is_slice(user):
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

    def source(self, node: GraphNode) -> tuple[GraphNode, Box]:
        """What a slice is of, slices of slices being one, and which part."""
        box = boxed(node.static["index"], self.old.nodes[node.inputs[0]].shape or ())
        source = self.old.nodes[node.inputs[0]]
        while _is_slice(source):
            outer = self.old.nodes[source.inputs[0]]
            lines = boxed(source.static["index"], outer.shape or ())
            kept = _kept(source, len(lines))
            if kept is None:
                break
            inner = iter(box)
            box = tuple(next(inner).of(along) if keep else along for along, keep in zip(lines, kept, strict=True))
            source = outer
        return source, box

    def part(self, node: GraphNode, source: GraphNode, box: Box) -> int:
        """A part of a value, of as many axes as it has, on behalf of a slice."""
        key = (source.index, box)
        if key in self.known:
            return self.known[key]
        shape = source.shape or ()
        if source.index in self.cut:
            inputs = []
            for i in source.inputs:
                operand = self.old.nodes[i]
                lengths = operand.shape or ()
                near = box[len(shape) - len(lengths) :]
                inputs.append(self.part(node, operand, tuple(Along(0, 1, 1) if n == 1 else along for n, along in zip(lengths, near, strict=True))))
            assert source.primitive is not None
            found = self.add(source, source.primitive, tuple(inputs), source.constants, counts(box), source.static)
        elif box == whole(shape):
            found = self.place[source.index]
        else:
            index = tuple(along.slice for along in box)
            found = self.add(node, registry["getitem"], (self.place[source.index],), (None,), counts(box), {"index": index})
            self.nodes[found] = dataclasses.replace(self.nodes[found], dtype=source.dtype)
        self.known[key] = found
        return found


def _kept(node: GraphNode, rank: int) -> list[bool] | None:
    """Which axes of its operand a slice keeps; None if it has new ones."""
    key = node.static["index"] if type(node.static["index"]) is tuple else (node.static["index"],)
    if any(part is None for part in key):
        return None
    at = next((k for k, part in enumerate(key) if part is Ellipsis), len(key))
    before, after = key[:at], key[at + 1 :]
    kept = [isinstance(part, slice) for part in before] + [True] * (rank - len(before) - len(after)) + [isinstance(part, slice) for part in after]
    return kept

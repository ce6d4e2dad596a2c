"""Joins: concatenation, padding and the cotangents of slices become parts side by side, sums of parts that do not overlap one join, a part of a join that part.

A network that is unrolled in time slices its inputs and stacks its outputs; backward, every slice is a block of zeros with something in it, and the
blocks are added. Here that becomes one block of memory, whose parts are computed where they belong.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_bn.compiler.kinds import squeezed
from autograd_bn.compiler.moves import MANY, Along, Box, apart, boxed, counts, join, whole
from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.compiler.scalar_code import DTYPES
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry
from autograd_bn.ops.indexing import is_basic
from autograd_bn.ops.windows import reach

LARGEST = 4096
"""Up to how many parts are looked at."""


def joined(graph: Graph) -> Graph:
    """The graph with joins."""
    return _Joins(graph).written()


class _Joins(Rewrite):
    def written(self) -> Graph:
        """The new graph."""
        for node in self.old.nodes:
            if node.primitive is None or 0 in (node.shape or ()) or node.dtype not in DTYPES or not self.changed(node):
                self.keep(node)
        return self.graph()

    def changed(self, node: GraphNode) -> bool:
        """Put a node's new form, if there is one."""
        assert node.primitive is not None
        shape, name, static = node.shape or (), node.primitive.name, node.static
        operands = [self.nodes[self.place[i]] for i in node.inputs]
        if name == "concat":
            parts, start = [], 0
            for operand, size in zip(operands, static["sizes"], strict=True):
                if size:
                    parts.append((operand.index, (*whole(shape)[: static["axis"]], Along(start, 1, size), *whole(shape)[static["axis"] + 1 :])))
                start += size
            return self.put_join(node, parts)
        if name == "pad":
            box = tuple(Along(before, 1, n) for (before, _), n in zip(static["widths"], operands[0].shape or (), strict=True))
            return self.put_join(node, [(operands[0].index, box)])
        if name == "scatter_add" and is_basic(static["index"]):
            return self.put_join(node, [(operands[0].index, boxed(static["index"], shape))])
        if name == "overlap_add":
            return self.laid_out(node, operands[0])
        if name == "getitem" and is_basic(static["index"]):
            return self.part_of(node, operands[0])
        if name == "add" and len(operands) == 2 and all(x.shape == shape and x.dtype == node.dtype for x in operands):
            return self.added(node, *operands)
        return False

    def put_join(self, node: GraphNode, parts: list[tuple[int, Box]]) -> bool:
        """Put parts side by side; one that is all is no join."""
        shape = node.shape or ()
        if any(0 in (self.nodes[i].shape or ()) or self.nodes[i].dtype != node.dtype for i, _ in parts):
            return False
        parts = [(self.unshaped(i), box) for i, box in parts if not self.is_zero(self.nodes[i])]
        if not parts:
            self.zeros(node)
        elif len(parts) == 1 and parts[0][1] == whole(shape):
            self.same(node, self.shaped(node, parts[0][0], shape))
        else:
            inputs = tuple(i for i, _ in parts)
            self.put(node, join, inputs, (None,) * len(inputs), {"shape": shape, "boxes": tuple(box for _, box in parts)})
        return True

    def laid_out(self, node: GraphNode, windows: GraphNode) -> bool:
        """Windows that do not overlap are parts side by side, one for each place in a window."""
        shape, static = windows.shape or (), node.static
        axis, rank = static["axis"], len(static["lengths"])
        kernel, counts = shape[axis : axis + rank], shape[axis + rank : axis + 2 * rank]
        if 0 in shape or math.prod(kernel) > MANY or any(s < r for s, r in zip(static["stride"], reach(kernel, static["dilation"]), strict=True)):
            return False
        before, after = whole(shape[:axis]), whole(shape[axis + 2 * rank :])
        parts = []
        for place in np.ndindex(*kernel):
            index = (*(slice(None),) * axis, *map(int, place))
            part = self.add(node, registry["getitem"], (windows.index,), (None,), (*shape[:axis], *counts, *shape[axis + 2 * rank :]), {"index": index})
            middle = tuple(Along(int(k) * d, s, n) for k, d, s, n in zip(place, static["dilation"], static["stride"], counts, strict=True))
            parts.append((part, (*before, *middle, *after)))
        return self.put_join(node, parts)

    def unshaped(self, i: int) -> int:
        """A value before it got or lost axes of length 1."""
        source = self.nodes[i]
        while source.primitive is registry["reshape"] and squeezed(source.shape) == squeezed(self.nodes[source.inputs[0]].shape):
            source = self.nodes[source.inputs[0]]
        return source.index

    def zeros(self, node: GraphNode) -> None:
        """Put zeros."""
        shape = node.shape or ()
        number = self.constant(node, np.zeros((), node.dtype))
        if shape:
            self.put(node, registry["broadcast_to"], (number,), (None,), {"shape": shape})

    def is_zero(self, node: GraphNode) -> bool:
        """Whether all elements are known to be 0."""
        if node.primitive is not None and node.primitive.name in ("broadcast_to", "reshape"):
            return self.is_zero(self.nodes[node.inputs[0]])
        return node.kind == "constant" and node.value is not None and node.value.size <= LARGEST and not np.any(node.value)

    def added(self, node: GraphNode, one: GraphNode, other: GraphNode) -> bool:
        """Leave out + 0, and put parts that do not overlap side by side."""
        for zero, rest in ((one, other), (other, one)):
            if self.is_zero(zero):
                self.same(node, rest.index)
                return True
        if one.primitive is not join or other.primitive is not join:
            return False
        first, second = one.static["boxes"], other.static["boxes"]
        if not apart(_hull(first), _hull(second)) and (len(first) * len(second) > LARGEST or not all(apart(a, b) for a in first for b in second)):
            return False
        return self.put_join(node, [*zip(one.inputs, first, strict=True), *zip(other.inputs, second, strict=True)])

    def part_of(self, node: GraphNode, source: GraphNode) -> bool:
        """A slice of a join that is in one of its parts, or between them."""
        if source.primitive is not join or not node.shape:
            return False
        wanted = boxed(node.static["index"], source.shape or ())
        near = [(i, box) for i, box in zip(source.inputs, source.static["boxes"], strict=True) if not apart(box, wanted)]
        if not near:
            self.zeros(node)
            return True
        found: list[Along | None] = [a.within(b) for a, b in zip(wanted, near[0][1], strict=True)]
        if len(near) > 1 or None in found:
            return False
        inner: Any = tuple(along.slice for along in found if along is not None)
        i = self.shaped(node, near[0][0], counts(near[0][1]))
        if tuple(along for along in found if along is not None) != whole(self.nodes[i].shape or ()):
            i = self.add(node, registry["getitem"], (i,), (None,), counts(wanted), {"index": inner})
        self.same(node, self.shaped(node, i, node.shape))
        return True


def _hull(boxes: tuple[Box, ...]) -> Box:
    """The smallest box of step 1 that has all in it."""
    found = []
    for parts in zip(*boxes, strict=True):
        upward = [part.upward() for part in parts]
        low, high = min(part.start for part in upward), max(part.start + part.step * (part.length - 1) for part in upward)
        found.append(Along(low, 1, high - low + 1))
    return tuple(found)

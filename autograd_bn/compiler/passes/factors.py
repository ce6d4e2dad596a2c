"""Factors: what is the same along the axes of a sum is taken out of it, so that fewer sums, over simpler terms, are left.

Exact in real numbers only, so it is for native kernels, whose sums run in another order than NumPy's anyway. A sum of differences such as Σ(x − μ) stays as it
is written: split, it would lose what the subtraction kept. Σ(a·p + b·q), with p and q the same for all terms, is split, because each of its terms carries the
rounding of its own product already.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.core.axes import kept_shape
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import broadcast_shapes, registry

Axes = tuple[int, ...]


class _Product(NamedTuple):
    """Factors of a value. ``lone`` are the same along the summed axes, each by which operation, and the index of a node, or None and a plain number."""

    sign: int
    terms: tuple[int, ...]
    lone: tuple[tuple[str, int | None, Any], ...]


def factored(graph: Graph) -> Graph:
    """The graph with sums of products simplified, and means as sums divided by their number."""
    new = Rewrite(graph)
    for node in graph.nodes:
        if not _is_sum(node) or not _Sum(new, node).written():
            new.keep(node)
    return new.graph()


def _is_sum(node: GraphNode) -> bool:
    return node.primitive is not None and node.primitive.name in ("sum", "mean") and node.dtype is not None and node.dtype.kind == "f"


class _Sum:
    """One sum that is being written anew."""

    def __init__(self, new: Rewrite, node: GraphNode) -> None:
        self.new = new
        self.node = node
        self.source = new.nodes[new.place[node.inputs[0]]]
        shape = self.source.shape or ()
        self.axes: Axes = node.static["axis"]
        self.shape = shape
        self.kept = kept_shape(shape, self.axes)
        self.count = int(np.prod([shape[a] for a in self.axes], dtype=int))

    def written(self) -> bool:
        """Put the new form, if there is one; an empty sum, or one of another dtype, stays."""
        if not self.count or self.source.dtype != self.node.dtype:
            return False
        if self.count == 1:
            self.new.put(self.node, registry["reshape"], (self.source.index,), (None,), {"shape": self.node.shape})
            return True
        out = self.sum_of(self.source.index)
        if self.node.primitive is registry["mean"]:
            out = self.put("div", (out,), (None, self.count))
        if self.new.nodes[out].shape != self.node.shape:
            out = self.new.put(self.node, registry["reshape"], (out,), (None,), {"shape": self.node.shape})
        self.new.same(self.node, out)
        return True

    def sum_of(self, index: int) -> int:
        """The place of the sum, its axes kept, of a value of the new graph."""
        node = self.new.nodes[index]
        name = node.primitive.name if node.primitive is not None else ""
        if name in ("add", "sub") and len(node.inputs) == 2 and node.shape == self.shape:
            parts = [self.product(i, 1) for i in node.inputs]
            if all(part.lone and self.full(part.terms) for part in parts):
                return self.put(name, tuple(map(self.total, parts)), (None, None))
        if name == "neg":
            return self.put("neg", (self.sum_of(node.inputs[0]),), (None,))
        part = self.product(index, 1)
        return self.total(part) if part.lone and self.full(part.terms) else self.plain(index)

    def product(self, index: int, sign: int) -> _Product:
        """The factors of a value."""
        node = self.new.nodes[index]
        name = node.primitive.name if node.primitive is not None else ""
        if self.is_lone(node):
            return _Product(sign, (), (("mul", index, None),))
        if any(self.new.nodes[i].dtype != self.node.dtype for i in (index, *node.inputs)):  # the sum of whole numbers is another
            return _Product(sign, (index,), ())
        if name == "neg":
            return self.product(node.inputs[0], -sign)
        if name == "mul":
            terms: list[int] = []
            lone: list[tuple[str, int | None, Any]] = [("mul", None, number) for number in node.constants if number is not None]
            for i in node.inputs:
                part = self.product(i, 1)
                sign, terms, lone = sign * part.sign, [*terms, *part.terms], [*lone, *part.lone]
            return _Product(sign, tuple(terms), tuple(lone))
        if name == "div" and node.constants[0] is None:
            part = self.product(node.inputs[0], sign)
            if node.constants[1] is not None:
                return part._replace(lone=(*part.lone, ("div", None, node.constants[1])))
            if self.is_lone(self.new.nodes[node.inputs[1]]):
                return part._replace(lone=(*part.lone, ("div", node.inputs[1], None)))
        return _Product(sign, (index,), ())

    def is_lone(self, node: GraphNode) -> bool:
        """Whether a value is the same along the summed axes."""
        shape = node.shape or ()
        padded = (1,) * (len(self.shape) - len(shape)) + shape
        return node.dtype == self.node.dtype and all(padded[a] == 1 for a in self.axes)

    def full(self, terms: tuple[int, ...]) -> bool:
        """Whether the product of the terms is as long as the sum along the summed axes."""
        shape = broadcast_shapes((1,) * len(self.shape), *(self.new.nodes[i].shape or () for i in terms))
        return all(shape[a] == self.shape[a] for a in self.axes)

    def total(self, part: _Product) -> int:
        """The sum of the terms' product, multiplied by the lone factors."""
        first, *rest = sorted(part.terms)
        for i in rest:
            first = self.put("mul", (first, i), (None, None))
        out = self.plain(first)
        for name, place, number in part.lone:
            out = self.put(name, (out,) if place is None else (out, place), (None, number))
        return self.put("neg", (out,), (None,)) if part.sign < 0 else out

    def plain(self, index: int) -> int:
        """A sum as it is."""
        shape = self.new.nodes[index].shape or ()
        ahead = len(self.shape) - len(shape)
        axes = tuple(a - ahead for a in self.axes if a >= ahead)
        if not axes:
            return index
        return self.put("sum", (index,), (None,), kept_shape(shape, axes), {"axis": axes, "keepdims": True})

    def put(self, name: str, inputs: tuple[int, ...], numbers: tuple[Any, ...], shape: tuple[int, ...] | None = None, static: Any = None) -> int:
        """Add an operation; its shape is found by broadcasting unless given."""
        shapes = [self.new.nodes[i].shape or () for i in inputs]
        return self.new.add(self.node, registry[name], inputs, numbers, broadcast_shapes(*shapes) if shape is None else shape, static or {})

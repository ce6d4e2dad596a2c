"""What native code makes of each operation: part of a loop, a matrix product, another look at the same memory, or nothing (NumPy does it)."""

from __future__ import annotations

import enum
import math
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.compiler.moves import Box, join
from autograd_bn.compiler.scalar_code import DTYPES, NEUTRAL, knows
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry
from autograd_bn.core.state import Scope
from autograd_bn.ops.indexing import is_basic

Shape = tuple[int, ...]


def uniform(node: GraphNode) -> Any:
    """The element of a small constant whose elements are all the same; None for other nodes."""
    array = node.value
    if node.kind != "constant" or array is None or not 0 < array.size <= 4096:
        return None
    first = array.ravel()[0]
    return first if array.tobytes() == first.tobytes() * array.size else None


class Kind(enum.Enum):
    """What becomes of an operation."""

    SOURCE = "source"
    POINT = "element by element"
    REDUCTION = "reduction"
    VIEW = "view"
    PRODUCT = "matrix product"
    OVERLAP = "windows added up"
    INDEXED = "places along an axis"
    JOINED = "parts side by side"
    FOREIGN = "NumPy"


class Layout(NamedTuple):
    """Where an element is in memory: ``offset + Σ index·stride``, in elements from the start of ``base``, the node that owns the memory."""

    base: int
    strides: Shape
    offset: int = 0

    def part(self, box: Box, shape: Shape) -> Layout:
        """Where a part of it is, whose shape may have other axes of length 1 than the box."""
        start = self.offset + sum(along.start * step for along, step in zip(box, self.strides, strict=True))
        long = iter([along.step * step for along, step in zip(box, self.strides, strict=True) if along.length != 1])
        return Layout(self.base, tuple(next(long) if n != 1 else 1 for n in shape), start)


def contiguous(shape: Shape) -> Shape:
    """The strides of an array in C order."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def window_strides(strides: Shape, axis: int, rank: int, stride: Shape, dilation: Shape) -> Shape:
    """The strides of the windows of an array: from place to place in one, and from one to the next."""
    across = strides[axis : axis + rank]
    places, starts = (tuple(n * step for n, step in zip(steps, across, strict=True)) for steps in (dilation, stride))
    return (*strides[:axis], *places, *starts, *strides[axis + rank :])


KERNEL: CodeType = contiguous.__code__
"""The code of the scopes that are kernels."""


def is_kernel(scope: Scope | None) -> bool:
    """Whether a scope is a kernel."""
    return scope is not None and scope.code is KERNEL


def squeezed(shape: Shape | None) -> Shape:
    """The shape without axes of length 1."""
    return tuple(n for n in shape or () if n != 1)


def _in_loop(node: GraphNode) -> bool:
    assert node.primitive is not None
    return node.primitive.pointwise or node.primitive.code is not None


def _sliced(old: Layout, shape: Shape, index: Any) -> Layout:
    """The layout after basic indexing: NumPy does it on an array of bytes whose strides are those of the layout, without looking at any."""
    key = index if type(index) is tuple else (index,)
    whole = key if any(part is Ellipsis for part in key) else (*key, Ellipsis)  # an array comes out, not a number
    before = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), shape, old.strides)
    after = before[whole]
    offset = after.__array_interface__["data"][0] - before.__array_interface__["data"][0]
    return Layout(old.base, after.strides, old.offset + offset)


class Kinds:
    """The kind of each node, and the layout that its value has wherever it is in memory."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kind: list[Kind] = []
        self.layout: list[Layout] = []
        self.looped = {i for node in graph.nodes if node.primitive is not None and _in_loop(node) for i in node.inputs}
        self.home: dict[int, tuple[int, Box]] = {}
        """The join that a value is part of, and where."""
        homes = self._homes()
        for node in graph.nodes:
            layout = homes.get(node.index, Layout(node.index, contiguous(node.shape or ())))
            kind = self._kind(node)
            if kind is Kind.VIEW:
                seen = self._seen(node)
                if seen is None:
                    kind = Kind.FOREIGN
                else:
                    layout = seen
            self.kind.append(kind)
            self.layout.append(layout)

    def _homes(self) -> dict[int, Layout]:
        """The layouts of what is part of a join: from the last join, whose memory is its own, to the first, which may be part of another."""
        found: dict[int, Layout] = {}
        for node in reversed(self.graph.nodes):
            if node.primitive is join:
                own = found.get(node.index, Layout(node.index, contiguous(node.shape or ())))
                for i, box in zip(node.inputs, node.static["boxes"], strict=True):
                    found[i] = own.part(box, self.graph.nodes[i].shape or ())
                    self.home[i] = (node.index, box)
        return found

    def in_loop(self, i: int) -> bool:
        """Whether an operation is part of a loop."""
        return self.kind[i] is Kind.POINT or self.kind[i] is Kind.REDUCTION

    def axes(self, node: GraphNode) -> Shape:
        """The axes that a reduction is over, of its operand without axes of length 1."""
        shape = self.graph.nodes[node.inputs[0]].shape or ()
        long = [a for a, n in enumerate(shape) if n != 1]
        return tuple(k for k, a in enumerate(long) if a in node.static["axis"])

    def overwrite(self, index: int, base: int) -> None:
        """Have a value, and all that looks at its memory, lie in the memory of another that is at least as large."""
        self.layout = [layout._replace(base=base) if layout.base == index else layout for layout in self.layout]

    def _kind(self, node: GraphNode) -> Kind:
        primitive = node.primitive
        if primitive is None:
            return Kind.SOURCE
        shapes = [self.graph.nodes[i].shape for i in node.inputs] + [node.shape]
        if any(shape is None or 0 in shape for shape in shapes) or node.dtype not in DTYPES or not node.inputs:
            return Kind.FOREIGN
        first = self.graph.nodes[node.inputs[0]]
        if is_kernel(node.scope):
            return Kind.REDUCTION if primitive.code is not None and "axis" in node.static else Kind.POINT
        if primitive.pointwise or primitive is registry["astype"]:
            return Kind.POINT if knows(node, self.graph) else Kind.FOREIGN
        if primitive.code is not None and "axis" in node.static:
            if all((first.shape or ())[a] == 1 for a in node.static["axis"]):
                return Kind.FOREIGN
            if first.dtype not in DTYPES:
                return Kind.FOREIGN
            good = primitive.code in NEUTRAL and (node.dtype.kind == "f") == (first.dtype.kind == "f")
            return Kind.REDUCTION if good or node.dtype == np.bool_ else Kind.FOREIGN
        if primitive is registry["broadcast_to"]:
            return Kind.POINT
        if primitive is join:
            return Kind.JOINED
        if primitive is registry["matmul"]:
            return Kind.PRODUCT if self._is_product(node) else Kind.FOREIGN
        if primitive is registry["reshape"]:
            kind = self.kind[first.index]
            if squeezed(first.shape) == squeezed(node.shape) and (kind is Kind.POINT or (kind is Kind.REDUCTION and node.index in self.looped)):
                return Kind.POINT
            return Kind.VIEW
        if primitive is registry["overlap_add"]:
            return Kind.OVERLAP if node.dtype != np.bool_ and first.dtype == node.dtype else Kind.FOREIGN
        if primitive in (registry["take_along_axis"], registry["add_along_axis"]):
            return Kind.INDEXED if self._is_indexed(node) else Kind.FOREIGN
        if primitive in (registry["permute_dims"], registry["windows"]) or (primitive is registry["getitem"] and is_basic(node.static["index"])):
            return Kind.VIEW
        return Kind.FOREIGN

    def _seen(self, node: GraphNode) -> Layout | None:
        """The layout of a view; None if it would have to be copied."""
        first = node.inputs[0]
        old = self.layout[first]
        if node.primitive is registry["permute_dims"]:
            return Layout(old.base, tuple(old.strides[a] for a in node.static["axes"]), old.offset)
        shape = self.graph.nodes[first].shape or ()
        if node.primitive is registry["windows"]:
            static = node.static
            return old._replace(strides=window_strides(old.strides, static["axis"], len(static["kernel"]), static["stride"], static["dilation"]))
        if node.primitive is registry["getitem"]:
            return _sliced(old, shape, node.static["index"])
        if old.strides != contiguous(shape):
            return None
        return Layout(old.base, contiguous(node.shape or ()), old.offset)

    def _is_indexed(self, node: GraphNode) -> bool:
        if len(node.inputs) != 2:
            return False
        x, places = (self.graph.nodes[i] for i in node.inputs)
        fits = x.dtype == node.dtype and places.dtype in (np.int32, np.int64)
        return fits and (node.primitive is registry["take_along_axis"] or (x.shape == places.shape and node.dtype != np.bool_))

    def _is_product(self, node: GraphNode) -> bool:
        x, y = (self.graph.nodes[i] for i in node.inputs) if len(node.inputs) == 2 else (node, node)
        if node.dtype is None or node.dtype.kind != "f" or x.dtype != node.dtype or y.dtype != node.dtype or not x.shape or not y.shape:
            return False
        # BLAS reads rows or columns that lie one after the other.
        return all(self.matrix(i) is not None for i in node.inputs) and math.prod(x.shape) < 2**31 and math.prod(y.shape) < 2**31

    def matrix(self, index: int) -> tuple[bool, int] | None:
        """How BLAS reads the last two axes of a value: whether transposed, and how far its rows lie apart. A vector is a column."""
        shape, strides = self.graph.nodes[index].shape or (), self.layout[index].strides
        if len(shape) == 1:
            return (False, 1) if strides[0] == 1 else None
        (rows, columns), (down, right) = shape[-2:], strides[-2:]
        if right == 1 and (down >= columns or rows == 1):
            return False, max(down, columns)
        if down == 1 and (right >= rows or columns == 1):
            return True, max(right, rows)
        if columns == 1 and down >= 1:
            return False, down
        return (True, right) if rows == 1 and right >= 1 else None

"""Functions with loops of their own, which are part of no kernel: windows added up where they overlap, elements taken from and added to places."""

from __future__ import annotations

import math
from collections.abc import Callable

from llvmlite import ir

from autograd_bn.compiler.kinds import Kind, Kinds, Shape, window_strides
from autograd_bn.compiler.llvm_loops import counted
from autograd_bn.compiler.llvm_scalar import INDEX, POINTER, WORD, stored
from autograd_bn.core.primitive import registry


class NestWriter:
    """Writes a function of pointers to the first elements of the operands and the result; it gives 1 where it fails."""

    def __init__(self, module: ir.Module, kinds: Kinds, i: int, name: str) -> None:
        nodes = kinds.graph.nodes
        self.kinds = kinds
        self.node = nodes[i]
        self.values = (*self.node.inputs, i)
        self.shapes = [nodes[j].shape or () for j in self.values]
        self.strides = [kinds.layout[j].strides for j in self.values]
        self.types = [stored(nodes[j].dtype) for j in self.values]  # type: ignore[arg-type]
        self.function = ir.Function(module, ir.FunctionType(WORD, [POINTER] * len(self.values)), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        for argument in self.function.args:
            argument.add_attribute("noalias")
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.failed = self.builder.alloca(WORD)
        self.builder.store(WORD(0), self.failed)
        if kinds.kind[i] is Kind.OVERLAP:
            self.overlap()
        else:
            self.indexed()
        self.builder.ret(self.builder.load(self.failed, typ=WORD))

    @staticmethod
    def signature(kinds: Kinds, i: int) -> tuple[object, ...]:
        """All that the function depends on."""
        nodes = kinds.graph.nodes
        node = nodes[i]
        values = tuple((nodes[j].shape, nodes[j].dtype, kinds.layout[j].strides) for j in (*node.inputs, i))
        return (node.primitive, values, tuple(sorted(node.static.items())))

    def overlap(self) -> None:
        """Add windows up."""
        static = self.node.static
        target = window_strides(self.strides[-1], static["axis"], len(static["lengths"]), static["stride"], static["dilation"])
        self.clear()
        self.nest(
            self.builder,
            merged(self.shapes[0], self.strides[0], target),
            [INDEX(0)] * 2,
            lambda inside, at: self.add_to(inside, at[1], self.get(inside, 0, at[0])),
        )

    def indexed(self) -> None:
        """Take elements from places along an axis, or add them there."""
        takes = self.node.primitive is registry["take_along_axis"]
        axis = self.node.static["axis"]
        shape = self.shapes[-1] if takes else self.shapes[0]
        there = 0 if takes else 2  # whose elements the places are
        steps = [tuple(0 if n == 1 else step for n, step in zip(own, strides, strict=True)) for own, strides in zip(self.shapes, self.strides, strict=True)]
        along, length = self.strides[there][axis], self.shapes[there][axis]
        steps[there] = (*steps[there][:axis], 0, *steps[there][axis + 1 :])

        def body(inside: ir.IRBuilder, at: list[ir.Value]) -> None:
            place = self.get(inside, 1, at[1])
            place = inside.sext(place, INDEX) if place.type != INDEX else place
            place = inside.select(inside.icmp_signed("<", place, INDEX(0)), inside.add(place, INDEX(length)), place)
            good = inside.icmp_unsigned("<", place, INDEX(length))
            inside.store(inside.or_(inside.load(self.failed, typ=WORD), inside.zext(inside.not_(good), WORD)), self.failed)
            place = inside.add(at[there], inside.mul(inside.select(good, place, INDEX(0)), INDEX(along)))
            if takes:
                self.put(inside, at[2], self.get(inside, 0, place))
            else:
                self.add_to(inside, place, self.get(inside, 0, at[0]))

        if not takes:
            self.clear()
        self.nest(self.builder, merged(shape, *steps), [INDEX(0)] * 3, body)

    # Parts

    def clear(self) -> None:
        """Fill the result with zeros."""
        counted(self.builder, math.prod(self.shapes[-1]), lambda inside, counter: self.put(inside, counter, ir.Constant(self.types[-1], 0)))

    def get(self, builder: ir.IRBuilder, k: int, place: ir.Value) -> ir.Value:
        """An element of an operand."""
        return builder.load(builder.gep(self.function.args[k], [place], inbounds=True, source_etype=self.types[k]), typ=self.types[k])

    def put(self, builder: ir.IRBuilder, place: ir.Value, value: ir.Value) -> None:
        """Write an element of the result."""
        builder.store(value, builder.gep(self.function.args[-1], [place], inbounds=True, source_etype=self.types[-1]))

    def add_to(self, builder: ir.IRBuilder, place: ir.Value, value: ir.Value) -> None:
        """Add to an element of the result."""
        old = self.get(builder, len(self.values) - 1, place)
        self.put(builder, place, builder.add(old, value) if isinstance(value.type, ir.IntType) else builder.fadd(old, value))

    def nest(self, builder: ir.IRBuilder, axes: list[Shape], at: list[ir.Value], body: Callable[[ir.IRBuilder, list[ir.Value]], None]) -> None:
        """Loops over axes, each a length and the steps in all values."""
        if not axes:
            body(builder, at)
            return
        size, *steps = axes[0]

        def step(inside: ir.IRBuilder, counter: ir.Value) -> None:
            further = [inside.add(place, inside.mul(counter, INDEX(step), flags=("nsw",)), flags=("nsw",)) for place, step in zip(at, steps, strict=True)]
            self.nest(inside, axes[1:], further, body)

        counted(builder, size, step)


def merged(shape: Shape, *strides: Shape) -> list[Shape]:
    """Axes as their length and the steps along them; those that go on where the next one ends are one."""
    found: list[Shape] = []
    for n, *steps in zip(shape, *strides, strict=True):
        if n == 1:
            continue
        if found and list(found[-1][1:]) == [n * step for step in steps]:
            found[-1] = (found[-1][0] * n, *steps)
        else:
            found.append((n, *steps))
    return found

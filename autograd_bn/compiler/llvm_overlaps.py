"""Windows added up where they overlap, as native code: the adjoint of a convolution's windows, one row of it after the other."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from autograd_bn.compiler.kinds import Kinds, contiguous, window_strides
from autograd_bn.compiler.llvm_scalar import TYPES

INDEX = ir.IntType(64)
POINTER = ir.PointerType()


class OverlapWriter:
    """Writes ``out = overlap_add(x)`` as a function of pointers to the first elements of the two."""

    def __init__(self, module: ir.Module, kinds: Kinds, i: int, name: str) -> None:
        node = kinds.graph.nodes[i]
        (j,) = node.inputs
        assert node.dtype is not None
        self.kind = TYPES[node.dtype]
        shape = kinds.graph.nodes[j].shape or ()
        static = node.static
        target = window_strides(contiguous(node.shape or ()), static["axis"], len(static["lengths"]), static["stride"], static["dilation"])
        self.axes = _merged(shape, kinds.layout[j].strides, target)
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * 2), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        for argument in self.function.args:
            argument.add_attribute("noalias")
        builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.loop(builder, math.prod(node.shape or ()), lambda inside, counter: self.put(inside, counter, ir.Constant(self.kind, 0)))
        self.nest(builder, 0, [INDEX(0), INDEX(0)])
        builder.ret_void()

    @staticmethod
    def signature(kinds: Kinds, i: int) -> tuple[object, ...]:
        """All that the function depends on."""
        node = kinds.graph.nodes[i]
        (j,) = node.inputs
        return ("overlap", node.shape, node.dtype, kinds.graph.nodes[j].shape, kinds.layout[j].strides, tuple(sorted(node.static.items())))

    def nest(self, builder: ir.IRBuilder, k: int, places: list[ir.Value]) -> None:
        """The loops over the axes from the k-th on."""
        if k == len(self.axes):
            source, target = places
            x = builder.load(builder.gep(self.function.args[0], [source], inbounds=True, source_etype=self.kind), typ=self.kind)
            old = builder.load(builder.gep(self.function.args[1], [target], inbounds=True, source_etype=self.kind), typ=self.kind)
            self.put(builder, target, builder.fadd(old, x) if isinstance(self.kind, (ir.FloatType, ir.DoubleType)) else builder.add(old, x))
            return
        size, *steps = self.axes[k]

        def step(inside: ir.IRBuilder, counter: ir.Value) -> None:
            further = [inside.add(place, inside.mul(counter, INDEX(step), flags=("nsw",)), flags=("nsw",)) for place, step in zip(places, steps, strict=True)]
            self.nest(inside, k + 1, further)

        self.loop(builder, size, step)

    def put(self, builder: ir.IRBuilder, place: ir.Value, value: ir.Value) -> None:
        """Write an element."""
        builder.store(value, builder.gep(self.function.args[1], [place], inbounds=True, source_etype=self.kind))

    def loop(self, builder: ir.IRBuilder, size: int, emit: Any) -> None:
        """A loop of a counter below ``size``."""
        head, after = self.function.append_basic_block(), self.function.append_basic_block()
        before = builder.block
        builder.branch(head)
        inside = ir.IRBuilder(head)
        counter = inside.phi(INDEX)
        emit(inside, counter)
        following = inside.add(counter, INDEX(1), flags=("nuw", "nsw"))
        counter.add_incoming(INDEX(0), before)
        counter.add_incoming(following, inside.block)
        inside.cbranch(inside.icmp_unsigned("<", following, INDEX(size)), head, after)
        builder.position_at_end(after)


def _merged(shape: tuple[int, ...], source: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Axes as (length, step in the source, step in the target); those that go on where the next one ends are one."""
    found: list[tuple[int, int, int]] = []
    for n, x, y in zip(shape, source, target, strict=True):
        if n == 1:
            continue
        if found and found[-1][1:] == (n * x, n * y):
            found[-1] = (found[-1][0] * n, x, y)
        else:
            found.append((n, x, y))
    return found

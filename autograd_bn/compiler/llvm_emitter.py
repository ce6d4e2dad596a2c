"""A graph as native code: kernels and matrix products as few calls as there can be, NumPy for the operations between that native code does not know."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from autograd_bn.compiler import disk_cache
from autograd_bn.compiler.kernel import Kernel, kernels
from autograd_bn.compiler.kinds import Kind, Kinds
from autograd_bn.compiler.llvm_kernel import KernelWriter
from autograd_bn.compiler.llvm_products import ProductWriter
from autograd_bn.compiler.machine import Code, ObjectLayout, compiled
from autograd_bn.compiler.numpy_emitter import Writer
from autograd_bn.compiler.plan import Emitted
from autograd_bn.compiler.readable import loops, product
from autograd_bn.core.graph import Graph

ALIGNMENT = 64
ARENA = -1
"""Stands for the arena among nodes."""
INDEX = ir.IntType(64)
POINTER = ir.PointerType()


class _Call(NamedTuple):
    """A native function, and what its pointers point to: the memory of a node, or a kernel's scratch memory under -1 - node."""

    function: ir.Function
    bases: tuple[int, ...]


class _Emitter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kinds = Kinds(graph)
        self.module = ir.Module("autograd_bn")
        self.units = [unit for unit in kernels(graph, self.kinds) if isinstance(unit, tuple) or self.kind(unit) not in (Kind.SOURCE, Kind.VIEW)]
        self.visible = {self.base(i) for i in graph.outputs}
        for node in graph.nodes:
            if self.kind(node.index) is Kind.FOREIGN:
                self.visible |= {self.base(i) for i in node.inputs}
        self.stored = self.visible | {self.base(i) for unit in self.units for i in self.read(unit)}
        self.ordered()
        self.calls: dict[int, _Call] = {}
        self.kernels: dict[int, Kernel] = {}
        self.scratch: dict[int, tuple[int, int]] = {}
        self.segments: list[list[int]] = []
        for k, unit in enumerate(self.units):
            if self.foreign(unit):
                continue
            self.calls[k] = self.call(k, unit)
            if k == 0 or self.foreign(self.units[k - 1]):
                self.segments.append([])
            self.segments[-1].append(k)
        self.places, self.nbytes = self.arena()
        self.tables = [self.segment(n, members) for n, members in enumerate(self.segments)]

    def kind(self, i: int) -> Kind:
        return self.kinds.kind[i]

    def base(self, i: int) -> int:
        return self.kinds.layout[i].base

    def foreign(self, unit: tuple[int, ...] | int) -> bool:
        return isinstance(unit, int) and self.kind(unit) is Kind.FOREIGN

    def read(self, unit: tuple[int, ...] | int) -> Iterator[int]:
        """What a unit reads that it does not make."""
        members = (unit,) if isinstance(unit, int) else unit
        inside = set(members)
        return (j for i in members for j in self.graph.nodes[i].inputs if j not in inside)

    def ordered(self) -> None:
        """Put the units so that native ones follow each other as long as possible."""
        turn: dict[int, int] = {}
        foreign: set[int] = set()
        keyed = []
        for k, unit in enumerate(self.units):
            members = (unit,) if isinstance(unit, int) else unit
            strange = self.foreign(unit)
            now = max((turn[b] + (b in foreign and not strange) for b in map(self.base, self.read(unit)) if b in turn), default=0)
            turn.update(dict.fromkeys(members, now))
            if strange:
                foreign.update(members)
            keyed.append((now, strange, k))
        self.units = [self.units[k] for _, _, k in sorted(keyed)]

    # Native functions

    def call(self, k: int, unit: tuple[int, ...] | int) -> _Call:
        if isinstance(unit, int):
            made = ProductWriter(self.module, self.kinds, unit, f"product{k}")
            return _Call(made.function, (*(self.base(i) for i in self.graph.nodes[unit].inputs), unit))
        kernel = self.kernels[k] = Kernel(self.graph, self.kinds, list(unit), self.stored & set(unit))
        writer = KernelWriter(self.module, kernel, f"kernel{k}")
        for base in writer.bases:
            if base < 0:
                row = math.prod(kernel.space[len(kernel.space) - kernel.inner :])
                self.scratch[base] = (k, row * (self.graph.nodes[-1 - base].dtype or np.dtype(float)).itemsize)
        return _Call(writer.function, tuple(writer.bases))

    def size(self, i: int) -> int:
        node = self.graph.nodes[i]
        return math.prod(node.shape or ()) * (node.dtype or np.dtype(float)).itemsize

    def arena(self) -> tuple[dict[int, int], int]:
        """Where in the memory that is kept from call to call each value is that only native code sees, and how large that memory is."""
        life: dict[int, tuple[int, int, int]] = {base: (k, k, size) for base, (k, size) in self.scratch.items()}
        for k, call in self.calls.items():
            for base in call.bases:
                if base >= 0 and base not in self.visible and self.kind(base) not in (Kind.SOURCE, Kind.FOREIGN):
                    start = life[base][0] if base in life else k
                    life[base] = (start, k, self.size(base))
        places: dict[int, int] = {}
        taken: list[tuple[int, int, int]] = []  # start, end, until which call
        top = 0
        for base, (start, end, size) in sorted(life.items(), key=lambda item: item[1][0]):
            taken = sorted(t for t in taken if t[2] >= start)
            place = 0
            for low, high, _ in taken:
                if place + size <= low:
                    break
                place = max(place, -(-high // ALIGNMENT) * ALIGNMENT)
            places[base] = place
            taken.append((place, place + size, end))
            top = max(top, place + size)
        return places, top

    def segment(self, n: int, members: list[int]) -> list[int]:
        """A native function of one tuple, the arena and arrays, that calls what follows each other; gives the arrays' nodes."""
        table: dict[int, int] = {}
        for k in members:
            for base in self.calls[k].bases:
                if base not in self.places:
                    table.setdefault(base, len(table) + 1)
        function = ir.Function(self.module, ir.FunctionType(ir.IntType(32), [POINTER]), f"segment{n}")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        (given,) = function.args
        pointers: dict[int, ir.Value] = {}
        flags = ir.Constant(ir.IntType(32), ObjectLayout.ready)
        for base, position in ((ARENA, 0), *table.items()):
            item = builder.load(_at(builder, given, ObjectLayout.items + 8 * position), typ=POINTER)
            pointers[base] = builder.load(_at(builder, item, ObjectLayout.data), typ=POINTER)
            if base != ARENA:
                flags = builder.and_(flags, builder.load(_at(builder, item, ObjectLayout.flags), typ=ir.IntType(32)))
        with builder.if_then(builder.icmp_unsigned("!=", flags, ir.Constant(ir.IntType(32), ObjectLayout.ready)), likely=False):
            builder.ret(ir.Constant(ir.IntType(32), 1))
        arena = pointers[ARENA]
        for k in members:
            call = self.calls[k]
            builder.call(call.function, [_at(builder, arena, self.places[base]) if base in self.places else pointers[base] for base in call.bases])
        builder.ret(ir.Constant(ir.IntType(32), 0))
        return list(table)


def _at(builder: ir.IRBuilder, pointer: ir.Value, offset: int) -> ir.Value:
    return builder.gep(pointer, [INDEX(offset)], inbounds=True, source_etype=ir.IntType(8)) if offset else pointer


class _Arenas:
    """Memory that calls take and give back; as many as there were calls at a time."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.free: list[Any] = []

    def take(self) -> Any:
        """One that nobody uses."""
        try:
            return self.free.pop()
        except IndexError:
            whole = np.empty(self.nbytes + ALIGNMENT, np.uint8)
            start = -whole.ctypes.data % ALIGNMENT
            return whole[start : start + self.nbytes]


def _again(segment: Callable[[Any], int], arguments: tuple[Any, ...]) -> None:
    """Call with arrays that native code can read."""
    if segment(tuple(np.require(x, requirements=["C", "A"]) for x in arguments)):
        raise AssertionError("native code refused arrays in C order")


def emit(graph: Graph) -> Emitted:
    """Compile a fused graph."""
    emitter = _Emitter(graph)
    code = Code(compiled(emitter.module))
    writer = Writer(graph)
    arenas = _Arenas(emitter.nbytes)
    space = writer.space
    space.update(empty=np.empty, take=arenas.take, give=arenas.free.append, again=_again, asarray=np.asarray)
    names = writer.names
    made_here: set[int] = set()
    body: list[str] = ["arena = take()"]
    shown: set[int] = set()

    def look(i: int) -> None:
        """Have a view as an array."""
        if i not in shown and emitter.kind(i) is Kind.VIEW:
            shown.add(i)
            for j in graph.nodes[i].inputs:
                look(j)
            body.append(writer.line(graph.nodes[i]))

    starts = {members[0]: n for n, members in enumerate(emitter.segments)}
    for k, unit in enumerate(emitter.units):
        if isinstance(unit, int) and emitter.foreign(unit):
            for i in graph.nodes[unit].inputs:
                look(i)
            body.append(writer.line(graph.nodes[unit]))
            continue
        if k not in starts:
            continue
        n = starts[k]
        table = emitter.tables[n]
        for base in table:
            node = graph.nodes[base]
            if node.kind == "operation" and emitter.kind(base) is not Kind.FOREIGN and base not in made_here:
                made_here.add(base)
                body.append(f"{names[base]} = empty({node.shape!r}, {writer.written(node.dtype)})")
        space[f"segment{n}"] = code.call(f"segment{n}")
        body.append(f"a = (arena, {', '.join(_array(emitter, names, base) for base in table)})")
        body.append(f"if segment{n}(a): again(segment{n}, a)")
    for i in graph.outputs:
        look(i)
    body.append("give(arena)")
    results = []
    owners: set[int] = set()
    for i in graph.outputs:
        base = emitter.base(i)
        fresh = base in made_here and base not in owners
        owners.add(base)
        primitive = graph.nodes[base].primitive
        owned = emitter.kind(base) is Kind.FOREIGN and primitive is not None and not primitive.aliases
        results.append(names[i] if fresh or (owned and i == base) else f"{names[i]}.copy()")
    body.append(f"return ({''.join(f'{name}, ' for name in results)})")
    text = "\n".join([f"def kernel({', '.join(writer.inputs)}):", *(f"    {line}" for line in body), ""])
    exec(compile(text, "<ab.jit>", "exec"), space)  # noqa: S102 - the source is made of the names above
    text = "\n".join([*_segments(emitter, names), text])
    summary = f"{len(emitter.calls)} native functions in {len(emitter.segments)} calls, {emitter.nbytes} bytes of memory in between"
    return Emitted(space["kernel"], text, emitter.nbytes, "\n".join(filter(None, [summary, disk_cache.trouble()])))


def _segments(emitter: _Emitter, names: dict[int, str]) -> Iterator[str]:
    """What the native functions do, to read."""
    for n, members in enumerate(emitter.segments):
        yield f"def segment{n}:"
        for k in members:
            unit = emitter.units[k]
            lines = [product(emitter.graph.nodes[unit], names)] if isinstance(unit, int) else loops(emitter.kernels[k], names)
            yield from (f"    {line}" for line in lines)
        yield ""


def _array(emitter: _Emitter, names: dict[int, str], base: int) -> str:
    """An array as an argument of native code; NumPy's scalars become arrays."""
    if emitter.kind(base) is Kind.FOREIGN:
        return f"asarray({names[base]})"
    return names[base]

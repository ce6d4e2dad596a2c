"""A graph as native code: kernels and matrix products as few calls as there can be, NumPy for the operations between that native code does not know."""

from __future__ import annotations

import bisect
import ctypes
import functools
import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from autograd_bn.compiler import disk_cache, objects, threads
from autograd_bn.compiler.explanation import explained
from autograd_bn.compiler.in_place import overwriting
from autograd_bn.compiler.kernel import Kernel, kernels
from autograd_bn.compiler.kinds import Kind, Kinds, contiguous
from autograd_bn.compiler.llvm_kernel import KernelWriter
from autograd_bn.compiler.llvm_nests import NestWriter
from autograd_bn.compiler.llvm_products import ProductWriter
from autograd_bn.compiler.llvm_scalar import INDEX, POINTER, WORD
from autograd_bn.compiler.machine import Code, compiled, python_symbol
from autograd_bn.compiler.native_objects import native_objects
from autograd_bn.compiler.numpy_emitter import Writer
from autograd_bn.compiler.plan import Emitted, Lines, Mismatch
from autograd_bn.compiler.readable import loops, product
from autograd_bn.core.allocation import aligned
from autograd_bn.core.graph import Graph

ALIGNMENT = 64
LARGE = 1 << 17
"""From how many bytes on the memory of results that nobody refers to any more is used again."""
ARENA = -1
"""Stands for the arena among nodes."""
LONG = ir.IntType(8 * ctypes.sizeof(ctypes.c_long))


class _Call(NamedTuple):
    """A native function, and what its pointers point to: the memory of a node, from so many bytes on, or a kernel's scratch memory under -1 - node."""

    function: ir.Function
    bases: tuple[int, ...]
    starts: tuple[int, ...]
    parallel: bool = False
    """Whether it is told how many threads there are."""


class _Made(NamedTuple):
    """A kernel's function, for all that are alike: what it takes, how large scratch memory is, what goes past the caches, how many blocks threads can take."""

    function: ir.Function
    roles: list[tuple[str, int]]
    scratch: list[int]
    streamed: list[int]
    blocks: int = 0


class _Emitter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kinds = Kinds(graph)
        self.module = ir.Module("autograd_bn")
        self.units = [unit for unit in kernels(graph, self.kinds) if isinstance(unit, tuple) or self.kind(unit) not in (Kind.SOURCE, Kind.VIEW, Kind.JOINED)]
        self.visible = {self.base(i) for i in graph.outputs}
        for node in graph.nodes:
            if self.kind(node.index) is Kind.FOREIGN:
                self.visible |= {self.base(i) for i in node.inputs}
        read = {self.base(i) for unit in self.units for i in self.read(unit)}
        self.stored = self.visible | read
        self.final = self.visible - read
        self.ordered()
        self.last = {self.base(i): k for k, unit in enumerate(self.units) for i in self.read(unit)}
        self.calls: dict[int, _Call] = {}
        self.kernels: dict[int, Kernel] = {}
        self.alike: dict[tuple[object, ...], _Made] = {}
        self.streamed: set[int] = set()
        self.blocks: dict[int, int] = {}
        """How many blocks of rows threads can take, by a kernel's first member."""
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

    def forget_module(self) -> None:
        """Let go of the module's objects, which take more memory than the code that was made of them."""
        del self.module
        self.calls.clear()
        self.alike.clear()

    def kind(self, i: int) -> Kind:
        return self.kinds.kind[i]

    def base(self, i: int) -> int:
        return self.kinds.layout[i].base

    def inside(self, base: int) -> bool:
        """Whether only native code sees a memory."""
        return base not in self.visible and self.kind(base) not in (Kind.SOURCE, Kind.FOREIGN)

    def foreign(self, unit: tuple[int, ...] | int) -> bool:
        return isinstance(unit, int) and self.kind(unit) is Kind.FOREIGN

    def shapes_seen(self) -> dict[int, tuple[int, ...] | None]:
        """The shape of arrays that native code makes and that only one view of another shape, in the same order, is seen of."""
        seen: dict[int, set[Any]] = {}
        operands = (i for node in self.graph.nodes if self.kind(node.index) is Kind.FOREIGN for i in node.inputs)
        for i in (*self.graph.outputs, *operands):
            layout, shape = self.kinds.layout[i], self.graph.nodes[i].shape
            size = math.prod(self.graph.nodes[layout.base].shape or ())
            whole = (
                self.kind(i) in (Kind.VIEW, Kind.JOINED) and layout.strides == contiguous(shape or ()) and math.prod(shape or ()) == size and layout.offset == 0
            )
            seen.setdefault(layout.base, set()).add(shape if whole else None)
        native = (Kind.REDUCTION, Kind.PRODUCT, Kind.OVERLAP, Kind.INDEXED, Kind.POINT, Kind.JOINED)
        return {base: next(iter(shapes)) for base, shapes in seen.items() if self.kind(base) in native and len(shapes) == 1 and None not in shapes}

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
            for base in map(self.base, members):
                turn[base] = max(now, turn.get(base, now))
            if strange:
                foreign.update(members)
            keyed.append((now, strange, k))
        self.units = [self.units[k] for _, _, k in sorted(keyed)]

    # Native functions

    def call(self, k: int, unit: tuple[int, ...] | int) -> _Call:
        """The function of a unit; the layers of a network are alike, and share theirs."""
        if isinstance(unit, int):
            writes = ProductWriter if self.kind(unit) is Kind.PRODUCT else NestWriter
            alike = writes.signature(self.kinds, unit)
            if alike not in self.alike:
                self.alike[alike] = _Made(writes(self.module, self.kinds, unit, f"{self.kind(unit).name.lower()}{k}").function, [], [], [])
            values = (*self.graph.nodes[unit].inputs, unit)
            return _Call(self.alike[alike].function, tuple(map(self.base, values)), tuple(self.kinds.layout[i].offset * self.itemsize(i) for i in values))
        stored = {i for i in unit if self.base(i) in self.stored}
        kernel = self.kernels[k] = Kernel(self.graph, self.kinds, list(unit), stored, self.final & set(unit))
        # Into a join's memory others may still write.
        dying = {base for base in map(self.base, self.read(unit)) if self.last[base] == k and self.kind(base) is not Kind.JOINED}
        for i, base in overwriting(kernel, set(filter(self.inside, {*unit, *dying}))).items():
            kernel.overwrite(i, base)
            self.last[base] = self.last[i]
        signature = kernel.signature()
        if signature not in self.alike:
            writer = KernelWriter(self.module, kernel, f"kernel{k}")
            streamed = [kernel.members.index(i) for i in writer.streamed]
            sizes = [writer.scratch.get(base, 0) for base in writer.bases]
            self.alike[signature] = _Made(writer.function, [kernel.role(base) for base in writer.bases], sizes, streamed, writer.blocks * writer.parallel)
        made = self.alike[signature]
        self.streamed |= {kernel.members[n] for n in made.streamed}
        bases = tuple(map(kernel.memory, made.roles))
        self.scratch |= {base: (k, size) for base, size in zip(bases, made.scratch, strict=True) if base < 0}
        starts = tuple(kernel.starts.get(base, 0) * self.itemsize(base) if base >= 0 else 0 for base in bases)
        self.blocks[unit[0]] = made.blocks
        return _Call(made.function, bases, starts, bool(made.blocks))

    def itemsize(self, i: int) -> int:
        return (self.graph.nodes[i].dtype or np.dtype(float)).itemsize

    def size(self, i: int) -> int:
        return math.prod(self.graph.nodes[i].shape or ()) * self.itemsize(i)

    def arena(self) -> tuple[dict[int, int], int]:
        """Where in the memory that is kept from call to call each value is that only native code sees, and how large that memory is."""
        life: dict[int, tuple[int, int, int]] = {base: (k, k, size) for base, (k, size) in self.scratch.items()}
        for k, call in self.calls.items():
            for base in call.bases:
                if base >= 0 and self.inside(base):
                    start = life[base][0] if base in life else k
                    life[base] = (start, k, self.size(base))
        places: dict[int, int] = {}
        taken: list[tuple[int, int, int]] = []  # start, where the next may start, until which call; in this order
        top = 0
        for base, (start, end, size) in sorted(life.items(), key=lambda item: item[1][0]):
            taken = [t for t in taken if t[2] >= start]
            place = 0
            for low, high, _ in taken:
                if place + size <= low:
                    break
                if high > place:
                    place = high
            places[base] = place
            bisect.insort(taken, (place, place + -(-size // ALIGNMENT) * ALIGNMENT, end))
            top = max(top, place + size)
        return places, top

    def segment(self, n: int, members: list[int]) -> list[int]:
        """A native function of NumPy's array type, the arena and arrays, that calls what follows each other; gives the arrays' nodes.

        It is bound to an array, the number of threads. It is called by Python, and gives 0, or 1 where it can not run.
        """
        table: dict[int, int] = {}
        for k in members:
            for base in self.calls[k].bases:
                if base not in self.places:
                    table.setdefault(base, len(table) + 2)
        function = ir.Function(self.module, ir.FunctionType(POINTER, [POINTER, POINTER, INDEX]), f"segment{n}")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        bound, given, _ = function.args
        kind = builder.load(given, typ=POINTER)
        items = {base: builder.load(_at(builder, given, objects.WORD * position), typ=POINTER) for base, position in ((ARENA, 1), *table.items())}
        made = {i for i in self.visible if self.kind(i) not in (Kind.SOURCE, Kind.FOREIGN)}  # allocated for us
        given_in = [base for base in table if base not in made]
        # Nothing is read through what is not known to be an array.
        self.require(builder, [builder.icmp_unsigned("==", builder.load(_at(builder, items[base], objects.TYPE), typ=POINTER), kind) for base in given_in])
        flags: ir.Value = ir.Constant(WORD, objects.READY)
        for base in given_in:
            flags = builder.and_(flags, builder.load(_at(builder, items[base], objects.FLAGS), typ=WORD))
        good = [builder.icmp_unsigned("==", flags, ir.Constant(WORD, objects.READY))]
        good += [self.fits(builder, items[base], base) for base in given_in if self.graph.nodes[base].kind == "leaf"]
        self.require(builder, good)
        pointers = {base: builder.load(_at(builder, item, objects.DATA), typ=POINTER) for base, item in items.items()}
        arena = pointers[ARENA]
        count = builder.load(_at(builder, bound, objects.ITEMS), typ=POINTER)
        count = builder.load(builder.load(_at(builder, count, objects.DATA), typ=POINTER), typ=INDEX)
        thread = builder.call(self.python("PyEval_SaveThread", POINTER, []), [])  # other threads may run meanwhile
        fine: list[ir.Value] = []
        for k in members:
            call = self.calls[k]
            arguments = []
            for base, start in zip(call.bases, call.starts, strict=True):
                whole, place = (arena, self.places[base]) if base in self.places else (pointers[base], 0)
                arguments.append(_at(builder, whole, place + start))
            failed = builder.call(call.function, [*arguments, *[count] * call.parallel])
            if failed.type == WORD:
                fine.append(builder.icmp_unsigned("==", failed, ir.Constant(WORD, 0)))
        builder.call(self.python("PyEval_RestoreThread", ir.VoidType(), [POINTER]), [thread])
        self.require(builder, fine)
        self.give(builder, 0)
        return list(table)

    def python(self, name: str, result: ir.Type, operands: list[ir.Type]) -> ir.Function:
        """A function of Python's C interface."""
        symbol = python_symbol(name)
        return self.module.globals.get(symbol) or ir.Function(self.module, ir.FunctionType(result, operands), symbol)

    def give(self, builder: ir.IRBuilder, number: int) -> None:
        """Return a number to Python."""
        builder.ret(builder.call(self.python("PyLong_FromLong", POINTER, [LONG]), [ir.Constant(LONG, number)]))

    def require(self, builder: ir.IRBuilder, conditions: list[ir.Value]) -> None:
        """Return 1 unless all hold."""
        if conditions:
            with builder.if_then(builder.not_(functools.reduce(builder.and_, conditions)), likely=False):
                self.give(builder, 1)

    def fits(self, builder: ir.IRBuilder, item: ir.Value, leaf: int) -> ir.Value:
        """Whether an array has the shape and dtype of a leaf."""
        node = self.graph.nodes[leaf]
        shape, dtype = node.shape or (), node.dtype or np.dtype(float)
        good = builder.icmp_unsigned("==", builder.load(_at(builder, item, objects.RANK), typ=WORD), ir.Constant(WORD, len(shape)))
        kind = builder.load(_at(builder, builder.load(_at(builder, item, objects.DTYPE), typ=POINTER), objects.KIND), typ=WORD)
        kind = builder.and_(kind, ir.Constant(WORD, objects.KIND_MASK))
        good = builder.and_(good, builder.icmp_unsigned("==", kind, ir.Constant(WORD, objects.kind_of(dtype))))
        lengths = builder.load(_at(builder, item, objects.SHAPE), typ=POINTER)
        for k, n in enumerate(shape):
            good = builder.and_(good, builder.icmp_unsigned("==", builder.load(_at(builder, lengths, 8 * k), typ=INDEX), INDEX(n)))
        return good


def _at(builder: ir.IRBuilder, pointer: ir.Value, offset: int) -> ir.Value:
    return builder.gep(pointer, [INDEX(offset)], inbounds=True, source_etype=ir.IntType(8)) if offset else pointer


def _oldest(known: list[Any]) -> tuple[Any, tuple[int, int]]:
    """The first array of a list, which becomes its last, and how often it and its memory are referred to."""
    array = known.pop(0)
    known.append(array)
    memory = array.base
    return array, (sys.getrefcount(array), sys.getrefcount(memory))


_ALONE = _oldest([aligned((1,), np.dtype(np.uint8))])[1]
"""What `_oldest` counts where nobody else refers to the array: Pythons differ in which of their own references they count."""


def _unused(known: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    """An array for a large result: one of the last two if nobody else refers to it, since new memory costs a page fault every 4 KB.

    A view, a tensor or a buffer keeps the array, or the memory that it is part of, referred to.
    """
    for _ in range(len(known)):
        try:
            array, references = _oldest(known)
        except IndexError:  # another thread has it
            break
        if references == _ALONE:
            return array
    array = aligned(shape, dtype)
    known.append(array)
    if len(known) > 2:
        known.pop(0)
    return array


_SPARE = """
try: {name} = pop_{name}(0)
except IndexError: {name} = empty({size})
push_{name}({name})
if references({name}) != ALONE: {name} = spare_{name}[-1] = empty({size})
"""
"""`_unused` of a small result, as statements: a call would take as long as new memory does. It need not begin where a line of the caches does."""
_SPELT_OUT = re.compile(r"( *)try: (\w+) = pop_.*\n.* = empty\((.*)\)\n.*\n.*spare_.*\n")
_IN_SHORT = r"\1\2 = unused(spare_\2, \3)\n"
"""These statements, and how they are shown."""


def _counted_alone() -> int:
    """What ``references`` counts there of an array that nobody else refers to."""
    space: dict[str, Any] = {"references": sys.getrefcount, "empty": np.empty, "spare_x": [np.empty(1)], "ALONE": None}
    space |= {"pop_x": space["spare_x"].pop, "push_x": space["spare_x"].append}
    statements = _SPARE.format(name="x", size="1").strip().splitlines()[:3]
    exec("\n".join(["def count():", *(f"    {line}" for line in statements), "    return references(x)"]), space)  # noqa: S102 - made of the text above
    count: int = space["count"]()
    return count


_SMALL_ALONE = _counted_alone()


def _again(segment: Callable[..., int], kind: Any, arena: Any, *rest: Any) -> None:
    """Call with arrays that native code can read. Raises Mismatch if it still cannot."""
    arrays = [np.require(np.asarray(x), requirements=["C", "A"]) for x in rest]
    if segment(kind, arena, *(x.view(np.dtype(x.dtype.str)) for x in arrays)):
        raise Mismatch


def written(emitter: _Emitter, code: Code) -> tuple[Lines, int]:
    """The statements that run a graph, and how many bytes there are at once at most: the memory in between, results, and copies of some."""
    graph = emitter.graph
    writer = Writer(graph)
    names = writer.names
    free: list[Any] = []

    for key, value in writer.space.items():
        writer.space[key] = np.require(np.asarray(value), requirements=["C", "A"])
    writer.space.update(
        ndarray=np.ndarray,
        empty=np.empty,
        unused=_unused,
        references=sys.getrefcount,
        ALONE=_SMALL_ALONE,
        arena=functools.partial(aligned, (emitter.nbytes,), np.dtype(np.uint8)),
        take=free.pop,
        give=free.append,
        again=_again,
        asarray=np.asarray,
        **native_objects()._asdict(),
        __name__=__name__,
    )
    body = ["try: memory = take()", "except IndexError: memory = arena()"]
    shown: set[int] = set()
    there: set[int] = set()
    shape = emitter.shapes_seen()

    def look(i: int) -> None:
        """Have a view, or a part of a join, as an array."""
        if i in shown or (emitter.kind(i) is not Kind.VIEW and i not in emitter.kinds.home):
            return
        shown.add(i)
        if emitter.kind(i) is not Kind.VIEW:
            whole, box = emitter.kinds.home[i]
            look(whole)
            index = tuple(along.slice for along in box)
            body.append(f"{names[i]} = {names[whole]}[{writer.written(index)}].reshape({writer.written(graph.nodes[i].shape)})")
        elif emitter.base(i) in shape:
            body.append(f"{names[i]} = {names[emitter.base(i)]}")
        else:
            for j in graph.nodes[i].inputs:
                look(j)
            body.append(writer.line(graph.nodes[i]))

    starts = {members[0]: n for n, members in enumerate(emitter.segments)}
    for k, unit in enumerate(emitter.units):
        if isinstance(unit, int) and emitter.foreign(unit):
            for i in graph.nodes[unit].inputs:
                look(i)
            body.append(writer.line(graph.nodes[unit]))
        if k not in starts:
            continue
        n = starts[k]
        for base in emitter.tables[n]:
            node = graph.nodes[base]
            if node.kind == "operation" and emitter.kind(base) is not Kind.FOREIGN and base not in there:
                there.add(base)
                dtype = f"{node.dtype}"
                writer.space[dtype] = node.dtype
                size = f"{shape.get(base, node.shape)!r}, {dtype}"
                if emitter.size(base) >= LARGE:
                    writer.space[f"known_{names[base]}"] = []
                    body.append(f"{names[base]} = unused(known_{names[base]}, {size})")
                else:
                    spare = writer.space[f"spare_{names[base]}"] = [np.empty(shape.get(base, node.shape), node.dtype) for _ in range(2)]
                    writer.space |= {f"pop_{names[base]}": spare.pop, f"push_{names[base]}": spare.append}
                    body += _SPARE.format(name=names[base], size=size).strip().splitlines()
        writer.space[f"segment{n}"] = code.call(f"segment{n}", threads.COUNT)
        arrays = f"ndarray, memory, {', '.join(names[base] for base in emitter.tables[n])}"
        body.append(f"if segment{n}({arrays}): again(segment{n}, {arrays})")
    for i in graph.outputs:
        if emitter.base(i) not in shape:
            look(i)
    body.append("give(memory)")
    results = []
    made = emitter.visible | {node.index for node in graph.nodes if emitter.kind(node.index) is Kind.FOREIGN}
    peak = emitter.nbytes + sum(emitter.size(base) for base in made if emitter.kind(base) is not Kind.SOURCE)
    owners: set[int] = set()
    for i in graph.outputs:
        base = emitter.base(i)
        primitive = graph.nodes[base].primitive
        owned = emitter.kind(base) is Kind.FOREIGN and primitive is not None and not primitive.aliases
        whole = math.prod(graph.nodes[i].shape or ()) == math.prod(graph.nodes[base].shape or ())
        fresh = base in there and base not in owners and whole
        owners.add(base)
        name = names[base] if base in shape else names[i]
        results.append(name if fresh else f"asarray({name})" if owned and i == base else f"asarray({name}.copy())")
        peak += 0 if fresh or (owned and i == base) else emitter.size(i)
    checked = {names[base] for table in emitter.tables for base in table if graph.nodes[base].kind == "leaf"}
    return Lines(writer.inputs, body, results, writer.space, checked), peak


def emit(graph: Graph) -> Emitted:
    """Compile a fused graph."""
    emitter = _Emitter(graph)
    lines, peak = written(emitter, Code(compiled(emitter.module)))
    calls = f"{len(emitter.calls)} native functions in {len(emitter.segments)} calls, {emitter.nbytes:,} bytes of memory in between"
    emitter.forget_module()
    body = [*lines.body, f"return ({''.join(f'{name}, ' for name in lines.results)})"]
    text = "\n".join([f"def kernel({', '.join(lines.inputs)}):", *(f"    {line}" for line in body), ""])
    exec(compile(text, "<ab.jit>", "exec"), lines.space)  # noqa: S102 - the source is made of the names above

    def source() -> str:
        return "\n".join([*_segments(emitter, Writer(graph).names), _SPELT_OUT.sub(_IN_SHORT, text)])

    def summary() -> str:
        return "\n".join(
            [*explained(graph, emitter.kinds, emitter.units, emitter.stored, emitter.streamed, emitter.blocks), *filter(None, [calls, disk_cache.trouble()])]
        )

    return Emitted(lines.space["kernel"], source, emitter.nbytes, peak, summary, lines)


def _segments(emitter: _Emitter, names: dict[int, str]) -> Iterator[str]:
    """What the native functions do, to read."""
    for n, members in enumerate(emitter.segments):
        yield f"def segment{n}:"
        for k in members:
            unit = emitter.units[k]
            lines = [product(emitter.graph.nodes[unit], names)] if isinstance(unit, int) else loops(emitter.kernels[k], names)
            yield from (f"    {line}" for line in lines)
        yield ""

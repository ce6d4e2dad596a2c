"""One kernel as an LLVM function: loops over its space, scalar code inside, accumulators for its reductions.

Rows are the inner loop, which LLVM vectorises. A sum along the row has its accumulator in registers; long ones are cut into blocks, whose sums are added with
compensation. A sum over rows has a row of accumulators in memory, and takes several rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from autograd_bn.compiler.kernel import Access, Kernel
from autograd_bn.compiler.kinds import Kind, uniform
from autograd_bn.compiler.llvm_loops import LOOP
from autograd_bn.compiler.llvm_scalar import CONTRACT, TYPES, Expression, cast, constant, neutral, stored
from autograd_bn.compiler.scalar_code import loop_dtype

INDEX = ir.IntType(64)
POINTER = ir.PointerType()
REASSOCIATED = ("reassoc", "contract")
ROWS = 4
"""How many rows a sum over rows takes at a time."""
UNROLLED = 1000
"""Up to how many instructions in all LLVM would unroll a loop before it makes SIMD code of it, so that it stays scalar."""
LANES = 64
"""How many partial sums SIMD code has at most, of which a row is best a multiple."""
BLOCK = 1024
"""How many terms of a long sum are added without compensation."""


class KernelWriter:
    """Writes the function. ``bases`` are the memory that its parameters point to: (node, whether it is written), scratch memory under -1 - node."""

    def __init__(self, module: ir.Module, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.graph = kernel.graph
        self.layout = kernel.kinds.layout
        self.merged = self.merge()
        rank = len(self.merged)
        self.outer = sum(group[-1] < len(kernel.space) - kernel.inner for group in self.merged) if kernel.by_row else max(rank - 1, 0)
        self.sizes = [int(np.prod([kernel.space[d] for d in group], dtype=int)) for group in self.merged]
        self.bases: dict[int, bool] = {}
        for i, _ in kernel.loads():
            self.bases.setdefault(self.layout[i].base, False)
        for i in kernel.members:
            if i in kernel.stored or self.over_rows(i):
                self.bases[i] = True
        self.cut = [i for i in kernel.members if self.long(i)]
        for i in (*(kernel.kept - kernel.stored), *self.cut):
            self.bases[-1 - i] = True
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * len(self.bases)), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.function.attributes.add("nounwind")
        self.pointers: dict[int, ir.Value] = {}
        for base, argument in zip(self.bases, self.function.args, strict=True):
            argument.add_attribute("noalias")
            self.pointers[base] = argument
        self.variables = ir.IRBuilder(self.function.append_basic_block("variables"))
        start = self.function.append_basic_block("start")
        self.builders = [ir.IRBuilder(start)]
        self.memos: list[dict[Any, ir.Value]] = [{}]
        self.index: list[ir.Value] = []
        self.level: list[int] = []
        """For each counter, how many loops deep it is known."""
        self.current = 0
        self.shift = 0
        self.partial = False
        """Whether sums over rows go to those of a block."""
        self.write()
        self.variables.branch(start)

    # The loops

    def merge(self) -> list[list[int]]:
        """Axes of the space that can be one loop."""
        kernel = self.kernel
        vectors = [kernel.strides(i, access) for i, access in kernel.loads()]
        vectors += [kernel.strides(i, kernel.access[i]) for i in kernel.members if i in kernel.stored or kernel.reduces(i)]
        reduced = [set(kernel.axes(i)) for i in kernel.members if kernel.reduces(i)]
        border = len(kernel.space) - kernel.inner if kernel.by_row else -1
        groups: list[list[int]] = []
        for d in range(len(kernel.space)):
            fits = bool(groups) and d != border and all(v[d - 1] == v[d] * kernel.space[d] for v in vectors) and all((d in r) == (d - 1 in r) for r in reduced)
            if fits:
                groups[-1].append(d)
            else:
                groups.append([d])
        return groups

    def loop(self, size: int, emit: Callable[[ir.Value], None], start: int = 0, step: int = 1) -> None:
        """A loop from ``start`` as long as the counter is below ``size``."""
        if start >= size:
            return
        before = self.builders[-1]
        head, after = self.function.append_basic_block(), self.function.append_basic_block()
        inside = ir.IRBuilder(head)
        counter = inside.phi(INDEX)
        self.builders.append(inside)
        self.memos.append({})
        emit(counter)
        self.builders.pop()
        self.memos.pop()
        following = inside.add(counter, INDEX(step), flags=("nuw", "nsw"))
        counter.add_incoming(INDEX(start), before.block)
        counter.add_incoming(following, inside.block)
        jump = inside.cbranch(inside.icmp_unsigned("<", following, INDEX(size)), head, after)
        if inside.block is head and (size - start) * len(head.instructions) <= UNROLLED:
            jump.set_metadata("llvm.loop", self.function.module.add_metadata([LOOP]))
        before.branch(head)
        before.position_at_end(after)

    def enter(self, counter: ir.Value) -> None:
        """Go on inside of the loop over the next axis."""
        self.index.append(counter)
        self.level.append(len(self.builders) - 1)

    def leave(self) -> None:
        """Go on outside of it."""
        self.index.pop()
        self.level.pop()

    def write(self) -> None:
        """The whole function."""
        kernel = self.kernel
        for i in kernel.members:
            if self.over_rows(i):
                self.fill(i, i)
        self.rows(0)
        self.builders[0].ret_void()

    def rows(self, d: int) -> None:
        """The loops over rows from axis ``d`` on, and in the innermost the passes over a row."""
        if d == self.outer:
            for phase in range(self.kernel.phases):
                self.current = phase
                self.one_pass(phase, 1)
            return
        size = self.sizes[d]
        several = d == self.outer - 1 and size >= ROWS and self.kernel.phases == 1 and any(self.over_rows(i) and not self.along(i) for i in self.kernel.members)
        if several and any(self.kernel.reduces(i) and self.along(i) for i in self.kernel.members):
            several = False

        def one(counter: ir.Value) -> None:
            self.enter(counter)
            self.rows(d + 1)
            self.leave()

        def many(counter: ir.Value) -> None:
            self.enter(counter)
            self.current = 0
            self.one_pass(0, ROWS)
            self.leave()

        whole = 0
        if several and self.cut:
            whole = size - size % BLOCK
            self.row_blocks(size // BLOCK, many)
        elif several:
            whole = size - size % ROWS
            self.loop(whole, many, step=ROWS)
        self.loop(size, one, start=whole)

    def row_blocks(self, count: int, many: Callable[[ir.Value], None]) -> None:
        """Blocks of rows, each summed for itself: a row added to a sum of many would be rounded to it."""

        def block(counter: ir.Value) -> None:
            start = self.builders[-1].mul(counter, INDEX(BLOCK), flags=("nuw", "nsw"))
            self.partial = True
            for i in self.cut:
                self.fill(i, -1 - i)
            self.loop(BLOCK, lambda row: many(self.builders[-1].add(start, row, flags=("nuw", "nsw"))), step=ROWS)
            self.partial = False
            for i in self.cut:
                self.fold(i)

        self.loop(count, block)

    def fold(self, i: int) -> None:
        """Add the sums of a block to the sums."""
        dtype = self.dtype(i)

        def one(counter: ir.Value) -> None:
            builder = self.builders[-1]
            total, block = (builder.gep(self.pointers[base], [counter], inbounds=True, source_etype=stored(dtype)) for base in (i, -1 - i))
            self.put(builder, builder.fadd(self.load(builder, i, total), self.load(builder, i, block)), dtype, total)

        self.loop(self.sizes[-1], one)

    def one_pass(self, phase: int, rows: int) -> None:
        """One pass over a row, or several at once."""
        kernel = self.kernel
        builder = self.builders[-1]
        for i in kernel.members:
            if kernel.phase[i] == phase and not kernel.reduces(i) and i not in kernel.full:
                value = self.value(i, kernel.access[i])
                if i in kernel.stored:
                    self.store(i, kernel.access[i], value)
        work = [i for i in kernel.members if phase in kernel.need[i] and (i in kernel.full or kernel.reduces(i))]
        ends = [i for i in work if kernel.phase[i] == phase and (i in kernel.stored or i in kernel.kept or kernel.reduces(i))]
        if not ends:
            return
        held: dict[int, ir.Value] = {}
        for i in ends:
            if kernel.reduces(i) and self.along(i):
                held[i] = self.variable(TYPES[self.dtype(i)])
                builder.store(neutral(self.code(i), self.dtype(i)), held[i])
        depth = len(self.index)
        inner = self.sizes[self.outer :]
        totals = {i: (self.variable(TYPES[self.dtype(i)]), self.variable(TYPES[self.dtype(i)])) for i in held if self.blocked(i)}
        for pair in totals.values():
            for place in pair:
                builder.store(ir.Constant(place.kind, 0.0), place)

        def body() -> None:
            for shift in range(rows):
                self.shift = shift
                for i in work:
                    if i in kernel.full:
                        value = self.value(i, kernel.access[i])
                        if i in ends and (i in kernel.stored or i in kernel.kept):
                            self.store(i, kernel.access[i], value)
            for i in ends:
                if kernel.reduces(i):
                    self.accumulate(i, held.get(i), rows)
            self.shift = 0

        def nest(k: int) -> None:
            if k == len(inner):
                body()
                return

            def step(counter: ir.Value) -> None:
                self.enter(counter)
                nest(k + 1)
                self.leave()

            self.loop(inner[k], step)

        summed = [i for i in held if self.code(i) == "x + y" and self.dtype(i).kind == "f"]
        if totals:
            self.in_blocks(inner[0], body, held, totals)
        elif summed and len(inner) == 1 and inner[0] > LANES and inner[0] % LANES:
            self.in_two(inner[0], body, held)
        else:
            nest(0)
        assert len(self.index) == depth
        for i, place in held.items():
            self.finish(i, builder, place, totals.get(i))

    def span(self, start: int, size: int, body: Callable[[], None]) -> None:
        """Part of a row as a loop."""

        def step(counter: ir.Value) -> None:
            self.enter(counter)
            body()
            self.leave()

        self.loop(size, step, start=start)

    def in_two(self, size: int, body: Callable[[], None], held: dict[int, Any]) -> None:
        """A row whose last elements, too few for the lanes of SIMD code, are reduced for themselves.

        Added to the large sum one by one, each would be rounded to it.
        """
        self.span(0, size - size % LANES, body)
        builder = self.builders[-1]
        first = {i: builder.load(place, typ=place.kind) for i, place in held.items()}
        for i, place in held.items():
            builder.store(neutral(self.code(i), self.dtype(i)), place)
        self.span(size - size % LANES, size, body)
        for i, place in held.items():
            builder.store(self.combined(builder, i, first[i], builder.load(place, typ=place.kind)), place)

    def in_blocks(self, size: int, body: Callable[[], None], held: dict[int, Any], totals: dict[int, Any]) -> None:
        """A long row in blocks, each block's sums folded into the totals."""

        def fold() -> None:
            builder = self.builders[-1]
            for i, (total, lost) in totals.items():
                place = held[i]
                x, s = builder.load(place, typ=place.kind), builder.load(total, typ=total.kind)
                t = builder.fadd(s, x)
                z = builder.fsub(t, s)
                error = builder.fadd(builder.fsub(s, builder.fsub(t, z)), builder.fsub(x, z))
                builder.store(builder.fadd(builder.load(lost, typ=lost.kind), error), lost)
                builder.store(t, total)
                builder.store(ir.Constant(place.kind, 0.0), place)

        def block(counter: ir.Value) -> None:
            start = self.builders[-1].mul(counter, INDEX(BLOCK), flags=("nuw", "nsw"))

            def step(k: ir.Value) -> None:
                self.enter(self.builders[-1].add(start, k, flags=("nuw", "nsw")))
                body()
                self.leave()

            # Values of the block's depth are those of the row's: the axis has two loops.
            self.loop(BLOCK, step)
            fold()

        self.loop(size // BLOCK, block)

        self.span(size - size % BLOCK, size, body)
        fold()

    # Reductions

    def code(self, i: int) -> str:
        """How a reduction combines two elements."""
        primitive = self.graph.nodes[i].primitive
        assert primitive is not None
        assert primitive.code is not None
        return primitive.code

    def dtype(self, i: int) -> np.dtype[Any]:
        """The dtype of a value."""
        dtype = self.graph.nodes[i].dtype
        assert dtype is not None
        return dtype

    def loops_of(self, i: int) -> set[int]:
        """Which loops a reduction is over."""
        axes = set(self.kernel.axes(i))
        return {k for k, group in enumerate(self.merged) if group[0] in axes}

    def along(self, i: int) -> bool:
        """Whether a reduction is along the row."""
        return len(self.merged) - 1 in self.loops_of(i)

    def over_rows(self, i: int) -> bool:
        """Whether a reduction takes several rows together, so that it adds to what is in memory."""
        return self.kernel.reduces(i) and any(k < self.outer for k in self.loops_of(i))

    def long(self, i: int) -> bool:
        """Whether a sum is over many rows, so that it is summed by blocks."""
        one_loop = self.outer == 1 and self.sizes[0] >= 4 * BLOCK and self.kernel.phases == 1
        sums = self.kernel.reduces(i) and self.code(i) == "x + y" and self.dtype(i).kind == "f"
        return one_loop and sums and self.over_rows(i) and not self.along(i)

    def blocked(self, i: int) -> bool:
        """Whether a sum along the row is long."""
        inner = self.sizes[self.outer :]
        return len(inner) == 1 and inner[0] >= 4 * BLOCK and self.code(i) == "x + y" and self.dtype(i).kind == "f"

    def combined(self, builder: ir.IRBuilder, i: int, x: ir.Value, y: ir.Value, flags: tuple[str, ...] = REASSOCIATED) -> ir.Value:
        """Two elements, combined as a reduction does."""
        return Expression(builder, self.dtype(i), {"x": x, "y": y}).value(self.code(i), self.dtype(i), flags)

    def accumulate(self, i: int, place: ir.Value | None, rows: int) -> None:
        """Take the current element of one row, or of several, into a reduction."""
        builder = self.builders[-1]
        (j,) = self.graph.nodes[i].inputs
        access = self.kernel.operand_access(i, j)
        values = []
        for shift in range(rows):
            self.shift = shift
            value = self.value(j, access)
            values.append(cast(builder, value, self.dtype(j), self.dtype(i)))
        self.shift = 0
        while len(values) > 1:
            values = [self.combined(builder, i, values[k], values[k + 1], CONTRACT) for k in range(0, len(values), 2)]
        if place is not None:
            builder.store(self.combined(builder, i, builder.load(place, typ=place.kind), values[0]), place)
        else:
            self.add_to(builder, i, values[0])

    def add_to(self, builder: ir.IRBuilder, i: int, value: ir.Value) -> None:
        """Combine a value with what is in memory."""
        access = self.kernel.access[i]
        old = self.load(builder, i, self.address(builder, i, access))
        self.store(i, access, self.combined(builder, i, old, value, CONTRACT), builder)

    def finish(self, i: int, builder: ir.IRBuilder, place: ir.Value, totals: Any) -> None:
        """What a reduction along the row has become."""
        value = builder.load(place, typ=place.kind)
        if totals is not None:
            total, lost = (builder.load(one, typ=one.kind) for one in totals)
            finite = builder.fcmp_ordered("==", builder.fsub(lost, lost), ir.Constant(place.kind, 0.0))
            value = builder.select(finite, builder.fadd(total, lost), total)
        if self.over_rows(i):
            self.add_to(builder, i, value)
            return
        self.memos[-1][i, self.kernel.access[i], 0] = value
        if i in self.kernel.stored:
            self.store(i, self.kernel.access[i], value, builder)

    def fill(self, i: int, base: int) -> None:
        """Write what a reduction begins with into memory."""
        size = int(np.prod(self.graph.nodes[i].shape or (), dtype=int))
        dtype = self.dtype(i)

        def one(counter: ir.Value) -> None:
            builder = self.builders[-1]
            place = builder.gep(self.pointers[base], [counter], inbounds=True, source_etype=stored(dtype))
            self.put(builder, neutral(self.code(i), dtype), dtype, place)

        self.loop(size, one)

    def variable(self, kind: ir.Type) -> Any:
        """A place for a value that changes; LLVM puts it into a register."""
        place = self.variables.alloca(kind)
        place.kind = kind
        return place

    # Values

    def depth(self, access: Access) -> int:
        """How many loops a value depends on, counted from the outside."""
        dims = [d for d in access if d is not None]
        if not dims:
            return 0
        deepest = next(k for k, group in enumerate(self.merged) if max(dims) in group)
        return self.level[deepest] if deepest < len(self.level) else len(self.builders) - 1

    def value(self, i: int, access: Access) -> ir.Value:
        """An element of a value, computed or loaded in the outermost loop in which it is known."""
        depth = min(self.depth(access), len(self.builders) - 1)
        shift = self.shift if self.outer and any(d in self.merged[self.outer - 1] for d in access if d is not None) else 0
        key = (i, access, shift)
        for memo in self.memos:
            if key in memo:
                return memo[key]
        builder = self.builders[depth]
        found = self.memos[depth][key] = self.made(builder, i, access)
        return found

    def made(self, builder: ir.IRBuilder, i: int, access: Access) -> ir.Value:
        """An element of a value, computed or loaded here."""
        kernel = self.kernel
        node = self.graph.nodes[i]
        dtype = self.dtype(i)
        if i not in kernel.access or (i in kernel.kept and kernel.phase[i] < self.current):
            if (number := uniform(node)) is not None:
                return constant(number, dtype)
            return self.load(builder, i, self.address(builder, i, access))
        assert node.primitive is not None
        values: list[ir.Value] = []
        sources: list[np.dtype[Any]] = []
        for j in node.inputs:
            values.append(self.value(j, kernel.operand_access(i, j)))
            sources.append(self.dtype(j))
        if kernel.kinds.kind[i] is Kind.POINT and node.primitive.code is None:  # a change of shape
            return values[0]
        inner = loop_dtype(node, self.graph)
        assert inner is not None
        if node.static:
            return cast(builder, values[0], sources[0], dtype)
        given = iter([cast(builder, value, source, inner) for value, source in zip(values, sources, strict=True)])
        operands = [next(given) if number is None else constant(number, inner) for number in node.constants]
        return Expression(builder, inner, dict(zip(node.primitive.operands, operands, strict=False))).value(node.primitive.code or "x", dtype)

    def address(self, builder: ir.IRBuilder, i: int, access: Access) -> ir.Value:
        """Where an element is."""
        strides = self.kernel.strides(i, access)
        base, start = self.layout[i].base, self.layout[i].offset
        if self.partial and i in self.cut:
            base = -1 - i
        if i in self.kernel.kept and i not in self.kernel.stored:
            base, start = -1 - i, 0
            strides = self.scratch_strides()
        place = INDEX(start)
        for k, group in enumerate(self.merged):
            step = strides[group[-1]]
            if step:
                counter = self.index[k]
                if k == self.outer - 1 and self.shift:
                    counter = builder.add(counter, INDEX(self.shift), flags=("nuw", "nsw"))
                term = counter if step == 1 else builder.mul(counter, INDEX(step), flags=("nsw",))
                place = term if isinstance(place, ir.Constant) and place.constant == 0 else builder.add(place, term, flags=("nsw",))
        return builder.gep(self.pointers[base], [place], inbounds=True, source_etype=stored(self.dtype(i)))

    def scratch_strides(self) -> tuple[int, ...]:
        """Of a row that is kept."""
        found = [0] * len(self.kernel.space)
        step = 1
        for d in reversed(range(len(found) - self.kernel.inner, len(found))):
            found[d] = step
            step *= self.kernel.space[d]
        return tuple(found)

    def load(self, builder: ir.IRBuilder, i: int, place: ir.Value) -> ir.Value:
        """What is in memory at a place; booleans are bytes there."""
        dtype = self.dtype(i)
        value = builder.load(place, typ=stored(dtype), align=dtype.itemsize)
        return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0)) if dtype == np.bool_ else value

    def store(self, i: int, access: Access, value: ir.Value, builder: ir.IRBuilder | None = None) -> None:
        """Put an element of a value where it belongs."""
        builder = builder if builder is not None else self.builders[-1]
        self.put(builder, value, self.dtype(i), self.address(builder, i, access))

    @staticmethod
    def put(builder: ir.IRBuilder, value: ir.Value, dtype: np.dtype[Any], place: ir.Value) -> None:
        """Put an element at a place."""
        builder.store(builder.zext(value, stored(dtype)) if dtype == np.bool_ else value, place, align=dtype.itemsize)

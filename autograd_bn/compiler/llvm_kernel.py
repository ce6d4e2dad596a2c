"""One kernel as an LLVM function: loops over its space, scalar code inside, accumulators for its reductions.

Rows are the inner loop, which LLVM vectorises. A sum along the row has its accumulator in registers; a long one is cut into blocks, whose sums are added with
compensation. A sum over rows has a row of accumulators in memory, and takes several rows at a time. Row by row is how memory is read fastest: to take some of
the columns at a time, which would stay in the cache from one kernel to the next, took 1.2 to 1.5 times as long.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from autograd_bn.compiler import llvm_threads
from autograd_bn.compiler.kernel import Kernel
from autograd_bn.compiler.llvm_elements import BLOCK, FAR, LANES, LONGEST, ROWS, STRAIGHT, TURNS, ElementWriter
from autograd_bn.compiler.llvm_loops import LOOP, MASKED, SINGLE
from autograd_bn.compiler.llvm_scalar import CONTRACT, INDEX, POINTER, TYPES, Expression, cast, neutral, stored
from autograd_bn.compiler.machine import masks
from autograd_bn.compiler.scalar_code import steps_of
from autograd_bn.core.allocation import LINE

REASSOCIATED = ("reassoc", "contract")
EXTREMES = ("max(x, y)", "min(x, y)")
NUMBERS = ("nnan",)
"""Of the largest and the smallest: what is not a number makes nonsense, which nobody looks at."""
TRUTH = ir.IntType(1)


class KernelWriter(ElementWriter):
    """Writes the function."""

    def __init__(self, module: ir.Module, kernel: Kernel, name: str) -> None:
        super().__init__(module, kernel, name)
        self.write()

    def write(self) -> None:
        """The whole function."""
        kernel = self.kernel
        block = self.block_function() if self.blocks else None
        for i in kernel.members:
            if self.over_rows(i):
                self.fill(i, i)
        if block is not None:
            self.run(block)
        done = self.blocks * self.block
        if self.blocks:
            self.keep_rows()
        if not self.blocks or done < self.sizes[0]:
            self.rows(0, done)
        self.end()

    def block_function(self) -> ir.Function:
        """A function for one block of rows; its last parameter says which."""
        whole = self.function, self.pointers, self.variables, self.start, self.builders, self.memos
        self.begin("_block", INDEX)
        builder, number = self.builders[0], self.function.args[-1]
        for i in self.cut:
            first = builder.mul(number, INDEX(self.count(i)))
            self.pointers[-1 - i] = builder.gep(self.pointers[-1 - i], [first], inbounds=True, source_etype=stored(self.dtype(i)))
            self.fill(i, -1 - i)
        self.keep_rows()
        self.partial = True
        first = self.builders[0].mul(number, INDEX(self.block), flags=("nuw", "nsw"))
        self.rows(0, first=first, size=self.block)
        block = self.end()
        self.partial = False
        self.function, self.pointers, self.variables, self.start, self.builders, self.memos = whole
        return block

    def keep_rows(self) -> None:
        """Have memory of a block's own for its rows."""
        for i in sorted(self.buffered):
            rows = self.pointers[-1 - i] = self.variables.alloca(stored(self.dtype(i)), INDEX(self.together * self.row))
            rows.align = LINE

    def run(self, block: ir.Function) -> None:
        """All blocks of rows, and what they sum together."""
        pointers, builder = list(self.function.args[: len(self.bases)]), self.builders[0]
        if self.parallel:
            llvm_threads.run(builder, self.variables, block, pointers, self.blocks, self.function.args[-1])
        else:
            self.loop(self.blocks, lambda number: self.builders[-1].call(block, [*pointers, number]))
        for i in self.cut:
            self.loop(self.blocks, functools.partial(self.fold, i))

    def rows(self, d: int, done: int = 0, first: ir.Value | None = None, size: int | None = None) -> None:
        """The loops over rows from axis ``d`` on, and in the innermost the passes over a row.

        Of this axis what is not ``done``, or so many rows from the first on.
        """
        if d == self.outer:
            for phase in range(self.kernel.phases):
                self.current = phase
                self.one_pass(phase, 1)
                if phase == 0 and self.kernel.phases > 1:
                    self.fetch_ahead()
            return
        size = self.sizes[d] - done if size is None else size
        several = d == self.outer - 1 and self.together > 1 and size >= ROWS

        def enter(counter: ir.Value) -> None:
            start = INDEX(done) if done else first
            self.enter(counter if start is None else self.builders[-1].add(start, counter, flags=("nuw", "nsw")))

        def one(counter: ir.Value) -> None:
            enter(counter)
            self.rows(d + 1)
            self.leave()

        def many(counter: ir.Value) -> None:
            enter(counter)
            self.notes = self.notes_on_several()
            for phase in range(self.kernel.phases):
                self.current = phase
                self.one_pass(phase, ROWS)
            self.notes = LOOP
            self.leave()

        whole = size - size % ROWS if several else 0
        self.loop(whole, many, step=ROWS)
        self.loop(size, one, start=whole)

    def fold(self, i: int, number: ir.Value) -> None:
        """Add the sums of a block to the sums."""
        dtype = self.dtype(i)
        start = self.builders[-1].mul(number, INDEX(self.count(i)))

        def one(counter: ir.Value) -> None:
            builder = self.builders[-1]
            total, block = (
                builder.gep(self.pointers[base], [place], inbounds=True, source_etype=stored(dtype))
                for base, place in ((self.layout[i].base, counter), (-1 - i, builder.add(start, counter)))
            )
            self.put(builder, builder.fadd(self.load(builder, i, total), self.load(builder, i, block)), dtype, total)

        self.loop(self.count(i), one)

    def fetch_ahead(self) -> None:
        """Have the next row, and where results of this one go, come from memory while this one, which is in the cache, is gone through again."""
        kernel = self.kernel
        for i, access in kernel.loads():
            self.fetch(i, kernel.strides(i, access), ahead=True)
        for i in sorted(kernel.full & kernel.stored - self.buffered):
            self.fetch(i, kernel.strides(i, kernel.access[i]), ahead=False)

    def fetch(self, i: int, steps: tuple[int, ...], ahead: bool) -> None:
        """Have a row of a large array come into the cache, the next one to be read or the current one to be written."""
        strides = [steps[group[-1]] for group in self.merged]
        row, count = self.sizes[-1] * self.dtype(i).itemsize, int(np.prod(self.sizes[:-1], dtype=int))
        one_loop = self.outer == len(self.sizes) - 1 and strides[-1] == 1
        if not one_loop or not strides[self.outer - 1] or not 4 * LINE <= row <= LONGEST or count * row < FAR:
            return
        builder = self.builders[-1]
        place: ir.Value = INDEX(self.kernel.place(i) + ahead * strides[self.outer - 1])
        for k in range(self.outer):
            place = builder.add(place, builder.mul(self.index[k], INDEX(strides[k])))
        start = builder.gep(self.pointers[self.layout[i].base], [place], source_etype=stored(self.dtype(i)))
        kind, module = ir.IntType(32), self.function.module
        prefetch = ir.FunctionType(ir.VoidType(), [POINTER, kind, kind, kind])
        function = module.globals.get("llvm.prefetch.p0") or ir.Function(module, prefetch, "llvm.prefetch.p0")

        def step(counter: ir.Value) -> None:
            inner = self.builders[-1]
            line = inner.gep(start, [inner.mul(counter, INDEX(LINE))], source_etype=ir.IntType(8))
            inner.call(function, [line, kind(0 if ahead else 1), kind(3), kind(1)])

        self.loop(row // LINE, step)

    def stream(self, i: int, shift: int) -> None:
        """Write a finished row to where it belongs, past the caches: a line that is written as usual is first read from memory, and takes another's place."""
        dtype = self.dtype(i)
        nbytes = self.row * dtype.itemsize
        piece = math.gcd(nbytes, LINE)
        kind = ir.VectorType(ir.IntType(8), piece)
        builder = self.builders[-1]
        strides = self.kernel.strides(i, self.kernel.access[i])
        place: ir.Value = INDEX(shift * nbytes)
        for counter, group in zip(self.index, self.merged[: self.outer], strict=True):
            place = builder.add(place, builder.mul(counter, INDEX(strides[group[-1]] * dtype.itemsize)))
        target = builder.gep(self.pointers[i], [place], source_etype=ir.IntType(8))
        source = builder.gep(self.pointers[-1 - i], [INDEX(shift * nbytes)], source_etype=ir.IntType(8))
        note = self.function.module.add_metadata([ir.IntType(32)(1)])

        def step(counter: ir.Value) -> None:
            inner = self.builders[-1]
            start = inner.mul(counter, INDEX(piece))
            here, there = (inner.gep(pointer, [start], source_etype=ir.IntType(8)) for pointer in (source, target))
            inner.store(inner.load(here, typ=kind, align=piece), there, align=piece).set_metadata("nontemporal", note)

        self.loop(nbytes // piece, step)

    def one_pass(self, phase: int, rows: int) -> None:
        """One pass over a row, or several at once."""
        kernel = self.kernel
        builder = self.builders[-1]
        for i in kernel.members:
            if kernel.phase[i] == phase and not kernel.reduces(i) and i not in kernel.full:
                for self.shift in range(rows):
                    value = self.value(i, kernel.access[i])
                    if i in kernel.stored:
                        self.store(i, kernel.access[i], value)
                self.shift = 0
        work = [i for i in kernel.members if phase in kernel.need[i] and (i in kernel.full or kernel.reduces(i))]
        ends = [i for i in work if kernel.phase[i] == phase and (i in kernel.stored or i in kernel.kept or kernel.reduces(i))]
        if not ends:
            return
        held: dict[tuple[int, int], Any] = {}
        self.strange = {}
        for i in ends:
            for shift in range(rows if kernel.reduces(i) and self.along(i) else 0):
                held[i, shift] = self.variable(TYPES[self.dtype(i)])
                builder.store(neutral(self.code(i), self.dtype(i)), held[i, shift])
                if self.dtype(i).kind == "f" and self.code(i) in EXTREMES:
                    self.strange[i, shift] = self.variable(TRUTH)
                    builder.store(TRUTH(0), self.strange[i, shift])
        depth = len(self.index)
        inner = self.sizes[self.outer :]
        totals = {key: (self.variable(place.kind), self.variable(place.kind)) for key, place in held.items() if self.blocked(key[0])}
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
                    self.accumulate(i, held, rows)
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

        if totals:
            self.in_blocks(inner[0], body, held, totals)
        elif held and len(inner) == 1 and (rest := inner[0] % self.lanes()) and rest < inner[0]:
            self.in_two(inner[0] - rest, inner[0], body, held)
        else:
            nest(0)
        assert len(self.index) == depth
        for (i, self.shift), place in held.items():
            self.finish(i, builder, place, totals.get((i, 0)))
        self.shift = 0
        for i in self.streamed:
            if kernel.phase[i] == phase:
                for shift in range(rows):
                    self.stream(i, shift)

    def span(self, start: int, size: int, body: Callable[[], None]) -> None:
        """Part of a row as a loop."""

        def step(counter: ir.Value) -> None:
            self.enter(counter)
            body()
            self.leave()

        self.loop(size, step, start=start)

    def lanes(self) -> int:
        """How many partial sums SIMD code has at most, of which a row is best a multiple, unless a mask takes the rest."""
        return {LOOP: LANES, SINGLE: LINE // min(map(self.itemsize, self.kernel.members)), MASKED: 1}[self.notes]

    def notes_on_several(self) -> str:
        """How the loops along several rows are: these are independent enough of each other for a turn to take one vector.

        Sums over rows are read soon after they are written, for which a CPU takes long where they were written with a mask.
        """
        if self.kernel.phases == 1:
            return LOOP
        vector = LINE // max(map(self.itemsize, self.kernel.members))
        short = self.row == self.sizes[-1] <= TURNS * vector and sum(steps_of(self.graph.nodes[i]) for i in self.kernel.members) <= STRAIGHT
        masked = masks() and self.row % vector and short
        return MASKED if masked and not any(map(self.over_rows, self.kernel.members)) else SINGLE

    def in_two(self, whole: int, size: int, body: Callable[[], None], held: dict[tuple[int, int], Any]) -> None:
        """A row whose last elements, too few for the lanes of SIMD code, are reduced for themselves.

        Added to the large sum one by one, each would be rounded to it.
        """
        self.span(0, whole, body)
        builder = self.builders[-1]
        first = {key: builder.load(place, typ=place.kind) for key, place in held.items()}
        for (i, _), place in held.items():
            builder.store(neutral(self.code(i), self.dtype(i)), place)
        self.span(whole, size, body)
        for (i, shift), place in held.items():
            builder.store(self.combined(builder, i, first[i, shift], builder.load(place, typ=place.kind)), place)

    def in_blocks(self, size: int, body: Callable[[], None], held: dict[tuple[int, int], Any], totals: dict[tuple[int, int], Any]) -> None:
        """A long row in blocks, each block's sums folded into the totals."""

        def fold() -> None:
            builder = self.builders[-1]
            for key, (total, lost) in totals.items():
                place = held[key]
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

    def blocked(self, i: int) -> bool:
        """Whether a sum along the row is long."""
        inner = self.sizes[self.outer :]
        return len(inner) == 1 and inner[0] >= 4 * BLOCK and self.code(i) == "x + y" and self.dtype(i).kind == "f"

    def combined(self, builder: ir.IRBuilder, i: int, x: ir.Value, y: ir.Value, flags: tuple[str, ...] = ()) -> ir.Value:
        """Two elements, combined as a reduction does; along the row in any order, where NaN is looked for apart."""
        flags = flags or (REASSOCIATED if (i, 0) not in self.strange else NUMBERS)
        return Expression(builder, self.dtype(i), {"x": x, "y": y}).value(self.code(i), self.dtype(i), flags)

    def accumulate(self, i: int, held: dict[tuple[int, int], Any], rows: int) -> None:
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
        if (i, 0) in held:
            for shift, value in enumerate(values):
                place = held[i, shift]
                builder.store(self.combined(builder, i, builder.load(place, typ=place.kind), value), place)
                if (seen := self.strange.get((i, shift))) is not None:
                    builder.store(builder.or_(builder.load(seen, typ=TRUTH), builder.fcmp_unordered("uno", value, value)), seen)
            return
        if self.outer - 1 not in self.loops_of(i):  # each row has a row of accumulators of its own
            for self.shift, value in enumerate(values):
                self.add_to(builder, i, value)
            self.shift = 0
            return
        while len(values) > 1:
            values = [self.combined(builder, i, values[k], values[k + 1], CONTRACT) for k in range(0, len(values), 2)]
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
        if (seen := self.strange.get((i, self.shift))) is not None:
            value = builder.select(builder.load(seen, typ=TRUTH), ir.Constant(place.kind, math.nan), value)
        if self.over_rows(i):
            self.add_to(builder, i, value)
            return
        self.memos[-1][i, self.kernel.access[i], self.shift if self.outer else 0] = value
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

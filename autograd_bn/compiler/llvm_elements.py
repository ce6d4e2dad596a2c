"""Elements of a kernel's values as LLVM instructions: each computed or loaded in the outermost loop in which it is known, once."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from autograd_bn.compiler.kernel import Access, Kernel
from autograd_bn.compiler.kinds import Kind, uniform
from autograd_bn.compiler.llvm_loops import LOOP
from autograd_bn.compiler.llvm_scalar import CONTRACT, INDEX, POINTER, Expression, cast, constant, stored
from autograd_bn.compiler.machine import fuses
from autograd_bn.compiler.native_quotient import Divisor, divisor, quotient
from autograd_bn.compiler.scalar_code import loop_dtype
from autograd_bn.core.allocation import LINE
from autograd_bn.core.primitive import registry

UNROLLED = 1000
"""Up to how many instructions in all LLVM would unroll a loop before it makes SIMD code of it, so that it stays scalar."""
BLOCK = 1024
"""How many terms of a long sum are added at a time."""
BLOCK_SIZE = 1 << 18
"""How many elements at most a block of rows has that is not of few rows."""
SHORTEST = 64
"""How few rows a block may have."""
STACK = 1 << 16
"""How many bytes of rows are kept on the stack at most."""
ROWS = 4
"""How many rows a sum over rows takes at a time."""
SHORT = 256
"""Up to how many elements a row is short."""
LANES = 64
"""How many partial sums SIMD code has at most where a turn of a loop takes several vectors."""
TURNS = 10
"""Of how many vectors a row has at most that is written turn by turn."""
STRAIGHT = 80
"""What an element of such a row costs at most."""
PIECE = 16
"""How many bytes at least are written past the caches at a time."""
FAR = 1 << 22
"""From how many bytes on an array is not in the near caches."""
LONGEST = 1 << 14
"""Up to how many bytes a row is kept in the nearest cache."""


class ElementWriter:
    """A function in the making. ``bases`` are the memory that its parameters point to: (node, whether it is written), scratch memory under -1 - node."""

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
                self.bases[self.layout[i].base] = True
        self.terms = {j for i in kernel.members if kernel.reduces(i) and self.code(i) == "x + y" for j in self.graph.nodes[i].inputs} - kernel.stored
        """What is only added up."""
        self.terms -= {j for i in kernel.members if not kernel.reduces(i) for j in self.graph.nodes[i].inputs}
        self.row = int(np.prod(self.sizes[self.outer :], dtype=int))
        self.streamed = [i for i in kernel.members if i in kernel.final and self.streams(i)]
        self.buffered = (kernel.kept - kernel.stored) | set(self.streamed)
        self.together = ROWS if self.outer and self.takes_several() else 1
        self.block = self.rows_of_a_block()
        self.blocks = self.sizes[0] // self.block if self.block else 0
        self.parallel = self.blocks > 1 and self.large() and sys.platform != "win32"
        self.cut = [i for i in kernel.members if self.blocks and self.over_rows(i)]
        self.scratch: dict[int, int] = {}
        """How many bytes there must be of each scratch memory that is a parameter."""
        for i in sorted(self.buffered) if not self.blocks else ():
            self.scratch[-1 - i] = self.together * self.row * self.dtype(i).itemsize
        for i in self.cut:
            self.scratch[-1 - i] = self.blocks * self.count(i) * self.dtype(i).itemsize
        self.bases |= dict.fromkeys(self.scratch, True)
        self.module = module
        self.name = name
        self.begin("", *[INDEX] * self.parallel)

    def begin(self, suffix: str, *more: ir.Type) -> None:
        """Go on with a new function of the same memory, and what else it is given."""
        self.function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [*[POINTER] * len(self.bases), *more]), f"{self.name}{suffix}")
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.function.attributes.add("nounwind")
        self.pointers: dict[int, ir.Value] = {}
        for base, argument in zip(self.bases, self.function.args, strict=False):
            argument.add_attribute("noalias")
            self.pointers[base] = argument
        self.variables = ir.IRBuilder(self.function.append_basic_block("variables"))
        self.start = self.function.append_basic_block("start")
        self.builders = [ir.IRBuilder(self.start)]
        self.memos: list[dict[Any, Any]] = [{}]
        self.index: list[ir.Value] = []
        self.level: list[int] = []
        """For each counter, how many loops deep it is known."""
        self.current = 0
        self.shift = 0
        self.notes = LOOP
        """On the loops along a row."""
        self.partial = False
        """Whether sums over rows go to those of a block."""
        self.strange: dict[tuple[int, int], Any] = {}
        """Of each row's largest or smallest element, where it is kept whether one was not a number."""

    def end(self) -> ir.Function:
        """The function is written."""
        if self.streamed:
            self.builders[0].fence("seq_cst")  # what went past the caches is there for other threads
        self.builders[0].ret_void()
        self.variables.branch(self.start)
        return self.function

    def merge(self) -> list[list[int]]:
        """Axes of the space that can be one loop."""
        kernel = self.kernel
        vectors = [kernel.strides(i, access) for i, access in kernel.loads()]
        vectors += [kernel.strides(i, kernel.access[i]) for i in kernel.members if i in kernel.stored or kernel.reduces(i)]
        reduced = [set(kernel.axes(i)) for i in kernel.members if kernel.reduces(i)]
        border = len(kernel.space) - kernel.inner if kernel.by_row else -1
        # What is large keeps rows: they are what goes past the caches, and what threads take.
        *_, row = kernel.space or (0,)
        nbytes = row * max(map(self.itemsize, kernel.members))
        apart = not reduced and not kernel.by_row and row >= LANES and nbytes <= LONGEST and nbytes * math.prod(kernel.space[:-1]) >= FAR
        groups: list[list[int]] = []
        for d in range(len(kernel.space)):
            last = apart and d == len(kernel.space) - 1
            fits = (
                bool(groups)
                and d != border
                and not last
                and all(v[d - 1] == v[d] * kernel.space[d] for v in vectors)
                and all((d in r) == (d - 1 in r) for r in reduced)
            )
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
        if inside.block is head and (self.notes != LOOP or (size - start) * len(head.instructions) <= UNROLLED):
            jump.set_metadata("llvm.loop", self.function.module.add_metadata([self.notes]))
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

    def takes_several(self) -> bool:
        """Whether several rows at a time are better than one: they share a row of accumulators, or wait less for the sums of each that is short."""
        kernel = self.kernel
        along = any(kernel.reduces(i) and self.along(i) for i in kernel.members)
        if kernel.phases > 1:
            return self.row <= SHORT
        return not along and any(kernel.reduces(i) and self.outer - 1 in self.loops_of(i) for i in kernel.members)

    def rows_of_a_block(self) -> int:
        """Into blocks of how many rows the kernel is cut, if it is; the same whoever runs it, so that sums are.

        A row that is added to a sum of many is rounded to it, so sums over many rows are summed by blocks; and blocks of what is large
        can run at the same time.
        """
        kernel = self.kernel
        if not self.outer:
            return 0
        fitting = BLOCK_SIZE // self.row
        block = max(SHORTEST, min(BLOCK, 1 << fitting.bit_length() - 1 if fitting else 0))
        sums = [i for i in kernel.members if self.over_rows(i)]
        good = all(self.outer == 1 and not self.along(i) and self.code(i) == "x + y" and self.dtype(i).kind == "f" for i in sums)
        scratch = sum(self.together * self.row * self.itemsize(i) for i in self.buffered)
        return block if good and (sums or self.large()) and self.sizes[0] >= 4 * block and scratch <= STACK else 0

    def large(self) -> bool:
        """Whether the arrays that it goes through are."""
        return math.prod(self.sizes) * max(map(self.itemsize, self.kernel.members)) >= FAR

    def itemsize(self, i: int) -> int:
        """How many bytes an element has."""
        return self.dtype(i).itemsize

    def count(self, i: int) -> int:
        """How many elements a value has."""
        return math.prod(self.graph.nodes[i].shape or ())

    def streams(self, i: int) -> bool:
        """Whether a result goes to memory past the caches: it is larger than they are, and made of rows that can be put there in whole pieces."""
        node = self.graph.nodes[i]
        nbytes = self.row * self.dtype(i).itemsize
        rows = i in self.kernel.full and 0 < self.outer == len(self.sizes) - 1 and nbytes <= LONGEST
        return rows and math.gcd(nbytes, LINE) >= PIECE and math.prod(node.shape or ()) * self.dtype(i).itemsize >= FAR

    def variable(self, kind: ir.Type) -> Any:
        """A place for a value that changes; LLVM puts it into a register."""
        place = self.variables.alloca(kind)
        place.kind = kind
        return place

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
        if node.primitive is registry["div"] and (shared := self.divisor(i, access, operands[1])) is not None:
            return cast(builder, quotient(builder, operands[0], shared), inner, dtype)
        flags = CONTRACT if i in self.terms else ()
        return Expression(builder, inner, dict(zip(node.primitive.operands, operands, strict=False))).value(node.primitive.code or "x", dtype, flags)

    def divisor(self, i: int, access: Access, y: ir.Value) -> Divisor | None:
        """The divisor of a quotient, if it is known outside of a loop that the quotient is in."""
        node = self.graph.nodes[i]
        if node.dtype not in (np.float32, np.float64) or node.constants[0] is not None or not fuses():
            return None
        *_, j = node.inputs
        if self.dtype(j) != node.dtype:
            return None
        depth = 0 if node.constants[1] is not None else self.depth(self.kernel.operand_access(i, j))
        if depth >= min(self.depth(access), len(self.builders) - 1):
            return None
        key = ("divisor", id(y))
        found: Divisor = self.memos[depth].get(key) or divisor(self.builders[depth], y)
        self.memos[depth][key] = found
        return found

    def address(self, builder: ir.IRBuilder, i: int, access: Access) -> ir.Value:
        """Where an element is."""
        strides = self.kernel.strides(i, access)
        base, start = self.layout[i].base, self.kernel.place(i)
        if self.partial and i in self.cut:
            base = -1 - i
        if i in self.buffered:
            base, start = -1 - i, self.shift * self.row
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

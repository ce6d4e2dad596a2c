"""A kernel of a fused graph, read for loops: which loops, what is computed in which pass over a row, what is stored and what is kept."""

from __future__ import annotations

import math

from autograd_bn.compiler.kinds import Kind, Kinds, Shape, is_kernel, squeezed, uniform
from autograd_bn.compiler.scalar_code import AGAIN, steps_of
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry

Access = tuple[int | None, ...]
"""For each axis of a value the axis of the space that counts along it, if any."""


class Kernel:
    """Operations of one kernel.

    Attributes
    ----------
    space
        The axes that it loops over; the last ``inner`` of them are a row.
    phase
        In which pass over a row each member is computed.
    access
        How each member's axes lie in the space.
    starts
        Of each memory that is read or written the first element in use, to which its pointer points.
    need
        In which passes a member's value is computed; ``kept`` are stored for later ones.
    final
        Those of the stored values that the program does not read again.
    """

    def __init__(self, graph: Graph, kinds: Kinds, members: list[int], stored: set[int], final: set[int]) -> None:
        self.graph = graph
        self.kinds = kinds
        self.members = members
        self.stored = stored
        self.final = final
        inside = set(members)
        wide = [graph.nodes[graph.nodes[i].inputs[0]] if self.reduces(i) else graph.nodes[i] for i in members]
        self.space: Shape = max((squeezed(node.shape) for node in wide), key=lambda shape: (math.prod(shape), len(shape)))
        rank = len(self.space)
        handed = [j for i in members for j in graph.nodes[i].inputs if j in inside and self.reduces(j)]
        self.by_row = bool(handed)
        self.inner = len(self.axes(handed[0])) if handed else min(rank, 1)
        self.phase: dict[int, int] = {}
        self.access: dict[int, Access] = {}
        for i in members:
            node = graph.nodes[i]
            self.phase[i] = max((self.phase[j] + self.reduces(j) for j in node.inputs if j in inside), default=0)
            reduced = set(self.axes(i)) if self.reduces(i) else set()
            self.access[i] = self.placed(node, [d for d in range(rank) if d not in reduced])
        self.full = {i for i in members if not self.reduces(i) and squeezed(graph.nodes[i].shape) == self.space}
        self.starts: dict[int, int] = {}
        for layout in (kinds.layout[i] for i in (*(i for i, _ in self.loads()), *sorted(stored))):
            self.starts[layout.base] = min(layout.offset, self.starts.get(layout.base, layout.offset))
        self.kept: set[int] = set()
        self.need: dict[int, set[int]] = {i: set() for i in members}
        self.find_need(inside)

    def overwrite(self, i: int, base: int) -> None:
        """Have a member write over another value's memory."""
        self.kinds.overwrite(i, base)
        del self.starts[i]

    def reduces(self, i: int) -> bool:
        """Whether a member is a reduction."""
        return self.kinds.kind[i] is Kind.REDUCTION

    def axes(self, i: int) -> Shape:
        """The axes of the space that a reduction is over."""
        return self.kinds.axes(self.graph.nodes[i])

    @staticmethod
    def placed(node: GraphNode, dims: list[int]) -> Access:
        """The access of a value whose long axes are the first of these of the space."""
        left = iter(dims)
        return tuple(next(left) if n != 1 else None for n in node.shape or ())

    def operand_access(self, i: int, j: int) -> Access:
        """How operand j's axes lie in the space where member i is computed."""
        node, operand = self.graph.nodes[i], self.graph.nodes[j]
        shape = operand.shape or ()
        if self.reduces(i):
            return self.placed(operand, list(range(len(self.space))))
        mine = self.access[i]
        if node.primitive is registry["reshape"]:
            long = iter([d for d in mine if d is not None])
            return tuple(next(long) if n != 1 else None for n in shape)
        skip = len(mine) - len(shape)
        return tuple(mine[a + skip] if n != 1 else None for a, n in enumerate(shape))

    def find_need(self, inside: set[int]) -> None:
        """From the last to the first: a value is needed where it is reduced or stored, and where what is made of it is computed."""
        for i in reversed(self.members):
            need = self.need[i]
            if i in self.stored or self.reduces(i):
                need.add(self.phase[i])
            late = i in self.full and max(need, default=0) > self.phase[i]
            if self.reduces(i) or i not in self.full or (late and (i in self.stored or self.steps(i) > AGAIN)):
                if i in self.full:
                    self.kept.add(i)
                self.need[i] = need = {self.phase[i]}
            for j in self.graph.nodes[i].inputs:
                if j in inside and not self.reduces(j):
                    self.need[j] |= need

    def steps(self, i: int) -> int:
        """What it costs to compute a value from what is in memory."""
        total, seen, stack = 0, {i}, [i]
        while stack:
            node = self.graph.nodes[stack.pop()]
            total += steps_of(node)
            for j in node.inputs:
                if j in self.full and j not in seen:
                    seen.add(j)
                    stack.append(j)
        return total

    @property
    def phases(self) -> int:
        """How many passes there are over a row."""
        return 1 + max(self.phase[i] for i in self.members)

    def strides(self, i: int, access: Access) -> tuple[int, ...]:
        """How far apart in memory, in elements, a value's elements lie along each axis of the space."""
        found = [0] * len(self.space)
        for d, step in zip(access, self.kinds.layout[i].strides, strict=True):
            if d is not None:
                found[d] += step
        return tuple(found)

    def loads(self) -> list[tuple[int, Access]]:
        """What is read from outside, and how."""
        inside = set(self.members)
        pairs = ((i, j) for i in self.members for j in self.graph.nodes[i].inputs if j not in inside and uniform(self.graph.nodes[j]) is None)
        return list({(j, self.operand_access(i, j)): None for i, j in pairs})

    def place(self, i: int) -> int:
        """Where a value begins, counted from the first element in use of its memory."""
        layout = self.kinds.layout[i]
        return layout.offset - self.starts.get(layout.base, 0)

    def signature(self) -> tuple[object, ...]:
        """All that its code depends on: kernels with the same one differ only in where their memory is."""
        nodes, layout = self.graph.nodes, self.kinds.layout
        place = {i: k for k, i in enumerate(self.members)}
        loads = {load: k for k, load in enumerate(self.loads())}
        number = {base: k for k, base in enumerate(self.starts)}
        read = [(number[layout[i].base], self.place(i), self.strides(i, access), nodes[i].dtype) for i, access in loads]
        made = []
        for i in self.members:
            operands: list[object] = []
            for j in nodes[i].inputs:
                access = self.operand_access(i, j)
                known = place[j] if j in place else ("load", loads[j, access]) if (j, access) in loads else ("number", str(uniform(nodes[j])))
                operands.append((known, nodes[j].dtype, nodes[j].shape))
            numbers = tuple((type(number), repr(number)) for number in nodes[i].constants)
            home = (number[layout[i].base], self.place(i), layout[i].strides) if i in self.stored else None
            marks = (self.access[i], self.phase[i], home, i in self.final, i in self.kept, tuple(sorted(self.need[i])))
            made.append((nodes[i].primitive, tuple(operands), numbers, repr(dict(nodes[i].static)), nodes[i].dtype, nodes[i].shape, marks))
        return (self.space, self.inner, self.by_row, tuple(read), tuple(made))

    def role(self, base: int) -> tuple[str, int]:
        """What a memory is to a kernel, in terms that hold for others of its signature."""
        if base < 0:
            return "scratch", self.members.index(-1 - base)
        if base in self.starts:
            return "memory", list(self.starts).index(base)
        return "own", self.members.index(base)

    def memory(self, role: tuple[str, int]) -> int:
        """The memory that has a role here."""
        kind, k = role
        if kind == "memory":
            return list(self.starts)[k]
        return self.members[k] if kind == "own" else -1 - self.members[k]


def kernels(graph: Graph, kinds: Kinds) -> list[tuple[int, ...] | int]:
    """The graph's operations in order: the members of a kernel together, any other by itself."""
    found: list[tuple[int, ...] | int] = []
    scope = None
    for node in graph.nodes:
        if not is_kernel(node.scope):
            scope = None
            found.append(node.index)
        elif node.scope is scope:
            last = found[-1]
            assert isinstance(last, tuple)
            found[-1] = (*last, node.index)
        else:
            scope = node.scope
            found.append((node.index,))
    return found

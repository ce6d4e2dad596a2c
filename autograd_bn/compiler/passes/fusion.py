"""Fusion: elementwise operations and reductions become kernels, each a scope of its own, its operations next to each other.

A kernel is a loop over one *space*, the shape of its largest values. What a reduction over leading axes gives can be read only after its loop, so its level,
the number of such loops that must come before, orders the kernels; what one over trailing axes gives is known row by row, so kernels that only hand on such
results are one kernel that runs row by row. A value that another kernel needs is stored, or computed again there where that is cheaper.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable

from autograd_bn.compiler.kinds import KERNEL, Kind, Kinds, Shape, squeezed
from autograd_bn.compiler.passes.levels import levels
from autograd_bn.compiler.passes.recomputation import recomputed
from autograd_bn.compiler.passes.rewrite import changed, users_of
from autograd_bn.compiler.scalar_code import AGAIN, steps_of
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.state import Scope


def fused(graph: Graph) -> Graph:
    """The graph with its elementwise operations and reductions in kernels."""
    return _Fusion(*recomputed(graph)).graph()


class _Unit:
    """A kernel in the making, or any other operation."""

    def __init__(self, members: Iterable[int], space: Shape | None) -> None:
        self.members = set(members)
        self.space = space
        self.inner: int | None = None
        """How many axes of the space a row has, where it runs row by row."""


class _Fusion:
    def __init__(self, graph: Graph, pins: dict[int, int]) -> None:
        self.old = graph
        self.nodes = graph.nodes
        kinds = Kinds(graph)
        self.kind = kinds.kind
        self.in_loop = kinds.in_loop
        self.axes = kinds.axes
        self.owned: list[int] = []
        """The value that a view is of; every other is its own."""
        for node in self.nodes:
            self.owned.append(self.owned[node.inputs[0]] if self.kind[node.index] is Kind.VIEW else node.index)
        self.users = users_of(graph)
        self.level = levels(graph, kinds, pins)
        later = self.later()
        if later:
            self.level = levels(graph, kinds, {**pins, **later})
        self.owner: dict[int, _Unit] = {}
        self.units = self.parts()
        self.rows()
        self.needed = self.in_memory()
        self.order = self.topological()
        self.cones: dict[int, list[int]] = {}
        for unit in reversed(self.order):
            self.cones[id(unit)] = self.cone(unit)

    def space(self, node: GraphNode) -> Shape:
        return squeezed(self.nodes[node.inputs[0]].shape if self.kind[node.index] is Kind.REDUCTION else node.shape)

    # Levels

    def later(self) -> dict[int, int]:
        """Reductions that share no load with their own loop, but with a later one in which they can take part."""
        last = max(self.level, default=0)
        latest = [last] * len(self.nodes)
        for node in reversed(self.nodes):
            i = node.index
            for user in self.users[i]:
                if self.in_loop(user) or self.kind[user] is Kind.VIEW:
                    latest[i] = min(latest[i], latest[user] - (self.kind[i] is Kind.REDUCTION))
                else:
                    latest[i] = self.level[i]
        loads: dict[tuple[int, Shape], dict[int, set[int]]] = {}
        ends = set(self.old.outputs)
        done: set[int] = set()  # what its own level computes, rather than a later one again
        for i in reversed(range(len(self.nodes))):
            users = self.users[i]
            direct = self.kind[i] is Kind.REDUCTION or i in ends
            if self.in_loop(i) and (direct or any(not self.in_loop(j) or (j in done and self.level[j] == self.level[i]) for j in users)):
                done.add(i)
        for node in self.nodes:
            if node.index in done:
                for i in node.inputs:
                    if self.kind[i] is not Kind.POINT and squeezed(self.nodes[i].shape) == self.space(node):
                        loads.setdefault((self.level[node.index], self.space(node)), {}).setdefault(i, set()).add(node.index)
        pins: dict[int, int] = {}
        for node in self.nodes:
            source = node.inputs[0] if node.inputs else 0
            if self.kind[node.index] is not Kind.REDUCTION or self.in_loop(source):
                continue
            own = self.level[node.index]
            if len(loads[own, self.space(node)][source]) > 1:
                continue
            for level in range(own + 1, latest[node.index] + 1):
                if loads.get((level, self.space(node)), {}).get(source):
                    pins[node.index] = level
                    break
        return pins

    # Kernels

    def parts(self) -> list[_Unit]:
        """Operations of one level and space that read the same or each other's values; every other operation by itself."""
        parent = list(range(len(self.nodes)))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        readers: dict[tuple[int, int, Shape], int] = {}
        for node in self.nodes:
            if not self.in_loop(node.index):
                continue
            here = (self.level[node.index], self.space(node))
            for i in node.inputs:
                if self.kind[i] is Kind.POINT and (self.level[i], squeezed(self.nodes[i].shape)) == here:
                    parent[root(node.index)] = root(i)
                elif squeezed(self.nodes[i].shape) == here[1]:
                    parent[root(node.index)] = root(readers.setdefault((i, *here), node.index))
        members: dict[int, list[int]] = {}
        for node in self.nodes:
            members.setdefault(root(node.index), []).append(node.index)
        units = []
        for i, found in members.items():
            unit = _Unit(found, self.space(self.nodes[i]) if self.in_loop(i) else None)
            units.append(unit)
            for j in found:
                self.owner[j] = unit
        return units

    def sources(self, unit: _Unit) -> set[int]:
        """The units that one reads from, itself left out."""
        return {id(self.owner[i]) for j in unit.members for i in self.nodes[j].inputs} - {id(unit)}

    def rows(self) -> None:
        """Join kernels of one space that hand on what reductions over trailing axes gave."""
        for head in self.units:
            if head.space is None or head.inner is not None or not (inner := self.inner(head)):
                continue
            head.inner = inner
            self.extend(head)

    def inner(self, unit: _Unit) -> int | None:
        """How many trailing axes the reductions of a kernel have that are over trailing axes; None if over all or others, or another is over some of them."""
        rank = len(unit.space or ())
        overs = [self.axes(self.nodes[i]) for i in unit.members if self.kind[i] is Kind.REDUCTION]
        found = {len(axes) for axes in overs if axes == tuple(range(rank - len(axes), rank))}
        if len(found) != 1 or found & {0, rank}:
            return None
        inner = found.pop()
        trailing = set(range(rank - inner, rank))
        return inner if all(trailing <= set(axes) or not trailing & set(axes) for axes in overs) else None

    def extend(self, head: _Unit) -> None:
        """Take into a kernel, as long as there are any, kernels that depend on it row by row."""
        assert head.space is not None
        assert head.inner is not None
        outer = head.space[: -head.inner]
        rank = len(head.space)
        trailing = set(range(rank - head.inner, rank))
        below = {id(head)}  # what depends on the kernel
        for unit in self.topological():
            if unit is head or not self.sources(unit) & below:
                continue
            below.add(id(unit))
            if unit.space is None or unit.space not in (head.space, outer) or unit.inner not in (None, head.inner):
                continue
            edges = [(i, j) for j in unit.members for i in self.nodes[j].inputs if self.owner[i] is not unit]
            good = all(id(self.owner[i]) not in below or self.by_row(i, j, head, trailing) for i, j in edges)
            if unit.space == head.space:
                overs = [set(self.axes(self.nodes[j])) for j in unit.members if self.kind[j] is Kind.REDUCTION]
                good = good and all(over >= trailing or not over & trailing for over in overs)
            else:
                good = good and not any(self.kind[j] is Kind.REDUCTION for j in unit.members)
            if good:
                head.members |= unit.members
                for j in unit.members:
                    self.owner[j] = head
                unit.members = set()
        self.units = [unit for unit in self.units if unit.members]

    def by_row(self, i: int, j: int, head: _Unit, trailing: set[int]) -> bool:
        """Whether a value that depends on a kernel is made in it, complete when its row is, and read by that row's part of operation j."""
        if self.owner[i] is not head or not self.in_loop(j):
            return False
        if squeezed(self.nodes[i].shape) != head.space and not self.leads(i, j):
            return False
        return self.kind[i] is Kind.POINT or (self.space(self.nodes[i]) == head.space and set(self.axes(self.nodes[i])) == trailing)

    def leads(self, i: int, j: int) -> bool:
        """Whether the long axes of a value are the first long ones of an operation that reads it."""
        shape, other = self.nodes[i].shape or (), self.nodes[j].shape or ()
        if squeezed(shape) == squeezed(other):
            return True
        long = [a for a, n in enumerate(other) if n != 1]
        mine = [a + len(other) - len(shape) for a, n in enumerate(shape) if n != 1]
        return mine == long[: len(mine)]

    def topological(self) -> list[_Unit]:
        """The units, each after what it reads from, in the order of the program where that is free."""
        waiting = {id(unit): self.sources(unit) for unit in self.units if unit.members}
        users: dict[int, list[_Unit]] = {}
        for unit in self.units:
            for i in waiting.get(id(unit), ()):
                users.setdefault(i, []).append(unit)
        ready = [(max(unit.members), id(unit), unit) for unit in self.units if unit.members and not waiting[id(unit)]]
        heapq.heapify(ready)
        order = []
        while ready:
            _, _, unit = heapq.heappop(ready)
            order.append(unit)
            for user in users.get(id(unit), ()):
                waiting[id(user)].discard(id(unit))
                if not waiting[id(user)]:
                    heapq.heappush(ready, (max(user.members), id(user), user))
        assert len(order) == sum(bool(unit.members) for unit in self.units), "kernels depend on each other"
        return order

    # What is stored, and what is computed again

    def in_memory(self) -> set[int]:
        """Elementwise values that must be in memory, because something else than a kernel reads them."""
        needed = {self.owned[i] for i in self.old.outputs}
        for node in self.nodes:
            if not self.in_loop(node.index):
                needed |= {self.owned[i] for i in node.inputs}
        return {i for i in needed if self.kind[i] is Kind.POINT}

    def cone(self, unit: _Unit) -> list[int]:
        """What a kernel computes, in order: what it stores, what it reduces, and what that needs."""
        if unit.space is None:
            return sorted(unit.members)
        roots = [i for i in sorted(unit.members) if self.kind[i] is Kind.REDUCTION or i in self.needed]
        found = set(roots)
        stack = list(roots)
        while stack:
            for i in self.nodes[stack.pop()].inputs:
                if i in found or (self.kind[i] is not Kind.POINT and i not in unit.members):
                    continue
                if i not in unit.members and (i in self.needed or squeezed(self.nodes[i].shape) != unit.space or self.dear(i)):
                    self.needed.add(i)
                    continue
                found.add(i)
                stack.append(i)
        return sorted(found)

    def dear(self, i: int) -> bool:
        """Whether computing a value again costs more than storing and loading it."""
        steps, loads, seen, stack = 0, 0, {i}, [i]
        space = squeezed(self.nodes[i].shape)
        while stack:
            node = self.nodes[stack.pop()]
            if self.kind[node.index] is not Kind.POINT or (node.index in self.needed and node.index != i) or squeezed(node.shape) != space:
                loads += squeezed(node.shape) == space
                continue
            steps += steps_of(node)
            if steps > AGAIN or loads > 2:
                return True
            for j in node.inputs:
                if j not in seen:
                    seen.add(j)
                    stack.append(j)
        return loads > 2

    # The new graph

    def graph(self) -> Graph:
        """The operations, kernel by kernel."""
        nodes: list[GraphNode] = []
        place: dict[int, int] = {}
        count = 0

        def put(i: int, local: dict[int, int], scope: Scope | None) -> None:
            old = self.nodes[i]
            inputs = tuple(local.get(j, place.get(j, -1)) for j in old.inputs)
            local[i] = len(nodes)
            nodes.append(changed(old, index=len(nodes), inputs=inputs, scope=scope))

        for node in self.nodes:
            if self.kind[node.index] is Kind.SOURCE:
                put(node.index, place, node.scope)
        for unit in self.order:
            members = self.cones[id(unit)]
            if not members:
                continue
            if unit.space is None:
                if self.kind[members[0]] is not Kind.SOURCE:
                    put(members[0], place, self.nodes[members[0]].scope)
                continue
            rows = "" if unit.inner is None else f", row by row of {math.prod(unit.space[-unit.inner :])}"
            scope = Scope(f"kernel {count} over {'×'.join(map(str, unit.space)) or '1'}{rows}", None, KERNEL, count)
            count += 1
            local: dict[int, int] = {}
            for i in members:
                put(i, local, scope)
            for i in members:
                if i in unit.members and (self.kind[i] is Kind.REDUCTION or i in self.needed):
                    place[i] = local[i]
        return Graph(tuple(nodes), tuple(place[i] for i in self.old.outputs))

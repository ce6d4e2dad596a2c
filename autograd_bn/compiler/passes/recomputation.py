"""Recomputation: a large value that is cheap to compute is not kept from the forward pass for the backward pass, but computed again there.

Of ``out = relu(γx̂ + β)`` the next layer's product needs ``out`` at once, and its gradient needs it when nearly all else has been computed; what ``out`` is made
of is kept anyway. Where a loop of the backward pass reads it too, that loop makes it instead, so that this costs no further pass over memory: it
writes what it had read.
"""

from __future__ import annotations

from typing import NamedTuple

from autograd_bn.compiler.kinds import Kind, Kinds, squeezed
from autograd_bn.compiler.passes.levels import levels
from autograd_bn.compiler.passes.rewrite import Rewrite, changed, users_of
from autograd_bn.compiler.plan import nbytes
from autograd_bn.compiler.scalar_code import AGAIN, steps_of
from autograd_bn.core.graph import Graph, GraphNode

LARGE = 1 << 22
"""From how many bytes on a value is computed again."""
FAR = 8
"""How many levels lie between where it is computed first and again, at least: the memory is free so long."""


def recomputed(graph: Graph) -> tuple[Graph, dict[int, int]]:
    """The graph with a second copy of each such value, for those who read it late, and the level on which each copy is to be computed."""
    if not any(_large(node) for node in graph.nodes):
        return graph, {}
    found = _Late(graph).found()
    new = Rewrite(graph)
    copies: dict[int, int] = {}
    pins: dict[int, int] = {}
    for node in graph.nodes:
        inputs = tuple(copies[i] if i in found and node.index in found[i].readers else new.place[i] for i in node.inputs)
        place = new.put(node, node.primitive, inputs, node.constants, node.static)
        if node.index in found:
            copies[node.index] = len(new.nodes)
            pins[len(new.nodes)] = found[node.index].level
            new.nodes.append(changed(new.nodes[place], index=len(new.nodes)))
    return new.graph(), pins


def _large(node: GraphNode) -> bool:
    return node.kind == "operation" and nbytes(node) >= LARGE


class _Again(NamedTuple):
    """Who reads the second copy of a value, and on which level it is computed: that of the first loop that reads it."""

    readers: set[int]
    level: int


class _Late:
    """Which values are read late, and by whom."""

    def __init__(self, graph: Graph) -> None:
        self.nodes = graph.nodes
        self.kinds = kinds = Kinds(graph)
        self.users = users_of(graph)
        self.stored = set(graph.outputs) | {i for node in self.nodes if not kinds.in_loop(node.index) for i in node.inputs}
        self.kept = {kinds.layout[i].base for i in graph.outputs}
        self.first = levels(graph, kinds, {})
        self.last = list(self.first)
        # An elementwise value that is not in memory is computed where it is read.
        for i in reversed(range(len(self.nodes))):
            if self.users[i] and (kinds.kind[i] is Kind.VIEW or (kinds.kind[i] is Kind.POINT and i not in self.stored)):
                self.first[i] = min(self.first[j] for j in self.users[i])
                self.last[i] = max(self.last[j] for j in self.users[i])

    def found(self) -> dict[int, _Again]:
        """The values to compute again."""
        found: dict[int, _Again] = {}
        for node in self.nodes:
            i = node.index
            if self.kinds.kind[i] is not Kind.POINT or i in self.kinds.home or i in self.kept or not _large(node):
                continue
            late = {j for j in self.users[i] if self.first[j] > self.first[i] + FAR}
            loops = {j for j in late if self.kinds.in_loop(j)}
            level = min((self.first[j] for j in loops), default=0)
            if loops and loops != late and self.cheap(i, level):
                found[i] = _Again(late, level)
        return found

    def cheap(self, i: int, level: int) -> bool:
        """Whether a value takes a few instructions on what is in memory on a level."""
        steps, seen, stack = 0, {i}, [i]
        space = squeezed(self.nodes[i].shape)
        while stack:
            node = self.nodes[stack.pop()]
            steps += steps_of(node)
            for j in node.inputs:
                if j in seen or squeezed(self.nodes[j].shape) != space:
                    continue
                seen.add(j)
                if self.kinds.kind[j] is Kind.POINT and j not in self.stored:
                    stack.append(j)
                elif self.kinds.kind[j] is not Kind.SOURCE and max(self.last[k] for k in self.users[j]) < level:
                    return False
        return steps <= AGAIN

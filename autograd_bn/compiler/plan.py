"""Where each value lives: which operations write into a buffer, which buffer, and when it can be used again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry

LARGE = 1 << 14
"""From how many bytes on a result of NumPy's is dropped as soon as nobody reads it."""


class Buffer(NamedTuple):
    """Memory that a compiled function keeps from call to call."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * self.dtype.itemsize


class Lines(NamedTuple):
    """Python statements from the arrays ``inputs`` to the expressions ``results``; ``space`` has the names in them.

    The statements themselves look at shape and dtype of the inputs that are ``checked``, and raise Mismatch.
    """

    inputs: list[str]
    body: list[str]
    results: list[str]
    space: dict[str, Any]
    checked: set[str]


class Mismatch(Exception):  # noqa: N818 - it says which way to go
    """Arrays have other shapes or dtypes than those that the code is for."""


class Emitted(NamedTuple):
    """What an emitter makes of a graph: ``kernel`` takes the inputs' arrays and gives the outputs'. ``nbytes`` of memory are kept from call to call.

    ``peak`` bytes are in use at once at most, what is kept and the outputs included. ``lines`` are the kernel's statements, if they can stand in
    another function too.
    """

    kernel: Callable[..., tuple[Any, ...]]
    source: Callable[[], str]
    nbytes: int
    peak: int
    summary: Callable[[], str]
    lines: Lines | None = None


class Plan(NamedTuple):
    """``buffers`` are allocated once a thread; ``target`` says which one an operation's result goes into.

    ``last`` says after which operation a value is not read any more, ``dropped`` after which operation the kernel lets go of which results of NumPy's,
    ``copied`` which outputs must be copied, because an input or a constant owns their memory. ``owner`` is the value whose memory each one lies in.
    """

    graph: Graph
    buffers: tuple[Buffer, ...]
    target: dict[int, int]
    last: dict[int, int]
    dropped: dict[int, list[int]]
    copied: frozenset[int]
    owner: dict[int, int]

    @property
    def nbytes(self) -> int:
        """What the buffers take."""
        return sum(buffer.nbytes for buffer in self.buffers)

    @property
    def peak(self) -> int:
        """How many bytes are in use at once at most: the buffers, and results that NumPy allocates until nothing shares them any more."""
        nodes = self.graph.nodes
        holders: dict[int, set[int]] = {}
        now = most = self.nbytes
        for node in nodes:
            if node.kind != "operation" or node.index in self.target:
                continue
            owner = self.owner[node.index]
            if owner == node.index:
                now += nbytes(node)
            holders.setdefault(owner, set()).add(node.index)
            most = max(most, now)
            for i in self.dropped.get(node.index, ()):
                held = holders[self.owner[i]]
                held.discard(i)
                if not held and self.owner[i] not in self.target and nodes[self.owner[i]].kind == "operation":
                    now -= nbytes(nodes[self.owner[i]])
        return max(most, now + sum(nbytes(nodes[i]) for i in self.copied))


def elements(node: GraphNode) -> int:
    """How many elements a value has."""
    return math.prod(node.shape) if node.shape is not None else 0


def nbytes(node: GraphNode) -> int:
    """How many bytes a value takes."""
    return elements(node) * (node.dtype.itemsize if node.dtype is not None else 0)


def writes_into(node: GraphNode) -> bool:
    """Whether the operation can write its result where it is told to."""
    return node.primitive is not None and isinstance(node.primitive.forward, np.ufunc)


def in_order(graph: Graph) -> set[int]:
    """The values that NumPy lays out in C order by itself, if the inputs are in C order.

    An elementwise result is laid out as its operands are, and the order in which a sum is taken follows from that: in a buffer of another layout its last
    bits would be others.
    """
    found: set[int] = set()
    for node in graph.nodes:
        good = all(i in found for i in node.inputs)
        if node.value is not None:
            good = node.value.flags.c_contiguous
        elif node.primitive is registry["permute_dims"]:
            shape = graph.nodes[node.inputs[0]].shape or ()
            long = [a for a in node.static["axes"] if shape[a] != 1]
            good = good and long == sorted(long)
        if good:
            found.add(node.index)
    return found


def planned(graph: Graph, *, buffers: bool = True) -> Plan:
    """Liveness, then buffers: a result that no output shares takes a buffer of its shape and dtype that is free, an operand's own among them.

    Without ``buffers`` NumPy allocates every result, in the layout that it would have run as it is.
    """
    ordered = in_order(graph) if buffers else set()
    last: dict[int, int] = {}
    owner: dict[int, int] = {}
    for node in graph.nodes:
        shares = node.primitive is not None and node.primitive.aliases
        owner[node.index] = owner[node.inputs[0]] if shares and node.inputs else node.index
        for i in (node.index, *node.inputs):
            last[i] = node.index
    kept = {owner[i] for i in graph.outputs}
    until: dict[int, int] = {}
    for index, end in last.items():
        until[owner[index]] = max(until.get(owner[index], end), end)
    made: list[Buffer] = []
    free: dict[Buffer, list[int]] = {}
    target: dict[int, int] = {}
    ends: dict[int, list[int]] = {}
    for index, end in until.items():
        ends.setdefault(end, []).append(index)
    for node in graph.nodes:
        # An elementwise operation may write over an operand of its own shape that it is the last to read.
        mine = [i for i in ends.get(node.index, ()) if i in target and i != node.index]
        reusable = [i for i in mine if _in_place(graph, node, i)]
        for i in reusable:
            free.setdefault(made[target[i]], []).append(target[i])
        if writes_into(node) and node.index in ordered and node.index not in kept and elements(node):
            assert node.shape is not None
            assert node.dtype is not None
            wanted = Buffer(node.shape, node.dtype)
            if free.get(wanted):
                target[node.index] = free[wanted].pop()
            else:
                target[node.index] = len(made)
                made.append(wanted)
        for i in mine:
            if i not in reusable:
                free.setdefault(made[target[i]], []).append(target[i])
        if until[owner[node.index]] == node.index and node.index in target:  # nobody reads it
            free.setdefault(made[target[node.index]], []).append(target[node.index])
    ours = {node.index for node in graph.nodes if node.primitive is not None and not node.primitive.aliases}
    copied = frozenset(i for i in graph.outputs if owner[i] not in ours)
    dropped: dict[int, list[int]] = {}
    for node in graph.nodes:
        if node.kind == "operation" and nbytes(node) >= LARGE and node.index not in (*graph.outputs, *target):
            dropped.setdefault(last[node.index], []).append(node.index)
    return Plan(graph, tuple(made), target, last, dropped, copied, owner)


def _in_place(graph: Graph, node: GraphNode, operand: int) -> bool:
    """Whether a result may overwrite a dying operand's memory: it reads the same places that it writes, all of them as they are."""
    if not writes_into(node) or operand not in node.inputs:
        return False
    source = graph.nodes[operand]
    return source.shape == node.shape and source.dtype == node.dtype

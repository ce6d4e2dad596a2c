"""Where each value lives: which operations write into a buffer, which buffer, and when it can be used again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.graph import Graph, GraphNode


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

    ``lines`` are the kernel's statements, if they can stand in another function too.
    """

    kernel: Callable[..., tuple[Any, ...]]
    source: Callable[[], str]
    nbytes: int
    summary: Callable[[], str]
    lines: Lines | None = None


class Plan(NamedTuple):
    """``buffers`` are allocated once a thread; ``target`` says which one an operation's result goes into.

    ``last`` says after which operation a value is not read any more, ``copied`` which outputs must be copied, because an input or
    a constant owns their memory.
    """

    graph: Graph
    buffers: tuple[Buffer, ...]
    target: dict[int, int]
    last: dict[int, int]
    copied: frozenset[int]

    @property
    def nbytes(self) -> int:
        """What the buffers take."""
        return sum(buffer.nbytes for buffer in self.buffers)


def elements(node: GraphNode) -> int:
    """How many elements a value has."""
    return math.prod(node.shape) if node.shape is not None else 0


def writes_into(node: GraphNode) -> bool:
    """Whether the operation can write its result where it is told to."""
    return node.primitive is not None and isinstance(node.primitive.forward, np.ufunc)


def planned(graph: Graph) -> Plan:
    """Liveness, then buffers: a result that no output shares takes a buffer of its shape and dtype that is free, an operand's own among them."""
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
    buffers: list[Buffer] = []
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
            free.setdefault(buffers[target[i]], []).append(target[i])
        if writes_into(node) and node.index not in kept and elements(node):
            assert node.shape is not None
            assert node.dtype is not None
            wanted = Buffer(node.shape, node.dtype)
            if free.get(wanted):
                target[node.index] = free[wanted].pop()
            else:
                target[node.index] = len(buffers)
                buffers.append(wanted)
        for i in mine:
            if i not in reusable:
                free.setdefault(buffers[target[i]], []).append(target[i])
        if until[owner[node.index]] == node.index and node.index in target:  # nobody reads it
            free.setdefault(buffers[target[node.index]], []).append(target[node.index])
    made = {node.index for node in graph.nodes if node.primitive is not None and not node.primitive.aliases}
    copied = frozenset(i for i in graph.outputs if owner[i] not in made)
    return Plan(graph, tuple(buffers), target, last, copied)


def _in_place(graph: Graph, node: GraphNode, operand: int) -> bool:
    """Whether a result may overwrite a dying operand's memory: it reads the same places that it writes, all of them as they are."""
    if not writes_into(node) or operand not in node.inputs:
        return False
    source = graph.nodes[operand]
    return source.shape == node.shape and source.dtype == node.dtype

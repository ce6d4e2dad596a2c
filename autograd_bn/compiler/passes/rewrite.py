"""What passes are written with: a graph is read from the front, and copied into another."""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import numpy as np

from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.node import NO_STATIC
from autograd_bn.core.primitive import Primitive, registry

Shape = tuple[int, ...]

_NAMES = tuple(field.name for field in dataclasses.fields(GraphNode))
_PLACES = {name: k for k, name in enumerate(_NAMES)}
_PUT = tuple(getattr(GraphNode, name).__set__ for name in _NAMES)
_values = operator.attrgetter(*_NAMES)


def changed(node: GraphNode, **changes: Any) -> GraphNode:
    """A node with other values of some attributes. Passes copy thousands of nodes, and ``dataclasses.replace`` takes several times as long."""
    values = list(_values(node))
    for name, value in changes.items():
        values[_PLACES[name]] = value
    new = object.__new__(GraphNode)
    for put, value in zip(_PUT, values, strict=True):
        put(new, value)
    return new


class Rewrite:
    """A graph in the making. ``place`` says where the values of the old one are in it."""

    def __init__(self, graph: Graph) -> None:
        self.old = graph
        self.nodes: list[GraphNode] = []
        self.place: dict[int, int] = {}

    def keep(self, node: GraphNode) -> int:
        """Copy a node; gives its place."""
        inputs = tuple([self.place[i] for i in node.inputs])
        index = len(self.nodes)
        if node.index == index and inputs == node.inputs:  # as most are that a pass has nothing to do with
            self.nodes.append(node)
            self.place[index] = index
            return index
        return self.put(node, node.primitive, inputs, node.constants, node.static)

    def put(self, like: GraphNode, primitive: Primitive | None, inputs: tuple[int, ...], numbers: tuple[Any, ...], static: Any = NO_STATIC) -> int:
        """Add an operation on values of the new graph in the place of an old node; gives its place."""
        index = len(self.nodes)
        same = like.index == index and like.primitive is primitive and like.inputs == inputs and like.constants is numbers and like.static is static
        new = like if same else changed(like, index=index, primitive=primitive, inputs=inputs, constants=numbers, static=static)
        self.nodes.append(new)
        self.place[like.index] = index
        return index

    def add(
        self, like: GraphNode, primitive: Primitive, inputs: tuple[int, ...], numbers: tuple[Any, ...], shape: Shape, static: Any, dtype: Any = None
    ) -> int:
        """Add an operation that stands for no old node, of the dtype of one unless told; gives its place."""
        made = {"primitive": primitive, "inputs": inputs, "constants": numbers, "static": static, "shape": shape}
        dtype = like.dtype if dtype is None else dtype
        self.nodes.append(changed(like, index=len(self.nodes), kind="operation", dtype=dtype, name=None, **made))
        return len(self.nodes) - 1

    def shaped(self, like: GraphNode, place: int, shape: Shape) -> int:
        """A value of the new graph in another shape, on behalf of an old node; gives its place."""
        source = self.nodes[place]
        if source.shape == shape:
            return place
        return self.add(like, registry["reshape"], (place,), (None,), shape, {"shape": shape}, source.dtype)

    def constant(self, like: GraphNode, value: Any) -> int:
        """Put an array in the place of an old node."""
        index = len(self.nodes)
        array = np.asarray(value)
        self.nodes.append(GraphNode(index, "constant", shape=array.shape, dtype=array.dtype, name=like.name, scope=like.scope, line=like.line, value=array))
        self.place[like.index] = index
        return index

    def same(self, node: GraphNode, place: int) -> None:
        """An old node has the same value as one in the new graph."""
        self.place[node.index] = place

    def graph(self) -> Graph:
        """The new graph."""
        return Graph(tuple(self.nodes), tuple(self.place[i] for i in self.old.outputs))


def users_of(graph: Graph) -> list[list[int]]:
    """For each node, those that read it."""
    users: list[list[int]] = [[] for _ in graph.nodes]
    for node in graph.nodes:
        for i in node.inputs:
            users[i].append(node.index)
    return users


def operand_list(node: GraphNode) -> list[tuple[int | None, Any]]:
    """An entry an operand: its index and None, or None and the plain number."""
    sources = iter(node.inputs)
    return [(next(sources), None) if number is None else (None, number) for number in node.constants]

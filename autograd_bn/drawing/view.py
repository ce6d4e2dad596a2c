"""What a drawing shows of a graph: boxes, arrows and clusters. At first each node is a box; other functions make views with fewer.

A View is immutable, and each function from view to view is pure: ``closed`` and ``without_constants`` here, ``folded`` in `folding`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from autograd_bn.core.graph import Edge, Graph, GraphNode
from autograd_bn.core.lines import Line
from autograd_bn.core.state import Scope

MOST = 300
"""Graphs of more boxes are drawn with scopes closed, unless told how deep."""


class Cluster(NamedTuple):
    """A scope that is drawn open: its name, the number of the cluster around it, and where it was opened. ``copies`` of it are folded into one."""

    name: str
    parent: int | None
    line: Line | None
    copies: int = 1


class Box(NamedTuple):
    """One thing that is drawn: a node, or with a ``title`` a closed scope.

    ``nodes`` are the nodes that it stands for, in order; ``copies`` those of the repetitions that are folded into it, place by place the same.
    ``repeats`` is the number of repetitions of this box alone, not of a cluster around it.
    """

    nodes: tuple[int, ...]
    cluster: int | None
    title: str | None = None
    line: Line | None = None
    copies: tuple[tuple[int, ...], ...] = ()
    repeats: int = 1

    @property
    def key(self) -> int:
        """Its first node, which no other box has."""
        return self.nodes[0]


class Arrow(NamedTuple):
    """A value's way from one box to another, named by their keys: all of the value's edges between the two.

    ``copies`` are the edges of the repetitions that are folded into it, place by place the same.
    """

    source: int
    target: int
    edges: tuple[Edge, ...]
    copies: tuple[tuple[Edge, ...], ...] = ()

    @property
    def value(self) -> int:
        """The node whose value goes here."""
        return self.edges[0].source


@dataclass(frozen=True, slots=True)
class View:
    """Boxes in the order of their keys, arrows, and the clusters that boxes and clusters lie in."""

    graph: Graph
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    clusters: tuple[Cluster, ...]

    def path(self, cluster: int | None) -> tuple[int, ...]:
        """The clusters from the outermost to this one."""
        found = []
        while cluster is not None:
            found.append(cluster)
            cluster = self.clusters[cluster].parent
        return tuple(reversed(found))

    def results(self) -> dict[int, tuple[int, ...]]:
        """Of each box, by its key, the nodes whose values leave it: to another box, or to the caller."""
        leaving = {edges[0].source for arrow in self.arrows for edges in (arrow.edges, *arrow.copies)}.union(self.graph.outputs)
        return {
            box.key: tuple(first for first, *others in zip(box.nodes, *box.copies, strict=True) if not leaving.isdisjoint((first, *others)))
            for box in self.boxes
        }


def whole(graph: Graph) -> View:
    """Every node a box, every edge an arrow, every scope a cluster."""
    edges = graph.edges
    clusters, places = scopes(graph, edges)
    boxes = tuple(Box((node.index,), place) for node, place in zip(graph.nodes, places, strict=True))
    return View(graph, boxes, tuple(Arrow(edge.source, edge.target, (edge,)) for edge in edges), tuple(clusters))


def scopes(graph: Graph, edges: Sequence[Edge]) -> tuple[list[Cluster], list[int | None]]:
    """The scopes as clusters, and for each node the number of its own.

    An unnamed constant goes where it is used, if that is one place; a module's parameter there too, if the scope is called like a class, and else just
    outside it: the weight of a Linear not into ``linear``, which is given it.
    """
    clusters: list[Cluster] = []
    numbers: dict[Scope, int] = {}
    users: dict[int, set[Scope | None]] = {}
    for edge in edges:
        if graph.nodes[edge.source].kind != "operation":
            users.setdefault(edge.source, set()).add(graph.nodes[edge.target].scope)
    places = []
    for node in graph.nodes:
        scope = node.scope
        if node.index in users and len(users[node.index]) == 1:
            (user,) = users[node.index]
            if node.kind == "constant" and node.name is None:
                scope = user
            elif user is not None and user is not scope and is_parameter(node):
                scope = user if user.name.rpartition(": ")[2][:1].isupper() else user.parent
        places.append(_number(scope, numbers, clusters))
    return clusters, places


def _number(scope: Scope | None, numbers: dict[Scope, int], clusters: list[Cluster]) -> int | None:
    """The number of a scope's cluster, which is made with those around it when it is first seen."""
    missing: list[Scope] = []
    while scope is not None and scope not in numbers:
        missing.append(scope)
        scope = scope.parent
    parent = None if scope is None else numbers[scope]
    for one in reversed(missing):
        numbers[one] = len(clusters)
        clusters.append(Cluster(one.name, parent, Line(one.code, one.offset)))
        parent = numbers[one]
    return parent


def is_parameter(node: GraphNode) -> bool:
    """Whether a leaf was made by a module: by one of this package, or in a constructor."""
    return node.kind == "leaf" and node.line is not None and (node.line.inside or node.line.function.endswith("__init__"))


def without_constants(view: View) -> View:
    """The boxes that a gradient can flow through, and the arrows between them."""
    hidden = {box.key for box in view.boxes if box.title is None and view.graph.nodes[box.key].kind == "constant"}
    boxes = tuple(box for box in view.boxes if box.key not in hidden)
    return replace(view, boxes=boxes, arrows=tuple(arrow for arrow in view.arrows if arrow.source not in hidden))


def closed(view: View, depth: int) -> View:
    """Each scope inside ``depth`` others as one box, with the parameters of modules that nothing else uses."""
    inside: dict[int, int] = {}  # from a box's key to the cluster that it vanishes in
    paths = {number: view.path(number) for number in {box.cluster for box in view.boxes}}
    for box in view.boxes:
        path = paths[box.cluster]
        if len(path) > depth:
            inside[box.key] = path[depth]
    users: dict[int, set[int | None]] = {}
    for arrow in view.arrows:
        users.setdefault(arrow.source, set()).add(inside.get(arrow.target))
    for box in view.boxes:
        used = users.get(box.key, set())
        if box.key not in inside and box.title is None and len(used) == 1 and is_parameter(view.graph.nodes[box.key]):
            (user,) = used
            if user is not None:
                inside[box.key] = user
    members: dict[int, list[Box]] = {}
    for box in view.boxes:
        if box.key in inside:
            members.setdefault(inside[box.key], []).append(box)
    boxes = [box for box in view.boxes if box.key not in inside]
    for number, found in members.items():
        name, parent, line, _ = view.clusters[number]
        boxes.append(Box(tuple(sorted(node for box in found for node in box.nodes)), parent, name, line))
    return rewired(view, boxes)


def fitting_depth(view: View, most: int = MOST) -> int | None:
    """The greatest depth at which `closed` leaves no more than ``most`` boxes, or 0; None where all are no more, or there is nothing to close."""
    if len(view.boxes) <= most or not view.clusters:
        return None
    depths: list[int] = []  # of clusters: how many are around each; a cluster comes after its parent
    for cluster in view.clusters:
        depths.append(0 if cluster.parent is None else depths[cluster.parent] + 1)
    scopes = Counter(depths)
    boxes = Counter(0 if box.cluster is None else depths[box.cluster] + 1 for box in view.boxes)
    found, open_boxes = 0, 0
    for depth in range(max(depths) + 1):
        open_boxes += boxes[depth]
        if open_boxes + scopes[depth] <= most:
            found = depth
    return found


def rewired(view: View, boxes: Iterable[Box]) -> View:
    """The view with other boxes for the same nodes: arrows within one box vanish, and a value goes into a closed scope once."""
    ordered = tuple(sorted(boxes, key=lambda box: box.key))
    owner = {node: box for box in ordered for node in box.nodes}
    merged: dict[tuple[int, int, int | None], list[Edge]] = {}
    for arrow in view.arrows:
        source, target = owner[arrow.source], owner[arrow.target]
        if source is not target:
            # Each operand of an operation keeps its own arrow.
            key = (arrow.value, target.key, None if target.title is not None else arrow.edges[0].operand)
            merged.setdefault(key, []).extend(arrow.edges)
    arrows = tuple(Arrow(owner[value].key, target, tuple(edges)) for (value, target, _), edges in merged.items())
    return replace(view, boxes=ordered, arrows=arrows)

"""Folding: repetitions of the same scopes, one after the other, are drawn once, with their count."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from autograd_bn.core.graph import Edge
from autograd_bn.drawing.view import Arrow, Box, Cluster, View

_LONGEST = 8
"""The most parts, scopes or operations, that one repetition may consist of."""
_NUMBER = re.compile(r"^(?:\w+\.)*\d+: | \d+$")
"""How a Sequential or a list numbers its parts, and a loop its steps."""


def folded(view: View) -> View:
    """The view with each run of repetitions as its first one, whose boxes, arrows and cluster have ``copies``.

    Repetitions consist of at least one scope each, open or closed, or are the steps of a loop of the user's, three or more. They are the same
    in operations, parameters, shapes, dtypes and wiring: each takes its inputs from the one before, or all from the same place, which may be parts of
    one sequence or results of one scope. What the first takes instead of a result of one before, such as the state that a loop starts from, stands before it.
    """
    return _Folder(view).folded()


class _Item(NamedTuple):
    """A part of a cluster: a cluster with all its boxes, or one box."""

    cluster: int | None
    boxes: tuple[int, ...]


class _Input(NamedTuple):
    """The way of an input to a repetition, its place there if it has one, and the node that it is."""

    way: str
    place: object
    source: int


class _Folder:
    def __init__(self, view: View) -> None:
        self.view = view
        self.nodes = view.graph.nodes
        self.boxes = {box.key: box for box in view.boxes}
        self.clusters = list(view.clusters)
        self.shown = {node for box in view.boxes for node in box.nodes}
        self.loose = {box.key for box in view.boxes if box.title is None and self.nodes[box.key].kind != "operation"}
        self.hidden = {
            node for box in view.boxes if box.title is not None for node in box.nodes if self.nodes[node].kind == "constant" and self.nodes[node].name is None
        }
        self.users: dict[int, set[int]] = {}
        for arrow in view.arrows:
            self.users.setdefault(arrow.value, set()).update(edge.target for edge in arrow.edges)
        self.carried: set[tuple[int, int]] = set()
        self.instead: dict[int, int] = {}
        self.signatures: dict[object, int] = {}

    def folded(self) -> View:
        """Fold the innermost clusters first: what is folded in each repetition then looks the same."""
        paths: dict[int | None, tuple[int, ...]] = {None: ()}
        for number in range(len(self.clusters)):
            paths[number] = self.view.path(number)
        items: dict[int | None, list[_Item]] = {}
        for box in self.view.boxes:
            if box.key not in self.loose:
                items.setdefault(box.cluster, []).append(_Item(None, (box.key,)))
        for number in sorted(range(len(paths) - 1), key=lambda number: -len(paths[number])):
            if number in items:
                boxes = tuple(key for item in self._in(number, items.pop(number)) for key in item.boxes)
                items.setdefault(self.clusters[number].parent, []).append(_Item(number, boxes))
        self._in(None, items.get(None, []))
        left = tuple(sorted(self.boxes.values(), key=lambda box: box.key))
        return replace(self.view, boxes=left, arrows=self._arrows(left), clusters=tuple(self.clusters))

    def _in(self, parent: int | None, items: list[_Item]) -> list[_Item]:
        """Fold the parts of one cluster; gives those that are left."""
        items = self._ordered(items)
        signs = [self._signature(item) for item in items]
        runs = _equal_runs(signs)
        homes = {node: i for i, item in enumerate(items) if self._is_scope(item) for key in item.boxes for node in self._all(key)}
        left: list[_Item] = []
        i = 0
        while i < len(items):
            length, count = max(((p, 1 + run[i] // p) for p, run in runs.items()), key=lambda found: (found[1] > 1) * found[0] * found[1], default=(1, 1))
            copies = [items[i + k * length : i + (k + 1) * length] for k in range(count)]
            scopes = any(map(self._is_scope, copies[0]))
            wiring = self._alike(copies, homes) if count > 1 and (scopes or self._is_loop(parent, copies)) else []
            if wiring and (scopes or any(taken.way == "before" for taken in wiring[-1])):
                left.extend(self._merge(parent, copies[: len(wiring)]))
                self._merge_loose(parent, wiring)
                self._branched(left, items, homes, wiring)
                i += len(wiring) * length
            else:
                left.append(items[i])
                i += 1
        return left

    def _ordered(self, items: list[_Item]) -> list[_Item]:
        """Each after those that it takes from, and single operations next to the part that alone uses them, or that alone they use.

        Graphs list nodes from the result back, so that what a loop's steps take may stand far from them.
        """
        owner = {node: i for i, item in enumerate(items) for key in item.boxes for node in self._all(key)}
        takes: list[set[int]] = [set() for _ in items]
        gives: list[set[int]] = [set() for _ in items]
        for node, i in owner.items():
            takes[i].update(owner.get(source, -1) for source in self.nodes[node].inputs)
            gives[i].update(owner.get(target, -1) for target in self.users.get(node, ()))
        for i in range(len(items)):
            takes[i].discard(i)
            gives[i].discard(i)
        beside: set[int] = set()
        above: dict[int, int] = {}  # of what stands beside another: that, or what that stands beside in turn
        before: dict[int, list[int]] = {}
        after: dict[int, list[int]] = {}
        for i, item in enumerate(items):
            if self._is_scope(item):
                continue
            (source,), (target,) = (found if len(found) == 1 else (-1,) for found in (takes[i], gives[i]))
            if source >= 0 and target >= 0:
                parts = self._is_scope(items[source]), self._is_scope(items[target])
                if parts[0] > parts[1] or (parts[0] == parts[1] and len(gives[source]) <= len(takes[target])):
                    target = -1
            other = target if target >= 0 else source
            end = other
            while end in above:  # each walk halves the way of the next, as a long chain would be walked again and again
                above[end] = above.get(above[end], above[end])
                end = above[end]
            if other >= 0 and end != i:
                beside.add(i)
                above[i] = other
                (before if target >= 0 else after).setdefault(other, []).append(i)
        found: list[_Item] = []
        for root in _sorted(items, takes, gives):
            stack = [] if root in beside else [(root, False)]
            while stack:
                i, placed = stack.pop()
                if placed:
                    found.append(items[i])
                else:
                    stack += [*((j, False) for j in reversed(after.get(i, []))), (i, True), *((j, False) for j in reversed(before.get(i, [])))]
        return found

    def _is_scope(self, item: _Item) -> bool:
        return item.cluster is not None or self.boxes[item.boxes[0]].title is not None

    def _is_loop(self, parent: int | None, copies: Sequence[Sequence[_Item]]) -> bool:
        """Whether single operations repeat what the same lines of the user's program do, in no scope of this package's."""
        lines = [[self.nodes[item.boxes[0]].line for item in copy] for copy in copies]
        around = [self.clusters[number].line for number in self._path(parent)]
        places = [[None if line is None or line.inside else (line.code, line.offset) for line in copy] for copy in lines]
        if any(line is not None and line.inside for line in around):
            return False
        return len(copies) > 2 and None not in places[0] and all(copy == places[0] for copy in places)

    def _signature(self, item: _Item) -> int:
        """A number that items share if their operations are the same, each for itself."""
        found: list[object] = []
        for key in item.boxes:
            box = self.boxes[key]
            names: list[object] = [None if box.title is None else _NUMBER.sub("", box.title), len(box.copies)]
            cluster = box.cluster
            while item.cluster is not None and cluster is not None:
                names.append((_NUMBER.sub("", self.clusters[cluster].name), self.clusters[cluster].copies))
                cluster = None if cluster == item.cluster else self.clusters[cluster].parent
            for index in self._seen(box.nodes):
                node = self.nodes[index]
                static = None if node.primitive is not None and node.primitive.name == "getitem" else repr(node.static)  # another part of a sequence
                names.append((node.kind, node.primitive, static, repr(node.constants), node.shape, node.dtype, node.cut))
            found.append(tuple(names))
        return self.signatures.setdefault(tuple(found), len(self.signatures))

    def _alike(self, copies: Sequence[Sequence[_Item]], homes: dict[int, int]) -> list[list[_Input]]:
        """Where each input comes from, of the repetitions, from the first, that are wired in the same way; nothing if there is but one."""
        place: dict[int, tuple[int, int]] = {}
        listed = [[node for item in copy for key in item.boxes for node in self._all(key)] for copy in copies]
        for number, nodes in enumerate(listed):
            place.update((node, (number, position)) for position, node in enumerate(nodes))

        def same(a: _Input, b: _Input) -> bool:
            if a.way == b.way == "outside" and a.source != b.source:
                return a.source in homes and homes[a.source] == homes.get(b.source) and a.source not in place and b.source not in place
            return (a.way, a.place) == (b.way, b.place)

        first, second = (self._wiring(nodes, number, place) for number, nodes in enumerate(listed[:2]))
        if len(first) != len(second) or not all(same(a, b) or (a.way in ("outside", "own") and b.way == "before") for a, b in zip(first, second, strict=True)):
            return []
        found = [first, second]
        for number in range(2, len(listed)):
            wiring = self._wiring(listed[number], number, place)
            if len(wiring) != len(second) or not all(same(a, b) for a, b in zip(second, wiring, strict=True)):
                break
            found.append(wiring)
        return found

    def _wiring(self, nodes: Sequence[int], number: int, place: dict[int, tuple[int, int]]) -> list[_Input]:
        """Where each input comes from: from within the repetition, the one before, a leaf or constant of its own, or from outside."""
        found: list[_Input] = []
        inside = set(nodes)
        own: dict[int, int] = {}
        for node in nodes:
            for source in self.nodes[node].inputs:
                copy, position = place.get(source, (None, source))
                if copy == number:
                    found.append(_Input("within", position, source))
                elif copy is not None and copy == number - 1:
                    found.append(_Input("before", position, source))
                elif source in self.hidden or (source in self.loose and self.users[source] <= inside):
                    leaf = self.nodes[source]
                    found.append(_Input("own", (own.setdefault(source, len(found)), leaf.kind, leaf.shape, leaf.dtype), source))
                else:
                    found.append(_Input("outside", source if source in self.shown else -1, source))
        return found

    def _merge_loose(self, parent: int | None, wiring: Sequence[Sequence[_Input]]) -> None:
        """Put the leaves and constants that each repetition has for itself into the first's; what the first alone has goes before it."""
        for column in zip(*wiring, strict=True):
            sources = [found.source for found in column]
            if column[0].way == "own" and column[-1].way == "own" and all(source in self.boxes for source in sources):
                first, *others = dict.fromkeys(sources)
                folded = [self.boxes.pop(other) for other in others]
                more = tuple(nodes for box in folded for nodes in (box.nodes, *box.copies))
                self.boxes[first] = self.boxes[first]._replace(copies=self.boxes[first].copies + more)
            elif column[0].way == "own" and column[-1].way == "before" and sources[0] in self.boxes:
                self.boxes[sources[0]] = self.boxes[sources[0]]._replace(cluster=parent)

    def _branched(self, left: list[_Item], items: list[_Item], homes: dict[int, int], wiring: Sequence[Sequence[_Input]]) -> None:
        """Close the scopes that give each repetition a part of its own, such as the steps of a sequence: all parts then go one way."""
        for first, *others in zip(*wiring, strict=True):
            sources = {found.source for found in others} - {first.source}
            if first.way == others[0].way == "outside" and sources:
                self.instead.update((source, first.source) for source in sources)
                home = items[homes[first.source]]
                if home.cluster is not None:
                    closed = items[homes[first.source]] = self._closed(home.cluster)
                    left[:] = [closed if item is home else item for item in left]

    def _closed(self, number: int) -> _Item:
        """One box for all of a cluster."""
        inside = [key for key, box in self.boxes.items() if number in self._path(box.cluster)]
        closed = [self.boxes.pop(key) for key in inside]
        nodes = tuple(sorted(node for box in closed for nodes in (box.nodes, *box.copies) for node in nodes))
        cluster = self.clusters[number]
        self.boxes[nodes[0]] = Box(nodes, cluster.parent, cluster.name, cluster.line)
        return _Item(None, (nodes[0],))

    def _path(self, cluster: int | None) -> list[int]:
        found = []
        while cluster is not None:
            found.append(cluster)
            cluster = self.clusters[cluster].parent
        return found

    def _merge(self, parent: int | None, copies: Sequence[Sequence[_Item]]) -> list[_Item]:
        """Put the repetitions into the first one."""
        owner = {node: number for number, copy in enumerate(copies) for item in copy for key in item.boxes for node in self._all(key)}
        for node, number in owner.items():
            self.carried.update((source, node) for source in self.nodes[node].inputs if owner.get(source, number) != number)
        for item, *others in zip(*copies, strict=True):
            for key, *same in zip(item.boxes, *(other.boxes for other in others), strict=True):
                kept = self.boxes[key]
                folded = [kept, *(self.boxes.pop(other) for other in same)]
                nodes, *more = (self._seen(nodes) for box in folded for nodes in (box.nodes, *box.copies))
                self.boxes[key] = kept._replace(nodes=nodes, copies=tuple(more))
        first = list(copies[0])
        for item in first:
            self._unnumber(item)
        if len(first) > 1 or not self._is_scope(first[0]):
            wrapper = len(self.clusters)
            self.clusters.append(Cluster("", parent, None, len(copies)))
            for item in first:
                if item.cluster is not None:
                    self.clusters[item.cluster] = self.clusters[item.cluster]._replace(parent=wrapper)
                else:
                    self.boxes[item.boxes[0]] = self.boxes[item.boxes[0]]._replace(cluster=wrapper)
            return [_Item(wrapper, tuple(key for item in first for key in item.boxes))]
        (item,) = first
        if item.cluster is not None:
            self.clusters[item.cluster] = self.clusters[item.cluster]._replace(copies=len(copies))
        else:
            self.boxes[item.boxes[0]] = self.boxes[item.boxes[0]]._replace(repeats=len(copies))
        return first

    def _unnumber(self, item: _Item) -> None:
        """Take away the number, which is another in each repetition."""
        if item.cluster is not None:
            cluster = self.clusters[item.cluster]
            self.clusters[item.cluster] = cluster._replace(name=_NUMBER.sub("", cluster.name))
        elif (title := self.boxes[item.boxes[0]].title) is not None:
            self.boxes[item.boxes[0]] = self.boxes[item.boxes[0]]._replace(title=_NUMBER.sub("", title))

    def _all(self, key: int) -> tuple[int, ...]:
        box = self.boxes[key]
        return tuple(node for nodes in (box.nodes, *box.copies) for node in self._seen(nodes))

    def _seen(self, nodes: tuple[int, ...]) -> tuple[int, ...]:
        """Those of a box without the constants that a closed scope has inside: a loop's first step may have more of them, the state that it starts from."""
        return tuple(node for node in nodes if node not in self.hidden)

    def _arrows(self, boxes: Sequence[Box]) -> tuple[Arrow, ...]:
        """The arrows between the boxes that are left; those of repetitions in the first one's."""
        original = {node: (box.key, first) for box in boxes for nodes in (box.nodes, *box.copies) for node, first in zip(nodes, box.nodes, strict=True)}
        merged: dict[tuple[int, int, int | None], list[tuple[Edge, ...]]] = {}
        ends: dict[tuple[int, int, int | None], tuple[int, int]] = {}
        titled = {box.key for box in boxes if box.title is not None}
        for arrow in self.view.arrows:
            if any((edge.source, edge.target) in self.carried for edge in arrow.edges):
                continue
            (source, value), (target, _) = original[self.instead.get(arrow.value, arrow.value)], original[arrow.edges[0].target]
            if source == target and source in titled:
                continue
            key = (value, target, None if target in titled else arrow.edges[0].operand)
            merged.setdefault(key, []).append(arrow.edges)
            ends[key] = source, target
        copies = {box.key: len(box.copies) for box in boxes}
        operands: dict[tuple[int, int], list[tuple[int, int, int | None]]] = {}
        for key in merged:
            operands.setdefault(key[:2], []).append(key)
        for keys in operands.values():  # every repetition gives an operand of what joins them
            source, target = ends[keys[0]]
            if len(keys) > 2 and len(keys) == copies[source] + 1 and not copies[target]:
                for key in keys[1:]:
                    merged[keys[0]] += merged.pop(key)
        return tuple(Arrow(*ends[key], edges[0], tuple(edges[1:])) for key, edges in merged.items())


def _sorted(items: Sequence[_Item], takes: Sequence[set[int]], gives: Sequence[set[int]]) -> list[int]:
    """The items' numbers, each after those that it takes from (in a circle the one with the first box first) and as soon as it can be."""
    waiting = [len(found - {-1}) for found in takes]
    first = [min(item.boxes) for item in items]
    ready = [(0, first[i], i) for i, count in enumerate(waiting) if not count]
    rest = iter(sorted((0, key, i) for i, key in enumerate(first)))
    heapq.heapify(ready)
    placed: dict[int, None] = {}
    while len(placed) < len(items):
        *_, i = heapq.heappop(ready) if ready else next(rest)
        if i in placed:
            continue
        placed[i] = None
        for target in gives[i] - {-1}:
            waiting[target] -= 1
            if not waiting[target]:
                heapq.heappush(ready, (-len(placed), first[target], target))
    return list(placed)


def _equal_runs(signs: Sequence[int]) -> dict[int, list[int]]:
    """For each length of a repetition and each place, over how many places what follows is the same as that far further on."""
    found = {}
    for length in range(1, min(_LONGEST, len(signs) // 2) + 1):
        run = [0] * (len(signs) + 1)
        for i in range(len(signs) - length - 1, -1, -1):
            run[i] = run[i + 1] + 1 if signs[i] == signs[i + length] else 0
        found[length] = run
    return found

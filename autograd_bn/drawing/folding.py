"""Folding: repetitions of the same scopes, one after the other, are drawn once, with their count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from autograd_bn.core.graph import Edge
from autograd_bn.drawing.view import Arrow, Box, Cluster, View

_LONGEST = 8
"""The most parts, scopes or operations, that one repetition may consist of."""
_NUMBER = re.compile(r"^\d+: ")
"""How a Sequential numbers its parts."""


def folded(view: View) -> View:
    """The view with each run of repetitions as its first one, whose boxes, arrows and cluster have ``copies``.

    Repetitions consist of at least one scope each, open or closed, and are the same in operations, parameters, shapes, dtypes and
    wiring: each takes its inputs from the one before, or all from the same place.
    """
    return _Folder(view).folded()


class _Item(NamedTuple):
    """A part of a cluster: a cluster with all its boxes, or one box."""

    cluster: int | None
    boxes: tuple[int, ...]


class _Folder:
    def __init__(self, view: View) -> None:
        self.view = view
        self.nodes = view.graph.nodes
        self.boxes = {box.key: box for box in view.boxes}
        self.clusters = list(view.clusters)
        self.shown = {node for box in view.boxes for node in box.nodes}
        self.carried: set[tuple[int, int]] = set()
        self.signatures: dict[object, int] = {}

    def folded(self) -> View:
        """Fold the innermost clusters first: what is folded in each repetition then looks the same."""
        paths: dict[int | None, tuple[int, ...]] = {None: ()}
        for number in range(len(self.clusters)):
            paths[number] = self.view.path(number)
        items: dict[int | None, list[_Item]] = {}
        for box in self.view.boxes:
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
        items.sort(key=lambda item: min(item.boxes))
        signs = [self._signature(item) for item in items]
        runs = _equal_runs(signs)
        left: list[_Item] = []
        i = 0
        while i < len(items):
            length, count = max(((p, 1 + run[i] // p) for p, run in runs.items()), key=lambda found: (found[1] > 1) * found[0] * found[1], default=(1, 1))
            if count > 1 and any(self._is_scope(item) for item in items[i : i + length]):
                count = self._alike([items[i + k * length : i + (k + 1) * length] for k in range(count)])
            else:
                count = 1
            if count > 1:
                left.extend(self._merge(parent, [items[i + k * length : i + (k + 1) * length] for k in range(count)]))
                i += count * length
            else:
                left.append(items[i])
                i += 1
        return left

    def _is_scope(self, item: _Item) -> bool:
        return item.cluster is not None or self.boxes[item.boxes[0]].title is not None

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
            for index in box.nodes:
                node = self.nodes[index]
                names.append((node.kind, node.primitive, repr(node.static), repr(node.constants), node.shape, node.dtype, node.cut))
            found.append(tuple(names))
        return self.signatures.setdefault(tuple(found), len(self.signatures))

    def _alike(self, copies: Sequence[Sequence[_Item]]) -> int:
        """How many of the repetitions, from the first, are wired in the same way."""
        place: dict[int, tuple[int, int]] = {}
        listed = [[node for item in copy for key in item.boxes for node in self._all(key)] for copy in copies]
        for number, nodes in enumerate(listed):
            place.update((node, (number, position)) for position, node in enumerate(nodes))
        first, second = (self._wiring(nodes, number, place) for number, nodes in enumerate(listed[:2]))
        if len(first) != len(second) or any(a != b and not (a[0] == "outside" and b[0] == "before") for a, b in zip(first, second, strict=True)):
            return 1
        count = 2
        while count < len(listed) and self._wiring(listed[count], count, place) == second:
            count += 1
        return count

    def _wiring(self, nodes: Sequence[int], number: int, place: dict[int, tuple[int, int]]) -> list[tuple[str, int]]:
        """Where each input comes from: from within the repetition, from the one before, or from outside."""
        found = []
        for node in nodes:
            for source in self.nodes[node].inputs:
                copy, position = place.get(source, (None, source))
                if copy == number:
                    found.append(("within", position))
                elif copy is not None and copy == number - 1:
                    found.append(("before", position))
                else:
                    found.append(("outside", source if source in self.shown else -1))
        return found

    def _merge(self, parent: int | None, copies: Sequence[Sequence[_Item]]) -> list[_Item]:
        """Put the repetitions into the first one."""
        owner = {node: number for number, copy in enumerate(copies) for item in copy for key in item.boxes for node in self._all(key)}
        for node, number in owner.items():
            self.carried.update((source, node) for source in self.nodes[node].inputs if owner.get(source, number) != number)
        for item, *others in zip(*copies, strict=True):
            for key, *same in zip(item.boxes, *(other.boxes for other in others), strict=True):
                folded = [self.boxes.pop(other) for other in same]
                more = tuple(nodes for box in folded for nodes in (box.nodes, *box.copies))
                self.boxes[key] = self.boxes[key]._replace(copies=self.boxes[key].copies + more)
        first = list(copies[0])
        for item in first:
            self._unnumber(item)
        if len(first) > 1:
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
        """Take away a Sequential's number, which is another in each repetition."""
        if item.cluster is not None:
            cluster = self.clusters[item.cluster]
            self.clusters[item.cluster] = cluster._replace(name=_NUMBER.sub("", cluster.name))
        elif (title := self.boxes[item.boxes[0]].title) is not None:
            self.boxes[item.boxes[0]] = self.boxes[item.boxes[0]]._replace(title=_NUMBER.sub("", title))

    def _all(self, key: int) -> tuple[int, ...]:
        box = self.boxes[key]
        return tuple(node for nodes in (box.nodes, *box.copies) for node in nodes)

    def _arrows(self, boxes: Sequence[Box]) -> tuple[Arrow, ...]:
        """The arrows between the boxes that are left; those of repetitions in the first one's."""
        original = {node: (box.key, first) for box in boxes for nodes in (box.nodes, *box.copies) for node, first in zip(nodes, box.nodes, strict=True)}
        merged: dict[tuple[int, int, int | None], list[tuple[Edge, ...]]] = {}
        ends: dict[tuple[int, int, int | None], tuple[int, int]] = {}
        titled = {box.key for box in boxes if box.title is not None}
        for arrow in self.view.arrows:
            if any((edge.source, edge.target) in self.carried for edge in arrow.edges):
                continue
            (source, value), (target, _) = original[arrow.value], original[arrow.edges[0].target]
            key = (value, target, None if target in titled else arrow.edges[0].operand)
            merged.setdefault(key, []).append(arrow.edges)
            ends[key] = source, target
        return tuple(Arrow(*ends[key], edges[0], tuple(edges[1:])) for key, edges in merged.items())


def _equal_runs(signs: Sequence[int]) -> dict[int, list[int]]:
    """For each length of a repetition and each place, over how many places what follows is the same as that far further on."""
    found = {}
    for length in range(1, min(_LONGEST, len(signs) // 2) + 1):
        run = [0] * (len(signs) + 1)
        for i in range(len(signs) - length - 1, -1, -1):
            run[i] = run[i + 1] + 1 if signs[i] == signs[i + length] else 0
        found[length] = run
    return found

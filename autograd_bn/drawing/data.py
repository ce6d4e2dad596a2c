"""A graph as JSON: what the explorer page reads, and ``ab.draw(y, file="y.json")`` writes. The schema is in docs/explore.md."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.graph import Edge, Graph, GraphNode
from autograd_bn.core.lines import Line
from autograd_bn.drawing import notes
from autograd_bn.drawing.formulas import rule_formulas, value_formula
from autograd_bn.drawing.view import View, whole
from autograd_bn.drawing.words import array_text, mean, norm

SCHEMA = "autograd_bn.graph/1"
SHOWN = 64
"""Arrays of at most this many elements are written whole; of larger ones a summary."""
LARGE, SHOWN_IN_LARGE = 1000, 6
"""In a graph of more nodes than this, only arrays of so few elements."""
CROWD = 40
"""A cluster of more parts than this is divided into groups of consecutive ones."""
_BINS = 24


def graph_json(graph: Graph) -> str:
    """The graph as one line of JSON; not-a-number and infinities are the strings "nan", "inf" and "-inf"."""
    text = json.dumps(graph_data(graph), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)  # lone surrogates have no UTF-8


def graph_data(graph: Graph) -> dict[str, Any]:
    """The nodes, edges, clusters, lines and summaries of arrays of a graph, as plain lists and dicts.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> from autograd_bn.drawing.data import graph_data
    >>> x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> data = graph_data(ab.graph((x * x).sum()))
    >>> [(node["symbol"], node["inputs"]) for node in data["nodes"]]
    [('x', []), ('*', [0, 0]), ('Σ', [1])]
    >>> [edge["formula"] for edge in data["edges"]]
    ['dv₁ · x', 'dv₁ · x', 'dv₂']
    """
    return _Writer(graph).data()


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.edges = graph.edges
        view = whole(graph)
        self.parts = notes.parts(view, numbered=True)
        self.arrays = _Arrays(SHOWN if len(graph.nodes) <= LARGE else SHOWN_IN_LARGE)
        self.lines: dict[tuple[object, int], int] = {}
        self.places: list[dict[str, Any]] = []
        self.tree = _Tree(view)

    def data(self) -> dict[str, Any]:
        graph = self.graph
        edges = self._edges()
        nodes = [self._node(node) for node in graph.nodes]
        clusters = [
            {"id": i, "name": cluster.name, "parent": cluster.parent, "group": cluster.group, "line": self._line(cluster.line)}
            for i, cluster in enumerate(self.tree.clusters)
        ]
        return {
            "schema": SCHEMA,
            "outputs": list(graph.outputs),
            "recorded": {
                "values": any(node.kind == "operation" and node.value is not None for node in graph.nodes),
                "gradients": any(node.cotangents is not None for node in graph.nodes),
            },
            "nodes": nodes,
            "edges": edges,
            "clusters": clusters,
            "crossings": self._crossings(),
            "lines": self.places,
            "arrays": self.arrays.found,
        }

    def _node(self, node: GraphNode) -> dict[str, Any]:
        parts = self.parts.get(node.index, {})
        arrived = [part.cotangent for part in parts.values()]
        whole = node.gradient is None or notes.complete(node.gradient, arrived, node.index in self.graph.outputs)
        return {
            "id": node.index,
            "kind": node.kind,
            "operation": None if node.primitive is None else node.primitive.name,
            "symbol": notes.symbol(node),
            "name": node.name,
            "called": notes.called(node),
            "d": notes.differential(node, numbered=True),
            "shape": None if node.shape is None else list(node.shape),
            "dtype": None if node.dtype is None else str(node.dtype),
            "static": ", ".join(f"{key}={value!r}" for key, value in node.static.items()),
            "inputs": list(node.inputs),
            "formula": value_formula(node, self.graph.nodes),
            "cluster": self.tree.of[node.index],
            "line": self._line(node.line),
            "cut": None if node.cut is None else node.cut.strip(","),
            "value": self.arrays.add(node.value),
            "gradient": self.arrays.add(node.gradient),
            "sums": self._sums(arrived) if whole else [],
            "starts": ["value"] * notes.starts_not_finite(node, self.graph.nodes) + ["gradient"] * notes.sends_not_finite(node, self.graph.nodes),
            "seeded": node.gradient is not None and (not whole or not [part for part in arrived if part is not None]),
        }

    def _sums(self, arrived: Sequence[Array | None]) -> list[int | None]:
        """The gradient after each arrival, where several come together."""
        if len(arrived) < 2 or any(part is None for part in arrived):
            return []
        found: list[int | None] = []
        total: Any = None
        for part in arrived:
            with np.errstate(all="ignore"):
                total = part if total is None else total + part
            found.append(self.arrays.add(total, keep=True))
        return found

    def _edges(self) -> list[dict[str, Any]]:
        formulas = {node.index: rule_formulas(node, self.graph.nodes) for node in self.graph.nodes}
        order = {place: i for parts in self.parts.values() for i, place in enumerate(parts)}
        place = {index: {operand: i for i, operand in enumerate(node.operands)} for index, node in enumerate(self.graph.nodes)}
        found = []
        for number, edge in enumerate(self.edges):
            source, target = self.graph.nodes[edge.source], self.graph.nodes[edge.target]
            name, cotangent, _ = self.parts[edge.source][number]
            entry = {
                "source": edge.source,
                "target": edge.target,
                "operand": edge.operand,
                "arrival": order[number],
                "d": None if source.kind == "constant" else name,
                "formula": None if source.kind == "constant" else formulas[edge.target][place[edge.target][edge.operand]],
                "cotangent": self.arrays.add(cotangent),
                "summed": notes.summed(target, cotangent),
            }
            found.append(entry)
        return found

    def _crossings(self) -> list[dict[str, Any]]:
        """Where several edges of one value cross a cluster's border together: the sum of what flows back over it."""
        grouped: dict[tuple[int, int], list[Array | None]] = {}
        by_source: dict[int, list[tuple[int, Edge]]] = {}
        for number, edge in enumerate(self.edges):
            by_source.setdefault(edge.source, []).append((number, edge))
        for source, edges in by_source.items():
            if len(edges) < 2:
                continue
            own = self.tree.path(self.tree.of[source])
            for number, edge in edges:
                other = self.tree.path(self.tree.of[edge.target])
                common = 0
                while common < min(len(own), len(other)) and own[common] == other[common]:
                    common += 1
                cotangent = self.parts[source][number][1]
                for cluster in (*own[common:], *other[common:]):
                    grouped.setdefault((source, cluster), []).append(cotangent)
        found = []
        for (source, cluster), parts in grouped.items():
            here = [part for part in parts if part is not None]
            if len(parts) > 1 and len(here) == len(parts):
                with np.errstate(all="ignore"):
                    total: Any = sum(here[1:], start=here[0])
                found.append({"source": source, "cluster": cluster, "cotangent": self.arrays.add(total, keep=True)})
        return found

    def _line(self, line: Line | None) -> int | None:
        if line is None:
            return None
        key = (line.code, line.offset)
        if key not in self.lines:
            self.lines[key] = len(self.places)
            self.places.append({"file": os.path.basename(line.file), "number": line.number, "function": line.function, "text": line.text})
        return self.lines[key]


class _Cluster:
    """A scope, or a group of consecutive parts of a crowded one."""

    __slots__ = ("group", "line", "name", "parent")

    def __init__(self, name: str, parent: int | None, line: Line | None, group: bool) -> None:
        self.name = name
        self.parent = parent
        self.line = line
        self.group = group


class _Tree:
    """The clusters, and for each node the innermost one that it lies in."""

    def __init__(self, view: View) -> None:
        self.clusters = [_Cluster(cluster.name, cluster.parent, cluster.line, False) for cluster in view.clusters]
        self.of = [box.cluster for box in view.boxes]
        self._settle(view)
        self._divide()
        self._paths: dict[int | None, tuple[int, ...]] = {None: ()}

    def path(self, cluster: int | None) -> tuple[int, ...]:
        """The clusters from the outermost to this one."""
        found = self._paths.get(cluster)
        if found is None:
            assert cluster is not None
            found = self._paths[cluster] = (*self.path(self.clusters[cluster].parent), cluster)
        return found

    def _children(self) -> dict[int | None, list[tuple[int, bool, int]]]:
        """The parts of each cluster: (first node, whether a cluster, id), in the order of their first nodes."""
        first: dict[int, int] = {}
        children: dict[int | None, list[tuple[int, bool, int]]] = {}
        for index, cluster in enumerate(self.of):
            children.setdefault(cluster, []).append((index, False, index))
            while cluster is not None and cluster not in first:
                first[cluster] = index
                cluster = self.clusters[cluster].parent
        for cluster, index in first.items():
            children.setdefault(self.clusters[cluster].parent, []).append((index, True, cluster))
        return {cluster: sorted(parts) for cluster, parts in children.items()}

    def _settle(self, view: View) -> None:
        """Put what no operation made, in a crowded cluster, where it is used."""
        users: dict[int, set[int | None]] = {}
        for arrow in view.arrows:
            if view.graph.nodes[arrow.source].kind != "operation":
                users.setdefault(arrow.source, set()).add(self.of[arrow.target])
        crowded = {cluster for cluster, parts in self._children().items() if len(parts) > CROWD}
        for index, found in users.items():
            if len(found) == 1 and self.of[index] in crowded:
                (self.of[index],) = found

    def _divide(self) -> None:
        """Groups within groups, so that no cluster has more than a crowd of parts."""
        for cluster, parts in self._children().items():
            level = parts
            height = max(1, math.ceil(math.log(len(level), CROWD) - 1e-9)) if len(level) > CROWD else 1
            share = math.ceil(len(level) ** (1 / height))
            while len(level) > CROWD:
                above: list[tuple[int, bool, int]] = []
                for start in range(0, len(level), share):
                    chunk = level[start : start + share]
                    group = len(self.clusters)
                    self.clusters.append(_Cluster("", cluster, None, True))
                    for _, is_cluster, index in chunk:
                        if is_cluster:
                            self.clusters[index].parent = group
                        else:
                            self.of[index] = group
                    above.append((chunk[0][0], True, group))
                level = above


class _Arrays:
    """Summaries of arrays, each array once."""

    def __init__(self, whole: int) -> None:
        self.found: list[dict[str, Any]] = []
        self._whole = whole
        self._known: dict[tuple[Any, ...], int] = {}
        self._kept: list[Array] = []

    def add(self, array: Array | None, *, keep: bool = False) -> int | None:
        """The number of the summary of an array. ``keep`` one that nobody else does, so that its address stays its own."""
        if array is None:
            return None
        array = np.asarray(array)
        if keep:
            self._kept.append(array)
        key = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str)
        if key not in self._known or array.size == 0:
            self._known[key] = len(self.found)
            self.found.append(summary(array, self._whole))
        return self._known[key]


def summary(array: Array, whole: int = SHOWN) -> dict[str, Any]:
    """An array in numbers: shape, dtype, text; of finite real elements the least, greatest, mean, deviation, norm and a histogram; few elements whole."""
    found: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype), "text": array_text(array)}
    if array.size <= whole:
        found["elements"] = [_plain(x) for x in array.ravel().tolist()]
    if array.size == 0 or array.dtype.kind not in "biufc":
        return found
    flat = (np.abs(array) if array.dtype.kind == "c" else array.astype(np.float64)).ravel()
    zeros, finite = flat.size - int(np.count_nonzero(flat)), flat
    nan = inf = 0
    if not np.isfinite(flat).all():
        finite = flat[np.isfinite(flat)]
        nan = int(np.count_nonzero(np.isnan(flat)))
        inf = flat.size - finite.size - nan
    found |= {"zeros": zeros, "nan": nan, "inf": inf}
    if finite.size == 0:
        return found
    low, high = float(finite.min()), float(finite.max())
    with np.errstate(all="ignore"):
        middle = float(mean(finite))
        numbers = {"min": low, "max": high, "mean": middle, "std": norm(finite - middle) / math.sqrt(finite.size), "norm": norm(finite)}
        found |= {key: _plain(float(f"{number:.8g}")) for key, number in numbers.items()}
        if finite.size > 1 and math.isfinite(high - low):
            bins = np.zeros(finite.size, np.intp) if high == low else np.minimum((finite - low) / (high - low) * _BINS, _BINS - 1).astype(np.intp)
            found["histogram"] = np.bincount(bins, minlength=1 if high == low else _BINS).tolist()
    return found


def _plain(x: Any) -> Any:
    """A number as JSON has it, or a string."""
    if isinstance(x, float):
        return x if math.isfinite(x) else repr(x)
    return x if isinstance(x, (bool, int)) and abs(x) < 2**53 else str(x)

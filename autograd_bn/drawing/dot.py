"""A graph as DOT: the default style. Time and depth are linear in the graph; nothing here recurses."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from graphviz.quoting import quote  # type: ignore[import-untyped, unused-ignore]

from autograd_bn.core.graph import Edge, Graph, GraphNode
from autograd_bn.core.lines import Line
from autograd_bn.core.state import Scope
from autograd_bn.drawing import notes
from autograd_bn.drawing.picture import Drawing
from autograd_bn.drawing.words import array_text, marked, quoted, shape_text

FONT = "Helvetica,Arial,sans-serif"
INK, GREY, RED = "#1f2328", "#6e7781", "#b3121d"

_GRAPH = {"rankdir": "LR", "bgcolor": "white", "fontname": FONT, "nodesep": "0.35", "pad": "0.2", "splines": "true"}
_NODE = {"fontname": FONT, "fontsize": "11", "fontcolor": INK, "shape": "box", "style": "rounded,filled", "color": INK, "fillcolor": "white"}
_NODE |= {"margin": "0.08,0.02", "height": "0.5"}
_EDGE = {"fontname": FONT, "fontsize": "10", "arrowsize": "0.7", "color": "black"}
# Ready-made ends of the statements that a large graph has many of.
_KINDS = {
    "operation": "",
    "leaf": ' color="#3b6ea5" fillcolor="#dceafa"',
    "constant": ' color="#8c959f" fillcolor="#f0f0f0" style="rounded,filled,dashed"',
}
_OUTPUT = " penwidth=2"
_SPACE = '<FONT POINT-SIZE="4"> </FONT>'
"""Keeps a label off the arrow below it."""
_BACK = f' color=red dir=back fontcolor="{RED}"'
_FROM_CONSTANT = ' [color="#57606a" style=dashed]'
_CLUSTER = {"style": "rounded,filled", "color": "#d0d7de", "fontcolor": GREY, "fontsize": "11", "labeljust": "l", "margin": "12"}
_SHADES = ("#f6f8fa", "#eef1f4")


def default_drawing(graph: Graph, *, values: bool | None, gradients: bool | None, direction: str, timeout: float | None) -> Drawing:
    """Every node with its label, name and shape; scopes as nested clusters; what was recorded, and red arrows for gradients."""
    recorded = any(node.kind == "operation" and (node.value is not None or node.cotangents is not None) for node in graph.nodes)
    return _Painter(graph, recorded if values is None else values, recorded if gradients is None else gradients, direction, timeout).paint()


class _Painter:
    def __init__(self, graph: Graph, values: bool, gradients: bool, direction: str, timeout: float | None) -> None:
        self.graph = graph
        self.values = values
        self.gradients = gradients
        # Labels on edges double the ranks.
        attributes = _GRAPH | {"rankdir": direction, "ranksep": "0.25" if gradients else "0.45"}
        comment = "Red edges run back: each is written from operand to result, like its black twin, with dir=back." if gradients else None
        self.drawing = Drawing("graph", comment=comment, timeout=timeout, graph_attr=attributes, node_attr=_NODE, edge_attr=_EDGE)
        self.edges = graph.edges
        self.parts = notes.parts(graph, self.edges) if gradients else {}
        self.outputs = frozenset(graph.outputs)
        self.lines: dict[tuple[object, int], str] = {}

    def paint(self) -> Drawing:
        scopes = notes.clusters(self.graph, self.edges)
        open_now: tuple[Scope, ...] = ()
        seen: dict[Scope, str] = {}
        paths: dict[Scope | None, tuple[Scope, ...]] = {None: ()}
        for node in self.graph.nodes:
            scope = scopes[node.index]
            if scope not in paths and scope is not None:
                paths[scope] = scope.path()
            open_now = self._move(open_now, paths[scope], seen)
            self._node(node)
        self._move(open_now, (), seen)
        for edge in self.edges:
            self._edge(edge)
        return self.drawing

    def _move(self, old: tuple[Scope, ...], new: tuple[Scope, ...], seen: dict[Scope, str]) -> tuple[Scope, ...]:
        """Close and open clusters. One that is opened again goes on under the same name, which DOT takes as the same cluster."""
        if old == new:
            return new
        common = 0
        while common < min(len(old), len(new)) and old[common] is new[common]:
            common += 1
        body = self.drawing.body
        body.extend("\t}\n" for _ in old[common:])
        for depth, scope in enumerate(new[common:], common):
            first = scope not in seen
            name = seen.setdefault(scope, f"cluster_{len(seen)}")
            body.append(f"\tsubgraph {name} {{\n")
            if first:
                self.drawing.attr("graph", label=quoted(scope.name), fillcolor=_SHADES[depth % 2], tooltip=quoted(scope.name), **_CLUSTER)
        return new

    def _node(self, node: GraphNode) -> None:
        tooltip = self._tooltip(node.line) if node.line is not None else node.kind
        looks = _KINDS[node.kind] + (_OUTPUT if node.index in self.outputs else "")
        self.drawing.body.append(f"\tn{node.index} [label={_table(self._rows(node))} tooltip={tooltip}{looks}]\n")

    def _rows(self, node: GraphNode) -> list[str]:
        italic = node.kind != "operation"
        symbol = marked(notes.symbol(node))
        rows = [f'<FONT POINT-SIZE="15">{f"<I>{symbol}</I>" if italic else symbol}</FONT>']
        words = []
        if node.kind == "operation" and node.name is not None:
            words.append(f"<I>{marked(node.name)}</I>")
        shape = shape_text(node.shape, node.dtype)
        if shape:
            words.append(_small(shape, GREY))
        if words:
            rows.append("&#160; ".join(words))
        if node.cut is not None:
            rows.append(_small(f"cut by {node.cut.strip(',')}", GREY))
        if self.values and node.value is not None:
            rows.append(_small(array_text(node.value), INK))
        if self.gradients and node.kind != "constant":
            rows.append(_small(self._gradient(node), RED))
        return rows

    def _gradient(self, node: GraphNode) -> str:
        """``dx = dx₁ + dx₂ = …``: what has come together at a node."""
        own = notes.differential(node)
        parts = self.parts.get(node.index, {})
        total = "—" if node.gradient is None else array_text(node.gradient)
        listed = [name for name, _ in parts.values()]
        if node.gradient is not None and not notes.complete(node.gradient, [part for _, part in parts.values()], node.index in self.outputs):
            listed.append("…")
        return f"{own} = {' + '.join(listed)} = {total}" if len(listed) > 1 else f"{own} = {total}"

    def _edge(self, edge: Edge) -> None:
        source, target = self.graph.nodes[edge.source], self.graph.nodes[edge.target]
        arrow = f"\tn{edge.source} -> n{edge.target}"
        if self.gradients and source.kind != "constant":
            # Before its black twin, so that it runs below it. A reversed edge would be ranked as a cycle,
            # and one with constraint=false be routed over its neighbours.
            self.drawing.body.append(f"{arrow} [label={self._flow(edge, target)}{_BACK}]\n")
        self.drawing.body.append(f"{arrow}{_FROM_CONSTANT if source.kind == 'constant' else ''}\n")

    def _flow(self, edge: Edge, target: GraphNode) -> str:
        """What flowed back along an edge."""
        name, cotangent = self.parts[edge.source][edge.target, edge.operand]
        rows = [f"<I>{marked(name)}</I>"]
        if cotangent is None:
            rows[0] += f"&#160; {'—' if target.cotangents is None else 'none'}"
        else:
            rows.append(_small(array_text(cotangent), RED))
        summed = notes.summed(target, cotangent)
        if summed:
            rows.append(_small(summed, GREY))
        rows.append(_SPACE)
        return _table(rows)

    def _tooltip(self, line: Line) -> str:
        key = (line.code, line.offset)
        found = self.lines.get(key)
        if found is None:
            text = f"{os.path.basename(line.file)}:{line.number}  {line.text}".rstrip()
            found = self.lines[key] = str(quote(quoted(text)))
        return found


def _table(rows: Sequence[str]) -> str:
    """Rows one under the other, with room for tall letters, as an HTML-like label."""
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(f"<TR><TD>{row}</TD></TR>" for row in rows)}</TABLE>>'


@functools.lru_cache(maxsize=4096)
def _small(text: str, color: str) -> str:
    return f'<FONT POINT-SIZE="9" COLOR="{color}">{marked(text)}</FONT>'

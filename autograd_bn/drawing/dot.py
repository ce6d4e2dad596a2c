"""A view of a graph as DOT: the default style. Time and depth are linear in the graph; nothing here recurses."""

from __future__ import annotations

import os

from graphviz.quoting import quote  # type: ignore[import-untyped, unused-ignore]

from autograd_bn.core.lines import Line
from autograd_bn.drawing.coloring import Coloring
from autograd_bn.drawing.labels import Labels, Shown
from autograd_bn.drawing.picture import Drawing
from autograd_bn.drawing.themes import Theme
from autograd_bn.drawing.view import Arrow, Box, View
from autograd_bn.drawing.words import quoted

FONT = "Helvetica,Arial,sans-serif"
LONG, LONG_WITH_LABELS = 12, 8
"""A drawing of more steps than this goes from top to bottom unless told otherwise; labels on the arrows make each step longer."""

_GRAPH = {"fontname": FONT, "nodesep": "0.35", "pad": "0.2", "splines": "true"}
_NODE = {"fontname": FONT, "fontsize": "11", "shape": "box", "style": "rounded,filled", "margin": "0.08,0.02", "height": "0.5"}
_EDGE = {"fontname": FONT, "fontsize": "10", "arrowsize": "0.7"}
_CLUSTER = {"style": "rounded,filled", "fontsize": "11", "labeljust": "l", "margin": "12"}


def default_drawing(
    view: View,
    shown: Shown,
    theme: Theme,
    *,
    coloring: Coloring | None = None,
    forward: bool = True,
    direction: str | None = None,
    timeout: float | None = None,
) -> Drawing:
    """Every box with its label; clusters; black arrows, unless ``forward`` is False, and red ones if gradients are shown."""
    if direction is None:
        direction = "LR" if steps(view) <= (LONG_WITH_LABELS if shown.gradients else LONG) else "TB"
    return _Painter(view, shown, theme, coloring, forward, direction, timeout).paint()


def steps(view: View) -> int:
    """The number of arrows on the longest way through a view."""
    far: dict[int, int] = {}
    for arrow in view.arrows:
        if arrow.source < arrow.target:
            far[arrow.target] = max(far.get(arrow.target, 0), far.get(arrow.source, 0) + 1)
    return max(far.values(), default=0)


class _Painter:
    def __init__(self, view: View, shown: Shown, theme: Theme, coloring: Coloring | None, forward: bool, direction: str, timeout: float | None) -> None:
        self.view = view
        self.shown = shown
        self.theme = theme
        self.coloring = coloring
        self.forward = forward
        self.labels = Labels(view, shown, theme, coloring)
        # Labels on edges double the ranks.
        apart = "0.25" if shown.gradients else "0.45" if coloring is None else "0.3"
        attributes = _GRAPH | {"rankdir": direction, "ranksep": apart, "bgcolor": theme.paper}
        comment = "Red edges run back: each is written from operand to result, like its black twin, with dir=back." if shown.gradients else None
        node = _NODE | {"fontcolor": theme.ink, "color": theme.ink, "fillcolor": theme.card}
        edge = _EDGE | {"color": theme.forward}
        self.drawing = Drawing("graph", comment=comment, timeout=timeout, graph_attr=attributes, node_attr=node, edge_attr=edge)
        self.outputs = frozenset(view.graph.outputs)
        self.lines: dict[tuple[object, int], str] = {}
        # Ready-made ends of the statements that a large graph has many of.
        self.kinds = {
            "operation": "",
            "leaf": f' color="{theme.leaf_line}" fillcolor="{theme.leaf}"',
            "constant": f' color="{theme.constant_line}" fillcolor="{theme.constant}" style="rounded,filled,dashed"',
        }
        style = "" if theme.back_style == "solid" else f" style={theme.back_style}"
        self.back = f' color={quote(theme.back)} dir=back fontcolor="{theme.back_text}"{style}'
        self.from_constant = f' [color="{theme.constant_line}" style=dashed]'

    def paint(self) -> Drawing:
        open_now: tuple[int, ...] = ()
        seen: set[int] = set()
        paths: dict[int | None, tuple[int, ...]] = {None: ()}
        for box in self.view.boxes:
            if box.cluster not in paths:
                paths[box.cluster] = self.view.path(box.cluster)
            open_now = self._move(open_now, paths[box.cluster], seen)
            self._box(box)
        self._move(open_now, (), seen)
        for place, arrow in enumerate(self.view.arrows):
            self._arrow(place, arrow)
        if self.coloring is not None:
            # Last, as clusters would inherit it.
            self.drawing.body.append(f"\tgraph [label={self.coloring.legend()} labelloc=t labeljust=l]\n")
        return self.drawing

    def _move(self, old: tuple[int, ...], new: tuple[int, ...], seen: set[int]) -> tuple[int, ...]:
        """Close and open clusters. One that is opened again goes on under the same name, which DOT takes as the same cluster."""
        if old == new:
            return new
        common = 0
        while common < min(len(old), len(new)) and old[common] == new[common]:
            common += 1
        body = self.drawing.body
        body.extend("\t}\n" for _ in old[common:])
        for depth, number in enumerate(new[common:], common):
            body.append(f"\tsubgraph cluster_{number} {{\n")
            if number not in seen:
                seen.add(number)
                cluster = self.view.clusters[number]
                name = f"{cluster.name} ×{cluster.copies}".strip() if cluster.copies > 1 else cluster.name
                looks = _CLUSTER | {"color": self.theme.shade_line, "fontcolor": self.theme.muted, "fillcolor": self.theme.shades[depth % 2]}
                if cluster.copies > 1:
                    looks |= {"color": self.theme.muted, "peripheries": "2"}
                self.drawing.attr("graph", label=quoted(name), tooltip=quoted(name), **looks)
        return new

    def _box(self, box: Box) -> None:
        node = self.view.graph.nodes[box.key]
        kind = node.kind if box.title is None else "scope"
        line = node.line if box.title is None else box.line
        tooltip = self._tooltip(line) if line is not None else kind
        looks = self.kinds[kind] if box.title is None else f' fillcolor="{self.theme.scope}"'
        fill = None
        if self.coloring is not None:
            fill = self.coloring.fill(self.coloring.of(box)[0]) if not box.copies else None
            fill = fill or self.theme.paper
            looks += f' fillcolor="{fill}"'
        if kind == "operation" and node.order:
            looks += f' color="{self.theme.back_text}"'
        if box.copies:
            looks += " peripheries=2"
        if any(not self.outputs.isdisjoint(nodes) for nodes in (box.nodes, *box.copies)):
            looks += " penwidth=2"
        self.drawing.body.append(f"\tn{box.key} [label={self.labels.box(box, fill)} tooltip={tooltip}{looks}]\n")

    def _arrow(self, place: int, arrow: Arrow) -> None:
        constant = self.view.graph.nodes[arrow.value].kind == "constant"
        written = f"\tn{arrow.source} -> n{arrow.target}"
        if self.shown.gradients and not constant:
            # Before its black twin, so that it runs below it. A reversed edge would be ranked as a cycle,
            # and one with constraint=false be routed over its neighbours.
            self.drawing.body.append(f"{written} [label={self.labels.arrow(place, arrow)}{self.back}]\n")
        if self.forward:
            self.drawing.body.append(f"{written}{self.from_constant if constant else ''}\n")

    def _tooltip(self, line: Line) -> str:
        key = (line.code, line.offset)
        found = self.lines.get(key)
        if found is None:
            text = f"{os.path.basename(line.file)}:{line.number}  {line.text}".rstrip()
            found = self.lines[key] = str(quote(quoted(text)))
        return found

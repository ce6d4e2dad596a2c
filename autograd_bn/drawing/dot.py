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

NEAR = 2
"""A leaf that is taken no more steps than this from the beginning of a cluster stands before it, and another beside it."""

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


def lengths(view: View) -> dict[int, int]:
    """The least number of ranks that an arrow into a cluster goes down, by the arrow's place, where it is more than one.

    What a cluster takes stands before all that leads there inside it; of leaves only those that are taken near the beginning, so that γ and β stay
    beside the end of a batch norm. Clusters that follow each other then share no ranks, and stand in line instead of being a staircase.
    """
    paths = {number: view.path(number) for number in {box.cluster for box in view.boxes}}
    boxes = {box.key: box for box in view.boxes}
    far: dict[tuple[int, int], int] = {}  # of a box in a cluster: the number of arrows on the longest way to it inside
    entered: dict[int, int] = {}  # the outermost cluster that an arrow comes into
    for place, arrow in sorted(enumerate(view.arrows), key=lambda pair: pair[1].target):
        source, target = paths[boxes[arrow.source].cluster], paths[boxes[arrow.target].cluster]
        common = 0
        while common < min(len(source), len(target)) and source[common] == target[common]:
            cluster = source[common]
            far[cluster, arrow.target] = max(far.get((cluster, arrow.target), 0), far.get((cluster, arrow.source), 0) + 1)
            common += 1
        if common < len(target):
            entered[place] = target[common]
    found = {}
    for place, cluster in entered.items():
        arrow = view.arrows[place]
        depth = far.get((cluster, arrow.target), 0)
        is_leaf = boxes[arrow.source].title is None and view.graph.nodes[arrow.source].kind != "operation"
        if 0 < depth <= (NEAR if is_leaf else depth):
            found[place] = 1 + depth
    return found


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
        comment = "An edge of two colours is two arrows: the value's forward, and its gradient's back." if shown.gradients else None
        node = _NODE | {"fontcolor": theme.ink, "color": theme.ink, "fillcolor": theme.card}
        edge = _EDGE | {"color": theme.forward}
        self.drawing = Drawing("graph", comment=comment, timeout=timeout, graph_attr=attributes, node_attr=node, edge_attr=edge)
        self.outputs = frozenset(view.graph.outputs)
        self.lengths = lengths(view)
        self.beside = direction in ("TB", "BT")
        self.lines: dict[tuple[object, int], str] = {}
        # Ready-made ends of the statements that a large graph has many of.
        self.kinds = {
            "operation": "",
            "leaf": f' color="{theme.leaf_line}" fillcolor="{theme.leaf}"',
            "constant": f' color="{theme.constant_line}" fillcolor="{theme.constant}" style="rounded,filled,dashed"',
        }
        # One edge, as two that are routed apart may cover each other; a reversed one would be ranked as a cycle.
        color, way = (quote(f"{theme.forward}:{theme.back}"), "both") if forward else (quote(theme.back), "back")
        self.back = f' color={color} dir={way} arrowtail={theme.back_head} fontcolor="{theme.back_text}"'
        self.from_constant = f' color="{theme.constant_line}" style=dashed'

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
        if self.labels.origins(box):
            # On the alarm's own ground its border would not be seen.
            looks += f' color="{self.theme.alarm if fill is None else self.theme.ink}" penwidth=4'
        if box.copies:
            looks += " peripheries=2"
        if any(not self.outputs.isdisjoint(nodes) for nodes in (box.nodes, *box.copies)):
            looks += " penwidth=2"
        self.drawing.body.append(f"\tn{box.key} [label={self.labels.box(box, fill)} tooltip={tooltip}{looks}]\n")

    def _arrow(self, place: int, arrow: Arrow) -> None:
        constant = self.view.graph.nodes[arrow.value].kind == "constant"
        looks = self.from_constant if constant else ""
        if self.shown.gradients and not constant:
            looks = f" label={self.labels.arrow(place, arrow, self.beside)}{self.back}"
        elif not self.forward:
            return
        if place in self.lengths:
            looks += f" minlen={self.lengths[place]}"
        self.drawing.body.append(f"\tn{arrow.source} -> n{arrow.target}{f' [{looks[1:]}]' if looks else ''}\n")

    def _tooltip(self, line: Line) -> str:
        key = (line.code, line.offset)
        found = self.lines.get(key)
        if found is None:
            text = f"{os.path.basename(line.file)}:{line.number}  {line.text}".rstrip()
            found = self.lines[key] = str(quote(quoted(text)))
        return found

"""The published figure of batch norm, from its recorded graph.

After F. Kratzert, "Understanding the backward pass through Batch Normalization Layer" (2016). Every position is given,
of nodes and of arrows, so that each engine draws the same picture.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.drawing.dot import FONT
from autograd_bn.drawing.match import BatchNorm, find_batch_norm
from autograd_bn.drawing.picture import Drawing
from autograd_bn.drawing.words import quoted

RADIUS = 32.4
"""Points; a circle 0.9 inches wide."""
APART = 5.0
"""Points from the line between two centres to each of the twin arrows."""
HEAD = 10.0
"""The length of an arrow head in points: Graphviz's own at ``arrowsize=1``."""


class Point(NamedTuple):
    """A place in points, upwards."""

    x: float
    y: float

    def __str__(self) -> str:
        return f"{self.x:.2f},{self.y:.2f}"


# The grid of the figure: two rows of circles, γ and β below at the left.
TOP, LOWER, GAMMA, BETA = 306.0, 216.0, 126.0, 36.0
PLACES = {
    "x": Point(36, TOP),
    "mean": Point(126, LOWER),
    "centred": Point(226, TOP),
    "squared": Point(326, LOWER),
    "variance": Point(446, LOWER),
    "root": Point(566, LOWER),
    "inverse": Point(686, LOWER),
    "normalized": Point(786, TOP),
    "gamma": Point(36, GAMMA),
    "scaled": Point(906, TOP),
    "beta": Point(36, BETA),
    "out": Point(1026, TOP),
}
END = Point(1150, TOP)
"""Where the text "out" is."""
EDGES = (
    ("x", "centred"),
    ("x", "mean"),
    ("mean", "centred"),
    ("centred", "normalized"),
    ("centred", "squared"),
    ("squared", "variance"),
    ("variance", "root"),
    ("root", "inverse"),
    ("inverse", "normalized"),
    ("normalized", "scaled"),
    ("gamma", "scaled"),
    ("scaled", "out"),
    ("beta", "out"),
)


def classic_drawing(graph: Graph, *, timeout: float | None) -> Drawing:
    """The figure of the batch norm in a graph.

    Raises DrawingError if the graph does not have one batch norm of an (N, D) input.
    """
    found = find_batch_norm(graph)
    drawing = Drawing(
        "batch_norm",
        engine="neato",
        neato_no_op=2,
        timeout=timeout,
        graph_attr={"bgcolor": "white", "pad": "0.15", "splines": "true", "notranslate": "true", "fontname": FONT},
        node_attr={"fontname": FONT, "fontsize": "17", "shape": "plaintext", "fixedsize": "true"},
        edge_attr={"color": "black", "arrowsize": "1"},
    )
    for role, place in PLACES.items():
        drawing.node(
            role,
            quoted(_label(role, found)),
            shape="circle",
            width=f"{2 * RADIUS / 72:g}",
            style="filled",
            fillcolor="white",
            color="black",
            penwidth="1.2",
            pos=f"{place}!",
            tooltip=quoted(str(getattr(found, role))),
        )
    _texts(drawing, found)
    # No gradient flows to a γ or β that is a constant, so none is drawn.
    for source, target in EDGES:
        _twins(drawing, source, target, _way(PLACES[source], PLACES[target]), getattr(found, source).kind != "constant")
    end = Point(END.x - 22, END.y)
    _twins(drawing, "out", "out_text", _shortened([PLACES["out"], end], RADIUS, 0.0), True)
    return drawing


def _label(role: str, found: BatchNorm) -> str:
    named = {"x": "x", "gamma": "γ", "beta": "β", "root": "√(x+ε)"}
    node: GraphNode = getattr(found, role)
    return named.get(role) or node.label


def _texts(drawing: Drawing, found: BatchNorm) -> None:
    """The shapes over the circles, and the names and their gradients beside them."""
    for role, symbol in (("x", "(N,D)"), ("out", "(N,D)"), ("gamma", "(D,)"), ("beta", "(D,)")):
        over = Point(PLACES[role].x, PLACES[role].y + RADIUS + 11)
        _text(drawing, f"{role}_shape", symbol, over)
        node: GraphNode = getattr(found, role)
        if node.shape is not None:
            size = f"= {node.shape}"
            _text(drawing, f"{role}_size", size, Point(over.x + 26 + 3.5 * len(size), over.y), fontcolor="#6e7781", fontsize="12")
    for role, name in (("x", "x"), ("gamma", "γ"), ("beta", "β")):
        beside = PLACES[role]
        _text(drawing, f"{role}_name", name, Point(beside.x - RADIUS - 18, beside.y + 10))
        if getattr(found, role).kind != "constant":
            _text(drawing, f"{role}_gradient", f"d{name}", Point(beside.x - RADIUS - 18, beside.y - 10), fontcolor="red")
    _text(drawing, "out_text", "out", Point(END.x, END.y + 10))
    _text(drawing, "out_gradient", "dout", Point(END.x, END.y - 10), fontcolor="red")


def _text(drawing: Drawing, name: str, text: str, place: Point, **attributes: str) -> None:
    drawing.node(name, quoted(text), pos=f"{place}!", width=f"{max(0.5, 0.15 * len(text)):.2f}", height="0.25", **attributes)


def _way(start: Point, end: Point) -> list[Point]:
    """The middle line of two twins: straight, or from γ and β level first and then 45° up."""
    level = start.y in (GAMMA, BETA)
    turn = Point(end.x - (end.y - start.y), start.y)
    return _shortened([start, turn, end] if level else [start, end], RADIUS, RADIUS)


def _shortened(way: list[Point], start: float, end: float) -> list[Point]:
    """A way between centres, its ends moved to circles of these radii, as they are met at the twins' distance."""

    def towards(point: Point, other: Point, radius: float) -> Point:
        length = math.dist(point, other)
        step = math.sqrt(max(radius**2 - APART**2, 0.0)) / length
        return Point(point.x + (other.x - point.x) * step, point.y + (other.y - point.y) * step)

    return [towards(way[0], way[1], start), *way[1:-1], towards(way[-1], way[-2], end)]


def _twins(drawing: Drawing, source: str, target: str, way: list[Point], back: bool) -> None:
    drawing.edge(source, target, pos=_spline(_beside(way)))
    if back:
        drawing.edge(target, source, pos=_spline(_beside(way[::-1])), color="red")


def _beside(way: list[Point]) -> list[Point]:
    """A way moved to its left, so that of two twins, one each way, neither covers the other."""
    normals = []
    for one, other in itertools.pairwise(way):
        length = math.dist(one, other)
        normals.append(Point(-(other.y - one.y) / length, (other.x - one.x) / length))
    moved = []
    for i, point in enumerate(way):
        before, after = normals[max(i - 1, 0)], normals[min(i, len(normals) - 1)]
        mitre = APART / (1 + before.x * after.x + before.y * after.y)
        moved.append(Point(point.x + (before.x + after.x) * mitre, point.y + (before.y + after.y) * mitre))
    return moved


def _spline(way: list[Point]) -> str:
    """Straight pieces as Graphviz's spline, which ends where the arrow head begins."""
    tip, before = way[-1], way[-2]
    step = HEAD / math.dist(tip, before)
    points = [*way[:-1], Point(tip.x - (tip.x - before.x) * step, tip.y - (tip.y - before.y) * step)]
    written = [str(points[0])]
    for one, other in itertools.pairwise(points):
        written += [str(Point(one.x + (other.x - one.x) * share, one.y + (other.y - one.y) * share)) for share in (1 / 3, 2 / 3, 1.0)]
    return f"e,{tip} {' '.join(written)}"

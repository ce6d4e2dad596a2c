"""Colouring a drawing by a quantity: what is measured, the scale, and the legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from autograd_bn.core.digits import superscript
from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import GraphNode
from autograd_bn.drawing import notes
from autograd_bn.drawing.themes import Theme
from autograd_bn.drawing.view import Box, View
from autograd_bn.drawing.words import marked, number_text

MetricName = Literal["gradient", "value", "nonfinite", "bytes", "seconds"]
_LEAST_DECADES, _MOST_DECADES = 3, 16
"""So that small differences look small, and a single tiny number does not make all others look alike."""
_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
_CELL, _TICK = 11, 44
"""Points: the width of a cell of the legend, and the least from one tick to the next."""


class Metric(NamedTuple):
    """A quantity of a node; of a closed scope the ``total``, or else the largest of its results."""

    title: str
    of: Callable[[GraphNode], float | None]
    text: Callable[[float], str] = number_text
    scale: Literal["logarithmic", "linear", "alarm"] = "linear"
    total: bool = False


def metric_named(color: str | Callable[[GraphNode], Any]) -> Metric:
    """The metric of a name, or of a function of a node; DrawingError for another name."""
    if callable(color):
        return Metric(getattr(color, "__name__", type(color).__name__), color)
    if color not in _METRICS:
        raise DrawingError(f"no metric is named {color!r}; there are {', '.join(map(repr, get_args(MetricName)))}, or a function of a GraphNode")
    return _METRICS[color]


def _magnitude(node: GraphNode) -> float | None:
    return None if node.value is None else notes.norm(node.value) / math.sqrt(max(node.value.size, 1))


def _nonfinite(node: GraphNode) -> float | None:
    known = [array for array in (node.value, node.gradient) if array is not None]
    return float(sum(array.size - np.count_nonzero(np.isfinite(array)) for array in known)) if known else None


def _bytes(node: GraphNode) -> float | None:
    return None if node.shape is None or node.dtype is None else float(math.prod(node.shape) * node.dtype.itemsize)


def _scaled(units: Sequence[str], x: float) -> str:
    unit = 0
    while x >= 999.5 and unit < len(units) - 1:
        x, unit = x / 1000, unit + 1
    return f"{number_text(x)} {units[unit]}"


_METRICS: dict[str, Metric] = {
    "gradient": Metric("norm of the gradient", lambda node: None if node.gradient is None else notes.norm(node.gradient), scale="logarithmic"),
    "value": Metric("root mean square of the value", _magnitude, scale="logarithmic"),
    "nonfinite": Metric("elements that are not finite", _nonfinite, lambda x: str(int(x)), "alarm", total=True),
    "bytes": Metric("size of the value", _bytes, lambda x: _scaled(("B", "kB", "MB", "GB"), x), total=True),
    "seconds": Metric("time, forward and backward", lambda node: node.seconds, lambda x: _scaled(("ns", "µs", "ms", "s"), x * 1e9), total=True),
}


class Coloring:
    """The colour of each box of a view."""

    def __init__(self, view: View, metric: Metric, theme: Theme) -> None:
        self.metric = metric
        self.theme = theme
        self._view = view
        self._results = view.results()
        self._known: dict[int, float | None] = {}
        found = [x for box in view.boxes for x in (*self.of(box), *map(self.node, box.nodes if box.title is not None and not metric.total else ()))]
        numbers = [x for x in found if x is not None]
        self._absent, self._none = len(numbers) < len(found), not numbers
        self._alarm = any(not math.isfinite(x) for x in numbers) or (metric.scale == "alarm" and any(numbers))
        self._zero = metric.scale == "logarithmic" and 0.0 in numbers
        positive = [x for x in numbers if math.isfinite(x) and x > 0]
        self.high = max(positive, default=1.0)
        self.low = 0.0
        if metric.scale == "logarithmic":
            top = math.ceil(math.log10(self.high))
            bottom = math.floor(math.log10(min(positive, default=1.0)))
            self.high, self.low = float(top), float(max(min(bottom, top - _LEAST_DECADES), top - _MOST_DECADES))

    def node(self, index: int) -> float | None:
        """The quantity of a node."""
        if index not in self._known:
            found = self.metric.of(self._view.graph.nodes[index])
            try:
                self._known[index] = None if found is None else float(found)
            except (TypeError, ValueError):
                raise DrawingError(f"color={self.metric.title} gives {found!r} for a node; it has to give a number, or None") from None
        return self._known[index]

    def of(self, box: Box) -> list[float | None]:
        """The quantity of a box, and of each repetition that is folded into it."""
        shown = box.nodes if self.metric.total else self._results[box.key] or box.nodes[-1:]
        places = [box.nodes.index(node) for node in shown] if box.copies else []
        return [self._combined(shown), *(self._combined([copy[place] for place in places]) for copy in box.copies)]

    def _combined(self, nodes: Sequence[int]) -> float | None:
        known = [x for x in map(self.node, nodes) if x is not None]
        if not known:
            return None
        return sum(known) if self.metric.total else max(known)

    def fill(self, x: float | None) -> str | None:
        """The colour of a quantity; None for one that is not known."""
        if x is None:
            return None
        if not math.isfinite(x) or (self.metric.scale == "alarm" and x > 0):
            return self.theme.alarm
        if self.metric.scale != "logarithmic":
            return self.theme.at(x / self.high)
        return self.theme.at((math.log10(x) - self.low) / (self.high - self.low)) if x > 0 else self.theme.zero

    def text(self, x: float | None) -> str:
        """A quantity in words."""
        return "—" if x is None else self.metric.text(x)

    def legend(self) -> str:
        """The scale, as an HTML-like label."""
        theme = self.theme
        cells = self._cells()
        spans: list[tuple[str, int]] = []
        for _, tick in cells:
            if tick or not spans:
                spans.append((tick, 0))
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        named = [(theme.zero, "exactly 0")] * self._zero + [(theme.alarm, "NaN or ∞")] * self._alarm
        bar = "".join(_square(color) for color, _ in cells)
        for color, name in named:
            bar += f'{_square(theme.paper)}{_square(color)}<TD ALIGN="LEFT">{_tick(f" {name}")}</TD>'
        title = self.metric.title + (": nothing was recorded, see ab.record()" if self._none else " (— not computed)" if self._absent else "")
        ticks = "".join(f'<TD COLSPAN="{span}" ALIGN="LEFT">{_tick(tick)}</TD>' for tick, span in spans)
        # A table within: the title would widen the cells of its own.
        scale = "".join(f"<TR>{row}</TR>" for row in (bar, ticks) if row)
        rows = [f'<FONT POINT-SIZE="11" COLOR="{theme.ink}">{marked(title)}</FONT>', *([f"{_TABLE}{scale}</TABLE>"] if scale else [])]
        inside = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows)
        return f'<<FONT COLOR="{theme.muted}">{_TABLE}{inside}</TABLE></FONT>>'

    def _cells(self) -> list[tuple[str, str]]:
        """The colours of the scale, from little to much, and what is written below their left ends."""
        if self.metric.scale == "alarm" or self._none:
            return []
        if self.metric.scale == "linear":
            return [(self.theme.at(i / 20), self.metric.text(self.high * i / 20) if i % 5 == 0 else "") for i in range(20)]
        decades = range(int(self.low), int(self.high))
        fine = max(1, 24 // len(decades))
        every = math.ceil(_TICK / (fine * _CELL))
        cells = []
        for decade in decades:
            tick = "" if (decade - decades[0]) % every else f"10{superscript(decade)}"
            cells += [(self.theme.at((decade + i / fine - self.low) / (self.high - self.low)), "" if i else tick) for i in range(fine)]
        return cells


def _square(color: str) -> str:
    return f'<TD BGCOLOR="{color}" WIDTH="{_CELL}" HEIGHT="13" FIXEDSIZE="TRUE"></TD>'


def _tick(text: str) -> str:
    return f'<FONT POINT-SIZE="9">{marked(text)}</FONT>'

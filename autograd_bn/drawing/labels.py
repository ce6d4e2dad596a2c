"""What is written in the boxes and on the arrows of a drawing, as DOT's HTML-like labels."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

from autograd_bn.core.arrays import Array
from autograd_bn.core.graph import GraphNode
from autograd_bn.drawing import notes
from autograd_bn.drawing.coloring import Coloring
from autograd_bn.drawing.formulas import rule_formulas, value_formula
from autograd_bn.drawing.themes import Theme
from autograd_bn.drawing.view import Arrow, Box, View, is_parameter
from autograd_bn.drawing.words import array_text, marked, number_text, shape_text, statistics_text

_BELOW, _BESIDE = '<FONT POINT-SIZE="4"> </FONT>', '<TD WIDTH="6"></TD>'
"""Keep a label off the arrow below it, or left of it."""
_MOST_PARAMETERS = 4


class Shown(NamedTuple):
    """What a drawing is asked to show."""

    values: bool = True
    gradients: bool = True
    statistics: bool = False
    formulas: bool = False
    types: bool | None = None


class Labels:
    """The labels of one view."""

    def __init__(self, view: View, shown: Shown, theme: Theme, coloring: Coloring | None) -> None:
        self.view = view
        self.nodes = view.graph.nodes
        self.shown = shown
        self.theme = theme
        self.coloring = coloring
        self.parts = notes.parts(view, shown.formulas) if shown.gradients else {}
        self.outputs = frozenset(view.graph.outputs)

    @functools.cached_property
    def results(self) -> dict[int, tuple[int, ...]]:
        """The nodes whose values leave each box."""
        return self.view.results()

    def box(self, box: Box, fill: str | None) -> str:
        """The label of a box on a ground of some colour."""
        theme = self.theme if fill is None else self.theme.over(fill)
        rows = self._closed(box, theme) if box.title is not None else self._single(box, theme)
        if self.coloring is not None:
            quantities = self.coloring.of(box)
            if len(quantities) > 1:
                rows.append(self._strip(quantities))
            rows.append(small(_range([self.coloring.text(x) for x in quantities]), theme.ink))
            if box.title is not None and not self.coloring.metric.total:
                rows += self._parameter_quantities(box, self.coloring)
        rows += [f"<B>{small(f'NaN or ∞ starts here{backward}', theme.back_text if backward else theme.ink)}</B>" for backward in self.origins(box)]
        return table(rows)

    def origins(self, box: Box) -> list[str]:
        """Whether what is not finite starts in a box: in its value, ``""``, or in what its rule sends ``", backward"``."""
        inside = [node for nodes in (box.nodes, *box.copies) for node in nodes]
        shown = self.shown.values or self.coloring is not None, self.shown.gradients or self.coloring is not None
        found = any(notes.starts_not_finite(self.nodes[i], self.nodes) for i in inside) if shown[0] else False
        back = any(notes.sends_not_finite(self.nodes[i], self.nodes) for i in inside) if shown[1] else False
        return [""] * found + [", backward"] * back

    def _single(self, box: Box, theme: Theme) -> list[str]:
        node = self.nodes[box.key]
        italic = node.kind != "operation"
        symbol = marked(notes.symbol(node))
        rows = [_large(f"<I>{symbol}</I>" if italic else symbol, theme)]
        words = []
        if node.kind == "operation" and (node.name is not None or self.shown.formulas):
            color = theme.muted if node.name is None else theme.back_text if node.order else theme.ink
            words.append(f'<FONT COLOR="{color}"><I>{marked(notes.called(node))}</I></FONT>')
        shape = self._type(node)
        if shape:
            words.append(small(shape, theme.muted))
        if words:
            rows.append("&#160; ".join(words))
        if self.shown.formulas and node.kind == "operation":
            rows.append(small(value_formula(node, self.nodes), theme.ink))
        if node.cut is not None:
            rows.append(small(f"cut by {node.cut.strip(',')}", theme.muted))
        rows += self._numbers(box, 0, theme)
        return rows

    def _closed(self, box: Box, theme: Theme) -> list[str]:
        title = f"{box.title} ×{box.repeats}" if box.repeats > 1 else str(box.title)
        rows = [f'<FONT POINT-SIZE="13" COLOR="{theme.ink}"><B>{marked(title)}</B></FONT>']
        inside = [self.nodes[i] for i in box.nodes]
        parameters = [node for node in inside if is_parameter(node)]
        operations = sum(node.kind == "operation" for node in inside)
        counts = []
        if operations > 1:
            counts.append(f"{operations} operations")
        if parameters:
            numbers = sum(math.prod(node.shape or ()) for node in parameters)
            counts.append(f"{numbers:,} parameter{'s' if numbers != 1 else ''}")
        if counts and self.coloring is None:
            rows.append(small(", ".join(counts), theme.muted))
        if len(self.results[box.key]) == 1:
            (result,) = self.results[box.key]
            node = self.nodes[result]
            words = [small(text, theme.muted, italic=italic) for text, italic in ((node.name, True), (self._type(node), False)) if text]
            if words:
                rows.append("&#160; ".join(words))
            rows += self._numbers(box, box.nodes.index(result), theme)
        elif self.results[box.key]:
            rows.append(small(f"{len(self.results[box.key])} results", theme.muted))
        if self.shown.gradients and len(parameters) <= _MOST_PARAMETERS:
            for node in parameters:
                text = self._text([self.nodes[i].gradient for i in self._copies(box, box.nodes.index(node.index))])
                rows.append(small(f"{notes.differential(node)} = {text}", theme.back_text))
        return rows

    def _parameter_quantities(self, box: Box, coloring: Coloring) -> list[str]:
        """The parameters inside a closed scope, each in its own colour."""
        parameters = [place for place, i in enumerate(box.nodes) if is_parameter(self.nodes[i])]
        if len(parameters) > _MOST_PARAMETERS:
            return []
        rows, cells = [], []
        for place in parameters:
            copies = self._copies(box, place)
            quantities = [coloring.node(i) for i in copies]
            text = f"{notes.called(self.nodes[copies[0]])}  {_range([coloring.text(x) for x in quantities])}"
            if box.copies:
                rows += [self._strip(quantities), small(text, self.theme.ink)]
            else:
                fill = coloring.fill(quantities[0]) or self.theme.paper
                cells.append(f'<TD BGCOLOR="{fill}">{small(text, self.theme.over(fill).ink)}</TD>')
        if cells:
            rows = [f'<TABLE BORDER="1" COLOR="{self.theme.constant_line}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2"><TR>{"".join(cells)}</TR></TABLE>']
        return rows

    def _numbers(self, box: Box, place: int, theme: Theme) -> list[str]:
        """The rows of a value and of its gradient."""
        copies = self._copies(box, place)
        node = self.nodes[copies[0]]
        rows = []
        if self.shown.values and node.value is not None:
            values = [self.nodes[i].value for i in copies]
            rows.append(_alarming(values, small(self._text(values), theme.ink)))
        if self.shown.gradients and node.kind != "constant":
            rows.append(_alarming([self.nodes[i].gradient for i in copies], small(self._gradient(node, copies), theme.back_text)))
        return rows

    def _copies(self, box: Box, place: int) -> list[int]:
        """The node at a place of a box, and those at the same place of the repetitions."""
        return [box.nodes[place], *(copy[place] for copy in box.copies)]

    def _gradient(self, node: GraphNode, copies: Sequence[int]) -> str:
        """``dx = dx₁ + dx₂ = …``: what has come together at a node."""
        own = notes.differential(node, self.shown.formulas)
        arrived = list(self.parts.get(node.index, {}).values())
        total = self._text([self.nodes[i].gradient for i in copies])
        listed = [part.name.replace(" … ", " + … + ") for part in arrived]
        single = node.gradient if len(copies) == 1 else None
        if single is not None and not notes.complete(single, [part.whole for part in arrived], node.index in self.outputs):
            listed.append("…")
        return f"{own} = {notes.sum_of(listed)} = {total}" if listed and listed != [own] else f"{own} = {total}"

    def arrow(self, place: int, arrow: Arrow, beside: bool) -> str:
        """What flowed back along an arrow, which is ``beside`` the label or below it."""
        name, cotangent, _ = self.parts[arrow.value][place]
        target = self.nodes[arrow.edges[0].target]
        theme = self.theme
        rows = [f"<I>{marked(name)}</I>"]
        formula = self._formula(arrow)
        if formula is not None:
            rows[0] += f" = {marked(formula)}"
        if cotangent is None:
            rows[0] += f"&#160; {'—' if target.cotangents is None else 'none'}"
        else:
            parts = [cotangent, *(notes.cotangent(self.view.graph, edges) for edges in arrow.copies)]
            rows.append(_alarming(parts, small(self._text(parts), theme.back_text)))
        summed = notes.summed(target, cotangent) if len(arrow.edges) == 1 else ""
        if summed:
            rows.append(small(summed, theme.muted))
        return table(rows, _BESIDE) if beside else table([*rows, _BELOW])

    def _formula(self, arrow: Arrow) -> str | None:
        if not self.shown.formulas or len(arrow.edges) != 1:
            return None
        target = self.nodes[arrow.edges[0].target]
        return rule_formulas(target, self.nodes)[target.operands.index(arrow.edges[0].operand)]

    def _type(self, node: GraphNode) -> str:
        if self.shown.types is False or node.shape is None:
            return ""
        return f"{node.shape} {node.dtype}" if self.shown.types else shape_text(node.shape, node.dtype)

    def _text(self, arrays: Sequence[Array | None]) -> str:
        """An array in a few words; of several, between which norms they lie; a dash for one that is not there."""
        found = [array for array in arrays if array is not None]
        if len(found) < len(arrays):
            return "—"
        if len(found) == 1:
            return statistics_text(found[0]) if self.shown.statistics else array_text(found[0])
        norms = sorted(notes.norm(array) for array in found)
        return f"‖·‖ {_range([number_text(x) for x in norms])}"

    def _strip(self, quantities: Sequence[float | None]) -> str:
        """A coloured cell a repetition."""
        assert self.coloring is not None
        width = max(1, min(14, 240 // len(quantities)))
        fills = [self.coloring.fill(x) or self.theme.paper for x in quantities]
        cells = "".join(f'<TD BGCOLOR="{fill}" WIDTH="{width}" HEIGHT="14" FIXEDSIZE="TRUE"></TD>' for fill in fills)
        return f'<TABLE BORDER="1" COLOR="{self.theme.muted}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR>{cells}</TR></TABLE>'


def _range(texts: Sequence[str]) -> str:
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} … {texts[-1]}"


def _alarming(arrays: Sequence[Array | None], text: str) -> str:
    """Text about arrays, bold where one of them is not finite."""
    return text if all(map(notes.finite, arrays)) else f"<B>{text}</B>"


def table(rows: Sequence[str], before: str = "") -> str:
    """Rows one under the other, with room for tall letters, as an HTML-like label; each after a cell, if one is given."""
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(f"<TR>{before}<TD>{row}</TD></TR>" for row in rows)}</TABLE>>'


def _large(text: str, theme: Theme) -> str:
    return f'<FONT POINT-SIZE="15" COLOR="{theme.ink}">{text}</FONT>'


@functools.lru_cache(maxsize=4096)
def small(text: str, color: str, italic: bool = False) -> str:
    """Small text of some colour."""
    inner = marked(text)
    return f'<FONT POINT-SIZE="9" COLOR="{color}">{f"<I>{inner}</I>" if italic else inner}</FONT>'

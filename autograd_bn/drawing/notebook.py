"""What a notebook shows: a tensor's values and its small graph, a graph's picture, a module's table of parts."""

from __future__ import annotations

from html import escape
from itertools import islice

from autograd_bn.core.graph import Graph, graph
from autograd_bn.core.node import Node, ancestors
from autograd_bn.core.tensor import Tensor
from autograd_bn.drawing.folding import folded
from autograd_bn.drawing.view import closed, fitting_depth, whole
from autograd_bn.nn.module import Module

SMALL, DRAWN, LISTED, LOOKED_AT = 24, 150, 60, 5000
"""The largest graphs that are drawn below a tensor, drawn for themselves, listed as text, and looked at for scopes to close, in nodes."""
_TIMEOUT = 5.0


def shown(x: object) -> dict[str, str]:
    """The forms of a tensor, a graph or a module besides its ``repr``, by media type."""
    if isinstance(x, Graph):
        return _of_graph(x)
    if isinstance(x, Module):
        return {"text/html": _table(x)}
    return _of_tensor(x) if isinstance(x, Tensor) else {}


def _of_graph(shown: Graph) -> dict[str, str]:
    """The picture, if it is large folded, or with scopes closed as far as it must; its text, or what it consists of."""
    found = {"text/plain": str(shown) if len(shown) <= LISTED else shown.summary()}
    depth, fold = None, False
    if len(shown) > LOOKED_AT:
        return found
    if len(shown) > DRAWN:
        view = whole(shown)
        fold = len(folded(view).boxes) <= DRAWN
        depth = None if fold else fitting_depth(view, DRAWN)
        if not fold and (depth is None or len(closed(view, depth).boxes) > DRAWN):
            return found
    picture = _svg(shown, depth, fold)
    if picture is not None:
        found["image/svg+xml"] = picture
    return found


def _of_tensor(x: Tensor) -> dict[str, str]:
    """The values as in ``repr``; below them the graph, if operations were recorded, and few."""
    node = x.node
    if not isinstance(node, Node) or node.primitive is None or any(islice(ancestors([node]), SMALL, None)):
        return {}
    recorded = graph(x)
    picture = _svg(recorded)
    if picture is None:
        return {}
    head = f"<pre>{escape(repr(x))}</pre>"
    drawing = picture[picture.index("<svg") :].replace("<svg", '<svg style="max-width:100%;height:auto"', 1)
    return {"text/html": f"{head}<details open><summary>graph of {len(recorded)} nodes</summary>{drawing}</details>"}


def _svg(graph: Graph, depth: int | None = None, fold: bool = False) -> str | None:
    """The picture as SVG, or None where no engine makes one in time."""
    from autograd_bn.core.errors import DrawingError
    from autograd_bn.drawing import draw

    try:
        picture = draw(graph, depth=depth, fold=fold, timeout=_TIMEOUT).pipe("svg", encoding="utf-8")
    except DrawingError:
        return None
    assert isinstance(picture, str)
    return picture


def _table(module: Module) -> str:
    """A row a part: its name, what it is, its own parameters and their number."""
    whole = sum(parameter.size for parameter in module.parameters())
    rows = [f"<caption>{escape(type(module).__name__)}, {whole:,} parameters</caption>", "<tr><th>part<th>module<th>own parameters<th>count</tr>"]
    for name, part in module.named_modules():
        own = [(one, parameter) for one, parameter in part.named_parameters() if "." not in one]
        shapes = ", ".join(f"{one} {parameter.shape}" for one, parameter in own)
        count = sum(parameter.size for _, parameter in own)
        extra = part.extra_repr()
        texts = [name, f"{type(part).__name__}({extra})" if extra else type(part).__name__, shapes]
        rows.append("<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}' for cell in texts) + f"<td>{f'{count:,}' if own else ''}</tr>")
    return f"<table>{''.join(rows)}</table>"

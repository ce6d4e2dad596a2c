"""Pictures of recorded graphs: data flow graph, DOT text, picture."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import Graph
from autograd_bn.core.graph import graph as recorded_graph
from autograd_bn.drawing.layout import TIMEOUT, Engine, engines

if TYPE_CHECKING:
    from autograd_bn.drawing.picture import Drawing

__all__ = ["Engine", "draw", "engines"]


def draw(
    y: Any,
    *,
    file: str | os.PathLike[str] | None = None,
    style: Literal["default", "classic"] = "default",
    values: bool | None = None,
    gradients: bool | None = None,
    direction: Literal["LR", "TB", "RL", "BT"] = "LR",
    timeout: float | None = TIMEOUT,
) -> Drawing:
    """Draw the graph that was recorded for a result.

    Black arrows lead forward. After ``ab.record()`` the drawing has the values too, and a red arrow back along each
    edge with the gradient that flowed there; a gradient that has not been computed yet is shown as —.

    Parameters
    ----------
    y
        A tensor, a container of tensors, or a Graph.
    file
        Where to write it too: .svg, .png, .pdf, .dot for the text, .json for the graph as data (see ``drawing.data``), or
        .html for the page of ``explore``. The last two hold all that was recorded, whatever the other parameters say.
    style
        ``"default"``, or ``"classic"`` for the published figure of batch norm (F. Kratzert, 2016), which only the graph of a
        batch norm of shape (N, D) has.
    values, gradients
        Whether to show them; by default if any were recorded. The classic figure shows none.
    direction
        From left to right, or as ``rankdir`` of Graphviz says.
    timeout
        Seconds that the layout may take; None for any time.

    Returns a ``graphviz.Digraph`` (``source``, ``pipe``, ``render``) that shows itself in a notebook. It is laid out when
    it is shown or written, by pygraphviz or the ``dot`` program.

    Raises
    ------
    DrawingError
        If there is no layout engine, the file cannot be written, or the graph is not what the style draws.
    GradientError
        If nothing was recorded for y.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> from autograd_bn.drawing import draw
    >>> x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> drawing = draw((x * x).sum())
    >>> drawing.source.count("->")
    3
    >>> svg = drawing.pipe("svg")
    """
    from pathlib import Path

    from autograd_bn.drawing.picture import checked, write_file

    if direction not in ("LR", "TB", "RL", "BT"):
        raise DrawingError(f"no direction is named {direction!r}; there are 'LR', 'TB', 'RL' and 'BT'")
    whole = None if file is None else WHOLE.get(checked(file, tuple(WHOLE)).suffix.lower())
    graph = y if isinstance(y, Graph) else recorded_graph(y)
    if style == "default":
        from autograd_bn.drawing.dot import default_drawing

        drawing = default_drawing(graph, values=values, gradients=gradients, direction=direction, timeout=timeout)
    elif style == "classic":
        from autograd_bn.drawing.classic import classic_drawing

        drawing = classic_drawing(graph, timeout=timeout)
    else:
        raise DrawingError(f"no style is named {style!r}; there are 'default' and 'classic'")
    if file is not None and whole is not None:
        write_file(Path(file), whole(graph).encode(), drawing.source)
    elif file is not None:
        drawing.write(file)
    return drawing


def _data(graph: Graph) -> str:
    from autograd_bn.drawing.data import graph_json

    return graph_json(graph)


def _page(graph: Graph) -> str:
    from autograd_bn.drawing.explore import graph_page

    return graph_page(graph)


WHOLE = {".json": _data, ".html": _page}
"""The formats that hold the graph rather than a picture of it."""

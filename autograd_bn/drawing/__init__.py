"""Pictures of recorded graphs: data flow graph, DOT text, picture."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Literal

from autograd_bn.core.errors import DrawingError
from autograd_bn.core.namespaces import curated
from autograd_bn.drawing.layout import TIMEOUT, Engine, engines

if TYPE_CHECKING:
    from collections.abc import Callable

    from autograd_bn.core.graph import Graph, GraphNode
    from autograd_bn.drawing.coloring import MetricName
    from autograd_bn.drawing.picture import Drawing
    from autograd_bn.drawing.themes import ThemeName

curated(__name__)
__all__ = ["Engine", "draw", "engines"]


def draw(
    target: Any,
    *inputs: Any,
    file: str | os.PathLike[str] | None = None,
    values: bool | Literal["statistics"] | None = None,
    gradients: bool | Literal["only"] | None = None,
    formulas: bool = False,
    types: bool | None = None,
    constants: bool = True,
    color: MetricName | Callable[[GraphNode], float | None] | None = None,
    depth: int | None = None,
    fold: bool | None = None,
    theme: ThemeName = "light",
    style: Literal["default", "classic"] = "default",
    direction: Literal["LR", "TB", "RL", "BT"] | None = None,
    timeout: float | None = TIMEOUT,
) -> Drawing:
    """Draw the graph that was recorded for a result, or that a function records.

    Black arrows lead forward. After ``ab.record()`` the drawing has the values too, and a red arrow back along each
    edge with the gradient that flowed there; a gradient that has not been computed yet is shown as —.

    Parameters
    ----------
    target
        A tensor, a container of tensors, or a Graph; or a function or module, which is then run on ``inputs`` inside ``ab.record()``,
        and differentiated if its result is one number. Their gradients and running statistics stay as they were.
    inputs
        The arguments of a function or module. An array of floats, in containers too, becomes a leaf with the name of the parameter.
    file
        Where to write it too: .svg, .png, .pdf, .dot for the text, .json for the graph as data (see ``drawing.data``), or
        .html for the page of ``explore``. The last two hold all that was recorded, whatever the other parameters say.
    values, gradients
        Whether to show them; by default if any were recorded, and no ``color`` is asked for. ``values="statistics"`` shows least, greatest, mean and
        deviation, ``gradients="only"`` the red arrows without the black ones.
    formulas
        Whether to show what each operation computes, and what its rule sends back along each edge.
    types
        Whether to show shapes and dtypes; by default shapes, and dtypes other than float64.
    constants
        Whether to show what no gradient flows through.
    color
        Colours boxes by a quantity and shows it, with a legend: ``"gradient"`` (its norm), ``"value"`` (its root mean square), ``"nonfinite"`` (how many
        elements of both are NaN or infinite), ``"bytes"`` (of the value), ``"seconds"`` (of the operation and its rule, without the engine's own work), or a
        function of a GraphNode that gives a number, or None for a node that has none.
    depth
        How many levels of scopes are drawn open; each scope further inside is one box. By default all, but of a graph of more than
        three hundred boxes (once it is folded) as many as fit; a warning says so.
    fold
        Whether to draw repetitions of the same scopes, and the steps of a loop, as one, with a count; for numbers then stands their range. By
        default only of a graph of more than three hundred boxes, if no more are left then; a warning says so.
    theme
        ``"light"``, ``"dark"``, ``"print"`` (black on white) or ``"colorblind"``.
    style
        ``"default"``, or ``"classic"`` for the published figure of batch norm (F. Kratzert, 2016), which only the graph of a
        batch norm of shape (N, D) has. It shows no numbers, and of these options takes file and timeout.
    direction
        As ``rankdir`` of Graphviz says; by default from left to right, and a long graph from top to bottom.
    timeout
        Seconds that the layout may take; None for any time.

    Returns a ``graphviz.Digraph`` (``source``, ``pipe``, ``render``) that shows itself in a notebook. It is laid out when
    it is shown or written, by pygraphviz or the ``dot`` program.

    Raises
    ------
    DrawingError
        If there is no layout engine, the file cannot be written, inputs do not fit, or the graph is not what the style draws.
    GradientError
        If nothing was recorded for the target.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> from autograd_bn.drawing import draw
    >>> x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> drawing = draw((x * x).sum())
    >>> drawing.source.count("->")
    3
    >>> svg = drawing.pipe("svg")
    >>> def square(x):
    ...     return x * x
    >>> drawing = draw(square, 3.0)
    >>> drawing.source.count("dir=both")  # an arrow forward, and the gradient's back
    2
    """
    from pathlib import Path

    from autograd_bn.drawing.picture import checked, write_file
    from autograd_bn.drawing.target import graph_of, is_run

    if direction not in (None, "LR", "TB", "RL", "BT"):
        raise DrawingError(f"no direction is named {direction!r}; there are 'LR', 'TB', 'RL' and 'BT'")
    if depth is not None and depth < 0:
        raise DrawingError(f"depth={depth}: the number of levels of scopes that are drawn open cannot be negative")
    graph_file = None if file is None else WHOLE.get(checked(file, tuple(WHOLE)).suffix.lower())
    run = is_run(target)
    graph = graph_of(target, inputs, "draw(f, x)")
    if style == "default":
        from autograd_bn.drawing.coloring import Coloring, metric_named
        from autograd_bn.drawing.dot import default_drawing
        from autograd_bn.drawing.folding import folded
        from autograd_bn.drawing.labels import Shown
        from autograd_bn.drawing.themes import theme_named
        from autograd_bn.drawing.view import MOST, closed, fitting_depth, whole, without_constants

        for name, value, word in (("values", values, "statistics"), ("gradients", gradients, "only")):
            if value not in (None, True, False, word):
                raise DrawingError(f"{name}={value!r}: there are True, False, {word!r}, and None for what was recorded")
        look = theme_named(theme)
        metric = None if color is None else metric_named(color)
        view = whole(graph)
        if not constants:
            view = without_constants(view)
        small = folded(view) if depth is None and (fold or (fold is None and len(view.boxes) > MOST)) else view
        if len(small.boxes) <= MOST < len(view.boxes):
            if fold is None:
                warnings.warn(
                    f"a graph of {len(view.boxes)} boxes is large: what repeats is drawn once, with a count; fold=False draws each, "
                    "and ab.explore opens them one by one",
                    stacklevel=2,
                )
            view = small
        elif depth is None and (depth := fitting_depth(view)) is not None:
            warnings.warn(
                f"a graph of {len(view.boxes)} boxes is large: {f'scopes are drawn open to depth {depth}' if depth else 'all scopes are drawn closed'}; "
                "a greater depth=… opens more, and ab.explore opens them one by one",
                stacklevel=2,
            )
        if depth is not None:
            view = closed(view, depth)
        if fold and view is not small:
            view = folded(view)
        flowed = any(node.cotangents is not None for node in graph.nodes)
        kept = color is None and (flowed or any(node.kind == "operation" and node.value is not None for node in graph.nodes))
        shown = Shown(
            bool(kept if values is None else values),
            bool((kept and (flowed or not run)) if gradients is None else gradients),
            values == "statistics",
            formulas,
            types,
        )
        coloring = None if metric is None else Coloring(view, metric, look)
        drawing = default_drawing(view, shown, look, coloring=coloring, forward=gradients != "only", direction=direction, timeout=timeout)
    elif style == "classic":
        from autograd_bn.drawing.classic import classic_drawing

        drawing = classic_drawing(graph, timeout=timeout)
    else:
        raise DrawingError(f"no style is named {style!r}; there are 'default' and 'classic'")
    if file is not None and graph_file is not None:
        write_file(Path(file), graph_file(graph).encode(), drawing.source)
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

"""One offline page to explore a graph in: ``ab.explore``."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import Graph
from autograd_bn.drawing.data import graph_json
from autograd_bn.drawing.picture import write_file
from autograd_bn.drawing.target import graph_of, name_of

_SCRIPTS = ("layout.js", "model.js", "view.js", "panel.js", "main.js")
# Characters that could end the data's block or be taken for markup or a line's end; JSON has another way to write each.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029\x7f"}


def explore(
    target: Any,
    *inputs: Any,
    file: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Path:
    """Write a page that shows a graph, forward and backward, and replays both step by step.

    The page is one file, with all that it needs inside: it asks the network for nothing. It shows values and gradients
    as far as they were recorded by ``ab.record()``; one that was not computed is shown as —.

    Parameters
    ----------
    target
        A tensor, a container of tensors or a Graph; or a function or module, which is then run on ``inputs`` inside
        ``ab.record()``, and differentiated if its result is one number. Their gradients and running statistics stay as they were.
    inputs
        The arguments of a function or module. An array of floats, in containers too, becomes a leaf with the name of the parameter.
    file
        Where to write the page; it may also stand last without its name, ``explore(y, "page.html")``. It has to be said.
    title
        The page's title; by default from the target.

    Returns the path of the page.

    Raises
    ------
    DrawingError
        If no file is named, it is no .html, or cannot be written, or inputs do not fit.
    GradientError
        If nothing was recorded for the target.

    Examples
    --------
    >>> import autograd_bn as ab, tempfile, pathlib
    >>> x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> with ab.record():
    ...     y = (x * x).sum()
    ...     y.backward()
    >>> page = ab.explore(y, file=pathlib.Path(tempfile.mkdtemp()) / "square.html")
    >>> page.read_text(encoding="utf-8").startswith("<!doctype html>")
    True
    """
    if file is None and inputs and isinstance(inputs[-1], (str, os.PathLike)):
        *rest, file = inputs
        inputs = tuple(rest)
    shown = graph_of(target, inputs, "explore(f, x, file='page.html')")
    if file is None:
        raise DrawingError("explore() writes a page: say where, as in explore(y, file='page.html')")
    path = Path(file)
    if path.suffix.lower() not in (".html", ".htm"):
        raise DrawingError(f"explore() writes a page, and cannot to {str(path)!r}: the suffix has to be .html; ab.draw makes pictures")
    write_file(path, graph_page(shown, title if title is not None else name_of(target)).encode())
    return path


def graph_page(graph: Graph, title: str = "Graph") -> str:
    """The page of a graph."""
    return page_text(graph_json(graph), title)


def page_text(data: str, title: str) -> str:
    """The page around a graph's JSON. Its policy allows its own style and script by their hashes, and nothing else."""
    folder = resources.files("autograd_bn.drawing") / "page"
    style = (folder / "page.css").read_text(encoding="utf-8")
    parts = [(folder / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    script = '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    texts = {
        "policy": policy,
        "title": html.escape(title.encode("utf-8", "backslashreplace").decode()),
        "style": style,
        "script": script,
        "data": data.translate(_ESCAPES),
    }
    return _filled((folder / "page.html").read_text(encoding="utf-8"), texts)


def _filled(template: str, texts: Mapping[str, str]) -> str:
    """A template with each ``{{name}}`` replaced, in one pass: what is put in is not read again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: texts[found[1]], template)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

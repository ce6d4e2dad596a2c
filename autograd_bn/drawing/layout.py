"""Find a layout engine, and run it in a process of its own.

Graphviz's C library is not thread-safe, prints to stderr and may run for ever or crash on a large graph; a child
process, with a time limit, keeps all that away from the program that draws.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Literal, NamedTuple

from autograd_bn.core.errors import DrawingError

REMEDY = "install one with `pip install pygraphviz` (its wheels bring Graphviz along) or from https://graphviz.org/download, or write the drawing as .dot"
TIMEOUT = 60.0
"""Seconds that a layout may take unless told otherwise."""

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "layout_process.py")
_WINDOWLESS = getattr(subprocess, "CREATE_NO_WINDOW", 0)


class Engine(NamedTuple):
    """A layout engine: ``"pygraphviz"`` or ``"dot"``, its version, and where it is."""

    name: Literal["pygraphviz", "dot"]
    version: str
    path: str


def engines() -> tuple[Engine, ...]:
    """The layout engines of this machine, the one that `draw` prefers first; empty if there is none.

    Examples
    --------
    >>> from autograd_bn.drawing.layout import engines
    >>> {engine.name for engine in engines()} <= {"pygraphviz", "dot"}
    True
    """
    found: list[Engine] = []
    folder = _pygraphviz()
    if folder is not None:
        found.append(Engine("pygraphviz", importlib.metadata.version("pygraphviz"), os.path.join(folder, "pygraphviz")))
    program = shutil.which("dot")
    if program is not None:
        try:
            done = subprocess.run([program, "-V"], capture_output=True, timeout=10, check=False, creationflags=_WINDOWLESS)
            found.append(Engine("dot", done.stderr.decode(errors="replace").strip().removeprefix("dot - graphviz version "), program))
        except (OSError, subprocess.TimeoutExpired):
            pass
    return tuple(found)


def lay_out(source: str, form: str, *, layout: str = "dot", timeout: float | None = TIMEOUT, using: Literal["pygraphviz", "dot"] | None = None) -> bytes:
    """The picture of a DOT text.

    Parameters
    ----------
    source
        DOT text.
    form
        Graphviz's name of the format: svg, png, pdf, json, …
    layout
        Graphviz's name of the layout; ``"nop2"`` keeps the positions that the text gives.
    timeout
        Seconds after which to give up; None for never.
    using
        Only this engine; otherwise pygraphviz, and where that is missing or fails, ``dot``.

    Raises DrawingError, with the DOT text in ``dot``, where there is no engine or every one fails.
    """
    failures = []
    for name, command in _commands(form, layout, using):
        try:
            done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=timeout, check=False, creationflags=_WINDOWLESS)
        except subprocess.TimeoutExpired:
            raise DrawingError(
                f"{name} did not lay the graph out within {timeout:g} s ({_size(source)}); draw it with a smaller depth=… or with fold=True, open it in "
                "a browser with ab.explore, give more time with timeout=…, or write it as .dot",
                source,
            ) from None
        except OSError as error:
            failures.append(f"{name} could not be started: {error}")
            continue
        if done.returncode == 0 and done.stdout:
            return done.stdout
        failures.append(f"{name} failed (exit status {done.returncode}, {_size(source)}): {_last_lines(done.stderr)}")
    if failures:
        raise DrawingError("; ".join(failures) + "; the DOT text is in the error's .dot", source)
    wanted = "no Graphviz layout engine was found" if using is None else f"the layout engine {using} was not found"
    raise DrawingError(f"{wanted}: {REMEDY}; the DOT text is in the error's .dot", source)


def _commands(form: str, layout: str, using: str | None) -> Sequence[tuple[str, list[str]]]:
    commands = []
    folder = _pygraphviz() if using in (None, "pygraphviz") else None
    if folder is not None and sys.executable:
        commands.append(("pygraphviz", [sys.executable, "-P", _PROGRAM, layout, form, folder]))
    program = shutil.which("dot") if using in (None, "dot") else None
    if program is not None:
        commands.append(("dot", [program, f"-K{layout}", f"-T{form}"]))
    return commands


def _pygraphviz() -> str | None:
    """The folder that pygraphviz is installed in, without importing it."""
    try:
        spec = importlib.util.find_spec("pygraphviz")
    except (ImportError, ValueError):
        return None
    return os.path.dirname(os.path.dirname(spec.origin)) if spec is not None and spec.origin is not None else None


def _size(source: str) -> str:
    return f"{source.count(chr(10))} lines of DOT"


def _last_lines(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").strip().splitlines() if not line.startswith("Fontconfig")]
    return " / ".join(lines[-3:]) or "no message"

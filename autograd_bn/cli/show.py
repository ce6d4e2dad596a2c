"""``autograd-bn draw`` and ``autograd-bn explore``: the graph of a function in a module, as a picture or as a page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from autograd_bn.cli.arguments import UsageError, add_command, add_no_open, open_file, progress, rate, whole
from autograd_bn.cli.target import target_graph

if TYPE_CHECKING:
    from autograd_bn.cli.arguments import Commands

_TARGET = """MODULE is the name of a module, in the current folder or installed, or the path of a .py file. FUNCTION takes no arguments and returns what
to show: a tensor, a container of tensors, or (model, input), a module or function and what to run it on. It is run with everything
recorded, and a single number is differentiated. In place of FUNCTION, a tensor of the module will do too."""


def add(commands: Commands) -> None:
    """Declare both commands."""
    from autograd_bn.drawing.coloring import MetricName
    from autograd_bn.drawing.themes import ThemeName

    draw = add_command(commands, "draw", "draw the graph of a function in a module", _TARGET)
    _add_target(draw, ".svg, .png, .pdf, .html (as explore does), .dot or .json", ".svg")
    draw.add_argument("--style", choices=("default", "classic"), default="default", help="classic: batch norm as published (default: %(default)s)")
    draw.add_argument("--direction", choices=("LR", "TB", "RL", "BT"), help="from left to right, top to bottom, … (default: LR; TB for a long graph)")
    draw.add_argument("--no-values", action="store_true", help="leave the values out")
    draw.add_argument("--no-gradients", action="store_true", help="leave the gradients out")
    draw.add_argument("--no-constants", action="store_true", help="leave out what no gradient flows through")
    draw.add_argument("--formulas", action="store_true", help="what each operation computes, and what its rule sends back")
    draw.add_argument("--color", choices=get_args(MetricName), help="colour boxes by a quantity, such as the norm of the gradient")
    draw.add_argument("--depth", type=whole, metavar="N", help="how many levels of scopes are drawn open (default: all that fit)")
    draw.add_argument("--fold", action=argparse.BooleanOptionalAction, help="draw what repeats once, with a count (default: only in a large graph)")
    draw.add_argument("--theme", choices=get_args(ThemeName), default="light", help="colours (default: %(default)s)")
    draw.add_argument("--timeout", type=rate, default=60.0, metavar="SECONDS", help="time limit of the layout (default: %(default)g)")
    add_no_open(draw, "the picture")
    draw.set_defaults(run=_draw)

    explore = add_command(commands, "explore", "write an interactive page of the graph of a function in a module", _TARGET)
    _add_target(explore, ".html", ".html")
    explore.add_argument("--title", metavar="TEXT", help="title of the page (default: the function's name)")
    add_no_open(explore, "the page")
    explore.set_defaults(run=_explore)


def _add_target(command: argparse.ArgumentParser, suffixes: str, suffix: str) -> None:
    command.add_argument("target", metavar="MODULE:FUNCTION", help="what to show, see below")
    command.add_argument("-o", "--out", type=Path, metavar="FILE", help=f"where to write: {suffixes} (default: FUNCTION{suffix})")
    command.add_argument("--quiet", action="store_true", help="show no progress")


def _draw(options: argparse.Namespace) -> int:
    from autograd_bn.drawing import WHOLE, draw
    from autograd_bn.drawing.picture import SUFFIXES

    _check_suffix(options, (*SUFFIXES, *WHOLE))
    graph, name = target_graph(options)
    path: Path = options.out or Path(f"{name}.svg")
    progress(options, f"drawing {len(graph.nodes)} nodes")
    draw(
        graph,
        file=path,
        style=options.style,
        direction=options.direction,
        values=False if options.no_values else None,
        gradients=False if options.no_gradients else None,
        constants=not options.no_constants,
        formulas=options.formulas,
        color=options.color,
        depth=options.depth,
        fold=options.fold,
        theme=options.theme,
        timeout=options.timeout,
    )
    return _written(path, options)


def _explore(options: argparse.Namespace) -> int:
    from autograd_bn.drawing.explore import explore

    _check_suffix(options, (".html", ".htm"))
    graph, name = target_graph(options)
    path: Path = options.out or Path(f"{name}.html")
    progress(options, f"writing a page of {len(graph.nodes)} nodes")
    explore(graph, file=path, title=options.title if options.title is not None else name)
    return _written(path, options)


def _check_suffix(options: argparse.Namespace, suffixes: tuple[str, ...]) -> None:
    """Before anything is run."""
    if options.out is not None and options.out.suffix.lower() not in suffixes:
        raise UsageError(f"cannot write {str(options.out)!r}: the suffix has to be {', '.join(suffixes[:-1])} or {suffixes[-1]}")


def _written(path: Path, options: argparse.Namespace) -> int:
    print(f"written: {path}")
    if path.suffix.lower() not in (".dot", ".json"):
        open_file(path, options)
    return 0

"""The ``autograd-bn`` command; each of its commands is a file."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TextIO

from autograd_bn import __version__
from autograd_bn.cli import demo, doctor, figure, lab, show
from autograd_bn.cli.arguments import FailureError, UsageError
from autograd_bn.core.lines import PACKAGE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit code: 0, 1 for a failure, 2 for bad arguments.

    Examples
    --------
    >>> from autograd_bn.cli import main
    >>> main(["doctor"])  # doctest: +ELLIPSIS
    autograd_bn ...
    0
    """
    from autograd_bn.core.errors import AutogradError

    parser = _Parser(
        prog="autograd-bn",
        description="Automatic differentiation on NumPy whose recorded graph can be drawn, explored and put to the test.",
        epilog="'autograd-bn COMMAND --help' lists the options of a command. A first look: autograd-bn demo",
    )
    parser.add_argument("--version", action="version", version=f"autograd_bn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    for command in (demo, figure, show, lab, doctor):
        command.add(commands)
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return run(options)
    except (AutogradError, OSError, ImportError, FailureError, UsageError) as error:
        print("autograd-bn:", " ".join(str(error).split()), file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("autograd-bn: interrupted", file=sys.stderr)
        return 130


def _warn(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None) -> None:
    """A warning in one line; with the place, if that is in the user's code."""
    place = "" if filename.startswith(PACKAGE) else f" ({filename}, line {lineno})"
    print(f"autograd-bn: warning: {' '.join(str(message).split())}{place}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)

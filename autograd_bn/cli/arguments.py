"""What the commands' arguments have in common."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from autograd_bn.core.extras import extra

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_command(commands: Commands, name: str, what: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Declare a command by what it does, which the list of commands and its own help say."""
    return commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=epilog)


class UsageError(Exception):
    """An argument that cannot be used: exit code 2."""


class FailureError(Exception):
    """The user's code failed: exit code 1."""


def find_matplotlib() -> None:
    """Raise ImportError where it is missing: before the work at whose end a figure is drawn."""
    with extra("train", "the figures need matplotlib"):
        importlib.import_module("matplotlib")


def whole(text: str) -> int:
    """A whole number, not negative."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number, not negative, got {text!r}")
    return number


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = whole(text)
    if not number:
        raise argparse.ArgumentTypeError("must be at least 1, got '0'")
    return number


def rate(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text!r}")
    return number


def add_no_open(command: argparse.ArgumentParser, what: str) -> None:
    """The flag ``--no-open``."""
    command.add_argument("--no-open", action="store_true", help=f"do not open {what} at the end (it is opened only if the output is a terminal)")


def progress(options: argparse.Namespace, text: str) -> None:
    """Say on a terminal what is going on, unless told to be quiet."""
    if not options.quiet and sys.stderr.isatty():
        print(f"{text} …", file=sys.stderr, flush=True)


def open_file(path: Path, options: argparse.Namespace) -> None:
    """Open a file in the browser, unless told not to, or nobody is there to see it."""
    if not options.no_open and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(path.resolve().as_uri())

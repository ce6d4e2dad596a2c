"""``MODULE:FUNCTION`` on a command line: imported, run, and made a graph."""

from __future__ import annotations

import argparse
import difflib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autograd_bn.cli.arguments import FailureError, UsageError, progress
from autograd_bn.core.lines import PACKAGE

if TYPE_CHECKING:
    from autograd_bn.core.graph import Graph


def target_graph(options: argparse.Namespace) -> tuple[Graph, str]:
    """The graph of ``options.target``, and a name for it.

    Raises UsageError if there is no such module or function, or it gives nothing that was recorded; FailureError if it raises.
    """
    from autograd_bn.core.errors import GradientError, OperationError
    from autograd_bn.core.record import record
    from autograd_bn.drawing.target import differentiated_graph

    target: str = options.target
    place, colon, name = target.rpartition(":")
    if not (colon and place and name):
        raise UsageError(f"{target!r} is not MODULE:FUNCTION, such as net:loss or net.py:loss")
    progress(options, f"running {target}")
    with record(), _importing_from_here():  # while it is imported too: a tensor of the module is shown as well as one that a function makes
        result = _result(_found(place, name), target)
        try:
            return differentiated_graph(result), name.rpartition(".")[2]
        except OperationError:
            kind = "None" if result is None else f"something of type {type(result).__name__}"
            raise UsageError(f"{target} gives {kind}; it has to give a tensor, a container of tensors, or (function, input)") from None
        except GradientError as error:
            raise UsageError(f"{target} gives nothing that was recorded: {error}") from error


@contextmanager
def _importing_from_here() -> Iterator[None]:
    """Modules of the current folder come first, as for ``python -m``."""
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before


def _found(place: str, name: str) -> Any:
    """What is called ``name``, dots and all, in a module or file."""
    found = _file(Path(place)) if place.endswith(".py") else _module(place)
    inside = place
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, [other for other in dir(found) if not other.startswith("_")], 1)
            raise UsageError(f"{inside} has no {part!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        found = getattr(found, part)
        inside = f"{inside}.{part}"
    return found


def _module(place: str) -> Any:
    def load() -> Any:
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
                raise UsageError(f"there is no module {place!r}, neither in {os.getcwd()} nor installed") from error
            raise

    return _called(load, f"importing {place}", UsageError)


def _file(path: Path) -> Any:
    """A file as a module; what lies beside it can be imported, as for ``python FILE``."""
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}")
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loader = None if spec is None else spec.loader
    assert spec is not None
    assert loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    _called(lambda: loader.exec_module(module), f"importing {path}", UsageError)
    return module


def _result(found: Any, target: str) -> Any:
    """What a function returns; and what a function or module does that came together with its inputs."""
    from autograd_bn.drawing.target import is_run, name_of

    if is_run(found):
        needed = _needed(found)
        if needed:
            raise UsageError(f"{target} needs {needed}; name a function that takes nothing and returns a result, or ({name_of(found)}, {needed})")
        found = _called(found, target, FailureError)
    if isinstance(found, tuple) and found and is_run(found[0]):
        function, *inputs = found
        found = _called(lambda: function(*inputs), f"{name_of(function)} of {target}", FailureError)
    return found


def _needed(function: Callable[..., Any]) -> str:
    """The arguments that a function cannot do without."""
    called = getattr(function, "forward", function)
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):  # of some built-in functions nothing is known
        return ""
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return ", ".join(parameter.name for parameter in parameters if parameter.default is parameter.empty and parameter.kind not in free)


def _called(function: Callable[[], Any], what: str, error: type[Exception]) -> Any:
    """The result of the user's code; where that raises, an error of one line that says where."""
    try:
        return function()
    except (UsageError, FailureError):
        raise
    except (Exception, SystemExit) as raised:
        frames = traceback.extract_tb(raised.__traceback__)
        theirs = [frame for frame in frames if not frame.filename.startswith((PACKAGE, "<frozen")) and "site-packages" not in frame.filename]
        named = not theirs or isinstance(raised, SyntaxError) or f"{theirs[-1].filename}:{theirs[-1].lineno}" in str(raised)
        where = "" if named else f" ({theirs[-1].filename}, line {theirs[-1].lineno})"
        raise error(f"{what} raised {type(raised).__name__}: {raised}{where}") from raised

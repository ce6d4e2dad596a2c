"""The user's line, for errors that are found before an operation has run."""

from __future__ import annotations

from autograd_bn.core.lines import Line, caller_line
from autograd_bn.core.state import current


def user_line() -> Line:
    """Where the user called the innermost composite or module that runs now."""
    scope = current().scope
    while scope is not None:
        line = Line(scope.code, scope.offset)
        if not line.inside:
            return line
        scope = scope.parent
    return caller_line(2)

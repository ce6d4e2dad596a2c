"""What a public namespace shows: ``__dir__ = public(__name__)``, and ``__getattr__ = absent(__name__)`` for the names of other libraries."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from autograd_bn.core.elsewhere import missing


def public(module: str) -> Callable[[], list[str]]:
    """The names in ``__all__`` alone, not what the module imports for itself."""
    return lambda: sorted(sys.modules[module].__all__)


def absent(module: str) -> Callable[[str], Any]:
    """An error that says what is here instead."""

    def refuse(name: str) -> Any:
        raise missing(module.partition(".")[2], f"module {module!r}", name, sys.modules[module])

    return refuse

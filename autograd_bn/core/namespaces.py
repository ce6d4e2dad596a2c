"""What a public namespace shows."""

from __future__ import annotations

import sys
from typing import NoReturn

from autograd_bn.core.elsewhere import missing


def curated(name: str) -> None:
    """Let a module show the names in ``__all__`` alone, and say what is here instead of a name of another library, unless it has a way of its own."""
    module = sys.modules[name]

    def refuse(attribute: str) -> NoReturn:
        raise missing(name.partition(".")[2], f"module {name!r}", attribute, module)

    vars(module).setdefault("__getattr__", refuse)
    vars(module)["__dir__"] = lambda: sorted(module.__all__)

"""What a notebook shows for tensors, graphs and modules: their text, and what a later layer knows besides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

_registered: list[Callable[[object], Mapping[str, str]]] = []


def show_with(function: Callable[[object], Mapping[str, str]]) -> None:
    """Register what gives the forms, by media type, in which a notebook can show an object besides its ``repr``."""
    _registered[:] = [function]


def mimebundle(self: object, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None) -> dict[str, str]:
    """The ``_repr_mimebundle_`` of IPython's protocol. Nothing that goes wrong in a picture keeps the text from being shown."""
    found = {"text/plain": repr(self)}
    for function in _registered:
        with suppress(Exception):
            found |= function(self)
    return {kind: text for kind, text in found.items() if (include is None or kind in include) and (exclude is None or kind not in exclude)}

"""The levels of the transforms that run. A tensor of another level has escaped from its transform, and is refused where it meets a tensor of one that runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from autograd_bn.core.errors import GradientError
from autograd_bn.core.state import fresh_level, user_line

open_levels: set[int] = {0}


class OpenLevel:
    """A fresh level, above every one that exists, which is open inside a with-block."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = fresh_level()
        open_levels.add(self.number)

    def __enter__(self) -> int:
        return self.number

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        open_levels.discard(self.number)


class HeldLevel(OpenLevel):
    """A level that is open as long as somebody holds this."""

    __slots__ = ()

    def __del__(self) -> None:
        open_levels.discard(self.number)


@contextmanager
def reopened(levels: Iterable[int]) -> Iterator[None]:
    """Levels that were open before are so again inside: what ran in them runs once more."""
    closed = set(levels) - open_levels
    open_levels.update(closed)
    try:
        yield
    finally:
        open_levels.difference_update(closed)


def escaped(shape: tuple[int, ...], transform: str, made: str, remedy: str) -> GradientError:
    """The error of a tensor whose transform has returned."""
    return GradientError(
        f"a tensor of shape {shape}{made} has escaped from {transform}, which has returned: what is computed of it has no derivative, and keeps all "
        f"that it was made of; {remedy}\n  at {user_line()}"
    )

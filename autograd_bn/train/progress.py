"""How far a training run has got, on stderr."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Shown(Protocol):
    """A bar, or what stands in for one."""

    def update(self) -> object:
        """One step more."""
        ...

    def set_postfix_str(self, text: str, *, refresh: bool) -> object:
        """What to show beside it."""
        ...


@contextmanager
def progress(steps: int, done: int, label: str, wanted: bool) -> Iterator[Shown]:
    """A tqdm bar on a terminal where tqdm is installed, else a line now and then."""
    if wanted and sys.stderr.isatty():
        try:
            tqdm: Any = importlib.import_module("tqdm").tqdm
        except ImportError:
            pass
        else:
            with tqdm(total=steps, initial=done, desc=label, file=sys.stderr) as bar:
                yield bar
            return
    yield _Lines(steps, done, label, wanted)


class _Lines:
    """Ten plain lines in place of a bar; what was measured is in the first line after it."""

    def __init__(self, steps: int, done: int, label: str, wanted: bool) -> None:
        self.steps = steps
        self.label = label
        self.wanted = wanted
        self.done = done
        self.note = ""

    def update(self) -> None:
        self.done += 1
        if self.wanted and self.done * 10 // self.steps > (self.done - 1) * 10 // self.steps:
            print(f"{self.label}: {self.done}/{self.steps} {self.note}".rstrip(), file=sys.stderr)
            self.note = ""

    def set_postfix_str(self, text: str, *, refresh: bool) -> None:
        self.note = text

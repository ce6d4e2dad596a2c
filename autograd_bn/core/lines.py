"""Where the user wrote an operation: a code object and an offset, never a frame, read only when somebody asks."""

from __future__ import annotations

import os
import sys
from itertools import islice
from types import CodeType, FrameType

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENGINE = tuple(os.path.join(PACKAGE, layer) + os.sep for layer in ("core", "ops", "transforms", "compiler", "testing", "drawing"))


class Line:
    """One instruction of a program: ``file``, ``number`` and ``function`` are worked out from the bytecode."""

    __slots__ = ("code", "offset")

    def __init__(self, code: CodeType, offset: int) -> None:
        self.code = code
        self.offset = offset

    @property
    def file(self) -> str:
        """The path of the source file."""
        return self.code.co_filename

    @property
    def function(self) -> str:
        """The qualified name of the function."""
        return self.code.co_qualname

    @property
    def number(self) -> int:
        """The line number, from 1."""
        start = next(islice(self.code.co_positions(), self.offset // 2, None))[0]
        return start or self.code.co_firstlineno

    @property
    def text(self) -> str:
        """The source line, without its indentation; empty where the source is not to be had."""
        import linecache

        return linecache.getline(self.file, self.number).strip()

    @property
    def inside(self) -> bool:
        """Whether the line belongs to this package rather than to the user's program."""
        return self.file.startswith(PACKAGE + os.sep)

    def __str__(self) -> str:
        text = self.text
        place = f"{self.file}:{self.number} in {self.function}"
        return f"{place}: {text}" if text else place

    __repr__ = __str__


_skipped: dict[str, bool] = {}


def outside_engine(frame: FrameType | None) -> FrameType:
    """The nearest frame, from ``frame`` outwards, that is not the engine's own."""
    found = frame
    while found is not None:
        name = found.f_code.co_filename
        skip = _skipped.get(name)
        if skip is None:
            skip = _skipped[name] = name.startswith(ENGINE)
        if not skip:
            return found
        found = found.f_back
    return frame or sys._getframe()


def caller_line(depth: int = 1) -> Line:
    """The line of the caller ``depth`` frames up, or of the nearest one outside the engine."""
    frame = outside_engine(sys._getframe(depth))
    return Line(frame.f_code, frame.f_lasti)

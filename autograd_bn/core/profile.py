"""Where time and memory go: by operation, scope and the user's line, forward and backward."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from autograd_bn.core.lines import Line
from autograd_bn.core.node import Node
from autograd_bn.core.state import Scope
from autograd_bn.core.tensor import array_of
from autograd_bn.core.watch import Event, Observer, Phase, observed


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One operation, in one scope, on one line, in one phase.

    Attributes
    ----------
    operation
        The primitive's name.
    phase
        ``"forward"``, ``"backward"`` (its rule, on the forward operation's line) or ``"tangent"`` (in ``jvp``).
    scope
        The names of the scopes around it, from the outermost, joined by ``/``.
    line
        The user's: ``file``, ``number``, ``function``, ``text``.
    count
        How often it ran.
    seconds
        In NumPy's work on arrays, without what the engine does around it.
    bytes
        Of the results, as far as they are new memory and no views.
    saved
        Bytes kept for the backward pass. What several operations keep is counted at the first.
    """

    operation: str
    phase: Phase
    scope: str
    line: Line
    count: int = 0
    seconds: float = 0.0
    bytes: int = 0
    saved: int = 0


_Key = tuple[str, Phase, str, int, int]


class _Profiler(Observer):
    """Adds up. Threads that run in a copy of the context share one."""

    def __init__(self) -> None:
        self.rows: dict[_Key, ProfileRow] = {}
        self.kept: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        self.lock = threading.Lock()

    def ran(self, event: Event) -> None:
        fresh = _fresh(event.results, event.operands)
        self._add(event.primitive.name, event.phase, event.scope, event.line, 1, event.seconds, fresh, 0)

    def recorded(self, node: Node, operands: Sequence[Any], out: Any, rule: Node | None) -> None:
        owner = node if rule is None else rule
        kept = sum(self._keep(x) for x in node.saved or ())
        if kept:
            self._add(node.title, "forward" if rule is None else "backward", owner.scope, owner.line, 0, 0.0, 0, kept)

    def _add(self, operation: str, phase: Phase, scope: Scope | None, line: Line, count: int, seconds: float, fresh: int, saved: int) -> None:
        names = "" if scope is None else repr(scope)
        key = (operation, phase, names, id(line.code), line.offset)  # the row's line keeps the code, and so its id
        with self.lock:
            row = self.rows.get(key) or ProfileRow(operation, phase, names, line)
            self.rows[key] = _sum(row, count, seconds, fresh, saved)

    def _keep(self, x: Any) -> int:
        """The bytes of the buffer that a saved value keeps alive, unless they have been counted."""
        buffer = _buffer(x)
        if buffer is None:
            return 0
        with self.lock:
            if self.kept.get(id(buffer)) is buffer:
                return 0
            self.kept[id(buffer)] = buffer
        return int(buffer.nbytes)


def _sum(row: ProfileRow, count: int, seconds: float, fresh: int, saved: int) -> ProfileRow:
    return replace(row, count=row.count + count, seconds=row.seconds + seconds, bytes=row.bytes + fresh, saved=row.saved + saved)


class Profile:
    """What `profile` reports: ``rows`` as data, ``str()`` as a table."""

    def __init__(self, profiler: _Profiler) -> None:
        self._profiler = profiler
        self._start = perf_counter()
        self._end: float | None = None

    @property
    def seconds(self) -> float:
        """The time from the start of the block to its end, or to now: the engine's and the program's own work included."""
        return (perf_counter() if self._end is None else self._end) - self._start

    @property
    def rows(self) -> list[ProfileRow]:
        """A row an operation, phase, scope and line; the longest time comes first."""
        with self._profiler.lock:
            rows = list(self._profiler.rows.values())
        merged: dict[tuple[str, Phase, str, str, int], ProfileRow] = {}
        for row in rows:
            key = (row.operation, row.phase, row.scope, row.line.file, row.line.number)
            known = merged.get(key)
            merged[key] = row if known is None else _sum(known, row.count, row.seconds, row.bytes, row.saved)
        return sorted(merged.values(), key=lambda row: -row.seconds)

    def __str__(self) -> str:
        rows = self.rows
        total = sum(row.seconds for row in rows)
        head = ("ms", "share", "count", "MB made", "MB saved", "phase", "operation", "scope", "line")
        table = [head]
        for row in rows:
            place = f"{row.line.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{row.line.number}"
            text = row.line.text
            numbers = (f"{row.seconds * 1e3:.3f}", f"{row.seconds / (total or 1):.1%}", str(row.count), f"{row.bytes / 1e6:.3f}", f"{row.saved / 1e6:.3f}")
            table.append((*numbers, row.phase, row.operation, row.scope, f"{place}: {text}" if text else place))
        widths = [max(len(line[i]) for line in table) for i in range(len(head))]
        lines = [
            "  ".join(cell.rjust(width) if i < 5 else cell.ljust(width) for i, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in table
        ]
        phases = ", ".join(f"{phase} {sum(r.seconds for r in rows if r.phase == phase) * 1e3:.3f} ms" for phase in dict.fromkeys(r.phase for r in rows))
        lines.append(f"operations {total * 1e3:.3f} ms{f' ({phases})' if phases else ''} of {self.seconds * 1e3:.3f} ms")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Profile of {len(self.rows)} rows>"


def _buffer(x: Any) -> Any:
    """The array that owns the memory of a value, whatever levels lie above it; None for a number."""
    x = array_of(x)
    while isinstance(x, np.ndarray) and isinstance(x.base, np.ndarray):
        x = x.base
    return x if isinstance(x, np.ndarray) else None


def _fresh(results: Iterable[Any], operands: Iterable[Any]) -> int:
    """The bytes of results that are new memory."""
    known = {id(buffer) for x in operands if (buffer := _buffer(x)) is not None}
    total = 0
    for x in results:
        buffer = _buffer(x)
        if buffer is None:
            total += x.nbytes if isinstance(x, np.generic) else 0
        elif id(buffer) not in known:
            known.add(id(buffer))
            total += buffer.nbytes
    return total


@contextmanager
def profile() -> Iterator[Profile]:
    """Measure time and bytes of every operation inside, forward and backward.

    Gives a `Profile`: ``rows`` as data, ``str()`` as a table with the longest time first. Only the work on arrays is
    measured; each operation takes the engine's general path inside the block, so the time of the whole is more than
    without. Operations inside nested transforms count once, however many levels record them. A new thread is not measured
    unless it runs in a copy of this context (``contextvars.copy_context().run``); several may then report to one Profile.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([[1.0, 2.0]] * 3, requires_grad=True)
    >>> with ab.profile() as report:
    ...     (ab.exp(x) * 2.0).sum().backward()
    >>> rows = [row for row in report.rows if row.operation == "exp"]
    >>> sorted((row.phase, row.count, row.bytes, row.saved) for row in rows)
    [('backward', 1, 48, 0), ('forward', 1, 48, 48)]
    """
    profiler = _Profiler()
    report = Profile(profiler)
    try:
        with observed(profiler):
            yield report
    finally:
        report._end = perf_counter()

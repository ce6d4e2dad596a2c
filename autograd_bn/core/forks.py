"""Locks that a forked process finds open: whoever held one in its parent is not there to let it go."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Self
from weakref import WeakSet


class ForkedLock:
    """A lock for one thread at a time, which may enter it again; in a child of ``fork`` it is a new one. ``lock`` is entered faster than this."""

    def __init__(self) -> None:
        self.renew()
        _locks.add(self)

    def renew(self) -> None:
        """Forget who holds it."""
        self.lock = threading.RLock()

    def __enter__(self) -> Self:
        self.lock.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.lock.release()


_locks: WeakSet[ForkedLock] = WeakSet()


def _renew_all() -> None:
    for lock in _locks:
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)

"""What errors say, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind: type[Exception], *parts: str) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """The block raises this error, and its message and notes hold all parts."""
    with pytest.raises(kind) as caught:
        yield caught
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for part in parts:
        assert part in told, f"{part!r} is not in: {told}"

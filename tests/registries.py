"""Primitives that tests make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from autograd_bn.core.primitive import raw, registry


@contextmanager
def forgetting() -> Iterator[None]:
    """Primitives that are made inside are forgotten at the end."""
    before = set(registry)
    try:
        yield
    finally:
        for name in registry.keys() - before:
            del registry[name]
            delattr(raw, name)


@pytest.fixture
def temporary() -> Iterator[None]:
    """Primitives that a test makes are forgotten again."""
    with forgetting():
        yield

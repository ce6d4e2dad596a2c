"""What of the package needs an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Around imports of optional packages: where one is missing, the ImportError says what needs it, and how to install it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(f'{what}: pip install "autograd_bn[{name}]"') from error

"""Integers as arguments: Python's and NumPy's alike, one or several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.state import user_line


def is_integer(n: Any, least: int | None = None) -> TypeGuard[int]:
    """Whether it is an integer, from ``least`` up; True and False are none."""
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and (least is None or bool(n >= least))


def integers(given: int | Iterable[int]) -> tuple[int, ...]:
    """One integer or several as a tuple. Raises OperationError for anything else."""
    found = given if type(given) is tuple else (given,) if type(given) is int or not isinstance(given, Iterable) else tuple(given)
    for n in found:
        if type(n) is not int:
            break
    else:
        return found
    if not all(isinstance(n, (int, np.integer)) for n in found):
        raise OperationError(f"an integer is wanted, or several, got {given!r}\n  at {user_line()}")
    return tuple(map(int, found))

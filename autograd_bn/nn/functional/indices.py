"""Integers that name a class or a row: looked at before they are used, and in a compiled function after each run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from autograd_bn.core.effects import require_finite
from autograd_bn.core.tensor import Tensor, array_of, each_level
from autograd_bn.core.tracing import Symbol, lifted
from autograd_bn.ops.arithmetic import where


def check_range(indices: Any, count: int, refuse: Callable[[Any, tuple[int, ...] | int], NoReturn], ignored: int | None = None) -> Any:
    """See to it that all are from 0 to count − 1, or ``ignored``; else ``refuse(value, position)``, which raises. The value is None if it is not known.

    Returns the indices; in a compiled function those that do not fit have become 0, so that it runs to the end of where they are reported.
    """
    for level in each_level(lifted(indices) if isinstance(indices, Tensor) else indices):
        if type(level.node) is Symbol:
            _check_later(level, count, refuse, ignored)
            return where((indices >= 0) & (indices < count), indices, 0)
    values = np.asarray(array_of(indices))
    if values.size and (values.min() < 0 or values.max() >= count):
        wrong = (values < 0) | (values >= count)
        if ignored is not None:
            wrong &= values != ignored
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            refuse(int(values[place]), place[0] if len(place) == 1 else place)
    return indices


def _check_later(indices: Tensor, count: int, refuse: Callable[[Any, tuple[int, ...] | int], NoReturn], ignored: int | None) -> None:
    fits = (indices >= 0) & (indices < count)
    if ignored is not None:
        fits = fits | (indices == ignored)

    def report(marked: Any) -> None:
        place = tuple(int(i) for i in np.argwhere(np.isnan(marked))[0])
        refuse(None, place[0] if len(place) == 1 else place)

    require_finite([where(fits, 0.0, np.nan)], report)

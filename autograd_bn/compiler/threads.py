"""How many threads compiled functions use: a setting of the process."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping

import numpy as np

from autograd_bn.core.errors import OperationError

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def wanted(environment: Mapping[str, str]) -> int:
    """As many as there are CPUs for this process, but no more than the variables that NumPy's libraries obey say."""
    found = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for name in VARIABLES:
        first = environment.get(name, "").split(",")[0].strip()
        if first.isdigit() and int(first):
            found.append(int(first))
    return min(found)


COUNT = np.array(wanted(os.environ), np.int64)
"""The number, which native code reads."""


def get_num_threads() -> int:
    """How many threads a compiled function uses at most.

    At first as many as there are CPUs for the process, or as ``OMP_NUM_THREADS`` or ``OPENBLAS_NUM_THREADS`` say, if that is less.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.get_num_threads() >= 1
    True
    """
    return int(COUNT)


def set_num_threads(count: int) -> None:
    """Have compiled functions use at most so many threads from now on; results have the same bits with any number.

    Only loops over large arrays use more than one, and only native code. Matrix products are BLAS's, which has settings of its own.

    Parameters
    ----------
    count
        At least 1.

    Raises
    ------
    OperationError
        If the number is less than 1.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> before = ab.get_num_threads()
    >>> ab.set_num_threads(1)
    >>> ab.get_num_threads()
    1
    >>> ab.set_num_threads(before)
    """
    number = operator.index(count)
    if number < 1:
        raise OperationError(f"set_num_threads({count}): at least one thread is needed")
    COUNT[...] = number

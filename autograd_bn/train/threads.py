"""How many threads the matrix products take."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress


def one_blas_thread() -> AbstractContextManager[object]:
    """Matrices of small networks gain nothing from a second thread, and lose tenfold by it where another program keeps that core busy.

    Without threadpoolctl nothing changes.
    """
    try:
        limits: Callable[..., AbstractContextManager[object]] = importlib.import_module("threadpoolctl").threadpool_limits
    except ImportError:
        return nullcontext()
    with suppress(ImportError):
        importlib.import_module("scipy.linalg.cython_blas")  # SciPy's library, which compiled functions call: one that is loaded later is not limited
    return limits(1, user_api="blas")

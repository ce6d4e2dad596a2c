"""Derivatives of complex values: what the sweeps carry, and what users give and get.

The sweep carries the cotangent c for which dL = Re Σ c·dz. So a holomorphic function's rule is the same as of real numbers,
and a linear one's is its transpose. A gradient is ∂L/∂Re z + i·∂L/∂Im z, its conjugate, so that z − step·gradient goes
downhill; PyTorch means the same by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from autograd_bn.core.primitive import raw


def cast(c: Any, dtype: np.dtype[Any]) -> Any:
    """A cotangent or tangent in the dtype of its value: of a real value only the real part counts."""
    if c.dtype.kind == "c" and dtype.kind != "c":
        c = raw.real(c)
    return c if c.dtype == dtype else raw.astype(c, dtype=dtype)


def conjugated(c: Any) -> Any:
    """A user's gradient from the cotangent that the sweep carries, or back."""
    return raw.conj(c) if c.dtype.kind == "c" else c


_CONTINUED: ContextVar[bool] = ContextVar("autograd_bn_continued", default=False)


@contextmanager
def analytic_continuation() -> Iterator[None]:
    """Let functions that are defined for real numbers take complex ones by the same formula: what a complex step computes with."""
    token = _CONTINUED.set(True)
    try:
        yield
    finally:
        _CONTINUED.reset(token)


def refused(dtype: np.dtype[Any]) -> bool:
    """Whether a function that is defined for real numbers refuses a dtype."""
    return dtype.kind == "c" and not _CONTINUED.get()

"""The memory of arrays: what they have left is kept for the next ones, instead of going back to the system after every step, and large ones are aligned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LARGEST = (32 << 20) - (1 << 16)


def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MiB of freed memory.

    A training step allocates and frees the same arrays again and again. By default glibc returns large ones to the system
    at once, and the next step pays a page fault for every 4 KiB again, which can take as long as the arithmetic. glibc adapts to the
    largest array that it has seen freed, up to 32 MiB; one is shown to it, which takes no memory, because nothing is written there. Where malloc
    was given thresholds (``MALLOC_TRIM_THRESHOLD_``), or is another, nothing changes.
    """
    np.empty(LARGEST, np.uint8)


LINE = 64
"""How many bytes a line of the CPU's caches has."""
LARGE = 1 << 16
"""From how many bytes on it matters where an array begins."""


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An uninitialised array that begins where a line of the caches does.

    NumPy's begin 16 or 32 bytes later, so that each load of 64 bytes takes from two lines: large arrays are read in up to half as much time again.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    whole = np.empty(nbytes + LINE, np.uint8)
    start = -whole.ctypes.data % LINE
    return whole[start : start + nbytes].view(dtype).reshape(shape)


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype of numbers in the machine's byte order: NumPy's one object for it, by which operations know it (``newbyteorder`` makes others)."""
    return np.dtype(dtype.type)


def copied(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """A copy of data as an array; a large one is aligned."""
    if type(data) is np.ndarray and data.nbytes >= LARGE and data.flags.c_contiguous and data.dtype.kind in "biufc" and (dtype is None or data.dtype == dtype):
        out = aligned(data.shape, native(data.dtype))
        out[...] = data
        return out
    return np.array(data, dtype=dtype, order="K")


def read_only(x: Any) -> np.ndarray[Any, Any]:
    """A view of an array, or of a number, that cannot be written through."""
    view = np.asarray(x).view()
    view.flags.writeable = False
    return view

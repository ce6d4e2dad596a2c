"""Memory that arrays have left is kept for the next ones, instead of going back to the system after every step."""

from __future__ import annotations

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

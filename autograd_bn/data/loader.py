"""Mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from autograd_bn.core.errors import OperationError

Array = np.ndarray[Any, Any]


def batches(images: Array, labels: Array, batch_size: int, rng: np.random.Generator | None = None, *, drop_last: bool = False) -> Iterator[tuple[Array, Array]]:
    """One pass over the data in mini-batches, in an order that ``rng`` decides, or as they come without one.

    With ``drop_last`` an incomplete last batch is left out, as batch norm wants it: a batch of one has no variance.

    Raises OperationError where the lengths differ or the batch size is not positive.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> [len(y) for _, y in ab.data.batches(np.zeros((5, 2)), np.zeros(5, int), 2)]
    [2, 2, 1]
    """
    if len(images) != len(labels):
        raise OperationError(f"batches: {len(images)} images but {len(labels)} labels")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise OperationError(f"batches: the batch size must be a positive integer, got {batch_size!r}")
    return _batches(images, labels, batch_size, rng, drop_last)


def _batches(images: Array, labels: Array, batch_size: int, rng: np.random.Generator | None, drop_last: bool) -> Iterator[tuple[Array, Array]]:
    order = np.arange(len(labels)) if rng is None else rng.permutation(len(labels))
    stop = len(order) - len(order) % batch_size if drop_last else len(order)
    for start in range(0, stop, batch_size):
        chosen = order[start : start + batch_size]
        yield images[chosen], labels[chosen]

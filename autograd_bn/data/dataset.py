"""Images and labels, and how they are parted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import OperationError
from autograd_bn.nn.init import Seed, generator


class Dataset(NamedTuple):
    """Images and the numbers of their classes, of equal length: a pair, so that ``len(data)`` is 2 and ``len(data.labels)`` counts the examples.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.data.digits()
    Dataset(images float32[1797, 8, 8], labels int64[1797])
    """

    images: Array
    labels: Array

    def __repr__(self) -> str:
        parts = {name: describe(part) if isinstance(part, np.ndarray) else repr(part) for name, part in self._asdict().items()}
        return f"Dataset({', '.join(f'{name} {part}' for name, part in parts.items())})"


def split(data: tuple[Array, Array], rng: Seed, *, test: float = 0.2) -> tuple[Dataset, Dataset]:
    """A training and a test part, drawn at random without overlap.

    Parameters
    ----------
    data
        Images and labels.
    rng
        A seed or a generator, which decides which example goes where.
    test
        The share of the test part, between 0 and 1.

    Raises OperationError where a part would be empty, images and labels differ in number, or ``data`` is no pair of them.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> train, test = ab.data.split(ab.data.digits(), 0)
    >>> len(train.labels), len(test.labels)
    (1438, 359)
    """
    if len(data) != 2:
        raise OperationError(f"split: data is a pair (images, labels), got {type(data).__name__} of length {len(data)}")
    images, labels = data
    if len(images) != len(labels):
        raise OperationError(f"split: {len(images)} images but {len(labels)} labels")
    count = round(test * len(labels)) if 0 < test < 1 else 0
    if not 0 < count < len(labels):
        raise OperationError(f"split: a test share of {test!r} of {len(labels)} examples leaves a part empty; choose one between 0 and 1")
    order = generator(rng).permutation(len(labels))
    return Dataset(images[order[count:]], labels[order[count:]]), Dataset(images[order[:count]], labels[order[:count]])

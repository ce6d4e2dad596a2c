"""Handwritten digits, small enough to come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.data.dataset import Dataset


def digits() -> Dataset:
    """1,797 handwritten digits of 8×8 pixels.

    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
    doi 10.24432/C50P49, CC BY 4.0: the test part.

    Returns
    -------
    images, labels
        Shapes (1797, 8, 8), float32 from 0 to 1, and (1797,), int64 from 0 to 9.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> images, labels = ab.data.digits()
    >>> images.shape, labels[:4]
    ((1797, 8, 8), array([0, 1, 2, 3]))
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        images: Array = archive["images"].astype(np.float32)
        labels: Array = archive["labels"].astype(np.int64)
    images /= 16
    return Dataset(images, labels)

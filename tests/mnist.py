"""Whether MNIST is at hand, in the folder of AUTOGRAD_BN_DATA or in the user's cache; tests do not download it. And small files like it."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd_bn.core.errors import OperationError
from autograd_bn.data.idx import FILES, FOLDER, located


def found() -> bool:
    """Whether it is."""
    try:
        located(None, download=False)
    except OperationError:
        return False
    return True


needs_mnist = pytest.mark.skipif(not found(), reason=f"MNIST is neither in the folder of {FOLDER} nor in the cache")


def idx(array: Any, code: int = 8) -> bytes:
    """An array in the IDX format."""
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


def written(folder: Path, *, packed: bool = True, train: int = 6, labels: int | None = None, side: int = 4) -> Path:
    """The four files with random content: so many images for training, three for testing."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        count = train if name.startswith("train") else 3
        array = rng.integers(0, 256, (count, side, side)) if "images" in name else rng.integers(0, 10, labels if labels is not None else count)
        content = idx(array.astype(np.uint8))
        (folder / f"{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(content) if packed else content)
    return folder

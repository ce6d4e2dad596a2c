"""Whether MNIST is at hand: in the folder of AUTOGRAD_BN_DATA or in the user's cache. Tests do not download it."""

from __future__ import annotations

import pytest

from autograd_bn.core.errors import OperationError
from autograd_bn.data.idx import FOLDER, located


def found() -> bool:
    """Whether it is."""
    try:
        located(None, download=False)
    except OperationError:
        return False
    return True


needs_mnist = pytest.mark.skipif(not found(), reason=f"MNIST is neither in the folder of {FOLDER} nor in the cache")

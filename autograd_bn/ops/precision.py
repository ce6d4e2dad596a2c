"""float16, whose squares and sums leave its range beyond 256 and 65504: compositions of them are computed in float32."""

from __future__ import annotations

import numpy as np

from autograd_bn.core.tensor import Tensor
from autograd_bn.ops.shape import astype


def widened(x: Tensor) -> Tensor:
    """float16 as float32; another dtype as it is."""
    return astype(x, np.float32) if x.dtype.char == "e" else x


def narrowed(out: Tensor, *operands: Tensor | None) -> Tensor:
    """The result of what was widened, in float16 if all operands were of it."""
    return astype(out, np.float16) if all(x is None or x.dtype.char == "e" for x in operands) else out

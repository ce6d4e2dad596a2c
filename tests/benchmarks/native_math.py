"""The native functions beside NumPy's and PyTorch's: python -m tests.benchmarks.native_math [NAME ...]

10⁶ float32, one thread, into memory that is there, in turn with each peer. Prints our median time for an element (ns) and the median ratios;
1 if one to a peer is above the limit. NumPy has neither sigmoid, for which the engine's is taken, nor erf, for which SciPy's is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import special

from autograd_bn.ops.exponential import sigmoid
from tests.benchmarks.eager import compared
from tests.native_loops import native

COUNT = 10**6
BUDGET = 1.5
LIMIT = 1.25

PEERS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x, out: np.copyto(out, sigmoid.primitive.forward(x)),
    "erf": special.erf,
}


def main(names: list[str]) -> int:
    """Print the ratios."""
    rng = np.random.default_rng(0)
    print(f"{'function':10}{'ns':>8}{'/ NumPy':>10}{'/ PyTorch':>11}")
    missed = 0
    for name in names or PEERS:
        x = rng.uniform(-0.9 if name == "log1p" else 1e-3 if name == "log" else -8, 8, COUNT).astype(np.float32)
        out = np.empty_like(x)
        tx, tout = torch.from_numpy(x), torch.empty(COUNT)
        ours, numpy_, torch_ = native(name, "float32"), PEERS[name], getattr(torch, name)
        time, _, to_numpy = compared(lambda: ours(x, out), lambda: numpy_(x, out=out), budget=BUDGET)
        _, _, to_torch = compared(lambda: ours(x, out), lambda: torch_(tx, out=tout), budget=BUDGET)
        missed += max(to_numpy, to_torch) > LIMIT
        print(f"{name:10}{time / COUNT * 1e3:8.3f}{to_numpy:10.3f}{to_torch:11.3f}{'' if max(to_numpy, to_torch) <= LIMIT else '  missed'}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A page to explore batch norm in: every value and gradient, and a replay of the forward and the backward pass.

python examples/explore_batch_norm.py [DIRECTORY]
"""

import sys
from pathlib import Path

import numpy as np

import autograd_bn as ab

rng = np.random.default_rng(0)
x = ab.tensor(rng.standard_normal((60, 100)), requires_grad=True, name="x")
gamma = ab.tensor(rng.uniform(0.5, 1.5, 100), requires_grad=True, name="γ")
beta = ab.tensor(np.zeros(100), requires_grad=True, name="β")
direction = rng.standard_normal((60, 100))

with ab.record():
    out = ab.batch_norm(x, gamma, beta)
    out.backward(direction)

page = ab.explore(out, file=Path(sys.argv[1] if len(sys.argv) > 1 else ".", "batch-norm.html"), title="Batch norm")
print(f"{page.name}: {page.stat().st_size // 1000} kB; open it in a browser")

"""Batch norm in ten lines: run it, differentiate it, draw it.

python examples/quickstart.py [DIRECTORY]
"""

import sys
from pathlib import Path

import autograd_bn as ab

x = ab.tensor([[1.0, 2.0], [3.0, 6.0], [8.0, 1.0]], requires_grad=True, name="x")
gamma = ab.tensor([1.0, 2.0], requires_grad=True, name="γ")
beta = ab.tensor([0.0, 1.0], requires_grad=True, name="β")

with ab.record():
    y = ab.batch_norm(x, gamma, beta)
    (y**3).sum().backward()

print(x.grad)
ab.draw(y, file=Path(sys.argv[1] if len(sys.argv) > 1 else ".", "quickstart.svg"))

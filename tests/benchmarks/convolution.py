"""One training step of a convolutional network with batch norm beside PyTorch's: python -m tests.benchmarks.convolution [--batch N] [--compiled]

The network is examples/mnist_cnn.py's, with the same weights on both sides: convolution, batch norm, ReLU and pooling, twice, then two affine
maps; Adam, float32, images of 28×28. PyTorch runs eager, ours does too or is compiled by ``jit``. One thread each, in one process and in turn; it prints both
medians, the median ratio and its limit.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import torch

import autograd_bn as ab
from tests.benchmarks.eager import compared

LIMIT = 1.5


def network(nn: Any) -> Any:
    """The network of modules of that name, which are autograd_bn's or PyTorch's."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10)),
    )


def main() -> int:
    """Print the figures; 1 if the ratio exceeds the limit or the two compute different things."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--compiled", action="store_true")
    given = parser.parse_args()
    batch = given.batch
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((batch, 1, 28, 28), dtype="f4"), rng.integers(0, 10, batch)
    other, mine = network(torch.nn), network(ab.nn)
    mine.load_state_dict(other.state_dict())
    optimizer, optimiser = ab.optim.Adam(mine.parameters()), torch.optim.Adam(other.parameters())
    x, y, tx, ty = ab.tensor(images), ab.tensor(labels), torch.tensor(images), torch.tensor(labels)

    def step(x: ab.Tensor, y: ab.Tensor) -> ab.Tensor:
        optimizer.zero_grad()
        loss = ab.nn.functional.cross_entropy(mine(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = ab.jit(step) if given.compiled else step

    def ours() -> float:
        return float(run(x, y).item())

    def theirs() -> float:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(other(tx), ty)
        loss.backward()
        optimiser.step()
        return loss.item()

    apart = max(abs(ours() - theirs()) for _ in range(3))
    a, b, ratio = compared(ours, theirs, budget=20.0)
    how = "compiled" if given.compiled else "eager"
    print(f"batch {batch}: ours, {how}, {a:.0f} µs a step, PyTorch {b:.0f} µs, ratio {ratio:.2f}, limit {LIMIT}; the first losses differ by {apart:.1e}")
    return int(ratio > LIMIT or apart > 1e-3)


if __name__ == "__main__":
    sys.exit(main())

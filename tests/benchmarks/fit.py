"""What `fit` costs beside the bare loop: one epoch of the paper's network on as many examples as MNIST has, step by step in turn.

python -m tests.benchmarks.fit
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np

import autograd_bn as ab
from autograd_bn import nn
from tests.train.test_paper import network

EXAMPLES, BATCH, LIMIT = 60_000, 60, 1.05


class Stop(ab.train.Callback):
    """Gives the CPU seconds of each step of `fit`, and lets the other loop have its turn after it."""

    def __init__(self, other: Iterator[float]) -> None:
        self.other = other
        self.pairs: list[tuple[float, float]] = []
        self.began = 0.0

    def on_start(self, run: ab.train.Run) -> None:
        self.began = time.thread_time()

    def on_step(self, run: ab.train.Run) -> None:
        mine = time.thread_time() - self.began
        self.pairs.append((mine, next(self.other)))
        self.began = time.thread_time()


def bare(data: ab.data.Dataset) -> Iterator[float]:
    """The loop as a user would write it; gives the CPU seconds of each step."""
    model = network("ReLU", 0)
    optimizer = ab.optim.SGD(model.parameters(), lr=0.01)
    began = time.thread_time()
    while True:
        for x, y in ab.data.Loader(data, BATCH, seed=0):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            yield time.thread_time() - began
            began = time.thread_time()


def main() -> int:
    """Print the cost of both; 1 where fit's is more than the limit."""
    rng = np.random.default_rng(0)
    data = ab.data.Dataset(rng.random((EXAMPLES, 784), dtype=np.float32), rng.integers(0, 10, EXAMPLES))
    model = network("ReLU", 0)
    stop = Stop(bare(data))
    loader = ab.data.Loader(data, BATCH, seed=0)
    ab.train.fit(model, ab.optim.SGD(model.parameters(), lr=0.01), loader, epochs=1, callbacks=[stop], progress=True)
    fitted, plain = (statistics.median(column) for column in zip(*stop.pairs, strict=True))
    mean = sum(a for a, _ in stop.pairs) / sum(b for _, b in stop.pairs)
    ratio = fitted / plain
    print(f"{len(stop.pairs)} steps each, in turn: fit {fitted * 1e6:.0f} µs a step, bare loop {plain * 1e6:.0f} µs")
    print(f"ratio of medians {ratio:.3f} (limit {LIMIT}), of sums {mean:.3f}")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

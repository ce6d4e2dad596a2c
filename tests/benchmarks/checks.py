"""What `check_gradients` costs: python -m tests.benchmarks.checks

The median time (ms) of all checks of batch norm, a function of ten operations, at a 4×3 batch; 1 if it exceeds the limit.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

import autograd_bn as ab

LIMIT = 50.0
ROUNDS = 31


def main() -> int:
    """Print the figures."""
    rng = np.random.default_rng(0)
    point = rng.standard_normal((4, 3)), rng.uniform(0.5, 2.0, 3), rng.standard_normal(3)
    leaves = [ab.tensor(x, requires_grad=True) for x in point]
    count = sum(node.primitive is not None for node in ab.graph(ab.batch_norm(*leaves)).nodes)
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ab.testing.check_gradients(lambda x, gamma, beta: ab.batch_norm(x, gamma, beta), *point)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds) * 1e3
    print(f"check_gradients of {count} operations: median {median:.1f} ms, limit {LIMIT:.0f}")
    return int(median > LIMIT)


if __name__ == "__main__":
    sys.exit(main())

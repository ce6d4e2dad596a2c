"""The pictures of the documentation: batch norm's published figure, the same run with all that was recorded, its kernels, and a small graph.

python examples/figure.py [DIRECTORY]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import autograd_bn as ab


def batch_norm_run() -> ab.Tensor:
    """Batch norm of three examples with two features, forward and backward, with every value and cotangent kept."""
    x = ab.tensor([[1.0, 2.0], [3.0, 6.0], [8.0, 1.0]], requires_grad=True, name="x")
    gamma = ab.tensor([1.0, 2.0], requires_grad=True, name="γ")
    beta = ab.tensor([0.0, 1.0], requires_grad=True, name="β")
    with ab.record():
        out = ab.batch_norm(x, gamma, beta)
        out.backward([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    return out


def small_run() -> ab.Tensor:
    """One leaf that two operations use."""
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record():
        square = x * x
        y = (square + 3.0 * x).sum()
        y.backward()
    return y


def kernels() -> ab.Graph:
    """What batch norm, forward and backward, is lowered to when it is compiled."""

    @ab.jit
    def both(x: Any, gamma: Any, beta: Any, dy: Any) -> Any:
        y, pullback = ab.vjp(ab.batch_norm, x, gamma, beta)
        return (y, *pullback(dy))

    both(*(ab.tensor(np.ones(shape, np.float32)) for shape in ((60, 100), (100,), (100,), (60, 100))))
    return both.lowered


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    out = batch_norm_run()
    ab.draw(out, file=directory / "batch-norm-classic.svg", style="classic")
    ab.draw(out, file=directory / "batch-norm-recorded.svg", direction="TB")
    ab.draw(kernels(), file=directory / "batch-norm-kernels.svg")
    ab.draw(small_run(), file=directory / "small-recorded.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

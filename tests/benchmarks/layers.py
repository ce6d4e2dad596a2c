"""Recurrent layers, norms and attention beside PyTorch's, forward and backward: python -m tests.benchmarks.layers [LAYER ...]

As `tests.benchmarks.eager`: in turn, on one thread, the ratio batch by batch. Prints for each layer both medians (µs) and the median ratio.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.nn import functional as F
from tests.benchmarks.eager import compared

T = torch.nn.functional
RNG = np.random.default_rng(0)
ROWS, IMAGES, HEADS = (64, 128), (32, 16, 24, 24), (8, 4, 64, 32)
SEQUENCE = RNG.standard_normal((28, 64, 28)).astype("float32")
HIDDEN = 100

FUNCTIONS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "layer_norm": (ROWS, lambda x: F.layer_norm(x, ROWS[1:]), lambda x: T.layer_norm(x, ROWS[1:])),
    "group_norm": (IMAGES, lambda x: F.group_norm(x, 4), lambda x: T.group_norm(x, 4)),
    "gelu": (ROWS, F.gelu, T.gelu),
    "attention": (
        HEADS,
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        lambda x: T.scaled_dot_product_attention(x, x, x, is_causal=True),
    ),
}


def recurrent(name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Rows of a small image, one a step, from the same weights."""
    theirs = getattr(torch.nn, name)(SEQUENCE.shape[2], HIDDEN)
    ours = getattr(nn, name)(SEQUENCE.shape[2], HIDDEN)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    x, y = ab.tensor(SEQUENCE), torch.tensor(SEQUENCE)

    def step(layer: Any, values: Any) -> Callable[[], object]:
        def run() -> None:
            layer.zero_grad()
            layer(values)[0].sum().backward()

        return run

    return step(ours, x), step(theirs, y)


def function(name: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """One function of one leaf."""
    shape, ours, theirs = FUNCTIONS[name]
    x, seed = RNG.standard_normal(shape).astype("float32"), RNG.standard_normal(shape).astype("float32")

    def step(call: Callable[[Any], Any], leaf: Any, g: Any) -> Callable[[], object]:
        def run() -> None:
            leaf.grad = None
            call(leaf).backward(g)

        return run

    return step(ours, ab.tensor(x, requires_grad=True), seed), step(theirs, torch.tensor(x, requires_grad=True), torch.tensor(seed))


TASKS = {**dict.fromkeys(("RNN", "LSTM", "GRU"), recurrent), **dict.fromkeys(FUNCTIONS, function)}


def main(names: list[str]) -> None:
    print(f"{'layer':18s}{'ours µs':>10s}{'other µs':>10s}{'ratio':>8s}")
    for name in names or TASKS:
        a, b, ratio = compared(*TASKS[name](name))
        print(f"{name:18s}{a:10.1f}{b:10.1f}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

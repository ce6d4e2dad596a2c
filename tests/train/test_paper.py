"""The network of the batch norm paper's first experiment, 2,000 steps on MNIST, lands where published reproductions do.

784-100-100-100-10, batches of 60, plain SGD on the mean cross entropy, weights ~ N(0, 0.05²), no bias under batch norm, running
statistics at 0.99 of the old value, ε = 1e-3. The ranges are those of the two published runs, one point wider on each side,
since two runs do not show the whole spread.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from tests.mnist import needs_mnist

MARGIN = 0.01
PUBLISHED = {("ReLU", 0.01): (0.9487, 0.9525), ("Sigmoid", 1.0): (0.9463, 0.9532)}


def network(activation: str, seed: int) -> nn.Sequential:
    rng = nn.init.generator(seed)
    parts: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise((784, 100, 100, 100, 10)):
        layer = nn.Linear(n_in, n_out, bias=n_out == 10, rng=0)
        ab.assign(layer.weight, nn.init.normal((n_out, n_in), rng, std=0.05))
        parts.append(layer)
        if layer.bias is None:
            parts += [nn.BatchNorm1d(n_out, eps=1e-3, momentum=0.01), getattr(nn, activation)()]
        else:
            ab.assign(layer.bias, np.zeros(n_out))
    return nn.Sequential(*parts)


@pytest.fixture(scope="module")
def mnist() -> Any:
    return [ab.data.Dataset(part.images.reshape(-1, 784), part.labels) for part in ab.data.mnist(download=False)]


@needs_mnist
@pytest.mark.parametrize(("activation", "lr"), PUBLISHED)
def test_the_papers_network_lands_in_the_published_range(activation: str, lr: float, mnist: Any) -> None:
    train, test = mnist
    model = network(activation, seed=0)
    loader = ab.data.Loader(train, 60, seed=0, drop_last=True)
    history = ab.train.fit(model, ab.optim.SGD(model.parameters(), lr=lr), loader, test, steps=2000, every=2000, progress=False)
    low, high = PUBLISHED[activation, lr]
    assert low - MARGIN <= history["accuracy"][-1] <= high + MARGIN

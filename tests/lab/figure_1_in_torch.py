"""Figure 1's network without batch norm in PyTorch, as an oracle: python -m tests.lab.figure_1_in_torch [--seeds N] [--ours N]

Twice. First with nothing of this project but the reading of the MNIST files: initial values, order of the examples, network, gradients and updates
are PyTorch's. Then, seed by seed, from the initial values and in the order of the experiment, so that only network, gradients and updates are
PyTorch's. Writes the test accuracies to docs/lab/results/figure-1-in-torch.json, which the page of the experiment shows beside ours.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autograd_bn.data import Loader, mnist
from autograd_bn.lab.networks import papers_network

OUT = Path(__file__).parents[2] / "docs/lab/results/figure-1-in-torch.json"
WIDTHS, STD, RATE, BATCH, STEPS = (784, 100, 100, 100, 10), 0.05, 0.01, 60, 50_000
Examples = tuple[torch.Tensor, torch.Tensor]


def accuracy(model: torch.nn.Module, order: Iterator[torch.Tensor], train: Examples, test: Examples) -> float:
    """That of a network after all its steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    images, labels = train
    for chosen in itertools.islice(order, STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        return (model(test[0]).argmax(1) == test[1]).double().mean().item()


def network() -> torch.nn.Sequential:
    """One with initial values of PyTorch's."""
    parts: list[torch.nn.Module] = []
    for n_in, n_out in itertools.pairwise(WIDTHS):
        layer = torch.nn.Linear(n_in, n_out)
        torch.nn.init.normal_(layer.weight, std=STD)
        torch.nn.init.zeros_(layer.bias)
        parts += [layer, torch.nn.Sigmoid()]
    return torch.nn.Sequential(*parts[:-1])


def own_order(count: int) -> Iterator[torch.Tensor]:
    """Whole batches of one epoch after the other, in PyTorch's order."""
    while True:
        yield from torch.randperm(count)[: count // BATCH * BATCH].split(BATCH)


def our_network(seed: int) -> torch.nn.Sequential:
    """One with the initial values of the experiment."""
    model = network()
    ours = papers_network(WIDTHS[0], "sigmoid", bn=False, std=STD, seed=seed).parameters()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), ours, strict=True):
            parameter.copy_(torch.tensor(value.numpy()))
    return model


def our_order(count: int, seed: int) -> Iterator[torch.Tensor]:
    """The batches of the experiment."""
    loader = Loader((np.arange(count),), BATCH, seed=seed, drop_last=True)
    while True:
        for (chosen,) in loader:
            yield torch.tensor(chosen)


def tensors(part: Any, first: int = 0) -> Examples:
    """The images, flat, and the labels, but for the first."""
    images = np.asarray(part.images, "f4").reshape(len(part.images), -1)[first:]
    return torch.tensor(images), torch.tensor(np.asarray(part.labels, "i8")[first:])


def main() -> None:
    """Train all, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--ours", type=int, default=10, help="how many seeds from our initial values")
    given = parser.parse_args()
    torch.set_num_threads(1)
    train, test = mnist()
    data = tensors(train, 5000), tensors(test)
    count = len(data[0][1])
    accuracies, from_ours = [], []
    for seed in range(given.ours):
        from_ours.append(accuracy(our_network(seed), our_order(count, seed), *data))
        print(f"from our initial values, seed {seed}: {from_ours[-1]:.4f}", flush=True)
    for seed in range(given.seeds):
        torch.manual_seed(seed)
        accuracies.append(accuracy(network(), own_order(count), *data))
        print(f"seed {seed}: {accuracies[-1]:.4f}", flush=True)
    OUT.write_text(json.dumps({"torch": torch.__version__, "accuracies": accuracies, "from_ours": from_ours}, indent=1) + "\n")


if __name__ == "__main__":
    main()

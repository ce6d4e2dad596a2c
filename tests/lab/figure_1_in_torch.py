"""Figure 1's network without batch norm in PyTorch, as an oracle: python -m tests.lab.figure_1_in_torch [--seeds N]

Nothing of this project takes part but the reading of the MNIST files: initial values, order of the examples, network, gradients and updates
are PyTorch's. Writes the test accuracies to docs/lab/results/figure-1-in-torch.json, which the page of the experiment shows beside ours.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autograd_bn.data import mnist

OUT = Path(__file__).parents[2] / "docs/lab/results/figure-1-in-torch.json"
WIDTHS, STD, RATE, BATCH, STEPS = (784, 100, 100, 100, 10), 0.05, 0.01, 60, 50_000


def accuracy(seed: int, train: tuple[torch.Tensor, torch.Tensor], test: tuple[torch.Tensor, torch.Tensor]) -> float:
    """That of one network after all its steps."""
    torch.manual_seed(seed)
    parts: list[torch.nn.Module] = []
    for n_in, n_out in itertools.pairwise(WIDTHS):
        layer = torch.nn.Linear(n_in, n_out)
        torch.nn.init.normal_(layer.weight, std=STD)
        torch.nn.init.zeros_(layer.bias)
        parts += [layer, torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*parts[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    images, labels = train
    step = 0
    while step < STEPS:
        for chosen in torch.randperm(len(images)).split(BATCH):
            if step == STEPS or len(chosen) < BATCH:
                break
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
            step += 1
    with torch.no_grad():
        return (model(test[0]).argmax(1) == test[1]).double().mean().item()


def tensors(part: Any, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    images = np.asarray(part.images, "f4").reshape(len(part.images), -1)[first:]
    return torch.tensor(images), torch.tensor(np.asarray(part.labels, "i8")[first:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    train, test = mnist()
    data = tensors(train, 5000), tensors(test)
    found = []
    for seed in range(seeds):
        found.append(accuracy(seed, *data))
        print(f"seed {seed}: {found[-1]:.4f}", flush=True)
    OUT.write_text(json.dumps({"torch": torch.__version__, "accuracies": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A small convolutional network with batch norm on MNIST: two convolutions, two affine maps, Adam.

python examples/mnist_cnn.py [--data FOLDER] [--epochs 3 | --steps N] [--seeds 0 1 2] [--compiled]
"""

from __future__ import annotations

import argparse
import statistics
import sys

import autograd_bn as ab
from autograd_bn import nn


def network(seed: int) -> nn.Sequential:
    """In the manner of LeNet-5: β of batch norm replaces the bias of the layer before."""
    rng = nn.init.generator(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, bias=False, rng=rng),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, bias=False, rng=rng),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 128, bias=False, rng=rng),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Linear(128, 10, rng=rng),
    )


def trained(seed: int, train: ab.data.Dataset, test: ab.data.Dataset, given: argparse.Namespace) -> ab.train.History:
    """The history of one run; the test images are looked at after each epoch, and nothing depends on them."""
    model = network(seed)
    optimizer = ab.optim.Adam(model.parameters(), lr=1e-3)
    loader = ab.data.Loader(train, 64, seed=seed, drop_last=True)
    length = {"steps": given.steps} if given.steps else {"epochs": given.epochs}
    return ab.train.fit(model, optimizer, loader, test, **length, compiled=given.compiled, label=f"seed {seed}", progress=sys.stderr.isatty())


def images(data: ab.data.Dataset) -> ab.data.Dataset:
    """One channel each: (N, 28, 28) to (N, 1, 28, 28)."""
    return ab.data.Dataset(data.images[:, None], data.labels)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="a folder with the four files of MNIST, or of other data in its format")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, help="in place of epochs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--compiled", action="store_true", help="compile the training step")
    given = parser.parse_args()
    try:
        train, test = map(images, ab.data.mnist(given.data))
    except ab.OperationError as error:
        sys.exit(f"{error}\nor run examples/train_digits.py, which needs no other data")
    accuracies = []
    for seed in given.seeds:
        history = trained(seed, train, test, given)
        accuracies.append(history["accuracy"][-1])
        print(f"seed {seed}: test accuracy {', '.join(f'{a:.2%}' for a in history['accuracy'])} after steps {', '.join(map(str, history.steps))}", flush=True)
    print(f"median of the last: {statistics.median(accuracies):.2%}")


if __name__ == "__main__":
    main()

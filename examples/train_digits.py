"""A sigmoid network on handwritten digits, with and without batch norm: same weights, same batches, same learning rate.

python examples/train_digits.py [DIRECTORY]
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import autograd_bn as ab
from autograd_bn import nn

WIDTHS = [64, 50, 50, 10]
STEPS = 400


def network(normalised: bool, seed: int = 0) -> nn.Sequential:
    """Affine maps and sigmoids; batch norm goes between the two, and its β replaces the bias."""
    rng = nn.init.generator(seed)
    parts: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(WIDTHS[:-1]):
        parts.append(nn.Linear(n_in, n_out, bias=False, rng=rng))
        if normalised:
            parts.append(nn.BatchNorm1d(n_out))
        parts.append(nn.Sigmoid())
    return nn.Sequential(*parts, nn.Linear(WIDTHS[-2], WIDTHS[-1], rng=rng))


def trained(normalised: bool, train: ab.data.Dataset, test: ab.data.Dataset) -> ab.train.History:
    """The history of one run."""
    model = network(normalised)
    optimizer = ab.optim.SGD(model.parameters(), lr=0.5)
    return ab.train.fit(model, optimizer, ab.data.Loader(train, 60, seed=1, drop_last=True), test, steps=STEPS, every=STEPS // 8, progress=False)


def main(directory: Path) -> None:
    images, labels = ab.data.digits()
    train, test = ab.data.split(ab.data.Dataset(images.reshape(len(images), -1), labels), nn.init.generator(0))
    plain, normalised = trained(False, train, test), trained(True, train, test)
    print("test accuracy\nsteps  without BN  with BN")
    for step, a, b in zip(plain.steps, plain["accuracy"], normalised["accuracy"], strict=True):
        print(f"{step:5}  {a:10.1%}  {b:7.1%}")
    model = network(True)
    loss = nn.functional.cross_entropy(model(ab.tensor(train.images[:60], name="x")), train.labels[:60])
    ab.draw(loss, file=directory / "network.svg", direction="TB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

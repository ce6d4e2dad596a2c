"""``autograd-bn demo``: a sigmoid network with and without batch norm, and pictures of what ran."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from autograd_bn.cli.arguments import add_command, add_no_open, find_matplotlib, open_file, positive, rate, whole
from autograd_bn.cli.figure import draw_figure

if TYPE_CHECKING:
    from autograd_bn.cli.arguments import Commands
    from autograd_bn.data import Dataset
    from autograd_bn.nn import Module, Sequential
    from autograd_bn.train import History

WIDTHS = (64, 100, 100, 100, 10)
BATCH = 60


def add(commands: Commands) -> None:
    """Declare the command."""
    demo = add_command(commands, "demo", "train a sigmoid network with and without batch norm, plot both, and draw what ran")
    demo.add_argument("--out", type=Path, default=Path("autograd-bn-demo"), metavar="DIR", help="where the pictures go (default: %(default)s)")
    demo.add_argument("--steps", type=positive, default=5000, metavar="N", help="updates of each network (default: %(default)s)")
    demo.add_argument("--seed", type=whole, default=0, metavar="N", help="of the weights, the split and the batches (default: %(default)s)")
    demo.add_argument("--lr", type=rate, default=0.5, metavar="RATE", help="learning rate of both networks (default: %(default)s)")
    demo.add_argument("--std", type=rate, default=0.1, metavar="SIGMA", help="standard deviation of both networks' first weights (default: %(default)s)")
    add_no_open(demo, "the figure")
    demo.add_argument("--quiet", action="store_true", help="show no progress")
    demo.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from autograd_bn.data import Dataset, digits, split
    from autograd_bn.nn.init import generator
    from autograd_bn.train.threads import one_blas_thread

    find_matplotlib()
    options.out.mkdir(parents=True, exist_ok=True)
    images, labels = digits()
    train, test = split(Dataset(images.reshape(len(images), -1), labels), generator(options.seed))
    print(
        f"{'-'.join(map(str, WIDTHS))} sigmoid network on {len(train.labels)} digits of 8x8 pixels, {len(test.labels)} held out; "
        f"batches of {BATCH}, SGD, learning rate {options.lr:g}, weights ~ N(0, {options.std:g}²), seed {options.seed}, the same for both"
    )
    started = time.perf_counter()
    with one_blas_thread():
        histories = {name: _trained(options, train, test, normalised) for name, normalised in (("without BN", False), ("with BN", True))}
    print(_table(histories))
    print(f"trained in {time.perf_counter() - started:.1f} s")

    written = [options.out / "figure.svg", options.out / "network.svg", options.out / "accuracy.png"]
    _plot(written[2], histories)
    draw_figure(written[0])
    _draw_network(written[1], build(True, options.seed, options.std), train)
    print("written: " + ", ".join(map(str, written)))
    open_file(written[0], options)
    return 0


def build(normalised: bool, seed: int, std: float) -> Sequential:
    """The network of the batch norm paper's first experiment, for 8×8 images: three hidden layers of 100 sigmoid units.

    Batch norm goes before the nonlinearity and replaces the bias. The weights are the same with and without it.
    """
    from autograd_bn.lab.networks import perceptron
    from autograd_bn.nn import BatchNorm1d

    return perceptron(WIDTHS, "sigmoid", norm=BatchNorm1d if normalised else None, std=std, seed=seed)


def _trained(options: argparse.Namespace, train: Dataset, test: Dataset, normalised: bool) -> History:
    from autograd_bn.data import Loader
    from autograd_bn.optim import SGD
    from autograd_bn.train import fit

    network = build(normalised, options.seed, options.std)
    return fit(
        network,
        SGD(network.parameters(), lr=options.lr),
        Loader(train, BATCH, seed=options.seed + 1, drop_last=True),
        test,
        steps=options.steps,
        every=max(options.steps // 100, 1),
        label="with BN   " if normalised else "without BN",
        progress=not options.quiet,
    )


def _table(histories: dict[str, History]) -> str:
    """Test accuracy against steps, at about ten points."""
    first = next(iter(histories.values()))
    count = len(first.steps)
    rows = sorted({0, *(round(count * i / 10) - 1 for i in range(1, 11) if round(count * i / 10) >= 1)})
    lines = ["", "test accuracy", "  steps" + "".join(f"{name:>13}" for name in histories)]
    lines += [f"{first.steps[i]:>7}" + "".join(f"{h['accuracy'][i]:>13.1%}" for h in histories.values()) for i in rows]
    return "\n".join([*lines, ""])


def _plot(path: Path, histories: dict[str, History]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for (name, history), style in zip(histories.items(), ("--", "-"), strict=True):
        axes.plot(history.steps, history["accuracy"], style, label=name, color="black")
    axes.set(xlabel="training steps", ylabel="test accuracy", ylim=(0, 1))
    axes.legend(frameon=False, loc="best")
    figure.savefig(path, dpi=150)


def _draw_network(path: Path, network: Module, train: Dataset) -> None:
    from autograd_bn.core.tensor import tensor
    from autograd_bn.drawing import draw
    from autograd_bn.nn.functional import cross_entropy

    loss = cross_entropy(network(tensor(train.images[:BATCH], name="x")), train.labels[:BATCH])
    draw(loss, file=path)

"""The ``autograd-bn`` command: a demonstration, the figure, and what is installed."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import itertools
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograd_bn.core.tensor import Tensor
    from autograd_bn.data import Dataset
    from autograd_bn.nn import Module, Sequential
    from autograd_bn.train import History

WIDTHS = (64, 100, 100, 100, 10)
BATCH = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit code: 0, 1 for a failure, 2 for bad arguments.

    Examples
    --------
    >>> from autograd_bn.cli import main
    >>> main(["doctor"])  # doctest: +ELLIPSIS
    autograd_bn ...
    0
    """
    from autograd_bn.core.errors import AutogradError

    parser = _parser()
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (AutogradError, OSError, ImportError) as error:
        print(f"autograd-bn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("autograd-bn: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> _Parser:
    parser = _Parser(prog="autograd-bn", description="Automatic differentiation on NumPy, with batch norm as a composition of primitives.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="command", parser_class=_Parser)

    demo = commands.add_parser("demo", help="train a sigmoid network with and without batch norm, and draw what ran")
    demo.add_argument("--out", type=Path, default=Path("autograd-bn-demo"), metavar="DIR", help="where the pictures go (default: %(default)s)")
    demo.add_argument("--steps", type=_positive, default=5000, metavar="N", help="updates of each network (default: %(default)s)")
    demo.add_argument("--seed", type=_whole, default=0, metavar="N", help="of the weights, the split and the batches (default: %(default)s)")
    demo.add_argument("--lr", type=_rate, default=0.5, metavar="RATE", help="learning rate of both networks (default: %(default)s)")
    demo.add_argument("--std", type=_rate, default=0.1, metavar="SIGMA", help="standard deviation of both networks' first weights (default: %(default)s)")
    demo.add_argument("--no-open", action="store_true", help="do not open the figure at the end")
    demo.add_argument("--quiet", action="store_true", help="show no progress")
    demo.set_defaults(run=_demo)

    figure = commands.add_parser("figure", help="draw batch norm's graph")
    figure.add_argument("--out", type=Path, default=Path("figure.svg"), metavar="FILE", help=".svg, .png, .pdf or .dot (default: %(default)s)")
    figure.set_defaults(run=_figure)

    doctor = commands.add_parser("doctor", help="say which versions, layout engines and extras are found")
    doctor.set_defaults(run=_doctor)
    return parser


def _whole(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number, not negative, got {text!r}")
    return number


def _positive(text: str) -> int:
    number = _whole(text)
    if not number:
        raise argparse.ArgumentTypeError("must be at least 1, got '0'")
    return number


def _rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text!r}")
    return number


# demo


def _demo(options: argparse.Namespace) -> int:
    from autograd_bn.data import Dataset, digits, split
    from autograd_bn.nn.init import generator

    options.out.mkdir(parents=True, exist_ok=True)
    images, labels = digits()
    train, test = split(Dataset(images.reshape(len(images), -1), labels), generator(options.seed))
    print(
        f"{'-'.join(map(str, WIDTHS))} sigmoid network on {len(train.labels)} digits of 8x8 pixels, {len(test.labels)} held out; "
        f"batches of {BATCH}, SGD, learning rate {options.lr:g}, weights ~ N(0, {options.std:g}²), seed {options.seed}, the same for both"
    )
    started = time.perf_counter()
    with _one_blas_thread():
        histories = {name: _trained(options, train, test, normalised) for name, normalised in (("without BN", False), ("with BN", True))}
    print(_table(histories))
    print(f"trained in {time.perf_counter() - started:.1f} s")

    written = [options.out / "figure.svg", options.out / "network.svg", options.out / "accuracy.png"]
    _plot(written[2], histories)
    _draw_figure(written[0])
    _draw_network(written[1], build(True, options.seed, options.std), train)
    print("written: " + ", ".join(map(str, written)))
    if not options.no_open and sys.stdout.isatty():
        import webbrowser

        webbrowser.open(written[0].resolve().as_uri())
    return 0


def build(normalised: bool, seed: int, std: float) -> Sequential:
    """The network of the batch norm paper's first experiment, for 8×8 images: three hidden layers of 100 sigmoid units.

    Batch norm goes before the nonlinearity and replaces the bias. The weights are the same with and without it.
    """
    import numpy as np

    from autograd_bn.core.effects import assign
    from autograd_bn.nn import BatchNorm1d, Linear, Sequential, Sigmoid
    from autograd_bn.nn.init import generator, normal

    rng = generator(seed)
    parts: list[Module] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(WIDTHS)):
        hidden = i < len(WIDTHS) - 2
        layer = Linear(n_in, n_out, bias=not (hidden and normalised), rng=0)
        assign(layer.weight, normal((n_out, n_in), rng, std=std))
        if layer.bias is not None:
            assign(layer.bias, np.zeros(n_out))
        parts.append(layer)
        if hidden and normalised:
            parts.append(BatchNorm1d(n_out))
        if hidden:
            parts.append(Sigmoid())
    return Sequential(*parts)


def _one_blas_thread() -> AbstractContextManager[object]:
    """Matrices this small gain nothing from a second thread, and lose tenfold by it where another program keeps that core busy."""
    try:
        limits: Callable[..., AbstractContextManager[object]] = importlib.import_module("threadpoolctl").threadpool_limits
    except ImportError:
        return nullcontext()
    return limits(1, user_api="blas")


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (name, history), style in zip(histories.items(), ("--", "-"), strict=True):
        axes.plot(history.steps, history["accuracy"], style, label=name, color="black")
    axes.set(xlabel="training steps", ylabel="test accuracy", ylim=(0, 1))
    axes.legend(frameon=False, loc="best")
    figure.savefig(path, dpi=150)


# drawings


def _figure_run() -> Tensor:
    """Batch norm on a small batch, run forward and backward with everything kept."""
    import numpy as np

    from autograd_bn.core.record import record
    from autograd_bn.core.tensor import tensor
    from autograd_bn.nn.functional import batch_norm
    from autograd_bn.nn.init import generator

    rng = generator(0)
    x = tensor(rng.standard_normal((4, 3)), requires_grad=True, name="x")
    gamma = tensor(np.ones(3), requires_grad=True, name="γ")
    beta = tensor(np.zeros(3), requires_grad=True, name="β")
    with record():
        y = batch_norm(x, gamma, beta)
        y.backward(rng.standard_normal((4, 3)))
    return y


def _draw_figure(path: Path) -> None:
    from autograd_bn.drawing import draw

    draw(_figure_run(), file=path, style="classic")


def _draw_network(path: Path, network: Module, train: Dataset) -> None:
    from autograd_bn.core.tensor import tensor
    from autograd_bn.drawing import draw
    from autograd_bn.nn.functional import cross_entropy

    loss = cross_entropy(network(tensor(train.images[:BATCH], name="x")), train.labels[:BATCH])
    draw(loss, file=path)


def _figure(options: argparse.Namespace) -> int:
    _draw_figure(options.out)
    print(f"written: {options.out}")
    return 0


# doctor


def _doctor(options: argparse.Namespace) -> int:
    try:
        version = importlib.metadata.version("autograd_bn")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed, run from source)"
    print(f"autograd_bn {version}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    extras = {
        "": ("numpy", "graphviz", "pygraphviz"),
        "train": ("tqdm", "matplotlib", "safetensors", "threadpoolctl"),
        "jit": ("llvmlite", "scipy"),
        "testing": ("hypothesis",),
    }
    for extra, packages in extras.items():
        print(f"{f'extra {extra}' if extra else 'required'}: " + ", ".join(f"{name} {_version(name)}" for name in packages))
    print("layout engines: " + _engines())
    return 0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(missing)"


def _engines() -> str:
    try:
        from autograd_bn.drawing import engines
    except ImportError as error:
        return f"unknown, drawing cannot be imported: {error}"
    found = [f"{engine.name} {engine.version} ({engine.path})" for engine in engines()]
    return ", ".join(found) or "none; install pygraphviz (pip install pygraphviz) or Graphviz's dot program"

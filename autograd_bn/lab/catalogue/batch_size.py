"""Small batches: batch norm beside layer norm and group norm, which do not depend on the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, HIDDEN, data, paper_norm, perceptron, subset
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import GroupNorm, LayerNorm, Module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = 10
NORMS: dict[str, Callable[[int], Module]] = {"BN": paper_norm, "LN": LayerNorm, "GN": lambda width: GroupNorm(GROUPS, width)}
SIZES = (2, 4, 8, 16, 32)
RATE = 0.1
"""The learning rate at the largest batch; at others it is in proportion to the batch, as in Wu & He."""


def cells(quick: bool) -> list[Settings]:
    sizes = SIZES[::2] if quick else SIZES
    shape = {"data": "mnist", "std": 0.05, "examples": 4000 if quick else 10_000}
    return [{"norm": norm, "batch": batch, "lr": RATE * batch / SIZES[-1], **shape} for norm in NORMS for batch in sizes]


def run(settings: Settings) -> Measured:
    """As many examples in batches of any size, each once."""
    train, test = data(settings["data"])
    train = subset(train, settings["examples"], settings["seed"])
    widths = (train.images.shape[1], *HIDDEN, CLASSES)
    model = perceptron(widths, "relu", norm=NORMS[settings["norm"]], std=settings["std"], seed=settings["seed"])
    steps, batch = settings["examples"] // settings["batch"], settings["batch"]
    measured = trained(model, train, test, steps=steps, lr=settings["lr"], batch=batch, seed=settings["seed"])
    return {"error": 1 - measured["accuracy"], "diverged": measured["diverged"]}


def verdict(results: Results) -> Verdict:
    sizes = results.distinct("batch")
    small, large = min(sizes), max(sizes)
    error = {(norm, batch): results.spread("error", norm=norm, batch=batch) for norm in NORMS for batch in sizes}
    rows = [Row(f"test error: {norm}, batches of {batch}", error[norm, batch]) for norm in NORMS for batch in sizes]
    worse = {norm: error[norm, small].mean - error[norm, large].mean for norm in NORMS}
    told = ", ".join(f"{norm} {change:+.4f}" for norm, change in worse.items())
    others = [norm for norm in NORMS if norm != "BN"]
    checks = [
        Check(f"batch norm's error is larger in batches of {small} than of {large}", worse["BN"] > 0, told, True),
        Check(f"it grows more than twice as much as that of {' or '.join(others)}", all(worse["BN"] > 2 * max(worse[norm], 0) for norm in others), told),
        Check(
            f"in batches of {small} batch norm is worse than both",
            all(error[norm, small].below(error["BN", small]) for norm in others),
            ", ".join(f"{norm} {error[norm, small]}" for norm in NORMS),
        ),
    ]
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    axes = figure.subplots()
    sizes = results.distinct("batch")
    for norm, look in zip(NORMS, figures.MARKED, strict=False):
        runs = [[results.where(norm=norm, batch=batch, seed=seed).values("error")[0] for batch in sizes] for seed in results.distinct("seed")]
        figures.curve(axes, sizes, runs, label=norm, **look)
    axes.set(xscale="log", xlabel="batch size", ylabel="test error")
    axes.set_ylim(bottom=0)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.legend()


EXPERIMENT = Experiment(
    name="batch-size",
    title="Small batches",
    claim="Batch norm degrades in batches of 2 and 4, where layer norm and group norm stay as they are.",
    citation="Wu & He 2018, Group Normalization (arXiv 1803.08494), figure 1; Ba, Kiros & Hinton 2016, Layer Normalization (arXiv 1607.06450)",
    limits=(
        "A small fully connected network on one pass over ten thousand digits, not ResNet-50 on ImageNet. "
        "The learning rate is in proportion to the batch, so that all see the same examples at the same total rate; another rule would give other curves."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

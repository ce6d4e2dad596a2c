"""Whether layers can be updated together: what one step does to the loss, beside what each layer's gradient promised."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, data, paper_norm, perceptron
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import At, gradients, loss_at, trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.train import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROMISED = 0.1
"""The share of the loss by which the step would lower it, were the loss linear: the step is as long as that takes."""
DEPTHS = (1, 2, 4, 8, 16)
BATCH = 60


def cells(quick: bool) -> list[Settings]:
    shape = {"width": 100, "activation": "relu", "data": "mnist", "lr": 0.05, "steps": 50 if quick else 400}
    return [{"depth": depth, "bn": bn, **shape} for depth in (DEPTHS[::2] if quick else DEPTHS) for bn in (False, True)]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])
    widths = (train.images.shape[1], *[settings["width"]] * settings["depth"], CLASSES)
    norm = paper_norm if settings["bn"] else None
    model = perceptron(widths, settings["activation"], norm=norm, std=lambda n: math.sqrt(2 / n), seed=settings["seed"])
    names = [name for name, _ in model.named_parameters()]
    layers = [i for i, name in enumerate(names) if name.endswith("weight") and names[i] != names[i - 1]]

    def stepped(run: Run) -> tuple[float, float]:
        """The step's change of the loss beside the promise: of all layers at once, and of each alone, added up."""
        x, y = train.images[run.step :][:BATCH], train.labels[run.step :][:BATCH]
        loss, found = gradients(model, x, y)
        values = [p.detach().numpy() for p in model.parameters()]
        rate = PROMISED * loss / sum(float((g.astype(float) ** 2).sum()) for g in found)
        moved = [v - np.asarray(rate, v.dtype) * g for v, g in zip(values, found, strict=True)]
        together = loss - loss_at(model, moved, x, y)
        alone = 0.0
        for start, end in zip(layers, [*layers[1:], len(names)], strict=True):
            alone += loss - loss_at(model, [*values[:start], *moved[start:end], *values[end:]], x, y)
        return together / (PROMISED * loss), alone / (PROMISED * loss)

    at = At([0, *range(settings["steps"] // 4, settings["steps"] + 1, settings["steps"] // 4)], stepped)
    trained(model, train, test, steps=settings["steps"], lr=settings["lr"], seed=settings["seed"], callbacks=[at])
    together, alone = np.array(at.values).T
    return {
        "together": together,
        "alone": alone,
        "first": together[0],
        "error": np.abs(together - 1).mean(),
        "interaction": np.abs(together - alone).mean(),
    }


def verdict(results: Results) -> Verdict:
    depths = results.distinct("depth")
    rows, checks = [], []
    for name, what in (
        ("first", "change of the loss by the promised one, first step"),
        ("error", "its distance from 1, over the stages of training"),
        ("interaction", "distance from the sum of each layer's step alone"),
    ):
        rows += [Row(f"{what}: {d} hidden, {'with' if bn else 'without'} BN", results.spread(name, depth=d, bn=bn)) for d in depths for bn in (False, True)]
    for depth in depths:
        for name, statement in (("error", "the step keeps its promise better with BN"), ("interaction", "the layers' steps interfere less with BN")):
            without, with_bn = (results.spread(name, depth=depth, bn=bn) for bn in (False, True))
            checks.append(Check(f"{depth} hidden layers: {statement}", with_bn.below(without), f"{with_bn} against {without}"))
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    depths = results.distinct("depth")
    for axes, name, title in ((left, "error", "the step misses its promise by"), (right, "interaction", "the layers' steps interfere by")):
        for bn in (False, True):
            runs: Any = [[results.where(depth=d, bn=bn, seed=seed).values(name)[0] for d in depths] for seed in results.distinct("seed")]
            figures.curve(axes, depths, runs, marker="o", **figures.bn(bn))
        axes.set(title=title, xlabel="hidden layers", yscale="log", xscale="log")
        axes.set_xticks(depths, depths, minor=False)
        axes.minorticks_off()
    low, high = left.get_ylim()
    ticks = [tick for tick in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if low <= tick <= high]
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    left.set_ylabel("share of the promised change")
    figures.legend(figure)


EXPERIMENT = Experiment(
    name="coordination",
    title="Updating layers together",
    claim="A gradient step assumes that the other layers stay as they are; batch norm makes the step that all layers take together do what it promised.",
    citation="Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.7.1",
    limits=(
        "The step is as long as it takes to promise a tenth of the loss, so it compares curvature and not the rates at which either network trains best. "
        "ReLU networks with He's initial weights, on the batch that the step was computed from."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

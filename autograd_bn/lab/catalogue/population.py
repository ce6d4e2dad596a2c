"""What evaluation normalises by: population statistics in three ways, and the batch's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.state import no_grad
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, HIDDEN, data, perceptron
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import At, trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import BatchNorm1d, Sequential, recalibrate
from autograd_bn.nn.functional import batch_norm
from autograd_bn.train import Run, accuracy, correct

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOMENTA = {"running average, 0.01": 0.01, "running average, 0.1": 0.1, "cumulative average": None, "Algorithm 2": 0.01}
UPDATES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
EARLY = 20
BATCHES, BATCH, ALONE = 50, 60, 500
PUBLISHED = (0.05, 0.10)
"""The accuracy that was published of inference on single examples by their own statistics."""


def cells(quick: bool) -> list[Settings]:
    return [{"statistics": name, "data": "mnist", "lr": 1.0, "std": 0.05, "steps": 500 if quick else UPDATES[-1]} for name in MOMENTA]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])

    def norm(width: int) -> BatchNorm1d:
        return BatchNorm1d(width, eps=1e-3, momentum=MOMENTA[settings["statistics"]])

    model = perceptron((train.images.shape[1], *HIDDEN, CLASSES), "sigmoid", norm=norm, std=settings["std"], seed=settings["seed"])
    some = [train.images[i * BATCH : (i + 1) * BATCH] for i in range(min(BATCHES, len(train.labels) // BATCH))]

    def evaluated(run: Run) -> float:
        """The test accuracy now; by Algorithm 2 the statistics are averaged for it over some batches, and put back."""
        if settings["statistics"] != "Algorithm 2":
            return accuracy(run.model, test)
        before = run.model.state_dict()
        recalibrate(run.model, some)
        found = accuracy(run.model, test)
        if run.step < run.steps:
            run.model.load_state_dict(before)
        return found

    updates = [step for step in UPDATES if step <= settings["steps"]]
    at = At(updates, evaluated)
    trained(model, train, test, steps=settings["steps"], lr=settings["lr"], seed=settings["seed"], callbacks=[at])
    model.eval()
    images, labels = test.images[:ALONE], test.labels[:ALONE]
    with no_grad():
        together = model(images).numpy()
        alone = np.concatenate([model(image[None]).numpy() for image in images])
        own = np.concatenate([by_own_statistics(model, image[None]) for image in images])
    return {
        "updates": updates,
        "accuracies": at.values,
        "accuracy": at.values[-1],
        "early": at.values[updates.index(EARLY)],
        "alone": correct(alone, labels),
        "alone_by_own": correct(own, labels),
        "dependence": float(np.abs(alone - together).max() / np.abs(together).max()),
    }


def by_own_statistics(model: Sequential, x: Any) -> Any:
    """The outputs for a batch that is normalised by its own statistics, even where it is a single example."""
    for part in model:
        x = batch_norm(x, part.weight, part.bias, eps=part.eps) if isinstance(part, BatchNorm1d) else part(x)
    return x.numpy()


def verdict(results: Results) -> Verdict:
    ways = results.distinct("statistics")
    final = {way: results.spread("accuracy", statistics=way) for way in ways}
    early = {way: results.spread("early", statistics=way) for way in ways}
    alone, own = results.spread("alone", statistics="Algorithm 2"), results.spread("alone_by_own", statistics="Algorithm 2")
    apart = max(s.mean for s in final.values()) - min(s.mean for s in final.values())
    rows = [Row(f"test accuracy after {EARLY} updates: {way}", early[way]) for way in ways]
    rows += [Row(f"test accuracy at the end: {way}", final[way]) for way in ways]
    rows += [Row.beside("single examples by their own statistics", own, *PUBLISHED), Row("single examples by population statistics", alone)]
    dependence = max(results.values("dependence"))
    slow = [way for way in ways if way.startswith("running")]
    checks = [
        Check("by its own statistics a single example is classified as by chance", own.mean <= 2 / CLASSES, str(own), True),
        Check(
            "by population statistics it is classified as well as in a batch, and to the same outputs",
            dependence <= 1e-5,
            f"{alone}; outputs differ by {dependence:.0e} at most",
            True,
        ),
        Check("at the end of training the ways to population statistics are within 0.01 of each other", apart <= 0.01, f"{apart:.4f} apart"),
        Check(
            f"after {EARLY} updates Algorithm 2 is better than any running average, which still remembers where it started",
            all(early[way].below(early["Algorithm 2"]) for way in slow),
            f"{early['Algorithm 2']} against {', '.join(str(early[way]) for way in slow)}",
        ),
    ]
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    axes = figure.subplots()
    for way, look in zip(results.distinct("statistics"), figures.SERIES, strict=False):
        chosen = results.where(statistics=way)
        figures.curve(axes, chosen.values("updates")[0], chosen.values("accuracies"), label=way, **look)
    axes.axhline(results.spread("alone_by_own", statistics="Algorithm 2").mean, color=figures.GREY, linestyle=":", label="single examples,\nown statistics")
    axes.set(xscale="log", xlabel="updates", ylabel="test accuracy", ylim=(0, 1))
    axes.legend()


EXPERIMENT = Experiment(
    name="population",
    title="Population statistics, three ways",
    claim=(
        "Population statistics make an output depend on its input alone, at no cost in accuracy; running averages are as good as Algorithm 2 once there "
        "were enough updates."
    ),
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), section 3.1 and Algorithm 2",
    limits="Training and test images come from the same distribution; where they do not, population statistics can be wrong for the test images.",
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

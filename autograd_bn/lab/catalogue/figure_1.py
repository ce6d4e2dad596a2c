"""The paper's figure 1: accuracy while training, and the percentiles of what goes into a sigmoid, with and without batch norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.state import no_grad
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import data, papers_network
from autograd_bn.lab.results import Measured, Results, Settings, Spread
from autograd_bn.lab.training import trained
from autograd_bn.lab.verdict import Check, Row, Verdict, agreement, judged
from autograd_bn.nn import Sigmoid, no_stat_update
from autograd_bn.train import Every

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES = (15, 50, 85)
NORMAL = (-1.0364, 0.0, 1.0364)
"""The percentiles of a normal distribution."""
EXAMPLES = 1000
UNIT = 0
PUBLISHED = {False: ((0.8271, 0.8094), (0.80, 0.84)), True: ((0.9732, 0.9732), (0.970, 0.976))}
"""Test accuracy after 50,000 steps of two published runs, and the range that they are taken to stand for."""
PUBLISHED_STEPS = 50_000


def cells(quick: bool) -> list[Settings]:
    steps = 5000 if quick else PUBLISHED_STEPS
    return [{"bn": bn, "data": "mnist", "lr": 0.01, "std": 0.05, "steps": steps, "every": steps // 100} for bn in (False, True)]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])
    model = papers_network(train.images.shape[1], "sigmoid", bn=settings["bn"], std=settings["std"], seed=settings["seed"])
    last = max(i for i, part in enumerate(model) if isinstance(part, Sigmoid))
    shown = test.images[:EXAMPLES]

    def percentiles(step: int, _: Any) -> Any:
        """Of the input of each sigmoid of the last hidden layer, over the same examples each time, normalised by their statistics."""
        h: Any = shown
        with no_grad(), no_stat_update():
            for part in list(model)[:last]:
                h = part(h)
        return np.percentile(h.numpy(), PERCENTILES, axis=0)

    drift = Every(settings["every"], percentiles)
    measured = trained(model, train, test, steps=settings["steps"], lr=settings["lr"], seed=settings["seed"], every=settings["every"], callbacks=[drift])
    units = np.array(drift.values)  # (times, percentiles, units)
    medians = units[:, 1]
    return measured | {
        "times": drift.steps,
        "unit": units[:, :, UNIT],
        "start": units[0].mean(-1),
        "drift": (medians.max(0) - medians.min(0)).mean(),
        "drift_of_unit": np.ptp(medians[:, UNIT]),
        "width": (units[-1, 2] - units[-1, 0]).mean(),
    }


def verdict(results: Results) -> Verdict:
    plain, normal = results.where(bn=False), results.where(bn=True)
    before, after = plain.spread("accuracy"), normal.spread("accuracy")
    steps = results.distinct("steps")[0]
    sooner = [reached(cell.measured, before.mean) for cell in normal]
    found = [step for step in sooner if step is not None]
    start = [Spread.of(values[k] for values in normal.values("start")) for k in range(3)]
    drift = {bn: results.spread("drift", bn=bn) for bn in (False, True)}
    relative = {bn: Spread.of(cell.measured["drift"] / cell.measured["width"] for cell in results.where(bn=bn)) for bn in (False, True)}
    published = steps == PUBLISHED_STEPS
    rows = []
    for bn, ours in ((False, before), (True, after)):
        runs, (low, high) = PUBLISHED[bn]
        name = f"test accuracy, {'with' if bn else 'without'} BN, {steps} steps"
        rows.append(Row(name, ours, " / ".join(map(str, runs)), low, high) if published else Row(name, ours))
    late = {bn: Spread.of(gained(cell.measured) for cell in results.where(bn=bn)) for bn in (False, True)}
    rows += [Row(f"of it gained in the last tenth of the steps, {'with' if bn else 'without'} BN", late[bn]) for bn in (False, True)]
    rows += [Row(f"{p}th percentile at step 0, with BN", s, f"{n:.4g}", n - 0.1, n + 0.1) for p, s, n in zip(PERCENTILES, start, NORMAL, strict=True)]
    rows += [Row(f"range of a unit's median, {'with' if bn else 'without'} BN", drift[bn]) for bn in (False, True)]
    rows += [Row(f"that range by the final width of the distribution, {'with' if bn else 'without'} BN", relative[bn]) for bn in (False, True)]
    checks = [
        Check(
            f"the test accuracy after {steps} steps is higher with BN, in each run than in any without",
            min(normal.values("accuracy")) > max(plain.values("accuracy")),
            f"{after} against {before}",
            True,
        ),
        Check(
            "BN comes to the final accuracy of the network without it in fewer steps",
            len(found) == len(sooner),
            f"after {', '.join(map(str, found))} of {steps} steps" if found else "never",
            True,
        ),
        Check(
            "with BN the percentiles start near those of a normal distribution, within 0.1",
            all(abs(s.mean - n) <= 0.1 for s, n in zip(start, NORMAL, strict=True)),
            ", ".join(f"{s.mean:.3f}" for s in start),
        ),
        Check("the median of what goes into a sigmoid moves less with BN", drift[True].below(drift[False]), f"{drift[True]} against {drift[False]}"),
        Check("it also moves less beside the width of the distribution", relative[True].below(relative[False]), f"{relative[True]} against {relative[False]}"),
    ]
    return judged([*checks, agreement(rows)] if published else checks, rows)


def reached(measured: Measured, accuracy: float) -> int | None:
    """The first measured step with at least this accuracy."""
    return next((step for step, found in zip(measured["steps"], measured["accuracies"], strict=True) if found >= accuracy), None)


def gained(measured: Measured) -> float:
    """The accuracy gained in the last tenth of the steps."""
    steps, accuracies = measured["steps"], measured["accuracies"]
    start = next(i for i, step in enumerate(steps) if step >= 0.9 * steps[-1])
    return float(accuracies[-1] - accuracies[start])


def figure(results: Results, figure: Figure) -> None:
    left, *others = figure.subplots(1, 3)
    for bn in (True, False):
        chosen = results.where(bn=bn)
        figures.curve(left, chosen.values("steps")[0], chosen.values("accuracies"), **figures.bn(bn))
    left.set(title="(a) test accuracy", xlabel="steps", ylim=(0, 1))
    for axes, bn, title in zip(others, (False, True), ("(b) without BN", "(c) with BN"), strict=True):
        measured = results.where(bn=bn).cells[0].measured
        for k, name in enumerate(PERCENTILES):
            axes.plot(measured["times"], np.array(measured["unit"])[:, k], color=figures.bn(bn)["color"], linewidth=1.6 if name == 50 else 0.8)
        axes.set(title=title, xlabel="steps")
    others[0].set_ylabel(f"input of a sigmoid:\n{', '.join(f'{name}th' for name in PERCENTILES)} percentile")
    low, high = (f(axes.get_ylim()[k] for axes in others) for k, f in ((0, min), (1, max)))
    for axes in others:
        axes.set_ylim(low, high)
    figures.legend(figure)


EXPERIMENT = Experiment(
    name="figure-1",
    title="The paper's figure 1",
    claim="Batch norm makes a sigmoid network train faster and reach a higher accuracy, and keeps the distribution of what goes into a unit more stable.",
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), section 4.1, figure 1",
    limits=(
        "The paper prints no numbers and names neither its learning rate nor its initial weights; those here are of published reproductions (SGD, 0.01, "
        "N(0, 0.05²)), which favour batch norm: with a learning rate of 1 the same network does well without it (see rates-and-inits). "
        "That the distribution is more stable does not show that this is why the training is faster."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

"""High learning rates and large initial weights, with and without batch norm, beside published runs of the same networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import data, papers_network
from autograd_bn.lab.results import Measured, Results, Settings, Spread
from autograd_bn.lab.training import trained
from autograd_bn.lab.verdict import Check, Row, Verdict, agreement, judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Published(NamedTuple):
    """Two published runs of a network: its settings, and the test accuracy without and with batch norm."""

    std: float
    lr: float
    activation: str
    steps: int
    without: tuple[float, float]
    normalised: tuple[float, float]


LONG, SHORT, QUICK = 50_000, 2_000, 2_000
PUBLISHED = (
    Published(0.05, 0.01, "relu", LONG, (0.9748, 0.9739), (0.9803, 0.9787)),
    Published(0.05, 0.01, "relu", SHORT, (0.8262, 0.8329), (0.9525, 0.9487)),
    Published(0.05, 0.01, "sigmoid", LONG, (0.8271, 0.8094), (0.9732, 0.9732)),
    Published(0.05, 1, "relu", LONG, (0.098, 0.098), (0.9834, 0.9846)),
    Published(0.05, 1, "sigmoid", LONG, (0.9752, 0.9769), (0.9812, 0.9804)),
    Published(0.05, 1, "sigmoid", SHORT, (0.9227, 0.8572), (0.9463, 0.9532)),
    Published(0.05, 2, "relu", LONG, (0.101, 0.1135), (0.9827, 0.9826)),
    Published(5, 0.01, "relu", LONG, (0.098, 0.098), (0.7990, 0.7980)),
    Published(5, 0.01, "sigmoid", LONG, (0.2270, 0.3776), (0.8527, 0.8443)),
    Published(5, 1, "sigmoid", LONG, (0.8957, 0.8884), (0.9505, 0.9509)),
)
CHANCE = 0.2
"""Below this a network of ten classes has learnt nothing to speak of."""


def cells(quick: bool) -> list[Settings]:
    networks = list(dict.fromkeys((row.std, row.lr, row.activation) for row in PUBLISHED))
    return [
        {"activation": activation, "lr": lr, "std": std, "bn": bn, "data": "mnist", "steps": QUICK if quick else LONG}
        for std, lr, activation in networks
        for bn in (False, True)
    ]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])
    model = papers_network(train.images.shape[1], settings["activation"], bn=settings["bn"], std=settings["std"], seed=settings["seed"])
    return trained(model, train, test, steps=settings["steps"], lr=settings["lr"], seed=settings["seed"], every=min(1000, settings["steps"]))


def at(results: Results, step: int) -> Spread:
    """The accuracy after so many steps."""
    return Spread.of(cell.measured["accuracies"][cell.measured["steps"].index(step)] for cell in results)


def named(activation: str, lr: float, std: float) -> str:
    return f"{activation}, lr {lr:g}, σ {std:g}"


def verdict(results: Results) -> Verdict:
    last = results.distinct("steps")[0]
    rows = []
    for row in PUBLISHED:
        if row.steps <= last:
            for bn, numbers in ((False, row.without), (True, row.normalised)):
                ours = at(results.where(activation=row.activation, lr=row.lr, std=row.std, bn=bn), row.steps)
                name = f"{named(row.activation, row.lr, row.std)}, {row.steps} steps, {'with' if bn else 'without'} BN"
                rows.append(Row.beside(name, ours, *numbers))
    networks = results.distinct("activation", "lr", "std")
    final = {(*n, bn): at(results.where(activation=n[0], lr=n[1], std=n[2], bn=bn), last) for n in networks for bn in (False, True)}
    worse = [named(*n) for n in networks if not final[*n, False].below(final[*n, True])]
    learnt = 0.98 if last == LONG else 0.9
    fast = [n for n in networks if n[0] == "relu" and n[1] >= 1]
    large = [n for n in networks if n[2] >= 1 and (n[0], n[1], 0.05) in networks]
    lost = {bn: [final[a, lr, 0.05, bn].mean - final[a, lr, std, bn].mean for a, lr, std in large] for bn in (False, True)}
    checks = [
        Check(
            f"after {last} steps the test accuracy is higher with BN at every learning rate and initial value",
            not worse,
            f"at {len(networks) - len(worse)} of {len(networks)}" + (f", not at {'; '.join(worse)}" if worse else ""),
        ),
        Check(
            f"ReLU at a learning rate of 1 and more ends at chance without BN and gets to {learnt} with it",
            all(final[*n, False].mean < CHANCE and final[*n, True].mean >= learnt for n in fast),
            "; ".join(f"lr {n[1]:g}: {final[*n, False]} against {final[*n, True]}" for n in fast),
            True,
        ),
        Check(
            "weights a hundred times too large cost less accuracy with BN",
            all(b < a for a, b in zip(lost[False], lost[True], strict=True)),
            "; ".join(f"{n[0]}, lr {n[1]:g}: {b:.3f} against {a:.3f}" for n, a, b in zip(large, lost[False], lost[True], strict=True)),
        ),
    ]
    return judged([*checks, agreement(rows)] if rows else checks, rows)


def figure(results: Results, figure: Figure) -> None:
    networks = results.distinct("activation", "lr", "std")
    axes = figure.subplots()
    last = results.distinct("steps")[0]
    groups = []
    for bn, fill in ((False, "none"), (True, figures.ACCENT)):
        look = {"facecolor": fill, "edgecolor": figures.bn(bn)["color"], "label": figures.bn(bn)["label"]}
        groups.append(([results.where(activation=a, lr=lr, std=std, bn=bn).values("accuracy") for a, lr, std in networks], look))
    figures.bars(axes, [f"{a}\nlr {lr:g}\nσ {std:g}" for a, lr, std in networks], groups)
    axes.axhline(0.1, color=figures.GREY, linewidth=0.8, linestyle=":", label="chance")
    axes.set(ylabel=f"test accuracy after {last:,} steps", ylim=(0, 1))
    figures.legend(figure)


EXPERIMENT = Experiment(
    name="rates-and-inits",
    title="High learning rates and large initial weights",
    claim="Batch norm makes high learning rates possible, and training depend less on the scale of the initial weights.",
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), sections 3.3 and 1; the numbers beside ours are two public runs each of the paper's network on MNIST",
    limits=(
        "One architecture, plain SGD, no schedule. Each row compares the two networks at one learning rate, so it does not say how either would do at "
        "the best rate of its own; sigmoid at a rate of 1 shows that much of the gap at 0.01 is the rate's. "
        "A run whose gradient is no longer finite is stopped and measured as it is; the published programs went on with NaN."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

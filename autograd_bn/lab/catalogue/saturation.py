"""Saturated units and vanishing gradients, layer by layer in a deep network, with and without batch norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import ACTIVATIONS, CLASSES, data, paper_norm, perceptron
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import Sequential, no_stat_update
from autograd_bn.nn.functional import cross_entropy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLOPES: dict[str, Callable[[Any], Any]] = {"sigmoid": lambda y: 4 * y * (1 - y), "tanh": lambda y: 1 - y**2, "relu": lambda y: (y > 0).astype(float)}
"""The derivative at an output, beside its greatest value."""
SATURATED = 0.1
"""A unit whose derivative is less than this share of its greatest is called saturated."""
BATCH = 500
TINY = 1e-30
SMALL, LARGE = 0.05, 1.0
RATES = (0.1, 1.0)
"""Each network is trained at both, and the better result counts."""
LEARNT = 0.5


def cells(quick: bool) -> list[Settings]:
    shape = {"width": 100, "depth": 8 if quick else 16, "data": "mnist", "steps": 200 if quick else 1000}
    return [{"activation": activation, "std": std, "bn": bn, **shape} for activation in SLOPES for std in (SMALL, LARGE) for bn in (False, True)]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])
    widths = (train.images.shape[1], *[settings["width"]] * settings["depth"], CLASSES)

    def made() -> Sequential:
        return perceptron(widths, settings["activation"], norm=paper_norm if settings["bn"] else None, std=settings["std"], seed=settings["seed"])

    model = made()
    kind, slope = ACTIVATIONS[settings["activation"]], SLOPES[settings["activation"]]
    outputs = []
    h: Any = train.images[:BATCH]
    with no_stat_update():
        for part in model:
            h = part(h)
            if kind is not None and isinstance(part, kind):
                h.retain_grad()
                outputs.append(h)
        cross_entropy(h, train.labels[:BATCH]).backward()
    norms = [max(float(np.linalg.norm(out.grad.numpy().astype(float))), TINY) for out in outputs]
    shares = [float((slope(out.detach().numpy()) < SATURATED).mean()) for out in outputs]
    decades = math.log10(norms[0] / norms[-1])
    accuracies = [trained(made(), train, test, steps=settings["steps"], lr=lr, seed=settings["seed"])["accuracy"] for lr in RATES]
    return {"accuracies": accuracies, "norms": norms, "shares": shares, "decades": decades, "saturated": float(np.mean(shares)), "accuracy": max(accuracies)}


def verdict(results: Results) -> Verdict:
    rows, checks = [], []

    def both(name: str, activation: str, std: float) -> Any:
        return [results.spread(name, activation=activation, std=std, bn=bn) for bn in (False, True)]

    words = {
        "saturated": "share of saturated units",
        "decades": "log₁₀ of the gradient norm at the first layer by that at the last",
        "accuracy": f"test accuracy after {results.distinct('steps')[0]} steps at the better of two rates",
    }
    for name, what in words.items():
        for activation in results.distinct("activation"):
            for std in results.distinct("std"):
                rows += [
                    Row(f"{what}: {activation}, σ {std:g}, {word} BN", s) for word, s in zip(("without", "with"), both(name, activation, std), strict=True)
                ]
    for activation in ("sigmoid", "tanh"):
        without, with_bn = both("saturated", activation, LARGE)
        checks.append(Check(f"{activation}, σ {LARGE:g}: fewer units are saturated with BN", with_bn.below(without), f"{with_bn} against {without}"))
    for activation in results.distinct("activation"):
        for std in results.distinct("std"):
            without, with_bn = both("decades", activation, std)
            statement = f"{activation}, σ {std:g}: the gradient's norm at the first layer is nearer to that at the last with BN"
            checks.append(Check(statement, abs(with_bn.mean) < abs(without.mean), f"log₁₀ of their ratio {with_bn} against {without}"))
    depth = results.distinct("depth")[0]
    without, with_bn = both("accuracy", "sigmoid", SMALL)
    statement = f"a network of {depth} sigmoid layers, σ {SMALL:g}, learns with BN and not without (test accuracy above and below {LEARNT})"
    checks.append(Check(statement, with_bn.mean > LEARNT > without.mean, f"{with_bn} against {without}", True))
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    activations = results.distinct("activation")
    top, bottom = figure.subplots(2, len(activations), sharex=True, sharey="row")
    for k, activation in enumerate(activations):
        for bn in (False, True):
            for std, weight in ((SMALL, 1.5), (LARGE, 0.8)):
                chosen = results.where(activation=activation, bn=bn, std=std)
                look = figures.bn(bn) | {"linewidth": weight, "label": f"{figures.bn(bn)['label']}, σ {std:g}"}
                norms, shares = chosen.values("norms"), chosen.values("shares")
                figures.curve(top[k], range(1, len(norms[0]) + 1), norms, **look)
                figures.curve(bottom[k], range(1, len(shares[0]) + 1), shares, **look)
        top[k].set(title=activation, yscale="log")
        bottom[k].set(xlabel="layer", ylim=(0, 1))
    top[0].set_ylabel("gradient norm")
    bottom[0].set_ylabel("share saturated")
    figures.legend(figure)


EXPERIMENT = Experiment(
    name="saturation",
    title="Saturated units and vanishing gradients",
    claim="Batch norm keeps units out of saturation and gradients from vanishing, so that deep networks of saturating units can be trained.",
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), sections 1 and 3.3",
    limits=(
        "Two scales of initial weights, neither chosen for the nonlinearity; at He's or Glorot's scale there is less to repair, and with batch norm gradients "
        "of deep networks grow instead (see growth)."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

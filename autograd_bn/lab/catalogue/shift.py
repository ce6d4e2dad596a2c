"""Internal covariate shift as Santurkar et al. measure it: how a layer's gradient changes when the layers under it have moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.effects import assign
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, data, paper_norm, perceptron
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import At, gradients, trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import Sequential
from autograd_bn.train import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS: dict[str, dict[str, Any]] = {
    "paper's network, sigmoid": {"activation": "sigmoid", "depth": 3, "lr": 1.0},
    "deep linear": {"activation": "linear", "depth": 24, "lr": 0.01},
}
BATCH = 60
NOTE = "The gradients are of one batch, before and after the layers below have moved: no change at all would be a distance of 0 and a cosine of 1."
QUANTITIES = {"l2": "‖G − G′‖", "relative": "‖G − G′‖ / ‖G‖", "cosine": "cos(G, G′)"}


def cells(quick: bool) -> list[Settings]:
    return [
        {"network": name, **network, "bn": bn, "width": 100, "data": "mnist", "steps": 200 if quick else 2000}
        for name, network in NETWORKS.items()
        for bn in (False, True)
    ]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])
    widths = (train.images.shape[1], *[settings["width"]] * settings["depth"], CLASSES)
    norm = paper_norm if settings["bn"] else None
    model = perceptron(widths, settings["activation"], norm=norm, std=lambda n: 1 / math.sqrt(n), seed=settings["seed"])

    def moved(run: Run) -> Any:
        start = run.step % (len(train.labels) - BATCH)
        return shifts(model, train.images[start : start + BATCH], train.labels[start : start + BATCH], settings["lr"])

    at = At(range(0, settings["steps"] + 1, settings["steps"] // 20), moved)
    measured = trained(model, train, test, steps=settings["steps"], lr=settings["lr"], seed=settings["seed"], callbacks=[at])
    found = np.array(at.values)  # (times, layers, quantities)
    over_layers = found.mean(1)
    curves = {f"{name}_over_time": over_layers[:, k] for k, name in enumerate(QUANTITIES)}
    return curves | {name: found[..., k].mean() for k, name in enumerate(QUANTITIES)} | {"accuracy": measured["accuracy"]}


def shifts(model: Sequential, x: Any, y: Any, lr: float) -> list[list[float]]:
    """For each weight matrix but the first: the quantities, of its gradient before (G) and after (G′) the layers under it took a step of SGD."""
    parameters = list(model.parameters())
    _, before = gradients(model, x, y)
    values = [np.array(p.detach().numpy()) for p in parameters]
    found = []
    try:
        for i, p in enumerate(parameters):
            if p.ndim == 2 and i:
                _, after = gradients(model, x, y)
                g, changed = before[i].astype(float).ravel(), after[i].astype(float).ravel()
                sizes = np.linalg.norm(g), np.linalg.norm(changed)
                distance = float(np.linalg.norm(g - changed))
                found.append([distance, distance / max(float(sizes[0]), 1e-300), float(g @ changed / max(float(sizes[0] * sizes[1]), 1e-300))])
            assign(p, values[i] - np.asarray(lr, values[i].dtype) * before[i])
    finally:
        for p, value in zip(parameters, values, strict=True):
            assign(p, value)
    return found


def verdict(results: Results) -> Verdict:
    rows, checks = [], []
    for network in results.distinct("network"):
        for name, what in QUANTITIES.items():
            without, with_bn = (results.spread(name, network=network, bn=bn) for bn in (False, True))
            rows += [Row(f"{what}: {network}, {word} BN", s) for word, s in (("without", without), ("with", with_bn))]
            less = with_bn.mean > without.mean if name == "cosine" else with_bn.mean < without.mean
            checks.append(Check(f"{network}: {what} is {'larger' if name == 'cosine' else 'smaller'} with BN", less, f"{with_bn} against {without}"))
        rows += [Row(f"test accuracy: {network}, {'with' if bn else 'without'} BN", results.spread("accuracy", network=network, bn=bn)) for bn in (False, True)]
    return judged(
        checks,
        rows,
        NOTE,
    )


def figure(results: Results, figure: Figure) -> None:
    networks = results.distinct("network")
    steps = results.distinct("steps")[0]
    for row, name in zip(figure.subplots(2, len(networks), sharex=True, squeeze=False), ("l2", "cosine"), strict=True):
        for axes, network in zip(row, networks, strict=True):
            for bn in (False, True):
                runs = results.where(network=network, bn=bn).values(f"{name}_over_time")
                figures.curve(axes, np.linspace(0, steps, len(runs[0])), runs, **figures.bn(bn))  # type: ignore[arg-type]
            axes.set(yscale="log" if name == "l2" else "linear", ylabel=QUANTITIES[name])
            if name == "l2":
                axes.set_title(network)
            else:
                axes.set_xlabel("steps")
    figure.axes[0].legend()


EXPERIMENT = Experiment(
    name="shift",
    title="Internal covariate shift",
    claim="Batch norm reduces internal covariate shift: the gradient of a layer changes less when the layers under it are updated.",
    citation=(
        "claimed by Ioffe & Szegedy 2015 (arXiv 1502.03167); the measure, and the doubt, by Santurkar, Tsipras, Ilyas & Madry 2018 "
        "(arXiv 1805.11604), section 2.3"
    ),
    limits=(
        "This is one definition of the shift, by gradients; Ioffe and Szegedy speak of distributions. Both networks take steps of the same rate, "
        "which are not of the same size. Santurkar's deep linear networks regress on synthetic data; here they classify digits."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

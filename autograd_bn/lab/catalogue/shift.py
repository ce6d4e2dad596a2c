"""Internal covariate shift as Santurkar et al. measure it: how a layer's gradient changes when the layers under it have moved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.effects import assign
from autograd_bn.data import Loader
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, data, paper_norm, perceptron
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import WORTH_COMPILING, At, gradients
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import Sequential
from autograd_bn.nn.functional import cross_entropy, mse_loss
from autograd_bn.nn.init import generator
from autograd_bn.optim import SGD
from autograd_bn.train import Run, fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS: dict[str, dict[str, Any]] = {
    "deep linear, full batch": {"activation": "linear", "data": "gaussian", "depth": 24, "width": 20, "batch": 500, "lr": 0.01, "steps": 200},
    "deep linear": {"activation": "linear", "data": "mnist", "depth": 24, "width": 100, "batch": 60, "lr": 0.01, "steps": 2000},
    "sigmoid, three hidden layers": {"activation": "sigmoid", "data": "mnist", "depth": 3, "width": 100, "batch": 60, "lr": 1.0, "steps": 2000},
}
"""The first as Santurkar et al. have it: 25 affine layers learn a linear map of Gaussian data by gradient descent on all of it."""
TIMES = 10
TINY = 1e-300
WORDS = (("without", False), ("with", True))
NOTE = "The gradients are of one batch, before and after the layers below have moved: no change at all would be a distance of 0 and a cosine of 1."
QUANTITIES = {"l2": "‖G − G′‖", "relative": "‖G − G′‖ / ‖G‖", "cosine": "cos(G, G′)"}


def cells(quick: bool) -> list[Settings]:
    return [{"network": name, **network, "bn": bn} | ({"steps": 50} if quick else {}) for name, network in NETWORKS.items() for bn in (False, True)]


def gaussian(count: int, width: int, seed: int) -> tuple[Any, Any]:
    """Inputs ~ N(0, 1), and what a random linear map makes of them."""
    rng = generator(10_000 + seed)
    x = rng.standard_normal((count, width))
    return x.astype(np.float32), (x @ rng.standard_normal((width, width)) / math.sqrt(width)).astype(np.float32)


def run(settings: Settings) -> Measured:
    regression = settings["data"] == "gaussian"
    loss: Any = mse_loss if regression else cross_entropy
    train = gaussian(settings["batch"], settings["width"], settings["seed"]) if regression else data(settings["data"])[0]
    inputs, targets = train
    widths = (inputs.shape[1], *[settings["width"]] * settings["depth"], settings["width"] if regression else CLASSES)
    norm = paper_norm if settings["bn"] else None
    model = perceptron(widths, settings["activation"], norm=norm, std=lambda n: 1 / math.sqrt(n), seed=settings["seed"])

    def moved(run: Run) -> Any:
        start = run.step % (len(targets) - settings["batch"] + 1)
        chosen = slice(start, start + settings["batch"])
        return shifts(model, inputs[chosen], targets[chosen], loss, settings["lr"])

    steps, every = settings["steps"], settings["steps"] // TIMES
    at = At(range(0, steps + 1, every), moved)
    loader, optimizer = Loader(train, settings["batch"], seed=settings["seed"], drop_last=True), SGD(model.parameters(), lr=settings["lr"])
    compiled = steps >= WORTH_COMPILING
    history = fit(model, optimizer, loader, steps=steps, every=every, loss=loss, callbacks=[at], compiled=compiled, progress=False)
    found = np.array(at.values)  # (times, layers, quantities)
    curves = {f"{name}_over_time": found[..., k].mean(1) for k, name in enumerate(QUANTITIES)}
    return curves | {name: found[..., k].mean() for k, name in enumerate(QUANTITIES)} | {"loss": history["loss"][-1]}


def shifts(model: Sequential, x: Any, y: Any, loss: Any, lr: float) -> list[list[float]]:
    """For each weight matrix but the first: the quantities, of its gradient before (G) and after (G′) the layers under it took a step of SGD."""
    parameters = list(model.parameters())
    _, before = gradients(model, x, y, loss)
    values = [np.array(p.detach().numpy()) for p in parameters]
    found = []
    try:
        for i, p in enumerate(parameters):
            if p.ndim == 2 and i:
                _, after = gradients(model, x, y, loss)
                g, changed = before[i].astype(float).ravel(), after[i].astype(float).ravel()
                size, distance = float(np.linalg.norm(g)), float(np.linalg.norm(g - changed))
                found.append([distance, distance / max(size, TINY), float(g @ changed) / max(size * float(np.linalg.norm(changed)), TINY)])
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
            less = without.below(with_bn) if name == "cosine" else with_bn.below(without)
            checks.append(Check(f"{network}: {what} is {'larger' if name == 'cosine' else 'smaller'} with BN", less, f"{with_bn} against {without}"))
        rows += [Row(f"training loss at the end: {network}, {word} BN", results.spread("loss", network=network, bn=bn)) for word, bn in WORDS]
    return judged(checks, rows, NOTE)


def figure(results: Results, figure: Figure) -> None:
    networks = results.distinct("network")
    for row, name in zip(figure.subplots(2, len(networks), sharex="col", squeeze=False), ("l2", "cosine"), strict=True):
        for axes, network in zip(row, networks, strict=True):
            for bn in (False, True):
                runs = results.where(network=network, bn=bn).values(f"{name}_over_time")
                figures.curve(axes, np.linspace(0, results.where(network=network).distinct("steps")[0], len(runs[0])), runs, **figures.bn(bn))  # type: ignore[arg-type]
            axes.set(yscale="log" if name == "l2" else "linear", ylabel=QUANTITIES[name])
            if name == "l2":
                axes.set_title(network)
            else:
                axes.set_xlabel("steps")
    figures.legend(figure)


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
        "which are not of the same size: which network shifts more depends on the rate and on how well either trains at it."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

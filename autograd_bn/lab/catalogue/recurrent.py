"""Recurrent batch norm: what its γ does to tanh, to the gradient through time, and to training on digits read row by row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.state import no_grad
from autograd_bn.core.tensor import tensor
from autograd_bn.data import Dataset
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, data
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import BNLSTM, LSTM, Linear, Module, no_stat_update
from autograd_bn.nn.functional import batch_norm, cross_entropy
from autograd_bn.nn.init import generator
from autograd_bn.ops.circular import tanh
from autograd_bn.optim import RMSprop
from autograd_bn.train import correct
from autograd_bn.transforms import jvp

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLOPES = {0.05: 0.9975, 0.1: 0.9902, 0.3: 0.9231, 0.5: 0.8265, 0.7: 0.7296, 1.0: 0.6057}
"""E[tanh′(γz)] for z ~ N(0, 1), as published, to four digits."""
HALF = 5e-5
SMALL, ONE = 0.1, 1.0
TANH, LONG, CELL = "tanh without input", "tanh with input", "BN-LSTM on digits"


def cells(quick: bool) -> list[Settings]:
    gammas = (SMALL, 0.5, ONE)
    slopes = [{"part": "slope", "gamma": gamma, "nodes": 100} for gamma in SLOPES]
    recurrences = [{"part": "gradient", "network": TANH, "gamma": g, "width": 100, "batch": 100, "length": 28, "input": 0.0} for g in gammas]
    recurrences += [{"part": "gradient", "network": LONG, "gamma": g, "width": 100, "batch": 100, "length": 28, "input": 1.0} for g in gammas]
    recurrences += [{"part": "gradient", "network": CELL, "gamma": g, "width": 64, "batch": 100, "data": "mnist"} for g in gammas]
    shape = {"part": "training", "width": 64, "data": "mnist", "lr": 1e-3, "steps": 50 if quick else 1000}
    training = [{**shape, "network": "BN-LSTM", "gamma": g} for g in (SMALL, ONE)] + [{**shape, "network": "LSTM", "gamma": 0.0}]
    return [*slopes, *recurrences, *training]


class Reader(Module):
    """Reads an image row by row, and classifies it by its last state."""

    def __init__(self, rows: int, width: int, gamma: float, seed: int) -> None:
        rng = generator(seed)
        self.rows = rows
        self.layer = BNLSTM(rows, width, rows, batch_first=True, gamma=gamma, rng=rng) if gamma else LSTM(rows, width, batch_first=True, rng=rng)
        self.head = Linear(width, CLASSES, rng=rng)

    def forward(self, images: Any) -> Any:
        """Flat images of rows of equal length, to logits."""
        _, (h, _) = self.layer(images.reshape((-1, self.rows, self.rows)))
        return self.head(h[0])


def run(settings: Settings) -> Measured:
    if settings["part"] == "slope":
        return {"slope": slope(settings["gamma"], settings["nodes"])}
    if settings["part"] == "gradient":
        norms = through_digits(settings) if settings["network"] == CELL else through_tanh(settings)
        return {"norms": norms, "decades": math.log10(norms[0] / norms[-1])}
    train, test = data(settings["data"])
    model = Reader(math.isqrt(train.images.shape[1]), settings["width"], settings["gamma"], settings["seed"])
    every = settings["steps"] // 10
    measured = trained(model, train, test, steps=settings["steps"], lr=settings["lr"], seed=settings["seed"], every=every, compiled=False, method=RMSprop)
    return measured | {"accuracy_by_batch": by_batch_statistics(model, test)}


def by_batch_statistics(model: Module, test: Dataset) -> float:
    """The test accuracy where batches of a thousand are normalised by their own statistics, as in training."""
    model.train()
    with no_grad(), no_stat_update():
        outputs = np.concatenate([model(test.images[i : i + 1000]).numpy() for i in range(0, len(test.labels), 1000)])
    return correct(outputs, test.labels)


def slope(gamma: float, nodes: int) -> float:
    """E[tanh′(γz)], by forward mode at the nodes of a Gauss-Hermite quadrature."""
    z, weights = np.polynomial.hermite_e.hermegauss(nodes)
    _, slopes = jvp(tanh, (gamma * z,), (np.ones_like(z),))
    return float(weights @ slopes.numpy() / weights.sum())


def through_tanh(settings: Settings) -> list[float]:
    """The gradient norm at each state of h ← tanh(BN(U·h + input; γ)), U orthogonal, of a random functional of the last."""
    rng, width = generator(settings["seed"]), settings["width"]
    recurrent = np.linalg.qr(rng.standard_normal((width, width)))[0]
    shape = (settings["batch"], width)
    gamma = np.full(width, settings["gamma"])
    h: Any = tensor(rng.standard_normal(shape), requires_grad=True)
    states: list[Any] = []
    for _ in range(settings["length"]):
        h = tanh(batch_norm(h @ recurrent + settings["input"] * rng.standard_normal(shape), gamma, None))
        h.retain_grad()
        states.append(h)
    h.backward(rng.standard_normal(shape))
    return [float(np.linalg.norm(h.grad.numpy())) for h in states]


def through_digits(settings: Settings) -> list[float]:
    """The gradient norm of the loss at the states of a BN-LSTM that reads digits, from the first row with ink in half of them on."""
    train: Dataset = data(settings["data"])[0]
    images, labels = train.images[: settings["batch"]], train.labels[: settings["batch"]]
    rows = math.isqrt(images.shape[1])
    model = Reader(rows, settings["width"], settings["gamma"], settings["seed"])
    sequence = images.reshape(-1, rows, rows)
    first = int(np.argmax((sequence > 0).any(2).mean(0) >= 0.5))
    state: Any = None
    states: list[Any] = []
    with no_stat_update():
        for t in range(first, rows):
            _, state = model.layer(sequence[:, t : t + 1], state)
            state[0].retain_grad()
            states.append(state[0])
        cross_entropy(model.head(states[-1][0]), labels).backward()
    return [float(np.linalg.norm(h.grad.numpy())) for h in states]


def verdict(results: Results) -> Verdict:
    rows, checks = [], []
    slopes = results.where(part="slope")
    for gamma, published in SLOPES.items():
        rows.append(Row(f"E[tanh′(γz)], γ = {gamma:g}", slopes.spread("slope", gamma=gamma), f"{published:.4f}", published - HALF, published + HALF))
    found = ", ".join(f"{row.ours.mean:.4f}" for row in rows)
    checks.append(Check("tanh's mean slope at γz is as published, to the four digits given", all(row.agrees for row in rows), found))

    gradient = results.where(part="gradient")
    for network in gradient.distinct("network"):
        ratio = {g: gradient.spread("decades", network=network, gamma=g) for g in gradient.distinct("gamma")}
        rows += [Row(f"log₁₀ of the gradient norm at the first state by that at the last: {network}, γ = {g:g}", s) for g, s in ratio.items()]
        statement = f"{network}: going back, the gradient shrinks more at γ = 1 than at γ = 0.1"
        shrinks = ratio[ONE].below(ratio[SMALL]) and ratio[ONE].mean < 0
        checks.append(Check(statement, shrinks, f"log₁₀ of the ratio {ratio[ONE]} against {ratio[SMALL]}"))
    kept = gradient.spread("decades", network=TANH, gamma=SMALL)
    checks.append(Check(f"{TANH}, γ = 0.1: the gradient keeps its norm within a factor of 2", abs(kept.mean) < math.log10(2), f"log₁₀ of the ratio {kept}"))

    training = results.where(part="training")
    steps = training.distinct("steps")[0]
    for name, how in (("accuracy", "by population statistics"), ("accuracy_by_batch", "by the batch's statistics")):
        final = {g: training.spread(name, gamma=g) for g in training.distinct("gamma")}
        rows += [Row(f"test accuracy after {steps} steps, {how}: {f'BN-LSTM, γ = {g:g}' if g else 'LSTM'}", s) for g, s in final.items()]
        for other, what in ((ONE, "γ = 1"), (0.0, "an LSTM without batch norm")):
            statement = f"digits by rows, {how}: γ = 0.1 is better than {what}"
            checks.append(Check(statement, final[other].below(final[SMALL]), f"{final[SMALL]} against {final[other]}"))
    factors = ", ".join(f"{factor(g):.4f} at γ = {g:g}" for g in (SMALL, 0.5, ONE))
    note = (
        "Why the gradient need not follow tanh's slope: batch norm divides by the standard deviation of what it normalises, which shrinks with γ too, so that "
        f"without input the factor a step is about γ·rms tanh′(γz) / rms tanh(γz): {factors}."
    )
    return judged(checks, rows, note)


def factor(gamma: float) -> float:
    """About how much the gradient of h ← tanh(BN(U·h; γ)) changes in norm a step, by Gauss-Hermite quadrature."""
    z, weights = np.polynomial.hermite_e.hermegauss(100)
    y = np.tanh(gamma * z)
    return gamma * math.sqrt(float(weights @ (1 - y**2) ** 2 / (weights @ y**2)))


def figure(results: Results, figure: Figure) -> None:
    left, *others = figure.subplots(1, 4)
    gammas = results.where(part="gradient").distinct("gamma")
    training = results.where(part="training")
    for gamma, look in ((SMALL, figures.SERIES[0]), (ONE, figures.SERIES[2]), (0.0, figures.SERIES[1])):
        chosen = training.where(gamma=gamma)
        figures.curve(left, chosen.values("steps")[0], chosen.values("accuracies"), label=f"γ = {gamma:g}" if gamma else "LSTM", **look)
    left.set(title="digits by rows", xlabel="steps", ylabel="test accuracy", ylim=(0, 1))
    for axes, network in zip(others, (TANH, LONG, CELL), strict=True):
        for gamma, look in zip(gammas, (figures.SERIES[0], figures.SERIES[3], figures.SERIES[2]), strict=False):
            runs = results.where(part="gradient", network=network, gamma=gamma).values("norms")
            figures.curve(axes, range(1, len(runs[0]) + 1), runs, label=f"γ = {gamma:g}", **look)
        axes.set(title=network, xlabel="step", yscale="log")
        axes.title.set_fontsize("small")
    others[0].set_ylabel("gradient norm at the state")
    figures.legend(figure)


EXPERIMENT = Experiment(
    name="recurrent",
    title="Recurrent batch norm and its γ",
    claim="In a recurrent network batch norm should start with γ = 0.1: at γ = 1 tanh's slope is small and the gradient vanishes through time.",
    citation="Cooijmans, Ballas, Laurent, Gülçehre & Courville 2016, Recurrent Batch Normalization (arXiv 1603.09025), section 4 and figure 1",
    limits=(
        "Sequences of 28 steps and one layer; the paper's are of 784 steps, where a factor per step weighs more. The gradients are those at initial weights. "
        "In a digit's blank first rows all examples are alike, and batch norm enlarges what rounding makes of them by up to 1/√ε: at γ = 1 the accuracy "
        "depends on whether a machine's matrix products round equal rows alike (those of OpenBLAS's Nehalem kernels do, of its Haswell kernels do not) "
        "by more than on the seed."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
    edition=2,
)

"""Batch norm followed by noise that undoes what it is said to do: does it still help?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.state import no_grad
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, HIDDEN, data, paper_norm, perceptron
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import At, trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import Module, ReLU, Sequential, no_stat_update
from autograd_bn.nn.init import generator
from autograd_bn.train import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("none", "BN", "noisy BN")
LOOKS = dict(zip(KINDS, (figures.bn(False), figures.bn(True), figures.SERIES[2] | {"label": "noisy BN"}), strict=True))
SHIFT, SCALE, EACH = 0.5, 1.25, 0.1
"""A unit's noise at a step: a mean within ±SHIFT and a scale from 1 to SCALE; each example's lie within ±EACH of them."""
EXAMPLES, STEPS = 500, 50
"""What the stability of distributions is measured on, and over how many of the last steps."""


class Noise(Module):
    """Scales and shifts every activation at random, by another distribution for each unit at each step; in training alone."""

    def __init__(self, seed: int) -> None:
        self.rng = generator(seed)

    def forward(self, x: Any) -> Any:
        """Shape (N, units) to the same."""
        if not self.training:
            return x
        units = x.shape[1]
        shift = self.rng.uniform(-SHIFT, SHIFT, units) + self.rng.uniform(-EACH, EACH, x.shape)
        scale = self.rng.uniform(1, SCALE, units) + EACH * self.rng.standard_normal(x.shape)
        return x * scale.astype(np.float32) + shift.astype(np.float32)


class NoisyNorm(Sequential):
    """Batch norm, then noise."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__(paper_norm(width), Noise(seed))


def cells(quick: bool) -> list[Settings]:
    return [{"norm": kind, "data": "mnist", "lr": 0.01, "std": 0.05, "steps": 500 if quick else 5000} for kind in KINDS]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])
    seeds = iter(range(1000 + 10 * settings["seed"], 1000 + 10 * (settings["seed"] + 1)))
    norms = {"none": None, "BN": paper_norm, "noisy BN": lambda width: NoisyNorm(width, next(seeds))}
    widths = (train.images.shape[1], *HIDDEN, CLASSES)
    model = perceptron(widths, "relu", norm=norms[settings["norm"]], std=settings["std"], seed=settings["seed"])
    last = max(i for i, part in enumerate(model) if isinstance(part, ReLU))

    def means(run: Run) -> Any:
        """Of what goes into each unit of the last hidden layer, over the same examples each time, as training would see them now."""
        h: Any = test.images[:EXAMPLES]
        with no_grad(), no_stat_update():
            for part in list(model)[:last]:
                h = part(h)
        return h.numpy().mean(0)

    at = At(range(settings["steps"] - STEPS, settings["steps"] + 1), means)
    measured = trained(
        model,
        train,
        test,
        steps=settings["steps"],
        lr=settings["lr"],
        seed=settings["seed"],
        every=max(settings["steps"] // 20, 1),
        callbacks=[at],
        compiled=False if settings["norm"] == "noisy BN" else None,
    )
    return measured | {"instability": float(np.abs(np.diff(at.values, axis=0)).mean())}


def verdict(results: Results) -> Verdict:
    final = {kind: results.spread("accuracy", norm=kind) for kind in KINDS}
    unstable = {kind: results.spread("instability", norm=kind) for kind in KINDS}
    steps = results.distinct("steps")[0]
    rows = [Row(f"test accuracy after {steps} steps: {kind}", final[kind]) for kind in KINDS]
    rows += [Row(f"change of a unit's mean from a step to the next: {kind}", unstable[kind]) for kind in KINDS]
    gained, kept = final["BN"].mean - final["none"].mean, final["noisy BN"].mean - final["none"].mean
    checks = [
        Check(
            "with the noise the distributions are less stable than with no normalisation at all",
            unstable["none"].below(unstable["noisy BN"]),
            f"{unstable['noisy BN']} against {unstable['none']}",
        ),
        Check("batch norm is better than none", final["none"].below(final["BN"]), f"{final['BN']} against {final['none']}"),
        Check(
            "the noisy network is better than that with no normalisation",
            final["none"].below(final["noisy BN"]),
            f"{final['noisy BN']} against {final['none']}",
            True,
        ),
        Check("it keeps more than half of what batch norm gains", kept > gained / 2, f"{kept:.3f} of {gained:.3f}"),
    ]
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for kind in KINDS:
        chosen = results.where(norm=kind)
        figures.curve(left, chosen.values("steps")[0], chosen.values("accuracies"), **LOOKS[kind])
    left.set(xlabel="steps", ylabel="test accuracy", ylim=(0, 1))
    left.legend()
    figures.bars(right, KINDS, [([results.where(norm=kind).values("instability") for kind in KINDS], {"color": figures.GREY})])
    right.set(title="change of a unit's mean\nfrom one step to the next", yscale="log")


EXPERIMENT = Experiment(
    name="noise",
    title="Noisy batch norm",
    claim="It is not the stability of distributions that makes batch norm train well: with noise after it, which makes them unstable, it trains about as well.",
    citation="Santurkar, Tsipras, Ilyas & Madry 2018, How Does Batch Normalization Help Optimization? (arXiv 1805.11604), section 2.2",
    limits="The paper's small network instead of VGG, and one strength of noise. That noise does not undo the gain does not say where the gain comes from.",
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

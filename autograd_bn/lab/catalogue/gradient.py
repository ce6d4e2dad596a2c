"""The gradient that the paper derives by hand is the one that the composition gives, and the one that differences give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.tensor import tensor
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn.functional import batch_norm
from autograd_bn.nn.init import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMULA, DIFFERENCES = 1e-10, 1e-6
STEP = 1e-5
Array = Any


def cells(quick: bool) -> list[Settings]:
    inputs = [{"batch": 4, "channels": 3}, {"batch": 60, "channels": 5}]
    return [{**shape, "mean": mean, "std": std, "eps": eps} for shape in inputs for mean, std in ((0.0, 1.0), (100.0, 0.1)) for eps in (1e-5, 1e-3)]


def run(settings: Settings) -> Measured:
    rng = generator(settings["seed"])
    n, c = settings["batch"], settings["channels"]
    x = settings["mean"] + settings["std"] * rng.standard_normal((n, c))
    gamma, beta, seed = rng.standard_normal(c), rng.standard_normal(c), rng.standard_normal((n, c))
    given = (x, gamma, beta)
    leaves = [tensor(array, requires_grad=True) for array in given]
    batch_norm(*leaves, eps=settings["eps"]).backward(seed)
    composed = [leaf.grad.numpy() for leaf in leaves if leaf.grad is not None]
    by_hand = paper(x, gamma, seed, settings["eps"])

    def total(i: int, array: Array) -> float:
        arguments = [array if i == k else given[k] for k in range(3)]
        return float((batch_norm(*arguments, eps=settings["eps"]).numpy() * seed).sum())

    differences = [differenced(lambda array, i=i: total(i, array), given[i], STEP * (settings["std"] if i == 0 else 1.0)) for i in range(3)]
    return {"formula": error(by_hand, composed), "differences": error(differences, composed)}


def paper(x: Array, gamma: Array, dy: Array, eps: float) -> list[Array]:
    """∂ℓ/∂x, ∂ℓ/∂γ and ∂ℓ/∂β from ∂ℓ/∂y, line by line as in section 3 of the paper."""
    m = len(x)
    mean, variance = x.mean(0), x.var(0)
    dx̂ = dy * gamma
    dvariance = (dx̂ * (x - mean) * -0.5 * (variance + eps) ** -1.5).sum(0)
    dmean = (dx̂ * -1 / np.sqrt(variance + eps)).sum(0) + dvariance * (-2 * (x - mean)).mean(0)
    dx = dx̂ / np.sqrt(variance + eps) + dvariance * 2 * (x - mean) / m + dmean / m
    return [dx, (dy * (x - mean) / np.sqrt(variance + eps)).sum(0), dy.sum(0)]


def differenced(function: Any, array: Array, step: float) -> Array:
    """The gradient by central differences."""
    found = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        moved = [array.copy() for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        found[place] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return found


def error(found: list[Array], expected: list[Array]) -> float:
    """The largest difference beside the largest element, of three gradients the worst."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True))


def verdict(results: Results) -> Verdict:
    checks, rows = [], []
    for name, what, limit in (("formula", "the paper's formula", FORMULA), ("differences", "central differences", DIFFERENCES)):
        worst = max(results.values(name))
        checks.append(Check(f"the gradient of the composition is that of {what}, to {limit:g}", worst <= limit, f"at most {worst:.1e}", True))
        rows += [
            Row(f"{what}: relative error, inputs {mean:g} ± {std:g}", results.where(mean=mean, std=std).spread(name), f"≤ {limit:g}", 0.0, limit)
            for mean, std in results.distinct("mean", "std")
        ]
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    axes = figure.subplots()
    kinds = results.distinct("batch", "mean", "std", "eps")
    for name, what, limit, look in (
        ("formula", "the paper's formula", FORMULA, figures.MARKED[0]),
        ("differences", "central differences", DIFFERENCES, figures.MARKED[1]),
    ):
        runs = [results.where(batch=b, mean=m, std=s, eps=e).values(name) for b, m, s, e in kinds]
        figures.curve(axes, range(len(kinds)), list(zip(*runs, strict=True)), **look | {"linestyle": ""}, label=f"against {what}")
        axes.axhline(limit, color=look["color"], linestyle=":", linewidth=0.8, label=f"limit {limit:g}")
    axes.set_xticks(range(len(kinds)), [f"{b} rows\n{m:g} ± {s:g}\nε {e:g}" for b, m, s, e in kinds])
    axes.set(yscale="log", ylabel="relative error")
    figures.legend(figure, 4)


EXPERIMENT = Experiment(
    name="gradient",
    title="The gradient, three ways",
    claim="Batch norm is differentiable, and the gradient that the paper derives is what ten primitive operations give by themselves.",
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), section 3",
    limits="Samples, not a proof; in float64. Differences are no more exact than their step allows.",
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

"""The scale proposition: weights multiplied by a number give the same outputs and Jacobian, and a gradient as many times smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.tensor import Tensor, tensor
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn.functional import batch_norm, linear
from autograd_bn.nn.init import generator
from autograd_bn.transforms import grad, jacobian

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXACT = 1e-12
EPSILONS = (0.0, 1e-7, 1e-5, 1e-3)
QUANTITIES = {
    "output": "BN((aW)u) is BN(Wu)",
    "by_input": "its Jacobian by u is the same",
    "by_weight": "its Jacobian by aW is 1/a of that by W",
    "along": "the gradient of a unit is orthogonal to its weights",
}


def cells(quick: bool) -> list[Settings]:
    return [{"a": a, "eps": eps, "batch": 16, "inputs": 12, "units": 6} for a in (0.1, 7.0) for eps in EPSILONS]


def run(settings: Settings) -> Measured:
    rng, a = generator(settings["seed"]), settings["a"]
    u = tensor(rng.standard_normal((settings["batch"], settings["inputs"])))
    weight = tensor(rng.standard_normal((settings["units"], settings["inputs"])))
    gamma, beta, seed = (rng.standard_normal(shape) for shape in (settings["units"], settings["units"], (settings["batch"], settings["units"])))

    def out(w: Any, x: Any) -> Tensor:
        return batch_norm(linear(x, w), gamma, beta, eps=settings["eps"])

    scaled = weight * a
    gradient = grad(lambda w: (out(w, u) * seed).sum())(weight).numpy()
    w = weight.numpy()
    along = np.abs((w * gradient).sum(1)) / (np.linalg.norm(w, axis=1) * np.linalg.norm(gradient, axis=1))
    return {
        "output": difference(out(scaled, u), out(weight, u)),
        "by_input": difference(jacobian(lambda x: out(scaled, x))(u), jacobian(lambda x: out(weight, x))(u)),
        "by_weight": difference(jacobian(lambda w: out(w, u))(scaled) * a, jacobian(lambda w: out(w, u))(weight)),
        "along": along.max(),
    }


def difference(x: Tensor, y: Tensor) -> float:
    """The largest difference of two tensors beside the largest element."""
    a, b = x.numpy(), y.numpy()
    return float(np.abs(a - b).max() / np.abs(b).max())


def verdict(results: Results) -> Verdict:
    checks, rows = [], []
    for name, statement in QUANTITIES.items():
        worst = {eps: max(results.where(eps=eps).values(name)) for eps in results.distinct("eps")}
        checks.append(Check(f"at ε = 0 {statement}, to {EXACT:g}", worst[0.0] <= EXACT, f"at most {worst[0.0]:.1e}", True))
        rows.append(Row(f"relative error, ε = 0: {statement}", results.spread(name, eps=0.0), f"≤ {EXACT:g}", 0.0, EXACT))
    rows += [
        Row(f"relative error, ε = {eps:g}, a = {a:g}: {QUANTITIES['output']}", results.spread("output", a=a, eps=eps))
        for a in results.distinct("a")
        for eps in results.distinct("eps")
        if eps
    ]
    growing = all(
        np.all(np.diff([results.spread(name, a=a, eps=eps).mean for eps in sorted(results.distinct("eps"))]) > 0)
        for name in QUANTITIES
        for a in results.distinct("a")
    )
    largest = max(max(results.where(eps=max(results.distinct("eps"))).values(name)) for name in QUANTITIES)
    checks.append(Check("with ε > 0 it is an approximation, the worse the larger ε", growing, f"up to {largest:.1e} at ε = {max(results.distinct('eps')):g}"))
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    for axes, a in zip(figure.subplots(1, 2, sharey=True), results.distinct("a"), strict=True):
        for (name, label), look in zip(QUANTITIES.items(), figures.MARKED, strict=True):
            epsilons = results.distinct("eps")
            figures.curve(axes, range(len(epsilons)), zip_seeds(results.where(a=a), name, epsilons), label=label, **look)
        axes.axhline(EXACT, color=figures.GREY, linestyle=":", linewidth=0.8, label=f"limit at ε = 0: {EXACT:g}")
        axes.set(title=f"a = {a:g}", xlabel="ε", yscale="log")
        axes.set_xticks(range(len(epsilons)), [f"{eps:g}" for eps in epsilons])
    figure.axes[0].set_ylabel("relative error")
    figures.legend(figure, 2)


def zip_seeds(results: Results, name: str, epsilons: list[float]) -> list[list[float]]:
    """For each seed, what was measured at each ε; zero is shown as the smallest error that there is."""
    return [[max(results.where(eps=eps, seed=seed).values(name)[0], 1e-17) for eps in epsilons] for seed in results.distinct("seed")]


EXPERIMENT = Experiment(
    name="scale",
    title="The scale of the weights does not matter",
    claim="For any a > 0, BN((aW)u) = BN(Wu); the Jacobian by u is unchanged, that by aW is 1/a of that by W, so that larger weights have smaller gradients.",
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), section 3.3",
    limits="It is about one step's function and gradient, not about training: with a fixed learning rate, larger weights turn more slowly.",
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

"""Batch norm folded into the layer before it: the same function, in fewer operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autograd_bn.core.state import no_grad
from autograd_bn.data import Dataset
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, data, perceptron
from autograd_bn.lab.results import Measured, Results, Settings
from autograd_bn.lab.training import trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import BatchNorm1d, Identity, fold_batch_norm
from autograd_bn.train import correct

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMITS = {"float64": 1e-12, "float32": 1e-5}


def cells(quick: bool) -> list[Settings]:
    return [{"dtype": dtype, "data": "digits", "width": 50, "steps": 100 if quick else 1000, "eps": eps} for dtype in LIMITS for eps in (1e-5, 1e-3)]


def run(settings: Settings) -> Measured:
    dtype = np.dtype(settings["dtype"])
    train, test = (Dataset(part.images.astype(dtype), part.labels) for part in data(settings["data"]))

    def norm(width: int) -> BatchNorm1d:
        return BatchNorm1d(width, eps=settings["eps"], dtype=dtype)

    widths = (train.images.shape[1], settings["width"], settings["width"], CLASSES)
    model = perceptron(widths, "sigmoid", norm=norm, std=0.1, seed=settings["seed"], dtype=dtype)
    trained(model, train, test, steps=settings["steps"], lr=0.5, seed=settings["seed"])
    model.eval()
    short = fold_batch_norm(model)
    with no_grad():
        before, after = (network(test.images).numpy() for network in (model, short))
    changed = float((before.argmax(1) != after.argmax(1)).mean())
    return {
        "error": float(np.abs(after - before).max() / np.abs(before).max()),
        "changed": changed,
        "accuracy": correct(after, test.labels),
        "parts": len(model),
        "parts_folded": sum(not isinstance(part, Identity) for part in short),
    }


def verdict(results: Results) -> Verdict:
    checks, rows = [], []
    for dtype, limit in LIMITS.items():
        chosen = results.where(dtype=dtype)
        worst = max(chosen.values("error"))
        checks.append(Check(f"in {dtype} the folded network gives the same outputs, to {limit:g}", worst <= limit, f"at most {worst:.1e}", dtype == "float64"))
        rows += [Row(f"relative error, {dtype}, ε = {e:g}", chosen.spread("error", eps=e), f"≤ {limit:g}", 0.0, limit) for e in results.distinct("eps")]
    most = max(results.values("changed"))
    checks.append(Check("no prediction changes", most == 0, f"{most:.2%} at most"))
    fewer = all(a < b for a, b in zip(results.values("parts_folded"), results.values("parts"), strict=True))
    checks.append(Check("the network has fewer layers", fewer, f"{results.values('parts_folded')[0]} instead of {results.values('parts')[0]}"))
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    axes = figure.subplots()
    kinds = results.distinct("dtype", "eps")
    runs = [[max(x, 1e-17) for x in results.where(dtype=dtype, eps=eps).values("error")] for dtype, eps in kinds]
    figures.curve(axes, range(len(kinds)), list(zip(*runs, strict=True)), color=figures.ACCENT, marker="o", linestyle="", label="folded against not folded")
    for k, (dtype, _) in enumerate(kinds):
        axes.hlines(LIMITS[dtype], k - 0.4, k + 0.4, color=figures.GREY, linestyle=":", label="" if k else "limit")
    axes.set_xticks(range(len(kinds)), [f"{dtype}\nε {eps:g}" for dtype, eps in kinds])
    axes.set(yscale="log", ylabel="relative error of the outputs")
    figure.legend(loc="outside upper right", ncols=2)  # inside it would lie on a limit


EXPERIMENT = Experiment(
    name="folding",
    title="Folding for inference",
    claim="For inference batch norm is a fixed affine map, which the layer before it can do by itself.",
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), section 3.1",
    limits="Networks where batch norm follows an affine layer; in training, where the statistics are the batch's, nothing can be folded.",
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

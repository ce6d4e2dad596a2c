"""How fast the gradient grows from layer to layer in a deep network with batch norm, beside the closed form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.tensor import tensor
from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import ACTIVATIONS
from autograd_bn.lab.results import Measured, Results, Settings, Spread
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn.functional import batch_norm
from autograd_bn.nn.init import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOLERANCE = 0.02
RELU = {16: 1.590, 64: 1.493}
"""The factor a layer for ReLU, by the size of the batch; π/(π − 1) = 1.467 for large ones."""


def closed_form(activation: str, batch: int) -> float:
    """The factor by which the squared gradient norm grows from a layer to the one below it."""
    return (batch - 2) / (batch - 3) if activation == "linear" else RELU[batch]


def cells(quick: bool) -> list[Settings]:
    depth = {"depth": 30, "burn_in": 12} if quick else {"depth": 60, "burn_in": 20}
    return [
        {"activation": activation, "batch": batch, "width": 1024, "bn": bn, **depth}
        for activation in ("linear", "relu")
        for batch in (16, 64)
        for bn in (True, False)
        if bn or batch == 16
    ]


def run(settings: Settings) -> Measured:
    """The gradient of a random functional of the last layer by what goes into each, weights ~ N(0, 1/width), times 2 for ReLU without batch norm."""
    rng, width, relu = generator(settings["seed"]), settings["width"], settings["activation"] == "relu"
    std = math.sqrt((2 if relu and not settings["bn"] else 1) / width)
    kind = ACTIVATIONS[settings["activation"]]
    activate = kind() if kind is not None else None
    h: Any = tensor(rng.standard_normal((settings["batch"], width)), requires_grad=True)
    layers = []
    for _ in range(settings["depth"]):
        h = h @ (std * rng.standard_normal((width, width), dtype=np.float32)).T
        h = batch_norm(h, None, None, eps=0.0) if settings["bn"] else h
        h = activate(h) if activate is not None else h
        h.retain_grad()
        layers.append(h)
    h.backward(rng.standard_normal(h.shape))
    squared = [float((layer.grad.numpy() ** 2).sum()) for layer in layers]
    # The batch needs some layers to come near the state that the closed form is about; from there on, the slope of the logarithm.
    used = np.log(squared[settings["burn_in"] :])
    slope = np.polyfit(np.arange(len(used)), used, 1)[0]
    return {"squared": squared, "factor": math.exp(-slope)}


def verdict(results: Results) -> Verdict:
    rows, checks = [], []
    for activation in results.distinct("activation"):
        for batch in results.where(activation=activation, bn=True).distinct("batch"):
            expected = closed_form(activation, batch)
            ours = results.spread("factor", activation=activation, batch=batch, bn=True)
            row = Row(f"factor a layer, {activation}, batch {batch}, with BN", ours, f"{expected:.4f}", expected * (1 - TOLERANCE), expected * (1 + TOLERANCE))
            rows.append(row)
            statement = f"{activation}, batches of {batch}: the factor is within {TOLERANCE:.0%} of {expected:.4f}, and nearer to it than to 1"
            checks.append(Check(statement, bool(row.agrees) and 2 * math.log(ours.mean) > math.log(expected), str(ours)))
    rows += [Row(f"factor a layer, {a}, without BN", results.spread("factor", activation=a, bn=False)) for a in results.distinct("activation")]
    relu = {bn: results.spread("factor", activation="relu", batch=16, bn=bn) for bn in (True, False)}
    checks.append(Check("ReLU without BN, at He's scale, has no such growth: its factor is nearer to 1", nearer(relu), f"{relu[False]} against {relu[True]}"))
    return judged(checks, rows)


def nearer(factors: dict[bool, Spread]) -> bool:
    """Whether the factor without batch norm is nearer to 1."""
    return abs(math.log(factors[False].mean)) < abs(math.log(factors[True].mean))


def figure(results: Results, figure: Figure) -> None:
    for axes, activation in zip(figure.subplots(1, 2, sharey=True), results.distinct("activation"), strict=True):
        for bn, batch in results.where(activation=activation).distinct("bn", "batch"):
            runs = [np.array(values) / values[-1] for values in results.where(activation=activation, bn=bn, batch=batch).values("squared")]
            depth = len(runs[0])
            look = figures.bn(bn) | {"label": f"with BN, batch {batch}" if bn else "without BN"}
            figures.curve(axes, range(1, depth + 1), runs, **look | (figures.SERIES[2] if batch == 64 else {}))
            if bn:
                expected = closed_form(activation, batch) ** np.arange(depth - 1, -1, -1)
                axes.plot(range(1, depth + 1), expected, color=figures.GREY, linestyle=":", linewidth=1, label="published")
        axes.set(title=activation, xlabel="layer", yscale="log")
    figure.axes[0].set_ylabel("squared gradient norm,\nrelative to the last layer")
    figures.legend(figure)


EXPERIMENT = Experiment(
    name="growth",
    title="Exploding gradients in deep networks with batch norm",
    claim=(
        "At its initial weights a deep network of affine layers with batch norm has gradients that grow towards the first layer, a layer's squared norm by "
        "(B − 2)/(B − 3) without nonlinearity and by 1.590 (B = 16) or 1.493 (B = 64) with ReLU."
    ),
    citation="Yang, Pennington, Rao, Sohl-Dickstein & Schoenholz 2019, A Mean Field Theory of Batch Normalization (arXiv 1902.08129)",
    limits="Plain networks at their initial weights: no skip connections, no training. The closed form is for infinite width; here it is 1,024.",
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

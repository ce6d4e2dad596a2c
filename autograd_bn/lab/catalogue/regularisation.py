"""Whether batch norm regularises: the gap between training and test, with it, with dropout, with both and with neither, on few examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autograd_bn.lab import figures
from autograd_bn.lab.experiment import Experiment
from autograd_bn.lab.networks import CLASSES, HIDDEN, data, paper_norm, perceptron, subset
from autograd_bn.lab.results import Measured, Results, Settings, Spread
from autograd_bn.lab.training import trained
from autograd_bn.lab.verdict import Check, Row, Verdict, judged
from autograd_bn.nn import Dropout
from autograd_bn.nn.functional import cross_entropy
from autograd_bn.train import correct, predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DROPPED = 0.5
KINDS = {"neither": (False, 0.0), "dropout": (False, DROPPED), "BN": (True, 0.0), "BN and dropout": (True, DROPPED)}


def cells(quick: bool) -> list[Settings]:
    shape = {"data": "mnist", "examples": 1000, "lr": 0.1, "std": 0.05, "steps": 500 if quick else 5000}
    return [{"kind": kind, **shape} for kind in KINDS]


def run(settings: Settings) -> Measured:
    train, test = data(settings["data"])
    train = subset(train, settings["examples"], settings["seed"])
    bn, dropped = KINDS[settings["kind"]]
    masks = iter(range(1000 + 10 * settings["seed"], 1000 + 10 * (settings["seed"] + 1)))
    widths = (train.images.shape[1], *HIDDEN, CLASSES)
    after = (lambda: Dropout(dropped, rng=next(masks))) if dropped else None
    model = perceptron(widths, "relu", norm=paper_norm if bn else None, std=settings["std"], seed=settings["seed"], after=after)
    trained(model, train, test, steps=settings["steps"], lr=settings["lr"], seed=settings["seed"])
    measured: dict[str, float] = {}
    for name, part in (("train", train), ("test", test)):
        outputs = predict(model, part.images)
        measured |= {f"{name}_accuracy": correct(outputs, part.labels), f"{name}_loss": cross_entropy(outputs, part.labels).item()}
    return measured | {f"{what}_gap": abs(measured[f"train_{what}"] - measured[f"test_{what}"]) for what in ("accuracy", "loss")}


def verdict(results: Results) -> Verdict:
    found = {(kind, name): results.spread(name, kind=kind) for kind in KINDS for name in ("test_accuracy", "train_accuracy", "accuracy_gap", "loss_gap")}
    words = {"test_accuracy": "test accuracy", "train_accuracy": "training accuracy", "accuracy_gap": "gap in accuracy", "loss_gap": "gap in loss"}
    rows = [Row(f"{word}: {kind}", found[kind, name]) for name, word in words.items() for kind in KINDS]

    def told(name: str, *kinds: str) -> str:
        return ", ".join(f"{kind} {found[kind, name]}" for kind in kinds)

    gained = {
        bn: Spread.of(a - b for a, b in zip(*(results.where(kind=kind).values("test_accuracy") for kind in kinds), strict=True))
        for bn, kinds in ((False, ("dropout", "neither")), (True, ("BN and dropout", "BN")))
    }

    def less(name: str, one: str, other: str) -> bool:
        return found[one, name].below(found[other, name])

    checks = [
        Check("with BN the gap in accuracy is smaller than with neither", less("accuracy_gap", "BN", "neither"), told("accuracy_gap", "BN", "neither")),
        Check("with BN the gap in loss is smaller than with neither", less("loss_gap", "BN", "neither"), told("loss_gap", "BN", "neither")),
        Check("with BN the test accuracy is higher than with neither", less("test_accuracy", "neither", "BN"), told("test_accuracy", "BN", "neither")),
        Check("with BN alone it is higher than with dropout alone", less("test_accuracy", "dropout", "BN"), told("test_accuracy", "BN", "dropout")),
        Check("dropout adds less to it where there is BN", gained[True].below(gained[False]), f"{gained[True]} against {gained[False]}"),
    ]
    return judged(checks, rows)


def figure(results: Results, figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    kinds = [kind.replace(" and ", "\nand ") for kind in KINDS]
    for name, label, look in (("train_accuracy", "training", figures.MARKED[1]), ("test_accuracy", "test", figures.MARKED[0])):
        runs = zip(*(results.where(kind=kind).values(name) for kind in KINDS), strict=True)
        figures.curve(left, range(len(KINDS)), list(runs), label=label, **look | {"linestyle": ""})
    left.set(title="accuracy", xlim=(-0.5, len(KINDS) - 0.5))
    left.set_xticks(range(len(KINDS)), kinds)
    left.legend(loc="center left")
    figures.bars(right, kinds, [([results.where(kind=kind).values("loss_gap") for kind in KINDS], {"color": figures.ACCENT})])
    right.set_title("test loss less training loss")


EXPERIMENT = Experiment(
    name="regularisation",
    title="Regularisation",
    claim="Batch norm regularises the model, and reduces the need for dropout.",
    citation="Ioffe & Szegedy 2015 (arXiv 1502.03167), sections 3.4 and 4.2.1",
    limits=(
        "A thousand digits, one strength of dropout, a fixed number of steps, no early stopping. A gap in accuracy is also small where little was learnt, "
        "so the test accuracy stands beside it."
    ),
    cells=cells,
    run=run,
    verdict=verdict,
    figure=figure,
)

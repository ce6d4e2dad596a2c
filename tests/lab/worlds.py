"""For each experiment: settings that take a moment, and measurements as they would be if its claim were true, and if it were false."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Measure = Callable[[dict[str, Any]], dict[str, Any]]


class Worlds(NamedTuple):
    """What overrides the quick settings to make them miniature, and the measurements of two made-up worlds."""

    miniature: dict[str, Any]
    true: Measure
    false: Measure


def jitter(settings: dict[str, Any]) -> float:
    return 0.001 * settings["seed"]


def figure_1(before: float, after: float, drift: float) -> Measure:
    def measure(s: dict[str, Any]) -> dict[str, Any]:
        final = (after if s["bn"] else before) + jitter(s)
        start = [-1.03, 0.0, 1.03] if s["bn"] else [-0.2, 0.0, 0.2]
        return {
            "steps": [1000, s["steps"]],
            "accuracies": [final - 0.02, final],
            "accuracy": final,
            "times": [0, s["steps"]],
            "unit": [start, start],
            "start": start,
            "drift": drift if s["bn"] else 1.0,
            "width": 2.0,
        }

    return measure


def rates(small: float, large: float) -> Measure:
    """``small`` and ``large`` multiply what is published with batch norm for small and large initial weights."""
    published = {("relu", 0.01, 0.05): 0.974, ("sigmoid", 0.01, 0.05): 0.818, ("relu", 1, 0.05): 0.098, ("sigmoid", 1, 0.05): 0.976}
    published |= {("relu", 2, 0.05): 0.107, ("relu", 0.01, 5): 0.098, ("sigmoid", 0.01, 5): 0.30, ("sigmoid", 1, 5): 0.893}
    with_bn = {("relu", 0.01, 0.05): 0.979, ("sigmoid", 0.01, 0.05): 0.9732, ("relu", 1, 0.05): 0.984, ("sigmoid", 1, 0.05): 0.981}
    with_bn |= {("relu", 2, 0.05): 0.9827, ("relu", 0.01, 5): 0.7985, ("sigmoid", 0.01, 5): 0.848, ("sigmoid", 1, 5): 0.9507}
    short = {("relu", False): 0.83, ("relu", True): 0.95, ("sigmoid", False): 0.9, ("sigmoid", True): 0.95}

    def measure(s: dict[str, Any]) -> dict[str, Any]:
        key = (s["activation"], s["lr"], s["std"])
        early = short[s["activation"], s["bn"]]
        final = with_bn[key] * (small if s["std"] < 1 else large) if s["bn"] else published[key]
        if s["steps"] == 2000 and key in (("relu", 0.01, 0.05), ("sigmoid", 1, 0.05)):
            final = early * (small if s["bn"] else 1)
        steps, accuracies = ([2000, s["steps"]], [early, final]) if s["steps"] > 2000 else ([s["steps"]], [final])
        return {"steps": steps, "accuracies": accuracies, "accuracy": final, "diverged": None}

    return measure


def growth(factor: Callable[[dict[str, Any]], float]) -> Measure:
    return lambda s: {"factor": factor(s) if s["bn"] else 1.0, "squared": [2.0, 1.0]}


def population(alone: float, dependence: float, early: dict[str, float]) -> Measure:
    def measure(s: dict[str, Any]) -> dict[str, Any]:
        first = early.get(s["statistics"], 0.6)
        values = {"updates": [20, 2000], "accuracies": [first, 0.95], "accuracy": 0.95, "early": first}
        return values | {"alone": 0.95, "alone_by_own": alone, "dependence": dependence}

    return measure


def saturation(good: bool) -> Measure:
    def measure(s: dict[str, Any]) -> dict[str, Any]:
        better = s["bn"] == good
        values: dict[str, Any] = {"saturated": 0.1 if better else 0.8, "decades": 0.1 if better else -5.0, "accuracy": 0.9 if better else 0.1}
        return values | {"norms": [1.0, 2.0], "shares": [0.1, 0.2]}

    return measure


def shift(good: bool) -> Measure:
    def measure(s: dict[str, Any]) -> dict[str, Any]:
        less = s["bn"] == good
        found = {"l2": 0.1 if less else 0.5, "relative": 0.1 if less else 0.5, "cosine": 0.9 if less else 0.2}
        return found | {"loss": 0.3} | {f"{name}_over_time": [value] * 11 for name, value in found.items()}

    return measure


def noise(noisy: float, unstable: float) -> Measure:
    accuracy = {"none": 0.8, "BN": 0.95, "noisy BN": noisy}
    return lambda s: {
        "accuracy": accuracy[s["norm"]] + jitter(s),
        "instability": unstable if s["norm"] == "noisy BN" else 0.01,
        "steps": [1],
        "accuracies": [0.5],
    }


def coordination(good: bool) -> Measure:
    return lambda s: {"first": 0.9, "error": 0.1 if s["bn"] == good else 0.4, "interaction": 0.1 if s["bn"] == good else 0.4}


def batch_size(small: float) -> Measure:
    return lambda s: {"error": (small if s["norm"] == "BN" and s["batch"] < 8 else 0.1) + jitter(s), "diverged": None}


def scale(exact: float, slope: float) -> Measure:
    return lambda s: dict.fromkeys(("output", "by_input", "by_weight", "along"), exact + slope * s["eps"])


def regularisation(test: dict[str, float]) -> Measure:
    def measure(s: dict[str, Any]) -> dict[str, Any]:
        accuracy = test[s["kind"]] + jitter(s)
        return {"train_accuracy": 1.0, "test_accuracy": accuracy, "accuracy_gap": 1 - accuracy, "loss_gap": 1 - accuracy}

    return measure


def recurrent(good: bool) -> Measure:
    slopes = {0.05: 0.9975, 0.1: 0.9902, 0.3: 0.9231, 0.5: 0.8265, 0.7: 0.7296, 1.0: 0.6057}

    def measure(s: dict[str, Any]) -> dict[str, Any]:
        better = (s["gamma"] == 0.1) == good
        if s["part"] == "slope":
            return {"slope": slopes[s["gamma"]] if good else 0.5}
        if s["part"] == "gradient":
            return {"norms": [1.0, 1.0], "decades": 0.0 if better else -3.0}
        accuracy = (0.9 if better else 0.5) + jitter(s)
        return {"steps": [s["steps"]], "accuracies": [accuracy], "accuracy": accuracy, "accuracy_by_batch": accuracy, "diverged": None}

    return measure


def folding(error: float, changed: float, parts: int) -> Measure:
    return lambda s: {"error": error, "changed": changed, "accuracy": 0.9, "parts": 7, "parts_folded": parts}


WORLDS = {
    "figure-1": Worlds({"data": "digits", "steps": 20, "every": 10}, figure_1(0.82, 0.973, 0.2), figure_1(0.97, 0.82, 1.5)),
    "rates-and-inits": Worlds({"data": "digits", "steps": 20}, rates(1.0, 1.0), rates(0.5, 0.01)),
    "growth": Worlds(
        {"width": 32, "depth": 8, "burn_in": 2},
        growth(lambda s: (s["batch"] - 2) / (s["batch"] - 3) if s["activation"] == "linear" else {16: 1.59, 64: 1.493}[s["batch"]]),
        growth(lambda s: 1.0),
    ),
    "population": Worlds(
        {"data": "digits", "steps": 20},
        population(0.1, 1e-7, {"running average, 0.01": 0.1, "running average, 0.1": 0.3}),
        population(0.9, 0.5, {}),
    ),
    "saturation": Worlds({"data": "digits", "steps": 3, "depth": 3, "width": 20}, saturation(True), saturation(False)),
    "shift": Worlds({"depth": 2, "width": 10, "batch": 30, "steps": 10}, shift(True), shift(False)),
    "noise": Worlds({"data": "digits", "steps": 60}, noise(0.94, 0.5), noise(0.5, 0.001)),
    "coordination": Worlds({"data": "digits", "steps": 8, "width": 20}, coordination(True), coordination(False)),
    "batch-size": Worlds({"data": "digits", "examples": 64}, batch_size(0.4), batch_size(0.05)),
    "regularisation": Worlds(
        {"data": "digits", "examples": 100, "steps": 10},
        regularisation({"neither": 0.8, "dropout": 0.85, "BN": 0.9, "BN and dropout": 0.91}),
        regularisation({"neither": 0.9, "dropout": 0.89, "BN": 0.8, "BN and dropout": 0.85}),
    ),
    "recurrent": Worlds({"width": 8, "batch": 20, "steps": 10}, recurrent(True), recurrent(False)),
    "folding": Worlds({"steps": 10, "width": 10}, folding(1e-15, 0.0, 5), folding(0.1, 0.5, 7)),
    "scale": Worlds({}, scale(1e-16, 0.1), scale(0.1, -1.0)),
    "gradient": Worlds({}, lambda s: {"formula": 1e-14, "differences": 1e-9}, lambda s: {"formula": 1e-3, "differences": 1e-3}),
}

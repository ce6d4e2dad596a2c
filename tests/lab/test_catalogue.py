"""Every experiment runs in miniature, and its verdict follows from the numbers, whichever way they fall."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.lab import Cell, Experiment, Results, experiments, read
from autograd_bn.lab.runner import plain
from tests.lab.worlds import WORLDS, Measure

EXPERIMENTS = experiments()
NAMES = list(EXPERIMENTS)


def made_up(experiment: Experiment, measure: Measure, quick: bool = False) -> Results:
    return Results([Cell(s, measure(dict(s))) for seed in (0, 1, 2) for s in ({**settings, "seed": seed} for settings in experiment.cells(quick))])


def test_every_experiment_has_made_up_worlds() -> None:
    assert set(WORLDS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_in_miniature(name: str) -> None:
    pytest.importorskip("matplotlib")
    from autograd_bn.lab.figures import drawn

    experiment = EXPERIMENTS[name]
    small = {**WORLDS[name].miniature}
    cells = []
    for settings in experiment.cells(True):
        chosen = {**settings, **{key: value for key, value in small.items() if key in settings}, "seed": 0}
        if chosen.get("data") == "mnist":
            chosen["data"] = "digits"
        cells.append(Cell(chosen, json.loads(json.dumps(plain(experiment.run(chosen))))))
    results = Results(cells)
    assert experiment.verdict(results).kind in ("holds", "holds in part", "does not hold")
    assert drawn(experiment, results).lstrip().startswith("<?xml")


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_what_is_measured(name: str) -> None:
    experiment = EXPERIMENTS[name]
    drawn = next(settings for settings in experiment.cells(True) if settings.get("part") != "slope")  # which is exact
    settings = {key: WORLDS[name].miniature.get(key, value) for key, value in drawn.items()}
    if settings.get("data") == "mnist":
        settings["data"] = "digits"
    first, again, other = (plain(experiment.run({**settings, "seed": seed})) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize("name", NAMES)
def test_the_verdict_can_come_out_either_way(name: str, quick: bool) -> None:
    experiment, worlds = EXPERIMENTS[name], WORLDS[name]
    good, bad = (experiment.verdict(made_up(experiment, measure, quick)) for measure in (worlds.true, worlds.false))
    assert good.kind == "holds", good.paragraph
    assert all(check.holds for check in good.checks)
    assert bad.kind == "does not hold", bad.paragraph
    assert bad.paragraph.startswith("Does not hold.")


@pytest.mark.parametrize("name", NAMES)
def test_each_check_can_fail(name: str) -> None:
    experiment, worlds = EXPERIMENTS[name], WORLDS[name]
    good, bad = (experiment.verdict(made_up(experiment, measure)) for measure in (worlds.true, worlds.false))
    failed = {check.statement for check in bad.checks if not check.holds}
    never = {check.statement for check in good.checks} - failed - SPARED.get(name, set())
    assert never == set()


SPARED: dict[str, set[str]] = {
    # Of the network without batch norm, or of the first step: the false world says nothing about them.
    "figure-1": {"with BN the percentiles start near those of a normal distribution, within 0.1"},
    "noise": {"batch norm is better than none"},
    "population": {"at the end of training the ways to population statistics are within 0.01 of each other"},
}


def test_what_is_spared_can_fail_too() -> None:
    def kinds(name: str, change: dict[str, Any], **where: Any) -> dict[str, bool]:
        experiment = EXPERIMENTS[name]
        results = made_up(experiment, WORLDS[name].true)
        for cell in results:
            if all(cell.settings[key] == value for key, value in where.items()):
                cell.measured.update(change)  # type: ignore[attr-defined]
        return {check.statement: check.holds for check in experiment.verdict(results).checks}

    assert not all(kinds("figure-1", {"start": [-0.5, 0.0, 0.5]}, bn=True)[s] for s in SPARED["figure-1"])
    assert not all(kinds("noise", {"accuracy": 0.1}, norm="BN")[s] for s in SPARED["noise"])
    assert not all(kinds("population", {"accuracy": 0.5}, statistics="cumulative average")[s] for s in SPARED["population"])


def test_published_numbers_out_of_range_are_told() -> None:
    experiment = EXPERIMENTS["rates-and-inits"]
    results = made_up(experiment, WORLDS["rates-and-inits"].true)
    for cell in results:
        if cell.settings["activation"] == "relu" and cell.settings["lr"] == 2 and cell.settings["bn"]:
            cell.measured["accuracies"][-1] = 0.995
    verdict = experiment.verdict(results)
    assert verdict.kind == "holds in part"
    assert "outside: relu, lr 2, σ 0.05, 50000 steps, with BN" in verdict.paragraph


def test_an_experiment_says_what_it_tests_and_what_it_does_not_show() -> None:
    for experiment in EXPERIMENTS.values():
        assert experiment.citation
        assert experiment.limits.endswith(".")
        assert experiment.claim.endswith(".")
        assert len({json.dumps(settings, sort_keys=True) for settings in experiment.cells(False)}) == len(experiment.cells(False))
        assert len(experiment.cells(True)) <= len(experiment.cells(False))


def test_a_run_that_diverges_is_measured_as_it_is() -> None:
    settings = {"activation": "relu", "lr": 1e6, "std": 5, "bn": False, "data": "digits", "steps": 20, "seed": 0}
    measured = EXPERIMENTS["rates-and-inits"].run(settings)
    assert measured["diverged"] is not None
    assert measured["diverged"] < 20
    assert measured["steps"] == [20]
    assert 0 <= measured["accuracy"] < 0.3


def test_the_networks_with_and_without_have_the_same_weights() -> None:
    from autograd_bn.lab.networks import papers_network

    plain_network, normalised = (papers_network(64, "sigmoid", bn=bn, std=0.05, seed=3) for bn in (False, True))
    weights = [[p.detach().numpy() for p in network.parameters() if p.ndim == 2] for network in (plain_network, normalised)]
    assert len(weights[0]) == 4
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    assert sum("BatchNorm1d" in type(part).__name__ for part in normalised) == 3


def test_data_of_another_name_are_refused() -> None:
    from autograd_bn.lab.networks import data

    with pytest.raises(ab.OperationError, match="'digits', got 'letters'"):
        data("letters")


# What the pages show

RESULTS = Path(__file__).parents[2] / "docs" / "lab"
FROM_CURVES = {"figure-1", "rates-and-inits"}
"""Whose verdicts look at curves, which a summary does not have."""


@pytest.mark.parametrize("name", NAMES)
def test_the_pages_have_a_full_run_of_every_experiment(name: str) -> None:
    outcome = read(RESULTS / "results" / f"{name}.json")
    assert outcome.experiment == name
    assert not outcome.quick
    assert outcome.command == f"autograd-bn lab run {name} --seeds {outcome.seeds}"
    settings = [{**settings, "seed": seed} for seed in range(outcome.seeds) for settings in EXPERIMENTS[name].cells(False)]
    assert [dict(cell.settings) for cell in outcome.results] == settings
    pages = [page.read_text(encoding="utf-8") for page in RESULTS.glob("*.md")]
    assert sum(f"(figures/{name}.svg)" in page and f'"{name}.json"' in page for page in pages) == 1
    assert "<svg" in (RESULTS / "figures" / f"{name}.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(NAMES) - FROM_CURVES))
def test_the_verdict_on_a_page_is_what_its_numbers_give(name: str) -> None:
    outcome = read(RESULTS / "results" / f"{name}.json")
    assert EXPERIMENTS[name].verdict(outcome.results) == outcome.verdict


def test_the_legend_of_folding_lies_on_no_limit() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    FigureCanvasAgg(figure).draw()
    EXPERIMENTS["folding"].figure(read(RESULTS / "results" / "folding.json").results, figure)
    figure.canvas.draw()
    (axes,) = figure.axes
    legend = axes.get_legend() or figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["folded against not folded", "limit"]
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())

"""Cells are measured once, kept on disk, and taken up again after whatever stopped the run."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.lab import Check, Experiment, Outcome, Results, Row, Spread, judged, read, run

CALLS: list[dict[str, Any]] = []


def cells(quick: bool) -> Sequence[dict[str, Any]]:
    return [{"x": x} for x in ((1.0,) if quick else (1.0, 2.0))]


def measured(settings: Any) -> dict[str, Any]:
    CALLS.append(dict(settings))
    return {"y": np.float64(settings["x"] + 0.5 * settings["seed"]), "curve": np.arange(3), "word": "ä, b", "process": multiprocessing.current_process().name}


def verdict(results: Results) -> Any:
    s = results.spread("y")
    return judged([Check("y is positive", s.mean > 0, str(s))], [Row("y", s, "1 / 2", 1.0, 2.0)])


def experiment(**changes: Any) -> Experiment:
    fields: dict[str, Any] = {"name": "made-up", "title": "Made up", "claim": "c.", "citation": "nobody", "limits": "all.", "figure": lambda r, f: None}
    return Experiment(**{**fields, "cells": cells, "run": measured, "verdict": verdict, **changes})


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


def test_every_cell_is_run_once_a_seed_and_kept(tmp_path: Path) -> None:
    first = run(experiment(), seeds=2, out=tmp_path, progress=False)
    assert [{"x": x, "seed": seed} for seed in (0, 1) for x in (1.0, 2.0)] == CALLS
    again = run(experiment(), seeds=2, out=tmp_path, progress=False)
    assert len(CALLS) == 4
    assert [c.measured for c in again.results] == [c.measured for c in first.results]
    assert [c.seconds for c in again.results] == [c.seconds for c in first.results]
    run(experiment(), seeds=3, out=tmp_path, progress=False)
    assert [c["seed"] for c in CALLS[4:]] == [2, 2]


def test_another_edition_or_name_is_run_anew_and_quick_shares_what_is_the_same(tmp_path: Path) -> None:
    run(experiment(), seeds=1, out=tmp_path, progress=False)
    run(experiment(), quick=True, seeds=1, out=tmp_path, progress=False)
    assert len(CALLS) == 2
    run(experiment(edition=2), seeds=1, out=tmp_path, progress=False)
    assert len(CALLS) == 4
    run(experiment(name="other"), seeds=1, out=tmp_path, progress=False)
    assert len(CALLS) == 6


def test_another_version_of_the_package_is_run_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(experiment(), seeds=1, out=tmp_path, progress=False)
    monkeypatch.setattr(ab, "__version__", "9.9")
    assert run(experiment(), seeds=1, out=tmp_path, progress=False).version == "9.9"
    assert len(CALLS) == 4


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_run_that_was_stopped_goes_on_where_it_was(stop: type[BaseException], tmp_path: Path) -> None:
    def stopped(settings: Any) -> dict[str, Any]:
        if len(CALLS) == 2:
            raise stop
        return measured(settings)

    with pytest.raises(stop):
        run(experiment(run=stopped), seeds=2, out=tmp_path, progress=False)
    assert not (tmp_path / "made-up" / "results.json").exists()
    outcome = run(experiment(), seeds=2, out=tmp_path, progress=False)
    assert len(CALLS) == 4
    assert outcome.results.values("y") == [1.0, 2.0, 1.5, 2.5]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"settings": {}, "measured": {}, "seconds": 0}'])
def test_a_damaged_cell_is_run_again(damage: str, tmp_path: Path) -> None:
    run(experiment(), seeds=1, out=tmp_path, progress=False)
    file = sorted((tmp_path / "made-up" / "cells").iterdir())[0]
    file.write_text(damage)
    run(experiment(), seeds=1, out=tmp_path, progress=False)
    assert len(CALLS) == 3


def test_an_error_names_the_cell() -> None:
    def wrong(settings: Any) -> dict[str, Any]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        run(experiment(run=wrong), seeds=1, progress=False)
    assert caught.value.__notes__ == ["in the cell x=1.0, seed=0"]


def test_several_processes_measure_the_same(tmp_path: Path) -> None:
    outcome = run(experiment(), seeds=2, out=tmp_path, jobs=2, progress=False)
    assert CALLS == []
    assert outcome.results.values("y") == [1.0, 2.0, 1.5, 2.5]
    assert set(outcome.results.values("process")) - {multiprocessing.current_process().name}


def test_results_are_json_csv_and_text(tmp_path: Path) -> None:
    outcome = run(experiment(), seeds=2, out=tmp_path, command="what made it", progress=False)
    folder = tmp_path / "made-up"
    back = read(folder / "results.json")
    assert back.verdict == outcome.verdict
    assert (back.command, back.seeds, back.quick, back.version) == ("what made it", 2, False, ab.__version__)
    assert back.results.values("curve") == [[0, 1, 2]] * 4
    summary = read(folder / "summary.json")
    assert str(summary) == str(outcome)
    assert set(summary.results.cells[0].measured) == {"y", "word", "process"}
    rows = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text(encoding="utf-8"))))
    assert [float(row["y"]) for row in rows] == [1.0, 2.0, 1.5, 2.5]
    assert rows[3]["seed"] == "1"
    assert rows[0]["word"] == "ä, b"
    assert "curve" not in rows[0]
    assert str(outcome).splitlines()[1].split() == ["y", "1.75", "±", "0.65", "4", "1", "/", "2", "yes"]
    assert json.loads((folder / "results.json").read_text(encoding="utf-8"))["format"] == "autograd_bn.lab"


def test_a_printed_outcome_has_a_line_a_check_and_fits_a_page() -> None:
    spread = Spread.of([0.5, 0.6])
    rows = [Row(f"accuracy: {name}", spread, "0.5", 0.0, 1.0) for name in ("with", "without")] + [Row("a name of many words " * 5, spread)]
    checks = [Check("it is better", True, "1 against 2"), Check("it is said at length " * 5, False, "3 against 4")]
    outcome = Outcome("made-up", Results([]), judged(checks, rows, "Why that is so."), False, 2, "0", "")
    lines = str(outcome).splitlines()
    assert max(map(len, lines)) <= 90
    assert [line.split("  ")[0] for line in lines[1:2]] == ["accuracy:"]
    assert [line.split()[0] for line in lines[2:4]] == ["with", "without"]
    told = lines[lines.index("Holds in part.") :]
    assert told[1] == "✓ it is better (1 against 2)"
    assert [line[:2] for line in told[2:4]] == ["✗ ", "  "]
    assert told[-2:] == ["", "Why that is so."] and "Borne out" not in str(outcome)
    assert outcome.verdict._replace(paragraph="Holds.", kind="holds", checks=[]).note == ""


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "another"}'])
def test_a_file_that_holds_no_results_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ab.OperationError, match="holds no results"):
        read(tmp_path / "x.json")


def test_numbers_that_are_not_positive_are_refused() -> None:
    for options in ({"seeds": 0}, {"jobs": 0}):
        with pytest.raises(ab.OperationError, match="at least 1"):
            run(experiment(), progress=False, **options)


def test_progress_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run(experiment(), seeds=1)
    err = capsys.readouterr().err
    assert "made-up: 2/2 x=2.0, seed=0" in err


def test_a_spread_is_the_mean_and_the_standard_deviation() -> None:
    s = Spread.of([1.0, 2.0, 4.0])
    assert (s.mean, s.n) == (pytest.approx(7 / 3), 3)
    assert s.std == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert str(Spread.of([0.5])) == "0.5"
    with pytest.raises(ab.OperationError, match="no number"):
        Spread.of([])


def test_what_no_cell_has_is_an_error() -> None:
    with pytest.raises(ab.OperationError, match="no cell with x=3"):
        run(experiment(), seeds=1, progress=False).results.where(x=3)


def test_a_row_agrees_within_its_range_and_a_margin_of_two_published_runs() -> None:
    assert [Row("r", Spread(mean, None, 1), "", 1.0, 2.0).agrees for mean in (0.99, 1.0, 2.0, 2.01)] == [False, True, True, False]
    assert Row("r", Spread(1.0, None, 1)).agrees is None
    assert [Row.beside("r", Spread(mean, None, 1), 0.5, 0.6).agrees for mean in (0.489, 0.4901, 0.6099, 0.611)] == [False, True, True, False]


def test_a_verdict_without_checks_is_refused() -> None:
    with pytest.raises(ab.OperationError, match="could not come out otherwise"):
        judged([])


def test_below_means_by_more_than_twice_the_standard_error() -> None:
    a = Spread(1.0, 0.3, 9)
    assert [a.below(Spread(mean, 0.4, 16)) for mean in (1.28, 1.29)] == [False, True]  # √(0.3²/9 + 0.4²/16) is 0.1414
    assert Spread.of([1.0]).below(Spread.of([1.1]))
    assert not Spread.of([1.0]).below(Spread.of([1.0]))

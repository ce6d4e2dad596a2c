"""``lab list``, ``lab run`` and ``lab report`` on a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograd_bn.cli import main
from autograd_bn.lab import experiments, read


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lab"], "ACTION"),
        (["lab", "run"], "NAME"),
        (["lab", "run", "alchemy"], "there is no experiment 'alchemy'; there is figure-1"),
        (["lab", "run", "scale", "--seeds", "0"], "at least 1"),
        (["lab", "run", "scale", "--jobs", "two"], "whole number"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err


def test_a_folder_without_results_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "report", "--out", str(tmp_path)]) == 1
    assert "no results in" in capsys.readouterr().err


def test_list_names_every_experiment_and_its_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "list"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    words = " ".join(out.split())
    for experiment in experiments().values():
        assert f"{experiment.name}: {experiment.title} {experiment.claim} {experiment.citation}" in words


def test_run_and_report_write_what_they_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert main(["lab", "run", "scale", "--quick", "--seeds", "2", "--out", str(tmp_path), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "Holds." in out
    assert {path.name for path in (tmp_path / "scale").iterdir()} == {"cells", "figure.svg", "results.csv", "results.json", "summary.json"}
    outcome = read(tmp_path / "scale" / "results.json")
    assert outcome.command == "autograd-bn lab run scale --quick --seeds 2"
    assert (outcome.quick, outcome.seeds) == (True, 2)
    assert main(["lab", "report", "--out", str(tmp_path)]) == 0
    assert "autograd-bn lab run scale --quick --seeds 2" in (tmp_path / "report.html").read_text(encoding="utf-8")

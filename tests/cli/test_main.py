from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn
from autograd_bn import cli
from autograd_bn.cli import demo, doctor
from autograd_bn.train import History


def needs_drawing() -> None:
    drawing: Any = pytest.importorskip("autograd_bn.drawing")
    pytest.importorskip("matplotlib")
    if not drawing.engines():
        pytest.skip("no layout engine is installed")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["dance"], "dance"),
        (["demo", "--steps", "0"], "at least 1"),
        (["demo", "--steps", "many"], "whole number"),
        (["demo", "--seed", "-1"], "not negative"),
        (["demo", "--lr", "nan"], "positive number"),
        (["figure", "--where", "x"], "--where"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err
    assert "--help" in err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "demo" in capsys.readouterr().out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"autograd_bn {autograd_bn.__version__}\n"


def test_doctor_says_how_to_get_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "_version", lambda name: doctor.MISSING if name == "scipy" else "1.0")
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'extra jit: llvmlite 1.0, scipy (missing); pip install "autograd_bn[jit]"' in lines
    assert "extra testing: hypothesis 1.0" in lines


def test_doctor_says_what_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"numpy {np.__version__}" in out
    assert "layout engines:" in out


def test_it_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "autograd_bn", "demo", "--steps", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "whole number" in done.stderr


def test_importing_the_package_stays_light() -> None:
    script = "import sys, autograd_bn; print([m for m in ('argparse', 'matplotlib', 'tqdm', 'graphviz', 'pygraphviz', 'dataclasses') if m in sys.modules])"
    plain = "import sys, numpy; print([m for m in ('argparse', 'matplotlib', 'tqdm', 'graphviz', 'pygraphviz', 'dataclasses') if m in sys.modules])"
    ours, numpys = (subprocess.run([sys.executable, "-c", s], capture_output=True, text=True, check=True).stdout for s in (script, plain))
    assert ours == numpys


def test_an_unwritable_place_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "file" / "x"), "--quiet"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_both_networks_start_from_the_same_weights() -> None:
    plain, normalised = demo.build(False, 3, 0.1), demo.build(True, 3, 0.1)
    a, b = ([p.value for p in net.parameters() if p.ndim == 2] for net in (plain, normalised))
    assert [w.shape for w in a] == [(100, 64), (100, 100), (100, 100), (10, 100)]
    for v, w in zip(a, b, strict=True):
        np.testing.assert_array_equal(v, w)
    assert repr(normalised).count("BatchNorm1d") == 3
    assert sum(p.size for p in normalised.parameters()) - sum(p.size for p in plain.parameters()) == 3 * 100


def test_the_table_shows_about_ten_rows() -> None:
    history = History(list(range(1, 101)), {"accuracy": [i / 100 for i in range(100)]})
    lines = demo._table({"without BN": history, "with BN": history}).strip().splitlines()
    assert len(lines) == 2 + 11
    assert lines[-1].split() == ["100", "99.0%", "99.0%"]


def test_figure_draws_batch_norm(tmp_path: Path) -> None:
    needs_drawing()
    assert cli.main(["figure", "--out", str(tmp_path / "bn.svg")]) == 0
    assert "√" in (tmp_path / "bn.svg").read_text(encoding="utf-8")


def test_demo_trains_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_drawing()
    assert cli.main(["demo", "--steps", "30", "--out", str(tmp_path / "new"), "--no-open", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "without BN" in out
    assert "%" in out
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"figure.svg", "network.svg", "accuracy.png"}

"""``draw`` and ``explore`` on a command line: what can be shown, where it goes, and what a mistake is told."""

from __future__ import annotations

import json
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import pytest

from autograd_bn.cli import main
from autograd_bn.drawing import engines

NET = """
import warnings
import numpy as np
import autograd_bn as ab
import beside

model = ab.nn.Sequential(ab.nn.Linear(4, 3, bias=False), ab.nn.BatchNorm1d(3), ab.nn.Sigmoid())
x = ab.tensor(np.random.default_rng(0).standard_normal((8, 4)), name="x")
w = ab.tensor([1.0, 2.0], requires_grad=True, name="w")
made = (w * w).sum()

def loss():
    return (w * 3.0).sum()

def several():
    return {"a": w * 2.0, "b": w * w}

def together():
    return model, x

def stepped():
    lowered = ab.tensor([0.0, 0.0], requires_grad=True, name="w")
    ab.assign(lowered, [5.0, 6.0])
    return (lowered * lowered).sum()

class Held:
    inner = staticmethod(loss)

def needs(a, b=1): ...
def constant(): return x
def number(): return 3
def large():
    y = w
    for _ in range(10):
        with ab.scope("forty"):
            for _ in range(40):
                y = y * 1.0
    return y
def warned():
    warnings.warn("mind\\nthis")
    return w * 2.0
def empty(): ...
def fails():
    return 1 / 0
def mismatched(): return model(x[:, :2])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a module in it, and another that it imports."""
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import no_such_thing\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "unread.py").write_text("def loss(:\n")
    (tmp_path / "beside.py").write_text("")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    forget()
    yield tmp_path
    forget()
    assert sys.path == path


def forget() -> None:
    """Let the modules be imported anew."""
    for name in ("net", "broken", "leaves", "unread", "beside"):
        sys.modules.pop(name, None)


def drawn(target: str, folder: Path) -> dict[str, object]:
    """What ``draw`` wrote about a target, as data."""
    assert main(["draw", target, "-o", str(folder / "out.json")]) == 0
    found: dict[str, object] = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("target", ["net:loss", "net.py:loss", "net:made", "net:together", "net:several", "net:Held.inner"])
def test_functions_tensors_containers_and_modules_with_input_are_run_and_recorded(target: str, folder: Path) -> None:
    data = drawn(target, folder)
    one_number = target not in ("net:several", "net:together")
    assert data["recorded"] == {"values": True, "gradients": one_number}


def test_what_a_function_assigns_is_assigned(folder: Path) -> None:
    data = drawn("net:stepped", folder)
    assert [array["elements"] for array in data["arrays"]][:1] == [[5.0, 6.0]]  # type: ignore[attr-defined]


def test_a_file_elsewhere_finds_what_lies_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert main(["explore", "../net.py:loss", "--no-open"]) == 0
    assert (folder / "elsewhere" / "loss.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_page_is_called_after_the_function_or_as_told(folder: Path) -> None:
    assert main(["explore", "net:loss"]) == 0
    assert "<title>loss</title>" in (folder / "loss.html").read_text(encoding="utf-8")
    assert main(["explore", "net:loss", "--title", "<b>", "-o", "b.html"]) == 0
    assert "<title>&lt;b&gt;</title>" in (folder / "b.html").read_text(encoding="utf-8")


def test_draw_writes_the_format_that_the_suffix_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "net:loss", "-o", "a.dot", "--no-values", "--no-gradients", "--direction", "TB"]) == 0
    text = (folder / "a.dot").read_text(encoding="utf-8")
    assert "rankdir=TB" in text
    assert "red" not in text
    assert main(["draw", "net:loss", "-o", "a.html"]) == 0
    assert "<!doctype html>" in (folder / "a.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out.splitlines() == ["written: a.dot", "written: a.html"]
    if engines():
        assert main(["draw", "net:loss"]) == 0
        assert "</svg>" in (folder / "loss.svg").read_text(encoding="utf-8")


def test_draw_takes_the_options_of_the_function(folder: Path) -> None:
    options = ["--color", "gradient", "--depth", "0", "--fold", "--theme", "dark", "--formulas", "--no-constants"]
    assert main(["draw", "net:together", "-o", "a.dot", *options]) == 0
    text = (folder / "a.dot").read_text(encoding="utf-8")
    assert "norm of the gradient" in text
    assert "<B>Sequential</B>" in text
    assert 'bgcolor="#0e1216"' in text
    assert "<I>x</I>" not in text
    assert main(["draw", "net:together", "-o", "a.dot", "--depth", "-1"]) == 2


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("net", "is not MODULE:FUNCTION"),
        ("nett:loss", "there is no module 'nett'"),
        ("net.nothing:loss", "there is no module 'net.nothing'"),
        ("nett.py:loss", "there is no file 'nett.py'"),
        ("broken:loss", "importing broken raised ModuleNotFoundError: No module named 'no_such_thing'"),
        ("leaves:loss", "importing leaves raised SystemExit"),
        ("unread:loss", "raised SyntaxError: invalid syntax (unread.py, line 1)\n"),
        ("net:los", "did you mean 'loss'"),
        ("net:needs", "needs a;"),
        ("net:model", "needs x;"),
        ("net:constant", "does not require a gradient"),
        ("net:number", "gives something of type int; it has to give a tensor"),
        ("net:empty", "gives None; it has to give a tensor"),
    ],
)
def test_a_target_that_cannot_be_shown_is_one_line_and_exit_code_2(target: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("draw", "explore"):
        before = set(folder.iterdir())
        assert main([command, target]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert said in err
        assert {path for path in set(folder.iterdir()) - before if path.name != "__pycache__"} == set()


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line_with_its_place_if_that_is_the_users(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "net:large", "-o", "a.dot"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("autograd-bn: warning: a graph of 401 boxes is large: what repeats is drawn once,")
    assert "show.py" not in line
    assert main(["draw", "net:warned", "-o", "a.dot"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"autograd-bn: warning: mind this ({folder / 'net.py'}, line ")


@pytest.mark.parametrize(
    ("target", "said"), [("net:fails", "ZeroDivisionError: division by zero (NET, line "), ("net:mismatched", "got x of shape (8, 2) at NET:")]
)
def test_a_function_that_raises_is_one_line_with_its_place_and_exit_code_1(target: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", target]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert said.replace("NET", str(folder / "net.py")) in err


@pytest.mark.parametrize("arguments", [["explore", "-o", "a.svg"], ["draw", "-o", "a.gif"], ["draw", "--style", "modern"], ["draw", "--timeout", "0"]])
def test_a_bad_option_is_found_before_anything_runs(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "net:fails"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_result_is_opened_on_a_terminal_unless_told_not_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    assert main(["explore", "net:loss"]) == 0
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["explore", "net:loss", "--no-open"]) == 0
    assert main(["draw", "net:loss", "-o", "a.dot"]) == 0
    assert opened == []
    assert main(["explore", "net:loss"]) == 0
    assert opened == [(folder / "loss.html").as_uri()]


def test_a_terminal_is_told_what_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["explore", "net:loss", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["explore", "net:loss"]) == 0
    assert capsys.readouterr().err.splitlines() == ["running net:loss …", "writing a page of 3 nodes …"]


def test_the_installed_command_finds_modules_of_the_current_folder() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "autograd_bn", "draw", "net:loss", "-o", "a.dot"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "written: a.dot\n")

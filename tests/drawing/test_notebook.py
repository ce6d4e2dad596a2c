"""What a notebook shows of a tensor, a graph, a module and a drawing: quickly, and text whatever goes wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.drawing import engines, layout, notebook
from tests.drawing.conftest import batch_norm

needs_engine = pytest.mark.skipif(not engines(), reason="no layout engine is installed")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(layout, "_pygraphviz", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))


@needs_engine
def test_a_tensor_shows_its_values_and_its_small_graph() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x<&")
    y = x * 3.0
    shown = y._repr_mimebundle_()
    assert shown["text/plain"] == repr(y)
    page = shown["text/html"]
    assert page.startswith("<pre>tensor([3., 6.], made_by=mul)</pre>")
    drawing = ElementTree.fromstring(page[page.index("<svg") : page.index("</details>")])
    assert len([g for g in drawing.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "node"]) == 2
    assert "x<&" in [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "graph of 2 nodes" in page


def test_leaves_constants_and_results_of_large_graphs_show_their_values_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "graph", lambda x: pytest.fail("a graph was made"))
    x = y = ab.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(notebook.SMALL):
        y = y * 2.0
    for shown in (x, y, ab.tensor([1.0]), x.detach() * 2.0):
        assert shown._repr_mimebundle_() == {"text/plain": repr(shown)}


@needs_engine
def test_a_graph_shows_its_picture_and_its_text() -> None:
    g = ab.graph(batch_norm())
    shown = g._repr_mimebundle_()
    assert set(shown) == {"text/plain", "image/svg+xml"}
    assert shown["text/plain"] == str(g)
    assert shown["image/svg+xml"].startswith("<?xml")
    assert set(g._repr_mimebundle_(exclude=["text/plain"])) == {"image/svg+xml"}
    assert set(g._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}


def test_a_large_graph_shows_its_summary() -> None:
    y = ab.tensor([1.0, 2.0], requires_grad=True)
    for i in range(notebook.DRAWN):
        y = y * float(i)
    g = ab.graph(y)
    assert g._repr_mimebundle_() == {"text/plain": g.summary()}


@needs_engine
def test_a_large_graph_of_scopes_shows_them_closed() -> None:
    y = ab.tensor([1.0, 2.0], requires_grad=True)
    for i in range(10):
        with ab.scope("layer"):
            for j in range(20):
                y = y * float(20 * i + j)
    shown = ab.graph(y)._repr_mimebundle_()
    assert shown["text/plain"] == ab.graph(y).summary()
    assert shown["image/svg+xml"].count("20 operations") == 10


@needs_engine
def test_a_large_graph_that_repeats_itself_is_shown_folded() -> None:
    y = ab.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(notebook.DRAWN):
        y = y * 2.0
    assert f"×{notebook.DRAWN}" in ab.graph(y)._repr_mimebundle_()["image/svg+xml"]


def test_a_module_shows_a_table_of_its_parts() -> None:
    model = ab.nn.Sequential(ab.nn.Linear(4, 3, bias=False), ab.nn.BatchNorm1d(3), ab.nn.Sigmoid())
    shown = model._repr_mimebundle_()
    assert shown["text/plain"] == repr(model)
    table = shown["text/html"]
    assert table.count("<tr>") == 1 + 4
    assert "Sequential, 18 parameters" in table
    assert "weight (3, 4)<td>12" in table
    assert "weight (3,), bias (3,)<td>6" in table


def test_without_an_engine_everything_is_text(no_engine: None) -> None:
    y = batch_norm()
    assert y._repr_mimebundle_() == {"text/plain": repr(y)}
    assert ab.graph(y)._repr_mimebundle_() == {"text/plain": str(ab.graph(y))}
    assert "pip install pygraphviz" in str(ab.draw(y)._repr_mimebundle_()["text/plain"])


def test_whatever_goes_wrong_in_a_picture_the_values_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(x: object) -> None:
        raise RecursionError

    monkeypatch.setattr(notebook, "graph", broken)
    y = batch_norm()
    assert y._repr_mimebundle_() == {"text/plain": repr(y)}


def test_tensors_inside_transforms_show_their_text() -> None:
    seen: list[dict[str, str]] = []

    def f(v: ab.Tensor) -> ab.Tensor:
        seen.append((v * 2.0)._repr_mimebundle_())
        return v.sum()

    ab.vmap(f)(np.ones((2, 3)))
    ab.jvp(f, (np.ones(3),), (np.ones(3),))
    assert [set(shown) for shown in seen] == [{"text/plain"}] * 2


def test_nothing_of_drawing_is_imported_before_something_is_shown() -> None:
    loaded = "print('autograd_bn.drawing' in sys.modules)"
    code = f"import sys, autograd_bn as ab; {loaded}; ab.ones(2)._repr_mimebundle_(); {loaded}"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split() == ["False", "True"]

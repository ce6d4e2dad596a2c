"""The published figure: twelve circles, twenty-eight arrows, the texts and the places, on every engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import graph
from autograd_bn.drawing import draw
from autograd_bn.drawing.match import find_batch_norm
from tests.drawing.conftest import Layout, batch_norm

FORWARD = {
    ("x", "centred"),
    ("x", "mean"),
    ("mean", "centred"),
    ("centred", "normalized"),
    ("centred", "squared"),
    ("squared", "variance"),
    ("variance", "root"),
    ("root", "inverse"),
    ("inverse", "normalized"),
    ("normalized", "scaled"),
    ("gamma", "scaled"),
    ("scaled", "out"),
    ("beta", "out"),
    ("out", "out_text"),
}
TOP = ["x", "centred", "normalized", "scaled", "out"]
LOWER = ["mean", "squared", "variance", "root", "inverse"]
LABELS = {
    "x": "x",
    "centred": "−",
    "normalized": "*",
    "scaled": "*",
    "out": "+",
    "mean": "1/N Σ",
    "squared": "**2",
    "variance": "1/N Σ",
    "root": "√(x+ε)",
    "inverse": "1/x",
    "gamma": "γ",
    "beta": "β",
}


def laid_out(engine: Any, **options: Any) -> Layout:
    return Layout(draw(batch_norm(**options), style="classic"), engine)


def test_twelve_white_circles_with_a_black_outline(engine: Any) -> None:
    circles = {name: node for name, node in laid_out(engine).nodes.items() if node["shape"] == "circle"}
    assert {name: node["label"] for name, node in circles.items()} == LABELS
    assert {(node["fillcolor"], node["color"], node["style"]) for node in circles.values()} == {("white", "black", "filled")}


def test_fourteen_black_arrows_each_with_a_red_twin_the_other_way(engine: Any) -> None:
    edges = laid_out(engine).edges
    assert len(edges) == 28
    assert {(tail, head) for tail, head, e in edges if e["color"] == "black"} == FORWARD
    assert {(head, tail) for tail, head, e in edges if e["color"] == "red"} == FORWARD


def test_rows_and_columns_are_those_of_the_figure(engine: Any) -> None:
    layout = laid_out(engine)
    place = {name: layout.position(name) for name in LABELS}
    assert len({round(place[name][1]) for name in TOP}) == 1
    assert len({round(place[name][1]) for name in LOWER}) == 1
    assert place["x"][1] > place["mean"][1] > place["gamma"][1] > place["beta"][1]
    across = ["x", "mean", "centred", "squared", "variance", "root", "inverse", "normalized", "scaled", "out"]
    assert sorted(across, key=lambda name: place[name][0]) == across
    assert place["gamma"][0] == pytest.approx(place["x"][0], abs=0.5)
    assert place["beta"][0] == pytest.approx(place["x"][0], abs=0.5)
    gaps = {pair: place[pair[1]][0] - place[pair[0]][0] for pair in [("centred", "normalized"), ("normalized", "scaled")]}
    assert gaps["centred", "normalized"] > 4 * gaps["normalized", "scaled"]


def test_arrows_are_straight_and_twins_apart(engine: Any) -> None:
    layout = laid_out(engine)
    ways = {}
    for tail, head, edge in layout.edges:
        tip, *points = edge["pos"].split()
        assert tip.startswith("e,")
        ways[tail, head] = np.array([[float(c) for c in p.removeprefix("e,").split(",")] for p in [*points, tip]])
    for (tail, head), way in ways.items():
        turned = "gamma" in (tail, head) or "beta" in (tail, head)
        pieces = [way[:4], way[3:]] if turned else [way]
        for piece in pieces:
            along = piece - piece[0]
            cross = along[:, 0] * along[-1, 1] - along[:, 1] * along[-1, 0]
            np.testing.assert_allclose(cross / np.linalg.norm(along[-1]), 0.0, atol=0.3)
        # The corners, start and end, of twins run the other way, ten points apart.
        twin = ways[head, tail]
        gap = abs(np.linalg.det(np.stack([way[3] - way[0], twin[-1] - way[0]]))) / np.linalg.norm(way[3] - way[0])
        assert gap == pytest.approx(10.0, abs=0.5)


def test_gamma_and_beta_run_level_and_then_up_at_45_degrees(engine: Any) -> None:
    for tail, _, edge in laid_out(engine).edges:
        if tail in ("gamma", "beta"):
            points = [tuple(float(c) for c in p.split(",")) for p in edge["pos"].split()[1:]]
            assert points[0][1] == pytest.approx(points[3][1], abs=0.3)
            assert points[-1][0] - points[3][0] == pytest.approx(points[-1][1] - points[3][1], abs=0.5)


def test_shapes_stand_over_and_names_beside_the_circles(engine: Any) -> None:
    layout = laid_out(engine, rows=60, columns=100)
    texts = {name: (node["label"], node.get("fontcolor", "black")) for name, node in layout.nodes.items() if node["shape"] == "plaintext"}
    for role, shape, size in [("x", "(N,D)", "(60, 100)"), ("out", "(N,D)", "(60, 100)"), ("gamma", "(D,)", "(100,)"), ("beta", "(D,)", "(100,)")]:
        assert texts[f"{role}_shape"] == (shape, "black")
        assert size in texts[f"{role}_size"][0]
        assert layout.position(f"{role}_shape")[0] == layout.position(role)[0]
        assert layout.position(f"{role}_shape")[1] > layout.position(role)[1]
    for role, name in [("x", "x"), ("gamma", "γ"), ("beta", "β")]:
        assert texts[f"{role}_name"] == (name, "black")
        assert texts[f"{role}_gradient"] == (f"d{name}", "red")
        assert layout.position(f"{role}_name")[0] < layout.position(role)[0]
        assert layout.position(f"{role}_name")[1] > layout.position(f"{role}_gradient")[1]
    assert texts["out_text"] == ("out", "black")
    assert texts["out_gradient"] == ("dout", "red")
    assert layout.position("out_text")[0] > layout.position("out")[0]
    assert layout.position("out_text")[1] > layout.position("out_gradient")[1]


def test_the_figure_does_not_depend_on_names_or_values(engine: Any) -> None:
    assert {n: o["label"] for n, o in laid_out(engine, names=("a", "b", "c"), backward=True, eps=0.1).nodes.items() if n in LABELS} == LABELS


def by_hand(x: ab.Tensor, gamma: ab.Tensor, beta: ab.Tensor) -> ab.Tensor:
    centred = x - x.mean(0)
    return beta + gamma * ((1.0 / ab.sqrt(1e-3 + (centred**2).mean(0))) * centred)


def leaves(columns: int = 3) -> tuple[ab.Tensor, ab.Tensor, ab.Tensor]:
    x = ab.tensor(np.random.default_rng(0).standard_normal((5, columns)), requires_grad=True)
    return x, ab.tensor(np.ones(columns), requires_grad=True), ab.tensor(np.zeros(columns), requires_grad=True)


def test_the_same_lines_typed_by_hand_make_the_same_figure() -> None:
    found = find_batch_norm(graph(by_hand(*leaves())))
    assert [node.label for node in (found.centred, found.squared, found.variance, found.root, found.inverse)] == ["−", "**2", "1/N Σ", "√", "1/x"]
    assert draw(by_hand(*leaves()), style="classic").source.count("->") == 28


def test_a_batch_norm_is_found_inside_a_larger_graph() -> None:
    assert draw((batch_norm() * 2.0).sum(), style="classic").source.count("->") == 28


def test_where_the_graph_ends_in_a_batch_norm_that_one_is_drawn() -> None:
    x, gamma, beta = leaves()
    first = ab.nn.functional.batch_norm(x, gamma, beta)
    second = ab.nn.functional.batch_norm(ab.tanh(first), gamma, beta)
    assert find_batch_norm(graph(second)).x.label == "tanh"
    with pytest.raises(DrawingError, match="2"):
        draw(second.sum(), style="classic")


def test_no_gradient_is_drawn_back_to_a_constant() -> None:
    x, gamma, beta = leaves()
    source = draw(ab.nn.functional.batch_norm(x, gamma.detach(), beta), style="classic").source
    assert "gamma -> scaled" in source
    assert "scaled -> gamma" not in source
    assert "dγ" not in source


def batch_norm_of(x: ab.Tensor, mean: ab.Tensor, gamma: ab.Tensor, beta: ab.Tensor) -> ab.Tensor:
    centred = x - mean
    return centred * (1.0 / ab.sqrt((centred**2).mean(0) + 1e-5)) * gamma + beta


def refusal(y: ab.Tensor) -> str:
    with pytest.raises(DrawingError, match="style='classic'") as caught:
        draw(y, style="classic")
    return str(caught.value)


def test_other_graphs_are_refused_with_the_difference() -> None:
    x, gamma, beta = leaves()
    mean = x.mean(0)
    centred = x - mean
    assert "none of its" in refusal(x * 2.0)
    assert "x̂ should be mul" in refusal(gamma * x + beta)
    assert "should be pow" in refusal(centred * (1.0 / ab.sqrt(ab.abs(centred).mean(0) + 1e-5)) * gamma + beta)
    assert "(x − μ)**2" in refusal(centred * (1.0 / ab.sqrt((centred**4).mean(0) + 1e-5)) * gamma + beta)
    assert "(x − μ)**2" in refusal(centred * (1.0 / ab.sqrt((x**2).mean(0) + 1e-5)) * gamma + beta)
    assert "not the mean of the x" in refusal(batch_norm_of(x, (x * 2.0).mean(0), gamma, beta))
    assert "β has shape (5, 3)" in refusal(batch_norm_of(x, mean, gamma, x * 3.0))
    assert "not 1 over" in refusal(centred * (2.0 / ab.sqrt((centred**2).mean(0) + 1e-5)) * gamma + beta)


def test_a_layer_norm_and_an_image_are_refused() -> None:
    x, gamma, beta = leaves()
    centred = x - x.mean(1, keepdims=True)
    assert "axes (1,)" in refusal(centred * (1.0 / ab.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)) * gamma + beta)
    image = ab.tensor(np.random.default_rng(0).standard_normal((2, 3, 4, 4)), requires_grad=True)
    assert "(2, 3, 4, 4)" in refusal(ab.nn.functional.batch_norm(image, gamma, beta))

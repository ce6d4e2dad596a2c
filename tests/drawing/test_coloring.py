"""Colours: each box by its quantity, on a scale with a legend; what is unknown, zero or not finite is told apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import graph
from autograd_bn.drawing.coloring import Coloring, metric_named
from autograd_bn.drawing.themes import theme_named
from autograd_bn.drawing.view import View, closed, whole
from tests.drawing.conftest import Layout, batch_norm, network, words

THEMES = ("light", "dark", "print", "colorblind")


def colored(y: Any, color: Any = "gradient", theme: str = "light", depth: int | None = None) -> tuple[View, Coloring]:
    view = whole(graph(y))
    view = view if depth is None else closed(view, depth)
    return view, Coloring(view, metric_named(color), theme_named(theme))


def product(scale: float) -> ab.Tensor:
    """A chain of leaves and products whose gradients differ by a factor."""
    x = ab.tensor([1.0], requires_grad=True, name="x")
    with ab.record():
        y = x * scale
        z = y * 1.0
        z.backward()
    return z


def test_a_box_has_the_colour_of_its_gradients_norm(engine: Any) -> None:
    y = batch_norm(backward=True)
    view, coloring = colored(y)
    layout = Layout(ab.draw(y, color="gradient"), engine)
    for node in view.graph.nodes:
        assert node.gradient is not None
        assert coloring.of(view.boxes[node.index]) == [pytest.approx(float(np.linalg.norm(node.gradient)))]
        assert layout.nodes[f"n{node.index}"]["fillcolor"] == coloring.fill(coloring.node(node.index))


def test_less_is_fainter_in_every_theme() -> None:
    for name in THEMES:
        _, coloring = colored(product(1e-6), theme=name)
        paper = theme_named(name).paper
        shades = [coloring.fill(10.0**i) for i in range(-6, 1)]
        apart = [sum(abs(int(a[i : i + 2], 16) - int(paper[i : i + 2], 16)) for i in (1, 3, 5)) for a in shades if a is not None]
        assert apart == sorted(apart)
        assert len(set(shades)) == 7


def test_a_small_difference_does_not_look_like_a_large_one() -> None:
    _, coloring = colored(product(0.5))
    assert coloring.high - coloring.low >= 3
    _, coloring = colored(product(1e-9))
    assert (coloring.low, coloring.high) == (-9, 0)


def test_a_vanishing_gradient_fades_where_batch_norm_keeps_it() -> None:
    def shares(normalised: bool) -> list[float]:
        view, coloring = colored([network(12, normalised=False), network(12, normalised=True)], depth=1)
        boxes = [box for box in view.boxes if box.title is not None and "Block" in box.title]
        of = [coloring.of(box)[0] or 0.0 for box in boxes][12 if normalised else 0 :][:12]
        return [(math.log10(x) - coloring.low) / (coloring.high - coloring.low) for x in of]

    plain, kept = shares(False), shares(True)
    assert plain == sorted(plain)
    assert plain[0] < 0.1 < 0.7 < min(kept)


def test_where_nothing_was_recorded_there_is_no_scale_and_the_legend_says_what_to_do(engine: Any) -> None:
    y = ab.tensor([1.0, 2.0], requires_grad=True, name="x") * 3.0
    view, coloring = colored(y)
    assert [coloring.of(box) for box in view.boxes] == [[None], [None]]
    assert "norm of the gradient: nothing was recorded, see ab.record()" in words(ab.draw(y, color="gradient"), engine)
    assert "BGCOLOR" not in coloring.legend() and "BGCOLOR" in colored(product(0.5))[1].legend()


def test_not_computed_zero_and_not_finite_are_told_apart(engine: Any) -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record(), np.errstate(all="ignore"):
        dead = (x * 0.0).sum()
        dead.backward()
        wild = (ab.tensor([0.0], requires_grad=True, name="w") ** -1.0).sum()
        wild.backward()
        later = ab.tensor([1.0], requires_grad=True, name="v") * 2.0
    drawing = ab.draw([dead, wild, later], color="gradient")
    shown = words(drawing, engine)
    assert {"exactly 0", "NaN or ∞", "norm of the gradient (— not computed)"} <= set(shown)
    assert shown.count("—") == 2
    theme = theme_named("light")
    layout = Layout(drawing, engine)
    fills = {node.index: layout.nodes[f"n{node.index}"]["fillcolor"] for node in graph(dead, wild, later).nodes}
    names = {node.name: node.index for node in graph(dead, wild, later).nodes if node.kind == "leaf"}
    assert [fills[names[name]] for name in "xwv"] == [theme.zero, theme.alarm, theme.paper]


def test_of_a_closed_scope_the_result_counts_or_the_total() -> None:
    y = batch_norm(backward=True)
    for color, expected in [
        ("gradient", float(np.linalg.norm(graph(y).nodes[graph(y).outputs[0]].gradient))),  # type: ignore[arg-type]
        ("bytes", 8.0 * (5 * 12 + 5 * 3)),
        ("nonfinite", 0.0),
    ]:
        view, coloring = colored(y, color, depth=0)
        (box,) = [box for box in view.boxes if box.title == "batch_norm"]
        assert coloring.of(box) == [pytest.approx(expected)]


def test_the_parameters_of_a_closed_module_have_their_own_colours(engine: Any) -> None:
    y = network(3)
    weights = [node for node in graph(y).nodes if node.name == "W"]
    shown = words(ab.draw(y, depth=1, color="gradient"), engine)
    for node in weights:
        assert node.gradient is not None
        assert f"W  {np.linalg.norm(node.gradient):.3g}".replace("-", "−") in shown


def test_repetitions_are_cells_in_a_strip(engine: Any) -> None:
    y = network(7)
    drawing = ab.draw(y, depth=1, color="gradient", fold=True)
    (label,) = [line for line in drawing.source.splitlines() if "Block ×7" in line]
    cells = [row.count("BGCOLOR") for row in label.split("<TABLE")]
    assert cells.count(7) == 3  # the block's result, W and b
    assert "Block ×7" in words(drawing, engine)


def test_anything_can_be_measured(engine: Any) -> None:
    def rank(node: ab.GraphNode) -> float | None:
        return None if node.shape is None else float(len(node.shape))

    shown = words(ab.draw(batch_norm(), color=rank), engine)
    assert "rank" in shown
    assert {"1", "2"} <= set(shown)


def test_the_name_of_what_is_measured_comes_out_as_typed(engine: Any) -> None:
    assert "<lambda>" in words(ab.draw(batch_norm(), color=lambda node: 1.0), engine)


def test_time_is_of_the_operation_and_its_rule(engine: Any) -> None:
    y = batch_norm(backward=True)
    view, coloring = colored(y, "seconds")
    seconds = [coloring.of(box)[0] for box in view.boxes if view.graph.nodes[box.key].kind == "operation"]
    assert all(x is not None and x > 0 for x in seconds)
    assert any("µs" in word or "ms" in word for word in words(ab.draw(y, color="seconds"), engine))


def test_bytes_are_those_of_the_values(engine: Any) -> None:
    x = ab.tensor(np.zeros((1000, 500), np.float32), requires_grad=True, name="x")
    shown = words(ab.draw(x * 2.0, color="bytes"), engine)
    assert shown.count("2 MB") == 2


def test_a_wrong_name_is_refused_with_the_list() -> None:
    with pytest.raises(DrawingError, match="'gradient', 'value', 'nonfinite', 'bytes'"):
        ab.draw(batch_norm(), color="heat")  # type: ignore[arg-type]
    with pytest.raises(DrawingError, match="'light', 'dark', 'print', 'colorblind'"):
        ab.draw(batch_norm(), theme="blue")  # type: ignore[arg-type]

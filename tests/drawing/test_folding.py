"""Folding: repetitions are drawn once with their count, and nothing that is not a repetition is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.graph import graph
from autograd_bn.drawing.folding import folded
from autograd_bn.drawing.view import View, closed, whole, without_constants
from tests.drawing.conftest import Layout, network, words


def copies(view: View) -> dict[str, int]:
    """How often each folded cluster or closed scope stands for one."""
    found = {cluster.name: cluster.copies for cluster in view.clusters if cluster.copies > 1}
    return found | {box.title: box.repeats for box in view.boxes if box.title is not None and box.repeats > 1}


def chain(step: Callable[[Any, int], Any], count: int) -> View:
    """The view of a chain, each step in a scope."""
    y = x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    for i in range(count):
        with ab.scope("step"):
            y = step(y, i)
    return whole(graph(y + x))


def test_a_chain_of_modules_is_one_with_a_count() -> None:
    view = folded(whole(graph(network(12))))
    assert copies(view) == {"Block": 12}
    drawn = {node for box in view.boxes for node in box.nodes}
    also = [node for box in view.boxes for copy in box.copies for node in copy]
    assert drawn.isdisjoint(also)
    assert sorted([*drawn, *also]) == list(range(len(view.graph.nodes)))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_folding_comes_after_closing_at_any_depth(depth: int) -> None:
    assert copies(folded(closed(whole(graph(network(5))), depth)))["Block"] == 5


def test_two_scopes_in_turn_are_folded_together() -> None:
    rng = np.random.default_rng(0)
    layers = [layer for _ in range(6) for layer in (ab.nn.Linear(3, 3, rng=rng), ab.nn.Sigmoid())]
    model = ab.nn.Sequential(ab.nn.Linear(5, 3, rng=rng), *layers)
    view = folded(closed(whole(graph(model(ab.tensor(np.ones((2, 5), np.float32))))), 1))
    assert [cluster.copies for cluster in view.clusters if cluster.copies > 1] == [6]
    boxes = [(box.title, len(box.copies) + 1, box.repeats) for box in view.boxes if box.title is not None]
    assert boxes == [("0: Linear", 1, 1), ("Linear", 6, 1), ("Sigmoid", 6, 1)]  # the six are of the cluster around both


def test_each_copy_stands_place_by_place_for_the_same_operation() -> None:
    view = folded(whole(graph(network(4, normalised=True))))
    nodes = view.graph.nodes
    for box in view.boxes:
        for copy in box.copies:
            assert [nodes[i].primitive for i in copy] == [nodes[i].primitive for i in box.nodes]
            assert [nodes[i].shape for i in copy] == [nodes[i].shape for i in box.nodes]
    assert any(box.copies for box in view.boxes)


@pytest.mark.parametrize(
    "step",
    [
        lambda y, i: y * 2.0 if i % 2 else y + 2.0 + i,  # other operations
        lambda y, i: y * float(i),  # other numbers
        lambda y, i: ab.permute_dims(y, (1, 0)),  # other shapes
    ],
)
def test_what_differs_is_not_folded(step: Any) -> None:
    y = ab.tensor([[1.0, 2.0]], requires_grad=True, name="x")
    for i in range(3):
        with ab.scope("step"):
            y = step(y, i)
    assert copies(folded(whole(graph(y)))) == {}


def test_a_run_ends_where_the_wiring_changes() -> None:
    first, second = (ab.tensor([1.0, 0.0], requires_grad=True, name=name) for name in ("first", "second"))
    y = first + second
    for i in range(4):
        with ab.scope("step"):
            y = y * (first if i < 3 else second)
    assert copies(folded(whole(graph(y)))) == {"step": 3}


def test_what_is_wired_otherwise_is_not_folded() -> None:
    x = ab.tensor([1.0], requires_grad=True, name="x")
    made = [x, x + 1.0]
    for _ in range(4):
        with ab.scope("step"):
            made.append(made[-1] * made[-2])
    assert copies(folded(whole(graph(made[-1])))) == {}


def test_what_all_repetitions_use_stays_one_arrow() -> None:
    mask = ab.tensor([1.0, 0.0], requires_grad=True, name="mask")
    view = folded(chain(lambda y, i: y * mask, 5))
    assert copies(view) == {"step": 5}
    (arrow,) = [arrow for arrow in view.arrows if view.graph.nodes[arrow.value].name == "mask"]
    assert len(arrow.copies) == 4


def test_repetitions_within_repetitions_are_folded_from_the_inside() -> None:
    @ab.composite
    def inner(y: Any) -> Any:
        return ab.sin(y)

    view = folded(chain(lambda y, i: inner(inner(inner(y))), 4))
    assert copies(view) == {"step": 4, "inner": 3}
    assert [len(box.copies) for box in view.boxes] == [0, 11, 0]


def test_single_operations_are_not_folded() -> None:
    y = ab.tensor([1.0], requires_grad=True, name="x")
    for _ in range(5):
        y = y * 2.0
    view = whole(graph(y))
    assert folded(view) == view


def test_what_leaves_the_last_repetition_leaves_the_folded_one(engine: Any) -> None:
    view = folded(without_constants(closed(whole(graph(network(5))), 1)))
    block, last = (box for box in view.boxes if box.title is not None)
    assert next((arrow.source, arrow.target) for arrow in view.arrows) == (block.key, last.key)
    assert view.results()[block.key] == block.nodes[-1:]
    layout = Layout(ab.draw(network(5), depth=1, fold=True), engine)
    assert [node.get("peripheries") for node in layout.nodes.values()].count("2") == 1


def test_the_numbers_of_repetitions_are_a_range(engine: Any) -> None:
    shown = words(ab.draw(network(5), depth=1, fold=True), engine)
    assert "Block ×5" in shown
    (text,) = [text for text in shown if text.startswith("dW = ") and "…" in text]
    weights = [node for node in graph(network(5)).nodes if node.name == "W" and node.shape == (8, 8)]
    norms = sorted(np.linalg.norm(node.gradient) for node in weights if node.gradient is not None)
    assert text == f"dW = ‖·‖ {norms[0]:.3g} … {norms[-1]:.3g}".replace("-", "−")


def test_folding_a_long_network_does_not_recurse() -> None:
    assert copies(folded(chain(lambda y, i: ab.sqrt(y * y + 1.0), 3000))) == {"step": 3000}

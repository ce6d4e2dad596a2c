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


def test_single_operations_are_not_folded_unless_they_are_steps_of_a_loop() -> None:
    x = ab.tensor([1.0], requires_grad=True, name="x")
    y = x * 2.0
    y = y * 2.0
    y = y * 2.0
    view = whole(graph(y))
    assert folded(view) == view
    apart = whole(graph([x * 2.0 for _ in range(5)]))  # none takes from the one before
    assert folded(apart) == apart


def test_the_steps_of_a_loop_without_scopes_are_one(engine: Any) -> None:
    x, w = ab.tensor([1.0, 2.0], requires_grad=True, name="x"), ab.tensor([0.5, 0.25], requires_grad=True, name="w")
    with ab.record():
        y = x
        for _ in range(5):
            y = ab.tanh(y * w)
        y.sum().backward()
    drawing = ab.draw(y, fold=True)
    assert [len(box.copies) for box in folded(whole(graph(y))).boxes] == [0, 0, 4, 4]
    assert {"×5", "dw₁ … dw₅"} <= set(words(drawing, engine))
    assert any(text.startswith("dw = dw₁ + … + dw₅ = ") for text in words(drawing, engine))


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


def lstm_loop(x: Any) -> Any:
    cell, state = ab.nn.LSTMCell(3, 4, rng=0), None
    for t in range(x.shape[0]):
        state = cell(x[t], state)
    return state[0]


def gru_loop(x: Any) -> Any:
    cell, h, outputs = ab.nn.GRUCell(3, 4, rng=0), ab.zeros((2, 4), dtype="float32"), []
    for part in ab.unstack(ab.tanh(x) * 2.0):
        h = cell(part, h)
        outputs.append(h)
    return ab.stack(outputs)


def numbered_loop(x: Any) -> Any:
    h = ab.zeros((2, 3), dtype="float32")
    for t in range(x.shape[0]):
        with ab.scope(f"step {t}"):
            h = ab.tanh(x[t] + h)
    return h


RECURRENT: dict[str, Callable[[Any], Any]] = {
    "RNN": lambda x: ab.nn.RNN(3, 4, rng=0)(x)[1],
    "LSTM": lambda x: ab.nn.LSTM(3, 4, rng=0)(x)[0],
    "GRU": lambda x: ab.nn.GRU(3, 4, rng=0)(x)[0],
    "two layers": lambda x: ab.nn.GRU(3, 4, 2, rng=0)(x)[0],
    "BNLSTM": lambda x: ab.nn.BNLSTM(3, 4, x.shape[0], rng=0)(x)[0],
    "a loop over LSTMCell": lstm_loop,
    "a loop over GRUCell": gru_loop,
    "numbered scopes": numbered_loop,
}


@pytest.mark.parametrize("reduced", [lambda view: view, without_constants, lambda view: closed(view, 1), lambda view: closed(view, 2)], ids=range(4))
@pytest.mark.parametrize("name", RECURRENT)
def test_the_steps_of_a_loop_are_one(name: str, reduced: Callable[[View], View]) -> None:
    counts = []
    for length in (5, 9):
        x = ab.tensor(np.ones((length, 2, 3), np.float32), requires_grad=True, name="x")
        view = folded(reduced(whole(graph(RECURRENT[name](x)))))
        nodes = view.graph.nodes
        found = copies(view)
        repeated = {count for count in found.values() if count > 1}
        assert repeated == {length}
        counts.append((len(view.boxes), len(view.arrows)))
        for box in view.boxes:
            for copy in box.copies:
                assert [(nodes[i].primitive, nodes[i].shape) for i in copy] == [(nodes[i].primitive, nodes[i].shape) for i in box.nodes]
        drawn = [i for box in view.boxes for part in (box.nodes, *box.copies) for i in part]
        assert len(drawn) == len(set(drawn))
        left_out = {i for box in reduced(whole(view.graph)).boxes for i in box.nodes} - set(drawn)
        assert all(nodes[i].kind == "constant" for i in left_out)
    assert counts[0] == counts[1]  # a longer sequence draws no more


def test_the_arrows_of_a_folded_loop_are_those_of_one_step() -> None:
    x = ab.tensor(np.ones((6, 2, 3), np.float32), requires_grad=True, name="x")
    view = folded(whole(graph(ab.nn.RNN(3, 4, rng=0)(x)[0])))
    nodes, box = view.graph.nodes, {box.key: box for box in view.boxes}
    (steps,) = (b for b in view.boxes if b.title == "steps")
    (given,) = (arrow for arrow in view.arrows if arrow.source == steps.key)
    assert len(given.copies) == 5 and len(box[given.target].copies) == 5
    assert len(view.results()[steps.key]) == 6
    (joined,) = (arrow for arrow in view.arrows if nodes[arrow.target].primitive is not None and nodes[arrow.target].primitive.name == "concat")
    assert [edges[0].operand for edges in (joined.edges, *joined.copies)] == list(range(6))
    start = next(b for b in view.boxes if nodes[b.key].kind == "constant")
    assert start.cluster is not None and view.clusters[start.cluster].name == "RNN" and not start.copies


def test_each_direction_of_a_layer_is_one_run() -> None:
    x = ab.tensor(np.ones((6, 2, 3), np.float32), requires_grad=True, name="x")
    view = folded(whole(graph(ab.nn.LSTM(3, 4, bidirectional=True, rng=0)(x)[0])))
    assert [cluster.copies for cluster in view.clusters if cluster.copies > 1] == [6, 6]


def test_steps_that_take_from_different_places_are_not_folded() -> None:
    x, y = (ab.tensor(np.ones((2, 3), np.float32), requires_grad=True, name=name) for name in "xy")
    cell, h = ab.nn.RNNCell(3, 3, rng=0), x
    for part in (x, y, x + y, y * 2.0):
        h = cell(part, h)
    assert copies(folded(whole(graph(h)))) == {}


def test_what_is_small_once_it_is_folded_is_drawn_open(recwarn: pytest.WarningsRecorder) -> None:
    lstm = ab.nn.LSTM(4, 8, rng=0)
    short, long = (ab.draw(lstm, np.ones((length, 2, 4), np.float32), fold=True).source for length in (5, 50))
    assert "lstm_step" in long and long.count("->") == short.count("->")
    assert not recwarn

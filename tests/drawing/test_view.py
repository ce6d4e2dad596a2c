"""Views: one box a node at first, scopes closed to a depth, constants hidden; the boxes and arrows that are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import graph
from autograd_bn.drawing import notes
from autograd_bn.drawing.view import closed, whole, without_constants
from tests.drawing.conftest import Layout, batch_norm, network, words


def test_at_first_every_node_is_a_box_and_every_edge_an_arrow() -> None:
    g = graph(batch_norm())
    view = whole(g)
    assert [box.nodes for box in view.boxes] == [(i,) for i in range(len(g.nodes))]
    assert [arrow.edges for arrow in view.arrows] == [(edge,) for edge in g.edges]
    assert [cluster.name for cluster in view.clusters] == ["batch_norm"]


def test_a_closed_scope_is_one_box_with_its_own_inputs_and_result() -> None:
    view = closed(whole(graph(batch_norm())), 0)
    named = {view.graph.nodes[box.key].name if box.title is None else box.title: box for box in view.boxes}
    assert set(named) == {"x", "γ", "β", "batch_norm"}
    norm = named["batch_norm"]
    assert len(norm.nodes) == 10
    assert {(arrow.source, arrow.target, len(arrow.edges)) for arrow in view.arrows} == {
        (named["x"].key, norm.key, 2),  # x goes into two of its operations
        (named["γ"].key, norm.key, 1),
        (named["β"].key, norm.key, 1),
    }
    assert view.results()[norm.key] == (view.graph.outputs[0],)


def test_over_the_border_of_a_closed_scope_flows_the_sum() -> None:
    y = batch_norm(backward=True)
    view = closed(whole(graph(y)), 0)
    parts = notes.parts(view)
    for node in view.graph.nodes:
        if node.kind == "leaf":
            ((name, array, _),) = parts[node.index].values()
            assert name == f"d{node.name}"
            np.testing.assert_allclose(array, node.gradient, rtol=1e-12)


@pytest.mark.parametrize(("depth", "titles"), [(0, {"Sequential"}), (1, {"0: Block", "1: Block", "2: Linear"}), (2, {"linear: Linear", "linear"}), (9, set())])
def test_scopes_are_open_to_a_depth(depth: int, titles: set[str]) -> None:
    view = closed(whole(graph(network(2))), depth)
    assert {box.title for box in view.boxes} - {None} == titles
    inside = [node for box in view.boxes for node in box.nodes]
    assert sorted(inside) == list(range(len(view.graph.nodes)))


def test_the_parameters_of_a_closed_module_are_inside() -> None:
    view = closed(whole(graph(network(2))), 1)
    assert [view.graph.nodes[box.key].kind for box in view.boxes if box.title is None] == ["constant", "operation", "operation"]
    assert [sum(view.graph.nodes[i].kind == "leaf" for i in box.nodes) for box in view.boxes if box.title is not None] == [2, 2, 2]


def test_a_parameter_that_two_modules_use_stays_outside() -> None:
    first = ab.nn.Linear(3, 3, rng=0)
    second = ab.nn.Linear(3, 3, rng=0)
    second.weight = first.weight
    view = closed(whole(graph(second(first(ab.tensor(np.ones((2, 3), np.float32)))))), 0)
    assert [view.graph.nodes[box.key].name for box in view.boxes if box.title is None and view.graph.nodes[box.key].kind == "leaf"] == ["W"]


def test_constants_can_be_hidden() -> None:
    x, c = ab.tensor([1.0], requires_grad=True, name="x"), ab.tensor([2.0], name="c")
    y = x * c
    view = without_constants(whole(graph(y)))
    assert [view.graph.nodes[box.key].name for box in view.boxes] == ["x", "y"]
    assert [(arrow.source, arrow.value) for arrow in view.arrows] == [(0, 0)]
    assert [ab.draw(y, constants=shown).source.count("<I>c</I>") for shown in (True, False)] == [1, 0]


def test_a_closed_scope_says_what_it_is(engine: Any) -> None:
    drawing = ab.draw(network(2), depth=1)
    shown = words(drawing, engine)
    assert {"0: Block", "1: Block", "2: Linear"} <= set(shown)
    assert "4 operations, 72 parameters" in shown
    assert any(text.startswith("dW = ‖·‖ ") for text in shown)
    layout = Layout(drawing, engine)
    assert len(layout.clusters) == 1
    assert len(layout.nodes) == 6


def test_a_gradient_to_come_is_a_dash_in_a_closed_scope_too(engine: Any) -> None:
    with ab.record():
        y = batch_norm()
    shown = words(ab.draw(y, depth=0), engine)
    assert "dout = —" in shown
    assert not any("dout = 0" in text for text in shown)


def test_a_negative_depth_is_refused() -> None:
    with pytest.raises(DrawingError, match="depth=-1"):
        ab.draw(batch_norm(), depth=-1)


@pytest.mark.parametrize("text", ["<b>&amp;</b>", '"{}|\\N', "]]></script>", "trailing\\"])
def test_the_title_of_a_closed_scope_comes_out_as_typed(text: str, engine: Any) -> None:
    x = ab.tensor([1.0], requires_grad=True, name="x")
    with ab.scope(text):
        y = x * 1.0
    for options in ({"depth": 0}, {"depth": 0, "color": "bytes"}, {"formulas": True, "gradients": True}):
        assert text in words(ab.draw(y, **options), engine)  # type: ignore[arg-type]

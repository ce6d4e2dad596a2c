"""What a function or module is run to, for a drawing or a page."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DrawingError
from autograd_bn.drawing.target import graph_of, run_graph
from autograd_bn.drawing.view import closed, whole


def run(function: Any, *inputs: Any) -> ab.Graph:
    """The graph of a call, as draw and explore make it."""
    return graph_of(function, inputs, "draw(f, x)")


def test_a_result_of_one_number_is_differentiated() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    found = run_graph(lambda v: (v * v).sum(), (x,))
    assert found.nodes[0].gradient is not None
    np.testing.assert_array_equal(found.nodes[0].gradient, [2.0, 4.0])
    assert x.grad is None


def test_a_function_that_differentiates_by_itself_is_left_alone() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")

    def loss() -> ab.Tensor:
        y = (x * x).sum()
        y.backward(3.0)
        return y

    found = run_graph(loss, ())
    assert found.nodes[0].gradient is not None
    np.testing.assert_array_equal(found.nodes[0].gradient, [6.0, 12.0])
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), [6.0, 12.0])


def test_several_results_are_not_differentiated() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    found = run_graph(lambda v: [v.sum(), (v * v).sum()], (x,))
    assert len(found.outputs) == 2
    assert {node.gradient is None for node in found.nodes} == {True}


def test_an_array_becomes_a_leaf_with_the_name_of_the_parameter() -> None:
    found = run(lambda x, *more: (x * more[0] + more[1]).sum(), np.ones(2), 3.0, np.float32(2))
    leaves = {node.name: node.gradient for node in found.nodes if node.kind == "leaf"}
    assert set(leaves) == {"x", "more[0]", "more[1]"}
    np.testing.assert_array_equal(leaves["x"], [3.0, 3.0])  # type: ignore[arg-type]


def test_whole_numbers_and_tensors_stay_as_they_are() -> None:
    labels, x = np.array([0, 1]), ab.tensor(np.ones((2, 3)), name="data")
    w = ab.tensor(np.ones((2, 3)), requires_grad=True, name="w")
    found = run(lambda x, w, labels: (x * w)[np.arange(2), labels].sum(), x, w, labels)
    assert {node.name: node.kind for node in found.nodes if node.name is not None} == {"data": "constant", "w": "leaf"}


def test_what_a_caller_gives_is_no_parameter_of_a_module() -> None:
    view = closed(whole(run(ab.batch_norm, np.ones((3, 2)), np.ones(2), np.ones(2))), 0)
    assert [view.graph.nodes[box.key].name for box in view.boxes if box.title is None] == ["x", "gamma", "beta"]


def test_a_module_takes_what_its_forward_takes() -> None:
    found = run(ab.nn.Linear(3, 2, rng=0), np.ones((4, 3), np.float32))
    assert "x" in {node.name for node in found.nodes if node.kind == "leaf"}


def test_the_array_that_was_given_is_not_changed_or_shared() -> None:
    x = np.ones(2)

    def written(v: ab.Tensor) -> ab.Tensor:
        w = v * 1.0
        w[0] = 5.0
        return w.sum()

    run(written, x)
    assert x.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("inputs", [(), (1.0,), (1.0, 2.0, 3.0)])
def test_inputs_that_do_not_fit_are_refused_with_the_reason(inputs: tuple[float, ...]) -> None:
    def product(a: ab.Tensor, b: ab.Tensor) -> ab.Tensor:
        return a * b

    with pytest.raises(DrawingError, match=r"draw\(\) needs example inputs to run product: draw\(f, x\); .*argument"):
        ab.draw(product, *inputs)
    assert len(run(product, 1.0, 2.0).nodes) == 3


def test_inputs_are_for_what_can_be_run() -> None:
    x = ab.tensor([1.0], requires_grad=True)
    with pytest.raises(DrawingError, match="takes inputs for a function or a module, not for a Tensor"):
        ab.draw(x * 2.0, x)


def test_an_error_of_the_function_comes_through() -> None:
    def fails(x: ab.Tensor) -> ab.Tensor:
        raise TypeError("by itself")

    with pytest.raises(TypeError, match="by itself"):
        ab.draw(fails, 1.0)


def test_arrays_in_containers_become_leaves_named_by_where_they_are() -> None:
    parameters = {"w": [np.ones(2), np.ones(2)], "b": 0.5, "labels": np.array([0, 1])}
    found = run(lambda p, x: (p["w"][0] * p["w"][1] + p["b"] + ab.tensor(x)[p["labels"]]).sum(), parameters, [1.0, 2.0])
    leaves = {node.name: node.gradient for node in found.nodes if node.kind == "leaf"}
    assert set(leaves) == {"p['w'][0]", "p['w'][1]", "p['b']"}
    assert leaves["p['b']"] == 2.0
    assert parameters["b"] == 0.5


def test_a_transform_that_is_run_has_the_line_that_draws_it() -> None:
    source = ab.draw(ab.grad(ab.grad(lambda x: ab.tanh(x) * x)), 0.5).source
    assert set(re.findall(r'tooltip="(\w+\.py):', source)) == {"test_target.py"}

"""What a function or module is run to, for a drawing or a page."""

from __future__ import annotations

import numpy as np

import autograd_bn as ab
from autograd_bn.drawing.target import run_graph


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

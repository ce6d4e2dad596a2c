"""The graph of a backward pass: what it recorded is called after what it differentiated, in the same scopes, on the same lines."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab


def leaf(*values: float, name: str = "x") -> ab.Tensor:
    return ab.tensor(values, requires_grad=True, name=name)


def names(g: ab.Graph, order: int) -> list[str]:
    return [node.name for node in g.nodes if node.order == order and node.name is not None]


def recorded_batch_norm() -> tuple[ab.Graph, dict[str, Any]]:
    """The graph of the gradients of a batch norm, and its nodes by their names."""
    rng = np.random.default_rng(0)
    x = ab.tensor(rng.standard_normal((3, 2)), requires_grad=True, name="x")
    gamma, beta = leaf(1.0, 2.0, name="γ"), leaf(0.0, 1.0, name="β")
    with ab.record():
        out = ab.batch_norm(x, gamma, beta)
        out.backward(rng.standard_normal((3, 2)), create_graph=True)
    g = ab.graph(x.grad, gamma.grad)
    return g, {node.name: node for node in g.nodes if node.name is not None}


def test_the_backward_pass_of_batch_norm_has_the_names_of_the_figure() -> None:
    g, nodes = recorded_batch_norm()
    assert set(names(g, 1)) == {"dγx̂", "dx̂", "dγ", "dxμ₁", "divar", "dsqrtvar", "dsq", "dxμ₂", "dxμ", "dμ", "dx"}
    assert [node.name for node in (g.nodes[i] for i in g.outputs)] == ["dx", "dγ"]
    assert {g.nodes[i].name for i in nodes["dxμ"].inputs} == {"dxμ₁", "dxμ₂"}
    assert {g.nodes[i].name for i in nodes["dx̂"].inputs} == {"dγx̂", "γ"}


def test_what_is_called_a_gradient_is_that_gradient() -> None:
    _, nodes = recorded_batch_norm()
    for name in ("xμ", "sq", "sqrtvar", "ivar", "x̂"):
        np.testing.assert_allclose(nodes[f"d{name}"].value, nodes[name].gradient, rtol=1e-12)


def test_the_scopes_of_a_backward_pass_mirror_those_of_the_forward_pass() -> None:
    x = leaf(1.0)
    with ab.record():
        with ab.scope("outer"), ab.scope("inner"):
            y = ab.sin(x) * x
        z = ab.exp(y)
        z.backward(create_graph=True)
    places = {node.primitive.name: str(node.scope) for node in ab.graph(x.grad).nodes if node.order == 1 and node.primitive is not None}
    assert places["cos"] == "backward pass/outer/inner"
    assert places["add"] == "backward pass"  # where the gradients of x come together
    scopes = {node.scope.path()[0] for node in ab.graph(x.grad).nodes if node.order == 1 and node.scope is not None}
    assert len(scopes) == 1


def test_the_line_is_that_of_the_operation_that_was_differentiated() -> None:
    def function(x: Any) -> Any:
        return ab.sin(x)  # differentiated

    x = leaf(1.0)
    with ab.record():
        (function(x) * 2.0).sum().backward(create_graph=True)
    (cosine,) = [node for node in ab.graph(x.grad).nodes if node.primitive is not None and node.primitive.name == "cos"]
    assert cosine.line is not None
    assert cosine.line.number == inspect.getsourcelines(function)[1] + 1


def test_a_transform_names_its_backward_pass_too() -> None:
    def function(x: Any) -> Any:
        h = ab.tanh(x)
        return (h * x).sum()

    x = leaf(0.5, 1.0)
    with ab.record():
        g = ab.grad(function)(x)
    found = ab.graph(g)
    assert {"dh", "dx₁", "dx₂", "dx"} <= set(names(found, 1))
    assert found.nodes[found.outputs[0]].name == "dx"
    assert [node.name for node in found.nodes if node.order == 0] == ["x", "h"]


def test_a_second_derivative_is_of_the_second_order() -> None:
    def function(x: Any) -> Any:
        h = ab.tanh(x)
        return (h * x).sum()

    x = leaf(0.5)
    with ab.record():
        g = ab.grad(lambda v: ab.grad(function)(v).sum())(x)
    found = ab.graph(g)
    assert found.nodes[found.outputs[0]].name == "d²x"
    assert "dh" in names(found, 1)
    assert {"d²h", "d²x₁"} <= set(names(found, 2))
    roots = {node.scope.path()[0].name for node in found.nodes if node.order == 2 and node.scope is not None}
    assert roots == {"backward pass 2"}
    eps = 1e-6
    slopes = [ab.grad(function)(ab.tensor([0.5 + e])).item() for e in (-eps, eps)]
    np.testing.assert_allclose(found.nodes[found.outputs[0]].value, (slopes[1] - slopes[0]) / (2 * eps), rtol=1e-6)


def test_each_backward_pass_has_a_scope_of_its_own() -> None:
    w = leaf(0.5, name="w")
    with ab.record():
        for _ in range(3):
            w = w - 0.1 * ab.grad(lambda v: (ab.sin(v) * v).sum())(w)
    scopes = {node.scope.path()[0] for node in ab.graph(w).nodes if node.scope is not None}
    assert [scope.name for scope in scopes] == ["backward pass"] * 3


def test_a_penalty_on_a_gradient_is_forward_again() -> None:
    x = leaf(0.5, 1.0)
    with ab.record():
        y = (ab.sin(x)).sum()
        y.backward(create_graph=True)
        assert x.grad is not None
        penalty = (x.grad**2).sum()
    g = ab.graph(penalty)
    assert [node.order for node in g.nodes if node.name in ("penalty", "dx")] == [1, 0]
    x.grad = None
    with ab.record():
        penalty.backward(create_graph=True)
    assert x.grad is not None
    assert {node.order for node in ab.graph(x.grad).nodes} == {0, 1, 2}


def test_the_seed_is_called_a_gradient_and_has_its_value() -> None:
    x = leaf(2.0)
    with ab.record():
        y = x * x
        y.backward([3.0], create_graph=True)
    (seed,) = [node for node in ab.graph(x.grad).nodes if node.kind == "constant"]
    assert (seed.name, seed.order, str(seed.scope)) == ("dy", 1, "backward pass")
    np.testing.assert_array_equal(seed.value, [3.0])  # type: ignore[arg-type]


def test_a_seed_that_the_caller_computed_keeps_its_name() -> None:
    x, w = leaf(2.0), leaf(3.0, name="w")
    with ab.record():
        seed = w * 2.0
        y = x * 1.0 + x
        y.backward(seed, create_graph=True)
    g = ab.graph(x.grad)
    (found,) = [node for node in g.nodes if node.name == "seed"]
    assert (found.order, found.scope) == (0, None)
    assert g.nodes[g.outputs[0]].name == "dx"


def test_a_constant_operand_has_its_value() -> None:
    x, c = leaf(2.0), ab.tensor([5.0], name="c")
    with ab.record():
        y = x * c
    (constant,) = [node for node in ab.graph(y).nodes if node.kind == "constant"]
    np.testing.assert_array_equal(constant.value, [5.0])  # type: ignore[arg-type]
    assert (constant.name, constant.shape, constant.order) == ("c", (1,), 0)


def test_a_sweep_that_failed_leaves_nothing_behind() -> None:
    x = leaf(2.0)

    def fail(gradient: Any) -> Any:
        raise ValueError("no")

    with ab.record():
        y = x * x
        remove = x.register_hook(fail)
        with pytest.raises(ValueError, match="no"):
            y.backward(create_graph=True)
        remove()
        z = ab.sin(x)
        assert [node.order for node in ab.graph(z).nodes] == [0, 0]
        z.backward(create_graph=True)
    assert {node.order for node in ab.graph(x.grad).nodes} == {0, 1}


def test_nothing_is_named_outside_record() -> None:
    x = leaf(2.0)
    y = ab.sin(x) * x
    y.backward(create_graph=True)
    g = ab.graph(x.grad)
    assert {node.order for node in g.nodes} == {0}
    assert {node.scope for node in g.nodes} == {None}
    assert not any(str(node.name).startswith("d") for node in g.nodes)


def test_time_is_measured_forward_and_backward() -> None:
    x = ab.tensor(np.ones((300, 300)), requires_grad=True, name="x")
    with ab.record():
        y = x @ x
        forward = [node.seconds for node in ab.graph(y).nodes]
        y.sum().backward()
    assert forward[0] is None
    assert forward[1] is not None
    assert 0 < forward[1] < (ab.graph(y).nodes[1].seconds or 0.0)

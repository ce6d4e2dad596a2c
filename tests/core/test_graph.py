"""The graph of a record: nodes, names, edges, recorded values; any depth; nothing kept alive."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import GradientError, OperationError
from autograd_bn.core.graph import Graph, graph
from autograd_bn.core.node import Node


def leaf(*shape: int, name: str | None = None) -> ab.Tensor:
    return ab.tensor(np.arange(1.0, 1.0 + int(np.prod(shape))).reshape(shape), requires_grad=True, name=name)


def names(found: Graph) -> list[str]:
    return [node.primitive.name if node.primitive is not None else node.kind for node in found.nodes]


def test_operands_come_before_results_in_the_order_of_their_use() -> None:
    x, w = leaf(2, 3, name="x"), leaf(3, name="w")
    y = (x * w - x).sum()
    found = graph(y)
    assert names(found) == ["leaf", "leaf", "mul", "sub", "sum"]
    assert found.edges == ((0, 2, 0), (1, 2, 1), (2, 3, 0), (0, 3, 1), (3, 4, 0))
    assert found.outputs == (4,)
    assert [node.index for node in found.nodes] == list(range(5))
    assert [node.shape for node in found.nodes] == [(2, 3), (3,), (2, 3), (2, 3), ()]
    assert {node.dtype for node in found.nodes} == {np.dtype(float)}


def test_a_value_used_twice_is_one_node_with_an_edge_an_operand() -> None:
    x = leaf(2)
    assert graph(x * x).edges == ((0, 1, 0), (0, 1, 1))


def test_numbers_are_constants_of_the_operation_and_make_no_node() -> None:
    x = leaf(2, name="x")
    found = graph(1 / (x**2 + 1e-5))
    assert names(found) == ["leaf", "pow", "add", "div"]
    assert [node.constants for node in found.nodes] == [(), (None, 2), (None, 1e-5), (1, None)]
    assert [node.label for node in found.nodes] == ["x", "**2", "+", "1/x"]
    assert found.nodes[3].operands == (1,)
    assert found.edges[-1] == (2, 3, 1)


def test_constant_tensors_are_nodes_one_each() -> None:
    x, c = leaf(2), ab.tensor([1.0, 2.0], name="c")
    found = graph(x * c + c)
    assert [(n.kind, n.name, n.shape) for n in found.nodes if n.kind == "constant"] == [("constant", "c", (2,))]
    assert found.edges == ((0, 2, 0), (1, 2, 1), (2, 3, 0), (1, 3, 1))


def test_results_of_constants_are_anonymous_and_never_shared() -> None:
    x, a, b = leaf(2), ab.tensor([1.0, 2.0]), ab.tensor([3.0, 4.0])
    found = graph(x * (a + b) * (a - b))
    assert names(found).count("constant") == 2
    assert [node.label for node in found.nodes if node.kind == "constant"] == ["constant", "constant"]


def test_a_cut_says_what_ended_the_graph() -> None:
    x = leaf(2, name="x")
    (constant,) = (node for node in graph(x * x.detach()).nodes if node.kind == "constant")
    assert constant.cut == "detach()"
    assert constant.line is not None
    assert constant.line.file == __file__


def test_names_are_given_or_read_from_the_first_assignment() -> None:
    x = leaf(2)
    named = x + 1.0
    named.name = "given"
    stored = ab.tanh(named)
    both = stored * 2.0 + 1.0
    found = graph(both)
    assert [node.name for node in found.nodes] == [None, "given", "stored", None, "both"]


def test_a_name_belongs_to_the_last_operation_of_a_call() -> None:
    x = leaf(2)
    joined = ab.stack([x, x])
    found = graph(joined)
    assert len(found.nodes) > 2
    assert [node.name for node in found.nodes].count("joined") == 1
    assert found.nodes[-1].name == "joined"


def test_batch_norm_carries_the_names_of_the_figure() -> None:
    y = ab.nn.functional.batch_norm(leaf(4, 3, name="x"), leaf(3, name="γ"), leaf(3, name="β"))
    assert [node.name for node in graph(y).nodes] == ["x", "μ", "xμ", "sq", "var", None, "sqrtvar", "ivar", "x̂", "γ", "γx̂", "β", "out"]
    assert names(graph(y)) == ["leaf", "mean", "sub", "pow", "mean", "add", "sqrt", "div", "mul", "leaf", "mul", "leaf", "add"]


def test_scopes_and_lines_are_kept() -> None:
    x = leaf(2)
    with ab.scope("outer"), ab.scope("inner"):
        y = x + 1.0
    node = graph(y).nodes[-1]
    assert [scope.name for scope in node.scope.path()] == ["outer", "inner"]
    assert node.line.text == "y = x + 1.0"


def test_record_keeps_values_edge_cotangents_and_gradients() -> None:
    x, w = leaf(2, 3, name="x"), leaf(3, name="w")
    with ab.record():
        y = (3.0 * x * w).sum()
        y.backward()
    nodes = graph(y).nodes
    assert names(graph(y)) == ["leaf", "mul", "leaf", "mul", "sum"]
    np.testing.assert_array_equal(nodes[3].value, 3.0 * x.detach().numpy() * w.detach().numpy())
    np.testing.assert_array_equal(nodes[4].cotangents[0], np.ones((2, 3)))
    assert [c.shape for c in nodes[3].cotangents] == [(2, 3), (3,)]
    np.testing.assert_array_equal(nodes[3].cotangents[1], w.grad.numpy())
    np.testing.assert_array_equal(nodes[0].gradient, x.grad.numpy())
    assert len(nodes[1].cotangents) == len(nodes[1].inputs) == 1
    np.testing.assert_array_equal(nodes[1].cotangents[0], x.grad.numpy())


def test_cotangents_along_the_edges_sum_to_the_gradient() -> None:
    x = leaf(3, name="x")
    with ab.record():
        y = (x * x + ab.exp(x) - x).sum()
        y.backward()
    found = graph(y)
    total = sum(found.nodes[t].cotangents[found.nodes[t].operands.index(p)] for s, t, p in found.edges if s == 0)
    np.testing.assert_allclose(total, x.grad.numpy())


def test_without_record_nothing_is_kept() -> None:
    x = leaf(2)
    y = x * 2.0
    assert all(node.value is None and node.cotangents is None and node.gradient is None for node in graph(y).nodes)


def test_values_inside_transforms_are_plain_arrays() -> None:
    seen = []

    def f(x: ab.Tensor) -> ab.Tensor:
        y = x * x
        seen.append(graph(y))
        return y.sum()

    with ab.record():
        ab.grad(lambda x: ab.grad(f)(x).sum())(ab.tensor([1.0, 2.0]))
    assert [type(node.value) for node in seen[0].nodes if node.kind == "operation"] == [np.ndarray]


def test_several_outputs_and_containers() -> None:
    x = leaf(2)
    a, b = x + 1.0, x * 2.0
    found = graph((a, {"b": b}), a)
    assert found.outputs == (1, 2, 1)
    assert names(found) == ["leaf", "add", "mul"]


def test_nothing_recorded_is_an_error_that_says_where_it_was_cut() -> None:
    with pytest.raises(GradientError, match="requires_grad=True"):
        graph(ab.tensor([1.0]) + 1.0)
    with pytest.raises(GradientError, match=r"detach\(\)"):
        graph((leaf(2) * 2.0).detach())
    with pytest.raises(OperationError, match="float"):
        graph(1.0)


def test_a_long_chain_needs_no_recursion() -> None:
    x = leaf(2)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    found = graph(y)
    assert len(found) == 100_001
    assert all(node.inputs == (node.index - 1,) for node in found.nodes[1:])


def test_many_paths_are_visited_once() -> None:
    y = leaf(1)
    for _ in range(200):
        y = y * y
    assert len(graph(y)) == 201


def test_a_graph_keeps_no_tensor_and_no_node_alive() -> None:
    def alive() -> int:
        gc.collect()
        return sum(issubclass(type(x), (ab.Tensor, Node)) for x in gc.get_objects())  # isinstance asks other libraries' objects for their class

    before = alive()
    x = leaf(2)
    with ab.record():
        y = x * 2.0
        y.sum().backward()
    found = graph(y)
    assert alive() > before
    del x, y
    assert alive() == before
    np.testing.assert_array_equal(found.nodes[1].value, [2.0, 4.0])


def test_a_graph_is_immutable() -> None:
    x = leaf(2)
    with ab.record():
        y = x * 2.0
    found = graph(y)
    with pytest.raises(AttributeError):
        found.nodes = ()
    with pytest.raises(AttributeError):
        found.nodes[0].name = "other"
    with pytest.raises(ValueError, match="read-only"):
        found.nodes[1].value[0] = 5.0


def test_the_text_lists_every_node() -> None:
    x = leaf(2, 2, name="x")
    with ab.scope("block"):
        y = (x * 3.0).sum(axis=0)
    found = graph(y)
    lines = [" ".join(line.split()) for line in str(found).splitlines()]
    assert lines == [
        "%0 = leaf (2, 2) float64 x",
        "block:",
        "%1 = mul(%0, 3.0) (2, 2) float64",
        "%2 = sum(%1, axis=(0,), keepdims=False) (2,) float64 y",
        "return %2",
    ]
    assert str(found.nodes[1]) == "%1 = mul(%0, 3.0)  (2, 2) float64  in block"
    assert repr(found) == "<Graph of 3 nodes: 1 leaf, 2 operations>"
    assert found.summary().splitlines()[1] == "operations: mul, sum"

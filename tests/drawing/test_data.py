"""A graph as JSON: what it holds, how crowded clusters are divided, and that formulas are those of the rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import graph
from autograd_bn.drawing.data import CROWD, SCHEMA, SHOWN, graph_data, graph_json, summary
from tests.drawing.conftest import batch_norm


def data_of(y: ab.Tensor) -> Any:
    """What a reader of the JSON gets."""
    return json.loads(graph_json(graph(y)))


def called(data: Any, name: str) -> Any:
    (found,) = [node for node in data["nodes"] if node["called"] == name]
    return found


def test_every_node_edge_and_result_is_there() -> None:
    y = batch_norm(backward=True)
    g, data = graph(y), data_of(y)
    assert data["schema"] == SCHEMA
    assert [node["inputs"] for node in data["nodes"]] == [list(node.inputs) for node in g.nodes]
    assert [(edge["source"], edge["target"], edge["operand"]) for edge in data["edges"]] == [tuple(edge) for edge in g.edges]
    assert [node["shape"] for node in data["nodes"]] == [list(node.shape or ()) for node in g.nodes]
    assert data["outputs"] == list(g.outputs)


def test_values_gradients_and_cotangents_are_the_engines() -> None:
    y = batch_norm(backward=True)
    g, data = graph(y), data_of(y)
    arrays = [np.reshape(array["elements"], array["shape"]) for array in data["arrays"]]
    for node, shown in zip(g.nodes, data["nodes"], strict=True):
        np.testing.assert_array_equal(arrays[shown["value"]], node.value)
        np.testing.assert_array_equal(arrays[shown["gradient"]], node.gradient)
        if shown["sums"]:
            np.testing.assert_allclose(arrays[shown["sums"][-1]], node.gradient, rtol=1e-12)
    for edge, shown in zip(g.edges, data["edges"], strict=True):
        target = g.nodes[edge.target]
        assert target.cotangents is not None
        np.testing.assert_array_equal(arrays[shown["cotangent"]], target.cotangents[target.operands.index(edge.operand)])


def test_the_sum_over_a_border_is_that_of_its_edges() -> None:
    y = batch_norm(backward=True)
    g, data = graph(y), data_of(y)
    (crossing,) = data["crossings"]  # x goes into batch_norm twice
    assert g.nodes[crossing["source"]].name == "x"
    total = data["arrays"][crossing["cotangent"]]
    np.testing.assert_allclose(np.reshape(total["elements"], total["shape"]), g.nodes[crossing["source"]].gradient, rtol=1e-12)


def test_the_norm_of_numbers_whose_squares_overflow_or_vanish_is_right() -> None:
    for scale in (1e-200, 1.0, 1e200):
        found = summary(np.array([3.0, 4.0] * 4) * scale)
        assert [found[key] / scale for key in ("norm", "mean", "std")] == pytest.approx([10.0, 3.5, 0.5])
        assert found["text"] == f"‖·‖ {10 * scale:.3g}, mean {3.5 * scale:.3g}".replace("-", "−")
    assert summary(np.full(8, 1e308))["mean"] == 1e308


def test_before_backward_every_gradient_is_absent() -> None:
    with ab.record():
        y = batch_norm()
    data = data_of(y)
    assert data["recorded"] == {"values": True, "gradients": False}
    assert {node["gradient"] for node in data["nodes"]} == {None}
    assert {edge["cotangent"] for edge in data["edges"]} == {None}


def test_the_formulas_of_batch_norm_are_those_of_the_rules() -> None:
    data = data_of(batch_norm(rows=4, backward=True))
    formulas = {(edge["d"], edge["formula"]) for edge in data["edges"]}
    assert {("dxμ₁", "dx̂ · ivar"), ("divar", "dx̂ · xμ"), ("dsqrtvar", "−divar · ivar / sqrtvar"), ("dxμ₂", "dsq · 2 · xμ")} <= formulas
    assert {("dμ", "−dxμ"), ("dx₁", "dxμ"), ("dx₂", "dμ / 4"), ("dγ", "dγx̂ · x̂")} <= formulas
    assert called(data, "x̂")["formula"] == "xμ · ivar"
    assert called(data, "sqrtvar")["formula"] == "√v₅"


def test_a_formula_follows_its_rule() -> None:
    x = ab.tensor([0.5, 1.5], requires_grad=True, name="x")
    w = ab.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="W")
    for y, formula in [(ab.sin(x), "dy · cos(x)"), (ab.exp(x), "dy · y"), (ab.log(x), "dy / x"), (x**3, "dy · 3 · x²")]:
        assert [edge["formula"] for edge in data_of(y)["edges"]] == [formula.replace("dy", "dv₁").replace("y", "v₁")]
    z = w @ w
    assert [edge["formula"] for edge in data_of(z)["edges"]] == ["dz @ Wᵀ", "Wᵀ @ dz"]


@pytest.mark.parametrize("count", [CROWD + 1, 1700])
def test_a_crowd_is_divided_into_groups_within_groups(count: int) -> None:
    y = x = ab.tensor(1.0, requires_grad=True, name="x")
    for _ in range(count):
        y = y + x
    data = graph_data(graph(y))
    parts: dict[int | None, int] = {}
    for node in data["nodes"]:
        parts[node["cluster"]] = parts.get(node["cluster"], 0) + 1
    for cluster in data["clusters"]:
        assert cluster["group"]
        parts[cluster["parent"]] = parts.get(cluster["parent"], 0) + 1
    assert max(parts.values()) <= CROWD
    assert sum(1 for node in data["nodes"]) == count + 1


def test_an_array_in_numbers() -> None:
    found = summary(np.array([[1.0, -3.0, np.nan], [0.0, np.inf, 2.0]]))
    assert found["elements"] == [1.0, -3.0, "nan", 0.0, "inf", 2.0]
    assert {key: found[key] for key in ("nan", "inf", "zeros", "min", "max", "mean")} == {"nan": 1, "inf": 1, "zeros": 1, "min": -3, "max": 2, "mean": 0}
    large = np.random.default_rng(0).standard_normal((60, 100)).astype(np.float32)
    found = summary(large)
    assert "elements" not in found
    assert large.size > SHOWN
    assert sum(found["histogram"]) == large.size
    assert found["norm"] == pytest.approx(np.linalg.norm(large.astype(float)), rel=1e-6)
    assert found["std"] == pytest.approx(large.astype(float).std(), rel=1e-6)


@pytest.mark.parametrize(
    "array", [np.zeros((0, 3)), np.array(True), np.array([1 + 2j]), np.array([2**60]), np.array([np.nan]), np.full(100, 1e308), np.array(-0.0)]
)
def test_any_array_has_a_summary_that_is_json(array: Any) -> None:
    assert json.loads(json.dumps(summary(array), allow_nan=False))["shape"] == list(array.shape)


def test_a_json_file_is_the_graph_as_data(tmp_path: Path) -> None:
    y = batch_norm(backward=True)
    ab.draw(y, file=tmp_path / "y.JSON")
    assert (tmp_path / "y.JSON").read_text(encoding="utf-8") == graph_json(graph(y))
    with pytest.raises(DrawingError, match="cannot write"):
        ab.draw(y, file=tmp_path / "nowhere" / "y.json")


def test_names_survive_as_typed() -> None:
    name = '"<>{}|\\\n\x00\u2028\ud800</script>' + "a" * 10_000
    x = ab.tensor(1.0, requires_grad=True, name=name)
    text = graph_json(graph(x * 2.0))
    text.encode()
    assert json.loads(text)["nodes"][0]["name"] == name


def test_a_parameter_stands_in_its_module_and_an_input_outside() -> None:
    model = ab.nn.Sequential(ab.nn.Linear(3, 2), ab.nn.Sigmoid())
    x = ab.tensor(np.ones((4, 3)), requires_grad=True, name="x")
    data = graph_data(graph(model(x)))
    names = {cluster["id"]: cluster["name"] for cluster in data["clusters"]}
    places = {node["called"]: names.get(node["cluster"]) for node in data["nodes"] if node["kind"] == "leaf"}
    assert places.pop("x") is None
    assert set(places.values()) == {"0: Linear"}


def test_gradients_that_come_together_at_a_value_without_a_name_are_told_from_other_values() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    data = data_of(((lambda v: v * v)(x * 2.0)).sum())
    assert [edge["d"] for edge in data["edges"]] == ["dx", "dv₁.₁", "dv₁.₂", "dv₂"]

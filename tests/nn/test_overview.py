"""The summary of a network: shapes, parameters and operations, counted from its graph; the network stays as it is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError


def counts(summary: nn.Summary) -> dict[str, tuple[int, int]]:
    return {row.name: (row.parameters, row.flops) for row in summary.rows}


def test_layers_count_what_they_do() -> None:
    n, height = 8, 12
    network = nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 36, 10)
    )
    found = counts(nn.summary(network, np.zeros((n, 3, height, height), "float32")))
    pixels = n * 4 * height**2
    expected = {
        "0": (4 * 3 * 25, 2 * pixels * 3 * 25),
        "1": (8, 4 * pixels + 3 * 4),  # −, ·, ·, + of elements; +, √, 1/x of channels
        "2": (0, pixels),
        "3": (0, pixels),
        "4": (0, 0),
        "5": (0, 0),
        "6": (1450, 2 * n * 144 * 10 + n * 10),
    }
    for name, both in expected.items():
        assert found[name] == both, name
    assert found[""] == (sum(p for p, _ in found.values()) - found[""][0], sum(f for _, f in found.values()) - found[""][1])


def test_layers_of_other_libraries_names_count_the_same_as_their_operations() -> None:
    class Typed(nn.Module):
        def __init__(self) -> None:
            self.weight = ab.tensor(np.ones((5, 3)), requires_grad=True)

        def forward(self, x: Any) -> Any:
            return ab.sigmoid(x @ self.weight.T)

    assert nn.summary(Typed(), np.ones((4, 3))).flops == 2 * 4 * 3 * 5 + 4 * 5

    class Layered(nn.Module):
        def __init__(self) -> None:
            self.linear = nn.Linear(3, 5, bias=False)

        def forward(self, x: Any) -> Any:
            return ab.sigmoid(self.linear(x))

    assert nn.summary(Layered(), np.ones((4, 3))).flops == 2 * 4 * 3 * 5 + 4 * 5


def test_a_module_that_runs_often_has_one_row_and_all_its_operations() -> None:
    summary = nn.summary(nn.BNLSTM(3, 4, 6), np.zeros((5, 2, 3), "float32"))
    rows = {row.name: row for row in summary.rows}
    assert rows[""].shapes == ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    assert rows["norm_x"].calls == 5
    assert rows["norm_x.steps.4"].calls == 1
    assert "norm_x.steps.5" not in rows
    assert rows["norm_c"].flops == sum(rows[f"norm_c.steps.{t}"].flops for t in range(5)) + 5 * 2 * 4 * 2
    assert summary.unknown == ()
    products = 2 * 5 * 2 * 16 * 3 + 2 * 5 * 2 * 16 * 4
    assert products < summary.flops < 3 * products
    assert "norm_x: StepwiseNorm ×5" in str(summary)
    assert "steps" not in str(nn.summary(nn.Sequential(nn.BNLSTM(3, 4, 6)), np.zeros((5, 2, 3), "float32"), depth=1))


def test_frozen_layers_and_integers_count_as_well() -> None:
    network = nn.Sequential(nn.Embedding(10, 3, rng=0), nn.Linear(3, 2, rng=0))
    expected = nn.summary(network, np.zeros((4, 5), int)).flops
    assert expected == 4 * 5 * 2 * (2 * 3 + 1)
    with ab.no_grad():
        assert nn.summary(network, np.zeros((4, 5), int)).flops == expected
    given = nn.summary(nn.LSTMCell(3, 4), np.ones((2, 3)), (np.ones((2, 4)), np.ones((2, 4))))
    assert (given.unknown, given.flops) == ((), nn.summary(nn.LSTMCell(3, 4), np.ones((2, 3))).flops)


def test_the_network_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Linear(3, 4, bias=False, rng=0), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=0))
    before, x = network.state_dict(), np.ones((5, 3), "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.summary(network, x)
    assert all((before[name] == array).all() for name, array in network.state_dict().items())
    assert network.training
    assert all(p.grad is None for p in network.parameters())
    assert "forward" not in vars(network[0])
    with pytest.raises(ShapeError, match="linear"):
        nn.summary(network, np.ones((5, 4), "float32"))
    with pytest.warns(UserWarning, match="updated even once"):
        network.eval()(x)


def test_it_prints_a_table_with_the_total() -> None:
    network = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Sequential(nn.Tanh()))
    assert str(nn.summary(network, np.ones((2, 3), "float32"))).splitlines() == [
        "layer            output  parameters  FLOPs",
        "Sequential       (2, 4)          16     64",
        "  0: Linear      (2, 4)          16     56",
        "  1: Sequential  (2, 4)           0      8",
        "    0: Tanh      (2, 4)           0      8",
        "16 parameters of 64 bytes; 64 floating-point operations forward",
    ]
    assert "Tanh" not in str(nn.summary(network, np.ones((2, 3), "float32"), depth=1))


def test_an_operation_of_unknown_cost_is_named() -> None:
    class Solved(nn.Module):
        def forward(self, x: Any) -> Any:
            return ab.linalg.inv(x) * 2.0

    summary = nn.summary(Solved(), np.eye(3))
    assert summary.unknown == ("inv",)
    assert str(summary).endswith("not counted, because their cost is not known: inv")
    assert summary.flops == 9


def test_it_takes_a_module() -> None:
    with pytest.raises(OperationError, match="takes a module.*got builtin"):
        nn.summary(abs, 1.0)  # type: ignore[arg-type]

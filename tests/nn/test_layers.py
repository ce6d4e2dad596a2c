from __future__ import annotations

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError
from tests.nn.torch_modules import assert_same_module
from tests.ops.torch_oracle import torch_module


def test_linear_has_pytorchs_names_shapes_and_first_values() -> None:
    layer = nn.Linear(100, 50, rng=0)
    assert {k: v.shape for k, v in layer.state_dict().items()} == {"weight": (50, 100), "bias": (50,)}
    assert layer.weight.dtype == np.float32
    assert 0.09 < abs(layer.weight.value).max() <= 0.1
    assert abs(layer.bias.value).max() <= 0.1  # type: ignore[union-attr]
    assert [n for n, _ in nn.Linear(2, 3, bias=False).named_parameters()] == ["weight"]


def test_linear_agrees_with_pytorch() -> None:
    x = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
    assert_same_module(nn.Linear(4, 3), torch_module().nn.Linear(4, 3), [x], 1e-6)


def test_a_seed_decides_the_first_values() -> None:
    a, b, c = nn.Linear(3, 2, rng=1), nn.Linear(3, 2, rng=1), nn.Linear(3, 2, rng=2)
    assert (a.weight.value == b.weight.value).all()
    assert (a.weight.value != c.weight.value).any()
    g = nn.init.generator(1)
    assert (nn.Linear(3, 2, rng=g).weight.value != nn.Linear(3, 2, rng=g).weight.value).any()


def test_linear_names_the_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"x float64\[4, 3\][\s\S]*test_layers.py"):
        nn.Linear(2, 2, rng=0)(np.ones((4, 3)))
    with pytest.raises(OperationError, match="positive"):
        nn.Linear(0, 2)


def test_flatten_joins_the_axes_it_is_told() -> None:
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    assert nn.Flatten()(x).tolist() == x.reshape(2, 60).tolist()
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Flatten(-3, -2)(x).shape == (2, 12, 5)
    assert nn.Flatten()(x[:0]).shape == (0, 60)
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
    with pytest.raises(ShapeError, match=r"axis 1 of shape \(2, 3, 4, 5\) comes before axis 2"):
        nn.Flatten(2, 1)(x)
    with pytest.raises(ShapeError, match="axis 1 does not exist"):
        nn.Flatten()(np.ones(3))


def test_identity_gives_back_what_it_gets() -> None:
    x = ab.tensor([1.0], requires_grad=True)
    assert nn.Identity()(x) is x


def test_lengths_that_are_no_integers_are_refused_by_name() -> None:
    for make, words in (
        (lambda: nn.Linear(2.5, 2), r"Linear\(2.5, 2\): both lengths must be positive integers"),  # type: ignore[arg-type]
        (lambda: nn.Embedding(2, True), r"Embedding\(2, True\): both lengths must be positive integers"),
        (lambda: nn.GRU(2.0, 3), r"GRU\(2.0, 3\): both sizes must be positive integers"),  # type: ignore[arg-type]
    ):
        with pytest.raises(OperationError, match=words):
            make()

"""Activations beside PyTorch's: values and gradients, at kinks and far out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError
from autograd_bn.nn import functional as F
from tests.nn.torch_modules import assert_same_module
from tests.ops.torch_oracle import torch_module

POINTS = np.array([-1000.0, -30.0, -3.0, -0.5, 0.0, 0.25, 1.0, 4.0, 30.0, 1000.0])
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("Sigmoid", {}),
    ("ReLU", {}),
    ("Tanh", {}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("ELU", {}),
    ("ELU", {"alpha": 1.7}),
    ("Softplus", {}),
    ("Softplus", {"beta": 0.4}),
    ("Softmax", {"dim": -1}),
    ("Softmax", {"dim": 0}),
    ("LogSoftmax", {"dim": -1}),
    ("LogSoftmax", {"dim": 1}),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_it_is_pytorchs(name: str, settings: dict[str, Any], dtype: str) -> None:
    torch = torch_module()
    x = np.stack([POINTS, POINTS[::-1] / 7]).astype(dtype)
    # PyTorch's softplus is x itself from 20 up, off by 2e-9.
    tolerance = 1e-5 if dtype == "float32" else 1e-8 if name == "Softplus" else 1e-12
    assert_same_module(getattr(nn, name)(**settings), getattr(torch.nn, name)(**settings), [x], tolerance)


@pytest.mark.parametrize("function", [F.gelu, F.silu, F.leaky_relu, F.elu], ids=lambda f: f.__name__)
def test_second_order_agrees_with_differences(function: Any) -> None:
    x = np.array([-2.0, -0.4, 0.3, 1.5])
    first = ab.grad(lambda x: function(x).sum())
    second = ab.grad(lambda x: first(x).sum())(x).numpy()
    np.testing.assert_allclose(second, (first(x + 1e-6).numpy() - first(x - 1e-6).numpy()) / 2e-6, atol=1e-8)


def test_settings_are_checked_and_shown() -> None:
    assert repr(nn.LeakyReLU(0.2)) == "LeakyReLU(negative_slope=0.2)"
    assert repr(nn.GELU("tanh")) == "GELU(approximate='tanh')"
    assert repr(nn.Softmax(1)) == "Softmax(dim=1)"
    assert repr(nn.ELU()) == "ELU(alpha=1.0)"
    with pytest.raises(OperationError, match="beta must be positive, got 0"):
        nn.Softplus(0.0)
    with pytest.raises(OperationError, match=r"'none' or 'tanh', got 'exact'[\s\S]*test_activations.py"):
        F.gelu(1.0, "exact")  # type: ignore[arg-type]

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.nn import functional as F
from tests.messages import refused
from tests.nn.torch_modules import assert_same_module
from tests.ops.torch_oracle import torch_module

TABLE = np.random.default_rng(0).standard_normal((5, 3))


@pytest.mark.parametrize("padding", [None, 0, 3, -1])
@pytest.mark.parametrize("shape", [(), (4,), (2, 6), (0, 2)])
def test_it_is_pytorchs(shape: tuple[int, ...], padding: int | None) -> None:
    torch = torch_module()
    indices = np.random.default_rng(1).integers(0, 5, shape)
    ours = nn.Embedding(5, 3, padding, rng=0, dtype="float64")
    if padding is not None:
        assert not ours.weight.detach().numpy()[padding].any()
    assert_same_module(ours, torch.nn.Embedding(5, 3, padding, dtype=torch.float64), [indices])


def test_rows_that_are_used_often_get_the_sum_of_their_gradients() -> None:
    weight = ab.tensor(TABLE, requires_grad=True)
    F.embedding([1, 3, 1, 1], weight, padding_idx=3).sum().backward()
    np.testing.assert_array_equal(np.array(weight.grad), np.outer([0, 3, 0, 0, 0], np.ones(3)))


def test_indices_may_be_mapped_over_and_traced() -> None:
    indices = np.array([[1, 2], [4, 1], [0, 0]])
    expected = F.embedding(indices, TABLE).numpy()
    np.testing.assert_array_equal(ab.vmap(lambda row: F.embedding(row, TABLE))(indices).numpy(), expected)
    layer = nn.Embedding(5, 3, padding_idx=1, rng=0, dtype="float64")
    gradient = ab.grad(lambda m: (m(indices) ** 2).sum())(layer).weight.numpy()

    @ab.jit
    def step(indices: Any) -> Any:
        layer.zero_grad()
        out = layer(indices)
        (out**2).sum().backward()
        return out.detach()

    for _ in range(2):
        np.testing.assert_array_equal(step(indices).numpy(), layer(indices).detach().numpy())
        np.testing.assert_allclose(np.array(layer.weight.grad), gradient)
    with pytest.raises(OperationError, match="from 0 to 4.*position \\(1, 0\\)"):
        step(np.array([[1, 2], [7, 1], [0, 0]]))


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: F.embedding([0, 5], TABLE), OperationError, ["int64[2]", "float64[5, 3]", "from 0 to 4", "position 1 is 5"]),
        (lambda: F.embedding([[0], [-1]], TABLE), OperationError, ["position (1, 0) is -1"]),
        (lambda: ab.vmap(lambda i: F.embedding(i, TABLE))(np.array([0, 9])), OperationError, ["from 0 to 4", "9"]),
        (lambda: F.embedding([0.0], TABLE), DtypeError, ["float64[1]", "astype('int64')"]),
        (lambda: F.embedding([0], TABLE[0]), ShapeError, ["(rows, features)", "(3,)"]),
        (lambda: F.embedding([0], TABLE, 7), OperationError, ["padding_idx", "5 rows", "got 7"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts, "test_embedding.py"):
        call()


def test_settings_are_checked() -> None:
    with pytest.raises(OperationError, match="positive"):
        nn.Embedding(0, 3)
    with pytest.raises(OperationError, match="padding_idx is one of 4 rows, got 4"):
        nn.Embedding(4, 3, 4)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.nn import functional as F


def test_cross_entropy_is_the_negative_log_likelihood() -> None:
    rng = np.random.default_rng(0)
    z, labels = ab.tensor(rng.standard_normal((5, 4)), requires_grad=True), rng.integers(0, 4, 5)
    loss = F.cross_entropy(z, labels)
    loss.backward()
    e = np.exp(np.array(z.detach()))
    p = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(loss.item(), -np.log(p[np.arange(5), labels]).mean(), atol=1e-14)
    np.testing.assert_allclose(np.array(z.grad), (p - np.eye(4)[labels]) / 5, atol=1e-14)


def test_cross_entropy_survives_huge_logits() -> None:
    z = ab.tensor(np.array([[1e4, 0.0], [-1e4, 0.0]], "float32"), requires_grad=True)
    loss = F.cross_entropy(z, [1, 1])
    loss.backward()
    assert loss.item() == 5e3
    assert loss.dtype == z.grad.dtype == np.float32
    np.testing.assert_array_equal(np.array(z.grad), [[0.5, -0.5], [0, 0]])


def test_cross_entropy_maps_over_examples() -> None:
    rng = np.random.default_rng(0)
    z, labels = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)

    def one(z: Any, label: Any) -> Any:
        return F.cross_entropy(z.reshape((1, 4)), label.reshape((1,)))

    rows = ab.vmap(ab.grad(one))(z, labels)
    whole = ab.grad(F.cross_entropy)(z, labels)
    np.testing.assert_allclose(rows.numpy() / 5, whole.numpy(), atol=1e-14)


def test_mse_loss() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    F.mse_loss(x, [0.0, 4.0]).backward()
    np.testing.assert_allclose(np.array(x.grad), [1.0, -2.0])


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda x: F.cross_entropy(x, [0, 1, 2, 3, 4, 1]), OperationError, ["from 0 to 3", "got 4 at position 4"]),
        (lambda x: F.cross_entropy(x, [0, 1, 2, 3, -1, 1]), OperationError, ["from 0 to 3", "got -1 at position 4"]),
        (lambda x: F.cross_entropy(x, np.zeros(6)), DtypeError, ["float64", "astype('int64')"]),
        (lambda x: F.cross_entropy(x, [0, 1]), ShapeError, ["(6,)", "got (2,)"]),
        (lambda x: F.cross_entropy(x, np.eye(6, 4, dtype=int)), ShapeError, ["argmax(1)"]),
        (lambda x: F.cross_entropy(x[0], [0]), ShapeError, ["(N, K)", "(4,)"]),
        (lambda x: F.cross_entropy(x[:0], np.zeros(0, int)), OperationError, ["empty"]),
        (lambda x: F.mse_loss(x, x[:1]), ShapeError, ["(6, 4)", "(1, 4)"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with pytest.raises(kind) as caught:
        call(np.random.default_rng(0).standard_normal((6, 4)))
    for part in [*parts, "test_loss.py"]:
        assert part in str(caught.value)
    assert isinstance(caught.value, TypeError if kind is DtypeError else ValueError)

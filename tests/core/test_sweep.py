"""The sweep's cotangents, which stay unrepeated as long as they can: every repetition is counted all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from tests.oracles import assert_close, central, gradient

REPEATED: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, z: x + z,
    "reflected sub": lambda x, z: z - x,
    "add after neg": lambda x, z: z + -x,
    "mul": lambda x, z: x * z,
    "div": lambda x, z: z / x,
    "where": lambda x, z: ab.where(z > 0, x, z),
    "scaled": lambda x, z: (2.0 * (x + z)) * 3.0,
    "chained": lambda x, z: (x + z) - (z + x * 1.0) * 0.5,
    "shared": lambda x, z: (x + z) * x,
    "broadcast": lambda x, z: ab.broadcast_to(x, (2, 3)) + z,
    "wider": lambda x, z: (x + z) + ab.tensor(np.ones((4, 1, 3))),
    "squared": lambda x, z: (x + z) ** 2,
    "concat": lambda x, z: ab.concat([x + z, z]),
    "reshaped": lambda x, z: (x + z).reshape((3, 2)),
    "transposed": lambda x, z: (x + z).T,
    "indexed": lambda x, z: (x + z)[np.array([0, 0, 1])],
    "sliced": lambda x, z: (x + z)[:, 1:],
    "multiplied": lambda x, z: (x + z) @ ab.ones((3, 2)),
    "max": lambda x, z: (x + z).max(0),
    "summed": lambda x, z: (x + z).sum(1) + 1.0,
    "averaged": lambda x, z: (x + z).mean(0, keepdims=True) - x,
}
REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda y: y.sum(),
    "mean": lambda y: y.mean(),
    "rows": lambda y: (y.sum(-1) * 2.0).sum(),
    "kept": lambda y: (y.mean(0, keepdims=True) + y.sum(-1, keepdims=True)).sum(),
}


SHAPES: list[tuple[int, ...]] = [(), (3,), (1, 3), (2, 1), (2, 3)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_cotangent_of_a_repeated_value_counts_every_repetition(shape: tuple[int, ...], name: str, reduction: str) -> None:
    def function(a: Any) -> Any:
        return REDUCTIONS[reduction](REPEATED[name](a, z))

    z = np.array([[1.0, -2.0, 3.0], [-0.5, 2.5, -1.5]])
    a = np.random.default_rng(1).uniform(0.5, 1.5, shape)
    x = ab.tensor(a, requires_grad=True)
    function(x).backward(create_graph=True)
    expected = gradient(lambda v: function(ab.tensor(v)).item(), [a], 0, 1.0, derivative=central)
    assert x.grad is not None and x.grad.shape == shape
    assert_close(x.grad, expected)
    assert_close(ab.grad(function)(a), expected)
    with ab.record():
        assert_close(ab.grad(function)(a), expected)

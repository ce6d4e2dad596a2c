"""Random numbers from a state: the same ones eager, compiled, recomputed, and after the state was put back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError


def test_a_seed_decides_the_numbers_and_each_draw_has_others() -> None:
    one, same, other = nn.Generator(3), nn.Generator(3), nn.Generator(4)
    first, second = one.uniform(5).numpy(), one.uniform(5).numpy()
    np.testing.assert_array_equal(first, same.uniform(5).numpy())
    assert not (first == second).any()
    assert not (first == other.uniform(5).numpy()).any()
    assert (nn.Generator().state.numpy() != nn.Generator().state.numpy()).any()
    with pytest.raises(OperationError, match="seed"):
        nn.Generator(-1)


def test_a_generator_of_numpy_gives_each_its_own_key() -> None:
    rng = nn.init.generator(0)
    keys = [nn.Generator(rng).state.tolist() for _ in range(2)]
    assert keys[0] != keys[1]
    again = nn.init.generator(0)
    assert keys == [nn.Generator(again).state.tolist() for _ in range(2)]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_numbers_have_the_distribution_shape_and_dtype_asked_for(dtype: str) -> None:
    rng, n = nn.Generator(0), 40_000
    for drawn, mean, std in ((rng.uniform((n // 100, 100), dtype=dtype), 0.5, 12**-0.5), (rng.normal((n // 100, 100), dtype=dtype), 0.0, 1.0)):
        assert (drawn.shape, drawn.dtype) == ((n // 100, 100), np.dtype(dtype))
        values = drawn.numpy().astype(float)
        assert abs(values.mean() - mean) < 5 * std / n**0.5
        assert abs(values.std() - std) < 5 * std / n**0.5
    assert rng.uniform().shape == ()
    low = rng.uniform(n, dtype=dtype).numpy()
    assert (low >= 0).all()
    assert (low <= 1 if dtype == "float16" else low < 1).all()  # rounding to halves may give 1


def test_the_state_put_back_gives_the_same_numbers() -> None:
    rng = nn.Generator(0)
    rng.normal(3)
    state = rng.state.numpy().copy()
    twin = copy.deepcopy(rng)
    drawn = rng.normal(3).numpy()
    np.testing.assert_array_equal(twin.normal(3).numpy(), drawn)
    ab.assign(rng.state, state)
    np.testing.assert_array_equal(rng.normal(3).numpy(), drawn)


def test_inside_no_effects_the_same_numbers_come_each_time() -> None:
    rng = nn.Generator(0)
    with ab.no_effects():
        first, second = rng.uniform(3).numpy(), rng.uniform(3).numpy()
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, rng.uniform(3).numpy())


def test_a_compiled_function_draws_what_an_eager_one_does() -> None:
    def two(rng: nn.Generator, x: Any) -> Any:
        return rng.uniform(3, dtype="float64") + x, rng.normal((2, 3)) * x

    eager, compiled, x = nn.Generator(0), nn.Generator(0), ab.ones(3)
    step = ab.jit(lambda x: two(compiled, x))
    for _ in range(3):
        for a, b in zip(two(eager, x), step(x), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    np.testing.assert_array_equal(eager.state.numpy(), compiled.state.numpy())
    assert step.cache_info().misses == 1
    assert eager.state.tolist()[1] == 6

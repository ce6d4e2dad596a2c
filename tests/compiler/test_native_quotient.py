"""native_quotient: quotients by what is the same for a row are rounded as divisions are, and special values are theirs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler import machine

fused = pytest.mark.skipif(not machine.fuses(), reason="this CPU has no fused multiply-adds")


def quotients(x: Any, y: Any) -> tuple[Any, Any]:
    """Those of native code and of NumPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ab.jit(lambda x, y: x / y)(ab.tensor(x), ab.tensor(y)).numpy(), x / y


def bits(dtype: str, *shape: int) -> Any:
    """Numbers of any size, from random bits."""
    unsigned = f"u{np.dtype(dtype).itemsize}"
    return np.random.default_rng(sum(shape)).integers(0, np.iinfo(unsigned).max, shape, unsigned, endpoint=True).view(dtype)


@fused
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quotients_of_any_numbers_are_rounded_as_divisions_are(dtype: str) -> None:
    info = np.finfo(dtype)
    x = bits(dtype, 1000, 300)
    found, expected = quotients(x, bits(dtype, 1000, 1))
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    size = np.abs(expected)
    finite = size < info.max / 2
    assert np.all(np.abs(found[finite] - expected[finite]) <= 2 * np.spacing(size[finite]))
    ordinary = finite & (size > info.tiny / info.eps) & (np.abs(x) > info.tiny / info.eps)
    assert np.mean(found[ordinary] != expected[ordinary]) < 1e-5
    infinite = np.isinf(expected)
    assert np.array_equal(found[infinite], expected[infinite])


@fused
def test_quotients_miss_the_nearest_number_by_less_than_a_millionth_of_an_ulp() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(1, 2, shape).astype("float32") for shape in ((2000, 1500), (2000, 1)))
    found, expected = quotients(x, y)
    exact = x.astype("float64") / y
    assert np.mean(found != expected) < 1e-6
    assert np.max(np.abs(found - exact) / np.spacing(expected)) < 0.500001


@fused
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_numbers_divide_as_numpys_do(dtype: str) -> None:
    info = np.finfo(dtype)
    numbers = np.array(
        [0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, info.max, -info.max, info.tiny, info.smallest_subnormal, 3 * info.smallest_subnormal], dtype
    )
    found, expected = quotients(np.tile(numbers, (len(numbers), 1)), numbers[:, None])
    np.testing.assert_array_equal(found, expected)
    there = ~np.isnan(expected)
    assert np.array_equal(np.signbit(found[there]), np.signbit(expected[there]))


def test_a_cpu_without_fused_multiply_adds_divides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograd_bn.compiler.llvm_elements.fuses", lambda: False)
    x, y = bits("float32", 100, 90), bits("float32", 100, 1)
    found, expected = quotients(x, y)
    np.testing.assert_array_equal(found, expected)

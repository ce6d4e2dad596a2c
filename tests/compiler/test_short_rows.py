"""Rows of any length that are gone through several times, some at once: what is no whole vector, and what is not a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab

pytest.importorskip("llvmlite")

LENGTHS = [1, 2, 7, 10, 16, 31, 64, 100, 103, 128, 130, 257]
each_way = pytest.mark.parametrize("masked", [True, False])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("length", LENGTHS)
@each_way
def test_the_ends_of_a_row_are_numpys_wherever_a_special_number_stands(
    masked: bool, length: int, number: float, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograd_bn.compiler.llvm_kernel.masks", lambda: masked)
    x = np.random.default_rng(length).standard_normal((length + 5, length)).astype(dtype)
    np.fill_diagonal(x, number)

    def f(xp: Any, x: Any) -> tuple[Any, ...]:
        largest, least = xp.max(x, axis=1, keepdims=True), xp.min(x, axis=1, keepdims=True)
        return largest, least, x < largest, x <= least

    for found, expected in zip(ab.jit(lambda x: f(ab, x))(ab.tensor(x)), f(np, x), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", LENGTHS)
@each_way
def test_softmax_and_its_gradient_are_those_of_numpy(masked: bool, length: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograd_bn.compiler.llvm_kernel.masks", lambda: masked)
    x, seed = np.random.default_rng(length).standard_normal((2, 9, length)).astype(dtype)

    def pulled(x: Any, seed: Any) -> tuple[Any, Any]:
        y, pullback = ab.vjp(lambda x: ab.softmax(x, axis=1), x)
        return y, pullback(seed)[0]

    y, gradient = (found.numpy() for found in ab.jit(pulled)(ab.tensor(x), ab.tensor(seed)))
    grown = np.exp(x.astype("float64"))
    expected = grown / grown.sum(1, keepdims=True)
    eps = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, expected, rtol=eps)
    np.testing.assert_allclose(gradient, expected * (seed - (expected * seed).sum(1, keepdims=True)), rtol=eps, atol=eps)

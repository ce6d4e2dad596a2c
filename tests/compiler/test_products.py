"""Matrix products as native code: operands of several dtypes are converted once, and BLAS does the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab

pytest.importorskip("llvmlite")
pytest.importorskip("scipy")


def array(*shape: int, dtype: str, seed: int = 0) -> ab.Tensor:
    return ab.tensor((4 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype))


def recurrence(h: ab.Tensor, w: ab.Tensor) -> ab.Tensor:
    for _ in range(5):
        h = ab.tanh(h @ w.T)
    return h


PRODUCTS: dict[str, Callable[..., Any]] = {
    "matmul": lambda x, w: (x @ w, x.T @ w, w @ x[:, 0]),
    "einsum": lambda x, w: ab.einsum("ij,kj->ki", x, w),
    "recurrence": recurrence,
    "gradient": lambda x, w: ab.grad(lambda x, w: recurrence(x, w).sum(), argnums=(0, 1))(x, w),
}


FLOATING = [("float64", "float32"), ("float32", "float64")]
CASES = [(name, dtypes) for name in PRODUCTS for dtypes in [*FLOATING, *([] if name == "gradient" else [("int64", "float64"), ("float32", "bool")])]]


@pytest.mark.parametrize(("name", "dtypes"), CASES)
def test_products_of_several_dtypes_are_one_native_call(name: str, dtypes: tuple[str, str]) -> None:
    f = PRODUCTS[name]
    x, w = array(6, 6, dtype=dtypes[0]), array(6, 6, dtype=dtypes[1], seed=1)
    compiled = ab.jit(f)
    found, expected = compiled(x, w), f(x, w)
    for one, other in zip(*(y if isinstance(y, tuple) else (y,) for y in (found, expected)), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12 if other.dtype == "float64" else 1e-5, atol=1e-6 * (other.dtype != "float64"))
    calls = compiled.source.partition("def kernel")[2]
    assert calls.count("ndarray, memory") == 2 and "matmul" not in calls and "einsum" not in calls  # one native call, and its repetition


def test_a_weight_is_converted_once_for_all_steps() -> None:
    compiled = ab.jit(recurrence)
    compiled(array(6, 6, dtype="float64"), array(6, 6, dtype="float32"))
    assert compiled.lowered is not None and sum(node.primitive is ab.primitives.registry["astype"] for node in compiled.lowered.nodes) == 1

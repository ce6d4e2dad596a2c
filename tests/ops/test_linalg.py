"""matmul over any fitting shapes, of examples and of batches, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_bn as ab
from tests.oracles import assert_close, gradient, value


@st.composite
def fitting(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes that fit: vectors, matrices, and stacks that broadcast, with lengths of 0 and 1 too."""
    length = st.integers(0, 3)
    n, k, m = draw(length), draw(length), draw(length)
    batch = draw(st.lists(st.integers(1, 3), max_size=3))
    left, right = ([draw(st.sampled_from([1, b])) for b in batch[draw(st.integers(0, len(batch))) :]] for _ in range(2))
    return draw(st.sampled_from([(k,), (*left, n, k)])), draw(st.sampled_from([(k,), (*right, k, m)]))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(fitting(), st.sampled_from([(0, 0), (0, None), (None, 0)]))
def test_values_gradients_tangents_and_batches(shapes: tuple[tuple[int, ...], tuple[int, ...]], axes: tuple[int | None, int | None]) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(shape) for shape in shapes)
    out, pullback = ab.vjp(ab.matmul, x, y)
    assert_close(out, x @ y, 1e-12)
    g = rng.standard_normal(out.shape)
    for i, c in enumerate(pullback(g)):
        assert_close(c, gradient(np.matmul, [x, y], i, g), 1e-10)
    u, v = (rng.standard_normal(shape) for shape in shapes)
    assert_close(ab.jvp(ab.matmul, (x, y), (u, v))[1], u @ y + x @ v, 1e-12)
    wide = [np.stack([a, 2 * a, -a]) if axis == 0 else a for a, axis in zip((x, y), axes, strict=True)]
    rows = [[a[k] if axis == 0 else a for a, axis in zip(wide, axes, strict=True)] for k in range(3)]
    assert_close(ab.vmap(ab.matmul, in_axes=axes)(*wide), np.stack([a @ b for a, b in rows]), 1e-12)
    pulled = ab.vmap(lambda a, b: ab.vjp(ab.matmul, a, b)[1](g), in_axes=axes)(*wide)
    for i in range(2):
        assert_close(pulled[i], np.stack([value(ab.vjp(ab.matmul, a, b)[1](g)[i]) for a, b in rows]), 1e-12)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32"), ("float32", "int64")])
def test_each_gradient_has_its_operands_dtype(dtypes: tuple[str, str]) -> None:
    x, y = np.ones((2, 3), dtypes[0]), np.ones((3, 2), dtypes[1])
    assert ab.grad(lambda a: (a @ y).sum())(x).dtype == x.dtype
    if dtypes[1] != "int64":
        assert ab.grad(lambda b: (x @ b).sum())(y).dtype == y.dtype

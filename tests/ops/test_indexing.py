"""Any index that NumPy takes: values, gradients, and each example of a map, against NumPy in a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd_bn as ab
from autograd_bn.core.errors import OperationError
from tests.oracles import value


@st.composite
def mixed_indices(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Slices, integers, integer arrays and masks side by side, and perhaps a new axis."""
    parts: list[Any] = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        parts.append(
            draw(
                st.one_of(
                    st.sampled_from([slice(None), slice(None, None, -1), slice(None, None, 2)]),
                    st.integers(-n, n - 1),
                    st.lists(st.integers(-n, n - 1), min_size=2, max_size=2).map(np.array),
                    hnp.arrays(bool, n),
                )
            )
        )
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return tuple(parts)


@st.composite
def cases(draw: Any) -> tuple[tuple[int, ...], Any]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=3))
    index = draw(
        st.one_of(
            hnp.basic_indices(shape, allow_newaxis=True),
            hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)),
            hnp.arrays(bool, shape[: draw(st.integers(1, len(shape)))]),
            mixed_indices(shape),
        )
    )
    return shape, index


@settings(max_examples=80, deadline=None, derandomize=True)
@given(cases())
def test_any_index_of_an_example_and_of_a_batch(case: tuple[tuple[int, ...], Any]) -> None:
    shape, index = case
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((2, *shape))
    try:
        expected = np.stack([row[index] for row in wide])
    except IndexError:
        with pytest.raises(OperationError):
            ab.tensor(wide[0])[index]
        return
    g = rng.standard_normal(expected.shape)
    mapped = value(ab.vmap(lambda x: x[index])(wide))
    assert mapped.shape == expected.shape and np.array_equal(mapped, expected)
    gradients = value(ab.vmap(ab.grad(lambda x, w: (x[index] * w).sum()))(wide, g))
    for k in range(2):
        scattered = np.zeros(shape)
        np.add.at(scattered, index, g[k])
        leaf = ab.tensor(wide[k], requires_grad=True)
        leaf[index].backward(g[k])
        np.testing.assert_allclose(value(leaf.grad), scattered, atol=1e-12)
        np.testing.assert_allclose(gradients[k], scattered, atol=1e-12)

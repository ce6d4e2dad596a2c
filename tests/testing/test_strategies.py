"""What the strategies draw is what they say, and all of it is reached."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import autograd_bn as ab
from autograd_bn.core.primitive import Domain, registry
from autograd_bn.testing import strategies
from tests.oracles import assert_close

steady = settings(max_examples=40, deadline=None, derandomize=True, database=None)
LOOK = settings(max_examples=3000, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda x: x.ndim == 2 and x.size > 1 and x.flags.c_contiguous,
        lambda x: x.ndim == 2 and min(x.shape) > 1 and x.flags.f_contiguous,
        lambda x: x.ndim == 1 and x.size > 1 and x.strides == (16,),
        lambda x: x.ndim == 1 and x.size > 1 and x.strides == (-8,),
        lambda x: x.ndim > 1 and x.shape[0] > 1 and x.strides[0] == 0,
        lambda x: x.ndim == 0,
        lambda x: x.size == 0,
    ],
)
def test_every_layout_is_drawn(wanted: Any) -> None:
    find(strategies.arrays(), wanted, settings=LOOK)


@pytest.mark.parametrize("layout", strategies.LAYOUTS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)])
def test_a_layout_keeps_the_values(layout: str, shape: tuple[int, ...]) -> None:
    a = np.arange(float(np.prod(shape))).reshape(shape)
    given = a[:1] if layout == "broadcast" and shape and shape[0] else a
    np.testing.assert_array_equal(strategies.laid_out(given, shape, layout), np.broadcast_to(given, shape))


@steady
@given(st.sampled_from(["float32", "float64", "int64", "bool", "complex128"]).flatmap(strategies.tensors))
def test_tensors_require_a_gradient_where_their_dtype_can(x: ab.Tensor) -> None:
    assert x.requires_grad == (x.dtype.kind == "f")


@steady
@given(strategies.arrays(domain=Domain(-1.0, 3.0, (0.0, 2.0), 0.25)))
def test_a_domain_is_kept_to(x: Any) -> None:
    assert ((x >= -1.0) & (x <= 3.0)).all() and (np.abs(x) >= 0.25).all() and (np.abs(x - 2.0) >= 0.25).all()


@steady
@given(strategies.broadcastable(3))
def test_tensors_that_broadcast(xs: tuple[ab.Tensor, ...]) -> None:
    assert (xs[0] + xs[1] + xs[2]).shape == np.broadcast_shapes(*(x.shape for x in xs))


@steady
@given(st.data(), strategies.shapes(min_side=1))
def test_keys_fit_and_their_gradient_counts_the_places(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = data.draw(strategies.tensors(shape=shape))
    kinds = [strategies.basic_indices(shape), strategies.masks(shape)] if shape else [strategies.basic_indices(shape)]
    key = data.draw(st.one_of(*kinds, *([strategies.integer_indices(shape)] if shape else [])))
    x[key].sum().backward()
    counts = np.zeros(shape)
    np.add.at(counts, key, 1.0)
    assert_close(x.grad, counts)


@steady
@given(st.data(), strategies.shapes(min_side=1))
def test_axes_are_those_of_a_reduction(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = data.draw(strategies.tensors(shape=shape))
    axis = data.draw(strategies.axes(len(shape)))
    assert_close(x.sum(axis=axis).detach(), x.numpy().sum(axis=axis))


@pytest.mark.parametrize("name", sorted(registry))
def test_operands_of_every_primitive_are_in_its_domain(name: str) -> None:
    primitive = registry[name]

    @settings(max_examples=3, deadline=None, derandomize=True, database=None)
    @given(strategies.operands(name))
    def check(call: strategies.Call) -> None:
        out = primitive.forward(*call.operands, **call.static)
        assert np.isfinite(out).all()
        if primitive.example is None:
            for x, domain in zip(call.operands, primitive.domains, strict=False):
                if np.asarray(x).dtype.kind == "f":
                    assert all((np.abs(x - point) >= domain.margin * 0.99).all() for point in domain.avoid)

    check()


def test_without_hypothesis_the_remedy_is_told() -> None:
    code = "import sys; sys.modules['hypothesis'] = None\nimport autograd_bn.testing\nimport autograd_bn.testing.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "autograd_bn[testing]"' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("domain", "smallest"), [(None, 0.0), (Domain(0.5, 2.0), 0.5), (Domain(-3.0, -1.0), -1.0), (Domain(-2.0, 2.0, avoid=(0.0,), margin=0.25), -0.25)]
)
def test_numbers_shrink_towards_zero_within_their_domain(domain: Domain | None, smallest: float) -> None:
    assert find(strategies.arrays(shape=(2,), domain=domain, layouts=("C",)), lambda x: True, settings=LOOK).tolist() == [smallest, smallest]


@given(strategies.shapes(min_dims=1, max_dims=2))
def test_shapes_have_as_many_axes_as_are_asked_for(shape: tuple[int, ...]) -> None:
    assert 1 <= len(shape) <= 2

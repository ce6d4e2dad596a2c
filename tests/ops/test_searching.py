"""Places in sorted vectors, interpolation and quantiles against NumPy (values) and PyTorch (gradients)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_bn as ab
from autograd_bn.core.errors import AutogradError, DtypeError, OperationError, ShapeError
from autograd_bn.testing import check_gradients
from tests.ops.torch_oracle import assert_same, torch_module
from tests.oracles import assert_close, value

rng = np.random.default_rng(3)
X = rng.standard_normal((3, 4, 5))
METHODS = ("linear", "lower", "higher", "midpoint", "nearest")
EDGES = np.array([0.0, 1.0, 1.0, 3.0, np.nan, np.nan])
SOUGHT = np.array([[-1.0, 0.0, 1.0, 2.0], [3.0, 4.0, np.inf, np.nan]])
POINTS = np.array([0.0, 1.0, 1.0, 3.0, 4.0, 4.0])
HEIGHTS = np.array([1.0, 2.0, 5.0, -1.0, 0.0, 9.0])
PLACES = np.array([-np.inf, -1.0, 0.0, 0.3, 1.0, 1.5, 3.0, 3.5, 4.0, 5.0, np.inf, np.nan])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [0.3, 0.0, 1.0, [0.1, 0.5, 0.77], [[0.2], [0.9]]], ids=str)
def test_quantiles_are_numpys(q: Any, method: str) -> None:
    for axis in (None, 0, -1, (0, 2)):
        for keepdims in (False, True):
            expected = np.quantile(X, q, axis=axis, keepdims=keepdims, method=method)
            for found in (
                ab.quantile(X, q, axis=axis, keepdims=keepdims, method=method),
                ab.percentile(X, np.multiply(q, 100), axis=axis, keepdims=keepdims, method=method),
                np.quantile(ab.tensor(X, requires_grad=True), q, axis, method=method, keepdims=keepdims),
                np.percentile(ab.tensor(X, requires_grad=True), np.multiply(q, 100), axis, method=method, keepdims=keepdims),
            ):
                assert value(found).shape == expected.shape
                assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_quantiles_are_pytorchs(method: str) -> None:
    torch = torch_module()
    for x in (X, X.astype("f4")):
        q = torch.tensor([0.1, 0.5, 0.77], dtype=torch.float64 if x.dtype == np.float64 else torch.float32)
        tolerance = 1e-12 if x.dtype == np.float64 else 1e-6
        for axis in (0, 1, -1):
            assert_same(
                lambda t, axis=axis: ab.quantile(t, q.numpy(), axis=axis, method=method),
                lambda t, axis=axis, q=q: torch.quantile(t, q, dim=axis, interpolation=method),
                [x],
                tolerance,
            )


@pytest.mark.parametrize("method", METHODS)
def test_quantiles_are_right_in_every_mode(method: str) -> None:
    check_gradients(lambda x: ab.quantile(x, [0.1, 0.35, 0.8], axis=(0, 1), method=method), X, also=("vmap", "jit", "checkpoint"))


def test_quantiles_at_infinities_numbers_and_flags() -> None:
    assert ab.quantile([1.0, 2.0, np.inf], [0.5, 0.75]).tolist() == [2.0, np.inf]
    assert ab.quantile([-np.inf, 1.0], [0.0, 0.25, 1.0]).tolist() == [-np.inf, -np.inf, 1.0]
    assert np.isnan(ab.quantile([1.0, np.nan], [0.0, 1.0]).numpy()).all()
    assert ab.quantile([1, 2, 4, 8], 0.5).item() == 3.0 and ab.quantile([True, False], 0.5).item() == 0.5
    assert ab.quantile(3.0, 0.2).item() == 3.0 and ab.quantile(ab.zeros((0, 3)), 0.5, axis=1).shape == (0,)
    assert ab.quantile(X.astype("f2"), 0.3).dtype == np.float16


@pytest.mark.parametrize("side", ["left", "right"])
def test_places_are_numpys_eager_mapped_and_compiled(side: Any) -> None:
    expected = np.searchsorted(EDGES, SOUGHT, side)
    function = lambda x: ab.searchsorted(EDGES, x, side=side)
    for found in (function(SOUGHT), ab.vmap(function)(SOUGHT), ab.jit(function)(ab.tensor(SOUGHT)), np.searchsorted(EDGES, ab.tensor(SOUGHT), side)):
        assert np.array_equal(value(found), expected) and value(found).dtype == expected.dtype
    rows = ab.vmap(lambda edges: ab.searchsorted(edges, 1.5, side=side))(np.array([[0.0, 1.0], [2.0, 3.0]]))
    assert value(rows).tolist() == [2, 0]
    assert not ab.searchsorted(EDGES, ab.tensor(SOUGHT, requires_grad=True)).requires_grad


@pytest.mark.parametrize("ends", [{}, {"left": -7.0, "right": 7.0}])
def test_interpolation_is_numpys_eager_mapped_and_compiled(ends: Any) -> None:
    expected = np.interp(PLACES, POINTS, HEIGHTS, **ends)
    function = lambda x: ab.interp(x, POINTS, HEIGHTS, **ends)
    for found in (function(PLACES), ab.vmap(function)(PLACES), ab.jit(function)(ab.tensor(PLACES)), np.interp(ab.tensor(PLACES), POINTS, HEIGHTS, **ends)):
        np.testing.assert_array_equal(value(found), expected)
    assert ab.interp([1.0, 5.0], [2.0], [3.0]).tolist() == [3.0, 3.0]
    assert ab.interp(2, [1, 3], [1, 2]).item() == 1.5 and ab.interp([], [1.0], [2.0]).shape == (0,)


def test_interpolation_at_infinity_has_finite_gradients() -> None:
    out, pullback = ab.vjp(ab.interp, PLACES[[0, 10]], np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    assert value(out).tolist() == [2.0, 3.0]
    assert [g.tolist() for g in pullback(np.ones(2))] == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_interpolation_is_right_in_every_mode(seed: int, points: int, count: int) -> None:
    drawn = np.random.default_rng(seed)
    xp, fp = np.cumsum(drawn.uniform(0.1, 1.0, points)), drawn.standard_normal(points)
    x = drawn.uniform(0.0, xp[-1] + 0.5, count)
    x = x[np.all(np.abs(x[:, None] - xp) > 1e-3, axis=1)]
    if x.size:
        check_gradients(ab.interp, x, xp, fp, also=("jit",))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ab.quantile(X, 1.5), OperationError, r"q must lie between 0 and 1, got 1.5\n  at .*test_searching"),
        (lambda: ab.percentile(X, 150), OperationError, "q must lie between 0 and 100, got 150"),
        (lambda: ab.quantile(X, 0.5, method="best"), OperationError, "'best' is none of higher, linear"),
        (lambda: ab.quantile(ab.zeros((2, 0)), 0.5), OperationError, r"quantile over axes \(0, 1\) of shape \(2, 0\): there is nothing to sort"),
        (lambda: ab.quantile(1j * X, 0.5), DtypeError, "quantile of complex numbers"),
        (lambda: ab.quantile(X, ab.tensor(0.5, requires_grad=True)), AutogradError, "requires a gradient, which the conversion would drop"),
        (lambda: ab.searchsorted(X, 1.0), ShapeError, r"must be a vector, got shape \(3, 4, 5\)"),
        (lambda: ab.searchsorted(EDGES, 1.0, side="middle"), OperationError, "'left' or 'right', got 'middle'"),  # type: ignore[arg-type]
        (lambda: ab.interp(1.0, [2.0, 1.0], [0.0, 0.0]), OperationError, "xp must increase"),
        (lambda: ab.interp(1.0, [2.0, 1.0], [0.0]), ShapeError, r"got shapes \(2,\) and \(1,\)"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()

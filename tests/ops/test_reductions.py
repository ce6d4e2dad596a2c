"""Reductions and running reductions against PyTorch, and where they are delicate: zeros, ties, nothing, far out."""

from __future__ import annotations

import functools
import inspect
import math
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import ShapeError
from tests.ops.torch_oracle import assert_same, torch_module
from tests.oracles import assert_close, central, gradient, value

AXES: list[Any] = [0, -1, (0, 2), None]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["logsumexp", "var", "std", "sum", "mean", "norm", "max"])
def test_reductions_are_those_of_pytorch(name: str, axis: Any, keepdims: bool, dtype: str) -> None:
    torch = torch_module()
    x = np.random.default_rng(1).standard_normal((3, 2, 4)).astype(dtype)
    dims = axis if axis is not None else (0, 1, 2)
    ours: Any = functools.partial(ab.linalg.vector_norm if name == "norm" else getattr(ab, name), axis=axis, keepdims=keepdims)
    theirs: Any = {
        "norm": lambda t: torch.linalg.vector_norm(t, dim=dims, keepdim=keepdims),
        "var": lambda t: torch.var(t, dim=dims, correction=0, keepdim=keepdims),
        "std": lambda t: torch.std(t, dim=dims, correction=0, keepdim=keepdims),
        "max": lambda t: torch.amax(t, dim=dims, keepdim=keepdims),
    }.get(name, lambda t: getattr(torch, name)(t, dim=dims, keepdim=keepdims))
    assert_same(ours, theirs, [x], 1e-11 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("order", [1, 2, 3, 0.5, -1, math.inf, -math.inf])
def test_norms_of_every_order_are_those_of_pytorch(order: float) -> None:
    torch = torch_module()
    x = np.random.default_rng(2).standard_normal((3, 4))
    assert_same(lambda t: ab.linalg.vector_norm(t, axis=1, ord=order), lambda t: torch.linalg.vector_norm(t, ord=order, dim=1), [x])
    assert ab.linalg.vector_norm([0.0, 2.0, -1.0], ord=0).item() == 2.0


@pytest.mark.parametrize("order", [1, 2, 3, math.inf])
def test_the_norm_has_derivative_nought_at_nought(order: float) -> None:
    for x in (np.zeros(3), np.zeros((2, 0))):
        leaf = ab.tensor(x, requires_grad=True)
        if x.size or order != math.inf:
            out = ab.linalg.vector_norm(leaf, ord=order)
            out.backward()
            assert out.item() == 0.0
            if order != math.inf:
                assert value(leaf.grad).tolist() == x.tolist()
    if order == 2:
        assert not value(ab.hessian(ab.linalg.vector_norm)(np.zeros(2))).any()


def test_a_norm_leaves_zeros_among_other_elements_alone() -> None:
    leaf = ab.tensor([0.0, 2.0], requires_grad=True)
    ab.linalg.vector_norm(leaf, ord=3).backward()
    assert_close(leaf.grad, [0.0, 1.0])


@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_the_correction_is_that_of_the_standard(correction: float) -> None:
    x = np.random.default_rng(3).standard_normal((4, 5))
    for name in ("var", "std"):
        expected = getattr(np, name)(x, axis=0, ddof=correction)
        assert_close(getattr(ab, name)(x, axis=0, correction=correction), expected, 1e-12)
        assert_close(getattr(ab.tensor(x), name)(0, correction=correction), expected, 1e-12)
        assert_close(getattr(np, name)(ab.tensor(x), axis=0, ddof=correction), expected, 1e-12)


def test_the_deviation_of_equal_elements_has_derivative_nought() -> None:
    leaf = ab.tensor([2.0, 2.0], requires_grad=True)
    ab.std(leaf).backward()
    assert value(leaf.grad).tolist() == [0.0, 0.0]


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ab.OperationError, match="degree of freedom"):
        ab.var(np.ones(1), correction=1)
    for function in (ab.median, ab.argmax, ab.argmin):
        with pytest.raises(ab.OperationError, match="nothing to"):
            function(np.ones((0, 2)), axis=0)


ZEROS = [np.array([[2.0, 3.0, 5.0, 7.0]]), np.array([[2.0, 0.0, 5.0, 7.0]]), np.array([[0.0, 3.0, 0.0, -1.0]]), np.array([[0.0, 0.0, 0.0]]), np.array([[3.0]])]


@pytest.mark.parametrize("x", ZEROS)
@pytest.mark.parametrize("name", ["prod", "cumulative_prod"])
def test_products_have_right_gradients_with_zeros_at_both_orders(name: str, x: Any) -> None:
    function = functools.partial(getattr(ab, name), axis=1)
    plain = functools.partial(np.prod if name == "prod" else np.cumprod, axis=1)
    rng = np.random.default_rng(4)
    g = rng.standard_normal(plain(x).shape)
    out, pullback = ab.vjp(function, x)
    assert_close(out, plain(x), 1e-12)
    assert_close(pullback(g)[0], gradient(plain, [x], 0, g), 1e-9)
    second = ab.hessian(lambda t: (function(t) * g).sum())(x)
    expected = np.zeros(x.shape * 2)
    for index in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[index] = 1.0
        expected[index] = central(lambda t: value(ab.grad(lambda s: (function(s) * g).sum())(t)), [x], [unit])
    assert_close(second, expected, 1e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8, 13])
def test_products_of_any_length_are_those_of_pytorch(n: int) -> None:
    torch = torch_module()
    x = np.random.default_rng(n).standard_normal((2, n, 3))
    assert_same(lambda t: ab.prod(t, axis=1), lambda t: torch.prod(t, dim=1), [x])
    assert_same(lambda t: ab.cumulative_prod(t, axis=1), lambda t: torch.cumprod(t, dim=1), [x])
    assert_same(lambda t: ab.cumulative_sum(t, axis=1), lambda t: torch.cumsum(t, dim=1), [x])
    assert_same(ab.prod, torch.prod, [x.astype("float32")], 1e-4)
    assert_close(ab.prod(x, axis=(0, 2), keepdims=True), np.prod(x, axis=(0, 2), keepdims=True), 1e-12)


def test_sums_and_products_of_small_integers_are_held_in_wide_ones() -> None:
    for x in (np.array([100, 100], np.int8), np.array([True, True]), np.array([200, 200], np.uint8)):
        for name, plain in (("prod", np.prod), ("cumulative_sum", np.cumsum), ("cumulative_prod", np.cumprod)):
            expected = plain(x)
            out = getattr(ab, name)(x)
            assert out.tolist() == expected.tolist() and out.dtype == expected.dtype
    assert ab.cumulative_sum([1.0, 2.0], include_initial=True).tolist() == [0.0, 1.0, 3.0]
    assert ab.cumulative_prod([3.0, 2.0], include_initial=True).tolist() == [1.0, 3.0, 6.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_logsumexp_and_softmax_are_stable_far_out(dtype: str) -> None:
    torch = torch_module()
    x = np.array([[-1000.0, 0.0, 1000.0], [1000.0, 1000.0, -1000.0], [-1000.0, -1000.0, -1000.0]], dtype)
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    assert_same(lambda t: ab.logsumexp(t, axis=1), lambda t: torch.logsumexp(t.double(), dim=1).to(t.dtype), [x], tolerance)
    assert_same(ab.softmax, lambda t: torch.softmax(t, dim=-1), [x], tolerance)
    assert_same(lambda t: ab.log_softmax(t, 0), lambda t: torch.log_softmax(t, dim=0), [x], tolerance)
    assert ab.nn.functional.softmax is ab.softmax


def test_logsumexp_of_masked_rows_has_no_nan() -> None:
    leaf = ab.tensor([[-np.inf, -np.inf], [-np.inf, 1.0]], requires_grad=True)
    out = ab.logsumexp(leaf, axis=1)
    out.sum().backward()
    assert out.tolist() == [-np.inf, 1.0] and value(leaf.grad).tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert ab.logsumexp(np.zeros((2, 0)), axis=1).tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("axis", [0, -1, None])
@pytest.mark.parametrize("name", ["argmax", "argmin", "any", "all", "count_nonzero", "median"])
def test_counts_and_places_are_those_of_numpy(name: str, axis: Any) -> None:
    rng = np.random.default_rng(5)
    for x in (rng.integers(0, 3, (4, 5)), rng.standard_normal((3, 2, 4)), rng.random((3, 3)) < 0.5):
        for keepdims in (False, True):
            expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
            out = getattr(ab, name)(x, axis=axis, keepdims=keepdims)
            assert np.array_equal(value(out), expected) and out.dtype == np.asarray(expected).dtype
            if name != "median":
                recorded = getattr(np, name)(ab.tensor(x), axis, keepdims=keepdims)
                assert isinstance(recorded, ab.Tensor) and np.array_equal(value(recorded), expected)


def test_the_median_of_several_axes_and_of_nan() -> None:
    x = np.random.default_rng(6).standard_normal((3, 4, 2))
    assert_close(ab.median(x, axis=(0, 2)), np.median(x, axis=(0, 2)), 1e-12)
    assert np.array_equal(value(ab.median(x, axis=())), x)
    assert_close(ab.grad(lambda t: ab.median(t, axis=(0, 1)).sum())(x), gradient(lambda t: np.median(t, axis=(0, 1)), [x], 0, np.ones(2), central), 1e-6)
    x[0, 0, 0] = np.nan
    assert np.array_equal(value(ab.median(x, axis=(0, 1))), np.median(x, axis=(0, 1)), equal_nan=True)


@pytest.mark.parametrize("name", ["prod", "var", "std", "median", "softmax", "log_softmax", "cumulative_prod"])
def test_compositions_map_over_examples(name: str) -> None:
    x = np.random.default_rng(7).standard_normal((3, 5))
    function = getattr(ab, name)
    assert_close(ab.vmap(function)(x), np.stack([value(function(row)) for row in x]), 1e-12)
    gradients = ab.vmap(ab.grad(lambda t: (function(t) ** 2).sum()))(x)
    assert_close(gradients, np.stack([value(ab.grad(lambda t: (function(t) ** 2).sum())(row)) for row in x]), 1e-12)


def test_the_product_of_a_number_is_a_number() -> None:
    x = ab.tensor(3.0, requires_grad=True)
    y = ab.prod(x)
    assert y.shape == ()
    y.backward()
    assert_close(x.grad, 1.0)


@pytest.mark.parametrize(("dtype", "sizes"), [("float32", [1e-44, 1e-30, 1e-18, 1.0, 1e30, 8e37]), ("float64", [1e-300, 1e-160, 1.0, 1e300])])
def test_norms_of_tiny_and_huge_vectors_have_values_and_gradients(dtype: str, sizes: list[float]) -> None:
    direction = np.array([0.5, -0.5, 0.5, 0.5])
    rows = np.outer(np.array(sizes, dtype), direction).astype(dtype)
    expected = np.linalg.norm(rows.astype(np.longdouble), axis=1)
    for x in (rows, rows.T.copy(order="F").T, rows * (0.6 + 0.8j) if dtype == "float64" else rows):
        out, pullback = ab.vjp(lambda x: ab.linalg.vector_norm(x, axis=1), x)
        assert np.allclose(value(out) / expected, 1.0, rtol=1e-6)
        (gradient,) = pullback(np.ones(len(sizes), dtype))
        assert np.allclose(gradient, x / expected[:, None].astype(dtype), rtol=1e-3)
    for row, norm in zip(rows, expected, strict=True):
        assert np.isclose(value(ab.linalg.vector_norm(row)) / norm, 1.0, rtol=1e-6)
        assert ab.linalg.vector_norm(row, keepdims=True).shape == (1,)
        if 1e-40 < norm < 1e37:
            assert np.isclose(value(ab.std(row)) / norm, np.sqrt(3) / 4, rtol=1e-5)
    assert ab.linalg.vector_norm(np.array([[np.inf, 1.0], [np.nan, 1.0], [0.0, 0.0]]), axis=1).tolist()[::2] == [np.inf, 0.0]
    assert np.isnan(ab.linalg.vector_norm(np.array([np.nan, 1.0])).item())
    assert ab.linalg.vector_norm(np.zeros((0, 2)), axis=0).tolist() == [0.0, 0.0] and ab.linalg.vector_norm(np.zeros((2, 0)), axis=0).shape == (0,)


def test_logsumexp_has_a_derivative_at_infinity() -> None:
    assert value(ab.grad(ab.logsumexp)(np.array([np.inf, 0.0, -np.inf]))).tolist() == [1.0, 0.0, 0.0]
    assert value(ab.grad(ab.logsumexp)(np.array([np.inf, 0.0, np.inf]))).tolist() == [0.5, 0.0, 0.5]


def test_float16_whose_sums_leave_its_range() -> None:
    many = np.zeros(70_000, np.float16)
    assert ab.softmax(ab.tensor(many)).dtype == np.float16
    np.testing.assert_array_equal(ab.softmax(ab.tensor(many)).numpy(), np.full(70_000, 1 / 70_000).astype(np.float16))
    np.testing.assert_array_equal(ab.log_softmax(ab.tensor(many)).numpy(), np.full(70_000, -np.log(70_000)).astype(np.float16))
    assert ab.logsumexp(many).item() == np.float16(np.log(70_000)) and ab.logsumexp(many).dtype == np.float16
    large = np.float16([300, 600, 900, 120])
    for correction in (0, 1):
        assert ab.std(ab.tensor(large), correction=correction).item() == np.float16(np.std(large.astype(np.float32), ddof=correction))
    small = large / 8
    assert ab.var(ab.tensor(small)).dtype == np.float16 and ab.var(ab.tensor(small)).item() == np.float16(np.var(small.astype(np.float32)))
    gradient = ab.grad(lambda x: ab.std(x))(large)
    assert gradient.dtype == np.float16
    assert_close(gradient, ab.grad(lambda x: ab.std(x))(large.astype(np.float32)), 1e-3)


@pytest.mark.parametrize("count_from", [2, 3, 6])
def test_float16_whose_powers_and_sums_leave_its_range_without_what_is_missing(count_from: int) -> None:
    x = np.array([[300, 600, np.nan, 900], [6e4, 5e4, 6e4, np.nan]], np.float16)
    for name in ("nanmean", "nanvar", "nanstd"):
        rows = x[: 1 if name == "nanvar" else 2] / np.float16(8 if name == "nanvar" else 1)
        expected = getattr(np, name)(rows.astype(np.float64), axis=1)
        found = getattr(ab, name)(rows, axis=1)
        assert found.dtype == np.float16
        np.testing.assert_allclose(value(found), expected, rtol=1e-3)
    assert ab.nanmean(np.full(70_000, 3, np.float16)).item() == 3.0
    row = np.array([count_from, 100, -200, 50], np.float16)
    for order in (3, 1.5, -2):
        exact = np.sum(np.abs(row.astype(float)) ** order) ** (1 / order)
        found, pullback = ab.vjp(lambda x, order=order: ab.linalg.vector_norm(x, ord=order), row)
        assert found.dtype == np.float16
        np.testing.assert_allclose(value(found), exact, rtol=1e-3)
        slope = np.sign(row) * (np.abs(row.astype(float)) / exact) ** (order - 1)
        np.testing.assert_allclose(value(pullback(np.float16(1))[0]), slope, rtol=5e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "offset"), [("float64", -1e20), ("float64", 1e12), ("float32", -1e9), ("float32", 1e6), ("float16", 1000.0), ("float16", -6e4)]
)
def test_the_derivative_of_logsumexp_is_the_softmax_where_the_value_is_rounded(dtype: str, offset: float) -> None:
    x = np.array([[0.0, 1.0, 0.0, 2.0]], dtype) + np.array(offset, dtype)
    wide = x.astype(np.longdouble)
    share = np.exp(wide - wide.max())
    share /= share.sum()
    tolerance = 20 * float(np.finfo(dtype).eps)
    f = lambda t: ab.logsumexp(t, axis=1).sum()
    for gradient_of in (ab.grad(f), ab.vmap(ab.grad(ab.logsumexp)), ab.jit(ab.grad(f)), ab.jit(ab.grad(f), emitter="numpy")):
        gradient = gradient_of(ab.tensor(x))
        assert gradient.dtype == dtype
        np.testing.assert_allclose(value(gradient), share.astype(float), rtol=tolerance)
    tangent = np.array([[1.0, 0.0, -1.0, 0.0]], dtype)
    np.testing.assert_allclose(value(ab.jvp(f, (x,), (tangent,))[1]), float((share * tangent).sum()), rtol=tolerance, atol=tolerance)
    curvature = share * tangent - share * (share * tangent).sum()
    np.testing.assert_allclose(value(ab.jvp(ab.grad(f), (x,), (tangent,))[1]), curvature.astype(float), rtol=tolerance, atol=tolerance)


def test_differences_with_numbers_before_and_after() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    for axis in (0, 1):
        found = ab.diff(x, axis=axis, prepend=0.0, append=2)
        np.testing.assert_array_equal(found.numpy(), np.diff(x, axis=axis, prepend=np.float32(0), append=np.float32(2)))
        assert found.dtype == np.float32
    assert_close(ab.grad(lambda a: (ab.diff(x, prepend=a) ** 2).sum())(0.5), 2 * np.sum(0.5 - x[:, 0].astype(float)), 1e-6)
    with pytest.raises(ShapeError):
        ab.diff(x, prepend=np.zeros(2))


def test_methods_take_the_keywords_of_the_functions() -> None:
    x = ab.tensor([[1.0, 2.0]])
    assert x.sum(0, True, dtype="float32").dtype == "float32"
    assert [*inspect.signature(ab.Tensor.sum).parameters] == ["self", "axis", "keepdims", "dtype"]
    assert [*inspect.signature(ab.Tensor.var).parameters] == ["self", "axis", "keepdims", "correction"]

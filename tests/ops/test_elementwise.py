"""Elementwise functions against PyTorch, and where they are delicate: far out, at kinks, at poles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError
from tests.ops.torch_oracle import assert_same, torch_module
from tests.oracles import assert_close, value

UNARY = {
    "log1p": (-0.9, 3),
    "expm1": (-3, 3),
    "log2": (0.1, 3),
    "log10": (0.1, 3),
    "square": (-3, 3),
    "reciprocal": (0.2, 3),
    "tan": (-1.3, 1.3),
    "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9),
    "atan": (-3, 3),
    "sinh": (-3, 3),
    "cosh": (-3, 3),
    "asinh": (-3, 3),
    "acosh": (1.1, 3),
    "atanh": (-0.9, 0.9),
    "erf": (-3, 3),
    "positive": (-3, 3),
}
BINARY = ["atan2", "hypot", "logaddexp", "remainder"]
SHAPES = [((), ()), ((3, 1), (2,)), ((0, 2), (2,)), ((2, 3), ())]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_operand_are_those_of_pytorch(name: str, dtype: str) -> None:
    torch = torch_module()
    x = np.random.default_rng(1).uniform(*UNARY[name], (3, 4)).astype(dtype)
    assert_same(getattr(ab, name), getattr(torch, name), [x], 1e-11 if dtype == "float64" else 2e-5)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_operands_are_those_of_pytorch(name: str, shapes: Any) -> None:
    torch = torch_module()
    rng = np.random.default_rng(2)
    x, y = (np.asarray(rng.standard_normal(s) * 3) for s in shapes)
    assert_same(getattr(ab, name), getattr(torch, name), [x, y], 1e-11)


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "round", "sign"])
def test_steps_have_values_and_no_derivative(name: str) -> None:
    x = np.array([-2.5, -1.5, -0.2, 0.0, 0.5, 1.5, 2.7])
    leaf = ab.tensor(x, requires_grad=True)
    out = getattr(ab, name)(leaf)
    assert np.array_equal(value(out), getattr(np, name)(x)) and not out.requires_grad
    with pytest.raises(ab.GradientError, match=name):
        out.sum().backward()


@pytest.mark.parametrize("decimals", [0, 1, 2, -1, -2, None])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_rounding_to_decimals_is_numpys(decimals: int | None, dtype: str) -> None:
    x = (np.random.default_rng(0).standard_normal(200) * 300).astype(dtype)
    x[:4] = [25, -25, 15, 350]
    expected = np.round(x, decimals or 0)
    leaf = ab.tensor(x, requires_grad=dtype != "int64")
    for found in (ab.round(leaf, decimals), leaf.round(decimals), round(leaf, decimals), np.round(leaf, decimals or 0)):
        assert np.array_equal(value(found), expected) and value(found).dtype == expected.dtype and not found.requires_grad


def test_python_operators_follow_pythons_conventions() -> None:
    x = ab.tensor([-7.0, 7.0, 7.5], requires_grad=True)
    assert (x % -2.0).tolist() == [-7 % -2, 7 % -2, 7.5 % -2]
    assert (x // 2).tolist() == [-7 // 2, 7 // 2, 7.5 // 2]
    assert (20 // x).tolist() == [20 // -7, 20 // 7, 20 // 7.5] and not (20 // x).requires_grad
    (20.0 % x).sum().backward()
    assert_close(x.grad, [-(20 // -7.0), -(20 // 7.0), -(20 // 7.5)])
    mask = (x > 0) & (x < 7.2) | ~(x > 0) ^ True
    assert mask.tolist() == [False, True, True]
    assert (ab.asarray([6, 5]) & 3).tolist() == [2, 1] and (3 | ab.asarray([4])).tolist() == [7]
    assert (+x).tolist() == x.tolist()
    with pytest.raises(ab.DtypeError, match="bitwise_and"):
        _ = x & 1


def test_erf_is_that_of_the_c_library_within_five_units() -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(-6.5, 6.5, 20000), rng.uniform(-0.5, 0.5, 5000), [0.46875, -0.46875, 4.0, 1e-300, 0.0]])
    expected = np.array([math.erf(v) for v in x])
    assert np.max(np.abs(value(ab.erf(x)) - expected) / np.spacing(np.abs(expected))) <= 5
    assert value(ab.erf(np.array([np.inf, -np.inf, -0.0, np.nan]))).tolist()[:2] == [1.0, -1.0]
    assert np.signbit(value(ab.erf(np.array(-0.0)))) and np.isnan(value(ab.erf(np.nan)))
    assert_close(ab.erf(x.astype("float32")), expected, 1e-7)
    with pytest.raises(ab.DtypeError, match="real"):
        ab.erf(np.array([1j]))


FAR = [-np.inf, -1e30, -745.0, -720.0, -710.0, -700.0, -103.0, -100.0, -88.5, -30.0, -1.0, 0.0, 1.0, 30.0, 88.5, 100.0, 710.0, 1e30, np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_sigmoid_is_right_at_infinity_and_where_results_are_subnormal(dtype: str) -> None:
    with np.errstate(over="ignore"):
        x = np.array(FAR, dtype)
        wide = x.astype(np.longdouble)
        expected = (1 / (1 + np.exp(-wide))).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        got = value(ab.sigmoid(ab.tensor(x)))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=4 * float(np.finfo(dtype).eps), atol=float(np.finfo(dtype).smallest_subnormal))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_softplus_and_logaddexp_are_stable_far_out(dtype: str) -> None:
    x = ab.tensor(np.array([-1000.0, -50.0, 0.0, 50.0, 1000.0], dtype), requires_grad=True)
    y = ab.softplus(x)
    assert_close(y, [0.0, math.exp(-50), math.log(2), 50.0, 1000.0], 1e-6)
    assert y.dtype == x.dtype and value(y)[1] > 0
    y.sum().backward()
    assert_close(x.grad, [0.0, math.exp(-50), 0.5, 1.0, 1.0], 1e-6)
    assert_close(ab.vmap(ab.grad(ab.grad(ab.softplus)))(x.detach()), [0.0, math.exp(-50), 0.25, math.exp(-50), 0.0], 1e-6)


def test_logaddexp_of_two_empty_probabilities_has_no_gradient_and_no_nan() -> None:
    x, y = ab.tensor([-np.inf, -np.inf], requires_grad=True), ab.tensor([-np.inf, 0.0], requires_grad=True)
    out = ab.logaddexp(x, y)
    out.sum().backward()
    assert out.tolist() == [-np.inf, 0.0] and x.grad.tolist() == [0.0, 0.0] and y.grad.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint64"])
@pytest.mark.parametrize("name", ["atan2", "divide", "hypot", "logaddexp", "maximum", "multiply", "pow", "remainder", "subtract"])
def test_a_whole_operand_gives_the_derivatives_of_the_same_numbers_as_floats(name: str, dtype: str) -> None:
    f = getattr(ab, name)
    n = np.array([1, 100, 120]).astype(dtype)
    if name == "subtract" and dtype == "bool":
        n = n.astype("int8")
    for g in (f, lambda x, m: f(m, x)):
        for m in (n, n.astype(float)):
            gradient = ab.grad(lambda x, g=g, m=m: g(x, m).sum())
            found = ab.vjp(gradient, ab.tensor([1.5, 2.5, 0.5]))
            if m is n:
                first, second = found[0], found[1](ab.ones(3))[0]
        assert_close(first, found[0])
        assert_close(second, found[1](ab.ones(3))[0])


@pytest.mark.parametrize(("dtype", "size"), [("float64", 1e17), ("float32", 1e6), ("float32", -1e9), ("float16", 1000.0)])
def test_logaddexp_has_the_derivative_of_the_distance_where_the_value_is_rounded(dtype: str, size: float) -> None:
    x = np.array([size, size], dtype)
    y = np.array([size, np.nextafter(np.array(size, dtype), np.array(np.inf, dtype))], dtype)
    share = 1 / (1 + np.exp((y - x).astype(float)))
    for found, expected in zip(ab.vjp(ab.logaddexp, x, y)[1](np.ones(2, dtype)), (share, 1 - share), strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(value(found), expected, rtol=4 * float(np.finfo(dtype).eps))
    second = ab.grad(lambda x: ab.grad(lambda x: ab.logaddexp(x, y).sum())(x).sum())(x)
    np.testing.assert_allclose(value(second), share * (1 - share), rtol=8 * float(np.finfo(dtype).eps))


def test_the_second_derivative_of_the_cube_root_at_nought_is_infinite() -> None:
    with np.errstate(divide="ignore"):
        assert ab.vmap(ab.grad(ab.grad(ab.cbrt)))(np.array([0.0, -0.0, np.inf])).tolist() == [-np.inf, np.inf, 0.0]


def test_hypot_has_derivative_nought_at_the_origin_at_every_order() -> None:
    gradient = ab.grad(ab.hypot, argnums=(0, 1))
    assert [g.item() for g in gradient(0.0, 0.0)] == [0.0, 0.0]
    assert ab.grad(lambda x: gradient(x, 0.0)[0])(0.0).item() == 0.0
    assert ab.hypot(3e200, ab.tensor(4e200)).item() == pytest.approx(5e200)


@pytest.mark.parametrize("function", [ab.maximum, ab.minimum])
def test_where_neither_operand_is_larger_each_gets_half_of_the_gradient(function: Any) -> None:
    x = np.array([np.nan, 1.0, np.nan, 2.0, np.inf, -np.inf, 0.0])
    y = np.array([1.0, np.nan, np.nan, 2.0, np.inf, -np.inf, -0.0])
    gradients = ab.vjp(function, x, y)[1](np.full(7, 3.0))
    tangent = ab.jvp(function, (x, y), (np.ones(7), np.full(7, 3.0)))[1]
    assert [value(g).tolist() for g in gradients] == [[1.5] * 7] * 2
    assert tangent.tolist() == [2.0] * 7
    assert [g.dtype for g in ab.vjp(function, x.astype("float32"), y.astype("float32"))[1](np.ones(7, "float32"))] == [np.float32] * 2


def test_clip_gives_the_gradient_to_whoever_gave_the_value() -> None:
    torch = torch_module()
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert_same(lambda t: ab.clip(t, -1.0, 1.0), lambda t: torch.clamp(t, -1.0, 1.0), [x])
    assert_same(lambda t: ab.clip(t, min=-1.0), lambda t: torch.clamp(t, min=-1.0), [x])
    assert_same(lambda t: ab.clip(t, max=0.5), lambda t: torch.clamp(t, max=0.5), [x.astype("float32")])
    rng = np.random.default_rng(4)
    assert_same(ab.clip, torch.clamp, [rng.standard_normal((3, 4)), -rng.random(4), rng.random((3, 1))])


def test_clip_with_crossed_bounds_counts_the_upper_one_and_shares_no_gradient_twice() -> None:
    x, low, high = (ab.tensor(v, requires_grad=True) for v in ([-3.0, 0.0, 3.0], [1.0] * 3, [-1.0] * 3))
    out = ab.clip(x, low, high)
    assert out.tolist() == [-1.0] * 3
    out.sum().backward()
    assert (value(x.grad).tolist(), value(low.grad).tolist(), value(high.grad).tolist()) == ([0.0] * 3, [0.0] * 3, [1.0] * 3)


def test_clip_gives_no_gradient_where_something_is_nan() -> None:
    torch = torch_module()
    x, low, high = np.array([np.nan, 0.0, 2.0, 2.0, -2.0]), np.array([-1.0, np.nan, np.nan, -1.0, -1.0]), np.array([1.0, 1.0, 1.0, np.nan, np.nan])
    for ours, theirs in (
        (lambda t: ab.clip(t, -1.0, 1.0), lambda t: torch.clamp(t, -1.0, 1.0)),
        (lambda t: ab.clip(t, low), lambda t: torch.clamp(t, torch.tensor(low))),
    ):
        peer = torch.tensor(x, requires_grad=True)
        theirs(peer).sum().backward()
        assert ab.grad(lambda t, f=ours: f(t).sum())(x).tolist() == peer.grad.tolist()
    assert ab.grad(lambda x: ab.clip(x, low, high).sum())(x).tolist() == [0.0] * 5


def test_clip_of_integers_stays_of_integers() -> None:
    assert ab.clip(ab.arange(5), min=1).dtype == np.dtype(int)
    assert ab.clip(ab.arange(5), 1, 3).tolist() == [1, 1, 2, 3, 3]


def test_numpys_own_functions_are_recorded() -> None:
    x = ab.tensor([0.2, 0.8], requires_grad=True)
    uses: list[Callable[..., Any]] = [np.arcsin, np.log1p, np.square, np.reciprocal, lambda t: np.arctan2(t, 2.0), lambda t: np.clip(t, 0.5, None)]
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        uses.append(lambda t: np.clip(t, max=0.5))
    for use in uses:
        out = use(x)
        assert isinstance(out, ab.Tensor) and out.requires_grad
        assert_close(out, use(x.detach().numpy()), 1e-12)
    assert np.isnan(x).tolist() == [False, False] and np.round(x).tolist() == [0.0, 1.0]


def test_relu_of_complex_numbers_is_refused() -> None:
    with pytest.raises(DtypeError, match="complex numbers are not ordered"):
        ab.relu(ab.tensor([1 + 1j]))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_relu_of_a_large_array_is_that_of_each_element(dtype: str) -> None:
    x = np.resize(np.array([-np.inf, -1.5, -0.0, 0.0, 1e-30, 2.5, np.inf, np.nan], dtype), 20_000)
    y = ab.relu(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.numpy(), np.maximum(x, 0))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_logaddexp_and_softplus_have_a_derivative_at_infinity(dtype: str) -> None:
    inf = np.inf
    x, y = np.array([inf, 0.0, inf, -inf, -inf, 0.0], dtype), np.array([0.0, inf, -inf, inf, -inf, 0.0], dtype)
    _, pullback = ab.vjp(ab.logaddexp, x, y)
    assert [g.tolist() for g in pullback(np.ones(6, dtype))] == [[1.0, 0.0, 1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 1.0, 0.0, 0.5]]
    points = np.array([inf, -inf, 1e30, -1e30, 0.0], dtype)
    for derivative in (ab.vmap(ab.grad(ab.softplus))(points), ab.jvp(ab.softplus, (points,), (np.ones(5, dtype),))[1]):
        assert derivative.dtype == dtype and derivative.tolist() == [1.0, 0.0, 1.0, 0.0, 0.5]
    assert ab.vmap(ab.grad(ab.grad(ab.softplus)))(points).tolist() == [0.0, 0.0, 0.0, 0.0, 0.25]


@pytest.mark.parametrize(("dtype", "sizes"), [("float32", [1e-30, 1e-23, 1.0, 1e20, 1e37]), ("float64", [1e-200, 1.0, 1e200])])
def test_angles_of_tiny_and_huge_points_have_gradients(dtype: str, sizes: list[float]) -> None:
    size = np.array(sizes, dtype)
    gx, gy = ab.vjp(ab.atan2, 3 * size, 4 * size)[1](np.ones(len(sizes), dtype))
    assert np.allclose(value(gx) * size, 4 / 25, rtol=1e-6) and np.allclose(value(gy) * size, -3 / 25, rtol=1e-6)
    z = (4 * size + 3j * size).astype({"float32": "complex64", "float64": "complex128"}[dtype])
    gz = value(ab.vjp(ab.angle, z)[1](np.ones(len(sizes), dtype))[0])
    assert np.allclose(gz * size, -3 / 25 + 4j / 25, rtol=1e-6)


def test_divmod_is_quotient_and_rest() -> None:
    x = ab.tensor([7.5, -7.5], requires_grad=True)
    for ours, its in (
        (divmod(x, 2.0), divmod(np.array([7.5, -7.5]), 2.0)),
        (divmod(20.0, x), divmod(20.0, np.array([7.5, -7.5]))),
        (divmod(x, x), ([1, 1], [0, 0])),
    ):
        assert [part.tolist() for part in ours] == [list(part) for part in its]
    divmod(x, 2.0)[1].sum().backward()
    assert value(x.grad).tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="unsupported operand"):
        divmod(x, None)  # type: ignore[operator]


def test_a_power_of_zero_has_its_mixed_second_derivative() -> None:
    x, y, ones = np.array([2.0, 0.5, 3.0]), np.array([0.0, 0.0, 1.0]), np.ones(3)
    expected = [0.5, 2.0, 1.0 + np.log(3.0)]
    by_x = lambda y: ab.grad(lambda x: (x**y).sum())(x)
    pushed = lambda y: ab.jvp(lambda x: x**y, (x,), (ones,))[1]
    for found in (ab.grad(lambda y: by_x(y).sum())(y), ab.jvp(by_x, (y,), (ones,))[1], ab.jvp(pushed, (y,), (ones,))[1]):
        assert_close(found, expected, 1e-14)
    assert_close(ab.jit(ab.grad(lambda y: by_x(y).sum()))(ab.tensor(y)), expected, 1e-14)
    ab.testing.check_gradients(lambda x, y: x**y, x, y)
    with np.errstate(all="raise"):
        assert value(ab.vjp(lambda x: x ** np.array([0.0, 0.0, 2.0]), np.array([0.0, np.inf, 0.0]))[1](np.ones(3))[0]).tolist() == [0.0, 0.0, 0.0]


def test_a_power_of_zero_whose_exponent_is_negative_or_nan_has_no_derivative_of_nought() -> None:
    torch = torch_module()
    x, y = np.zeros(5), np.array([2.0, 0.0, -1.0, -0.5, np.nan])
    peer = torch.tensor(y, requires_grad=True)
    torch.pow(torch.tensor(x), peer).sum().backward()
    mixed = ab.grad(lambda y: ab.grad(lambda x: (x**y).sum())(x).sum())
    with np.errstate(all="ignore"):
        found = ab.grad(lambda y: ab.pow(x, y).sum())(y)
        np.testing.assert_array_equal(value(found), peer.grad.numpy())
        for exponent in (0.0, 0.5):  # xʸ⁻¹·(1 + y·log x)
            assert not np.isfinite(value(mixed(np.full(5, exponent)))).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_the_derivative_of_a_power_of_zero_is_nought_where_the_inverse_of_the_base_overflows(dtype: Any) -> None:
    least = np.finfo(dtype).smallest_subnormal
    x, y = np.array([least, -least, 8 * least, 0, 2, least], dtype), np.array([0, 0, 0, 0, 0, 1], dtype)
    for run in (ab.grad, lambda f: ab.jit(ab.grad(f))):
        assert value(run(lambda x: (x**y).real.sum())(ab.tensor(x))).tolist() == [0, 0, 0, 0, 0, 1]

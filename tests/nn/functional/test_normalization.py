from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_bn as ab
from autograd_bn.core.complex_values import analytic_continuation
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.graph import graph
from autograd_bn.core.node import ancestors
from autograd_bn.core.primitive import registry
from autograd_bn.nn import functional as F
from tests.messages import refused

Array = np.ndarray[Any, Any]
SHAPES = [(6, 3), (4, 3, 5), (3, 2, 4, 2)]


def leaves(shape: tuple[int, ...], seed: int = 0, dtype: str = "float64") -> tuple[Any, Any, Any, Array]:
    rng = np.random.default_rng(seed)
    c = shape[1]
    x = ab.tensor(rng.normal(1.0, 2.0, shape).astype(dtype), requires_grad=True, name="x")
    gamma = ab.tensor(rng.uniform(0.5, 1.5, c).astype(dtype), requires_grad=True, name="gamma")
    beta = ab.tensor(rng.standard_normal(c).astype(dtype), requires_grad=True, name="beta")
    return x, gamma, beta, rng.standard_normal(shape).astype(dtype)


def papers_gradients(x: Array, gamma: Array, dy: Array, eps: float) -> tuple[Array, Array, Array]:
    """The backward pass as the paper derives it (section 3)."""
    axes = (0, *range(2, x.ndim))
    wide = (1, -1) + (1,) * (x.ndim - 2)
    m = x.size // x.shape[1]
    mu = x.mean(axes, keepdims=True)
    var = ((x - mu) ** 2).mean(axes, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + eps)
    dxhat = dy * gamma.reshape(wide)
    dvar = (dxhat * (x - mu)).sum(axes, keepdims=True) * -0.5 * (var + eps) ** -1.5
    dmu = (dxhat * -1 / np.sqrt(var + eps)).sum(axes, keepdims=True) + dvar * (-2 * (x - mu)).mean(axes, keepdims=True)
    dx = dxhat / np.sqrt(var + eps) + dvar * 2 * (x - mu) / m + dmu / m
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


def recorded(y: Any) -> list[Any]:
    """The nodes of the recorded operations that lead to y."""
    return [node for node in ancestors([y.node]) if node.primitive is not None]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_the_papers_closed_form(shape: tuple[int, ...]) -> None:
    x, gamma, beta, dy = leaves(shape)
    F.batch_norm(x, gamma, beta, eps=1e-3).backward(dy)
    expected = papers_gradients(np.array(x.detach()), np.array(gamma.detach()), dy, 1e-3)
    for leaf, want in zip((x, gamma, beta), expected, strict=True):
        np.testing.assert_allclose(np.array(leaf.grad), want, rtol=0, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(1, 4), st.sampled_from([(), (1,), (3,), (2, 3)]), st.integers(0, 2**32 - 1))
def test_the_closed_form_holds_for_any_shape(n: int, c: int, rest: tuple[int, ...], seed: int) -> None:
    x, gamma, beta, dy = leaves((n, c, *rest), seed)
    F.batch_norm(x, gamma, beta, eps=0.1).backward(dy)
    for leaf, want in zip((x, gamma, beta), papers_gradients(np.array(x.detach()), np.array(gamma.detach()), dy, 0.1), strict=True):
        np.testing.assert_allclose(np.array(leaf.grad), want, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_agrees_with_the_complex_step(shape: tuple[int, ...]) -> None:
    x, gamma, beta, dy = leaves(shape)
    F.batch_norm(x, gamma, beta).backward(dy)
    values = [np.array(v.detach()) for v in (x, gamma, beta)]
    for k, leaf in enumerate((x, gamma, beta)):
        got = np.array(leaf.grad)
        for i in np.ndindex(values[k].shape):
            moved = [v.astype(complex) for v in values]
            moved[k][i] += 1e-30j
            with analytic_continuation():
                slope = (F.batch_norm(*moved).numpy() * dy).sum().imag / 1e-30
            assert abs(slope - got[i]) <= 1e-10


def test_the_gradient_agrees_with_central_differences() -> None:
    x, gamma, beta, dy = leaves((6, 3))
    F.batch_norm(x, gamma, beta).backward(dy)
    values = np.array(x.detach())
    for i in np.ndindex(values.shape):
        up, down = values.copy(), values.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        slope = ((F.batch_norm(up, gamma.detach(), beta.detach()).numpy() - F.batch_norm(down, gamma.detach(), beta.detach()).numpy()) * dy).sum() / 2e-5
        assert abs(slope - np.array(x.grad)[i]) <= 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_stays_float32(shape: tuple[int, ...]) -> None:
    x, gamma, beta, dy = leaves(shape, dtype="float32")
    y = F.batch_norm(x, gamma, beta)
    y.backward(dy)
    assert y.dtype == x.grad.dtype == gamma.grad.dtype == beta.grad.dtype == np.float32


def test_two_dimensional_batch_norm_records_nothing_but_the_papers_operations() -> None:
    x, gamma, beta, _ = leaves((6, 3))
    y = F.batch_norm(x, gamma, beta)
    assert sorted(node.primitive.name for node in recorded(y)) == sorted(["mean", "sub", "pow", "mean", "add", "sqrt", "div", "mul", "mul", "add"])


def test_every_operation_is_in_one_scope_named_batch_norm() -> None:
    x, gamma, beta, _ = leaves((6, 3))
    y = F.batch_norm(x, gamma, beta)
    assert {repr(node.scope) for node in recorded(y)} == {"batch_norm"}
    assert len({node.scope for node in recorded(y)}) == 1


def test_intermediate_values_carry_the_figures_names() -> None:
    x, gamma, beta, _ = leaves((6, 3))
    named = [(node.primitive.name, node.name) for node in graph(F.batch_norm(x, gamma, beta)).nodes if node.primitive is not None]
    centring = [("mean", "μ"), ("sub", "xμ"), ("pow", "sq"), ("mean", "var"), ("add", None), ("sqrt", "sqrtvar"), ("div", "ivar"), ("mul", "x̂")]
    assert named == [*centring, ("mul", "γx̂"), ("add", "out")]


@pytest.mark.parametrize("name", ["mean", "sub", "pow", "sqrt", "div", "mul"])
def test_breaking_a_primitives_rule_breaks_batch_norm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, gamma, beta, dy = leaves((6, 3))
    F.batch_norm(x, gamma, beta).backward(dy)
    before = np.array(x.grad)
    primitive = registry[name]
    rule = primitive.vjp
    assert rule is not None
    broken = [lambda *a: tuple(None if c is None else 2 * c for c in rule(*a))]
    monkeypatch.setattr(primitive, "vjp", broken[0])
    x.grad = None
    F.batch_norm(x, gamma, beta).backward(dy)
    assert not np.allclose(np.array(x.grad), before)


def test_a_population_gives_a_fixed_affine_map() -> None:
    x, gamma, beta, dy = leaves((5, 3, 2))
    mean, var = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 4.0])
    y = F.batch_norm(x, gamma, beta, population=(mean, var))
    y.backward(dy)
    scale = (np.array(gamma.detach()) / np.sqrt(var + 1e-5)).reshape(1, 3, 1)
    want = (np.array(x.detach()) - mean.reshape(1, 3, 1)) * scale + np.array(beta.detach()).reshape(1, 3, 1)
    np.testing.assert_allclose(y.detach().numpy(), want, atol=1e-12)
    np.testing.assert_allclose(np.array(x.grad), dy * scale, atol=1e-12)


def test_statistics_come_back_on_request() -> None:
    x, gamma, beta, _ = leaves((6, 3))
    y, mean, var = F.batch_norm(x, gamma, beta, return_statistics=True)
    a = np.array(x.detach())
    np.testing.assert_allclose(mean.detach().numpy(), a.mean(0, keepdims=True))
    np.testing.assert_allclose(var.detach().numpy(), a.var(0, keepdims=True))
    assert y.shape == x.shape


def test_arrays_serve_for_any_argument() -> None:
    x, gamma, beta, dy = leaves((6, 3))
    arrays = [np.array(v.detach()) for v in (x, gamma, beta)]
    want = F.batch_norm(x, gamma, beta).detach().numpy()
    for k in range(3):
        mixed = [v if i == k else a for i, (v, a) in enumerate(zip((x, gamma, beta), arrays, strict=True))]
        y = F.batch_norm(*mixed)
        np.testing.assert_allclose(y.detach().numpy(), want, atol=1e-12)
        y.backward(dy)
        assert mixed[k].grad is not None
    np.testing.assert_allclose(F.batch_norm(arrays[0].tolist(), None, None).numpy(), (want - arrays[2]) / arrays[1], atol=1e-12)


def test_a_constant_channel_gives_beta_and_finite_gradients() -> None:
    x = ab.tensor(np.full((4, 2), 3.25, "float32"), requires_grad=True)
    gamma = ab.tensor(np.ones(2, "float32"), requires_grad=True)
    y = F.batch_norm(x, gamma, np.array([5.0, -1.0], "float32"))
    y.backward(np.random.default_rng(0).standard_normal((4, 2)).astype("float32"))
    assert (y.detach().numpy() == [5.0, -1.0]).all()
    assert np.isfinite(np.array(x.grad)).all()
    assert np.isfinite(np.array(gamma.grad)).all()


def test_scaling_the_input_changes_nothing_when_eps_is_zero() -> None:
    x, gamma, beta, _ = leaves((8, 3))
    a = F.batch_norm(x, gamma, beta, eps=0.0).detach().numpy()
    b = F.batch_norm(x * 7.0, gamma, beta, eps=0.0).detach().numpy()
    np.testing.assert_allclose(a, b, atol=1e-13)


def test_nan_propagates_to_its_channel_alone() -> None:
    x = np.random.default_rng(0).standard_normal((4, 2))
    x[1, 0] = np.nan
    y = F.batch_norm(x, None, None).numpy()
    assert np.isnan(y[:, 0]).all()
    assert np.isfinite(y[:, 1]).all()


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda x: F.batch_norm(x, np.ones(5), np.zeros(4)), ShapeError, ["batch_norm", "x float64[6, 4]", "has 4 channels", "gamma", "(4,)", "got (5,)"]),
        (lambda x: F.batch_norm(x, np.ones(4), np.zeros((4, 1))), ShapeError, ["beta must have shape (4,)", "got (4, 1)"]),
        (lambda x: F.batch_norm(x, None, None, population=(np.zeros(3), np.ones(4))), ShapeError, ["population mean", "(4,)", "got (3,)"]),
        (lambda x: F.batch_norm(x[:0], np.ones(4), np.zeros(4)), OperationError, ["x float64[0, 4]", "empty", "leave empty batches out"]),
        (lambda x: F.batch_norm(x[0], np.ones(4), np.zeros(4)), ShapeError, ["(N, C)", "got shape (4,)", "reshape"]),
        (lambda x: F.batch_norm(x.reshape(2, 3, 4), np.ones(4), np.zeros(4)), ShapeError, ["axis 1", "move the last axis"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts, "test_normalization.py") as caught:
        call(np.random.default_rng(0).standard_normal((6, 4)))
    assert isinstance(caught.value, ValueError)


def test_second_order_through_batch_norm() -> None:
    x, gamma, beta, dy = leaves((5, 2))
    values = np.array(x.detach())

    def first(x: Any) -> Any:
        return ab.grad(lambda x: (F.batch_norm(x, gamma.detach(), beta.detach()) ** 3 * dy).sum())(x)

    v = np.random.default_rng(1).standard_normal(values.shape)
    got = ab.grad(lambda x: (first(x) * v).sum())(values).numpy()
    h = 1e-5
    want = (first(values + h * v).numpy() - first(values - h * v).numpy()) / (2 * h)
    np.testing.assert_allclose(got, want, atol=1e-5 * max(1, abs(want).max()))


def test_complex_input_is_refused_by_name() -> None:
    z = ab.tensor(np.ones((4, 2)) * (1 + 1j))
    for name, call in {
        "batch_norm": lambda: F.batch_norm(z, None, None),
        "instance_norm": lambda: F.instance_norm(z.reshape((2, 2, 2))),
        "layer_norm": lambda: F.layer_norm(z, 2),
        "rms_norm": lambda: F.rms_norm(z, 2),
        "group_norm": lambda: F.group_norm(z, 1),
    }.items():
        with pytest.raises(DtypeError, match=rf"{name}\(x complex128\[.*\]\): x must be real"):
            call()


def test_float16_is_computed_in_float32() -> None:
    wide = np.float32([[300.0, 5.0], [600.0, 7.0], [900.0, 1.0], [1200.0, 4000.0]])
    half = wide.astype(np.float16)
    scale, shift = np.float16([2.0, 0.5]), np.float16([1.0, 0.0])
    calls = {
        "batch": lambda x, g, b: F.batch_norm(x, g, b),
        "population": lambda x, g, b: F.batch_norm(x, g, b, population=(np.float32([600.0, 9.0]), np.float32([9e4, 1e6]))),
        "instance": lambda x, g, b: F.instance_norm(ab.asarray(x).reshape((1, 2, 4)), g, b),
        "layer": lambda x, g, b: F.layer_norm(x, 2, g, b),
        "rms": lambda x, g, b: F.rms_norm(x, 2, g, eps=1e-5),
        "group": lambda x, g, b: F.group_norm(x, 1, g, b),
    }
    for name, call in calls.items():
        found = call(ab.tensor(half), scale, shift)
        expected = call(ab.tensor(half.astype(np.float32)), np.float32(scale), np.float32(shift))
        assert found.dtype == np.float16, name
        np.testing.assert_array_equal(found.numpy(), expected.numpy().astype(np.float16), err_msg=name)
        assert call(ab.tensor(half), np.float32(scale), np.float32(shift)).dtype == np.float32
        gradient = ab.grad(lambda x, call=call: (call(x, scale, shift) ** 2).sum())(half)
        wanted = ab.grad(lambda x, call=call: (call(x, np.float32(scale), np.float32(shift)) ** 2).sum())(half.astype(np.float32))
        assert gradient.dtype == np.float16
        np.testing.assert_allclose(gradient.numpy(), wanted.numpy(), rtol=5e-3, atol=2e-3, err_msg=name)
    y, mean, variance = F.batch_norm(ab.tensor(half), scale, shift, return_statistics=True)
    assert (y.dtype, mean.dtype, variance.dtype) == (np.float16, np.float32, np.float32)
    assert np.isfinite(variance.numpy()).all()


def test_what_normalises_each_example_by_itself_takes_none() -> None:
    for function in (lambda x: F.group_norm(x, 2), lambda x: F.layer_norm(x, (4, 3)), lambda x: F.rms_norm(x, 3)):
        x = ab.tensor(np.zeros((0, 4, 3)), requires_grad=True)
        out = function(x)
        out.sum().backward()
        assert out.shape == x.grad.shape == (0, 4, 3)
    with pytest.raises(OperationError, match="nothing to average"):
        F.group_norm(np.zeros((2, 4, 0)), 2)
    with pytest.raises(OperationError, match="the batch is empty"):
        F.batch_norm(np.zeros((0, 4, 3)), None, None)

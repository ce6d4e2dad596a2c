"""Derivatives of derivatives: no mixture of modes confuses its perturbations."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import ConversionError, GradientError
from autograd_bn.core.levels import open_levels
from autograd_bn.core.tensor import Tensor
from tests.oracles import assert_close, value
from tests.transforms.modes import MODES, Scalar, by_grad, by_jvp, by_vjp, named


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=2)), ids=named)
def test_an_inner_derivative_does_not_see_the_outer_perturbation(modes: tuple[Any, Any]) -> None:
    outer, inner = modes
    assert_close(outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0), 1.0)
    assert_close(outer(lambda x: x * inner(lambda y: x * y)(3.0))(2.0), 4.0)
    assert_close(outer(lambda x: inner(lambda y: x * y * y)(x))(3.0), 12.0)
    assert_close(outer(lambda x: inner(lambda _: x * x)(x))(3.0), 0.0)


@pytest.mark.parametrize("modes", list(itertools.product(MODES[:3], repeat=4)), ids=named)
def test_fourth_derivative_in_every_mixture_of_modes(modes: tuple[Any, ...]) -> None:
    def f(x: Any) -> Any:
        return ab.sin(x) * ab.exp(2 * x)

    derived: Scalar = f
    for mode in modes:
        derived = mode(derived)
    x = 0.4
    assert_close(derived(x), np.exp(2 * x) * (24 * np.cos(x) - 7 * np.sin(x)), 1e-10)


@pytest.mark.parametrize("outer", MODES[:3])
@pytest.mark.parametrize("inner", MODES[:3])
def test_hessian_vector_products_agree_on_a_composition(outer: Callable[..., Any], inner: Callable[..., Any]) -> None:
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((3, 4)), rng.standard_normal(4)

    def f(t: Any) -> Any:
        h = ab.tanh(w @ (x * t))
        return (h * h).mean() + ab.log(1.0 + ab.exp(h)).sum() + h.max()

    step = 1e-4
    values = [float(np.asarray(value(f(ab.tensor(1.0 + k * step))))) for k in (-1, 0, 1)]
    assert_close(outer(inner(f))(1.0), (values[0] - 2 * values[1] + values[2]) / step**2, 1e-5)


def test_backward_reaches_through_the_results_of_a_vjp() -> None:
    w = ab.tensor([2.0, 3.0], requires_grad=True)
    out, pullback = ab.vjp(lambda v: (v**3).sum(), w)
    (gradient,) = pullback(1.0)
    (gradient.sum() + out).backward()
    assert_close(w.grad, 6 * value(w) + 3 * value(w) ** 2)


@pytest.mark.parametrize("mode", MODES)
def test_backward_reaches_through_every_transform_of_a_closed_over_leaf(mode: Callable[[Scalar], Scalar]) -> None:
    w = ab.tensor(3.0, requires_grad=True)
    mode(lambda x: w * w * x * x)(2.0).backward()
    assert_close(w.grad, 24.0)


def test_backward_of_a_leaf_inside_a_transform_reaches_the_outer_tape_alone() -> None:
    w = ab.tensor(3.0, requires_grad=True)

    def f(x: Any) -> Any:
        (w * w).backward()
        return x * w

    gradient = ab.grad(f)(2.0)
    assert_close(w.grad, 6.0)
    gradient.backward()
    assert_close(w.grad, 7.0)


def test_backward_of_what_a_transform_differentiates_is_refused() -> None:
    def f(x: Any) -> Any:
        x.backward()
        return x

    for transformed in (ab.grad(f), by_vjp(f), by_jvp(f), lambda x: ab.vmap(f)(ab.reshape(x, (1,)))):
        with pytest.raises(GradientError, match="outer tape|require a gradient"):
            transformed(1.0)


def test_a_seed_of_a_transform_is_refused_by_backward() -> None:
    w = ab.tensor(3.0, requires_grad=True)
    with pytest.raises(GradientError, match="pullback"):
        ab.grad(lambda s: (w * 2.0).backward(s) or s)(1.0)
    assert w.grad is None


def test_grad_inside_no_grad_and_no_grad_inside_grad() -> None:
    with ab.no_grad():
        assert_close(ab.grad(lambda x: x**3)(2.0), 12.0)
        assert_close(ab.grad(ab.grad(lambda x: x**3))(2.0), 12.0)
        assert_close(by_jvp(by_grad(lambda x: x**3))(2.0), 12.0)

    def frozen(x: Any) -> Any:
        with ab.no_grad():
            y = x * x
        return x * y

    assert_close(ab.grad(frozen)(3.0), 9.0)
    assert_close(by_jvp(frozen)(3.0), 9.0)
    for first in (by_grad, by_jvp):
        for second in (by_grad, by_jvp):
            assert_close(first(second(frozen))(3.0), 0.0)
    assert_close(ab.grad(lambda x: x * x.detach())(3.0), 3.0)
    assert_close(by_jvp(lambda x: x * x.detach())(3.0), 3.0)


def test_no_grad_outside_keeps_an_outer_leaf_constant() -> None:
    w = ab.tensor(3.0, requires_grad=True)
    with ab.no_grad():
        gradient = ab.grad(lambda x: x * x * w)(2.0)
        results = [
            gradient,
            ab.jvp(lambda x: x * w, (2.0,), (1.0,))[1],
            ab.vmap(lambda x: x * w)(np.ones(2)),
            ab.grad(lambda x: ab.grad(lambda y: x * y * w * w)(1.0))(2.0),
        ]
        with ab.record():
            results.append(w * w)
    assert_close(gradient, 12.0)
    assert not any(result.requires_grad for result in results)


def test_results_of_a_transform_do_not_require_a_gradient() -> None:
    for result in (ab.grad(lambda x: x * x)(2.0), ab.jvp(ab.sin, (1.0,), (1.0,))[1], ab.vjp(ab.sin, 1.0)[0]):
        assert isinstance(result, Tensor) and not result.requires_grad


@pytest.mark.parametrize("mode", [by_grad, by_vjp, by_jvp])
def test_a_tensor_leaked_from_a_closed_level_is_never_silently_wrong(mode: Callable[[Scalar], Scalar]) -> None:
    leaked: list[Tensor] = []

    def f(x: Any) -> Any:
        leaked.append(x * x)
        return leaked[0] * 2.0

    mode(f)(3.0)
    assert leaked[0].item() == 9.0
    w = ab.tensor(2.0, requires_grad=True)
    with pytest.raises(GradientError, match=r"has escaped from ab\.(?s:.*)keep x\.detach\(\)(?s:.*)w \* leaked"):
        w * leaked[0]
    with pytest.raises(GradientError):
        (leaked[0] * 2.0).backward()
    for second in (by_grad, by_vjp, by_jvp):
        with pytest.raises(GradientError, match="has escaped from"):
            second(lambda x: x * leaked[0])(1.0)
        with pytest.raises(GradientError, match="has escaped from"):
            second(lambda x: x * x * leaked[0])(leaked[0])
    with pytest.raises(ConversionError):
        float(leaked[0])
    with ab.no_grad():
        assert (w * leaked[0]).item() == 18.0
    (w * leaked[0].detach()).backward()
    assert_close(w.grad, 9.0)


def test_a_state_that_is_kept_from_step_to_step_is_told_to_be_detached() -> None:
    state: list[Any] = [np.zeros(3)]

    def step(w: Any) -> Any:
        state[0] = ab.tanh(w * state[0] + 1.0)
        return state[0].sum()

    ab.grad(step)(0.5)
    with pytest.raises(GradientError, match=r"shape \(3,\), made by tanh at .*, has escaped from ab.grad.*by has_aux=True\n  at .*step: state\[0\] = "):
        ab.grad(step)(0.5)
    state[0] = state[0].detach()
    for _ in range(3):
        ab.grad(step)(0.5)
        state[0] = state[0].detach()


def test_a_batch_does_not_pass_from_one_vmap_into_another() -> None:
    leaked: list[Tensor] = []
    ab.vmap(lambda x: leaked.append(x * 2.0) or x)(np.arange(3.0))  # type: ignore[func-returns-value]
    for transform in (lambda: ab.vmap(lambda x: x + leaked[0])(np.arange(3.0)), lambda: leaked[0] * 2.0, lambda: ab.grad(lambda x: x * leaked[0])(1.0)):
        with pytest.raises(GradientError, match="has escaped from ab.vmap(?s:.*)return it from the mapped function"):
            transform()


def test_a_transform_that_raised_has_ended_too() -> None:
    leaked: list[Tensor] = []

    def f(x: Any) -> Any:
        leaked.append(x * x)
        raise ZeroDivisionError

    for transform in (lambda: ab.grad(f)(1.0), lambda: ab.vjp(f, 1.0), lambda: ab.jvp(f, (1.0,), (1.0,)), lambda: ab.vmap(f)(np.ones(2))):
        before = set(open_levels)
        with pytest.raises(ZeroDivisionError):
            transform()
        assert open_levels == before
    for one in leaked:
        with pytest.raises(GradientError, match="has escaped"):
            ab.grad(lambda x, one=one: x * one)(1.0)


@pytest.mark.parametrize("inner", [lambda f: ab.vmap(f), lambda f: lambda x: ab.jvp(f, (x,), (x,))[1], lambda f: lambda x: ab.vjp(f, x)[0]])
def test_a_checkpoint_runs_again_after_the_transform_around_it(inner: Any) -> None:
    x = np.array([0.5, 1.5])

    def by(wrap: Any) -> Any:
        return ab.grad(lambda w: inner(wrap(lambda row: ab.sin(row * w) * row))(x).sum())(2.0)

    assert_close(by(ab.checkpoint), by(lambda f: f))


def test_a_pullback_outlives_what_it_was_made_in() -> None:
    _, pullback = ab.vjp(ab.checkpoint(lambda x: ab.sin(x * x)), 2.0)
    assert_close(pullback(1.0)[0], 4.0 * np.cos(4.0))
    assert_close(ab.vmap(pullback)(np.array([1.0, 2.0]))[0], 4.0 * np.cos(4.0) * np.array([1.0, 2.0]))


def test_gradients_by_a_value_and_by_its_own_function() -> None:
    x = ab.tensor(2.0, requires_grad=True)
    y = x * x
    g = ab.grad(lambda v: v * y)(y)
    g.backward()
    assert_close(g, 4.0)
    assert_close(x.grad, 4.0)


def test_a_pullback_is_differentiated_by_its_cotangent_and_by_its_point() -> None:
    def f(x: Any, s: Any) -> Any:
        return ab.vjp(ab.sin, x)[1](s)[0]

    gx, gs = ab.grad(f, argnums=(0, 1))(0.5, 2.0)
    assert_close(gx, -2 * np.sin(0.5))
    assert_close(gs, np.cos(0.5))


def test_a_pullback_may_be_called_again_and_from_a_later_level() -> None:
    _, pullback = ab.vjp(lambda x: ab.exp(x) * x, 1.0)
    first = pullback(1.0)[0].item()
    assert pullback(1.0)[0].item() == first
    assert_close(ab.grad(lambda s: pullback(s * s)[0])(3.0), 6 * first)
    assert_close(ab.vmap(lambda s: pullback(s)[0])(np.array([1.0, 2.0])), [first, 2 * first])
    assert_close(by_jvp(lambda s: pullback(s)[0])(3.0), first)


def _writes(c: Any) -> None:
    c *= 10.0


def _sets(c: Any) -> None:
    c[0] = 100.0


@pytest.mark.parametrize("write", [_writes, _sets])
@pytest.mark.parametrize("rule", [False, True])
def test_what_an_inner_level_saved_of_an_outer_one_is_not_written_into(write: Callable[[Any], None], rule: bool) -> None:
    times: Any = ab.custom_jvp(lambda x, y: x * y) if rule else ab.multiply
    if rule:
        times.defjvp(lambda xs, ts: (xs[0] * xs[1], ts[0] * xs[1] + xs[0] * ts[1]))
    w = ab.tensor([2.0, 3.0], requires_grad=True)

    def loss(z: Any) -> Any:
        c = w * 1.0
        y = times(z, c)
        write(c)
        return y.sum()

    found = ab.grad(loss)(ab.tensor([1.0, 1.0]))
    assert_close(found, [2.0, 3.0])
    found.sum().backward()
    assert_close(w.grad, [1.0, 1.0])


def test_a_write_into_what_a_transform_was_given_changes_no_saved_value() -> None:
    w = ab.tensor([2.0, 3.0], requires_grad=True)

    def inner(z: Any, u: Any) -> Any:
        y = z * z
        u *= 5.0
        return y.sum()

    u = w * 1.0
    assert_close(ab.grad(lambda z: inner(z, u))(u), [4.0, 6.0])


def test_a_pullback_keeps_the_parameters_that_it_was_made_with() -> None:
    w = ab.tensor([3.0, 4.0], requires_grad=True)
    _, pullback = ab.vjp(lambda x: x * w, ab.tensor([1.0, 2.0]))
    ab.assign(w, [30.0, 40.0])
    assert_close(pullback(ab.tensor([1.0, 1.0]))[0], [3.0, 4.0])


@pytest.mark.parametrize(
    "transformed",
    [
        ab.grad,
        ab.vmap,
        ab.hessian,
        ab.jacobian,
        lambda f: lambda x: ab.vjp(f, x),
        lambda f: lambda x: ab.jvp(f, (x,), (x,)),
        lambda f: ab.grad(ab.checkpoint(f)),
    ],
    ids=["grad", "vmap", "hessian", "jacobian", "vjp", "jvp", "checkpoint"],
)
def test_an_array_of_what_is_differentiated_is_refused_in_every_mode(transformed: Any) -> None:
    with pytest.raises(ConversionError):
        transformed(lambda x: ab.asarray(np.cumsum((x * 2.0).numpy())).sum())(np.ones((2, 3)))


def test_values_alone_and_what_a_transform_does_not_differentiate_are_arrays_inside_of_it() -> None:
    w = ab.tensor(3.0, requires_grad=True)
    assert ab.grad(lambda x: (x * x.detach().numpy() * w.numpy()).sum())(np.ones(2)).tolist() == [3.0, 3.0]

"""What is right is never called wrong: badly scaled, nearly singular, cancelling, chaotic, with jumps and kinks; and a wrong rule there is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.testing import check_gradients
from autograd_bn.testing.differences import EPS, Reach, central_slope, one_sided, quotients
from autograd_bn.testing.rounding import deviations

X = np.array([1.3, -2.1, 0.7, 1.9])
SCALES = [1e-12, 1e-9, 1e-6, 1e6, 1e9, 1e12]


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a rule that gives twice the gradient."""

    @ab.custom_vjp
    def twice(x: Any) -> Any:
        return x * 1.0

    twice.defvjp(lambda x: (x * 1.0, None), lambda _, g: (g * 2.0,))
    return lambda x: twice(function(x))


SCALED: dict[str, Callable[[Any], Any]] = {
    "sin": ab.sin,
    "tan": ab.tan,
    "cbrt": ab.cbrt,
    "reciprocal": ab.reciprocal,
    "cumsum": ab.cumsum,
    "log_softmax": ab.log_softmax,
    "abs(x)·x": lambda x: ab.abs(x) * x,
    "std": ab.std,
    "var": ab.var,
    "median": ab.median,
    "min": ab.min,
    "diff": ab.diff,
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", sorted(SCALED))
def test_inputs_of_any_size_and_of_several_at_once(name: str, scale: float) -> None:
    for x in (X * scale, X * np.array([scale, 1.0, scale, 1.0])):
        check_gradients(SCALED[name], x)
        assert "vjp" in {f.check for f in check_gradients(doubled(SCALED[name]), x, checks=["vjp"], raises=False).findings}


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("function", [ab.floor, ab.ceil, ab.trunc, ab.round])
def test_a_staircase_is_not_taken_for_the_slope_that_it_climbs(function: Any, scale: float) -> None:
    for x in ((X + 0.0123) * scale, X * np.array([scale, 1.0, scale, 1.0])):
        check_gradients(function, x)


@pytest.mark.parametrize("function", [ab.sign, ab.floor, ab.ceil, lambda x: x % 1.0])
def test_what_has_a_jump_has_no_derivative_to_judge(function: Any) -> None:
    report = check_gradients(function, np.array([-1.0, 0.0, 2.0, 0.0]))
    assert "settle on no derivative" in str(report)


def hilbert(n: int) -> Any:
    return 1.0 / (np.arange(float(n))[:, None] + np.arange(float(n)) + 1.0)


def symmetric(a: Any) -> Any:
    return (a + a.mT) / 2


NEARLY_SINGULAR: dict[str, Callable[[Any], Any]] = {
    "inv": ab.linalg.inv,
    "det": ab.linalg.det,
    "log|det|": lambda a: ab.linalg.slogdet(a)[1],
    "solve": lambda a: ab.linalg.solve(a, np.ones(a.shape[0])),
    "cholesky": lambda a: ab.linalg.cholesky(symmetric(a)),
    "eigenvalues": lambda a: ab.linalg.eigvalsh(symmetric(a)),
    "eigenvectors": lambda a: ab.linalg.eigh(symmetric(a))[1] ** 2,
}


@pytest.mark.parametrize("n", [5, 6, 7, 8])
@pytest.mark.parametrize("name", sorted(NEARLY_SINGULAR))
def test_hilbert_matrices(name: str, n: int) -> None:
    check_gradients(NEARLY_SINGULAR[name], hilbert(n))
    if n < 7:
        assert "vjp" in {f.check for f in check_gradients(doubled(NEARLY_SINGULAR[name]), hilbert(n), checks=["vjp"], raises=False).findings}


def test_eigenvalues_that_are_nearly_equal() -> None:
    a = np.diag([1.0, 1.0, 2.0]) + 1e-9 * (hilbert(3) + hilbert(3)[::-1, ::-1])
    check_gradients(NEARLY_SINGULAR["eigenvalues"], a)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: (1 + x) - 1, [1e-10, 1e-14]),
        (lambda x: ab.log(1 + x), [1e-10, 1e-14]),
        (lambda x: ab.exp(x) - 1 - x, [1e-3, 1e-6, 1e-9]),
        (lambda x: ab.sqrt(x + 1) - ab.sqrt(x), [1e4, 1e8, 1e12]),
        (lambda x: ab.log(ab.sigmoid(x)), [30.0, -30.0, 1.0]),
        (lambda x: ab.cosh(x) - ab.sinh(x), [1.0, 5.0, 15.0]),
        (lambda x: (x * x).mean() - x.mean() ** 2, [1e8 + 0.3, 1e8 - 0.2, 1e8 + 1.7]),
        (lambda x: ab.sqrt(x), [1e-300, 1e-20, 1.0]),
        (ab.exp, [-700.0, -745.0, 1.0]),
        (lambda x: x**3, [0.0, -1.0]),
        (lambda x: x**1.5, [0.0, 1.0]),
        (lambda x: x * 2.0, [1.0, np.nan]),
        (ab.sort, [1.0, 1.0, 1.0, 0.0]),
        (ab.sort, [1.0, 1.0 + 1e-7, 1.0 - 1e-8]),
        (ab.median, [1.0, 1.0, 1.0, 0.0, 2.0]),
    ],
)
def test_what_cancels_underflows_or_is_tied(function: Any, x: list[float]) -> None:
    check_gradients(function, np.array(x))


def test_a_gradient_with_several_kinks_is_judged_by_elements() -> None:
    x = np.array([1.0, -1.0, 0.0, 0.5])
    for seed in range(4):
        check_gradients(lambda x: ab.nn.functional.huber_loss(x, np.zeros(4)), x, seed=seed)


def test_eigenvalues_that_are_equal_have_no_tangent_and_it_is_said() -> None:
    assert "equal" in check_gradients(lambda a: ab.linalg.eigvalsh(symmetric(a)).sum(), np.eye(3)).skipped["jvp"]


def test_a_refusal_is_not_put_down_to_a_shape() -> None:
    report = check_gradients(ab.jit(lambda x: ab.sin(x) * x), np.ones(3), raises=False)
    assert "a gradient cannot flow back" in report.findings[0].what and "broadcast" not in report.cause


def test_a_difference_quotient_says_how_far_it_is_off() -> None:
    lines: dict[str, tuple[Callable[[float], Any], float]] = {
        "smooth": (lambda t: np.sin(0.7 + t), np.cos(0.7)),
        "steep": (lambda t: np.sin(1e6 * (0.7 + t)) / 1e6, np.cos(0.7e6)),
        "noisy": (lambda t: np.float64(np.float32(np.sin(0.7 + t))), np.cos(0.7)),
        "near a pole": (lambda t: np.log(1e-7 + t), 1e7),
        "fine steps": (lambda t: np.floor(1e5 * (0.73001234 + t)) / 1e5, 0.0),
        "near a kink": (lambda t: np.abs(1e-6 + t), 1.0),
        "offset": (lambda t: 1e6 + np.sin(0.7 + t), np.cos(0.7)),
    }
    for name, (function, exact) in lines.items():
        digits = 6e-8 if name == "noisy" else EPS
        slope = central_slope(lambda t, f=function: np.atleast_1d(f(t)), Reach(1.0, digits))
        assert abs(slope.value[0] - exact) <= slope.error[0] < 1e-3 * max(1.0, abs(exact)), name
    assert np.isinf(central_slope(lambda t: np.atleast_1d(np.sign(t))).error[0])
    left, right = one_sided(lambda t: np.atleast_1d(np.maximum(3 * t, -t)))
    assert left.value[0] == pytest.approx(-1.0) and right.value[0] == pytest.approx(3.0)
    assert not quotients(lambda t: np.atleast_1d(t), Reach(1.0, 0.1))


def test_what_rounding_does_to_a_function_is_measured_where_it_happens() -> None:
    def spread(function: Callable[[Any], Any], x: float) -> float:
        return float(np.sum(deviations(lambda inputs: np.ravel(function(ab.tensor(inputs[0])).numpy()), [np.array([x])], EPS)))

    assert 1e-16 < spread(lambda x: (1 + x) - 1, 1e-30) < 2e-15
    assert 1e-7 < spread(lambda x: (x + 1e9) - x, 1.0) < 2e-6
    assert spread(lambda x: x * 0.0, 1.0) == 0.0
    weights = np.ones(3)
    deviations(lambda inputs: np.ravel((ab.asarray(weights).reshape((3,)) * inputs[0]).numpy()), [np.ones(3)], EPS)
    assert (weights == 1.0).all()  # what a function closes over is left as it is

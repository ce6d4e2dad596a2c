"""Each check finds the fault it is there for and nothing else; what is right, or at an edge, raises no alarm."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.tensor import array_of
from autograd_bn.testing import GradientCheckError, Report, check_gradients
from autograd_bn.testing.differences import central_slope
from autograd_bn.testing.reference import complex_slope, infinite_slope, taylor_order
from tests.mutants import Mutant, planted

X = np.random.default_rng(5).standard_normal((4, 3))


def ruled(value: Callable[..., Any], bwd: Callable[..., Any]) -> Any:
    """A function with a pullback of its own, which gets the operands and the cotangent."""

    @ab.custom_vjp
    def op(*xs: Any) -> Any:
        return value(*xs)

    op.defvjp(lambda *xs: (value(*xs), xs), lambda xs, g: bwd(*xs, g))
    return op


def failed(function: Callable[..., Any], *args: Any, **settings: Any) -> Report:
    report = check_gradients(function, *args, raises=False, **settings)
    assert not report.ok, report
    return report


def checks_of(report: Report) -> set[str]:
    return {finding.check for finding in report.findings}


def test_a_rule_that_clips_its_cotangent_is_not_linear() -> None:
    report = failed(ruled(lambda x: x * 1.0, lambda x, g: (ab.clip(g, -2.0, 2.0),)), X)
    assert checks_of(report) == {"linearity"}


def test_a_rule_that_writes_into_its_operand_is_found() -> None:
    def bwd(x: Any, g: Any) -> Any:
        array_of(x)[...] *= 1.5
        return (g * 1.0,)

    assert checks_of(failed(ruled(lambda x: x * 1.0, bwd), np.ones(3), checks=["unchanged"])) == {"unchanged"}


def test_a_function_that_writes_into_its_input_is_found() -> None:
    def function(x: Any) -> Any:
        y = x * 2.0
        array_of(x)[...] += 1.0
        return y

    assert checks_of(failed(function, np.ones(3), checks=["unchanged"])) == {"unchanged"}


def test_a_rule_that_gives_out_one_buffer_twice_is_found() -> None:
    buffer = np.zeros(3)

    def bwd(x: Any, g: Any) -> Any:
        np.copyto(buffer, g.detach().numpy())
        return (ab.Tensor(buffer),)

    report = failed(ruled(lambda x: x * 1.0, bwd), np.ones(3))
    assert "aliasing" in checks_of(report) and "stale buffer" in report.cause


def test_what_is_kept_from_the_last_call_is_a_stale_buffer() -> None:
    kept: list[Any] = []

    @ab.custom_vjp
    def square(x: Any) -> Any:
        return x * x

    def forward(x: Any) -> Any:
        kept[:] = [x]
        return x * x, None

    square.defvjp(forward, lambda _, g: (2.0 * kept[0] * g,))
    report = failed(square, X, checks=["aliasing"])
    assert "stale buffer" in report.cause and "elsewhere" in report.findings[0].what


def test_random_numbers_are_found() -> None:
    rng = np.random.default_rng(0)
    report = failed(lambda x: x * rng.standard_normal(3), np.ones(3))
    assert "determinism" in checks_of(report) and "random numbers" in report.cause


def test_a_path_that_is_lost_where_a_tensor_is_used_twice() -> None:
    with planted(Mutant("mul", "dropped accumulation", 0)):
        report = failed(lambda x: x * 2.0, X)
    assert checks_of(report) == {"accumulation", "graph_invariance"} and "accumulated path was dropped" in report.cause


def test_a_rule_that_is_computed_outside_the_engine_has_no_second_derivative() -> None:
    def bwd(x: Any, g: Any) -> Any:
        return (g * np.cos(array_of(x)),)

    report = failed(ruled(lambda x: ab.sin(x), bwd), X)
    assert checks_of(report) == {"second_order"}


def test_a_wrong_tangent_alone_is_a_failure_of_forward_mode() -> None:
    rule = ab.exp.primitive
    jvp = rule.jvp
    rule.jvp = lambda *args: -jvp(*args)
    try:
        report = failed(lambda x: ab.exp(x) * 2.0, X, checks=["vjp", "jvp", "modes_agree"])
    finally:
        rule.jvp = jvp
    assert checks_of(report) == {"jvp", "modes_agree"}
    assert report.findings[0].operation.startswith("exp(") and "sign" in report.cause


def test_a_rule_that_computes_another_value_than_the_function_is_found() -> None:
    @ab.custom_vjp
    def square(x: Any) -> Any:
        return x * x

    square.defvjp(lambda x: (x * x * 1.5, x), lambda x, g: (2.0 * x * g,))
    report = failed(square, X)
    assert "vjp" in checks_of(report) and "result 0 is another when it is differentiated" in str(report)

    @ab.custom_jvp
    def sine(x: Any) -> Any:
        return ab.sin(x)

    sine.defjvp(lambda p, t: (ab.sin(p[0]) + 1e-6, t[0] * ab.cos(p[0])))
    report = failed(sine, X)
    assert checks_of(report) == {"jvp"} and "result 0 is another when it is differentiated" in str(report)
    assert check_gradients(ruled(lambda x: x * x, lambda x, g: (2.0 * x * g,)), X).ok


@pytest.mark.parametrize("scale", [1e6, 1e9, 1e15])
def test_large_inputs_raise_no_alarm_and_hide_no_wrong_rule(scale: float) -> None:
    x = np.array([1.3, -2.1, 0.7]) * scale
    for right in (lambda x: x * x, lambda x: ab.abs(x) * x, lambda x: x**3, lambda x: ab.maximum(x, 0.0) * x, lambda x: ab.nn.functional.layer_norm(x, 3)):
        assert check_gradients(right, x, raises=False).ok
    assert "vjp" in checks_of(failed(ruled(lambda x: x * x, lambda x, g: (2.001 * x * g,)), x))
    assert "vjp" in checks_of(failed(ruled(lambda x: ab.abs(x) * x, lambda x, g: (2.001 * ab.abs(x) * g,)), x))


def test_modes_that_are_wrong_alike_agree_and_are_found_all_the_same() -> None:
    rule = ab.exp.primitive
    pair = rule.vjp, rule.jvp
    rule.vjp, rule.jvp = lambda *a: [None if c is None else c * 2.0 for c in pair[0](*a)], lambda *a: pair[1](*a) * 2.0
    try:
        report = failed(ab.exp, X, checks=["vjp", "jvp", "modes_agree"])
    finally:
        rule.vjp, rule.jvp = pair
    assert checks_of(report) == {"vjp", "jvp"} and "modes_agree" in report.passed


@pytest.mark.parametrize(
    ("bwd", "cause"),
    [
        (lambda x, y, g: (g @ y.T, x.T @ g), ""),
        (lambda x, y, g: (3.0 * (g @ y.T), x.T @ g), "off by 3"),
        (lambda x, y, g: (-(g @ y.T), x.T @ g), "sign"),
        (lambda x, y, g: (y @ g.T, x.T @ g), "transposed"),
        (lambda x, y, g: (x.T @ g, g @ y.T), "swapped"),
        (lambda x, y, g: (ab.zeros((3, 3)), x.T @ g), "no cotangent arrives"),
        (lambda x, y, g: (g @ y.T, (x.T @ g)[:1]), "broadcast not summed"),
    ],
)
def test_the_cause_is_named(bwd: Any, cause: str) -> None:
    x, y = np.random.default_rng(1).standard_normal((2, 3, 3))
    report = check_gradients(ruled(lambda x, y: x @ y, bwd), x, y, raises=False)
    assert report.ok if not cause else cause in report.cause, report


def test_the_operation_at_fault_is_named_in_a_deep_composition() -> None:
    faulty = ruled(lambda x: ab.tanh(x), lambda x, g: (g * (1.0 + ab.tanh(x) ** 2),))
    report = failed(lambda x: (ab.exp(faulty(ab.sin(x) * 2.0)) / 3.0).mean(), X)
    assert "number 3 of" in report.findings[0].operation and "return value" not in report.findings[0].operation


def test_a_cut_graph_is_named_with_its_line() -> None:
    report = failed(lambda x: x * x.detach(), X, checks=["vjp"])
    assert "cut by detach()" in report.cause and "test_checks.py" in report.cause


def test_values_are_compared_with_a_reference() -> None:
    report = failed(lambda x: ab.sin(x), X, reference=np.cos)
    assert {"values", "vjp"} <= checks_of(report)
    assert check_gradients(lambda x: ab.sin(x), X, reference=np.sin).passed["values"]


RIGHT: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "batch norm": (ab.batch_norm, (X, np.ones(3), np.zeros(3))),
    "batch norm of float32": (ab.batch_norm, (X.astype("f4"), np.ones(3, "f4"), np.zeros(3, "f4"))),
    "a layer by its parameters": (lambda layer, x: layer(x), (ab.nn.Linear(3, 2), X.astype("f4"))),
    "batch norm as a module": (lambda layer, x: layer(x), (ab.nn.BatchNorm1d(3), X.astype("f4"))),
    "a network": (lambda net, x: net(x), (ab.nn.Sequential(ab.nn.Linear(3, 4), ab.nn.Tanh(), ab.nn.Linear(4, 2)), X.astype("f4"))),
    "float16": (lambda x: ab.tanh(x) * x, (X.astype("f2"),)),
    "float32 inside": (lambda x: ab.tanh(x.astype("float32")).astype("float64"), (X,)),
    "not analytic": (lambda x: ab.abs(x) * x, (X,)),
    "kinks": (lambda x: ab.relu(x) + ab.abs(x), (np.array([-1.0, 0.0, 2.0]),)),
    "ties": (lambda x: x.max(), (np.array([1.0, 1.0, 0.0]),)),
    "NaN": (lambda x: ab.sqrt(x), (np.array([-1.0, 1.0]),)),
    "infinity": (lambda x: ab.log(x), (np.array([0.0, 1.0]),)),
    "steep": (lambda x: ab.exp(30.0 * x), (X,)),
    "near a pole": (lambda x: ab.log(x), (np.array([1e-8, 1e-3, 1e5]),)),
    "containers": (lambda p: {"a": p["w"] * p["b"][0], "b": (p["w"].sum(), 3)}, ({"w": X, "b": [X[0]]},)),
    "large": (lambda x: ab.tanh(x).sum(), (np.ones((50, 40)),)),
    "empty": (lambda x: x * 2.0, (np.zeros((0, 3)),)),
    "constant": (lambda x: ab.zeros(3) + 0.0 * x, (np.ones(3),)),
    "cancelling": (lambda x: ab.softmax(x).sum(), (X,)),
    "integers beside": (lambda x, i: x[i], (X, np.array([0, 0, 2]))),
}


@pytest.mark.parametrize("name", sorted(RIGHT))
def test_what_is_right_raises_no_alarm(name: str) -> None:
    function, args = RIGHT[name]
    report = check_gradients(function, *args, also=("vmap", "checkpoint", "jit"))
    assert report.passed["vjp"]


def test_a_kink_is_said_and_a_number_outside_the_slopes_is_wrong() -> None:
    report = check_gradients(ab.relu, np.array([-1.0, 0.0, 2.0]))
    assert "a kink at [1]" in report.notes[0] and "second_order" in report.skipped
    beyond = ruled(lambda x: ab.relu(x), lambda x, g: (g * ab.where(x == 0.0, 1.7, ab.where(x > 0.0, 1.0, 0.0)),))
    assert failed(beyond, np.array([-1.0, 0.0, 2.0]), checks=["vjp"]).findings[0].index == (1,)


ROOTS = [(ab.sqrt, [0.0, 1.0]), (ab.acos, [1.0, 0.5, -1.0]), (lambda x: -(x**0.9), [0.0]), (lambda x: ab.sqrt(x).sum() + x[1], [1.0, 0.0])]


@pytest.mark.parametrize(("function", "at"), ROOTS)
def test_an_infinite_derivative_is_right_and_said_to_be_infinite(function: Any, at: list[float]) -> None:
    report = check_gradients(function, np.array(at))
    assert "vjp: the derivative by" in report.notes[0] and "is infinite here, and autodiff says so" in report.notes[0]
    assert any(note.startswith("jvp: the derivative is infinite here") for note in report.notes)


def test_infinity_of_the_wrong_sign_or_where_the_derivative_is_finite_is_wrong() -> None:
    minus = ruled(lambda x: ab.sqrt(x), lambda x, g: (-g / (2 * ab.sqrt(x)),))
    assert "infinite where" not in failed(minus, np.array([0.0]), checks=["vjp"]).cause
    finite = ruled(lambda x: x * 2.0, lambda x, g: (g / x,))
    assert failed(finite, np.array([0.0, 1.0]), checks=["vjp"]).cause == "the rule makes NaN or infinity where the derivative is finite"


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x: ab.cos(ab.sqrt(x) * x), "sqrt([2]), number 1 of 3"),
        (lambda x: ab.sqrt((x[:1] * x[:1]).sum()), "sqrt(0.0), number "),
        (lambda x: ab.abs(x) ** 0.5, "pow([2], 0.5), number 2 of 2"),
    ],
)
def test_what_is_lost_to_an_infinite_derivative_is_put_down_to_it(function: Any, operation: str) -> None:
    found = failed(function, np.array([0.0, 1.0])).findings
    assert {f.check for f in found} == {"vjp", "jvp"}
    for finding in found:
        assert finding.operation.startswith(operation)
        assert "is infinite where its operand" in finding.cause and "keep the operand away" in finding.cause


def test_a_result_that_is_not_finite_is_said_though_nothing_is_wrong() -> None:
    assert "result 0 is -inf at [0]" in check_gradients(ab.log, np.array([0.0, 1.0])).notes[-1]


def test_elements_that_are_not_compared_one_by_one_are_compared_along_directions() -> None:
    def bwd(x: Any, g: Any) -> Any:
        factor = np.ones(400)
        factor[137] = 1.5
        return (g * factor,)

    report = failed(ruled(lambda x: x * 1.0, bwd), np.ones(400), elements=4)
    assert "vjp" in checks_of(report)


def test_the_references_by_themselves() -> None:
    exact = math.cos(0.7)
    line = lambda t: np.atleast_1d(np.sin(0.7 + t))
    found = complex_slope(line)
    assert found is not None and found.value == pytest.approx(exact, rel=1e-15)
    assert central_slope(line).value == pytest.approx(exact, rel=1e-10)
    assert complex_slope(lambda t: np.atleast_1d(math.sin(0.7 + t))) is None
    assert taylor_order(line, exact) == pytest.approx(2.0, abs=0.1)
    assert taylor_order(line, 1.03 * exact) < 1.3
    ends = lambda t: np.array([np.sqrt(t), -np.sqrt(-t), np.cbrt(t), -np.cbrt(t), np.abs(t) ** 0.5, np.sin(t), 1e9 + 1e-12 * np.sin(t), np.abs(t)])
    np.testing.assert_array_equal(infinite_slope(ends), [np.inf, np.inf, np.inf, -np.inf, np.nan, 0, 0, 0])


def test_the_message_fits_a_terminal_and_travels() -> None:
    faulty = ruled(lambda x: x.mean(), lambda x, g: (ab.broadcast_to(g, x.shape),))
    with pytest.raises(GradientCheckError) as caught:
        check_gradients(lambda x: ab.exp(faulty(x) * 0.5), X, name="model")
    text = str(caught.value)
    assert isinstance(caught.value, AssertionError) and isinstance(caught.value, ab.AutogradError)
    assert all(len(line) <= 88 for line in text.splitlines() if "/" not in line)
    assert str(pickle.loads(pickle.dumps(caught.value))) == text
    with pytest.raises(TypeError, match=r"read \.ok"):
        bool(caught.value.report)


def test_what_cannot_be_checked_is_said() -> None:
    with pytest.raises(ab.AutogradError, match="no array of floating dtype"):
        check_gradients(lambda i: i * 2, np.arange(3))
    with pytest.raises(ab.AutogradError, match="returned no tensor"):
        check_gradients(lambda x: x > 0.0, X)
    with pytest.raises(ab.AutogradError, match="no check 'speed'"):
        check_gradients(ab.sin, X, checks=["speed"])


@pytest.mark.parametrize(
    "constant",
    [lambda x: ab.sigmoid(x).sum() - ab.flip(ab.sigmoid(x)).sum(), lambda x: ab.atan2(x, x), lambda x: x * 1.5 / x, lambda x: ab.log_softmax(x[:, None]) * x],
)
def test_what_rounding_leaves_of_a_derivative_that_is_zero_is_no_alarm(constant: Callable[[Any], Any]) -> None:
    for seed in range(20):
        x = np.random.default_rng(seed).uniform(-2.0, 2.0, 4)
        assert check_gradients(constant, x, seed=seed).ok


def test_the_order_of_a_remainder_is_told_of_what_stands_above_the_rounding_at_both_steps() -> None:
    assert taylor_order(lambda t: np.array([1e-9 * (0 < t < 0.06)]), 0.0) == 0.0
    assert taylor_order(lambda t: np.array([t * t]), 0.0) == pytest.approx(2.0)
    assert taylor_order(lambda t: np.array([t * t + t]), 0.0) == pytest.approx(1.0, abs=0.1)


def test_every_check_stands_alone() -> None:
    names = [name for name in ab.testing.__all__ if name.startswith("check_") and name != "check_gradients"]
    for name, (function, args) in itertools.product(names, [RIGHT["batch norm"]]):
        report = getattr(ab.testing, name)(function, *args)
        assert list(report.passed) == [name.removeprefix("check_")]


@pytest.mark.parametrize(("function", "point"), [(ab.sqrt, [-1.0, -2.0]), (lambda x: x * np.inf, [1.0, 2.0]), (lambda x: x * x, [np.nan])])
def test_a_point_at_which_nothing_can_be_judged_fails(function: Any, point: list[float]) -> None:
    report = check_gradients(function, np.array(point), raises=False)
    assert "vjp" in {f.check for f in report.findings if f.what.startswith("nothing can be judged")}
    assert "modes_agree" in report.skipped


def test_forward_mode_by_itself_fails_where_nothing_can_be_judged() -> None:
    with pytest.raises(GradientCheckError, match="choose a(nother one| point inside the domain)"):
        ab.testing.check_jvp(ab.sqrt, np.array([-1.0, -2.0]))


def test_what_is_not_finite_is_not_counted() -> None:
    report = check_gradients(ab.sqrt, np.array([-1.0, 4.0, -9.0]))
    assert report.passed["vjp"].startswith("1 of 3 elements by complex step; 2 not judged")
    assert report.passed["jvp"].endswith("1 of 3 results, where it is finite")
    assert check_gradients(ab.sqrt, np.array([0.0, 4.0])).passed["vjp"] == "2 of 2 elements by complex step"


@pytest.mark.parametrize("scale", [1e-6, 1e-8, 1e-12, 1e-20])
def test_inputs_of_any_size_are_judged_in_steps_of_their_size(scale: float) -> None:
    x = scale * np.array([1.0, 2.0, -3.0])
    for function in (lambda x: x * ab.abs(x) / scale, lambda x: ab.hypot(x, scale) / scale, lambda x: ab.abs(x) + scale, lambda x: ab.relu(x + scale)):
        report = check_gradients(lambda x, f=function: f(x).sum(), x)
        assert not any("a kink" in note for note in report.notes)
    wrong = ruled(lambda x: ab.sqrt(x), lambda x, g: (0.5003 * g / ab.sqrt(x),))
    assert "vjp" in checks_of(failed(wrong, np.abs(x)))


def test_a_kink_is_one_however_small_the_other_inputs_are() -> None:
    for x in (np.array([0.0, 1e-9, 1e-30]), np.array([1e-30, 1.0, 0.0]), np.array([0.0, -1e-12, 1e6])):
        report = check_gradients(lambda x: ab.relu(x) + ab.abs(x), x)
        assert [f"a kink at [{k}]" in note for k, note in zip(np.flatnonzero(x == 0), report.notes[:1], strict=True)] == [True]
    assert "a kink at [0]" in check_gradients(lambda x: ab.abs(x) + 1.0, np.array([1e-20, 1.0])).notes[0]  # too near to be told from one


def test_a_kink_of_the_gradient_is_said_and_a_number_outside_of_its_slopes_is_wrong() -> None:
    x = np.array([0.0, 1.0, -1.0])
    for function in (ab.nn.functional.elu, lambda x: ab.relu(x) ** 2):
        report = check_gradients(function, x)
        assert any(note.startswith("second_order: at a kink of the gradient; reverse over reverse lies between") for note in report.notes), report
    beyond = ruled(lambda x: ab.relu(x) ** 2, lambda x, g: (g * ab.where(x > 0.0, 2.0 * x, ab.where(x == 0.0, 5.0 * x, 0.0)),))
    assert checks_of(failed(beyond, x)) == {"second_order"}


def logistic(x: Any) -> Any:
    for _ in range(50):
        x = 3.99 * x * (1.0 - x)
    return x


HILBERT = 1.0 / (np.arange(8.0)[:, None] + np.arange(8.0) + 1.0)


@pytest.mark.parametrize(
    ("function", "point"),
    [
        (logistic, np.array([0.3, 0.71])),
        (lambda x: ab.sin(1e10 * x), np.array([0.3, 0.71])),
        (lambda x: ab.sin(1 / x), np.array([1e-3, 1e-5])),
        (ab.linalg.inv, HILBERT),
        (lambda a: ab.linalg.solve(a, np.ones(8)), HILBERT),
    ],
)
def test_what_is_chaotic_or_nearly_singular_raises_no_alarm_and_hides_no_wrong_rule(function: Any, point: Any) -> None:
    assert {"vjp", "jvp"} <= check_gradients(function, point, raises=False).passed.keys()
    half = ruled(lambda x: x * 1.0, lambda x, g: (g * 0.5,))
    assert "vjp" in checks_of(failed(lambda x: half(function(x)), point))


def test_where_rounding_moves_the_gradient_it_is_said_not_to_be_judged() -> None:
    def bessel(x: Any) -> Any:  # by its power series, in which terms of 10¹³ cancel; without powers, which every CPU rounds in its own way
        term = total = 0.0 * x + 1.0
        for k in range(1, 60):
            term = term * (x * x) * (-0.25 / k**2)
            total = total + term
        return total

    point = np.array([1.0, 35.0])
    report = check_gradients(bessel, point, checks=["vjp", "jvp", "modes_agree", "linearity", "accumulation"])
    assert report.passed["vjp"].startswith("1 of 2 elements") and "vjp: 1 elements of argument 0 (x) are not judged: rounding" in report.notes[0]
    twice = ruled(lambda x: x * 1.0, lambda x, g: (g * 2.0,))
    assert failed(lambda x: twice(bessel(x)), point, checks=["vjp"]).findings[0].index == (0,)
    assert "not judged: rounding" in check_gradients(bessel, point[1:], checks=["vjp"]).skipped["vjp"]


def test_a_step_that_leaves_the_domain_is_no_alarm() -> None:
    a = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-4]])
    assert {"vjp", "jvp", "second_order"} <= check_gradients(lambda a: ab.linalg.cholesky((a + a.mT) / 2), a).passed.keys()
    check_gradients(ab.linalg.inv, np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]]), checks=["dtype_and_shape"])  # singular in float32


def test_a_rule_that_writes_into_what_it_saved_is_named() -> None:
    def bwd(x: Any, g: Any) -> Any:
        array_of(x)[...] *= 1.5
        return (g * x,)

    report = failed(ruled(lambda x: x * x, bwd), np.ones(3), checks=["aliasing"])
    assert report.findings[0].what == "a second pull gives another gradient" and "writes in place into what it has saved" in report.cause


def test_a_cut_by_an_operation_without_a_derivative_is_said_in_one_sentence() -> None:
    report = failed(ab.floor, X, checks=["jvp"], reference=lambda x: x * 1.0)
    assert "cut by floor, which has no derivative, so a term is missing" in report.cause


def test_a_complex_step_of_what_is_not_analytic_is_no_reference_in_float32_either() -> None:
    for dtype in ("float32", "float64"):
        report = check_gradients(lambda x: x / (1.0 + ab.abs(x)), X.astype(dtype))
        assert "central differences" in report.passed["vjp"] and "central differences" in report.passed["jvp"]

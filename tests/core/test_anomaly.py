"""anomaly_mode: the operation that is named is the one that made the first NaN or infinity."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.state import current
from autograd_bn.core.tensor import Tensor, array_of


def leaf(data: Any, name: str | None = "x") -> Tensor:
    return ab.tensor(data, requires_grad=True, name=name)


def mask(*which: bool) -> Any:
    return np.array(which)


def caught(run: Callable[[], object], **options: bool) -> str:
    """The message of the error that a run raises."""
    with pytest.raises(ab.AnomalyError) as found, ab.anomaly_mode(**options):
        run()
    assert not getattr(found.value, "__notes__", [])
    return str(found.value)


def test_it_is_a_floating_point_error() -> None:
    assert issubclass(ab.AnomalyError, FloatingPointError) and issubclass(ab.AnomalyError, ab.AutogradError)


FORWARD: dict[str, tuple[Callable[[], object], str]] = {
    "log": (lambda: ab.log(leaf([0.0, 1.0])) * 2.0, "log made 1 inf"),
    "sqrt": (lambda: ab.sqrt(leaf([-1.0, -2.0, 1.0])) * 2.0, "sqrt made 2 NaN"),
    "div": (lambda: leaf([0.0, 1.0]) / ab.zeros(2), "div made 1 NaN and 1 inf"),
    "unrecorded": (lambda: ab.log(ab.zeros(3)), "log made 3 inf"),
    "after exp": (lambda: ab.exp(leaf([1.0, 800.0])).sum() - 1.0, "exp made 1 inf"),
    "summed": (lambda: ab.tensor(np.full(4, 2e38, "f4")).sum(), "sum made 1 inf"),
    "no_grad": (lambda: _without(lambda: ab.log(leaf([0.0]))), "log made 1 inf"),
    "grad": (lambda: ab.grad(lambda x: ab.log(x))(0.0), "log made 1 inf"),
    "nested grad": (lambda: ab.grad(ab.grad(lambda x: ab.log(x)))(0.0), "log made 1 inf"),
    "vmap": (lambda: ab.vmap(lambda x: ab.log(x).sum())(np.array([[0.0, 1.0]])), "log made 1 inf"),
    "jvp": (lambda: ab.jvp(ab.log, (0.0,), (1.0,)), "log made 1 inf"),
    "composite": (lambda: ab.batch_norm(leaf(np.ones((2, 3))), None, None, eps=0.0), "div made 3 inf"),
}


def _without(run: Callable[[], object]) -> object:
    with ab.no_grad():
        return run()


@pytest.mark.parametrize("name", FORWARD)
def test_forward_the_operation_that_made_it_is_named_with_its_operands_and_the_line(name: str) -> None:
    run, first = FORWARD[name]
    message = caught(run)
    assert message.startswith(f"{first}: the first that is not finite")
    assert re.search(r"\n  at .*test_anomaly.py:\d+ in ", message)
    assert "operand: float" in message


BACKWARD: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "sqrt": (lambda x: ab.sqrt(x).sum(), "the derivative of sqrt made 1 inf"),
    "masked": (lambda x: ab.where(mask(False, True), ab.sqrt(x), 1.0).sum(), "the derivative of sqrt made 1 NaN"),
    "power": (lambda x: (x**0.5).sum(), "the derivative of pow for its first operand made 1 inf"),
    "chained": (lambda x: (ab.sqrt(ab.tanh(x) * 2.0) + 1.0).sum(), "the derivative of sqrt made 1 inf"),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_backward_the_rule_that_made_it_is_named_with_the_line_of_its_forward_operation(name: str) -> None:
    function, first = BACKWARD[name]
    x = leaf([0.0, 4.0])
    message = caught(lambda: function(x).backward())
    assert message.startswith(f"{first}: the first that is not finite\n  cotangent: float64[2] from ")
    line = function.__code__.co_firstlineno
    assert f"test_anomaly.py:{line} in <lambda>" in message.splitlines()[-1 if "made 1 NaN" in message else -2]
    assert x.grad is None


@pytest.mark.parametrize("name", BACKWARD)
def test_a_recorded_backward_pass_and_transforms_name_the_rule_too(name: str) -> None:
    function, first = BACKWARD[name]
    operation = first.split(" for ")[0].split(" made ")[0].removeprefix("the derivative of ")
    x = leaf([0.0, 4.0])
    for run in (
        lambda: function(x).backward(create_graph=True),
        lambda: ab.grad(function)(x),
        lambda: ab.grad(lambda y: ab.grad(function)(y).sum())(x.detach()),
        lambda: ab.vjp(function, x)[1](1.0),
    ):
        message = caught(run)
        assert f"the derivative of {operation}" in message.splitlines()[0]
        assert f"test_anomaly.py:{function.__code__.co_firstlineno} in" in message
        assert "<string>" not in message and "constructors" not in message


def test_a_tangent_is_named() -> None:
    message = caught(lambda: ab.jvp(ab.sqrt, (np.zeros(2),), (np.ones(2),)))
    assert message.startswith("the tangent of sqrt made 2 inf")
    assert "tangent of the operand: float64[2] from 1 to 1" in message


def test_ranges_leave_out_what_is_not_finite_and_say_how_many() -> None:
    x = leaf([np.nan, 2.0, -1.0, np.inf, -np.inf])
    message = caught(lambda: x * 2.0)
    assert message.startswith("mul was given 1 NaN and 2 inf that no operation here made: it came with the first operand")
    assert "first operand: float64[5] from -1 to 2 with 1 NaN and 2 inf, the leaf 'x' made at " in message
    assert "second operand: 2.0" in message


ORIGINS: dict[str, tuple[Callable[[], object], str]] = {
    "leaf": (lambda: leaf([np.nan], "w") + 1.0, "the leaf 'w' made at"),
    "unnamed leaf": (lambda: leaf([np.nan], None) + 1.0, "a leaf made at"),
    "constant": (lambda: leaf([1.0]) + ab.tensor([np.nan], name="c"), "the constant 'c'"),
    "array": (lambda: leaf([1.0]) + np.array([np.nan]), "a constant"),
    "number": (lambda: leaf([1.0]) + float("nan"), "second operand: nan"),
    "transform": (lambda: ab.grad(lambda x: (x + 1.0).sum())(leaf([np.nan], "w")), "the leaf 'w'"),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_what_was_there_before_any_operation_is_reported_with_where_it_came_from(name: str) -> None:
    run, origin = ORIGINS[name]
    message = caught(run)
    assert message.startswith("add was given 1 NaN that no operation here made")
    assert origin in message


def test_the_result_of_an_operation_outside_the_block_is_told_from_a_leaf() -> None:
    with np.errstate(invalid="ignore"):
        y = ab.sqrt(leaf([-1.0]))
    assert ", the result of sqrt at " in caught(lambda: y * 2.0)


def test_a_backward_pass_of_a_forward_pass_outside_the_block_is_looked_at_too() -> None:
    y = ab.sqrt(leaf([0.0, 4.0])).sum()
    assert caught(lambda: y.backward()).startswith("the derivative of sqrt made 1 inf: the first that is not finite\n  cotangent: float64[2] from 1 to 1\n")


def test_what_does_not_reach_a_result_is_no_anomaly() -> None:
    x = leaf([0.0, 1.0])
    with ab.anomaly_mode():
        y = ab.where(mask(False, True), x, 0.0) + ab.exp(ab.where(mask(True, True), x, 0.0))
        assert ab.where(mask(True, True), x, float("inf")).tolist() == [0.0, 1.0]
        assert ab.isfinite(ab.tensor([np.nan])).tolist() == [False]
        y.sum().backward()
    assert x.grad is not None


def test_infinities_may_be_meant() -> None:
    x = leaf([1.0, 2.0])
    masked = lambda: ab.exp(ab.where(mask(True, False), x, -np.inf)).sum().backward()
    assert "anomaly_mode(infinities=False)" in caught(masked)
    with ab.anomaly_mode(infinities=False):
        masked()
    assert "sub made 1 NaN" in caught(lambda: ab.log(x - 1.0) - ab.log(x - 1.0), infinities=False)


def test_sums_of_cotangents_hooks_and_seeds_are_told_from_rules() -> None:
    z = leaf(np.ones(1, "f4"), "z")
    message = caught(lambda: (z + z).backward(np.full(1, 3e38, "f4")))
    assert message.startswith("the gradient of the leaf 'z'") and "adding them up overflowed" in message
    y = z * 1.0
    y.register_hook(lambda g: g * np.float32("nan"))
    assert "nan" in caught(lambda: y.sum().backward())
    y = z * 1.0
    y.register_hook(lambda g: ab.tensor(np.full(1, np.nan, "f4")))
    assert caught(lambda: y.sum().backward()).startswith("the gradient of the result of mul has 1 NaN, though every rule gave finite values")
    assert caught(lambda: (z * 1.0).backward(np.full(1, np.nan, "f4"))).startswith("the seed of the backward pass has 1 NaN")


def test_nothing_changes_where_all_is_finite() -> None:
    x = leaf(np.random.default_rng(0).standard_normal((4, 3)))
    ab.batch_norm(x, ab.ones(3), ab.zeros(3)).sum().backward()
    expected = x.grad
    x.grad = None
    with ab.anomaly_mode():
        ab.batch_norm(x, ab.ones(3), ab.zeros(3)).sum().backward()
    assert expected is not None and x.grad is not None
    assert np.array_equal(x.grad.numpy(), expected.numpy())


def test_warnings_as_errors_do_not_come_first() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert caught(lambda: ab.log(leaf([0.0]))).startswith("log made 1 inf")


def test_after_an_error_operations_are_not_looked_at_any_more() -> None:
    before = current()
    caught(lambda: ab.log(leaf([0.0])))
    assert current() is before


def test_integers_booleans_and_empty_arrays_are_fine() -> None:
    with ab.anomaly_mode():
        assert (ab.tensor([1, 2]) + 1).tolist() == [2, 3]
        assert leaf(np.zeros((0, 3))).sum().item() == 0.0


# Saved arrays that were changed

CHANGED: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "leaf": (lambda x, w: _write(x, x * w), "mul: its first operand, float64[2], the leaf 'x' made at "),
    "second": (lambda x, w: _write(w, x * w), "mul: its second operand, float64[2], the leaf 'w' made at "),
    "result": (lambda x, w: _write_result(ab.exp(x)), "exp: its result, float64[2], was saved"),
    "constant": (lambda x, w: _write(c := ab.tensor([1.0, 2.0], name="c"), x * c), "mul: its second operand, float64[2], the constant 'c', was saved"),
    "view": (lambda x, w: _write(x, x.reshape((2, 1)).T * w), "mul: its first operand, float64[1, 2], the result of permute_dims at "),
}


def _write(target: Tensor, y: Tensor) -> Tensor:
    target.value[0] = 7.0
    return y


def _write_result(y: Tensor) -> Tensor:
    return _write(y, y)


@pytest.mark.parametrize("name", CHANGED)
def test_a_saved_array_that_was_changed_is_named(name: str) -> None:
    function, first = CHANGED[name]
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0], "w")
    with ab.anomaly_mode():
        y = function(x, w).sum()
        with pytest.raises(ab.MutationError) as found:
            y.backward()
    assert str(found.value).startswith(first)
    assert re.search(r"\n  operation at .*test_anomaly.py:\d+ in ", str(found.value))
    assert x.grad is None


def test_what_no_rule_needs_may_be_changed() -> None:
    x = leaf([1.0, 2.0])
    with ab.anomaly_mode():
        y = x + 1.0
        x.value[0] = y.value[0] = 7.0
        y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 1.0]


def test_changes_are_found_in_transforms_and_in_a_recorded_backward_pass() -> None:
    def changed(x: Any) -> Any:
        y = ab.exp(x)
        array_of(y)[...] = 7.0
        return y.sum()

    for run in (
        lambda: ab.grad(changed)(np.ones(2)),
        lambda: ab.grad(lambda x: ab.grad(changed)(x).sum())(np.ones(2)),
        lambda: changed(leaf([1.0, 2.0])).backward(create_graph=True),
    ):
        with ab.anomaly_mode(), pytest.raises(ab.MutationError, match="exp: its result"):
            run()

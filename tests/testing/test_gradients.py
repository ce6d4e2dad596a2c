"""The kit on the engine's own primitives (no false alarm) and on faults that were planted (each found and named)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.primitive import registry
from autograd_bn.testing import GradientCheckError, check_gradients
from tests.core.test_registry import DIFFERENTIABLE, bound, cases


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_no_primitive_of_the_engine_raises_an_alarm(name: str) -> None:
    for case in cases(registry[name]):
        function, operands, _ = bound(registry[name], case)
        report = check_gradients(function, *operands, name=name, also=("vmap", "checkpoint", "jit"))
        assert "vjp" in report.passed and "jvp" in report.passed and "second_order" in report.passed, report


def scaled(factor: float) -> Any:
    @ab.custom_vjp
    def average(x: Any) -> Any:
        return x.mean()

    average.defvjp(lambda x: (x.mean(), x.shape), lambda shape, g: (ab.broadcast_to(g * factor, shape),))
    return average


def test_a_right_rule_of_ones_own_passes() -> None:
    report = check_gradients(scaled(1 / 6), np.ones((2, 3)))
    assert report.ok and "reverse rule only" in report.skipped["jvp"]
    shown = " ".join(str(report).split())
    assert shown.count("reverse rule only") == 1 and "skipped jvp, modes_agree, second_order (forward over reverse): average" in shown
    assert report.passed["second_order"].startswith("reverse over reverse, by")


def test_a_mean_without_its_scale_is_named() -> None:
    with pytest.raises(GradientCheckError) as caught:
        check_gradients(lambda x: ab.exp(scaled(1.0)(x) * 0.5), np.arange(6.0).reshape(2, 3), name="model")
    finding = caught.value.report.findings[0]
    assert finding.check == "vjp" and finding.operation.startswith("average(")
    assert "off by 6" in finding.cause and "mean" in finding.cause
    assert finding.actual == pytest.approx(6 * finding.expected)
    assert all(len(line) <= 88 for line in str(caught.value).splitlines() if "/" not in line)


def test_a_setting_that_there_is_not_is_told_by_the_name_of_the_function() -> None:
    for check in (check_gradients, ab.testing.check_vjp):
        with pytest.raises(TypeError, match=r"check_gradients\(\) got an unexpected keyword argument 'tol'"):
            check(ab.sin, np.ones(2), tol=1e-3)


def test_a_layer_that_draws_random_numbers_draws_the_same_ones_in_every_check() -> None:
    layer = ab.nn.Dropout(0.5, rng=0)
    before = layer.random_state.tolist()
    report = check_gradients(layer, np.ones((5, 3)), also=("checkpoint", "jit"))
    assert report.ok and not report.skipped, report
    assert layer.random_state.tolist() == before


def test_a_function_may_close_over_parameters_under_jit_too() -> None:
    report = check_gradients(ab.nn.Linear(3, 2, rng=0, dtype="float64"), np.ones((4, 3)), also=("jit",))
    assert "jit" in report.passed, report

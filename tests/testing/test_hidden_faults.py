"""Rules that are wrong in few circumstances only: in float32, of some layouts, beside constants, by little, in place, under conjugation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.node import Constant
from autograd_bn.testing import check_gradients
from tests.testing.test_checks import checks_of, failed, ruled

X = np.random.default_rng(5).standard_normal((4, 3))


def spoiled(rule: Any, wrong: Callable[[Any, Any, Any], Any]) -> Any:
    """A context in which the first cotangent of a primitive's rule is another: ``wrong(c, operands, parents)``."""

    @contextmanager
    def planted_here() -> Any:
        right = rule.vjp

        def pulled(g: Any, saved: Any, parents: Any, static: Any) -> Any:
            first, *others = right(g, saved, parents, static)
            return [None if first is None else wrong(first, saved, parents), *others]

        rule.vjp = pulled
        try:
            yield
        finally:
            rule.vjp = right

    return planted_here()


HIDDEN: dict[str, tuple[Callable[[Any, Any, Any], Any], str, str]] = {
    "in float32": (lambda c, saved, parents: c * c.dtype.type(1.02) if c.dtype == np.float32 else c, "dtype_and_shape", "in float32"),
    "of strided operands": (
        lambda c, saved, parents: c * 1.5 if isinstance(saved[1], np.ndarray) and not saved[1].flags.c_contiguous else c,
        "graph_invariance",
        "contiguous",
    ),
    "beside a constant": (lambda c, saved, parents: c * 1.5 if isinstance(parents[1], Constant) else c, "graph_invariance", "require a gradient"),
    "in single precision inside": (lambda c, saved, parents: c.astype(np.float32) if isinstance(c, np.ndarray) else c, "vjp", ""),
    "by one in 10⁶": (lambda c, saved, parents: c * c.dtype.type(1.000001), "vjp", "scale"),
}


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_a_rule_that_is_wrong_in_few_circumstances_is_found_and_they_are_named(name: str) -> None:
    wrong, check, cause = HIDDEN[name]
    check_gradients(ab.multiply, X, X + 1.0)
    with spoiled(ab.multiply.primitive, wrong):
        report = failed(ab.multiply, X, X + 1.0, checks=[check])
    assert checks_of(report) == {check} and cause in report.cause


def test_a_rule_that_writes_into_its_cotangent_is_named() -> None:
    def wrong(g: Any, saved: Any, parents: Any, static: Any) -> Any:
        if isinstance(g, np.ndarray) and g.flags.writeable:
            g *= 1.5
        return right(g, saved, parents, static)

    rule = ab.sin.primitive
    right = rule.vjp
    rule.vjp = wrong
    try:
        report = failed(lambda x: ab.sin(x) + ab.exp(x), X)
    finally:
        rule.vjp = right
    assert "writes in place into its cotangent" in report.cause and report.findings[0].operation.startswith("sin(")


def test_a_function_of_small_noise_in_float32_is_the_same_as_in_float64() -> None:
    check_gradients(ab.linalg.inv, np.array([[1.0, 1.0], [1.0, 1.001]]), checks=["dtype_and_shape"])
    check_gradients(lambda x: (x + 1000.0) - x, X, checks=["dtype_and_shape"])
    check_gradients(lambda x: x * 1e300, X, checks=["dtype_and_shape"])  # beyond what float32 has room for


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_rule_of_first_order_is_one_at_any_scale(scale: float) -> None:
    cube = ruled(lambda x: x**3, lambda x, g: (3 * ab.stop_gradient(x) ** 2 * g,))
    assert "not written in differentiable operations" in failed(cube, X * scale, checks=["second_order"]).cause


def test_a_conjugate_that_is_missing_is_thought_of() -> None:
    z = X[0] + 1j * X[1]
    check_gradients(ruled(lambda x: x * x, lambda x, g: (2 * ab.conj(x) * g,)), z)
    assert "conjugate" in failed(ruled(lambda x: x * x, lambda x, g: (2 * x * g,)), z, checks=["vjp"]).cause
    assert "used more than once" not in failed(ruled(lambda x: x * (1 + 2j), lambda x, g: (ab.conj(g),)), z, checks=["vjp"]).cause


def test_another_epsilon_in_float32_is_another_function() -> None:
    check_gradients(lambda x: ab.nn.functional.rms_norm(x, 3), X * 1e-6, checks=["dtype_and_shape"])

    def wilkinson(x: Any) -> Any:  # whose coefficients float32 has no room for
        y = 0.0 * x
        for k in np.poly(np.arange(1.0, 13.0)):
            y = y * x + k
        return y

    check_gradients(wilkinson, np.array([5.5, 10.3, 12.0]), checks=["dtype_and_shape"])

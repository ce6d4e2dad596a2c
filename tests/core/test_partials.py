"""Partials as users write them: numbers, and functions of whatever kind whose parameters say what they need."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.axes import normalized_axes
from autograd_bn.core.constructors import binary, reduction, unary
from autograd_bn.core.dispatch import apply
from autograd_bn.core.errors import OperationError
from autograd_bn.core.primitive import raw
from tests.oracles import assert_close
from tests.registries import temporary as temporary

pytestmark = pytest.mark.usefixtures("temporary")


@pytest.mark.parametrize("factor", [2, 0, 0.5, -3, 1, -1, 1.0, -1.0, np.float64(2.5), np.int64(4)])
def test_a_partial_is_any_number(factor: Any) -> None:
    scaled = unary("scaled", lambda x: x * float(factor), factor, "The factor times x.")
    for dtype in (np.float32, np.float64):
        x = np.array([1.0, -2.0], dtype)
        gradient = ab.grad(lambda x: (scaled(x) * np.array([1.0, 10.0], x.dtype)).sum())(x)
        assert gradient.dtype == dtype
        assert_close(gradient, np.array([1.0, 10.0]) * float(factor))
        tangent = ab.jvp(scaled, (x,), (np.ones(2, dtype),))[1]
        assert tangent.dtype == dtype
        assert_close(tangent, np.full(2, float(factor)))
    assert ab.grad(ab.grad(scaled))(3.0).item() == 0.0
    ab.testing.check_gradients(scaled, ab.tensor([0.5, 2.0]))


def test_a_partial_is_a_complex_number() -> None:
    turned = unary("turned", lambda x: x * (1 + 2j), 1 + 2j, "(1 + 2i) x.")
    _, pullback = ab.vjp(turned, ab.tensor(3.0 + 1j))
    assert pullback(1.0 + 0j)[0].item() == 1 - 2j  # PyTorch's convention
    assert ab.jvp(turned, (ab.tensor(3.0 + 1j),), (1.0 + 0j,))[1].item() == 1 + 2j


def test_a_number_and_a_function_together() -> None:
    both = binary("both", lambda x, y: 3 * x + y * y, 3, lambda y: 2 * y, "3x + y².")
    assert [g.item() for g in ab.grad(both, (0, 1))(5.0, 7.0)] == [3.0, 14.0]


def _keyword(x: Any, *, out: Any) -> Any:
    return x * 0 + out


class _Called:
    def __call__(self, x: Any) -> Any:
        return 5 * x

    def method(self, x: Any) -> Any:
        return 6 * x


@pytest.mark.parametrize(
    ("partial", "expected"),
    [
        (functools.partial(lambda k, x: k * x, 2.0), 6.0),
        (lambda x, k=2: k * x, 6.0),
        (lambda k=2, x=0: k * 1.0, 2.0),
        (_keyword, 9.0),
        (_Called(), 15.0),
        (_Called().method, 18.0),
        (lambda x, /: x, 3.0),
        (lambda out: out, 9.0),
        (lambda: 4.0, 4.0),
        (math.cos, math.cos(3.0)),
        (functools.wraps(_Called().method)(lambda *args: args[0] * 7.0), 21.0),
    ],
)
def test_a_partial_is_any_function_that_says_what_it_needs(partial: Callable[..., Any], expected: float) -> None:
    square = unary("squarish", lambda x: x * x, partial, "x², with a derivative that shows which arguments came.")
    assert ab.grad(square)(3.0).item() == expected
    assert ab.jvp(square, (3.0,), (2.0,))[1].item() == 2 * expected


@pytest.mark.parametrize(
    ("partial", "message"),
    [
        (np.cos, r"wave: the partial by x, <ufunc 'cos'>, has no parameter names .* as in lambda x: …"),
        (raw.cos, r"takes \*operands"),
        (lambda *args: args[0], r"takes \*args, which does not say what it needs"),
        (lambda x, **options: x, r"takes \*\*options"),
        (lambda q: q, "asks for 'q'; it may name x, out, g"),
        (lambda k=1, x=2, /: x, "takes 'x' by position after"),
        (np.array([1.0, 2.0]), "is a number, None or a function"),
        ("cos", "is a number, None or a function"),
        (min, "has no parameter names"),
    ],
)
def test_a_partial_that_does_not_say_what_it_needs_is_refused(partial: Any, message: str) -> None:
    with pytest.raises(OperationError, match=message):
        unary("wave", np.sin, partial, "sin of each element.")


def test_the_weight_of_a_reduction_is_read_alike() -> None:
    def total(weight: Any) -> Any:
        primitive = reduction("total", lambda x, axis, keepdims: np.sum(x, axis=axis, keepdims=keepdims), weight)
        return lambda x: apply(primitive, (ab.asarray(x),), {"axis": normalized_axes(None, 1), "keepdims": False})

    assert_close(ab.grad(total(lambda x, k=2.0: x * 0 + k))(np.ones(2)), [2.0, 2.0])
    assert_close(ab.grad(total(lambda x, /: x * 0 + 3.0))(np.ones(2)), [3.0, 3.0])
    for weight in (np.sin, lambda *args: 1.0, lambda y: y):
        with pytest.raises(OperationError, match="total: the weight"):
            total(weight)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x +* 2", "no expression"),
        ("", "no expression"),
        ("x = 1", "no expression"),
        (2, "no expression"),
        ("x + y", "'y', which is no operand"),
        ("exp", "'exp'"),
    ],
)
def test_scalar_code_is_an_expression_in_the_operands(code: Any, message: str) -> None:
    with pytest.raises(OperationError, match=f"twice: .*{message}"):
        unary("twice", lambda x: 2 * x, 2, code=code)
    twice = unary("twice", lambda x: 2 * x, 2, code="x + x + exp(-inf)")
    assert ab.jit(lambda x: twice(x))(ab.tensor([1.5])).item() == 3.0

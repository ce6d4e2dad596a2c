"""Python's operators and the public functions: every kind of operand, against the oracle."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.primitive import registry
from autograd_bn.core.tensor import Tensor
from autograd_bn.ops import OPERATORS, arithmetic, circular, comparison, error_function, exponential, rounding
from autograd_bn.testing.registering import sample
from tests.oracles import assert_close, gradient, value

ARITHMETIC = ["add", "sub", "mul", "truediv", "pow"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
FAMILIES = (arithmetic, circular, comparison, error_function, exponential, rounding)
OF_REALS = [f for family in FAMILIES for f in vars(family).values() if hasattr(f, "primitive") and f is not comparison.bitwise_invert]
UNARY = [f for f in OF_REALS if len(f.primitive.needs) == 1]


def _operands(name: str, rng: np.random.Generator, shape: tuple[int, ...] = (2, 3)) -> tuple[Any, Any]:
    domains = registry[OPERATORS[name]].domains
    return sample(rng, domains[0], shape), sample(rng, domains[-1], shape)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


KINDS: dict[str, Callable[[Any], Any]] = {
    "required": lambda a: ab.tensor(a, requires_grad=True),
    "constant": lambda a: ab.tensor(a),
    "shared": lambda a: ab.asarray(a),
    "array": lambda a: a,
    "list": lambda a: a.tolist(),
    "numpy scalar": lambda a: a.flat[0],
    "number": lambda a: float(a.flat[0]),
    "zero-d": lambda a: ab.tensor(a.flat[0], requires_grad=True),
}


TENSORS = ("required", "constant", "shared", "zero-d")


@pytest.mark.parametrize(("left", "right"), [pair for pair in itertools.product(KINDS, KINDS) if set(pair) & set(TENSORS)])
@pytest.mark.parametrize("name", ARITHMETIC)
def test_operator_between_any_kinds_of_operand_matches_the_oracle(name: str, left: str, right: str, rng: np.random.Generator) -> None:
    a, b = _operands(name, rng)
    x, y = KINDS[left](a), KINDS[right](b)
    function = getattr(operator, name)
    out = function(x, y)
    arrays = [np.asarray(value(x)), np.asarray(value(y))]
    assert isinstance(out, Tensor)
    assert_close(out, function(*arrays), 1e-12)
    required = [i for i, t in enumerate((x, y)) if isinstance(t, Tensor) and t.requires_grad]
    assert out.requires_grad == bool(required)
    if required:
        g = rng.standard_normal(out.shape)
        out.backward(g)
    for i in required:
        assert_close((x, y)[i].grad, gradient(function, arrays, i, g))


@pytest.mark.parametrize("other", [2, 2.0, 3, 0.5, 1, 0, True, -1])
@pytest.mark.parametrize("name", ARITHMETIC)
def test_numbers_on_either_side_keep_float32_and_match_the_oracle(name: str, other: Any, rng: np.random.Generator) -> None:
    a = sample(rng, registry["sqrt"].domains[0], (3,))
    function = getattr(operator, name)
    for flipped in (False, True):
        if (name == "truediv" and not flipped and other == 0) or (name == "pow" and flipped and other < 0):
            continue

        def applied(x: Any, flipped: bool = flipped) -> Any:
            return function(other, x) if flipped else function(x, other)

        narrow = ab.tensor(a, dtype="float32", requires_grad=True)
        out = applied(narrow)
        assert out.dtype == np.float32 == applied(np.float32(a)).dtype
        out.backward(np.ones(3, np.float32))
        assert narrow.grad is not None and narrow.grad.dtype == np.float32
        with np.errstate(all="ignore"):
            expected = gradient(applied, [a], 0, np.ones(3))
        assert_close(narrow.grad, np.zeros(3) if name == "pow" and flipped and other == 0 else expected, 1e-5)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_of_what_requires_a_gradient_are_constants(name: str) -> None:
    x = ab.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for other in (2.0, 2, np.array([2.0, 2.0, 2.0]), ab.tensor(2.0, requires_grad=True)):
        mask = getattr(operator, name)(x, other)
        assert mask.dtype == bool
        assert not mask.requires_grad
        assert np.array_equal(value(mask), getattr(operator, name)(np.array([1.0, 2.0, 3.0]), 2.0))
    x.grad = None
    (mask * x).sum().backward()
    assert x.grad is not None
    assert np.array_equal(value(x.grad), value(mask).astype(float))


@pytest.mark.parametrize("function", UNARY, ids=lambda f: f.primitive.name)
def test_unary_function_of_a_leaf_matches_the_oracle(function: Any, rng: np.random.Generator) -> None:
    primitive = function.primitive
    a = sample(rng, primitive.domains[0], (2, 3))
    x = ab.tensor(a, requires_grad=True)
    out = function(x)
    assert_close(out, primitive.forward(a), 1e-12)
    assert out.requires_grad == primitive.differentiable
    if primitive.differentiable:
        g = rng.standard_normal(a.shape)
        out.backward(g)
        assert_close(x.grad, gradient(primitive.forward, [a], 0, g))
    assert not function(a).requires_grad
    with ab.no_grad():
        assert not function(x).requires_grad


@pytest.mark.parametrize(("x", "exponent"), [("int64", 2.0), ("int64", 1.0), ("int64", 2), ("bool", 1), ("float32", 2), ("float32", 1.0)])
def test_power_by_a_special_exponent_has_numpys_dtype(x: str, exponent: Any) -> None:
    a = np.array([1, 1], x)
    assert (ab.tensor(a) ** exponent).dtype == np.power(a, exponent).dtype


def test_power_at_zero_has_finite_derivatives() -> None:
    for exponent, expected in ((0, 0.0), (1, 1.0), (2, 0.0), (np.array(0.0), 0.0), (np.array(1.0), 1.0)):
        assert ab.grad(lambda x, e=exponent: x**e)(0.0).item() == expected
    assert ab.grad(lambda e: ab.tensor(0.0) ** e)(2.0).item() == 0.0


def test_ties_share_the_gradient() -> None:
    assert [g.item() for g in ab.grad(ab.maximum, argnums=(0, 1))(1.0, 1.0)] == [0.5, 0.5]
    assert ab.grad(ab.max)(np.array([1.0, 3.0, 3.0])).tolist() == [0.0, 0.5, 0.5]
    assert ab.grad(ab.min)(np.array([1.0, 1.0, 3.0])).tolist() == [0.5, 0.5, 0.0]
    assert ab.grad(ab.relu)(0.0).item() == 0.0
    assert ab.grad(ab.abs)(0.0).item() == 0.0


def test_unknown_operands_are_left_to_python() -> None:
    class Other:
        def __radd__(self, left: object) -> str:
            return "mine"

    x = ab.tensor(1.0, requires_grad=True)
    with pytest.raises(TypeError):
        x + "text"  # type: ignore[operator]
    with pytest.raises(TypeError):
        x + None  # type: ignore[operator]
    with pytest.raises(TypeError):
        x + Other()  # type: ignore[operator]
    assert (x == None) is False  # noqa: E711


@pytest.mark.parametrize("flipped", [False, True])
def test_matmul_operator_takes_arrays_on_either_side(flipped: bool, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 2))
    x = ab.tensor(a if not flipped else b, requires_grad=True)
    out = a @ x if flipped else x @ b
    g = rng.standard_normal((2, 2))
    out.backward(g)
    assert_close(x.grad, gradient(np.matmul, [a, b], int(flipped), g))


@pytest.mark.parametrize("call", [lambda x: 1.0 / x, lambda x: x / 0.0, lambda x: x / x, lambda x: ab.log(x), lambda x: ab.hypot(x, 1.0) / x], ids=range(5))
def test_what_numpy_is_told_to_raise_names_the_operation_and_the_line(call: Any) -> None:
    x = ab.tensor([0.0, 1.0], requires_grad=True)
    with np.errstate(divide="raise", invalid="raise"), pytest.raises(ab.OperationError, match=r"(?s)^(div|log)\(.*encountered in.*at .*test_operators\.py"):
        call(x)

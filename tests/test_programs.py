"""Random small programs with shared values, against central differences, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import autograd_bn as ab
from tests.oracles import assert_close, central, gradient, value

Step = tuple[Callable[..., Any], tuple[int, ...]]
LIMIT = 64

UNARY: list[Callable[[Any], Any]] = [
    ab.exp,
    ab.sin,
    ab.cos,
    ab.tanh,
    ab.sigmoid,
    lambda x: -x,
    lambda x: x * x,
    lambda x: x**3,
    lambda x: ab.sqrt(x * x + 0.5),
    lambda x: ab.log(x * x + 0.5),
    lambda x: 1.0 / (x * x + 1.0),
    lambda x: 2.0 - x,
    lambda x: x / 3.0,
    lambda x: x.sum(),
    lambda x: x.sum(-1, keepdims=True) if x.ndim else x,
    lambda x: x.mean(0) if x.ndim else x,
    lambda x: x.mean(keepdims=True),
    lambda x: x.reshape((-1,)),
    lambda x: ab.expand_dims(x, axis=0),
    lambda x: ab.squeeze(x),
    lambda x: x.T,
    lambda x: x[::-1] if x.ndim else x[None],
    lambda x: x[..., 0] if x.ndim else x,
    lambda x: x[:, None] if x.ndim > 1 else x,
    lambda x: x[np.array([0, 0, -1])] if x.ndim else x,
    lambda x: x.astype("float64"),
    lambda x: x.detach() * x,
]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / (y * y + 1.0),
    lambda x, y: (x * x + 0.5) ** ab.tanh(y),
    lambda x, y: x @ ab.permute_dims(y, tuple(range(y.ndim))[::-1]) if x.ndim and y.ndim and x.ndim <= 2 >= y.ndim else x * y,
    lambda x, y: ab.concat([x, y], axis=None),
    lambda x, y: ab.stack([x, x * y]) if (x * y).shape == x.shape else x + y,
    lambda x, y: ab.where(np.arange(x.size).reshape(x.shape) % 2 == 0, x, y),
]


@st.composite
def programs(draw: Any) -> tuple[list[Any], list[Step]]:
    """Inputs that broadcast with one another, and steps that each use one or two of all values so far."""
    shapes = draw(st.lists(st.sampled_from([(), (1,), (3,), (2, 3), (2, 1), (1, 3)]), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    inputs = [rng.uniform(-1.0, 1.0, shape) for shape in shapes]
    steps: list[Step] = []
    for i in range(draw(st.integers(1, 8))):
        operand = st.integers(0, len(inputs) + i - 1)
        if draw(st.booleans()):
            steps.append((draw(st.sampled_from(UNARY)), (draw(operand),)))
        else:
            steps.append((draw(st.sampled_from(BINARY)), (draw(operand), draw(operand))))
    return inputs, steps


def run(steps: list[Step], inputs: Any) -> Any:
    """The sum of all that the program makes, tamed; a step whose shapes do not fit, or that grows too much, gives its operand."""
    values = [ab.asarray(x) for x in inputs]
    total: Any = 0.0
    for function, positions in steps:
        operands = [values[i] for i in positions]
        try:
            out = function(*operands)
        except ValueError:
            out = operands[0]
        out = ab.tanh(out if out.size <= LIMIT else operands[0])
        values.append(out)
        total = total + (out * (1.0 + 0.1 * len(values))).sum()
    return total


def frozen(steps: list[Step], inputs: list[Any]) -> list[Step]:
    """The steps with what is detached replaced by its value at the inputs, so that differences do not see it move."""
    values = [ab.asarray(x) for x in inputs]
    fixed: list[Step] = []
    for function, positions in steps:
        operands = [values[i] for i in positions]
        if function is UNARY[-1]:
            kept = operands[0].numpy()
            function = lambda x, kept=kept: x * kept
        try:
            out = function(*operands)
        except ValueError:
            out = operands[0]
        values.append(ab.tanh(out if out.size <= LIMIT else operands[0]))
        fixed.append((function, positions))
    return fixed


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_every_mode_agrees_with_central_differences(program: tuple[list[Any], list[Step]]) -> None:
    inputs, steps = program
    fixed = frozen(steps, inputs)
    positions = tuple(range(len(inputs)))

    def function(*xs: Any) -> Any:
        return run(steps, xs)

    def oracle(*xs: Any) -> Any:
        return value(run(fixed, xs))

    leaves = [ab.tensor(x, requires_grad=True) for x in inputs]
    out = function(*leaves)
    if not out.requires_grad:
        return
    out.backward()
    expected = [gradient(oracle, inputs, i, 1.0, derivative=central) for i in positions]
    for leaf, wanted in zip(leaves, expected, strict=True):
        assert_close(np.zeros(leaf.shape) if leaf.grad is None else leaf.grad, wanted, 1e-5)
    out, gradients = ab.value_and_grad(function, positions)(*inputs)
    for got, leaf in zip(gradients, leaves, strict=True):
        assert_close(got, np.zeros(leaf.shape) if leaf.grad is None else leaf.grad, 1e-12)
    directions = [np.cos(np.arange(x.size, dtype=float)).reshape(x.shape) for x in inputs]
    slope = sum(np.sum(value(g) * d) for g, d in zip(gradients, directions, strict=True))
    assert_close(ab.jvp(function, inputs, directions)[1], slope, 1e-10)
    wide = [np.stack([x, x * 0.5]) for x in inputs]
    mapped = ab.vmap(lambda *xs: ab.grad(function, positions)(*xs))(*wide)
    for got, halved in zip(mapped, ab.grad(function, positions)(*(x * 0.5 for x in inputs)), strict=True):
        assert_close(got[1], halved, 1e-12)


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_hessian_products_agree_between_modes(program: tuple[list[Any], list[Step]]) -> None:
    inputs, steps = program
    positions = tuple(range(len(inputs)))
    directions = [np.sin(1.0 + np.arange(x.size, dtype=float)).reshape(x.shape) for x in inputs]

    def slopes(*xs: Any) -> Any:
        return ab.grad(lambda *ys: run(steps, ys), positions)(*xs)

    leaves = [ab.tensor(x, requires_grad=True) for x in inputs]
    out = run(steps, leaves)
    if not out.requires_grad:
        return
    reverse = ab.grad(lambda *xs: sum((g * d).sum() for g, d in zip(slopes(*xs), directions, strict=True)), positions)(*inputs)
    out.backward(create_graph=True)
    firsts = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    product = sum((g * d).sum() for g, d in zip(firsts, directions, strict=True) if g is not None)
    if product.requires_grad:
        product.backward()
    for leaf, expected in zip(leaves, reverse, strict=True):
        assert_close(np.zeros(leaf.shape) if leaf.grad is None else leaf.grad, expected, 1e-10)
    if not any(function is UNARY[-1] for function, _ in steps):
        for got, expected in zip(ab.jvp(slopes, inputs, directions)[1], reverse, strict=True):
            assert_close(got, expected, 1e-10)

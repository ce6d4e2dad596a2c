"""Hooks see the whole gradient of a tensor during the sweep, and may replace it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, GradientError, ShapeError
from autograd_bn.core.tensor import Tensor
from tests.oracles import assert_close


def required(data: Any) -> Tensor:
    return ab.tensor(data, requires_grad=True)


def test_hooks_run_in_order_once_with_the_whole_gradient_and_may_replace_it() -> None:
    x = required([1.0, 2.0])
    y = x * 2.0
    seen: list[list[float]] = []
    y.register_hook(lambda g: seen.append(g.tolist()))  # type: ignore[arg-type, func-returns-value]
    y.register_hook(lambda g: g * 10.0)
    y.register_hook(lambda g: seen.append(g.tolist()))  # type: ignore[arg-type, func-returns-value]
    (y * 3.0 + y).sum().backward()
    assert seen == [[4.0, 4.0], [40.0, 40.0]]
    assert_close(x.grad, [80.0, 80.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_writes_into_the_gradient_counts_there_alone(create_graph: bool) -> None:
    a, b = required([1.0, 2.0]), required([3.0, 4.0])
    x, y = a * 1.0, b * 1.0

    def halve(g: ab.Tensor) -> None:
        g *= 0.5
        g[0] = 7.0

    y.register_hook(halve)  # type: ignore[arg-type]
    (x + y).backward(np.array([2.0, 2.0]), create_graph=create_graph)  # one cotangent for both
    assert_close(a.grad, [2.0, 2.0])
    assert_close(b.grad, [7.0, 1.0])


def test_what_a_hook_writes_counts_inside_transforms() -> None:
    def loss(x: ab.Tensor) -> ab.Tensor:
        y = x * x

        def double(g: ab.Tensor) -> None:
            g *= 2.0

        y.register_hook(double)  # type: ignore[arg-type]
        return y.sum()

    x = np.array([1.0, 3.0])
    assert_close(ab.grad(loss)(x), [4.0, 12.0])
    assert_close(ab.vmap(ab.grad(loss))(x[:, None]), [[4.0], [12.0]])
    assert_close(ab.hvp(loss, x, np.ones(2)), [4.0, 4.0])
    assert_close(ab.grad(lambda x: (ab.grad(loss)(x) ** 2).sum())(x), [32.0, 96.0])


def test_a_hook_on_a_leaf_sees_and_replaces_its_gradient() -> None:
    x = required([1.0, 2.0])
    x.register_hook(lambda g: -g)
    (x * x).sum().backward()
    assert_close(x.grad, [-2.0, -4.0])


def test_a_removed_hook_does_not_run() -> None:
    x = required(1.0)
    remove = x.register_hook(lambda g: g * 100.0)
    keep = x.register_hook(lambda g: g * 2.0)
    remove()
    remove()
    (x * 1.0).backward()
    assert_close(x.grad, 2.0)
    keep()


def test_a_hook_sees_the_shape_of_its_tensor_after_broadcasting() -> None:
    x = required([1.0, 2.0, 3.0])
    y = x * 2.0
    shapes = []
    y.register_hook(lambda g: shapes.append(g.shape))  # type: ignore[arg-type, func-returns-value]
    x.register_hook(lambda g: shapes.append(g.shape))  # type: ignore[arg-type, func-returns-value]
    (y.sum() + (y * ab.tensor(np.ones((2, 1)))).sum()).backward()
    assert shapes == [(3,), (3,)]


def test_a_hook_that_returns_a_wrong_shape_is_refused_and_nothing_is_written() -> None:
    x = required([1.0, 2.0])
    y = x * 2.0
    y.register_hook(lambda g: ab.tensor([1.0]))
    with pytest.raises(ShapeError, match=r"\(1,\).*\(2,\)[\s\S]*test_hooks.py"):
        y.sum().backward()
    assert x.grad is None


def test_what_a_hook_returns_takes_the_gradients_dtype() -> None:
    x = required(np.float32([1.0, 2.0]))
    x.register_hook(lambda g: np.asarray([2.0, 3.0]))  # type: ignore[arg-type, return-value]
    (x * 1.0).sum().backward()
    assert x.grad is not None and x.grad.dtype == np.float32
    x.register_hook(lambda g: g * 1j)
    with pytest.raises(DtypeError, match="complex"):
        (x * 1.0).sum().backward()


def test_what_a_hook_reads_of_the_function_is_no_part_of_the_derivative_but_of_the_next_one() -> None:
    def loss(x: ab.Tensor) -> ab.Tensor:
        y = x * x
        y.register_hook(lambda g: g * x)
        return y.sum()

    x = np.array([1.0, 3.0])  # the gradient is 2x², with x for the derivative of y
    gradient = ab.grad(loss)(x)
    assert gradient.is_leaf and not gradient.requires_grad
    assert_close(gradient * 1.0, 2 * x**2)
    assert_close(ab.hvp(loss, x, np.ones(2)), 4 * x)
    assert_close(ab.grad(lambda x: ab.grad(loss)(x).sum())(x), 4 * x)
    assert_close(ab.jacobian(ab.grad(loss), mode="forward")(x), np.diag(4 * x))
    assert_close(ab.vmap(ab.grad(loss))(x[:, None]) * 1.0, 2 * x[:, None] ** 2)
    leaf = required(x)
    loss(leaf).backward()
    assert leaf.grad is not None and not leaf.grad.requires_grad
    assert_close(leaf.grad, 2 * x**2)


def test_a_hook_that_returns_no_gradient_is_named_with_its_line() -> None:
    x = required([1.0, 2.0])
    y = x * 2.0
    for returned, error, words in (("text", DtypeError, "holds numbers"), ([[1.0], [1.0, 2.0]], ShapeError, r"\[0\] has shape \(1,\), \[1\] \(2,\)")):
        remove = y.register_hook(lambda g, returned=returned: returned)
        with pytest.raises(error, match=rf"a hook on mul returned no gradient: [\s\S]*{words}[\s\S]*operation at .*test_hooks.py"):
            (y * 3.0).sum().backward(retain_graph=True)
        remove()
    assert x.grad is None


def test_a_hook_inside_vmap_or_forward_mode_is_refused() -> None:
    def hooked(x: ab.Tensor) -> ab.Tensor:
        x.register_hook(lambda g: g)
        return x

    with pytest.raises(GradientError, match="register_hook: the tensor belongs to ab.vmap"):
        ab.grad(lambda x: ab.vmap(hooked)(x).sum())(np.ones(2))
    with pytest.raises(GradientError, match="register_hook: the tensor belongs to ab.jvp"):
        ab.jvp(hooked, (1.0,), (1.0,))

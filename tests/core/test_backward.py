"""``Tensor.backward`` on the outer tape: accumulation, seeds, hooks, grad modes, depth, memory, shared memory, threads."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import GradientError
from autograd_bn.core.node import Node
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor
from tests.oracles import assert_close, value


def required(data: Any, **options: Any) -> Tensor:
    return ab.tensor(data, requires_grad=True, **options)


def test_gradients_accumulate_until_reset() -> None:
    x = required([1.0, 2.0])
    for times in (1, 2, 3):
        (x * x).sum().backward()
        assert_close(x.grad, times * 2 * value(x))
    x.grad = None
    (x * 3.0).sum().backward()
    assert_close(x.grad, [3.0, 3.0])


def test_an_accumulated_gradient_is_a_new_array() -> None:
    x = required([1.0, 2.0])
    (x * 1.0).sum().backward()
    first = x.grad
    before = value(first).copy()
    (x * 1.0).sum().backward()
    assert_close(first, before)


def test_operands_of_a_sum_do_not_share_later_changes() -> None:
    x, y = required([1.0]), required([1.0])
    (x + y).backward(np.array([1.0]))
    (x * 5.0).backward(np.array([1.0]))
    assert value(x.grad) == [6.0]
    assert value(y.grad) == [1.0]


@pytest.mark.parametrize("seed", [3.0, 3, np.float64(3.0), np.array(3.0), np.array(3), ab.tensor(3.0)])
def test_a_scalar_takes_any_number_as_seed(seed: Any) -> None:
    x = required(2.0)
    (x * x).backward(seed)
    assert_close(x.grad, 12.0)


def test_a_seed_that_is_overwritten_afterwards_leaves_the_gradient() -> None:
    x = required([1.0, 2.0])
    seed = np.array([1.0, 1.0])
    (x + 1.0).backward(seed)
    seed[:] = 99.0
    assert_close(x.grad, [1.0, 1.0])
    y = required([1.0, 2.0])
    y.backward(seed)
    seed[:] = -1.0
    assert_close(y.grad, [99.0, 99.0])


def test_backward_of_a_leaf_gives_the_seed() -> None:
    x = required([1.0, 2.0])
    x.backward([3.0, 4.0])
    assert_close(x.grad, [3.0, 4.0])


def test_retain_graph_allows_a_second_sweep() -> None:
    x = required(3.0)
    y = x * x * x
    y.backward(retain_graph=True)
    y.backward()
    assert_close(x.grad, 54.0)
    with pytest.raises(GradientError, match="retain_graph=True"):
        y.backward()
    assert_close(x.grad, 54.0)


def test_double_backward_to_third_order() -> None:
    x = required(0.7)
    derivatives = [ab.sin(x) * x**3]
    for _ in range(3):
        x.grad = None
        derivatives[-1].backward(create_graph=True)
        assert x.grad is not None
        derivatives.append(x.grad)
    s, c, t = np.sin(0.7), np.cos(0.7), 0.7
    assert_close(derivatives[1], c * t**3 + 3 * s * t**2)
    assert_close(derivatives[2], -s * t**3 + 6 * c * t**2 + 6 * s * t)
    assert_close(derivatives[3], -c * t**3 - 9 * s * t**2 + 18 * c * t + 6 * s)


def test_create_graph_accumulates_into_a_differentiable_gradient() -> None:
    x = required(2.0)
    (x**3).backward(create_graph=True)
    (x**3).backward(create_graph=True)
    total = x.grad
    assert total is not None
    x.grad = None
    total.backward()
    assert_close(x.grad, 2 * 6 * 2.0)


def test_a_gradient_without_create_graph_is_constant() -> None:
    x = required(2.0)
    (x**3).backward()
    assert x.grad is not None and not x.grad.requires_grad


def test_seed_is_differentiable_with_create_graph() -> None:
    x, v = required([1.0, 2.0]), required([3.0, 5.0])
    (x * x).backward(v, create_graph=True)
    assert x.grad is not None
    x.grad.sum().backward()
    assert_close(v.grad, [2.0, 4.0])


def test_retain_grad_keeps_and_accumulates_an_intermediate_gradient() -> None:
    x = required([1.0, 2.0])
    y = x * 2.0
    y.retain_grad()
    assert y.grad is None
    (y * y).sum().backward(retain_graph=True)
    assert_close(y.grad, 2 * value(y))
    with pytest.warns(UserWarning, match="retain_grad"):
        assert (x * 2.0).grad is None


def test_retain_grad_has_the_full_shape_where_the_cotangent_was_broadcast() -> None:
    x = required([[1.0, 2.0], [3.0, 4.0]])
    y = x * 2.0
    y.retain_grad()
    y.sum().backward()
    assert y.grad is not None and y.grad.shape == (2, 2)
    assert_close(y.grad, np.ones((2, 2)))
    assert_close(x.grad, np.full((2, 2), 2.0))


def test_retain_grad_and_hooks_need_a_gradient() -> None:
    for use in (lambda t: t.retain_grad(), lambda t: t.register_hook(print)):
        with pytest.raises(GradientError, match="does not require a gradient"):
            use(ab.tensor(1.0))


def test_retain_grad_inside_a_transform_is_refused_and_a_hook_runs() -> None:
    seen: list[float] = []

    def function(x: Tensor) -> Tensor:
        y = x * 2.0
        with pytest.raises(GradientError, match="register_hook"):
            y.retain_grad()
        y.register_hook(lambda g: seen.append(g.item()))
        return y * 3.0

    assert ab.grad(function)(1.0).item() == 6.0
    assert seen == [3.0]


def test_detach_cuts_the_graph_and_shares_the_value() -> None:
    x = required([1.0, 2.0])
    y = x * 2.0
    cut = y.detach()
    assert not cut.requires_grad and cut.is_leaf
    (x * cut).sum().backward()
    assert_close(x.grad, [2.0, 4.0])


def test_is_leaf() -> None:
    x = required(1.0)
    assert x.is_leaf and ab.tensor(1.0).is_leaf and not (x * 2.0).is_leaf and (x * 2.0).detach().is_leaf
    with ab.no_grad():
        assert (x * 2.0).is_leaf


def test_no_grad_as_context_and_decorator_and_enable_grad_inside() -> None:
    x = required(1.0)

    @ab.no_grad()
    def frozen() -> Tensor:
        assert not ab.is_grad_enabled()
        return ab.exp(x) * x + 1.0

    @ab.enable_grad()
    def recorded() -> Tensor:
        assert ab.is_grad_enabled()
        return x * 2.0

    assert not frozen().requires_grad
    assert ab.is_grad_enabled()
    mode = ab.no_grad()
    with mode, mode:
        assert not (x * 2.0).requires_grad
        assert recorded().requires_grad
        with ab.enable_grad():
            assert (x * 2.0).requires_grad
        assert not (2.0 * x).requires_grad
    assert (x * 2.0).requires_grad


def test_no_grad_ends_when_its_block_raises() -> None:
    with pytest.raises(ZeroDivisionError), ab.no_grad():
        raise ZeroDivisionError
    assert ab.is_grad_enabled()


def test_backward_inside_no_grad_of_what_was_recorded_outside() -> None:
    x = required(3.0)
    y = x * x
    with ab.no_grad():
        y.backward()
        with pytest.raises(GradientError, match="create_graph"):
            y.backward(create_graph=True)
    assert_close(x.grad, 6.0)


def test_a_failed_sweep_leaves_every_gradient_untouched() -> None:
    x, y = required(2.0), required(3.0)
    (x * y).backward()
    before = x.grad, y.grad
    z = x * y

    def fail(g: Tensor) -> Tensor:
        raise ZeroDivisionError("in a hook")

    out = z * 2.0 + y
    x.register_hook(fail)
    with pytest.raises(ZeroDivisionError):
        out.backward()
    assert (x.grad, y.grad) == before


def test_diamonds_and_fan_out_sum_their_paths() -> None:
    x = required(1.5)
    a, b = x * 2.0, ab.sin(x)
    (a * b + a / b + b).backward()
    s, c = np.sin(1.5), np.cos(1.5)
    assert_close(x.grad, 2 * s + 3 * c + 2 / s - 3 * c / s**2 + c)
    y = required(1.0)
    sum((y * float(i) for i in range(200)), ab.tensor(0.0)).backward()
    assert_close(y.grad, sum(range(200)))


def test_a_rule_runs_once_an_operation_however_often_its_result_is_used() -> None:
    calls = []
    x = required(1.0)
    y = x * 1.0
    y.register_hook(lambda g: calls.append(1))  # type: ignore[arg-type, func-returns-value]
    for _ in range(30):
        y = y + y
    y.backward()
    assert len(calls) == 1
    assert_close(x.grad, 2.0**30)


def test_an_output_that_is_also_used_inside() -> None:
    x = required(2.0)
    y = x * x
    z = y * 3.0
    y.retain_grad()
    (y + z).backward()
    assert_close(y.grad, 4.0)
    assert_close(x.grad, 16.0)


def test_nothing_is_published_where_adding_to_one_gradient_fails() -> None:
    class Failing:
        def __add__(self, other: object) -> object:
            raise MemoryError

    x, y = required(2.0), required(3.0)
    (x * y).backward()
    for broken, whole in ((x, y), (y, x)):
        kept, before = broken.grad, whole.grad
        broken.node.extra.gradient = Failing()
        with pytest.raises(MemoryError):
            (x * y).backward()
        assert whole.grad is before
        broken.node.extra.gradient = kept


def test_only_what_needs_a_gradient_gets_a_cotangent() -> None:
    x, c = required(np.ones((2, 2))), ab.tensor(np.ones((2, 2)))
    y = c @ x
    node = y.node
    assert isinstance(node, Node) and node.saved is not None
    assert node.saved[1] is None
    assert raw.matmul.vjp(np.ones((2, 2)), node.saved, node.parents, node.static)[0] is None


@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (lambda x, c: x + c, [False, False, False]),
        (lambda x, c: c - x, [False, False, False]),
        (lambda x, c: x * c, [False, True, False]),
        (lambda x, c: c * x, [True, False, False]),
        (lambda x, c: x / c, [False, True, False]),
        (lambda x, c: 2.0 * x, [True, False, False]),
        (lambda x, c: ab.exp(x), [False, True]),
        (lambda x, c: ab.sin(x), [True, False]),
        (lambda x, c: x.sum(), [False, False]),
        (lambda x, c: x @ c, [False, True, False]),
    ],
)
def test_only_what_the_rule_needs_is_saved(function: Callable[..., Any], kept: list[bool]) -> None:
    node = function(required([1.0, 2.0]), ab.tensor([3.0, 4.0])).node
    assert isinstance(node, Node) and node.saved is not None
    assert [value is not None for value in node.saved] == kept


def test_deep_chain_is_built_differentiated_refused_for_copying_and_freed() -> None:
    x = required(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    with pytest.raises(GradientError, match="cannot be copied"):
        copy.deepcopy(y)
    y.backward()
    assert_close(x.grad, 1.0)
    del y
    gc.collect()


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))], ids=["copy", "deepcopy", "pickle"])
def test_leaves_can_be_copied(copier: Callable[[Tensor], Tensor]) -> None:
    x = required(np.float32([1.0, 2.0]), name="w")
    again = copier(x)
    assert again.requires_grad and again.is_leaf and again.name == "w" and again.dtype == np.float32
    assert value(again).tolist() == [1.0, 2.0]


def test_recorded_results_and_nodes_can_be_neither_deep_copied_nor_pickled() -> None:
    y = required([1.0]) * 2.0
    for copier in (copy.deepcopy, pickle.dumps):
        for thing in (y, y.node):
            with pytest.raises(GradientError, match=r"detach\(\)"):
                copier(thing)


def test_threads_have_their_own_grad_mode_scopes_and_graphs() -> None:
    x = required([1.0, 2.0])
    barrier = threading.Barrier(4)
    problems: list[str] = []

    def work(number: int) -> None:
        mode = ab.no_grad() if number % 2 else ab.enable_grad()
        try:
            for _ in range(20):
                barrier.wait(10)
                with mode if number > 1 else (ab.no_grad() if number % 2 else ab.enable_grad()), ab.scope(f"thread {number}"):
                    barrier.wait(10)
                    y = ab.exp(x) * float(number)
                    if y.requires_grad == bool(number % 2) or (y.requires_grad and str(y.node.scope) != f"thread {number}"):
                        problems.append(f"{number}: {y!r}")
                    _value, gradient = ab.value_and_grad(lambda v: (v * v).sum())(np.array([float(number), 1.0]))
                    if gradient.tolist() != [2.0 * number, 2.0]:
                        problems.append(f"{number}: {gradient}")
        except Exception as error:  # noqa: BLE001 - told by the main thread
            problems.append(repr(error))
            barrier.abort()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert ab.is_grad_enabled()


def test_one_no_grad_object_serves_several_threads() -> None:
    mode = ab.no_grad()
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with mode:
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=work)
    with mode:
        thread.start()
        inside.wait(10)
    assert ab.is_grad_enabled()
    leave.set()
    thread.join()


def test_record_keeps_values_and_the_cotangent_of_every_edge() -> None:
    x = required([1.0, 2.0], name="x")
    with ab.record():
        y = x * 3.0
        z = y + np.ones((2, 1))
        out = (z * z).sum()
        out.backward()
    assert value(y.node.extra.value).tolist() == [3.0, 6.0]
    assert_close(y.grad, 2 * 2 * (value(y) + 1))
    assert [None if c is None else value(c).tolist() for c in z.node.extra.cotangents] == [[16.0, 28.0], None]
    assert [value(c).tolist() for c in y.node.extra.cotangents[:1]] == [[48.0, 84.0]]
    assert_close(x.grad, [48.0, 84.0])
    assert z.node.extra.gradient.shape == (2, 2)
    assert (x * 2.0).node.extra is None

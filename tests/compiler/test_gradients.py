"""Gradients that a compiled function reads, accumulates, replaces and clears."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import TraceError


def test_gradients_accumulate_and_leaves_keep_their_identity() -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True, name="w")
    f = ab.jit(lambda x: (w * x).sum().backward())
    f(ab.tensor([1.0, 1.0]))
    assert w.is_leaf and w.node.level == 0 and w.name == "w"
    f(ab.tensor([3.0, 1.0]))
    f(ab.tensor([3.0, 1.0]))
    np.testing.assert_array_equal(w.grad.numpy(), [7.0, 3.0])
    assert f.cache_info() == (1, 2, 2, 0)
    (w * 2).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [9.0, 5.0])


@pytest.mark.parametrize("first", [None, [5.0, 6.0]])
@pytest.mark.parametrize("second", [None, [7.0, 8.0]])
def test_a_gradient_that_is_replaced_before_it_is_looked_at_makes_no_difference(first: Any, second: Any) -> None:
    w, v, u = (ab.tensor([1.0, 2.0], requires_grad=True) for _ in range(3))

    def step(x: ab.Tensor) -> None:
        w.grad = v.grad = None
        (w * x + u.detach()).sum().backward()

    run = ab.jit(step)
    for gradient in (first, second):
        w.grad, v.grad, u.grad = (None if gradient is None else ab.tensor(gradient) for _ in range(3))
        run(ab.tensor([3.0, 4.0]))
        np.testing.assert_array_equal(w.grad.numpy(), [3.0, 4.0])
        assert v.grad is None
        assert (u.grad is None) if gradient is None else (u.grad.tolist() == gradient)
    assert run.cache_info().misses == 1


def test_a_gradient_that_is_looked_at_makes_a_difference() -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True)

    def step(x: ab.Tensor) -> ab.Tensor:
        before = w.grad
        w.grad = None
        return x if before is None else x + before

    run = ab.jit(step)
    for gradient, expected in ((None, [1.0, 1.0]), ([5.0, 6.0], [6.0, 7.0]), ([7.0, 8.0], [8.0, 9.0]), (None, [1.0, 1.0])):
        w.grad = None if gradient is None else ab.tensor(gradient)
        np.testing.assert_array_equal(run(ab.tensor([1.0, 1.0])).numpy(), expected)
        assert w.grad is None
    assert run.cache_info() == (2, 2, 2, 0)


def test_the_first_step_with_dampening_is_another_than_the_rest() -> None:
    found = []
    for compiling in (False, True):
        w = ab.tensor([1.0, 2.0], requires_grad=True)
        optimizer = ab.optim.SGD([w], lr=0.1, momentum=0.9, dampening=0.5)

        def step(w: ab.Tensor = w, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

        run = ab.jit(lambda step=step: step()) if compiling else step
        for _ in range(4):
            run()
        found.append(w.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-14)


def test_a_gradient_from_outside_is_read_at_each_call() -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    optimizer = ab.optim.SGD([w], lr=1.0)
    step = ab.jit(lambda: optimizer.step())
    for scale in (1.0, 2.0, 3.0):
        optimizer.zero_grad()
        (w * scale).sum().backward()
        step()
    np.testing.assert_array_equal(w.numpy(), [-5.0, -4.0])
    assert step.cache_info().misses == 1


def test_a_leaf_argument_gets_its_gradient() -> None:
    f = ab.jit(lambda w: (w**2).sum().backward())
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    f(w)
    np.testing.assert_array_equal(w.grad.numpy(), [2.0, 4.0])
    v = ab.tensor([3.0, 4.0], requires_grad=True)
    f(v)
    np.testing.assert_array_equal(v.grad.numpy(), [6.0, 8.0])


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_an_argument_that_is_changed_is_no_other_argument(emitter: Any) -> None:
    def accumulated(w: ab.Tensor, v: ab.Tensor) -> ab.Tensor:
        (2 * w + 3 * v.detach()).sum().backward()
        return ab.zeros(2) if v.grad is None else v.grad.detach()

    def written(w: ab.Tensor, v: ab.Tensor) -> ab.Tensor:
        w[0] = 5.0
        return v * 1.0

    def read(w: ab.Tensor, v: ab.Tensor) -> ab.Tensor:
        return w.detach() * v.detach()

    for function, needed in ((accumulated, True), (written, False)):
        run = ab.jit(function, emitter=emitter)
        w, v = (ab.tensor([1.0, 2.0], requires_grad=needed) for _ in range(2))
        for _ in range(3):
            run(w, v)
        with pytest.raises(TraceError, match="pass it once"):
            run(w, w)
    assert ab.jit(read, emitter=emitter)(w, w).tolist() == [25.0, 4.0]


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_views_share_their_memory_or_are_refused(emitter: Any) -> None:
    def write(x: ab.Tensor, y: ab.Tensor) -> ab.Tensor:
        x[0] = 5.0
        return y * 1.0

    run, kept = ab.jit(write, emitter=emitter), ab.tensor([1.0, 2.0, 3.0])
    close = ab.jit(lambda y: write(kept, y), emitter=emitter)
    for _ in range(2):  # the long way, then the short one
        x = ab.tensor([1.0, 2.0])
        assert run(x, ab.tensor([3.0, 4.0])).tolist() == [3.0, 4.0] and x.tolist() == [5.0, 2.0]
        assert close(ab.tensor([3.0, 4.0])).tolist() == [3.0, 4.0]
        x = ab.tensor([1.0, 2.0, 3.0])
        for one, other, told in ((x[:2], x[1:], "a view of it"), (x[:2], ab.tensor([3.0, 4.0]), "of a tensor of shape .3,., which would not see it")):
            with pytest.raises(TraceError, match=told):
                run(one, other)
        with pytest.raises(TraceError, match="not both"):
            close(kept[1:])
        assert x.tolist() == [1.0, 2.0, 3.0]
        assert run(ab.tensor([1.0, 2.0]), x[1:]).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_what_is_only_read_is_passed_and_closed_over(emitter: Any) -> None:
    data, count = ab.tensor([1.0, 2.0, 3.0]), ab.tensor(0.0)

    def centred(x: ab.Tensor) -> ab.Tensor:
        ab.assign(count, count + 1)
        return x - data.mean()

    run = ab.jit(centred, emitter=emitter)
    for _ in range(3):
        assert run(data).tolist() == [-1.0, 0.0, 1.0] and run(data[1:]).tolist() == [0.0, 1.0]
    assert count.item() == 6.0
    with pytest.raises(TraceError, match="not both"):
        run(count)


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_arrays_of_numpys_are_not_written_into(emitter: Any) -> None:
    def doubled(x: Any) -> Any:
        x *= 2.0
        return x

    run = ab.jit(doubled, emitter=emitter)
    with pytest.raises(TraceError, match="an array of NumPy's"):
        run(np.ones(3))
    assert run(np.float64(3.0)).item() == run(np.float64(3.0)).item() == 6.0


def test_an_argument_whose_gradient_nobody_looks_at_is_let_go() -> None:
    run = ab.jit(lambda w: w.detach() * 2)
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    gone = weakref.ref(w)
    gc.collect()
    gc.disable()
    try:
        run(w)
        del w
        assert gone() is None
    finally:
        gc.enable()

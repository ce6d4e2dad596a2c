"""Whose memory it is: what others overwrite does not reach a gradient, and nothing is left behind."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.tensor import Tensor
from tests.oracles import assert_close, value


def required(data: Any) -> Tensor:
    return ab.tensor(data, requires_grad=True)


def _training_step(x: Tensor, w: Tensor) -> None:
    w.grad = None
    ab.tanh(x @ w).sum().backward()


def _transform_step(x: Tensor, w: Tensor) -> None:
    ab.value_and_grad(lambda v: ab.tanh(x @ v).sum())(w)


def _mapped_step(x: Tensor, w: Tensor) -> None:
    ab.vmap(lambda row: ab.jvp(lambda v: ab.tanh(row @ v).sum(), (w,), (w,))[1])(x)


def _refused_step(x: Tensor, w: Tensor) -> None:
    with pytest.raises(ShapeError):
        w @ x.reshape((7,))


@pytest.mark.parametrize("step", [_training_step, _transform_step, _mapped_step, _refused_step])
def test_steps_leave_nothing_behind_without_the_garbage_collector(step: Callable[[Tensor, Tensor], None]) -> None:
    x, w = ab.tensor(np.ones((7, 1))), required(np.ones((1, 2)))
    for _ in range(20):
        step(x, w)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(1000 if step is _training_step else 200):
            step(x, w)
        assert len(gc.get_objects()) - before < 50
    finally:
        gc.enable()


def test_intermediate_arrays_are_let_go_when_the_sweep_has_passed() -> None:
    x = required([1.0, 2.0])
    y = ab.exp(x) * x
    y.sum().backward()
    assert y.node.saved is None
    assert y.node.parents


FOREIGN: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "array": lambda x, a: x * a,
    "reflected array": lambda x, a: a * x,
    "asarray": lambda x, a: x * ab.asarray(a),
    "asarray on the left": lambda x, a: ab.asarray(a) * x,
    "asarray first": lambda x, a: ab.multiply(ab.asarray(a), x),
    "view of asarray": lambda x, a: x * ab.asarray(a).reshape((2, 1)).reshape((2,)),
    "slice of asarray": lambda x, a: x * ab.asarray(a)[::1],
    "view of array": lambda x, a: x * a[:],
    "detached": lambda x, a: x * ab.asarray(a).detach(),
    "broadcast": lambda x, a: x * ab.broadcast_to(a, (3, 2)),
    "transposed": lambda x, a: x * ab.asarray(a).T,
    "matmul": lambda x, a: x @ a,
    "divide": lambda x, a: x / a,
    "power": lambda x, a: x**a,
    "where": lambda x, a: ab.where(a > 2.5, x, 0.0),
    "where asarray": lambda x, a: ab.where(ab.asarray(a > 2.5), x, 0.0),
    "index": lambda x, a: x[(a > 2.5).astype(int)],
    "maximum": lambda x, a: ab.maximum(x, a),
    "vjp": lambda x, a: x * ab.vjp(lambda v: v, a)[0],
    "pullback": lambda x, a: x * ab.vjp(lambda v: v, a)[1](a)[0],
    "jvp": lambda x, a: x * ab.jvp(lambda v: v, (a,), (a,))[0],
    "jvp tangent": lambda x, a: x * ab.jvp(lambda v: v, (a,), (a,))[1],
    "vmap": lambda x, a: x * ab.vmap(lambda v: v)(a),
    "vmap inside": lambda x, a: ab.vmap(lambda v, w: v * w, in_axes=(0, 0))(x, a),
    "record": lambda x, a: _recorded(x, a),
    "astype": lambda x, a: x * ab.asarray(a).astype("float64"),
    "concat": lambda x, a: x * ab.concat([a]),
    "holder": lambda x, a: x * Holder(a),
    "holder asarray": lambda x, a: x * ab.asarray(Holder(a)),
    "list": lambda x, a: x * list(a),
}


class Holder:
    """Something of another library that hands out its own array."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array


def _recorded(x: Tensor, a: Any) -> Tensor:
    with ab.record():
        return x * a


@pytest.mark.parametrize("name", FOREIGN)
def test_overwriting_a_foreign_array_between_the_passes_does_not_change_the_gradient(name: str) -> None:
    gradients = []
    for overwrite in (False, True):
        a = np.array([2.0, 3.0])
        x = required([1.5, 3.5])
        y = FOREIGN[name](x, a)
        if overwrite:
            a[:] = -7.0
        y.sum().backward()
        gradients.append(value(x.grad))
    assert_close(gradients[1], gradients[0], 0.0)


def test_overwriting_what_a_pullback_keeps_does_not_change_it() -> None:
    a, b = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    _, pullback = ab.vjp(lambda x, y: x * y, a, b)
    _, nested = ab.jvp(lambda x: ab.vjp(lambda y: x * y, b)[1](np.ones(2))[0], (a,), (np.ones(2),))
    a[:], b[:] = 0.0, 0.0
    assert [g.tolist() for g in pullback(np.ones(2))] == [[5.0, 7.0], [2.0, 3.0]]
    assert nested.tolist() == [1.0, 1.0]


def test_tensor_copies_and_its_numpy_view_is_read_only() -> None:
    a = np.array([1.0, 2.0])
    x = required(a)
    a[:] = 9.0
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(x.detach())[0] = 5.0

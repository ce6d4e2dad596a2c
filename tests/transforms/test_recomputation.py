"""checkpoint: the same derivatives, nothing kept inside, effects once, or an error."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import GradientError, MutationError
from autograd_bn.core.node import Node
from tests.oracles import assert_close, value
from tests.transforms.modes import MODES, named

RNG = np.random.default_rng(3)
W = RNG.standard_normal((3, 4))
X = RNG.standard_normal(4)


def f(w: Any, x: Any) -> Any:
    h = ab.tanh(w @ (x * x))
    return (h * ab.exp(h)).sum() + ab.log(1.0 + h * h).mean() * x.max()


def kept(output: ab.Tensor) -> list[Any]:
    """The arrays that a record keeps without a promise."""
    found: list[Any] = []
    stack, seen = [output.node], set()
    while stack:
        node = stack.pop()
        if type(node) is Node and node not in seen:
            seen.add(node)
            if isinstance(node.saved, tuple):
                found += [x for x in node.saved if isinstance(x, np.ndarray)]
            stack.extend(node.parents)
    return found


@pytest.mark.parametrize("modes", [*itertools.product(MODES, repeat=2), *itertools.product(MODES[:3], repeat=3)], ids=named)
def test_derivatives_of_every_order_are_those_of_the_function(modes: tuple[Callable[..., Any], ...]) -> None:
    def along(g: Any) -> Any:
        derived: Any = lambda t: g(W, X * t)
        for mode in modes:
            derived = mode(derived)
        return derived(1.0)

    assert_close(along(ab.checkpoint(f)), along(f), 1e-12)


def test_backward_and_create_graph() -> None:
    found = []
    for function in (f, ab.checkpoint(f)):
        w, x = ab.tensor(W, requires_grad=True), ab.tensor(X, requires_grad=True)
        function(w, x).backward(create_graph=True)
        first = value(x.grad).copy()
        gradient, x.grad, w.grad = x.grad, None, None
        (gradient**2).sum().backward()
        found.append((first, value(x.grad), value(w.grad)))
    for got, expected in zip(found[1], found[0], strict=True):
        assert_close(got, expected, 1e-12)


def test_nothing_computed_inside_is_kept_and_the_graph_is() -> None:
    w, x = ab.tensor(W, requires_grad=True), ab.tensor(X, requires_grad=True)
    inner: list[Any] = []

    def g(w: Any, x: Any) -> Any:
        h = ab.tanh(w @ x)
        inner.append(weakref.ref(h.value))
        return (h * h).sum()

    out = ab.checkpoint(g)(w, x)
    assert inner[0]() is None and kept(out) == []
    assert [n.primitive.name for n in ab.graph(out).nodes if n.primitive] == [n.primitive.name for n in ab.graph(g(w, x)).nodes if n.primitive]
    assert {str(n.scope) for n in ab.graph(out).nodes if n.primitive} == {"checkpoint g"}
    runs = len(inner)
    out.backward()
    assert len(inner) == runs + 1
    assert all(ref() is None for ref in inner)
    with pytest.raises(GradientError, match="freed"):
        out.backward()


def test_nothing_is_kept_by_tangents_or_by_a_checkpoint_inside() -> None:
    x = ab.tensor(X, requires_grad=True)
    _, tangent = ab.jvp(ab.checkpoint(lambda x: ab.exp(ab.sin(x))), (x,), (X,))
    assert kept(tangent) == []
    tangent.sum().backward()
    assert_close(x.grad, ab.grad(lambda x: ab.jvp(lambda x: ab.exp(ab.sin(x)), (x,), (X,))[1].sum())(X), 1e-12)
    inner: list[Any] = []

    def g(x: Any) -> Any:
        h = ab.exp(x)
        inner.append(weakref.ref(h.value))
        return ab.checkpoint(ab.sin)(h).sum()

    out = ab.checkpoint(g)(x)
    assert inner[0]() is None
    del out


def test_what_was_computed_again_is_freed_as_the_sweep_passes_it() -> None:
    x = ab.tensor(X, requires_grad=True)
    arrays: list[Any] = []
    alive: list[int] = []

    def g(x: Any) -> Any:
        h = ab.exp(x)
        h.register_hook(lambda _: alive.append(sum(ref() is not None for ref in arrays)))
        for _ in range(5):
            h = ab.exp(h * 0.1)
            arrays.append(weakref.ref(h.value))
        return h.sum()

    ab.checkpoint(g)(x).backward()
    assert len(arrays) == 10 and alive == [0]


def test_a_dropped_graph_goes_without_the_collector() -> None:
    x = ab.tensor(X, requires_grad=True)
    function = ab.checkpoint(lambda x: ab.exp(ab.checkpoint(ab.sin)(x) * x).sum())
    function(x).backward()
    gc.collect()
    gc.disable()
    try:
        out = function(x)
        del out
        out = function(x)
        out.backward(retain_graph=True)
        del out
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_closures_get_their_gradients() -> None:
    w = ab.tensor(W, requires_grad=True)
    h = w * 2.0  # not a leaf
    ab.checkpoint(lambda x: f(h, x) + (w * w).sum())(X).backward()
    expected = ab.tensor(W, requires_grad=True)
    (f(expected * 2.0, X) + (expected * expected).sum()).backward()
    assert_close(w.grad, expected.grad, 1e-12)
    inner = ab.grad(lambda w: ab.grad(ab.checkpoint(lambda x: f(w, x)))(X).sum())(W)
    assert_close(inner, ab.grad(lambda w: ab.grad(lambda x: f(w, x))(X).sum())(W), 1e-12)


def test_several_results_in_containers_run_again_once() -> None:
    runs = []

    def g(p: dict[str, Any], k: int = 1) -> Any:
        runs.append(k)
        return {"a": ab.sin(p["x"]) * k, "b": [ab.exp(p["x"]), None]}

    def loss(x: Any, function: Any) -> Any:
        out = function({"x": x}, k=3)
        return (out["a"] * out["b"][0]).sum()

    got = ab.grad(loss)(X, ab.checkpoint(g))
    assert runs == [3, 3]
    assert_close(got, ab.grad(loss)(X, g), 1e-12)


def test_checkpoints_nest_with_each_other_and_with_vmap() -> None:
    inner_runs = []

    def inner(x: Any) -> Any:
        inner_runs.append(1)
        return ab.tanh(ab.exp(x) * x)

    nested = ab.checkpoint(lambda x: ab.sin(ab.checkpoint(inner)(x)).sum())
    x = ab.tensor(X, requires_grad=True)
    out = nested(x)
    assert kept(out) == []
    out.backward()
    assert len(inner_runs) == 3
    plain = ab.grad(lambda x: ab.sin(inner(x)).sum())
    assert_close(x.grad, plain(X), 1e-12)
    assert_close(ab.grad(ab.grad(lambda t: nested(X * t)))(1.0), ab.hvp(lambda x: ab.sin(inner(x)).sum(), X, X) @ X, 1e-12)
    a = RNG.standard_normal((5, 4))
    w = ab.tensor(W, requires_grad=True)
    each = ab.grad(lambda a: ab.vmap(ab.checkpoint(lambda row: f(w, row)))(a).sum())(a)
    assert_close(each, np.stack([value(ab.grad(f, 1)(W, row)) for row in a]), 1e-12)
    assert_close(ab.vmap(ab.grad(ab.checkpoint(f), 1), in_axes=(None, 0))(W, a), each, 1e-12)
    assert_close(ab.hessian(ab.checkpoint(lambda x: f(W, x)))(X), ab.hessian(lambda x: f(W, x))(X), 1e-12)


def test_statistics_change_once_and_gradients_are_those_of_the_layer() -> None:
    x = RNG.standard_normal((6, 3)).astype(np.float32)
    found = []
    for wrap in (lambda m: m, ab.checkpoint, lambda m: ab.checkpoint(lambda x: m(x)), lambda m: lambda x: ab.checkpoint(lambda m, x: m(x))(m, x)):
        net = ab.nn.Sequential(ab.nn.Linear(3, 4, bias=False, rng=0), ab.nn.BatchNorm1d(4), ab.nn.Tanh())
        (wrap(net)(x) ** 2).sum().backward()
        (_, bn, _) = net
        assert bn.num_batches_tracked.item() == 1
        found.append([value(bn.running_mean), value(bn.running_var), *(value(p.grad) for p in net.parameters())])
    for other in found[1:]:
        for got, expected in zip(other, found[0], strict=True):
            assert np.array_equal(got, expected)


def test_a_generator_among_the_arguments_draws_the_same_numbers() -> None:
    def dropout(x: Any, rng: np.random.Generator) -> Any:
        return (ab.exp(x) * (rng.random(4) < 0.5) * rng.random()).sum()

    rng, other = np.random.default_rng(1), np.random.default_rng(1)
    assert_close(ab.grad(ab.checkpoint(dropout))(X, rng), ab.grad(dropout)(X, other), 1e-15)
    assert rng.random() == other.random()
    with pytest.raises(MutationError, match="generators"):
        ab.grad(ab.checkpoint(lambda x: dropout(x, rng)))(X)


def test_arguments_are_kept_as_they_were() -> None:
    a = X.copy()
    w = ab.tensor(W, requires_grad=True)
    out = ab.checkpoint(f)(w, a)
    a[:] = 7.0
    ab.assign(w, np.zeros(W.shape))
    out.backward()
    assert_close(w.grad, ab.grad(f)(W, X), 1e-12)
    layer = ab.nn.Linear(4, 2, rng=0)
    out = ab.checkpoint(layer)(X.astype(np.float32) * 2).sum() * 0.5
    expected = ab.grad(lambda m: (m(X.astype(np.float32) * 2)).sum() * 0.5)(layer)
    ab.assign(layer.weight, layer.weight * 0.0)
    out.backward()
    assert_close(layer.weight.grad, expected.weight)


def test_what_changed_in_between_is_an_error() -> None:
    a = X.copy()
    w = ab.tensor(W, requires_grad=True)
    out = ab.checkpoint(lambda x: f(w, x))(ab.tensor(X, requires_grad=True))
    ab.assign(w, W * 2)
    with pytest.raises(MutationError, match=r"gave another value.*\n.*test_recomputation"):
        out.backward()
    x = ab.tensor(X, requires_grad=True)
    out = ab.checkpoint(lambda x: (ab.exp(x) * a).sum())(x)
    a[0] += 1.0
    with pytest.raises(MutationError):
        out.backward()
    assert x.grad is None
    turns = itertools.count()
    with pytest.raises(GradientError, match="other operations"):
        ab.grad(ab.checkpoint(lambda x: ab.exp(x).sum() if next(turns) else ab.sin(x).sum()))(X)


def test_surroundings_are_those_of_the_first_pass() -> None:
    x = ab.tensor(X, requires_grad=True)
    out = ab.checkpoint(lambda x: ab.exp(x).sum())(x)
    with ab.no_grad():
        out.backward()
    assert_close(x.grad, np.exp(X))
    with ab.no_grad():
        assert not ab.checkpoint(lambda x: ab.exp(x).sum())(x).requires_grad
        assert_close(ab.grad(ab.checkpoint(lambda y: (ab.exp(y) * x).sum()))(X), np.exp(X) * X)
    x.grad = None
    with ab.record():
        ab.checkpoint(lambda x: (ab.exp(x) * x).sum())(x).backward()
    assert_close(x.grad, np.exp(X) * (1 + X), 1e-12)


def test_a_pullback_may_be_called_again_and_from_threads() -> None:
    _, pullback = ab.vjp(ab.checkpoint(lambda x: ab.exp(x) * x), X)
    expected = np.exp(X) * (1 + X)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(pullback(np.ones(4))[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for g in [*found, pullback(np.ones(4))[0]]:
        assert_close(g, expected, 1e-12)


def test_writes_in_place_inside() -> None:
    def g(x: Any) -> Any:
        y = ab.exp(x)
        y[1:] *= 2.0
        y += x
        return (y * y).sum()

    assert_close(ab.grad(ab.checkpoint(g))(X), ab.grad(g)(X), 1e-12)
    w = ab.tensor(X, requires_grad=True)
    z = w * 1.0
    out = ab.checkpoint(lambda z: (ab.exp(z) * z).sum())(z)
    z *= 3.0
    out.backward()
    assert_close(w.grad, np.exp(X) * (1 + X), 1e-12)


@pytest.mark.parametrize("dtype", ["longdouble", "clongdouble"])
def test_bytes_of_long_doubles_that_say_nothing_do_not_count(dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(dtype)

    def function(x: Any) -> Any:
        return ab.abs(ab.tanh(x) * x)

    for i in range(8):
        noise = np.frombuffer(np.random.default_rng(i).bytes(x.nbytes), np.uint8).copy()  # for memory that is taken next
        del noise
        assert np.array_equal(value(ab.grad(lambda x: ab.checkpoint(function)(x).sum())(x)), value(ab.grad(lambda x: function(x).sum())(x)))
    scale = [np.longdouble(1.0)]
    loss = ab.checkpoint(lambda x: ab.abs(ab.exp(x) * scale[0]).sum())(ab.tensor(x, requires_grad=True))
    scale[0] += np.finfo(np.longdouble).eps
    with pytest.raises(MutationError):
        loss.backward()

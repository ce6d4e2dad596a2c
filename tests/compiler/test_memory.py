"""The memory of compiled code: what is written over, what is computed again rather than kept, and how much there is at once."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.compiler import program
from autograd_bn.compiler.passes import recomputation
from autograd_bn.compiler.passes.levels import LONGEST
from tests.compiler.test_native import array, close

pytest.importorskip("llvmlite")


def product(x: Any, w: Any) -> Any:
    """Something in memory that only native code sees."""
    return x @ w


def cosines(values: Any) -> Any:
    """Cotangents of results."""
    return tuple(map(cosines, values)) if isinstance(values, tuple) else ab.cos(values.detach())


def test_a_result_is_written_over_what_is_read_for_the_last_time() -> None:
    x, w = array(64, 32), array(32, 32, seed=1)
    chain = ab.jit(lambda x, w: product(ab.tanh(product(x, w)), w))
    chain(x, w)
    assert chain.nbytes == 64 * 32 * 8
    normal = ab.jit(lambda x, w: product(ab.softmax(product(x, w), axis=-1), w))
    close(normal(x, w), product(ab.softmax(product(x, w), axis=-1), w), 1e-13)
    assert normal.nbytes < 1.5 * 64 * 32 * 8  # and a few rows


def late(z: Any, y: Any, w: Any) -> Any:
    """A value that only looks as if it could take the memory of ``y``: where it is written, ``y`` is still to be read."""
    return ab.tanh(z) @ w, (y * z) @ w, ab.sin(z @ w) * z


OVERWRITTEN: dict[str, Callable[[Any, Any], Any]] = {
    "read again later": lambda y, w: (ab.tanh(y) @ w) * y,
    "read by two kernels": lambda y, w: (ab.tanh(y) @ w, ab.sin(y) @ w),
    "read turned": lambda y, w: (y * y.T + 1) @ w,
    "read by its first row too": lambda y, w: (y - y[:1]) @ w,
    "read by its first column too": lambda y, w: (y - y[:, :1]) @ w,
    "written in part": lambda y, w: ab.tanh(y[:5]) @ w,
    "repeated": lambda y, w: ab.tanh(y[3]) + (y * 0.5) @ w,
    "read after something else is written": lambda y, w: late(w @ y, y, w),
    "of a wider dtype": lambda y, w: ab.astype(ab.astype(y, "float32") @ ab.astype(w, "float32"), "float64") @ w,
    "of another dtype": lambda y, w: (y > 0).astype("float64") @ w,
    "two results": lambda y, w: ((y + 1) @ w, (y * y) @ w),
    "summed along": lambda y, w: (y - y.mean(-1, keepdims=True)) @ w,
    "summed twice": lambda y, w: (ab.softmax(y - y.max(-1, keepdims=True), axis=-1) * y) @ w,
    "summed over rows": lambda y, w: ((y * 2) @ w, y.sum(0)),
    "two sources": lambda y, w: (y * (w @ y)) @ w,
    "through a view": lambda y, w: ab.reshape(ab.tanh(ab.reshape(y, (8, 2, 16))), (16, 16)) @ w,
    "written over and over": lambda y, w: ab.exp(-ab.tanh(y) @ w * 0.01) @ w,
}


@pytest.mark.parametrize("name", OVERWRITTEN)
def test_what_is_written_over_was_not_needed_any_more(name: str) -> None:
    x, w = array(16, 16), array(16, 16, seed=1)

    def f(x: Any, w: Any) -> Any:
        return OVERWRITTEN[name](product(x, w), w)

    def pulled(x: Any, w: Any) -> Any:
        values, pullback = ab.vjp(f, x, w)
        return values, pullback(cosines(values))

    for g in (f, pulled):
        close(ab.jit(g)(x, w), g(x, w), 1e-5 if name == "of a wider dtype" else 1e-12)


class Step:
    """The gradients of a network of several layers."""

    def __init__(self, activation: Callable[[], nn.Module], width: int = 24, layers: int = 6) -> None:
        made = [part for k in range(layers) for part in (nn.Linear(width, width, bias=False, rng=k), nn.BatchNorm1d(width), activation())]
        self.network = nn.Sequential(*made, nn.Linear(width, 3, rng=9))
        self.x, self.y = array(40, width, dtype="float32"), np.arange(40) % 3

    def __call__(self) -> Any:
        for p in self.network.parameters():
            p.grad = None
        loss = nn.functional.cross_entropy(self.network(self.x), self.y)
        loss.backward()
        return loss.detach()

    def gradients(self, *, compiled: bool) -> tuple[list[Any], int]:
        """Those of the second run, and the memory in between."""
        run = ab.jit(self.__call__) if compiled else self.__call__
        run(), run()
        return [p.grad for p in self.network.parameters()], run.nbytes if compiled else 0


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.Sigmoid])
def test_large_activations_are_computed_again_where_that_is_cheap(activation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, before = Step(activation).gradients(compiled=True)
    monkeypatch.setattr(recomputation, "LARGE", 1)
    again, after = Step(activation).gradients(compiled=True)
    right, _ = Step(activation).gradients(compiled=False)
    close(tuple(kept), tuple(right), 1e-4)
    close(tuple(again), tuple(right), 1e-4)
    assert after < 0.8 * before if activation is nn.ReLU else after <= before


PEAKS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "elementwise": (lambda x: (ab.tanh(x) + 1.0) * ab.exp(-x), (array(400, 500),)),
    "a view and a copy": (lambda x: (ab.tanh(x).T, x.T, x), (array(400, 500),)),
    "products": (lambda x: ab.tanh(ab.tanh(x @ x.T) @ x) @ x.T, (array(300, 400),)),
    "large sums": (lambda x: (x - x.mean(0)) ** 2 / x.var(0), (array(600, 300),)),
    "by NumPy": (lambda x: ab.sort(ab.sin(x), axis=0) * ab.cumulative_sum(x, axis=1), (array(400, 500),)),
    "a gradient": (ab.grad(lambda x: (ab.softmax(x @ x.T, axis=-1) @ x).sum()), (array(300, 300),)),
}


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("name", PEAKS)
def test_the_peak_is_what_is_allocated_at_once(name: str, emitter: Any) -> None:
    function, arguments = PEAKS[name]
    f = ab.jit(function, emitter=emitter)
    close(f(*arguments), function(*arguments), 1e-10)
    kernel = program._emit(emitter, f.lowered).kernel  # one that has no memory yet
    given = [x.numpy() for x in arguments]
    tracemalloc.start()
    try:
        kernel(*given)
        found = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert f"{f.peak_nbytes:,} bytes at once" in f.explain()
    # What Python has around arrays, and small buffers inside of NumPy, are not planned.
    assert f.peak_nbytes <= found <= 1.02 * f.peak_nbytes + 40_000


def test_what_llvm_was_told_is_not_kept() -> None:
    from llvmlite import ir

    def alive() -> int:
        gc.collect()
        return sum(type(x) in (ir.Module, ir.Function) for x in gc.get_objects())

    before = alive()
    f = ab.jit(lambda x: ab.tanh(x) @ x)
    f(array(4, 4))
    assert f.peak_nbytes and alive() <= before


def test_a_long_chain_is_cut_into_kernels() -> None:
    def chain(x: Any) -> Any:
        for k in range(1000):
            x = ab.sin(x) + k
        return x

    f, x = ab.jit(chain, emitter="llvm"), ab.tensor([0.5, -1.0])
    np.testing.assert_allclose(f(x).numpy(), chain(x).numpy(), rtol=1e-9)
    sizes = Counter(node.scope for node in f.lowered.nodes if node.kind == "operation")
    assert len(sizes) > 5 and max(sizes.values()) <= LONGEST

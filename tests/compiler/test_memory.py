"""The memory of compiled code: what is written over, and what is computed again rather than kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.compiler.passes import recomputation
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

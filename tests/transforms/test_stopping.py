"""stop_gradient at every level."""

from __future__ import annotations

import numpy as np

import autograd_bn as ab
from tests.oracles import assert_close


def f(x: ab.Tensor) -> ab.Tensor:
    return x * ab.stop_gradient(x * x)


def test_no_cotangent_and_no_tangent_passes() -> None:
    x = ab.tensor(3.0, requires_grad=True)
    f(x).backward()
    assert_close(x.grad, 9.0)
    assert_close(ab.grad(f)(3.0), 9.0)
    assert_close(ab.jvp(f, (3.0,), (1.0,))[1], 9.0)
    assert_close(ab.vmap(ab.grad(f))(np.arange(3.0)), [0.0, 1.0, 4.0])
    assert_close(ab.grad(lambda x: ab.vmap(f)(x).sum())(np.arange(3.0)), [0.0, 1.0, 4.0])


def test_it_stops_every_level_at_once() -> None:
    w = ab.tensor(3.0, requires_grad=True)
    ab.grad(lambda y: y * ab.stop_gradient(y * w) * w)(2.0).backward()
    assert_close(w.grad, 6.0)
    assert_close(ab.grad(ab.grad(f))(3.0), 0.0)
    assert_close(ab.hessian(f)(3.0), 0.0)
    assert_close(ab.grad(lambda x: ab.jvp(lambda y: y * ab.stop_gradient(x * y), (x,), (1.0,))[1])(3.0), 0.0)


def test_containers_keep_their_structure_and_other_things() -> None:
    x = ab.tensor(1.0, requires_grad=True)
    stopped = ab.stop_gradient({"a": (x, 2, "text"), "b": None})
    assert not stopped["a"][0].requires_grad and stopped["a"][1:] == (2, "text") and stopped["b"] is None

"""The short way into a compiled function gives what the long way gives, whatever it is called with."""

from __future__ import annotations

import functools
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import AutogradError, GradientError
from tests.threads import switching as switching
from tests.threads import together

pytestmark = pytest.mark.filterwarnings("ignore:.* was compiled 8 times")
Pair = namedtuple("Pair", "a b")


def f(x: Any) -> Any:
    return x * 2 + 1, x.sum(0)


def check(compiled: Any, x: Any) -> None:
    for one, other in zip(compiled(x), f(ab.asarray(x)), strict=True):
        other = other.detach()
        assert isinstance(one, ab.Tensor) and one.dtype == other.dtype and one.shape == other.shape and not one.requires_grad
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)


ARGUMENTS: list[Any] = [
    ab.tensor(np.ones((3, 4))),
    ab.tensor(np.ones((4, 3))),
    ab.tensor(np.ones((3, 4), "f4")),
    ab.tensor(np.arange(12).reshape(3, 4)),
    ab.asarray(np.arange(12, dtype=np.longlong).reshape(3, 4)),
    ab.asarray(np.ones((3, 4), ">f8")),
    ab.asarray(np.ones((4, 3)).T),
    ab.tensor(np.ones(5)),
    ab.tensor(np.ones((1, 3, 4))),
    np.ones((3, 4)),
    np.ones((3, 8))[:, ::2],
    np.ones((3, 4)).view(np.matrix).view(np.ndarray),
]


def test_arguments_of_any_kind_in_any_order() -> None:
    compiled = ab.jit(f)
    order = np.random.default_rng(0).integers(0, len(ARGUMENTS), 60)
    for k in order:
        check(compiled, ARGUMENTS[k])
        check(compiled, ARGUMENTS[k])
    info = compiled.cache_info()
    assert info.hits + info.misses == 120 and info.misses <= len(ARGUMENTS)


def test_numbers_of_numpy_and_results_of_sums() -> None:
    compiled = ab.jit(lambda x, y: x * y)
    x = ab.tensor([1.0, 2.0])
    for _ in range(3):
        assert compiled(x.sum(), x[1]).item() == 6.0
        assert compiled(ab.asarray(np.float64(3.0)), ab.tensor(2.0)).item() == 6.0
        assert compiled(np.float64(3.0), ab.tensor(2.0)).item() == 6.0


def test_containers_and_python_values_are_told_apart() -> None:
    def g(parts: Any, scale: Any, extra: Any = None) -> Any:
        first = parts["a"] if isinstance(parts, dict) else parts[0]
        return {"scaled": [first * scale], "none": None, "pair": Pair(first, first + (0 if extra is None else extra))}

    compiled = ab.jit(g)
    x, y = ab.tensor([1.0, 2.0]), ab.tensor([3.0, 4.0])
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (([x, y], 2.0), {}), (((x, y), 2.0), {}), (({"a": x, "b": y}, 2.0), {}), (({"b": y, "a": x}, 2.0), {}), ((Pair(x, y), 2.0), {}), (([x], 2.0), {}),
        (([x, y], 2), {}), (([x, y], True), {}), (([x, y], 3.0), {}), (([x, y], 2.0, None), {}), (([x, y], 2.0, y), {}), (([x, y], 2.0), {"extra": y}),
        (([x, y], -0.0), {}), (([x, y], 0.0), {}), (([x, y], y), {}),
    ]  # fmt: skip
    for _ in range(2):
        for args, kwargs in calls:
            for _ in range(2):
                found, expected = compiled(*args, **kwargs), g(*args, **kwargs)
                assert list(found) == list(expected) and found["none"] is None and isinstance(found["pair"], Pair)
                for one, other in ((found["scaled"][0], expected["scaled"][0]), (found["pair"].b, expected["pair"].b)):
                    np.testing.assert_array_equal(one.numpy(), other.numpy())
                    assert np.signbit(one.numpy()).tolist() == np.signbit(other.numpy()).tolist()


def test_surroundings_are_looked_at() -> None:
    w = ab.tensor([2.0, 3.0], requires_grad=True)
    compiled = ab.jit(lambda x: x * w.detach())
    x = ab.tensor([1.0, 1.0])
    for _ in range(2):
        np.testing.assert_array_equal(compiled(x).numpy(), [2.0, 3.0])
        with ab.no_grad():
            np.testing.assert_array_equal(compiled(x).numpy(), [2.0, 3.0])
        np.testing.assert_array_equal(ab.grad(lambda x: compiled(x).sum())(x).numpy(), [2.0, 3.0])
        np.testing.assert_array_equal(ab.vmap(compiled)(ab.tensor([[1.0, 1.0]])).numpy(), [[2.0, 3.0]])
        leaf = ab.tensor([1.0, 1.0], requires_grad=True)
        with pytest.raises(GradientError):
            compiled(leaf)


def test_what_is_closed_over_may_change_its_shape_or_lose_its_gradient() -> None:
    c = ab.tensor([1.0, 2.0])
    w = ab.tensor([1.0, 2.0], requires_grad=True)

    def g() -> ab.Tensor:
        out: ab.Tensor = c.sum() + (0 if w.grad is None else w.grad.sum())
        return out

    compiled = ab.jit(g)
    for _ in range(2):
        for value in ([1.0, 2.0], [1.0, 2.0, 3.0], 4.0):
            c.value = np.asarray(value)
            for gradient in (None, ab.tensor([5.0, 5.0])):
                w.grad = gradient
                for _ in range(2):
                    assert compiled().item() == g().item()


def test_results_are_never_memory_that_is_used_again() -> None:
    compiled = ab.jit(lambda x: (x + 1, (x + 1).reshape(-1), x, (x * 2).sum(0)))
    x = ab.tensor(np.zeros((2, 3)))
    kept = [compiled(x) for _ in range(3)]
    addresses = [out.numpy().__array_interface__["data"][0] for outs in kept for out in outs] + [x.numpy().__array_interface__["data"][0]]
    assert len(set(addresses)) == len(addresses)
    for outs in kept:
        np.testing.assert_array_equal(outs[0].numpy(), np.ones((2, 3)))


@pytest.mark.parametrize("n", [4, 60, 200])
def test_the_memory_of_results_is_used_again_only_when_nobody_refers_to_it(n: int) -> None:
    compiled = ab.jit(lambda x: x + 1)
    kept: list[Any] = []
    for k in range(12):
        x = ab.tensor(np.full((n, n), float(k)))
        out = compiled(x)
        kept.append([out, out.numpy(), out.numpy()[3:, 1], memoryview(out.numpy()), out[3], out.reshape(-1), None][k % 7])
        del out
        for j, holder in enumerate(kept):
            if holder is not None:
                array = holder.numpy() if isinstance(holder, ab.Tensor) else np.asarray(holder)
                assert (array == j + 1).all()
    kept.clear()
    places = {compiled(x).numpy().__array_interface__["data"][0] for _ in range(8)}
    assert len(places) <= 2


def test_threads_do_not_get_one_memory_for_two_results(switching: None) -> None:
    compiled = ab.jit(lambda x: x + 1)

    def work(k: int) -> None:
        x = ab.tensor(np.full((5, 5), float(k)))
        kept: list[Any] = []
        for _ in range(300):
            kept = [*kept[-3:], compiled(x)]
            assert all((out.numpy() == k + 1).all() for out in kept)

    together(*(functools.partial(work, k) for k in range(4)))


FAILING: dict[str, tuple[Any, Any, Any]] = {
    "a matrix that is singular": (ab.linalg.inv, np.eye(2), np.zeros((2, 2))),
    "a decomposition that does not converge": (ab.linalg.svdvals, np.eye(2), np.full((2, 2), np.nan)),
    "a negative power of whole numbers": (lambda x: 2**x, np.arange(3), -np.arange(3)),
    "a place that is none, of 16 bits": (lambda x: ab.take_along_axis(ab.arange(4.0), x, axis=0), np.arange(4, dtype="i2"), np.arange(1, 5, dtype="i2")),
}


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("name", FAILING)
def test_what_fails_is_told_as_in_eager_execution_and_changes_nothing(name: str, emitter: Any) -> None:
    operation, good, bad = FAILING[name]
    runs = ab.tensor(0)

    def function(x: Any) -> Any:
        ab.assign(runs, runs + 1)
        return operation(x) * 1.0

    compiled = ab.jit(function, emitter=emitter)
    errors = []
    for run in (function, compiled, compiled):
        before = int(runs.item()) if run is compiled else 1
        with pytest.raises(AutogradError) as caught:
            run(ab.tensor(bad))
        errors.append(str(caught.value))
        assert int(runs.item()) == before
        compiled(ab.tensor(good))
    assert len(set(errors)) == 1 and "test_shortcut.py" in errors[0]


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_what_fails_on_constants_is_told_as_in_eager_execution(emitter: Any) -> None:
    def function(x: Any) -> Any:
        constant = ab.tensor(np.zeros((2, 2)))
        ab.assign(constant, constant * 1.0)  # part of the trace, and known to nobody else
        return x + ab.linalg.inv(constant)

    errors = []
    for run in (function, ab.jit(function, emitter=emitter)):
        with pytest.raises(AutogradError, match=r"inv\(float64\[2, 2\]\): Singular") as caught:
            run(ab.ones(2))
        errors.append(str(caught.value))
    assert errors[0] == errors[1]

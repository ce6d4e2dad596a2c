"""Writes in place: right values and gradients, through views, or a refusal."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, MutationError, OperationError, ShapeError
from tests.oracles import assert_close

A = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.5]])


def slope(function: Callable[[Any], Any], a: np.ndarray[Any, Any], make: Callable[[Any], Any] = np.array) -> np.ndarray[Any, Any]:
    """Central differences of a function that runs on plain arrays."""
    out = np.zeros_like(a)
    for i in np.ndindex(a.shape):
        for sign in (1, -1):
            moved = a.copy()
            moved[i] += sign * 1e-5
            out[i] += sign * float(function(make(moved)))
    return out / 2e-5


def agrees(program: Callable[[Any, Any], Any], a: np.ndarray[Any, Any] = A) -> None:
    """A program of in-place steps has NumPy's value, and in every mode the gradient of NumPy's run."""

    def plain(x: Any) -> Any:
        return program(x * 1.0, np)

    def ours(x: Any) -> Any:
        return program(x * 1.0, ab)

    expected = slope(plain, a)
    x = ab.tensor(a, requires_grad=True)
    y = ours(x)
    assert_close(y.detach(), plain(a), 1e-12)
    y.backward()
    assert_close(x.grad, expected, 1e-6)
    assert_close(ab.grad(ours)(a), expected, 1e-6)
    direction = np.linspace(-1, 1, a.size).reshape(a.shape)
    assert_close(ab.jvp(ours, (a,), (direction,))[1], (expected * direction).sum(), 1e-6)
    assert_close(ab.vmap(ours)(np.stack([a, 2 * a])), np.array([plain(a), plain(2 * a)]), 1e-12)
    twice = ab.grad(lambda x: (ab.grad(ours)(x) ** 2).sum())(a)
    assert_close(twice, slope(lambda x: (ab.grad(ours)(x) ** 2).sum().item(), a), 1e-4)


def overwritten(y: Any, xp: Any) -> Any:
    y[0] = y[1] * y[1]
    return (y**3).sum()


def through_a_view(y: Any, xp: Any) -> Any:
    v = y[:, 1:]
    v *= y[:, :2]
    y[1, 0] = v[0, 1] * 2.0
    return (y**2).sum() + (v**3).sum()


def through_a_transpose(y: Any, xp: Any) -> Any:
    t = y.T
    t[0] = t[1] * t[2]
    t += 1.0
    return (y**3).sum()


def through_a_reshape(y: Any, xp: Any) -> Any:
    flat = y.reshape((6,))
    flat[1:3] = flat[3:5] ** 2
    y[1] *= y[0]
    return (flat**3).sum()


def view_of_a_view(y: Any, xp: Any) -> Any:
    v = y[1:]
    w = v[0, ::2]
    w -= y[0, :2]
    v[0, 1] = w[0]
    return (y**3).sum() + w[1] ** 2


def by_integers(y: Any, xp: Any) -> Any:
    y[[0, 0, 1], [1, 1, 2]] = y[0] * 2.0
    return (y**2).sum()


def by_a_mask(y: Any, xp: Any) -> Any:
    y[np.array([[True, False, True], [False, True, False]])] = y[1, 1] ** 2
    return (y**3).sum()


def filled(y: Any, xp: Any) -> Any:
    out = xp.zeros((4,))
    for i in range(3):
        out[i + 1] = out[i] * y[0, i] + y[1, i]
    return (out**2).sum()


def rows(y: Any, xp: Any) -> Any:
    for row in y:
        row *= row[0]
    return (y**2).sum()


def broadcast_in(y: Any, xp: Any) -> Any:
    y[:, :2] = y[:, 2:]
    y += y[0]
    return (y**3).sum()


def earlier_values(y: Any, xp: Any) -> Any:
    before = y * y
    y *= 3.0
    return (before * y).sum()


PROGRAMS = [
    overwritten, through_a_view, through_a_transpose, through_a_reshape, view_of_a_view, by_integers,
    by_a_mask, filled, rows, broadcast_in, earlier_values,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_writes_has_numpys_value_and_its_derivative(program: Callable[[Any, Any], Any]) -> None:
    agrees(program)


def test_a_graph_that_was_recorded_before_a_write_keeps_its_values() -> None:
    x = ab.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1.0
    z = (y * y).sum()
    y[0] = 100.0
    z.backward()
    assert_close(x.grad, [4.0, 6.0])


def test_writes_that_would_contradict_the_record_are_refused() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2.0
    for write in (lambda: x.__setitem__(0, 1.0), lambda: x[1:].__setitem__(0, 1.0), lambda: x[:1].__iadd__(1.0)):
        with pytest.raises(MutationError, match="leaf"):
            write()
    with ab.no_grad(), pytest.raises(MutationError, match=r"no_grad\(\).*(\n.*)*made by mul"):
        y[0] = 1.0
    with pytest.raises(MutationError, match="broadcast"):
        ab.broadcast_to(y, (3, 2))[0] = 1.0
    assert x.tolist() == [1.0, 2.0] and y.tolist() == [2.0, 4.0]

    def inside(a: Any) -> Any:
        a[0] = 1.0
        return a.sum()

    with pytest.raises(MutationError, match="leaf"):
        ab.grad(inside)(np.ones(2))


def test_a_write_that_fails_changes_nothing() -> None:
    y = ab.tensor([1.0, 2.0], requires_grad=True) * 1.0
    view = y[1:]
    for key, value, kind in ((5, 1.0, OperationError), (slice(None), np.ones(3), OperationError), (0, 1j, DtypeError)):
        with pytest.raises(kind):
            y[key] = value
    with pytest.raises(ShapeError, match="does not fit in place"):
        view += np.ones((3, 1))
    whole = ab.tensor([1, 2])
    with pytest.raises(DtypeError, match=r"\*=.*int64.*float64"):
        whole *= 0.5
    assert y.tolist() == [1.0, 2.0] and view.tolist() == [2.0] and whole.tolist() == [1, 2]


def test_a_parameter_written_without_recording_reaches_its_views() -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    first = w[:1]
    with ab.no_grad():
        w -= 0.5
        w[1] = 7.0
    assert w.is_leaf and w.requires_grad and w.tolist() == [0.5, 7.0] and first.tolist() == [0.5]
    ab.assign(w, [3.0, 4.0])
    assert first.tolist() == [3.0]
    (first * first).sum().backward()
    assert_close(w.grad, [6.0, 0.0])


def test_a_view_that_was_cut_follows_the_values_but_stays_cut() -> None:
    y = ab.tensor([1.0, 2.0], requires_grad=True) * 1.0
    with ab.no_grad():
        view = y[:1]
    y[0] = 5.0
    assert view.tolist() == [5.0] and not view.requires_grad


def test_users_arrays_are_never_written() -> None:
    a = np.zeros(3)
    t = ab.asarray(a)
    t[0] = 1.0
    t += 1.0
    assert a.tolist() == [0.0, 0.0, 0.0] and t.tolist() == [2.0, 1.0, 1.0]


def test_dead_views_are_forgotten() -> None:
    y = ab.tensor(np.zeros(4))
    for _ in range(1000):
        y[1:]
    assert len(y.views) < 100


def test_a_long_chain_of_views_is_linear_in_memory_and_can_be_written_through() -> None:
    y = ab.tensor(np.zeros((3, 2))) + 1.0
    views = [y]
    tracemalloc.start()
    for _ in range(5_000):
        views.append(views[-1].T)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 5_000 * 4_000
    last = views[-1]
    del views[1:]
    last[0, 1] = 7.0
    assert y.tolist()[0][1] == 7.0


def test_a_view_follows_a_tensor_that_was_made_without_a_gradient_and_written_with_one() -> None:
    for made in (lambda x: x.detach(), lambda x: ab.zeros(3), lambda x: ab.sign(x)):
        x = ab.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = made(x)
        tail = y[1:]
        y[...] = x * 3.0
        tail.sum().backward()
        assert_close(x.grad, [0.0, 3.0, 3.0])


def test_what_is_made_of_a_view_that_was_cut_is_cut_too() -> None:
    y = ab.tensor([1.0, 2.0], requires_grad=True) * 1.0
    with ab.no_grad():
        view = y[:1]
    inner = view[...]
    y[0] = 5.0
    assert inner.tolist() == [5.0] and not inner.requires_grad


def test_a_number_that_came_out_of_an_operation_is_seen_by_its_views() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    y = x.sum()
    column = y.reshape((1, 1))
    y *= 2.0
    assert column.tolist() == [[6.0]]
    column.sum().backward()
    assert_close(x.grad, [2.0, 2.0])


@pytest.mark.parametrize("view", [ab.squeeze, lambda y: ab.permute_dims(y, ()), lambda y: y.reshape(())])
def test_a_number_that_is_a_view_of_a_number_follows_it_and_writes_into_it(view: Callable[[Any], Any]) -> None:
    x = ab.tensor(2.0, requires_grad=True)
    y = x * 3.0
    number = view(y)
    number *= x
    assert (y.item(), number.item()) == (12.0, 12.0)
    y += x
    assert number.item() == 14.0
    number.backward()
    assert_close(x.grad, 13.0)


def test_a_number_taken_out_by_a_key_is_a_number_of_its_own() -> None:
    y = ab.tensor(2.0, requires_grad=True) * 3.0
    number = y[()]
    number *= 2.0
    assert y.item() == 6.0


def test_a_diagonal_is_a_view_whatever_the_layout() -> None:
    for x in (ab.tensor(np.ones((3, 2)), requires_grad=True) * 1.0, (ab.tensor(np.ones((2, 3)), requires_grad=True) * 1.0).T):
        diagonal = ab.diagonal(x)
        x[1, 1] = 5.0
        assert diagonal.tolist() == [1.0, 5.0]
        diagonal[0] = 7.0
        assert x[0, 0].item() == 7.0


def test_running_products_lie_in_memory_as_numpys_do() -> None:
    x = ab.tensor(np.ones((3, 4)), requires_grad=True)
    products = ab.cumulative_prod(x, axis=0)
    row = products.reshape((-1,))
    row[0] = 5.0
    assert products[0, 0].item() == 5.0


UNSHARED: list[Callable[[Any], Any]] = [
    lambda x: ab.roll(x, 0),
    lambda x: ab.roll(x, 0, axis=0),
    lambda x: ab.repeat(x, 1, axis=0),
    lambda x: ab.tile(x, (1, 1)),
    lambda x: ab.prod(x, axis=1),
    lambda x: ab.prod(x, axis=()),
    lambda x: ab.cumulative_prod(x, axis=1),
    lambda x: ab.meshgrid(x[:, 0])[0],
]


@pytest.mark.parametrize("function", UNSHARED)
def test_a_result_that_numpy_makes_anew_is_not_shared(function: Callable[[Any], Any]) -> None:
    x = ab.tensor([[1.0], [2.0], [3.0]])
    out = function(x)
    out[...] = 7.0
    assert x.tolist() == [[1.0], [2.0], [3.0]]


def test_a_retained_gradient_is_that_of_the_written_value() -> None:
    x = ab.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2.0
    view = y[1:]
    y.retain_grad()
    view.retain_grad()
    y *= x
    view[0] = x[2]
    (y * y).sum().backward(retain_graph=True)
    assert_close(y.grad, 2.0 * y.detach())
    assert view.grad is None  # the loss was made of y
    (view * view).sum().backward()
    assert_close(view.grad, 2.0 * view.detach())

"""A node is written out in several places, for speed: each sets every slot, as `apply` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core import state as states
from autograd_bn.core.dispatch import apply
from autograd_bn.core.node import Node
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import State, current
from autograd_bn.core.tensor import Tensor

X = ab.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="x")
Y = ab.tensor([[5.0, 6.0], [7.0, 8.0]], requires_grad=True)
C = ab.tensor([[0.5, 0.25], [2.0, 4.0]])

PATHS: dict[str, tuple[Callable[[Any], Any], str, Callable[[Any], tuple[Any, ...]], dict[str, Any]]] = {
    "two recorded": (lambda x: x * Y, "mul", lambda x: (x, Y), {}),
    "twice the same": (lambda x: x * x, "mul", lambda x: (x, x), {}),
    "recorded and number": (lambda x: x / 3.0, "div", lambda x: (x, 3.0), {}),
    "recorded and 0": (lambda x: x + 0.0, "add", lambda x: (x, 0.0), {}),
    "recorded and constant": (lambda x: x / C, "div", lambda x: (x, C), {}),
    "constant and recorded": (lambda x: C / x, "div", lambda x: (C, x), {}),
    "recorded and array": (lambda x: x * C.numpy(), "mul", lambda x: (x, C.numpy()), {}),
    "number and recorded": (lambda x: 3.0 / x, "div", lambda x: (3.0, x), {}),
    "product of matrices": (lambda x: x @ Y, "matmul", lambda x: (x, Y), {}),
    "one operand": (lambda x: ab.exp(x), "exp", lambda x: (x,), {}),
    "one operand, aliased": (lambda x: ab.permute_dims(x, (1, 0)), "permute_dims", lambda x: (x,), {"axes": (1, 0)}),
    "reduction": (lambda x: x.sum(axis=0), "sum", lambda x: (x,), {"axis": (0,), "keepdims": False}),
    "slice": (lambda x: x[0:1], "getitem", lambda x: (x,), {"index": slice(0, 1)}),
    "number as key": (lambda x: x[1], "getitem", lambda x: (x,), {"index": 1}),
    "function of two": (lambda x: ab.hypot(x, C), "hypot", lambda x: (x, C), {}),
}


def unset(x: Any, *optional: str) -> list[str]:
    """The slots that nothing is in."""
    slots = [slot for kind in type(x).__mro__ for slot in getattr(kind, "__slots__", ())]
    return [slot for slot in slots if slot not in ("__weakref__", *optional) and not _has(x, slot)]


def _has(x: Any, slot: str) -> bool:
    try:
        object.__getattribute__(x, slot)
    except AttributeError:
        return False
    return True


def check(result: Tensor, expected: Tensor) -> None:
    """One node is as another, but for its age and its line."""
    assert unset(result, "path") == [] and unset(result.node) == []
    assert (result.base is None) == (expected.base is None)
    if result.base is not None:
        assert _has(result, "path")
    node, other = result.node, expected.node
    assert type(node) is type(other) is Node
    for slot in Node.__slots__:
        if slot not in ("age", "code", "offset", "saved", "parents", "static"):
            assert getattr(node, slot) == getattr(other, slot), slot
    assert dict(node.static) == dict(other.static)
    assert len(node.saved) == len(other.saved)  # type: ignore[arg-type]
    for one, its in zip(node.saved, other.saved, strict=True):  # type: ignore[arg-type]
        assert (one is None) == (its is None) and np.array_equal(one, its)
    for mine, its in zip(node.parents, other.parents, strict=True):
        assert mine is its or type(mine) is type(its)
    assert type(node.age) is int and node.line.code.co_filename == __file__ and type(node.offset) is int


@pytest.mark.parametrize("name", PATHS)
def test_each_path_records_what_apply_records(name: str) -> None:
    run, primitive, operands, static = PATHS[name]
    with ab.scope("around"):
        result, expected = run(X), apply(getattr(raw, primitive), operands(X), static)
    check(result, expected)
    assert result.node.scope.name == "around"


@pytest.mark.parametrize("name", PATHS)
def test_each_path_records_the_same_inside_a_transform(name: str) -> None:
    run, primitive, operands, static = PATHS[name]
    seen = []

    def f(x: Any) -> Any:
        result, expected = run(x), apply(getattr(raw, primitive), operands(x), static)
        assert unset(result, "path") == [] and unset(result.node) == []
        seen.append((result.node.level, result.node.fast) == (expected.node.level, expected.node.fast))
        return result.sum()

    ab.grad(f)(X.numpy())
    ab.grad(f)(X)
    ab.vmap(lambda x: ab.grad(f)(x))(np.stack([X.numpy()] * 3))
    assert seen == [True] * 3


def test_leaves_and_other_makers_of_nodes_set_every_slot() -> None:
    made: list[Tensor] = [ab.tensor([1.0], requires_grad=True), ab.tensor(1.0, requires_grad=True, name="n"), ab.ones(2), ab.asarray(np.ones(2)), C + 1.0, C[0]]
    ruled = ab.custom_vjp(lambda x: x * 2.0)
    ruled.defvjp(lambda x: (x * 2.0, None), lambda _, g: (g * 2.0,))
    made += [ruled(X), ab.checkpoint(ab.exp)(X), X.detach(), ab.stop_gradient(X)]
    with ab.no_grad():
        made += [X * Y, ab.exp(X), X[0]]
    with ab.record():
        made += [X * Y, 2.0 * X, ab.exp(X), X[0]]
    written = X * 1.0
    written[0] = Y[1]
    made += [written]
    ab.grad(lambda x: made.append(x) or made.append(x * X) or (x * x).sum())(np.ones((2, 2)))  # type: ignore[func-returns-value]
    for x in made:
        assert unset(x, "path") == [] and unset(x.node) == [], x


def test_every_state_sets_every_slot() -> None:
    found: list[State] = [current(), State(), current().watched(None), states.open_scope("s")]
    states.leave(found[-1])

    class Noting(ab.nn.Module):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            found.append(current())

    Noting()()
    ab.composite(lambda: found.append(current()))()
    for block in (ab.no_grad(), ab.enable_grad(), ab.no_effects(), ab.scope("b"), ab.record(), ab.profile(), ab.anomaly_mode()):
        with block:
            found.append(current())
    for hooked in (False, True):
        x = ab.tensor(1.0, requires_grad=True)
        x.register_hook(lambda g: found.append(current()))
        (x * 2.0).backward(create_graph=hooked)
    ab.checkpoint(lambda x: found.append(current()) or ab.exp(x))(X).sum().backward()  # type: ignore[func-returns-value]
    ab.jit(lambda x: found.append(current()) or x * 2.0)(C)  # type: ignore[func-returns-value]
    assert len(found) == 18
    for state in found:
        assert unset(state) == [] and state.outer is not None

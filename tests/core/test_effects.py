from __future__ import annotations

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.effects import assign
from autograd_bn.core.errors import DtypeError, MutationError, OperationError, ShapeError
from autograd_bn.core.state import no_effects


def test_the_target_keeps_identity_name_dtype_and_node() -> None:
    w = ab.tensor(np.ones(2, "float32"), requires_grad=True, name="w")
    node, old = w.node, w.value
    assign(w, [3.0, 4.0])
    assert w.node is node
    assert w.name == "w"
    assert w.dtype == np.float32
    assert w.tolist() == [3.0, 4.0]
    assert old.tolist() == [1.0, 1.0]


def test_a_graph_recorded_before_keeps_the_old_value() -> None:
    w = ab.tensor([2.0], requires_grad=True)
    y = w * w
    assign(w, [100.0])
    y.sum().backward()
    assert w.grad.tolist() == [4.0]


def test_later_writes_into_the_given_array_do_not_reach_the_target() -> None:
    w = ab.tensor([1.0, 2.0])
    a = np.array([3.0, 4.0])
    for value in (a, a[:], ab.asarray(a)):
        assign(w, value)
        a += 1
        assert w.tolist() == (a - 1).tolist()


def test_a_recorded_value_is_detached() -> None:
    w = ab.tensor([1.0], requires_grad=True)
    assign(w, w * 3.0)
    assert w.is_leaf
    assert w.tolist() == [3.0]


def test_nothing_happens_without_effects() -> None:
    w = ab.tensor([1.0])
    with no_effects():
        assign(w, [2.0])
    assert w.tolist() == [1.0]


def test_inside_a_transform_the_value_is_committed_as_a_plain_array() -> None:
    w = ab.tensor([0.0])

    def f(x):  # type: ignore[no-untyped-def]
        assign(w, x * 2.0)
        return (x * x).sum()

    ab.grad(f)(np.array([3.0]))
    assert w.tolist() == [6.0]
    ab.jvp(f, (np.array([4.0]),), (np.array([1.0]),))
    assert w.tolist() == [8.0]
    assert isinstance(w.value, np.ndarray)


def test_errors_leave_the_target_as_it_was() -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)[\s\S]*test_effects.py"):
        assign(w, [1.0, 2.0, 3.0])
    with pytest.raises(DtypeError, match="complex128.*float64"):
        assign(w, np.ones(2, complex))
    with pytest.raises(MutationError, match="no leaf.*made by mul"):
        assign(w * 2.0, [1.0, 2.0])
    with pytest.raises(OperationError, match=r"vmap[\s\S]*test_effects.py"):
        ab.vmap(lambda x: assign(w, x))(np.ones((3, 2)))
    assert w.tolist() == [1.0, 2.0]

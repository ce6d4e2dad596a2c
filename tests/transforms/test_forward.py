"""jvp: tangents through containers, constants and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, MutationError, OperationError, ShapeError
from tests.oracles import assert_close


def test_value_and_tangent_have_the_structure_of_the_result() -> None:
    out, tangent = ab.jvp(lambda p: {"x": p["a"] * p["b"][0], "y": [p["a"]]}, ({"a": 2.0, "b": (3.0,)},), ({"a": 1.0, "b": (10.0,)},))
    assert (out["x"].item(), out["y"][0].item()) == (6.0, 2.0)
    assert (tangent["x"].item(), tangent["y"][0].item()) == (23.0, 1.0)


def test_a_constant_result_has_a_zero_tangent() -> None:
    out, tangent = ab.jvp(lambda x: (np.ones(3, np.float32), x > 0, 4), (1.0,), (1.0,))
    assert next(t.tolist() for t in tangent) == [0.0, 0.0, 0.0]
    assert tangent[0].dtype == np.float32 and out[1].dtype == bool and not tangent[1].item() and tangent[2].item() == 0


def test_no_grad_stops_the_tangents_that_come_from_outside_it() -> None:
    with ab.no_grad():
        assert_close(ab.jvp(lambda x: x**3, (2.0,), (1.0,))[1], 12.0)

    def frozen(x: Any) -> Any:
        with ab.no_grad():
            y = x * x
            inner = ab.jvp(lambda z: z * z * x, (3.0,), (1.0,))[1]
            with ab.enable_grad():
                z = x * 2.0
        return x * y + inner + z

    assert_close(ab.jvp(frozen, (3.0,), (1.0,))[1], 9.0 + 2.0)
    assert_close(ab.jvp(lambda x: ab.jvp(frozen, (x,), (1.0,))[1], (3.0,), (1.0,))[1], 0.0)


def test_a_write_into_what_carries_a_tangent_is_refused_in_no_grad() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        with ab.no_grad():
            y[0] = 1.0
        return y

    x = np.ones(2)
    for transform in (lambda: ab.jvp(f, (x,), (x,)), lambda: ab.vmap(lambda v: ab.jvp(f, (x,), (v,)))(np.eye(2)), lambda: ab.vjp(f, x)):
        with pytest.raises(MutationError, match=r"inside no_grad\(\)"):
            transform()


def test_a_view_that_no_grad_cut_stays_cut_from_tangents() -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        with ab.no_grad():
            view = y[:1]
        y[1] = x[1] * 5.0
        return view * x[0] + y[1]

    x = np.array([3.0, 4.0])
    expected = ab.jacobian(f, mode="reverse")(x)
    assert_close(expected, [[6.0, 5.0]])
    assert_close(ab.jacobian(f, mode="forward")(x), expected)


def test_no_tangent_passes_through_integers_or_booleans() -> None:
    assert ab.jvp(lambda x: x.astype("int64") * x + (x > 0) * x, (3.5,), (1.0,))[1].item() == 4.0
    out, tangent = ab.jvp(lambda x: x.astype("int64"), (3.5,), (1.0,))
    assert out.dtype == tangent.dtype == np.int64 and tangent.item() == 0


def test_tangents_take_the_primals_dtype() -> None:
    out, tangent = ab.jvp(lambda x: x * 2.0, (np.float32([1.0]),), (np.array([3]),))
    assert out.dtype == tangent.dtype == np.float32


def test_a_broadcast_tangent_has_the_results_shape() -> None:
    _, tangent = ab.jvp(lambda x: x + np.zeros((2, 3)), (1.0,), (5.0,))
    assert tangent.tolist() == [[5.0] * 3] * 2


def test_tangents_on_the_outer_tape_are_differentiated() -> None:
    x, v = ab.tensor(2.0, requires_grad=True), ab.tensor(3.0, requires_grad=True)
    ab.jvp(lambda t: t**3, (x,), (v,))[1].backward()
    assert_close(x.grad, 36.0)
    assert_close(v.grad, 12.0)


def test_what_does_not_fit_is_refused() -> None:
    def same(x: Any) -> Any:
        return x

    with pytest.raises(ShapeError, match=r"tangent has shape \(3,\), its primal \(2,\)"):
        ab.jvp(same, (np.ones(2),), (np.ones(3),))
    with pytest.raises(OperationError, match="1 primals and 2 tangents"):
        ab.jvp(same, (1.0,), (1.0, 2.0))
    with pytest.raises(OperationError, match="nested"):
        ab.jvp(same, ([1.0],), ((1.0,),))
    with pytest.raises(DtypeError, match="int64"):
        ab.jvp(same, (1,), (1,))
    with pytest.raises(DtypeError, match="complex128"):
        ab.jvp(same, (1.0,), (1j,))

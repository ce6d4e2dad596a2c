"""jvp: tangents through containers, constants and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from tests.oracles import assert_close


def test_value_and_tangent_have_the_structure_of_the_result() -> None:
    out, tangent = ab.jvp(lambda p: {"x": p["a"] * p["b"][0], "y": [p["a"]]}, ({"a": 2.0, "b": (3.0,)},), ({"a": 1.0, "b": (10.0,)},))
    assert (out["x"].item(), out["y"][0].item()) == (6.0, 2.0)
    assert (tangent["x"].item(), tangent["y"][0].item()) == (23.0, 1.0)


def test_a_constant_result_has_a_zero_tangent() -> None:
    out, tangent = ab.jvp(lambda x: (np.ones(3, np.float32), x > 0, 4), (1.0,), (1.0,))
    assert next(t.tolist() for t in tangent) == [0.0, 0.0, 0.0]
    assert tangent[0].dtype == np.float32 and out[1].dtype == bool and not tangent[1].item() and tangent[2].item() == 0


def test_no_grad_does_not_stop_tangents() -> None:
    with ab.no_grad():
        assert_close(ab.jvp(lambda x: x**3, (2.0,), (1.0,))[1], 12.0)


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

"""NumPy calls give the same bits as the function: buffers lie in memory as NumPy's own results would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import OperationError
from tests.compiler.test_native import array, arrays

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "a permuted operand beside one that is not": lambda x, y: (ab.permute_dims(x, (0, 2, 1)) + ab.permute_dims(y, (1, 2, 0))[:, :, :1]).sum(1),
    "a permuted operand and a number": lambda x, y: (ab.permute_dims(x, (0, 2, 1)) * 2.0 - 1.0).mean((0, 1)),
    "a matrix turned": lambda x, y: ab.exp(x[0].T).sum(0),
    "a small operand whose axes lie otherwise": lambda x, y: (-(ab.permute_dims(x, (0, 2, 1)) + y[:33, 0, 0][:, None] * y[:, 0, 1])).sum((0, 1)),
    "repeated and permuted": lambda x, y: ab.permute_dims(ab.broadcast_to(x, (3, *x.shape)), (2, 1, 3, 0)).mean((0, 2, 3)),
    "computed of what was repeated and permuted": lambda x, y: ab.exp(ab.permute_dims(ab.broadcast_to(x, (3, *x.shape)), (2, 1, 3, 0))).sum((0, 1)),
    "backwards": lambda x, y: (x[::-1, :, ::-1] * 0.5).sum((1, 2)),
}


def with_gradients(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A function that gives its gradients too."""

    def both(x: Any, y: Any) -> Any:
        value, pullback = ab.vjp(function, x, y)
        return value, *pullback(ab.cos(value.detach()))

    return both


@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("name", CASES)
def test_sums_are_taken_in_the_same_order(name: str, order: str) -> None:
    given = [array(7, 65, 33, dtype="float32"), array(65, 7, 33, dtype="float32", seed=1)]
    if order == "F":
        given = [ab.asarray(np.asfortranarray(x.numpy())) for x in given]
    elif order == "strided":
        given = [ab.asarray(np.repeat(x.numpy(), 2, axis=1)[:, ::2]) for x in given]
    function = with_gradients(CASES[name]) if order == "C" else CASES[name]  # a gradient is taken of a copy in C order
    run = ab.jit(function, emitter="numpy")
    for found in (run(*given), run(*given)):
        for one, other in zip(arrays(found), arrays(function(*given)), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("number", [2**31 - 1, -(2**31) - 1, 2**63, 10**30])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_numbers_beyond_a_dtype_are_compared_or_refused(number: int, dtype: str) -> None:
    x = ab.tensor(np.array([1, 2], dtype))
    assert ab.jit(lambda x: x < number)(x).tolist() == [number > 0, number > 0]
    for function in (lambda x: x + number, lambda x: ab.maximum(x, number)):
        try:
            expected = function(x).tolist()
        except OperationError:
            with pytest.raises(OperationError, match=r"Python int"):
                ab.jit(function)(x)
        else:
            assert ab.jit(function)(x).tolist() == expected

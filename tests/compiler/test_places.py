"""Elements taken from places that are named by integers, and added there, as native code; a place that is none is the error of eager execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler import program
from autograd_bn.core.errors import OperationError
from tests.compiler.test_native import array, check_native, close

F = ab.nn.functional


def places(*shape: int, bound: int = 5) -> ab.Tensor:
    return ab.tensor(np.random.default_rng(1).integers(-bound, bound, shape))


def taken(axis: int) -> Callable[..., Any]:
    """Elements along an axis, and the gradient of what is made of them."""
    return lambda x, i: (ab.take_along_axis(x, i, axis=axis), ab.grad(lambda x: (ab.take_along_axis(ab.exp(x), i, axis=axis) ** 2).sum())(x))


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "rows": (taken(1), (array(4, 5), places(4, 7))),
    "columns": (taken(0), (array(5, 3), places(8, 3))),
    "the middle": (taken(1), (array(2, 5, 3), places(2, 2, 3))),
    "a vector": (taken(0), (array(5), places(9))),
    "places that are repeated": (lambda x, i: ab.take_along_axis(x, i, axis=0), (array(5, 3), places(2, 1))),
    "places of 32 bits": (lambda x, i: taken(1)(x, i.astype("int32")), (array(4, 5), places(4, 7))),
    "whole numbers and flags": (lambda n, i: (ab.take_along_axis(n, i, axis=1), ab.take_along_axis(n > 3, i, axis=1)), (places(4, 5), places(4, 7))),
    "take": (lambda x, i: ab.value_and_grad(lambda x: (ab.take(x, i, axis=0) ** 2).sum())(x), (array(5, 3), ab.tensor([0, 3, 3]))),
    "embedding": (
        lambda x, i: ab.value_and_grad(lambda x: (F.embedding(i, x, padding_idx=1) ** 2).sum())(x),
        (array(5, 3), ab.tensor([[0, 3, 3], [1, 1, 0]])),
    ),
    "second order": (lambda x, i: ab.hessian(lambda x: (ab.take(x, i, axis=0) ** 3).sum())(x), (array(5), ab.tensor([0, 3, 3]))),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_places_are_native(name: str, dtype: str, emitter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(program, "interpreted")  # what native code could not do, this would
    check_native(*CASES[name], dtype, emitter)


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("wrong", [5, -6, 2**40])
def test_a_place_that_is_none_is_the_error_of_eager_execution(emitter: Any, wrong: int) -> None:
    def f(x: Any, i: Any) -> Any:
        return ab.take_along_axis(x, i, axis=1) * 2

    compiled, x, good = ab.jit(f, emitter=emitter), array(4, 5), places(4, 3)
    close(compiled(x, good), f(x, good), 0)
    bad = np.array(good)
    bad[2, 1] = wrong
    errors = []
    for function in (f, compiled):
        with pytest.raises(OperationError) as caught:
            function(x, ab.tensor(bad))
        errors.append(str(caught.value))
    assert errors[0] == errors[1] and f"index {wrong} is out of bounds" in errors[0]
    close(compiled(x, good), f(x, good), 0)


def test_an_index_out_of_the_range_of_an_embedding_changes_nothing() -> None:
    weight = ab.tensor(np.ones((5, 3)), requires_grad=True)
    optimizer = ab.optim.SGD([weight], lr=0.1)

    @ab.jit
    def step(i: Any) -> Any:
        optimizer.zero_grad()
        loss = (F.embedding(i, weight) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    step(ab.tensor([0, 1, 1]))
    before = np.array(weight.detach())
    with pytest.raises(OperationError, match="from 0 to 4"):
        step(ab.tensor([0, 5, 1]))
    np.testing.assert_array_equal(weight.detach().numpy(), before)
    step(ab.tensor([2, 1, 1]))
    assert "functions in 1 calls" in step.explain()

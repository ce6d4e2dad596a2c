"""native_objects: arrays out of tensors and into tensors, as Python would do it, references and all."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler.native_objects import native_objects
from autograd_bn.core.node import CONSTANT
from autograd_bn.core.tensor import Tensor


def test_values_are_the_arrays_themselves() -> None:
    arrays = [np.ones(3), np.zeros((2, 2), "f4"), np.array(1)]
    found = native_objects().values_of(*map(Tensor, arrays))
    assert type(found) is tuple and all(map(lambda one, other: one is other, found, arrays))


@pytest.mark.parametrize("other", [3.0, np.ones(2), None, [], Tensor, ab.tensor(1.0, requires_grad=True), ab.tensor(1.0, requires_grad=True) * 2])
def test_of_anything_but_constants_there_are_none(other: Any) -> None:
    x = ab.tensor([1.0, 2.0])
    assert native_objects().values_of(other) is None
    assert native_objects().values_of(x, other) is None
    assert native_objects().values_of(x, other, x) is None


def test_inside_a_transform_there_are_none() -> None:
    found = []

    def look(x: ab.Tensor) -> ab.Tensor:
        found.append(native_objects().values_of(x))
        return (x * 2).sum()

    ab.grad(look)(ab.tensor([1.0, 2.0]))
    ab.vmap(look)(ab.ones((3, 2)))
    ab.jvp(look, (ab.ones(2),), (ab.ones(2),))
    assert found == [None, None, None]


def test_tensors_are_as_python_makes_them() -> None:
    array = np.ones(3)
    (made,) = native_objects().tensors_of(array)
    usual = Tensor(array)
    assert type(made) is Tensor and made.value is array and made.node is CONSTANT
    for name in Tensor.__slots__:
        if name != "__weakref__":
            assert getattr(made, name, "not there") is getattr(usual, name, "not there"), name
    assert not made.requires_grad and made.grad is None and (made + 1).tolist() == [2.0, 2.0, 2.0]


def test_every_reference_is_given_back() -> None:
    values_of, tensors_of = native_objects()
    array = np.ones(3)
    counted = (array, CONSTANT, Tensor)
    before = [sys.getrefcount(x) for x in counted]
    for _ in range(100):
        made = tensors_of(array, array)
        assert all(x is array for x in values_of(*made) or ())
        assert values_of(made[0], None) is None
    gone = weakref.ref(made[0])
    del made
    assert gone() is None
    assert [sys.getrefcount(x) for x in counted] == before


def test_tensors_are_collected_with_the_cycles_that_they_are_in() -> None:
    (made,) = native_objects().tensors_of(np.ones(3))
    made.views = [made]
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None

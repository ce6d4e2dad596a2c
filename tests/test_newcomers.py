"""What a person meets in the first hour: each of these once surprised somebody."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.constructors import elementwise, unary
from autograd_bn.core.errors import ConversionError, DrawingError, OperationError, ShapeError
from autograd_bn.core.primitive import raw, registry


@pytest.fixture
def temporary() -> Iterator[None]:
    before = set(registry)
    yield
    for name in set(registry) - before:
        del registry[name]
        delattr(raw, name)


def test_numpy_functions_take_tensors_that_have_no_gradient_to_lose() -> None:
    x = ab.tensor([3.0, 4.0], requires_grad=True)
    (x * x).sum().backward()
    assert np.allclose(x.grad, [6.0, 8.0]) and np.array_equal(x.grad, 2 * x.detach()) and np.linalg.norm(x.detach()) == 5.0  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="np.percentile has no recorded counterpart"):
        np.percentile(x, 50)  # type: ignore[call-overload]


def test_a_tensor_made_of_a_list_of_tensors_does_not_drop_their_gradients() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    for data in ([x[0], x[1]], [[x[0]], [1.0]]):
        with pytest.raises(ConversionError, match="ab.stack"):
            ab.tensor(data)  # type: ignore[arg-type]
    assert ab.tensor([x.detach()[0], 3.0]).tolist() == [1.0, 3.0]  # type: ignore[list-item]


def test_a_primitive_of_ones_own_can_be_defined_again_but_not_the_librarys(temporary: None) -> None:
    for factor in (2.0, 3.0):
        scaled = unary("scaled", functools.partial(np.multiply, factor), 1, "Scaled.")
        assert scaled(1.0).item() == factor == raw.scaled(1.0)
    with pytest.raises(OperationError, match="belongs to autograd_bn"):
        unary("exp", np.exp, lambda out: out, "Mine.")


def test_a_primitive_of_ones_own_does_not_take_over_a_numpy_function(temporary: None) -> None:
    mine = unary("mine", np.spacing, 1, "Mine.")
    x = ab.tensor(1.0, requires_grad=True)
    assert mine(x).requires_grad
    with pytest.raises(TypeError, match="np.spacing has no recorded counterpart"):
        np.spacing(x)  # type: ignore[call-overload]


def test_a_partial_that_asks_for_an_unknown_name_is_told_which_there_are(temporary: None) -> None:
    with pytest.raises(OperationError, match=r"asks for 'z'.*operands x, y"):
        elementwise("odd", np.add, lambda z: z, 1)


def test_a_leaf_that_was_recorded_once_does_not_mark_later_drawings() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    with ab.record():
        (x * x).sum().backward()
    plain = (x * 2.0).sum()
    source = ab.draw(plain).source
    assert "color=red" not in source


def test_drawing_options_that_do_not_exist_are_refused() -> None:
    y = ab.tensor(1.0, requires_grad=True) * 2.0
    with pytest.raises(DrawingError, match="'LR', 'TB'"):
        ab.draw(y, direction="XX")  # type: ignore[arg-type]


def test_a_layer_without_arguments_takes_none() -> None:
    with pytest.raises(TypeError, match="ReLU"):
        ab.nn.ReLU(3)  # type: ignore[call-arg]


def test_an_error_deep_inside_the_package_names_the_users_line() -> None:
    with pytest.raises(ShapeError, match=r"test_newcomers\.py"):
        ab.train.accuracy(ab.nn.Linear(3, 10), ab.data.digits())

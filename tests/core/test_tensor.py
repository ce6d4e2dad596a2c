"""What a tensor shows of itself, and Python's protocols on it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from tests.oracles import assert_close, value


def shown_inside(transform: Any) -> str:
    seen: list[str] = []
    transform(lambda x: seen.append(repr(x)) or x * 1.0)
    return seen[0]


def test_repr_shows_value_dtype_name_and_history() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    assert repr(x) == "tensor([1., 2.], name='x', requires_grad=True)"
    assert repr(x * 2.0) == "tensor([2., 4.], made_by=mul)"
    assert repr(ab.tensor(1.5)) == "tensor(1.5)"
    assert repr(ab.tensor(np.float32([1.0]))) == "tensor([1.], dtype=float32)"
    assert repr(ab.tensor([1, 2], name="n")) == "tensor([1, 2], name='n')"
    assert repr(ab.tensor([True])) == "tensor([ True])"
    assert shown_inside(lambda f: ab.grad(f)(2.0)) == "tensor(2., requires_grad=True)"
    assert shown_inside(lambda f: ab.jvp(f, (2.0,), (1.0,))) == "tensor(2., dual)"
    assert shown_inside(lambda f: ab.vmap(f)(np.ones(2))) == "tensor([1., 1.], batched)"


def test_a_result_can_be_named() -> None:
    x = ab.tensor(1.0, requires_grad=True)
    y = x * 2.0
    assert y.name is None
    y.name = "double"
    assert y.name == "double" and "name='double'" in repr(y)
    z = ab.tensor(1.0)
    z.name = "constant"
    assert z.name == "constant"


def test_length_iteration_and_membership() -> None:
    x = ab.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    assert len(x) == 2
    (first * second).sum().backward()
    assert_close(x.grad, [[3.0, 4.0], [1.0, 2.0]])
    assert 2.0 in x[0] and 5.0 not in x[0]
    for use in (len, iter, list):
        with pytest.raises(TypeError, match="without axes"):
            use(ab.tensor(1.0))
    assert {x: 1}[x] == 1


def test_only_one_element_has_a_truth_value_or_an_item() -> None:
    x = ab.tensor([1.0, 2.0])
    for use in (bool, lambda t: t.item()):
        with pytest.raises(ValueError, match="one element|size 1"):
            use(x)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble"])
def test_every_floating_dtype_is_kept_forward_and_backward(dtype: str) -> None:
    x = ab.tensor(np.array([0.5, 1.5], dtype), requires_grad=True)
    y = (ab.sigmoid(x) * 2 + ab.exp(x) / 3.0 - x**2).mean()
    y.backward()
    assert x.grad is not None and y.dtype == x.grad.dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (ab.tensor(1), [0.0, 1.0, 0.0]),
        (np.int64(-1), [0.0, 0.0, 1.0]),
        ([], [0.0, 0.0, 0.0]),
        ([0, 0, 2], [2.0, 0.0, 1.0]),
        (ab.tensor([True, False, True]), [1.0, 0.0, 1.0]),
        (slice(None, None, -2), [1.0, 0.0, 1.0]),
        ((None, Ellipsis), [1.0, 1.0, 1.0]),
        (slice(ab.tensor(1), None), [0.0, 1.0, 1.0]),
    ],
    ids=str,
)
def test_indexing_sends_the_gradient_back_where_it_came_from(key: Any, expected: list[float]) -> None:
    x = ab.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x[key].sum().backward()
    assert_close(x.grad, expected)


def test_setting_a_gradient_checks_it_and_copies_what_others_may_change() -> None:
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    given = np.array([3.0, 4.0])
    x.grad = given  # type: ignore[assignment]
    given[:] = 9.0
    assert value(x.grad).tolist() == [3.0, 4.0]
    with pytest.raises(ShapeError, match=r"\(2,\).*\(3,\)"):
        x.grad = ab.tensor([1.0, 2.0, 3.0])
    with pytest.raises((ShapeError, DtypeError), match="float32"):
        x.grad = ab.tensor(np.float32([1.0, 2.0]))
    assert value(x.grad).tolist() == [3.0, 4.0]


def test_numpys_promotion_with_weak_numbers() -> None:
    narrow, whole = ab.tensor(np.float32([1.0])), ab.tensor([1])
    assert (narrow * 2.0).dtype == (2 * narrow).dtype == np.float32
    assert (narrow * np.float64(2)).dtype == (narrow * np.ones(1)).dtype == np.float64
    assert (whole * 2).dtype == np.int64 and (whole * 2.0).dtype == (whole / 2).dtype == whole.mean().dtype == np.float64


X = ab.tensor(1.0, requires_grad=True)


@pytest.mark.parametrize(
    "call", [lambda: ab.sqrt([X, X]), lambda: ab.asarray([X, X]), lambda: X * [X, X], lambda: ab.grad(lambda x: ab.sum(ab.sqrt(x)))([1.0, 2.0])]
)
def test_a_list_of_tensors_is_told_to_be_stacked(call: Any) -> None:
    with pytest.raises(ab.ConversionError, match=r"for a list of tensors ab\.stack"):
        call()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([[1.0, 2.0], [3.0]], r"\[0\] has shape \(2,\), \[1\] \(1,\)"),
        ([[[1.0], [2.0]], [[3.0], [4.0, 5.0]]], r"\[1\]\[0\] has shape \(1,\), \[1\]\[1\] \(2,\)"),
        ([1.0, (2.0,)], r"\[0\] has shape \(\), \[1\] \(1,\)"),
        ([np.ones((2, 3)), np.ones((3, 3))], r"\[0\] has shape \(2, 3\), \[1\] \(3, 3\)"),
        ([ab.ones(2), ab.ones(3)], r"\[0\] has shape \(2,\), \[1\] \(3,\)"),
    ],
)
@pytest.mark.parametrize("use", [ab.tensor, ab.asarray, ab.sin, lambda data: ab.ones(2) * data, lambda data: ab.grad(lambda x: x.sum())(np.ones(2)) + data])
def test_ragged_data_are_told_where_they_differ(data: Any, told: str, use: Any) -> None:
    with pytest.raises(ShapeError, match=rf"{told}; pad them to one shape, or keep a list of tensors\n  at .*test_tensor.py"):
        use(data)


def test_what_is_no_index_is_refused_with_the_line() -> None:
    for key, error, told in (
        ([[0], [1, 2]], ShapeError, r"\[0\] has shape \(1,\), \[1\] \(2,\)"),
        (1.5, OperationError, "integers or booleans, got dtype float64"),
        (np.True_, OperationError, "a single boolean"),
    ):
        with pytest.raises(error, match=told + r"[\s\S]*\n  at .*test_tensor.py"):
            ab.ones(3)[key]


def test_what_is_no_number_is_refused_with_the_operation_and_the_line() -> None:
    for operand, told in (("text", "str"), (object(), "object"), (np.array(["a"]), "an array of dtype <U1")):
        with pytest.raises(DtypeError, match=rf"add: operands are tensors, arrays or numbers, got {told}\n  at .*test_tensor.py"):
            ab.add(ab.ones(1), operand)
    with pytest.raises(DtypeError, match="holds numbers, got data of dtype <U1"):
        ab.full(2, "a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="could not convert string to float"):
        ab.tensor(["a"], dtype=float)


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">c16"])
def test_data_of_another_byte_order_are_converted(dtype: str) -> None:
    data = np.array([1.0, 2.0, 3.0], dtype)
    native = np.dtype(np.dtype(dtype).type)
    leaf = ab.tensor(data, requires_grad=True)
    made = (leaf, ab.asarray(data), ab.asarray(data, dtype=dtype), leaf.astype(dtype), ab.zeros(2, dtype=dtype), ab.ones_like(leaf), leaf * data)
    assert [t.dtype.isnative for t in made] == [True] * len(made) and all(t.dtype is native for t in made)  # operations know dtypes by identity
    ab.real(leaf.reshape(3, 1) * leaf.reshape(3, 1)).sum().backward()
    assert leaf.grad is not None and leaf.grad.dtype == native
    leaf.grad = leaf.grad * 0.5
    assert_close(copy.deepcopy(leaf).grad, value(data))
    (leaf * 2.0).backward(data)
    assert_close(leaf.grad, 3 * value(data))


def test_an_integer_of_more_than_64_bits_is_told_so() -> None:
    with pytest.raises(ab.DtypeError, match="got int; of integers those of 64 bits; a float may be larger"):
        ab.tensor(10**30)

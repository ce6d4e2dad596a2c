"""What a user gets for bad input: the operation, shapes and dtypes, the line, the remedy; and nothing half-written."""

from __future__ import annotations

import operator
import re
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.constructors import elementwise, linear
from autograd_bn.core.errors import ConversionError, DtypeError, GradientError, MutationError, OperationError, RuleError, ShapeError
from autograd_bn.core.tensor import Tensor
from tests.messages import refused
from tests.oracles import assert_close
from tests.registries import temporary as temporary

HERE = "test_faults.py"


def required(data: Any) -> Tensor:
    return ab.tensor(data, requires_grad=True)


# Shapes


@pytest.mark.parametrize("product", [operator.matmul, ab.matmul])
def test_matmul_names_both_shapes_the_axes_and_the_transpose_that_fits(product: Callable[..., Any]) -> None:
    with refused(
        ShapeError, "matmul", "float64[2, 3]", "float32[2, 3]", "axis 1 of the first has length 3", "axis 0 of the second 2", "x @ y.T", HERE, "this_line"
    ):
        product(required(np.ones((2, 3))), ab.tensor(np.ones((2, 3), np.float32)))  # this_line
    with refused(ShapeError, "x.T @ y"):
        product(ab.tensor(np.ones((2, 3))), np.ones((2, 4)))
    with refused(ShapeError, "x @ y.mT"):
        product(required(np.ones((5, 2, 3))), np.ones((5, 2, 3)))
    with pytest.raises(ShapeError) as caught:
        product(required(np.ones((2, 3))), np.ones((4, 5)))
    assert "did you mean" not in str(caught.value)
    with refused(ShapeError, "at least one axis", "use *", HERE):
        product(required(2.0), np.ones((4, 5)))


ELEMENTWISE = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.lt, ab.maximum, lambda x, y: ab.where(True, x, y)]


@pytest.mark.parametrize("function", ELEMENTWISE)
def test_shapes_that_do_not_broadcast_name_the_axis(function: Callable[..., Any]) -> None:
    parts = "[4, 2, 3]", "[5, 3]", "axis -2", "sizes", "2 and 5", HERE
    with refused(ShapeError, *parts):
        function(required(np.ones((4, 2, 3))), np.ones((5, 3)))
    with refused(ShapeError, *parts):
        function(ab.tensor(np.ones((4, 2, 3))), required(np.ones((5, 3))))
    with refused(ShapeError, "axis -2"):
        function(np.ones((4, 2, 3)), ab.tensor(np.ones((5, 3))))


def test_shape_functions_name_the_shapes() -> None:
    x = required(np.ones((2, 3)))
    for use, parts in [
        (lambda: x.reshape((4, 2)), ["6 elements", "(2, 3)", "(4, 2)"]),
        (lambda: x.reshape((4, -1)), ["6 elements", "(4, -1)"]),
        (lambda: ab.permute_dims(x, (0, 0)), ["(0, 0)", "(2, 3)"]),
        (lambda: ab.broadcast_to(x, (2, 4)), ["(2, 3)", "(2, 4)"]),
        (lambda: ab.squeeze(x, 0), ["axis 0", "(2, 3)"]),
        (lambda: ab.concat([x, np.ones((3, 2))]), ["part 1", "(3, 2)", "(2, 3)"]),
        (lambda: ab.stack([x, np.ones((3, 2))]), ["part 1", "(3, 2)", "(2, 3)"]),
        (lambda: x.sum(2), ["axis 2", "2 axes"]),
        (lambda: x.sum((0, 0)), ["(0, 0)", "twice"]),
        (lambda: ab.concat([]), ["no tensors"]),
    ]:
        with refused(ShapeError, *parts):
            use()


@pytest.mark.parametrize(("key", "part"), [(5, "out of bounds"), ((0, 0, 0), "too many"), (1.5, "float64"), (np.ones(3, bool), "boolean"), (True, "boolean")])
def test_an_index_that_does_not_fit_is_explained(key: Any, part: str) -> None:
    with refused(OperationError, part):
        required(np.ones((2, 3)))[key]


@pytest.mark.parametrize("reduce", [ab.mean, ab.max, ab.min])
def test_reducing_nothing_is_refused(reduce: Callable[..., Any]) -> None:
    with refused(OperationError, "(0, 3)", "nothing"):
        reduce(required(np.ones((0, 3))))
    assert reduce(np.ones((0, 3)), axis=1).shape == (0,)


# NaN and inf


def test_nan_and_infinity_propagate_as_in_numpy() -> None:
    bad = np.array([np.nan, np.inf, -np.inf, 1.0])
    x = required(bad)
    with np.errstate(all="ignore"):
        for ours, numpys in [(ab.exp, np.exp), (ab.tanh, np.tanh), (ab.maximum, np.maximum)]:
            args = (bad,) if ours is not ab.maximum else (bad, 0.0)
            assert np.array_equal(ours(x, *args[1:]).numpy(), numpys(*args), equal_nan=True)
        assert np.isnan(ab.max(x).item()) and np.isnan(ab.sum(x).item())
        assert np.array_equal((x > 0).numpy(), bad > 0)
        (x * x).sum().backward()
    assert np.array_equal(x.grad.numpy(), 2 * bad, equal_nan=True)


def test_a_branch_not_taken_does_not_spoil_the_gradient_with_nan() -> None:
    x = required([0.0, 4.0])
    safe = ab.where(x > 0, x, 1.0)
    ab.where(x > 0, ab.log(safe), 0.0).sum().backward()
    assert_close(x.grad, [0.0, 0.25])


# backward()


def test_backward_of_a_non_scalar_shows_both_remedies() -> None:
    x = required(np.ones((2, 3)))
    with refused(GradientError, "(2, 3)", "backward(gradient)", ".sum().backward()", "mul", HERE, "that_line"):
        y = x * 2.0  # that_line
        y.backward()
    assert x.grad is None


def test_a_seed_that_does_not_fit_is_told_with_both() -> None:
    x = required(np.ones(2, np.float32))
    y = x * 2.0
    with refused(ShapeError, "(3,)", "(2,)", "mul", HERE):
        y.backward(np.ones(3, np.float32))
    with refused(DtypeError, "float64", "float32", ".astype('float32')", "mul", HERE):
        y.backward(np.ones(2))
    with refused(DtypeError, "complex128", "float32"):
        y.backward(np.ones(2) * 1j)
    assert x.grad is None
    y.backward(np.array([1, 2]))
    assert_close(x.grad, [2.0, 4.0])


def test_a_second_backward_says_that_the_graph_was_freed() -> None:
    x = required(2.0)
    y = x * x
    y.backward()
    with refused(GradientError, "freed", "retain_graph=True", "mul", HERE):
        y.backward()
    with refused(GradientError, "freed"):
        (y * 3.0).backward()
    assert_close(x.grad, 4.0)


def test_backward_says_where_the_link_broke() -> None:
    x = required(2.0)
    with refused(GradientError, "does not require a gradient", "requires_grad=True"):
        (ab.tensor(1.0) * 2.0).backward()
    with ab.no_grad():  # cut_here
        y = x * 3.0
    with refused(GradientError, "no_grad()", HERE, "cut_here"):
        (y + 1.0).backward()
    with refused(GradientError, "detach()", HERE, "cut_there"):
        z = (x * 3.0).detach()  # cut_there
        (ab.exp(z) * 2.0).backward()
    with refused(GradientError, "astype", HERE, "cut_thus"):
        whole = x.astype("int64")  # cut_thus
        (whole * 2.0).backward()
    with refused(GradientError, "sign", HERE):
        (ab.sign(x) * 2.0).backward()
    assert x.grad is None


@pytest.mark.parametrize("combine", [operator.add, operator.mul, ab.multiply, ab.maximum])
def test_backward_says_where_the_link_broke_of_a_tensor_combined_with_itself(combine: Callable[..., Any]) -> None:
    x = required(2.0)
    with ab.no_grad():
        y = combine(x, x)
    with refused(GradientError, "no_grad()", HERE):
        y.backward()
    cut = x.detach()
    with refused(GradientError, "detach()", HERE):
        combine(cut, cut).backward()


# Writing


def test_writing_into_a_leaf_is_refused() -> None:
    x = required([1.0, 2.0])
    for write in (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow):
        with refused(MutationError, "leaf", "(2,)"):
            write(x, 2.0)
    with refused(MutationError, "leaf", "(2, 2)"):
        operator.imatmul(required(np.eye(2)), np.eye(2))
    with refused(MutationError, "(2,)", "leaf", "ab.assign"):
        x[0] = 5.0
    assert x.tolist() == [1.0, 2.0] and x.requires_grad


def test_an_augmented_assignment_of_a_result_is_recorded() -> None:
    x = required([1.0, 2.0])
    y = x * 2.0
    y += 1.0
    y *= x
    y **= 2
    y.sum().backward()
    a = np.array([1.0, 2.0])
    assert_close(x.grad, 2 * (2 * a * a + a) * (4 * a + 1))


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_requires_grad_of_a_dtype_without_derivatives_names_it(dtype: str) -> None:
    with refused(DtypeError, dtype, "requires_grad=True", "float"):
        ab.tensor(np.ones(2, dtype), requires_grad=True)


@pytest.mark.parametrize("data", ["text", object(), [None], np.array(["a"]), np.array([object()])])
def test_data_that_are_not_numbers_are_refused(data: Any) -> None:
    for make in (ab.tensor, ab.asarray, lambda d: ab.tensor(1.0) * ab.asarray(d), lambda d: ab.exp(d)):
        with pytest.raises(DtypeError):
            make(data)


# NumPy's functions on tensors


def test_ufuncs_of_tensors_are_recorded() -> None:
    a = np.array([1.5, 2.5])
    for use, expected in [
        (lambda x: np.exp(x), np.exp(a)),
        (lambda x: np.add(a, x), np.ones(2)),
        (lambda x: a * x, a),
        (lambda x: a / x, -a / a**2),
        (lambda x: a @ x, a),
        (lambda x: a**x, a**a * np.log(a)),
        (lambda x: np.float64(2) * x, np.full(2, 2.0)),
        (lambda x: np.float64(2) ** x, 2**a * np.log(2)),
        (lambda x: np.maximum(x, 2.0), np.array([0.0, 1.0])),
        (lambda x: np.matmul(a, x), a),
    ]:
        x = required(a)
        y = use(x)
        assert isinstance(y, Tensor) and y.requires_grad
        y.sum().backward()
        assert_close(x.grad, expected)


def test_array_functions_of_tensors_are_recorded() -> None:
    a = np.arange(6.0).reshape(2, 3)
    for use, expected in [
        (lambda x: np.sum(x, axis=0), np.ones((2, 3))),
        (lambda x: np.mean(x, 1, keepdims=True), np.full((2, 3), 1 / 3)),
        (lambda x: np.max(x), np.arange(6).reshape(2, 3) == 5),
        (lambda x: np.concatenate([x, a]), np.ones((2, 3))),
        (lambda x: np.concatenate([a, x], axis=1), np.ones((2, 3))),
        (lambda x: np.stack([a, x]), np.ones((2, 3))),
        (lambda x: np.where(a > 2, x, 0.0), a > 2),
        (lambda x: np.where(a > 2, a, x), a <= 2),
        (lambda x: np.reshape(x, (3, 2)), np.ones((2, 3))),
        (lambda x: np.transpose(x), np.ones((2, 3))),
        (lambda x: np.squeeze(np.expand_dims(x, 0), axis=0), np.ones((2, 3))),
        (lambda x: np.ravel(x) * np.arange(6.0), a),
        (lambda x: np.vstack([x, a[0], x]), np.full((2, 3), 2.0)),
        (lambda x: np.hstack([x, a[:, :1]]), np.ones((2, 3))),
        (lambda x: np.hstack([x[0], np.ones(2)]), [[1, 1, 1], [0, 0, 0]]),
        (lambda x: np.dot(x, np.array([1.0, 2.0, 3.0])), [[1, 2, 3], [1, 2, 3]]),
        (lambda x: np.dot(2.0, x), np.full((2, 3), 2.0)),
        (lambda x: np.dot(a[:1].T, x[:1]), [[3, 3, 3], [0, 0, 0]]),
    ]:
        x = required(a)
        y = use(x)
        assert isinstance(y, Tensor) and y.requires_grad
        y.sum().backward()
        assert_close(x.grad, np.asarray(expected, float))


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((4, 2, 3), (3, 5)), ((2, 3), (4, 3, 5)), ((4, 2, 3), (6, 3, 5)), ((), (2, 3)), ((2,), ())])
def test_numpys_dot_has_numpys_axes(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    x, y = (np.random.default_rng(i).standard_normal(shape) for i, shape in enumerate(shapes))
    made: Any = np.dot(required(x), y)
    assert isinstance(made, Tensor) and made.requires_grad
    assert_close(made, np.dot(x, y), 1e-12)


def test_numpys_comparisons_tell_of_tensors_that_require_a_gradient() -> None:
    x = required(np.array([1.0, 2.0]))
    assert np.allclose(x, [1.0, 2.0 + 1e-12]) and not np.allclose(x, 1.0)
    assert np.array_equal(x, [1.0, 2.0]) and np.isclose(x, 2.0).tolist() == [False, True]
    with pytest.raises(ab.TraceError):
        ab.jit(lambda x: x if np.allclose(x, 1.0) else -x)(x.detach())
    with pytest.raises(ab.ConversionError):
        ab.vmap(lambda x: x if np.allclose(x, 1.0) else -x)(x.detach())


@pytest.mark.parametrize(
    "use",
    [
        lambda x: np.nextafter(x, 1.0),
        lambda x: np.add.reduce(x),
        lambda x: np.add(x, 1.0, where=np.array([True, False])),
        lambda x: np.exp(x, dtype="float32"),
        lambda x: np.linalg.matrix_rank(x),
        lambda x: np.nancumprod(x),
        lambda x: np.sum(x, where=np.array([True, False])),
        lambda x: np.mean(x, dtype="float32"),
        lambda x: np.histogram(x),
    ],
)
def test_what_numpy_cannot_have_recorded_is_a_type_error_with_the_way_out(use: Callable[[Tensor], Any]) -> None:
    with refused(DtypeError, "np.", "no recorded counterpart"):
        use(required([1.0, 2.0]))


def test_arrays_are_not_written_from_tensors() -> None:
    for x in (required([1.0, 2.0]), required([1.0, 2.0]) * 2.0):
        a = np.zeros(2)
        for write in (operator.iadd, operator.imul, lambda a, x: np.add(a, x, out=a), lambda a, x: np.exp(x, out=a)):
            with refused(DtypeError, "np.", "out=", "gradient"):
                write(a, x)
        with pytest.raises((ConversionError, ValueError, TypeError)):
            a[:] = x
        with pytest.raises((ConversionError, ValueError, TypeError)):
            a[0] = x[0]
        assert a.tolist() == [0.0, 0.0]


CONVERSIONS: list[Callable[[Any], Any]] = [float, int, complex, np.asarray, np.array, lambda t: np.asarray([t, t]), lambda t: range(10)[t], lambda t: [1, 2][t]]


@pytest.mark.parametrize("convert", CONVERSIONS)
def test_conversions_are_refused_while_a_gradient_is_required(convert: Callable[[Any], Any]) -> None:
    for x in (required(1.0), required(1.0) * 2.0):
        with refused(ConversionError, "requires a gradient", "()", "float64", HERE):
            convert(x)
    for transform in (ab.grad, lambda f: lambda x: ab.jvp(f, (x,), (1.0,)), lambda f: lambda x: ab.vjp(f, x)):
        with pytest.raises(ConversionError):
            transform(lambda x: convert(x) or x)(1.0)


def test_conversions_of_constants_work() -> None:
    x = ab.tensor(2.0)
    assert (float(x), int(x), complex(x), np.asarray(x).item(), bool(x)) == (2.0, 2, 2 + 0j, 2.0, True)
    assert [10, 11, 12][ab.tensor(2)] == 12
    assert np.asarray(ab.tensor([1, 2]), dtype="float32").dtype == np.float32


def test_item_tolist_and_formatting_detach() -> None:
    x = required([[1.5, 2.5]])
    assert x.tolist() == [[1.5, 2.5]]
    assert (x.sum() * 2.0).item() == 8.0
    assert f"{x.sum():.2f} {x.mean()!r}".startswith("4.00 tensor(2.")
    assert bool(x.sum() > 1.0) and bool(x.sum())
    seen = []
    ab.grad(lambda v: seen.append((v.item(), v.tolist(), f"{v:.1f}", bool(v))) or v)(2.0)
    assert seen == [(2.0, 2.0, "2.0", True)]


# Rules


def test_a_rule_with_a_wrong_shape_names_it_and_both_shapes(temporary: None) -> None:
    wrong = linear("flipped", lambda x: x.T, transpose=lambda g, x: g, batch=lambda x: x)
    x = required(np.ones((2, 3)))
    with refused(RuleError, "flipped", "(3, 2)", "(2, 3)", HERE):
        wrong(x).sum().backward()
    assert x.grad is None


def test_a_rule_of_several_operands_with_a_wrong_count_is_named(temporary: None) -> None:
    wrong = linear("joined", lambda *parts: np.concatenate(parts), transpose=lambda g, parents: [g[:2]], batch=lambda *parts: parts, variadic=True)
    x, y = required(np.ones(2)), required(np.ones(2))
    with refused(RuleError, "joined", "1 cotangents for 2 operands", HERE):
        wrong(x, y).sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("function", [lambda x: ab.abs(x * 1j), lambda x: ab.abs(ab.exp(x * 1j) + 1.0)])
def test_derivatives_through_complex_results_are_right_or_refused(function: Callable[[Any], Any]) -> None:
    step = 1e-6
    expected = (function(ab.tensor(2.0 + step)).item() - function(ab.tensor(2.0 - step)).item()) / (2 * step)
    for derive in (lambda: ab.grad(function)(2.0), lambda: ab.jvp(function, (2.0,), (1.0,))[1]):
        try:
            derivative = derive()
        except DtypeError as error:
            assert "complex" in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert_close(derivative, expected)


def test_of_a_complex_cotangent_of_a_real_operand_the_real_part_counts(temporary: None) -> None:
    turned = linear("turned", lambda x: x * 1.0, transpose=lambda g, x: g * (2 + 1j), batch=lambda x: x)
    x = required(np.ones(2))
    turned(x).sum().backward()
    assert_close(x.grad, [2.0, 2.0])
    assert x.grad.dtype == np.float64


@pytest.mark.parametrize("returned", ["text", 1.0])
def test_a_rule_that_returns_no_array_is_named(temporary: None, returned: Any) -> None:
    wrong = linear("untyped", lambda x: x * 1.0, transpose=lambda g, x: returned, batch=lambda x: x)
    with refused(RuleError, "untyped", type(returned).__name__, HERE):
        wrong(required(np.ones(2))).sum().backward()


def test_an_exception_in_a_rule_keeps_its_traceback_and_names_the_operation(temporary: None) -> None:
    def broken(x: Any) -> Any:
        raise ZeroDivisionError("deep inside")

    failing = elementwise("failing", np.positive, broken)
    x, w = required(np.ones((2, 3))), required(1.0)
    with pytest.raises(ZeroDivisionError, match="deep inside") as caught:
        (failing(x) * w).sum().backward()
    told = "".join(traceback.format_exception(caught.value))
    assert "in broken" in told and re.search(r"while differentiating failing, shape \(2, 3\), dtype float64", told) and HERE in told
    assert x.grad is None and w.grad is None


def test_an_exception_in_a_forward_keeps_its_cause() -> None:
    with pytest.raises(OperationError) as caught:
        ab.tensor(np.array([1, 2])) ** ab.tensor(np.array([-1, -2]))
    assert "pow(int64[2], int64[2])" in str(caught.value) and HERE in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    with refused(DtypeError, "neg(bool[1])", HERE):
        -ab.tensor([True])

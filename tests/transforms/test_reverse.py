"""grad, value_and_grad and vjp: containers, options, what is unused, and what is refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, GradientError, OperationError, ShapeError
from tests.oracles import assert_close, value


class Pair(NamedTuple):
    left: Any
    right: Any


def test_grad_has_the_structure_of_its_argument() -> None:
    tree = {"w": [np.array([1.0, 2.0]), (3.0,)], "b": Pair(4.0, None), "empty": ()}

    def f(p: Any) -> Any:
        return (p["w"][0] ** 2).sum() * p["w"][1][0] + p["b"].left ** 2

    out, gradient = ab.value_and_grad(f)(tree)
    assert out.item() == 31.0
    assert list(gradient) == ["w", "b", "empty"] and gradient["empty"] == ()
    assert isinstance(gradient["b"], Pair) and gradient["b"].right is None
    assert isinstance(gradient["w"], list) and isinstance(gradient["w"][1], tuple)
    assert_close(gradient["w"][0], [6.0, 12.0])
    assert_close(gradient["w"][1][0], 5.0)
    assert_close(gradient["b"].left, 8.0)


def test_vjp_takes_and_gives_containers() -> None:
    out, pullback = ab.vjp(lambda p, q: {"sum": p["x"] + q, "both": (p["x"] * q, p["y"])}, {"x": 2.0, "y": 3.0}, 5.0)
    assert out["sum"].item() == 7.0 and out["both"][0].item() == 10.0
    p, q = pullback({"sum": 1.0, "both": (10.0, 100.0)})
    assert (p["x"].item(), p["y"].item(), q.item()) == (51.0, 100.0, 21.0)


def test_registered_containers_are_looked_into() -> None:
    class Point:
        def __init__(self, x: Any, y: Any) -> None:
            self.x, self.y = x, y

    ab.register_container(Point, lambda p: ((p.x, p.y), None), lambda _, children: Point(*children))
    gradient = ab.grad(lambda p: p.x * p.x * p.y)(Point(2.0, 3.0))
    assert isinstance(gradient, Point)
    assert (gradient.x.item(), gradient.y.item()) == (12.0, 4.0)


def test_argnums_choose_arguments_and_their_order() -> None:
    def f(x: Any, y: Any, z: Any = 1.0) -> Any:
        return x * x * y * z

    assert ab.grad(f, 1)(2.0, 3.0).item() == 4.0
    assert [g.item() for g in ab.grad(f, (1, 0))(2.0, 3.0)] == [4.0, 12.0]
    assert ab.grad(f, -1)(2.0, 3.0).item() == 4.0
    assert ab.grad(f, [0])(2.0, 3.0)[0].item() == 12.0
    assert ab.grad(f)(2.0, 3.0, z=10.0).item() == 120.0
    assert ab.grad(f, np.int64(1))(2.0, 3.0).item() == 4.0
    assert [g.item() for g in ab.grad(f, np.array([1, 0]))(2.0, 3.0)] == [4.0, 12.0]
    for argnums in (2, -3, (0, 5)):
        with pytest.raises(OperationError, match="argument"):
            ab.grad(f, argnums)(2.0, 3.0)


@pytest.mark.parametrize("transform", [ab.grad, ab.value_and_grad, ab.jacobian, ab.hessian])
def test_argnums_that_name_an_argument_twice_or_are_no_positions_are_refused(transform: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        return x * x + y

    for argnums in ((0, 0), (0, -2)):
        with pytest.raises(OperationError, match=r"argnums of \w+ names an argument twice: \(0, "):
            transform(f, argnums)(3.0, 1.0)
    for argnums in (0.5, "x", None, (0, "x")):
        with pytest.raises(OperationError, match="is the position of an argument, or several positions, got"):
            transform(f, argnums)


def test_aux_is_returned_below_the_level() -> None:
    def f(x: Any) -> Any:
        return x * x, {"double": 2 * x, "text": "kept", "number": 3}

    gradient, aux = ab.grad(f, has_aux=True)(2.0)
    assert gradient.item() == 4.0 and aux["text"] == "kept" and aux["number"] == 3
    assert not aux["double"].requires_grad and aux["double"].item() == 4.0
    (out, aux), gradient = ab.value_and_grad(f, has_aux=True)(2.0)
    assert (out.item(), aux["double"].item(), gradient.item()) == (4.0, 4.0, 4.0)
    w = ab.tensor(2.0, requires_grad=True)
    ab.grad(f, has_aux=True)(w)[1]["double"].backward()
    assert_close(w.grad, 2.0)


def test_what_is_unused_gets_zeros_of_its_shape_and_dtype() -> None:
    used, unused = ab.grad(lambda x, y: (x * 1.0).sum(), (0, 1))(np.ones(2), np.ones((2, 3), np.float32))
    assert used.tolist() == [1.0, 1.0]
    assert unused.shape == (2, 3) and unused.dtype == np.float32 and not value(unused).any()
    assert ab.grad(lambda x: 3.0)(1.0).item() == 0.0
    assert ab.grad(lambda x: ab.tensor(3.0, requires_grad=True))(1.0).item() == 0.0
    out, pullback = ab.vjp(lambda x: (x, 5.0), 1.0)
    assert out[1].item() == 5.0
    assert pullback((1.0, 7.0))[0].item() == 1.0


def test_an_output_that_is_an_input() -> None:
    assert ab.grad(lambda x: x)(3.0).item() == 1.0
    _out, pullback = ab.vjp(lambda x: (x, x), 3.0)
    assert pullback((2.0, 5.0))[0].item() == 7.0


def test_the_input_is_not_changed_by_its_transform() -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True, name="w")
    gradient = ab.grad(lambda v: (v * v).sum())(w)
    assert gradient.tolist() == [2.0, 4.0]
    assert w.grad is None and w.is_leaf
    seen = []
    ab.grad(lambda v: seen.append(v.name) or (v * v).sum())(w)
    assert seen == ["w"]


@pytest.mark.parametrize("shape", [(2,), (0,), (1, 2)])
def test_grad_refuses_a_function_that_is_not_scalar(shape: tuple[int, ...]) -> None:
    with pytest.raises(GradientError, match=r"one output element, got shape .*ab\.vjp"):
        ab.grad(lambda x: x * 2.0)(np.ones(shape))


def test_grad_accepts_one_element_of_any_rank() -> None:
    assert ab.grad(lambda x: x * 2.0)(np.ones((1, 1))).tolist() == [[2.0]]


@pytest.mark.parametrize("bad", [3, True, np.array([1, 2]), "text", {"a": 1}])
def test_transforms_refuse_what_has_no_derivative(bad: Any) -> None:
    for transform in (lambda: ab.grad(lambda x: 1.0)(bad), lambda: ab.vjp(lambda x: x, bad), lambda: ab.jvp(lambda x: x, (bad,), (bad,))):
        with pytest.raises(DtypeError):
            transform()


def test_the_dtype_error_names_the_dtype_and_the_remedy() -> None:
    def loss(x: Any) -> Any:
        return x

    with pytest.raises(DtypeError, match=r"grad of loss needs a floating dtype, got int64; convert it with \.astype\('float64'\)"):
        ab.grad(loss)(np.array(1))


def test_a_cotangent_that_does_not_fit_is_refused() -> None:
    _, pullback = ab.vjp(lambda x: (x * 2.0, x), np.ones(2, np.float32))
    with pytest.raises(ShapeError, match=r"shape \(3,\), the value \(2,\)"):
        pullback((np.ones(3, np.float32), np.ones(2, np.float32)))
    with pytest.raises(DtypeError, match=r"float64, the value float32; convert it with .astype\('float32'\)"):
        pullback((np.ones(2), np.ones(2, np.float32)))
    with pytest.raises(DtypeError, match="complex"):
        pullback((np.ones(2) * 1j, np.ones(2, np.float32)))
    for bad in (np.ones(2), [np.ones(2), np.ones(2)], (np.ones(2),), {"a": 1}):
        with pytest.raises(OperationError, match="nested"):
            pullback(bad)
    (gradient,) = pullback((np.array([1, 2]), np.ones(2, np.float32)))
    assert gradient.dtype == np.float32 and gradient.tolist() == [3.0, 5.0]


def test_a_dictionary_cotangent_is_matched_by_key() -> None:
    _, pullback = ab.vjp(lambda x: {"a": x * 2.0, "b": x * 3.0}, 1.0)
    assert pullback({"b": 10.0, "a": 1.0})[0].item() == 32.0


def test_errors_inside_the_function_leave_the_surroundings_as_they_were() -> None:
    w = ab.tensor(1.0, requires_grad=True)
    with pytest.raises(ZeroDivisionError):
        ab.grad(lambda x: 1 / 0)(1.0)
    assert (w * 2.0).requires_grad
    assert ab.is_grad_enabled()

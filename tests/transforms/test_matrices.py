"""jacobian, hessian and hvp against closed forms, and in containers, in both modes, nested."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, GradientError, OperationError, ShapeError
from tests.oracles import assert_close, central, value

RNG = np.random.default_rng(5)
M = RNG.standard_normal((3, 4))
X = RNG.standard_normal(4)
MODES = ["forward", "reverse", None]


@pytest.mark.parametrize("mode", MODES)
def test_a_jacobian_of_a_vector_function(mode: Any) -> None:
    assert_close(ab.jacobian(lambda x: ab.sin(M @ x), mode=mode)(X), np.cos(M @ X)[:, None] * M, 1e-12)
    assert_close(ab.jacobian(lambda x: ab.sin(M.T @ x), mode=mode)(X[:3]), np.cos(M.T @ X[:3])[:, None] * M.T, 1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_output_axes_come_before_input_axes(mode: Any) -> None:
    x = RNG.standard_normal((2, 3))
    expected = np.einsum("ai,bj->jiab", np.eye(2), np.eye(3)) * 2 * value(x).T[:, :, None, None]
    assert_close(ab.jacobian(lambda x: (x * x).T, mode=mode)(x), expected, 1e-12)
    assert ab.jacobian(lambda x: x.sum(), mode=mode)(x).shape == (2, 3)
    assert ab.jacobian(lambda s: s * x, mode=mode)(1.5).shape == (2, 3)


@pytest.mark.parametrize("mode", MODES)
def test_a_jacobian_has_the_arguments_structure_inside_the_values(mode: Any) -> None:
    def f(p: Any, s: Any) -> Any:
        return {"y": p["w"] @ p["v"][0] * s, "z": [(p["w"] * p["w"]).sum()]}

    p, s = {"w": M, "v": (X,)}, 2.0
    by_both = ab.jacobian(f, (0, 1), mode=mode)(p, s)
    assert_close(by_both["y"][0]["w"], np.einsum("ai,j->aij", np.eye(3), 2 * X), 1e-12)
    assert_close(by_both["y"][0]["v"][0], 2 * M, 1e-12)
    assert_close(by_both["y"][1], M @ X, 1e-12)
    assert_close(by_both["z"][0][0]["w"], 2 * M, 1e-12)
    assert_close(by_both["z"][0][0]["v"][0], np.zeros(4))
    assert_close(by_both["z"][0][1], 0.0)
    assert_close(ab.jacobian(f, -1, mode=mode)(p, s)["y"], M @ X, 1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_a_jacobian_keeps_single_precision_and_empty_shapes(mode: Any) -> None:
    assert ab.jacobian(lambda x: ab.exp(x), mode=mode)(np.ones(2, np.float32)).dtype == np.float32
    assert ab.jacobian(lambda x: ab.concat([x, x]), mode=mode)(np.ones(0)).shape == (0, 0)
    assert_close(ab.jacobian(lambda x: {"a": x[:0], "b": x}, mode=mode)(np.ones(2))["b"], np.eye(2))
    by_two = ab.jacobian(lambda x, y: x, (0, 1), mode=mode)(np.ones(2), np.ones(0))
    assert by_two[0].shape == (2, 2) and by_two[1].shape == (2, 0)


def test_the_cheaper_mode_is_taken_and_effects_happen_once() -> None:
    runs = []
    total = ab.tensor(0.0)

    def f(x: Any, rows: int) -> Any:
        runs.append(rows)
        ab.assign(total, total + 1.0)
        return x[0] * np.ones(rows)

    ab.jacobian(f)(X, 3)
    assert runs == [3] and total.item() == 1.0
    ab.jacobian(f)(X, 5)
    assert runs == [3, 5, 5] and total.item() == 2.0
    ab.jacobian(f, mode="reverse")(X, 5)
    ab.jacobian(f, mode="forward")(X, 5)
    assert runs == [3, 5, 5, 5, 5] and total.item() == 4.0


def f(x: Any) -> Any:
    return ab.tanh(M @ x).sum() * (x * x * x).sum() + x.max()


def test_a_hessian_against_differences_and_in_every_order_of_modes() -> None:
    gradient = ab.grad(f)
    expected = np.stack([central(lambda x: value(gradient(x)), [X], [unit]) for unit in np.eye(4)])
    assert_close(ab.hessian(f)(X), expected, 1e-7)
    for outer in MODES:
        for inner in MODES:
            assert_close(ab.jacobian(ab.jacobian(f, mode=inner), mode=outer)(X), expected, 1e-7)  # type: ignore[arg-type]


def test_a_hessian_over_containers_has_all_blocks() -> None:
    blocks = ab.hessian(lambda p: p["a"] ** 2 * p["b"].sum())({"a": 3.0, "b": np.array([1.0, 2.0])})
    assert_close(blocks["a"]["a"], 6.0)
    assert_close(blocks["a"]["b"], [6.0, 6.0])
    assert_close(blocks["b"]["a"], [6.0, 6.0])
    assert_close(blocks["b"]["b"], np.zeros((2, 2)))
    mixed = ab.hessian(lambda x, y: x**2 * y, (0, 1))(2.0, 3.0)
    assert [[h.item() for h in row] for row in mixed] == [[6.0, 4.0], [4.0, 0.0]]


def test_hvp_is_the_hessian_times_the_vector() -> None:
    v = RNG.standard_normal(4)
    assert_close(ab.hvp(f, X, v), value(ab.hessian(f)(X)) @ v, 1e-12)
    gradient = ab.grad(f)
    assert_close(ab.hvp(f, X, v), central(lambda x: value(gradient(x)), [X], [v]), 1e-7)
    assert ab.hvp(lambda p: p["a"] * p["b"], {"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 0.0})["b"].item() == 1.0
    with pytest.raises(ShapeError, match="tangent"):
        ab.hvp(f, X, v[:2])
    with pytest.raises(GradientError, match="one output element"):
        ab.hvp(ab.sin, X, v)


def test_they_nest_with_the_other_transforms_and_with_backward() -> None:
    a = RNG.standard_normal((5, 4))
    each = ab.vmap(ab.jacobian(lambda x: ab.sin(M @ x)))(a)
    assert_close(each, np.cos(a @ M.T)[:, :, None] * M, 1e-12)
    mapped = ab.jacobian(ab.vmap(lambda x: (x * x).sum()))(a)
    assert_close(mapped, np.einsum("ij,ik->ijk", np.eye(5), 2 * a), 1e-12)
    assert_close(ab.vmap(ab.hessian(f))(a), np.stack([value(ab.hessian(f)(row)) for row in a]), 1e-12)
    assert_close(ab.grad(lambda x: (ab.jacobian(lambda y: y**3)(x)).sum())(X), 6 * X, 1e-12)
    assert_close(ab.jvp(lambda s: ab.jacobian(lambda y: y**3 * s)(X).sum(), (2.0,), (1.0,))[1], (3 * X**2).sum(), 1e-12)
    w = ab.tensor(X, requires_grad=True)
    ab.hessian(lambda y: (y**4).sum())(w).sum().backward()
    assert_close(w.grad, 24 * X, 1e-12)
    closed = ab.tensor(2.0, requires_grad=True)
    for mode in MODES:
        closed.grad = None
        ab.jacobian(lambda x: x * x * closed, mode=mode)(X).sum().backward()  # type: ignore[arg-type]
        assert_close(closed.grad, 2 * X.sum(), 1e-12)


def test_what_has_no_jacobian_is_refused() -> None:
    with pytest.raises(OperationError, match="mode is 'forward'"):
        ab.jacobian(ab.sin, mode="backward")  # type: ignore[arg-type]
    with pytest.raises(OperationError, match="argument 1 of a call with 1"):
        ab.jacobian(ab.sin, 1)(X)
    for mode in MODES:
        with pytest.raises(DtypeError, match="jacobian"):
            ab.jacobian(ab.sin, mode=mode)(np.arange(3))  # type: ignore[arg-type]
        with pytest.raises(DtypeError, match="jacobian's output"):
            ab.jacobian(lambda x: x > 0, mode=mode)(X)  # type: ignore[arg-type]


@pytest.mark.parametrize("outputs", [2, 3, 5])
def test_a_matrix_is_that_of_grad_row_by_row_where_no_grad_cuts(outputs: int) -> None:
    weight = RNG.standard_normal((outputs, 3))

    @ab.custom_jvp
    def cubed(x: Any) -> Any:
        return x**3

    cubed.defjvp(lambda primals, tangents: (cubed(primals[0]), 3 * primals[0] ** 2 * tangents[0]))

    def f(x: Any) -> Any:
        y = ab.checkpoint(cubed)(weight @ x)
        with ab.no_grad():
            scale = cubed(x).sum() + ab.vmap(lambda e: e * e)(x).sum()
        return y * scale

    x = np.array([1.0, -2.0, 0.5])
    expected = np.stack([ab.grad(lambda x, i=i: f(x)[i])(x).numpy() for i in range(outputs)])
    for mode in (None, "forward", "reverse"):
        assert_close(ab.jacobian(f, mode=mode)(x), expected)
    second = np.stack([ab.grad(lambda x, i=i: ab.grad(lambda x: f(x).sum())(x)[i])(x).numpy() for i in range(3)])
    assert_close(ab.hessian(lambda x: f(x).sum())(x), second)
    assert_close(ab.hvp(lambda x: f(x).sum(), x, np.ones(3)), second.sum(1))

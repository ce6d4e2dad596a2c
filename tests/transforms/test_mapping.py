"""vmap: axes, nesting, composition with derivatives, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import ConversionError, MutationError, OperationError, ShapeError
from tests.oracles import assert_close, value

RNG = np.random.default_rng(5)
A = RNG.standard_normal((4, 3, 2))


@pytest.mark.parametrize("in_axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("out_axis", [0, 1, -1])
def test_any_axis_in_and_out(in_axis: int, out_axis: int) -> None:
    mapped = ab.vmap(lambda x: x.sum(0), in_axes=in_axis, out_axes=out_axis)(A)
    expected = np.stack([np.take(A, i, in_axis).sum(0) for i in range(A.shape[in_axis])], out_axis)
    assert_close(mapped, expected, 1e-12)


def test_an_axis_an_argument_and_shared_arguments() -> None:
    w = RNG.standard_normal((2, 5))
    mapped = ab.vmap(lambda x, y, c: x @ w + y * c, in_axes=(0, 1, None))(A[:, 0], RNG.standard_normal((5, 4)) * 0 + 1, 3.0)
    assert_close(mapped, A[:, 0] @ w + 3.0)


def test_containers_in_and_out() -> None:
    out = ab.vmap(lambda p: {"s": p["a"] + p["b"][0], "t": (p["a"],)})({"a": np.arange(3.0), "b": [np.ones(3)]})
    assert out["s"].tolist() == [1.0, 2.0, 3.0]
    assert out["t"][0].tolist() == [0.0, 1.0, 2.0]


def test_a_result_that_does_not_depend_on_the_example_is_repeated() -> None:
    assert ab.vmap(lambda x: 7.0)(np.ones(3)).tolist() == [7.0] * 3
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    ab.vmap(lambda x: w)(np.ones(3)).sum().backward()
    assert_close(w.grad, [3.0, 3.0])


def test_an_example_does_not_show_its_batch_axis() -> None:
    shapes = []
    ab.vmap(lambda x: shapes.append((x.shape, x.ndim, x.size, len(x))) or x)(A)
    assert shapes == [((3, 2), 2, 6, 3)]


def test_nested_maps_over_different_axes() -> None:
    mapped = ab.vmap(ab.vmap(lambda x, y: x * y + x.sum(), in_axes=(0, None)), in_axes=(1, 0))(A, np.arange(3.0))
    expected = np.stack([np.stack([A[i, j] * j + A[i, j].sum() for i in range(4)]) for j in range(3)])
    assert_close(mapped, expected, 1e-12)
    outer = ab.vmap(lambda x: ab.vmap(lambda y: x * y)(np.arange(2.0)))(np.arange(3.0))
    assert outer.tolist() == np.outer(np.arange(3.0), np.arange(2.0)).tolist()


def f(x: Any, w: Any) -> Any:
    return ab.tanh(x @ w).sum() + (x * x).max()


def test_gradients_of_each_example() -> None:
    w = RNG.standard_normal(2)
    each = ab.vmap(ab.grad(f, (0, 1)), in_axes=(0, None))(A, w)
    for i in range(4):
        for got, expected in zip(each, ab.grad(f, (0, 1))(A[i], w), strict=True):
            assert_close(got[i], expected, 1e-12)


def test_the_gradient_of_a_map_sums_over_examples() -> None:
    w = RNG.standard_normal(2)
    gx, gw = ab.grad(lambda x, w: ab.vmap(f, in_axes=(0, None))(x, w).sum(), (0, 1))(A, w)
    loop = [ab.grad(f, (0, 1))(row, w) for row in A]
    assert_close(gx, np.stack([value(x) for x, _ in loop]), 1e-12)
    assert_close(gw, sum(value(g) for _, g in loop), 1e-12)


def test_tangents_inside_and_outside_a_map() -> None:
    v = RNG.standard_normal(A.shape)
    inside = ab.vmap(lambda x, t: ab.jvp(ab.sin, (x,), (t,))[1])(A, v)
    outside = ab.jvp(ab.vmap(ab.sin), (A,), (v,))[1]
    assert_close(inside, np.cos(A) * v, 1e-12)
    assert_close(outside, np.cos(A) * v, 1e-12)


def test_a_jacobian_by_mapping_a_pullback_and_a_pushforward() -> None:
    m = RNG.standard_normal((3, 2))
    x = RNG.standard_normal(2)
    _, pullback = ab.vjp(lambda v: ab.sin(m @ v), x)
    expected = np.cos(m @ x)[:, None] * m
    assert_close(ab.vmap(lambda g: pullback(g)[0])(np.eye(3)), expected, 1e-12)
    assert_close(ab.vmap(lambda t: ab.jvp(lambda v: ab.sin(m @ v), (x,), (t,))[1], out_axes=1)(np.eye(2)), expected, 1e-12)


def test_second_derivatives_of_each_example() -> None:
    mapped = ab.vmap(ab.grad(ab.grad(lambda x: ab.sin(x) * x)))(np.arange(3.0))
    assert_close(mapped, 2 * np.cos(np.arange(3.0)) - np.arange(3.0) * np.sin(np.arange(3.0)))


def test_backward_reaches_the_leaves_through_a_map() -> None:
    x = ab.tensor(A, requires_grad=True)
    ab.vmap(lambda row: (row * row).sum(), in_axes=1)(x).sum().backward()
    assert_close(x.grad, 2 * A)


INDICES: list[Any] = [
    0,
    (slice(None, None, -1), 1),
    (Ellipsis, None),
    np.array([0, 2, 2]),
    (np.array([0, 1]), np.array([1, 1])),
    (0, slice(None), np.array([0, 1])),
    (np.array([1, 0]), slice(None), 0),
    (np.array([[0], [1]]), slice(None), np.array([0, 1])),
    (slice(None), np.array([True, False])),
    np.arange(6).reshape(3, 2) > 2,
    (np.arange(6).reshape(3, 2) > 2, slice(None), np.array([0, 1, 0])),
    (np.array([0, 1]), None, np.array([1, 1])),
    (np.array([0, 1]), Ellipsis, np.array([1, 1])),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing_each_example(index: Any) -> None:
    wide = RNG.standard_normal((4, 3, 2, 2) if isinstance(index, tuple) and len(index) == 3 else (4, 3, 2))
    if isinstance(index, tuple) and index[0] is not Ellipsis and np.asarray(index[0]).dtype == bool:
        wide = RNG.standard_normal((4, 3, 2, 5, 2))
    expected = np.stack([row[index] for row in wide])
    assert_close(ab.vmap(lambda x: x[index])(wide), expected, 0.0)
    each = ab.vmap(ab.grad(lambda x: (x[index] ** 2).sum()))(wide)
    assert_close(each, np.stack([value(ab.grad(lambda x: (x[index] ** 2).sum())(row)) for row in wide]), 1e-12)


def test_axes_nested_as_the_arguments_are() -> None:
    p = {"w": RNG.standard_normal(3), "x": A[:, :, 0], "deep": [A[:, 0, 0], (RNG.standard_normal((2, 4)), 5.0)]}

    def f(p: Any, y: Any) -> Any:
        return (p["w"] * p["x"]).sum() + p["deep"][0] * p["deep"][1][0].sum() * p["deep"][1][1] + y[0]

    axes = ({"x": 0, "w": None, "deep": (0, [1, None])}, None)
    mapped = ab.vmap(f, in_axes=axes)(p, (2.0, "text"))
    expected = [(p["w"] * A[i, :, 0]).sum() + A[i, 0, 0] * p["deep"][1][0][:, i].sum() * 5.0 + 2.0 for i in range(4)]
    assert_close(mapped, expected, 1e-12)
    each = ab.vmap(ab.grad(f), in_axes=axes, out_axes={"w": 0, "x": 1, "deep": -1})(p, (2.0,))
    assert_close(each["w"], A[:, :, 0], 1e-12)
    assert each["x"].shape == (3, 4) and each["deep"][1][0].shape == (2, 4) and each["deep"][1][1].shape == (4,)


def test_an_axis_a_result_and_none_for_what_all_examples_share() -> None:
    out = ab.vmap(lambda x, w: {"a": (x, x.sum()), "b": w * 2.0}, in_axes=(0, None), out_axes={"b": None, "a": (-1, 0)})(A, 3.0)
    assert out["a"][0].shape == (3, 2, 4) and out["a"][1].shape == (4,) and out["b"].item() == 6.0
    w = ab.tensor(3.0, requires_grad=True)
    ab.vmap(lambda x: (x, w * 2.0), out_axes=(0, None))(A)[1].backward()
    assert_close(w.grad, 2.0)
    with pytest.raises(OperationError, match="depends on the example"):
        ab.vmap(lambda x: x, out_axes=None)(A)


@pytest.mark.parametrize("axes", [({"w": 0},), ({"w": 0, "x": 0, "z": 0},), ((0, 0),), ("0",), (True,)])
def test_axes_that_are_not_nested_as_the_argument_are_refused(axes: Any) -> None:
    with pytest.raises(OperationError, match=r"in_axes is .*a dict of 2 tensors"):
        ab.vmap(lambda p: p["w"], in_axes=axes)({"w": np.ones(2), "x": np.ones(2)})
    with pytest.raises(OperationError, match=r"out_axes is .*no container"):
        ab.vmap(lambda x: x, out_axes=axes[0])(np.ones(2))


def test_statistics_of_batch_norm_are_refused_unless_suppressed() -> None:
    bn = ab.nn.BatchNorm1d(2, dtype=np.float64)
    x = RNG.standard_normal((3, 5, 2))
    with pytest.raises(OperationError, match="one value an example"):
        ab.vmap(bn)(x)
    assert bn.num_batches_tracked is not None and bn.num_batches_tracked.item() == 0
    with ab.no_effects():
        mapped = ab.vmap(bn)(x)
        looped = np.stack([value(bn(row)) for row in x])
    assert_close(mapped, looped, 1e-12)
    assert bn.num_batches_tracked.item() == 0
    ab.vmap(lambda s: (bn(x[0]) * s).sum())(np.ones(4))
    assert bn.num_batches_tracked.item() == 1
    bn.eval()
    assert_close(ab.vmap(bn)(x), np.stack([value(bn(row)) for row in x]), 1e-12)


def test_what_cannot_be_mapped_is_refused() -> None:
    with pytest.raises(ShapeError, match="different lengths: 2 and 3"):
        ab.vmap(lambda x, y: x)(np.ones(2), np.ones(3))
    with pytest.raises(OperationError, match="1 in_axes for 2 arguments"):
        ab.vmap(lambda x, y: x, in_axes=(0,))(np.ones(2), np.ones(2))
    with pytest.raises(OperationError, match="no argument is mapped"):
        ab.vmap(lambda x: x, in_axes=(None,))(np.ones(2))
    with pytest.raises(ShapeError, match=r"axis 1 of an argument of shape \(2,\)"):
        ab.vmap(lambda x: x, in_axes=1)(np.ones(2))
    with pytest.raises(ShapeError, match=r"axis 0 of an argument of shape \(\)"):
        ab.vmap(lambda x: x)(1.0)
    with pytest.raises(ShapeError, match="out_axes=2"):
        ab.vmap(lambda x: x, out_axes=2)(np.ones((2, 3)))
    for use in (bool, float, int, np.asarray, lambda x: x.item(), lambda x: x.tolist(), lambda x: np.arange(3)[x]):
        with pytest.raises(ConversionError):
            ab.vmap(lambda x, use=use: use(x))(np.ones(2))


def test_a_number_that_is_taken_out_of_an_example_is_no_view() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        number, view = y[-1], y[..., -1]
        y *= 3.0
        return number + 10.0 * view

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert_close(ab.vmap(f)(x), [f(ab.tensor(row)).item() for row in x])
    assert_close(ab.vmap(ab.grad(f))(x), [[0.0, 31.0], [0.0, 31.0]])


def test_a_view_that_no_grad_cut_stays_cut_in_a_mapped_gradient() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        with ab.no_grad():
            view = y[:]
        y *= x
        return (view * x).sum()

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert_close(ab.vmap(ab.grad(f))(x), x * x)
    assert_close(ab.grad(f)(x), x * x)
    assert_close(ab.grad(lambda x: ab.vmap(f)(x).sum())(x), x * x)


def test_what_is_mapped_over_is_not_written_into_without_a_gradient() -> None:
    def f(z: Any) -> Any:
        with ab.no_grad():
            z *= 2.0
        return z.sum()

    x = ab.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for mapped in (x, x * 1.0):
        with pytest.raises(MutationError, match=r"inside no_grad\(\) on the result"):
            ab.vmap(f)(mapped)
    assert_close(ab.vmap(f)(x.detach()), [6.0, 14.0])


def test_a_leaf_takes_no_batch_and_no_tangent() -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True)

    def f(z: Any) -> Any:
        with ab.no_grad():
            w[...] = z
        return (w * z).sum()

    with pytest.raises(OperationError, match="a write into a leaf inside vmap"):
        ab.vmap(f)(np.ones((3, 2)))
    assert_close(w.detach(), [1.0, 2.0])
    assert_close(ab.jvp(f, (np.array([3.0, 4.0]),), (np.ones(2),))[1].detach(), 7.0)
    assert_close(ab.grad(f)(np.array([3.0, 4.0])).detach(), [3.0, 4.0])
    assert w.is_leaf and w.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("function", "kind", "told"),
    [
        (lambda x, y: x + y, ab.ShapeError, r"add\(float64\[3\], float64\[4\]\): shapes \(3,\) and \(4,\) do not broadcast"),
        (lambda x, y: ab.where(x > 0, x, y), ab.ShapeError, r"where\(bool\[3\], float64\[3\], float64\[4\]\)"),
        (lambda x, y: x[np.array([True, False])], ab.OperationError, r"getitem\(float64\[3\], index=array\(\[ True, False\]\)\): boolean index did not match"),
        (lambda x, y: x[np.arange(5) < 2], ab.OperationError, r"getitem\(float64\[3\], index=[\s\S]*boolean index did not match"),
        (lambda x, y: x[7], ab.OperationError, r"getitem\(float64\[3\], index=7\)"),
        (lambda x, y: ab.floor(x * 1j), ab.DtypeError, r"floor\(complex128\[3\]\)"),
    ],
)
def test_what_fails_for_one_example_is_told_of_one_example(function: Any, kind: Any, told: str) -> None:
    with pytest.raises(kind, match=told + r"[\s\S]*test_mapping.py"):
        ab.vmap(function)(np.ones((2, 3)), np.ones((2, 4)))


def test_keyword_arguments_are_mapped_over_axis_0() -> None:
    def f(x: Any, k: Any = 1.0, *, p: Any = None) -> Any:
        return x * k if p is None else x * k + p["a"]

    x, k = np.arange(3.0), np.array([1.0, 10.0, 100.0])
    assert ab.vmap(f)(x, k=k).tolist() == [0.0, 10.0, 200.0]
    assert ab.vmap(f, in_axes=(None,))(2.0, k=k).tolist() == [2.0, 20.0, 200.0]
    assert ab.vmap(f)(x, k, p={"a": k}).tolist() == [1.0, 20.0, 300.0]
    assert ab.vmap(lambda *, x: x * 2.0)(x=x).tolist() == [0.0, 2.0, 4.0]
    with pytest.raises(ShapeError, match=r"the argument k of shape \(\).*keyword arguments are mapped over axis 0: .* None in in_axes"):
        ab.vmap(f)(x, k=2.0)
    with pytest.raises(ShapeError, match="different lengths"):
        ab.vmap(f)(x, k=np.ones(2))


@pytest.mark.parametrize("key", [lambda x: ab.argmax(x), lambda x: (slice(None, 1), ab.argsort(x))[1:], lambda x: x > 1.0])
def test_an_index_that_differs_between_examples_is_told_what_takes_its_place(key: Any) -> None:
    with pytest.raises(ConversionError, match=r"differs between the examples of ab.vmap: take elements by ab.take or [\s\S]*ab.where\n  at .*test_mapping.py"):
        ab.vmap(lambda x: x[key(x)])(np.eye(3))
    x = np.arange(12.0).reshape(3, 4)[:, ::-1]
    assert_close(ab.vmap(lambda x: ab.take(x, ab.argmin(x)))(x), x.min(axis=1))


def test_no_examples_are_written_into_as_any_others_are() -> None:
    def written(x: ab.Tensor) -> ab.Tensor:
        y = ab.zeros((3, 2)) * x.sum()
        y[1:] = x
        y.T[0] *= 2.0
        return y

    assert ab.vmap(written)(np.zeros((0, 2, 2))).shape == (0, 3, 2)
    assert ab.vmap(ab.grad(lambda x: written(x).sum()))(np.zeros((0, 2, 2))).shape == (0, 2, 2)


def test_an_argument_without_axes_is_told_how_all_examples_share_it() -> None:
    with pytest.raises(ab.ShapeError, match=r"of shape \(\), which has no such axis; None in in_axes is for an argument that all examples share$"):
        ab.vmap(lambda x, y: x * y)(ab.ones(3), 2.0)

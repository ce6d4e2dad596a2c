"""Shapes, places and order against NumPy (values) and PyTorch (gradients)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autograd_bn as ab
from tests.ops.torch_oracle import assert_same, torch_module
from tests.oracles import assert_close, gradient, value

X = np.random.default_rng(0).standard_normal((3, 4, 2))
SAME: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("flip", (), {}),
    ("flip", (), {"axis": (0, -1)}),
    ("roll", (5,), {}),
    ("roll", (-1,), {"axis": 1}),
    ("roll", ((1, 2),), {"axis": (0, 1)}),
    ("repeat", (2,), {}),
    ("repeat", (3,), {"axis": 1}),
    ("repeat", ([1, 0, 2],), {"axis": 0}),
    ("tile", (2,), {}),
    ("tile", ((2, 1, 3, 1),), {}),
    ("pad", (1,), {}),
    ("pad", (((0, 1), (2, 0), (1, 1)),), {"constant_values": 3.0}),
    ("pad", ((1, 2),), {"mode": "edge"}),
    ("pad", (1,), {"mode": "reflect"}),
    ("pad", (1,), {"mode": "symmetric"}),
    ("pad", (3,), {"mode": "wrap"}),
    ("moveaxis", (0, -1), {}),
    ("moveaxis", ((0, 1), (2, 0)), {}),
    ("swapaxes", (0, -1), {}),
    ("diff", (), {}),
    ("diff", (), {"n": 2, "axis": 1}),
    ("diff", (), {"axis": 0, "prepend": np.zeros((1, 4, 2)), "append": np.ones((2, 4, 2))}),
    ("tril", (), {"k": 1}),
    ("triu", (), {"k": -1}),
    ("diagonal", (), {}),
    ("diagonal", (-1, 1, 0), {}),
    ("diagonal", (7,), {}),
    ("trace", (1, 0, 2), {}),
    ("sort", (), {"axis": 1}),
    ("sort", (), {"axis": None}),
    ("expand_dims", ((0, -1),), {}),
    ("expand_dims", (), {"axis": (1, 3)}),
    ("broadcast_to", ((2, 3, 4, 2),), {}),
    ("diff", (), {"axis": np.int64(0), "n": np.int64(2)}),
    ("roll", (np.int64(1),), {"axis": np.int64(1)}),
    ("tile", (np.int64(2),), {}),
    ("moveaxis", (np.int64(0), np.int64(2)), {}),
    ("reshape", (np.int64(24),), {}),
    ("sum", (), {"axis": np.int64(1)}),
    ("take", ([3, 0, -1],), {"axis": 1}),
    ("take", ([[3, 0], [5, 5]],), {}),
    ("cumsum", (), {"axis": 1}),
    ("cumprod", (), {"axis": -1}),
]
if hasattr(np, "cumulative_sum"):  # NumPy 2.1
    SAME += [("cumulative_sum", (), {"axis": 1}), ("cumulative_prod", (), {"axis": -1})]


@pytest.mark.parametrize(
    ("name", "args"),
    [("repeat", (1,)), ("repeat", (2, 0)), ("tile", ((1, 1),)), ("tile", (2,)), ("roll", (0,)), ("roll", (1,)), ("nan_to_num", ()), ("tril", ()), ("triu", ())],
)
def test_flags_are_rearranged(name: str, args: Any) -> None:
    flags = np.array([[True, False], [True, True]])
    for run in (getattr(ab, name), ab.jit(getattr(ab, name))):
        out = run(ab.tensor(flags), *args)
        np.testing.assert_array_equal(value(out), getattr(np, name)(flags, *args), strict=True)


@pytest.mark.parametrize(("name", "args", "kwargs"), SAME)
def test_values_and_gradients_are_those_of_numpys_function(name: str, args: Any, kwargs: Any) -> None:
    plain = getattr(np, name)
    out, pullback = ab.vjp(lambda x: getattr(ab, name)(x, *args, **kwargs), X)
    expected = plain(X, *args, **kwargs)
    assert np.array_equal(value(out), expected) or "prod" in name
    g = np.random.default_rng(1).standard_normal(expected.shape)
    assert_close(pullback(g)[0], gradient(lambda x: plain(x, *args, **kwargs), [X], 0, g), 1e-7)
    assert_close(plain(ab.tensor(X), *args, **kwargs), expected, 1e-12)
    narrow = ab.tensor(X.astype("float32"), requires_grad=True)
    small = getattr(ab, name)(narrow, *args, **kwargs) if not any(isinstance(v, np.ndarray) for v in kwargs.values()) else narrow
    small.sum().backward()
    assert small.dtype == np.float32 and narrow.grad.dtype == np.float32
    mapped = ab.vmap(lambda x: getattr(ab, name)(x, *args, **kwargs))(np.stack([X, 2 * X]))
    assert_close(mapped, np.stack([expected, plain(2 * X, *args, **kwargs)]), 1e-12)


@pytest.mark.parametrize("k", [-2, 0, 1])
def test_diag_makes_a_matrix_and_takes_it_apart(k: int) -> None:
    torch = torch_module()
    assert_same(lambda t: ab.diag(t, k), lambda t: torch.diag(t, k), [np.arange(1.0, 4.0)])
    assert_same(lambda t: ab.diag(t, k), lambda t: torch.diag(t, k), [X[:, :, 0]])
    assert_same(lambda t: ab.linalg.diagonal(t, offset=k), lambda t: torch.diagonal(t, k, -2, -1), [X])


def test_parts_come_back_together() -> None:
    torch = torch_module()
    assert_same(lambda t: ab.unstack(t, axis=1), lambda t: torch.unbind(t, 1), [X])
    assert_same(lambda t: ab.split(t, 2, axis=1), lambda t: torch.split(t, 2, 1), [X])
    assert [p.shape for p in ab.split(X, [1, 1, 3], axis=1)] == [(3, 1, 2), (3, 0, 2), (3, 2, 2), (3, 1, 2)]
    with pytest.raises(ab.ShapeError, match="3 equal parts"):
        ab.split(X, 3, axis=1)
    for indexing in ("xy", "ij"):
        grids = ab.meshgrid(np.arange(2.0), np.arange(3.0), np.arange(4.0), indexing=indexing)
        for mine, numpys in zip(grids, np.meshgrid(np.arange(2.0), np.arange(3.0), np.arange(4.0), indexing=indexing), strict=True):
            assert np.array_equal(value(mine), numpys)


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_sends_each_gradient_back_to_its_place(descending: bool) -> None:
    torch = torch_module()
    x = np.random.default_rng(2).integers(0, 3, (4, 6)).astype(float)  # with ties
    assert_same(lambda t: ab.sort(t, axis=1, descending=descending), lambda t: torch.sort(t, dim=1, descending=descending, stable=True).values, [x], dtype=True)
    theirs = torch.argsort(torch.tensor(x), dim=0, descending=descending, stable=True).numpy()
    assert np.array_equal(value(ab.argsort(x, 0, descending=descending)), theirs)


def test_places_are_integers_that_exist() -> None:
    x = ab.tensor(np.arange(3.0), requires_grad=True)
    with pytest.raises(ab.DtypeError, match="integers"):
        ab.take_along_axis(x, np.array([0.5]))
    with pytest.raises(ab.OperationError):
        ab.take_along_axis(x, np.array([3]))
    with pytest.raises(ab.ShapeError, match="axes"):
        ab.take_along_axis(x, np.array([[0]]))
    ab.take_along_axis(x, np.array([-1, 2, 0])).sum().backward()
    assert value(x.grad).tolist() == [1.0, 0.0, 2.0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_taking_along_any_axis_of_any_shapes(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    other = tuple(data.draw(st.integers(0, 3)) if i == axis % len(shape) else data.draw(st.sampled_from([1, n])) for i, n in enumerate(shape))
    n = shape[axis]
    places = data.draw(hnp.arrays(np.int64, other, elements=st.integers(-n, n - 1)))
    x = np.random.default_rng(0).standard_normal((2, *shape))
    expected = [np.take_along_axis(row, places, axis) for row in x]
    g = np.random.default_rng(1).standard_normal(expected[0].shape)
    assert_close(ab.take_along_axis(x[0], places, axis), expected[0], 1e-12)
    assert_close(
        ab.vjp(lambda t: ab.take_along_axis(t, places, axis), x[0])[1](g)[0], gradient(lambda t: np.take_along_axis(t, places, axis), [x[0]], 0, g), 1e-10
    )
    both = ab.vmap(lambda t, p: ab.take_along_axis(t, p, axis))(x, np.stack([places, places[..., ::-1]]))
    assert_close(both, np.stack([expected[0], np.take_along_axis(x[1], places[..., ::-1], axis)]), 1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_each_example_may_take_from_places_of_its_own(axis: Any) -> None:
    places = np.array([[[0, 1], [1, 1]], [[1, 0], [0, 0]]])
    mapped = ab.vmap(lambda p: ab.take(X, p, axis=axis))(places)
    assert_close(mapped, np.stack([np.take(X, p, axis=axis) for p in places]), 1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ab.pad(X, 1, mode="mean"), ab.OperationError, "'mean'"),
        (lambda: ab.pad(X, -1), ab.OperationError, "from 0 up"),
        (lambda: ab.pad(X, ((1, 1), (1, 1))), ab.ShapeError, "pair an axis"),
        (lambda: ab.pad(X, 1, constant_values=(1, 2)), ab.OperationError, "one number"),
        (lambda: ab.roll(X, (1, 2), axis=0), ab.ShapeError, "2 shifts"),
        (lambda: ab.repeat(X, [1, 2], axis=0), ab.ShapeError, "length 3"),
        (lambda: ab.moveaxis(X, (0, 1), 0), ab.ShapeError, "2 axes"),
        (lambda: ab.diff(X, n=-1), ab.OperationError, "negative"),
        (lambda: ab.diag(X), ab.ShapeError, "vector or a matrix"),
        (lambda: ab.tril(X[0, 0]), ab.ShapeError, "two axes"),
        (lambda: ab.sort(X, axis=(0, 1)), ab.ShapeError, r"one integer, here from -3 to 2; got \(0, 1\)\n  at .*test_rearranging"),
        (lambda: ab.cumulative_sum(X, axis=(0, 1)), ab.ShapeError, "one integer"),
        (lambda: ab.stack([X, X], axis=None), ab.ShapeError, "one integer, here from -4 to 3"),  # type: ignore[arg-type]
        (lambda: ab.sum(X, axis=0.5), ab.ShapeError, "one integer"),  # type: ignore[arg-type]
        (lambda: ab.expand_dims(X, (0, 0)), ab.ShapeError, "one axis twice"),
        (lambda: ab.expand_dims(X, (0, 5)), ab.ShapeError, "axis 5 does not exist in a tensor of 5 axes"),
        (lambda: ab.flatten(X, 3), ab.ShapeError, "axis 3 does not exist"),
        (lambda: ab.roll(X, 0.5), ab.OperationError, "an integer is wanted, or several, got 0.5"),  # type: ignore[arg-type]
        (lambda: ab.stack([]), ab.ShapeError, "no tensors"),
        (lambda: ab.take(X[:2, 0, 0], [True, False]), ab.OperationError, r"take: places are integers, got bool\[2\]; for a mask write x\[mask\]"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_the_padding_itself_has_a_gradient() -> None:
    fill = ab.tensor(2.0, requires_grad=True)
    ab.pad(np.ones((2, 2)), 1, constant_values=fill).sum().backward()
    assert value(fill.grad) == 12.0


def test_reshape_takes_no_other_order() -> None:
    x = ab.tensor(np.arange(6.0))
    for reshaped in (lambda: x.reshape((2, 3), "F"), lambda: np.reshape(x, (2, 3), "F"), lambda: ab.reshape(x, (2, 3), 1)):  # type: ignore[arg-type, call-overload]
        with pytest.raises(ab.OperationError, match=r"in C order alone, one by one or as one tuple, got \(2, 3\) and"):
            reshaped()


def test_places_of_all_elements_in_a_row() -> None:
    assert np.array_equal(value(ab.argsort(X, axis=None)), np.argsort(X, axis=None, kind="stable"))
    order = np.argsort(-X, axis=None)
    out, pullback = ab.vjp(lambda x: ab.take_along_axis(x, order[:5], axis=None), X)
    assert np.array_equal(value(out), np.take_along_axis(X, order[:5], axis=None))
    assert np.array_equal(value(pullback(np.ones(5))[0]).reshape(-1), np.isin(np.arange(X.size), order[:5]))


def test_numpys_integers_are_integers() -> None:
    two = np.int64(2)
    assert ab.tensor(X).reshape(np.int64(12), two).shape == (12, 2)
    assert [p.shape for p in ab.split(X, two, axis=1)] == [(3, 2, 2)] * 2
    assert ab.broadcast_to(1.0, two).shape == (2,)
    assert ab.tensordot(X, X.T, np.int64(1)).shape == (3, 4, 4, 3)
    assert ab.vmap(ab.sin, in_axes=two, out_axes=two)(X).shape == X.shape
    assert ab.nn.Generator(0).normal(two).shape == (2,)
    layers = ab.nn.Sequential(ab.nn.Conv1d(two, np.int64(3), two, bias=False), ab.nn.BatchNorm1d(np.int64(3)), ab.nn.MaxPool1d(two), ab.nn.LayerNorm(two))
    assert layers(np.ones((4, 2, 5), np.float32)).shape == (4, 3, 2)
    assert "int64" not in repr(layers)


def test_differences_of_flags_are_whether_they_differ() -> None:
    flags = np.array([[True, False, False], [True, True, False]])
    for n in (1, 2):
        assert np.array_equal(value(ab.diff(flags, n=n)), np.diff(flags, n=n))


def test_an_empty_tensor_shows_its_shape() -> None:
    assert repr(ab.zeros(0)) == "tensor([])"
    assert repr(ab.zeros((0, 3), dtype="float32")) == "tensor([], shape=(0, 3), dtype=float32)"

"""einsum and its relatives: values as NumPy's, gradients as PyTorch's, any subscripts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_bn as ab
from tests.ops.torch_oracle import assert_same, torch_module
from tests.oracles import assert_close, gradient

LENGTH = {"i": 2, "j": 3, "k": 4, "l": 2, "m": 1}


def checked(subscripts: str, operands: list[Any], rng: np.random.Generator) -> Any:
    """NumPy's value, which einsum gives too, with the right gradients."""
    expected = np.einsum(subscripts, *operands)
    out, pullback = ab.vjp(lambda *xs: ab.einsum(subscripts, *xs), *operands)
    assert_close(out, expected, 1e-12)
    g = rng.standard_normal(expected.shape)
    for i, c in enumerate(pullback(g)):
        assert_close(c, gradient(lambda *xs: np.einsum(subscripts, *xs), operands, i, g), 1e-9)
    return expected


@pytest.mark.parametrize(
    "subscripts",
    [
        "ij,jk->ik",
        "ij,jk",
        "ii->i",
        "ii",
        "iil->l",
        "ijk->kji",
        "ijk->",
        "ij,ij->",
        "ij,k->kji",
        "i,j,k->",
        "ij,jk,kl->il",
        "ij,jk,kl,li->",
        "jii,i->j",
        "im,mj->ij",
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_einsum_is_that_of_pytorch(subscripts: str, dtype: str) -> None:
    torch = torch_module()
    rng = np.random.default_rng(1)
    operands = [rng.standard_normal([LENGTH[i] for i in term]).astype(dtype) for term in subscripts.split("->")[0].split(",")]
    assert_same(lambda *t: ab.einsum(subscripts, *t), lambda *t: torch.einsum(subscripts, *t), operands, 1e-11 if dtype == "float64" else 1e-5)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_any_subscripts_have_numpys_values_right_gradients_and_batches(data: Any) -> None:
    letters = st.sampled_from("ijklm")
    terms = data.draw(st.lists(st.lists(letters, max_size=3).map("".join), min_size=1, max_size=3))
    named = sorted(set("".join(terms)))
    result = "".join(data.draw(st.permutations(named))[: data.draw(st.integers(0, len(named)))])
    subscripts = ",".join(terms) + "->" + result
    rng = np.random.default_rng(2)
    operands = [rng.standard_normal([LENGTH[i] for i in term]) for term in terms]
    expected = checked(subscripts, operands, rng)
    mapped = ab.vmap(lambda *xs: ab.einsum(subscripts, *xs))(*(np.stack([x, -x]) for x in operands))
    assert_close(mapped, np.stack([expected, expected * (-1) ** len(terms)]), 1e-12)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("...ij,...jk->...ik", [(2, 1, 2, 3), (4, 3, 2)]),
        ("...i,i...->...", [(3, 2), (2, 3)]),
        ("i...->...i", [(2, 3, 4)]),
        ("ij,ij->ij", [(1, 3), (2, 1)]),
        ("...,...", [(2, 3), ()]),
    ],
)
def test_dots_and_axes_of_length_one_are_broadcast(subscripts: str, shapes: Any) -> None:
    rng = np.random.default_rng(3)
    operands = [rng.standard_normal(s) for s in shapes]
    assert_close(np.einsum(subscripts, *map(ab.tensor, operands)), checked(subscripts, operands, rng), 1e-12)


def test_einsum_has_second_derivatives_in_every_mode() -> None:
    rng = np.random.default_rng(4)
    x, v = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))

    def f(t: Any) -> Any:
        return ab.einsum("ij,kj,ij->", t, t, t)

    expected = (np.asarray(ab.grad(f)(x + 1e-6 * v).numpy()) - ab.grad(f)(x - 1e-6 * v).numpy()) / 2e-6
    assert_close(ab.jvp(ab.grad(f), (x,), (v,))[1], expected, 1e-6)
    assert_close(ab.grad(lambda t: (ab.grad(f)(t) * v).sum())(x), expected, 1e-6)


@pytest.mark.parametrize("axes", [0, 1, ((1, 0), (0, 2)), (1, 0)])
def test_tensordot_is_that_of_pytorch(axes: Any) -> None:
    torch = torch_module()
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 3)), rng.standard_normal((3, 4, 2))
    dims = tuple((a,) if isinstance(a, int) else a for a in axes) if isinstance(axes, tuple) else axes
    assert_same(lambda a, b: ab.tensordot(a, b, axes=axes), lambda a, b: torch.tensordot(a, b, dims=dims), [x, y])


def test_vecdot_and_outer_are_those_of_pytorch() -> None:
    torch = torch_module()
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((2, 1, 3)), rng.standard_normal((4, 3))
    assert_same(ab.vecdot, torch.linalg.vecdot, [x, y])
    assert_same(ab.outer, torch.outer, [x[0, 0], y[:, 0]])


@pytest.mark.parametrize(
    ("subscripts", "shapes", "error", "words"),
    [
        ("ij,jk->ik", [(2, 3), (4, 2)], ab.ShapeError, "lengths 3 and 4"),
        ("ij->i", [(2,)], ab.ShapeError, "2 axes"),
        ("ij,j", [(2, 3)], ab.OperationError, "2 operands"),
        ("ij->ii", [(2, 2)], ab.OperationError, "twice"),
        ("ij->k", [(2, 2)], ab.OperationError, "no operand"),
        ("i-j", [(2,)], ab.OperationError, "not subscripts"),
        ("...i->i", [(2, 2)], ab.OperationError, "after '->'"),
        ("ii", [(2, 3)], ab.ShapeError, "lengths"),
    ],
)
def test_wrong_subscripts_are_refused_with_the_reason(subscripts: str, shapes: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ab.einsum(subscripts, *(np.ones(s) for s in shapes))

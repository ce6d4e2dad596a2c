"""Linear algebra against NumPy (values) and PyTorch (gradients); refused where there is no derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.testing import check_gradients
from tests.ops.torch_oracle import assert_same, torch_module
from tests.oracles import assert_close, value

RNG = np.random.default_rng(0)
SQUARE = [RNG.standard_normal(shape) + 3 * np.eye(shape[-1]) for shape in ((3, 3), (2, 1, 4, 4))]
DEFINITE = [x @ np.swapaxes(x, -1, -2) for x in SQUARE]


def symmetric(x: Any) -> Any:
    return (x + x.mT) / 2


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("x", SQUARE)
@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "svdvals"])
def test_functions_of_square_matrices_are_those_of_pytorch(name: str, x: Any, dtype: str) -> None:
    torch = torch_module()
    assert_same(getattr(ab.linalg, name), getattr(torch.linalg, name), [x.astype(dtype)], 1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("x", DEFINITE)
@pytest.mark.parametrize("name", ["cholesky", "eigvalsh"])
def test_functions_of_symmetric_matrices_are_those_of_pytorch(name: str, x: Any) -> None:
    torch = torch_module()
    assert_same(getattr(ab.linalg, name), lambda t: getattr(torch.linalg, name)(symmetric(t)), [x], 1e-9)


@pytest.mark.parametrize("x", DEFINITE)
def test_eigenvectors_have_pytorchs_gradients_but_for_their_sign(x: Any) -> None:
    torch = torch_module()

    def use(w: Any, v: Any) -> Any:  # every eigenvector's projector, weighted_squares with its value
        return ((v * w[..., None, :]) @ v.mT)[..., 0, 1] * (v[..., 0, :] ** 2).sum(-1) + (v[..., 1, 0] ** 2) * w[..., -1]

    assert_same(lambda t: use(*ab.linalg.eigh(t)), lambda t: use(*torch.linalg.eigh(symmetric(t))), [x], 1e-8)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 5), (2, 3, 2)])
def test_singular_vectors_have_pytorchs_gradients_but_for_their_sign(shape: Any) -> None:
    torch = torch_module()
    x = np.random.default_rng(1).standard_normal(shape)

    def use(u: Any, s: Any, vh: Any) -> Any:
        return (u[..., 0, :] * vh[..., :, 1]) * s**2 + u[..., 1, :] ** 2

    assert_same(lambda t: use(*ab.linalg.svd(t)), lambda t: use(*torch.linalg.svd(t, full_matrices=False)), [x], 1e-8)
    u, s, vh = ab.linalg.svd(x)
    assert_close((u * s[..., None, :]) @ vh, x, 1e-12)


@pytest.mark.parametrize("shapes", [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 1, 3, 3), (4, 3, 1))])
def test_solve_is_that_of_pytorch(shapes: Any) -> None:
    torch = torch_module()
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(shapes[0]) + 3 * np.eye(3), rng.standard_normal(shapes[1])
    assert_same(ab.linalg.solve, torch.linalg.solve, [x, y], 1e-10)


@pytest.mark.parametrize("run", [lambda f: f, functools.partial(ab.jit, emitter="numpy"), ab.jit])
def test_equal_eigenvalues_have_gradients_and_their_vectors_are_refused(run: Callable[..., Any]) -> None:
    generic = np.diag([3.0, 2.0, 1.0]) + 0.1
    for values in (ab.linalg.eigvalsh, ab.linalg.svdvals):
        gradient = run(ab.grad(lambda x, values=values: values(x).sum()))
        for x in (np.eye(3), 2 * np.eye(3), np.diag([2.0, 1.0, 1.0])):
            assert_close(gradient(x), np.eye(3), 1e-12)
    for vectors, singular in ((lambda x: ab.linalg.eigh(x).eigenvectors, "eigenvalues are equal"), (lambda x: ab.linalg.svd(x).U, "singular values are equal")):

        def weighted_squares(x: Any, vectors: Callable[..., Any] = vectors) -> Any:
            return (vectors(x) ** 2 * np.arange(9.0).reshape(3, 3)).sum()

        gradient = run(ab.grad(weighted_squares))
        for _ in range(2):
            assert_close(gradient(generic), ab.grad(weighted_squares)(generic), 1e-12)
            with pytest.raises(ab.GradientError, match=singular):
                gradient(np.eye(3))
    with pytest.raises(ab.GradientError, match="singular value is 0"):
        run(ab.grad(lambda x: (ab.linalg.svd(x).U ** 3).sum()))(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))


RANKS = {
    "0 of 1": np.zeros((1, 1)),
    "0 of 2": np.zeros((2, 2)),
    "1 of 2": np.ones((2, 2)),
    "2 of 3": np.diag([1.0, 2.0, 0.0]),
    "1 of 3": np.ones((3, 3)),
    "some": np.stack([np.eye(3), np.diag([0.0, 1.0, 2.0]), np.arange(9.0).reshape(3, 3)]),
}


@pytest.mark.parametrize("rank", RANKS)
def test_the_determinant_has_a_gradient_at_every_rank(rank: str) -> None:
    check_gradients(ab.linalg.det, RANKS[rank], also=("vmap", "checkpoint") if rank == "some" else ("checkpoint",))


def test_the_second_derivative_of_the_determinant_of_a_nearly_singular_matrix_keeps_its_digits() -> None:
    x = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]) + np.outer([0.0, 1.0, 0.0], [1.0, 0.0, 2.0])
    assert 0 < abs(np.linalg.det(x)) < 1e-14  # it would be 0, but is rounded
    direction = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5], [1.0, 3.0, -2.0]])

    def cofactors(x: Any) -> Any:
        minors = [[np.delete(np.delete(x, i, 0), j, 1) * [[(-1) ** (i + j)], [1]] for j in range(3)] for i in range(3)]
        return np.array([[m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0] for m in row] for row in minors])

    expected = (cofactors(x + direction) - cofactors(x - direction)) / 2  # of quadratic functions, exactly
    gradient = ab.grad(ab.linalg.det)
    assert_close(ab.jvp(gradient, (x,), (direction,))[1], expected, 1e-14)
    assert_close(ab.grad(lambda x: (gradient(x) * direction).sum())(x), expected, 1e-14)
    assert_close(ab.vmap(ab.grad(lambda x: (gradient(x) * direction).sum()))(np.stack([np.eye(3), x]))[1], expected, 1e-14)


def test_the_gradient_of_the_determinant_of_a_singular_complex_matrix_is_that_of_its_minors() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3))
    x[1] = 0
    minors = [[np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) * (-1) ** (i + j) for j in range(3)] for i in range(3)]
    assert_close(ab.grad(lambda x: ab.real(ab.linalg.det(x)))(x), np.conj(minors), 1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ab.linalg.inv(np.ones((2, 2))), ab.OperationError, "Singular"),
        (lambda: ab.grad(ab.linalg.det)(np.zeros((65, 65))), ab.OperationError, "Singular"),
        (lambda: ab.grad(lambda x: ab.linalg.det(x).sum())(np.zeros((70, 25, 25))), ab.OperationError, "Singular"),
        (lambda: ab.vmap(ab.grad(ab.linalg.det))(np.zeros((70, 25, 25))), ab.OperationError, "Singular"),
        (lambda: ab.jit(ab.grad(ab.linalg.det))(ab.tensor(np.ones((2, 2)))), ab.OperationError, "Singular"),
        (lambda: ab.grad(lambda x: ab.linalg.slogdet(x).logabsdet)(np.ones((2, 2))), ab.OperationError, "Singular"),
        (lambda: ab.linalg.cholesky(-np.eye(2)), ab.OperationError, "positive definite"),
        (lambda: ab.linalg.inv(np.ones((2, 3))), ab.ShapeError, "square"),
        (lambda: ab.linalg.solve(np.eye(3), np.ones((2, 2))), ab.ShapeError, "3 equations"),
        (lambda: ab.linalg.eigh(1j * np.eye(2)), ab.DtypeError, "real"),
        (lambda: ab.linalg.svd(np.ones((3, 2)), full_matrices=True), ab.OperationError, "not determined"),
    ],
)
def test_what_has_no_answer_is_refused_with_the_reason(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_numpys_own_functions_are_recorded() -> None:
    x = ab.tensor(DEFINITE[0], requires_grad=True)
    for name in ("inv", "det", "cholesky", "norm", "trace", "diagonal", "eigvalsh"):
        out = getattr(np.linalg, name)(x)
        assert isinstance(out, ab.Tensor) and out.requires_grad
        assert_close(out, getattr(np.linalg, name)(value(x)), 1e-9)
    with pytest.raises(ab.OperationError, match="full_matrices=True.*pass full_matrices=False"):  # NumPy's default
        np.linalg.svd(x[:2])
    assert np.linalg.svd(x[:2], full_matrices=False)[2].shape == np.linalg.svd(value(x[:2]), full_matrices=False)[2].shape


@pytest.mark.parametrize("values", [ab.linalg.eigvalsh, ab.linalg.svdvals])
def test_equal_values_have_gradients_under_vmap_too(values: Any) -> None:
    x = np.stack([np.eye(3) * 2.0, np.diag([1.0, 2.0, 3.0])])
    weights = np.array([1.0, -2.0, 0.5])

    def weighted(a: Any) -> Any:
        return (values(a) * weights).sum()

    loop = [value(ab.grad(weighted)(a)) for a in x]
    assert_close(ab.vmap(ab.grad(weighted))(x), np.stack(loop), 1e-12)
    rows = value(ab.jacobian(values, mode="reverse")(x[0]))
    assert_close(np.tensordot(weights, rows, 1), loop[0], 1e-12)
    with pytest.raises(ab.GradientError, match="values are equal"):
        ab.vmap(ab.grad(lambda a: (ab.linalg.eigh(a)[1] ** 3).sum()))(x)

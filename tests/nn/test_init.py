from __future__ import annotations

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.nn import init


def test_normal_has_the_asked_mean_and_deviation() -> None:
    x = init.normal((400, 300), 0, mean=1.0, std=0.5)
    assert x.dtype == np.float32
    assert abs(x.mean() - 1) < 0.01
    assert abs(x.std() - 0.5) < 0.01


@pytest.mark.parametrize(
    ("values", "bound"),
    [
        (init.xavier_uniform((300, 100), 0), np.sqrt(6 / 400)),
        (init.kaiming_uniform((300, 100), 0), np.sqrt(6 / 100)),
        (init.kaiming_uniform((300, 100), 0, slope=5**0.5), 0.1),
        (init.kaiming_uniform((30, 10, 3, 3), 0), np.sqrt(6 / 90)),
    ],
)
def test_uniform_values_fill_their_bounds(values: np.ndarray, bound: float) -> None:  # type: ignore[type-arg]
    assert 0.99 * bound < abs(values).max() <= bound
    assert abs(values.mean()) < 0.05 * bound


@pytest.mark.parametrize(
    ("values", "std"),
    [
        (init.xavier_normal((300, 100), 0), np.sqrt(2 / 400)),
        (init.xavier_normal((300, 100), 0, gain=3.0), 3 * np.sqrt(2 / 400)),
        (init.kaiming_normal((300, 100), 0), np.sqrt(2 / 100)),
        (init.kaiming_normal((100, 30, 3, 3), 0, slope=1.0), np.sqrt(1 / 270)),
        (init.uniform((300, 100), 0, low=-1.0, high=3.0) - 1, 4 / np.sqrt(12)),
    ],
)
def test_the_deviation_is_the_one_of_the_paper(values: np.ndarray, std: float) -> None:  # type: ignore[type-arg]
    assert values.dtype == np.float32
    assert abs(values.std() / std - 1) < 0.02
    assert abs(values.mean()) < 5 * std / np.sqrt(values.size)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3)])
def test_orthogonal_rows_or_columns_are_at_right_angles(shape: tuple[int, ...]) -> None:
    w = init.orthogonal(shape, 0, gain=2.0, dtype="float64").reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    assert init.orthogonal(shape, 0).shape == shape


def test_orthogonal_matrices_are_drawn_evenly() -> None:
    signs = np.array([np.sign(np.diag(init.orthogonal((2, 2), seed))) for seed in range(400)])
    assert (abs(signs.mean(0)) < 0.25).all()


def test_a_generator_goes_on_and_a_seed_starts_again() -> None:
    g = init.generator(0)
    assert init.generator(g) is g
    assert isinstance(g.bit_generator, np.random.Philox)
    assert (init.normal((3,), g) != init.normal((3,), g)).any()
    assert (init.normal((3,), 0) == init.normal((3,), 0)).all()
    assert (init.normal((3,)) != init.normal((3,))).any()


def test_errors() -> None:
    with pytest.raises(OperationError, match="seed"):
        init.generator(-1)
    with pytest.raises(OperationError, match="seed"):
        init.generator("0")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        init.xavier_uniform((3,), 0)


@pytest.mark.parametrize("name", ["kaiming_normal", "kaiming_uniform", "normal", "orthogonal", "uniform", "xavier_normal", "xavier_uniform"])
def test_a_tensor_for_a_shape_is_told_what_to_give(name: str) -> None:
    draw = getattr(ab.nn.init, name)
    with pytest.raises(ShapeError, match=r"a shape is a sequence of integers, got Tensor; give its .shape"):
        draw(ab.nn.Linear(2, 3).weight)
    with pytest.raises(ShapeError, match="got int"):
        draw(3)
    assert draw([np.int64(3), 2], 0).shape == (3, 2)

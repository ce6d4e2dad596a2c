from __future__ import annotations

import numpy as np
import pytest

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

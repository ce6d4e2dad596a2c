from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autograd_bn.core.errors import ShapeError
from autograd_bn.nn import functional as F
from tests.messages import refused


def test_linear_is_x_times_w_transposed_plus_b() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 5, 3)), rng.standard_normal((4, 3)), rng.standard_normal(4)
    np.testing.assert_allclose(F.linear(x, w, b).numpy(), x @ w.T + b)
    np.testing.assert_allclose(F.linear(x, w).numpy(), x @ w.T)


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda x: F.linear(x, np.ones((2, 3))), ShapeError, ["x float64[6, 4]", "weight float64[2, 3]", "(…, 3)"]),
        (lambda x: F.linear(x.reshape(1, 6, 4), np.ones((2, 24))), ShapeError, ["flatten"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts, "test_linear.py"):
        call(np.random.default_rng(0).standard_normal((6, 4)))

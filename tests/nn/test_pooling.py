from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.nn import functional
from tests.messages import refused
from tests.ops.torch_oracle import assert_same, torch_module


class Case(NamedTuple):
    """A kind of pooling, a shape and settings."""

    kind: str
    rank: int
    x: tuple[int, ...]
    settings: dict[str, Any]


def drawn(seed: int) -> Case:
    """A random case; half of them with windows that do not overlap."""
    rng = np.random.default_rng(seed)
    kind, rank = str(rng.choice(["max", "avg"])), int(rng.integers(1, 3))
    kernel = tuple(map(int, rng.integers(1, 4, rank)))
    dilation = tuple(map(int, rng.integers(1, 3, rank))) if kind == "max" else (1,) * rank
    settings: dict[str, Any] = {"kernel_size": kernel, "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)}
    if rng.random() < 0.5:
        settings["stride"] = tuple(map(int, rng.integers(1, 4, rank)))
    settings |= {"dilation": dilation} if kind == "max" else {"count_include_pad": bool(rng.random() < 0.5)}
    lengths = [int((k - 1) * d + 1 + rng.integers(0, 6)) for k, d in zip(kernel, dilation, strict=True)]
    x = (int(rng.integers(1, 4)), int(rng.integers(1, 4)), *lengths)
    return Case(kind, rank, x if rng.random() < 0.8 else x[1:], settings)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(25))
def test_values_and_gradients_agree_with_pytorch(seed: int, dtype: str) -> None:
    case = drawn(seed)
    x = np.random.default_rng(seed).standard_normal(case.x).astype(dtype)
    ours, theirs = (getattr(place, f"{case.kind}_pool{case.rank}d") for place in (functional, torch_module().nn.functional))
    assert_same(lambda x: ours(x, **case.settings), lambda x: theirs(x, **case.settings), [x], 1e-12 if dtype == "float64" else 1e-5)


def test_the_random_cases_cover_the_settings() -> None:
    cases = [drawn(seed) for seed in range(25)]
    assert {(case.kind, case.rank) for case in cases} == {("max", 1), ("max", 2), ("avg", 1), ("avg", 2)}
    assert {case.settings.get("count_include_pad") for case in cases if any(case.settings["padding"])} == {None, True, False}
    assert {"stride" in case.settings for case in cases} == {True, False}


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 7])
def test_adaptive_means_agree_with_pytorch(rank: int, parts: int) -> None:
    x = np.random.default_rng(parts).standard_normal((2, 3, 5, 6)[: 2 + rank])
    wanted = parts if rank == 1 else (parts, 2)
    ours, theirs = (getattr(place, f"adaptive_avg_pool{rank}d") for place in (functional, torch_module().nn.functional))
    assert_same(lambda x: ours(x, wanted), lambda x: theirs(x, wanted), [x], 1e-14)


@pytest.mark.parametrize("seed", [0, 1, 4, 6])
def test_every_derivative_is_right(seed: int) -> None:
    case = drawn(seed)
    function = getattr(functional, f"{case.kind}_pool{case.rank}d")
    x = np.random.default_rng(seed).permutation(np.linspace(-2, 2, int(np.prod(case.x)))).reshape(case.x)  # no two are near each other
    ab.testing.check_gradients(lambda x: function(x, **case.settings), x, also=("vmap", "checkpoint", "jit"), elements=12)


def test_elements_that_tie_share_the_gradient_equally() -> None:
    x = ab.tensor([[[1.0, 1.0, 0.0, 2.0], [1.0, 0.0, 2.0, 1.0]]], requires_grad=True)
    functional.max_pool2d(x, 2).backward(np.array([[[6.0, 4.0]]]))
    np.testing.assert_array_equal(x.grad.numpy(), [[[2, 2, 0, 2], [2, 0, 2, 0]]])


def test_padding_is_never_the_largest() -> None:
    np.testing.assert_array_equal(functional.max_pool1d(np.array([[-3.0, -2.0, -1.0]]), 2, 2, 1).numpy(), [[-3, -1]])
    out = functional.max_pool1d(np.array([[-3, -2, -1]]), 2, 2, 1)
    assert out.dtype == np.int64
    assert out.tolist() == [[-3, -1]]


def test_not_a_number_is_seen() -> None:
    assert np.isnan(functional.max_pool1d(np.array([[1.0, np.nan, 3.0, 4.0]]), 2).numpy()).tolist() == [[True, False]]


def test_what_does_not_fill_a_window_is_left_out() -> None:
    x = ab.tensor(np.arange(5.0)[None], requires_grad=True)
    y = functional.max_pool1d(x, 2)
    assert y.tolist() == [[1.0, 3.0]]
    y.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("function", "x", "settings", "kind", "parts"),
    [
        ("max_pool2d", (1, 4, 4), {"kernel_size": 5}, ShapeError, ["kernel 5×5 is larger than the input, 4×4"]),
        ("avg_pool1d", (1, 4), {"kernel_size": 0}, OperationError, ["kernel_size must be", "from 1 up"]),
        ("avg_pool2d", (1, 4, 4), {"kernel_size": (2, 2, 2)}, OperationError, ["kernel_size must be", "(2, 2, 2)"]),
        ("max_pool2d", (1, 4, 4), {"kernel_size": 2, "padding": 2}, OperationError, ["padding of 2 is more than half of the window 2"]),
        ("max_pool2d", (4, 4), {"kernel_size": 2}, ShapeError, ["(N, C, H, W), or (C, H, W)", "got (4, 4)"]),
        ("adaptive_avg_pool2d", (1, 4, 4), {"output_size": 0}, OperationError, ["output_size must be"]),
        ("adaptive_avg_pool1d", (1, 0), {"output_size": 1}, ShapeError, ["nothing to average"]),
    ],
)
def test_what_does_not_fit_is_named_with_shapes_and_a_remedy(function: str, x: Any, settings: Any, kind: Any, parts: list[str]) -> None:
    with refused(kind, *parts, f"{function}(x float64[", "test_pooling.py"):
        getattr(functional, function)(np.ones(x), **settings)


@pytest.mark.parametrize(
    ("layer", "function", "shown"),
    [
        (nn.MaxPool1d(3, 2, 1, 2), lambda x: functional.max_pool1d(x, 3, 2, 1, 2), "MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=2)"),
        (nn.MaxPool2d(2), lambda x: functional.max_pool2d(x, 2), "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1)"),
        (nn.AvgPool1d(3, 2, 1, False), lambda x: functional.avg_pool1d(x, 3, 2, 1, False), "AvgPool1d(kernel_size=3, stride=2, padding=1)"),
        (nn.AvgPool2d((2, 3)), lambda x: functional.avg_pool2d(x, (2, 3)), "AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=0)"),
        (nn.AdaptiveAvgPool1d(3), lambda x: functional.adaptive_avg_pool1d(x, 3), "AdaptiveAvgPool1d(output_size=3)"),
        (nn.AdaptiveAvgPool2d((1, 2)), lambda x: functional.adaptive_avg_pool2d(x, (1, 2)), "AdaptiveAvgPool2d(output_size=(1, 2))"),
    ],
)
def test_a_layer_is_its_function_and_shows_its_settings(layer: nn.Module, function: Any, shown: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 8) if "2d" in shown else (2, 3, 9))
    np.testing.assert_array_equal(layer(x).numpy(), function(x).numpy())
    assert repr(layer) == shown
    assert list(layer.state_dict()) == []


def test_means_of_float16_whose_sums_leave_its_range() -> None:
    x = np.array([[[60_000, 60_000, 59_936, 300]]], np.float16)
    for count_include_pad, expected in ((True, [30_000, 60_000, 59_968, 30_118, 150]), (False, [60_000, 60_000, 59_968, 30_118, 300])):
        found = functional.avg_pool1d(x, 2, 1, 1, count_include_pad)
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found.numpy()[0, 0], np.array(expected, np.float16))

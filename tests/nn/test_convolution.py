from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.nn import functional
from tests.messages import refused
from tests.nn.torch_modules import assert_same_module
from tests.ops.torch_oracle import assert_same, torch_module

FUNCTIONS = {1: functional.conv1d, 2: functional.conv2d}


class Case(NamedTuple):
    """Shapes and settings that fit each other."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    settings: dict[str, Any]

    @property
    def rank(self) -> int:
        return len(self.weight) - 2


def drawn(seed: int) -> Case:
    """A random case: any stride, padding, dilation and groups, with lengths that are sometimes just enough."""
    rng = np.random.default_rng(seed)
    rank, groups = int(rng.integers(1, 3)), int(rng.choice([1, 1, 2, 3]))
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, 4, rank))) for _ in range(3))
    padding: Any = tuple(map(int, rng.integers(0, 3, rank)))
    if rng.random() < 0.2:
        padding, stride = "same", (1,) * rank
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    lengths = [int(r + rng.integers(0, 5)) for r in spans]
    x = (int(rng.integers(1, 4)), groups * int(rng.integers(1, 3)), *lengths)
    weight = (groups * int(rng.integers(1, 4)), x[1] // groups, *kernel)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Case(x if rng.random() < 0.8 else x[1:], weight, settings)


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # PyTorch's
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", range(25))
def test_values_and_gradients_agree_with_pytorch(seed: int, dtype: str) -> None:
    case, rng = drawn(seed), np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in (case.x, case.weight, case.weight[:1])]
    theirs = getattr(torch_module().nn.functional, f"conv{case.rank}d")
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    assert_same(lambda *x: FUNCTIONS[case.rank](*x, **case.settings), lambda *x: theirs(*x, **case.settings), arrays, tolerance)


def test_the_random_cases_cover_the_settings() -> None:
    cases = [drawn(seed) for seed in range(25)]
    assert {case.rank for case in cases} == {1, 2}
    assert {case.settings["groups"] for case in cases} == {1, 2, 3}
    assert {len(case.x) - case.rank for case in cases} == {1, 2}
    assert any(case.settings["padding"] == "same" for case in cases)
    for name in ("stride", "dilation"):
        assert {n for case in cases for n in case.settings[name]} == {1, 2, 3}


def test_it_is_the_sum_of_products_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal((2, 4, 6, 7)), rng.standard_normal((6, 2, 2, 3)), rng.standard_normal(6)
    (sy, sx), (py, px), (dy, dx), groups = (2, 1), (1, 2), (1, 2), 2
    padded = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    out = functional.conv2d(x, weight, bias, (sy, sx), (py, px), (dy, dx), groups).numpy()
    for n, o, i, j in itertools.product(*map(range, out.shape)):
        total = bias[o]
        for c, k, m in itertools.product(range(2), range(2), range(3)):
            total += weight[o, c, k, m] * padded[n, o // 3 * 2 + c, i * sy + k * dy, j * sx + m * dx]
        assert abs(out[n, o, i, j] - total) < 1e-12


@pytest.mark.parametrize("seed", [0, 2, 3, 8])
def test_every_derivative_is_right(seed: int) -> None:
    case, rng = drawn(seed), np.random.default_rng(seed)
    operands = [rng.standard_normal(shape) for shape in (case.x, case.weight, case.weight[:1])]
    ab.testing.check_gradients(
        lambda *xs: FUNCTIONS[case.rank](*xs, **case.settings), *operands, also=("vmap", "checkpoint", "jit"), elements=12, name=f"conv{case.rank}d"
    )


def test_same_keeps_the_lengths_and_valid_adds_nothing() -> None:
    x, weight = np.ones((1, 1, 7, 6)), np.ones((1, 1, 4, 3))
    assert functional.conv2d(x, weight, padding="same").shape == (1, 1, 7, 6)
    np.testing.assert_array_equal(functional.conv2d(x, weight, padding="valid").numpy(), functional.conv2d(x, weight).numpy())
    # of an even window's odd padding PyTorch puts the larger part after
    np.testing.assert_array_equal(functional.conv1d(np.ones((1, 1, 4)), np.ones((1, 1, 2)), padding="same").numpy(), [[[2, 2, 2, 1]]])


def test_an_empty_batch_gives_an_empty_result() -> None:
    x = ab.tensor(np.ones((0, 2, 5, 5)), requires_grad=True)
    y = functional.conv2d(x, np.ones((3, 2, 3, 3)), groups=1)
    assert y.shape == (0, 3, 3, 3)
    y.sum().backward()
    assert x.grad.shape == x.shape


def test_a_result_can_be_written_into() -> None:
    x = ab.tensor(np.ones((2, 1, 4, 4)), requires_grad=True)
    y = functional.conv2d(x, np.ones((1, 1, 2, 2)))
    y[0] = 0.0
    y.sum().backward()
    assert x.grad.sum(axis=(1, 2, 3)).tolist() == [0.0, 36.0]


@pytest.mark.parametrize(
    ("x", "weight", "settings", "kind", "parts"),
    [
        ((2, 3, 8, 8), (4, 2, 3, 3), {}, ShapeError, ["x has 3 channels", "the weight is for 2"]),
        ((2, 8, 8, 3), (4, 3, 3, 3), {}, ShapeError, ["x has 8 channels", "move the last axis"]),
        ((2, 6, 8, 8), (4, 3, 3, 3), {}, ShapeError, ["did you mean groups=2"]),
        ((2, 6, 8, 8), (4, 2, 3, 3), {"groups": 2}, ShapeError, ["2·2 = 4", "times the groups"]),
        ((2, 6, 8, 8), (4, 2, 3, 3), {"groups": 3}, ShapeError, ["4 output channels", "3 groups", "divide"]),
        ((2, 3, 2, 8), (4, 3, 3, 3), {}, ShapeError, ["kernel 3×3", "larger than the input, 2×8", "padding"]),
        ((2, 3, 4, 4), (4, 3, 3, 3), {"dilation": 2}, ShapeError, ["kernel 3×3", "spans 5×5", "dilation"]),
        ((2, 3, 2, 2), (4, 3, 5, 5), {"padding": 1}, ShapeError, ["4×4 with its padding"]),
        ((3, 8), (4, 3, 3, 3), {}, ShapeError, ["(N, C, H, W), or (C, H, W)", "got (3, 8)"]),
        ((2, 3, 8, 8), (4, 3, 3), {}, ShapeError, ["the weight must have shape (O, C / groups, KH, KW)"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"bias": np.ones(3)}, ShapeError, ["the bias must have shape (4,)", "bias float64[3]"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"stride": 0}, OperationError, ["stride must be", "from 1 up", "got 0"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"stride": (1, 1, 1)}, OperationError, ["stride must be", "got (1, 1, 1)"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"padding": -1}, OperationError, ["padding must be", "from 0 up"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"padding": "full"}, OperationError, ["'same', 'valid'", "'full'"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"padding": "same", "stride": 2}, OperationError, ["stride of (2, 2)"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"dilation": 1.5}, OperationError, ["dilation must be", "1.5"]),
        ((2, 3, 8, 8), (4, 3, 3, 3), {"groups": 0}, OperationError, ["groups must be"]),
    ],
)
def test_what_does_not_fit_is_named_with_shapes_and_a_remedy(x: Any, weight: Any, settings: Any, kind: Any, parts: list[str]) -> None:
    with refused(kind, *parts, "conv2d(x float64[", "test_convolution.py"):
        functional.conv2d(np.ones(x), np.ones(weight), **settings)


# Layers


@pytest.mark.parametrize("rank", [1, 2])
def test_a_layer_has_pytorchs_names_shapes_and_first_values(rank: int) -> None:
    layer = {1: nn.Conv1d, 2: nn.Conv2d}[rank](6, 40, 5, groups=2, rng=0)
    assert {k: v.shape for k, v in layer.state_dict().items()} == {"weight": (40, 3, *(5,) * rank), "bias": (40,)}
    bound = 1 / np.sqrt(3 * 5**rank)
    assert layer.bias is not None
    for values in (layer.weight.value, layer.bias.value):
        assert values.dtype == np.float32
        assert 0.9 * bound < abs(values).max() <= bound
    assert list(nn.Conv2d(1, 2, 3, bias=False).state_dict()) == ["weight"]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
def test_a_layer_takes_pytorchs_state_and_gives_its_values() -> None:
    torch = torch_module()
    settings: Any = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    x = np.random.default_rng(0).standard_normal((3, 4, 7, 6)).astype("float32")
    assert_same_module(nn.Conv2d(4, 6, **settings), torch.nn.Conv2d(4, 6, **settings), [x], 1e-5)
    settings = {"kernel_size": 4, "padding": "same", "dilation": 3}
    assert_same_module(nn.Conv1d(4, 2, **settings), torch.nn.Conv1d(4, 2, **settings), [x[:, :, 0]], 1e-5)


def test_a_seed_decides_the_first_values() -> None:
    a, b, c = (nn.Conv2d(2, 3, 3, rng=seed).weight.value for seed in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"in_channels": 0}, "in_channels"),
        ({"out_channels": 1.5}, "out_channels"),
        ({"groups": 3}, "2 in_channels cannot be cut into 3 groups"),
        ({"groups": 2, "out_channels": 3}, "3 out_channels cannot be cut into 2 groups"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size"),
        ({"padding": "same", "stride": 2}, "stride"),
        ({"padding": -1}, "padding"),
    ],
)
def test_settings_are_checked_when_the_layer_is_made(settings: Any, part: str) -> None:
    with pytest.raises(OperationError, match=f"Conv2d.*{part}"):
        nn.Conv2d(**{"in_channels": 2, "out_channels": 4, "kernel_size": 3, **settings})


def test_a_layer_shows_what_is_unusual() -> None:
    assert repr(nn.Conv1d(2, 3, 5)) == "Conv1d(2, 3, kernel_size=(5,), stride=(1,))"
    shown = "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding='same', dilation=(2, 2), groups=2, bias=False)"
    assert repr(nn.Conv2d(2, 4, 3, padding="same", dilation=2, groups=2, bias=False)) == shown

"""Layer, group, instance and RMS norm: PyTorch's numbers on any shape, the same composition as batch norm, and friendly errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.nn import functional as F
from tests.messages import refused
from tests.nn.torch_modules import assert_same_module
from tests.ops.torch_oracle import torch_module

Array = np.ndarray[Any, Any]


def batch(shape: tuple[int, ...], seed: int = 0, dtype: str = "float64") -> Array:
    return np.random.default_rng(seed).normal(1.0, 2.0, shape).astype(dtype)


def pair(name: str, *settings: Any, dtype: str = "float64", **options: Any) -> tuple[nn.Module, Any]:
    torch = torch_module()
    return getattr(nn, name)(*settings, **options, dtype=dtype), getattr(torch.nn, name)(*settings, **options, dtype=getattr(torch, dtype))


LENGTHS = st.integers(1, 4)


@settings(max_examples=25, deadline=None)
@given(st.lists(LENGTHS, max_size=2), st.lists(LENGTHS, min_size=1, max_size=3), st.booleans(), st.booleans(), st.sampled_from([1e-5, 0.3]))
def test_layer_norm_is_pytorchs(first: list[int], last: list[int], affine: bool, bias: bool, eps: float) -> None:
    if np.prod(last) > 1:
        assert_same_module(*pair("LayerNorm", tuple(last), eps=eps, elementwise_affine=affine, bias=bias), [batch((*first, *last))])


@settings(max_examples=25, deadline=None)
@given(st.lists(LENGTHS, max_size=2), st.lists(LENGTHS, min_size=1, max_size=3), st.booleans(), st.sampled_from([None, 0.3]))
def test_rms_norm_is_pytorchs(first: list[int], last: list[int], affine: bool, eps: float | None) -> None:
    assert_same_module(*pair("RMSNorm", tuple(last), eps=eps, elementwise_affine=affine), [batch((*first, *last))])


@settings(max_examples=25, deadline=None)
@given(LENGTHS, st.integers(1, 3), LENGTHS, st.lists(LENGTHS, max_size=2), st.booleans())
def test_group_norm_is_pytorchs(n: int, groups: int, size: int, rest: list[int], affine: bool) -> None:
    if size * np.prod(rest) > 1:
        assert_same_module(*pair("GroupNorm", groups, groups * size, affine=affine), [batch((n, groups * size, *rest))])


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("name", "shape"), [("InstanceNorm1d", (3, 2, 5)), ("InstanceNorm1d", (1, 2, 4)), ("InstanceNorm2d", (2, 3, 4, 2))])
def test_instance_norm_is_pytorchs_in_both_modes(name: str, shape: tuple[int, ...], affine: bool, tracked: bool) -> None:
    ours, theirs = pair(name, shape[1], affine=affine, track_running_stats=tracked)
    uncounted = frozenset({"num_batches_tracked"})  # PyTorch's instance norm has this entry and never counts
    for i in range(3):
        assert_same_module(ours, theirs, [batch(shape, i)], uncounted=uncounted)
    if tracked:
        theirs.num_batches_tracked.fill_(3)
    assert_same_module(ours.eval(), theirs.eval(), [batch(shape, 9)], uncounted=uncounted)


@pytest.mark.parametrize("momentum", [0.3, None])
def test_instance_norms_running_statistics_over_twenty_steps(momentum: float | None) -> None:
    torch = torch_module()
    ours, theirs = pair("InstanceNorm1d", 3, momentum=momentum, track_running_stats=True)
    assert isinstance(ours, nn.InstanceNorm1d)
    total_mean, total_var = np.zeros(3), np.zeros(3)
    for i in range(20):
        x = batch((4, 3, 5), i)
        ours(x)
        theirs(torch.tensor(x))
        total_mean, total_var = total_mean + x.mean((0, 2)), total_var + x.var(2, ddof=1).mean(0)
    # With momentum None PyTorch's instance norm never moves them; here they are the plain average, as in batch norm.
    np.testing.assert_allclose(ours.running_mean.value, theirs.running_mean.numpy() if momentum else total_mean / 20, atol=1e-12)
    np.testing.assert_allclose(ours.running_var.value, theirs.running_var.numpy() if momentum else total_var / 20, atol=1e-12)


EXAMPLES: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "LayerNorm": (lambda **o: nn.LayerNorm(6, **o), (5, 6)),
    "RMSNorm": (lambda **o: nn.RMSNorm(6, **o), (5, 6)),
    "GroupNorm": (lambda **o: nn.GroupNorm(2, 6, **o), (5, 6, 3)),
    "InstanceNorm1d": (lambda **o: nn.InstanceNorm1d(3, affine=True, **o), (5, 3, 4)),
    "InstanceNorm2d": (lambda **o: nn.InstanceNorm2d(3, affine=True, **o), (5, 3, 4, 2)),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_float32_in_float32_out(name: str) -> None:
    make, shape = EXAMPLES[name]
    layer, x = make(), ab.tensor(batch(shape, dtype="float32"), requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert {y.dtype, x.grad.dtype, *(p.grad.dtype for p in layer.parameters())} == {np.dtype("float32")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_normalised_by_itself_alone(name: str) -> None:
    make, shape = EXAMPLES[name]
    layer, x = make(dtype="float64"), batch(shape)
    whole = layer(x).detach().numpy()
    np.testing.assert_allclose(ab.vmap(lambda row: layer(row.reshape((1, *shape[1:])))[0])(x).detach().numpy(), whole, atol=1e-12)
    np.testing.assert_allclose(layer(x[2:3]).detach().numpy(), whole[2:3], atol=1e-12)
    np.testing.assert_allclose(layer.eval()(x).detach().numpy(), whole, atol=1e-12)


def operations(y: Any) -> list[str]:
    return [node.primitive.name for node in ab.graph(y).nodes if node.primitive is not None and node.primitive.name != "reshape"]


def test_they_record_what_batch_norm_records() -> None:
    x, g, b = (ab.tensor(batch(shape), requires_grad=True) for shape in ((4, 6), (6,), (6,)))
    wanted = operations(F.batch_norm(x, g, b))
    assert sorted(wanted) == sorted(["mean", "sub", "pow", "mean", "add", "sqrt", "div", "mul", "mul", "add"])
    assert operations(F.layer_norm(x, 6, g, b)) == operations(F.group_norm(x, 2, g, b)) == wanted
    assert operations(F.instance_norm(ab.tensor(batch((4, 6, 3)), requires_grad=True), g, b)) == wanted
    assert operations(F.rms_norm(x, 6, g)) == ["pow", "mean", "add", "sqrt", "div", "mul", "mul"]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "RMSNorm"])
def test_a_constant_input_gives_beta_and_finite_gradients(name: str) -> None:
    make, shape = EXAMPLES[name]
    layer, x = make(dtype="float64"), ab.tensor(np.full(shape, 3.7), requires_grad=True)
    ab.assign(layer.bias, np.arange(layer.bias.shape[0]) + 1.0)  # type: ignore[attr-defined]
    y = layer(x)
    y.backward(batch(shape))
    wide = layer.bias.value if name == "LayerNorm" else layer.bias.value.reshape((1, -1) + (1,) * (len(shape) - 2))  # type: ignore[attr-defined]
    np.testing.assert_allclose(y.detach().numpy(), np.broadcast_to(wide, shape), atol=1e-12)
    assert np.isfinite(np.array(x.grad)).all()


@pytest.mark.parametrize("name", EXAMPLES)
def test_nan_stays_in_its_example(name: str) -> None:
    make, shape = EXAMPLES[name]
    layer, x = make(dtype="float64"), batch(shape)
    x[1] = np.nan
    y = layer(x).detach().numpy()
    assert np.isnan(y[1]).all()
    assert np.isfinite(np.delete(y, 1, 0)).all()


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "RMSNorm"])
def test_a_large_mean_costs_no_more_than_its_own_rounding(name: str) -> None:
    make, shape = EXAMPLES[name]
    x = (1e4 + 1e-1 * batch(shape)).astype("float32")
    error = abs(make()(x).detach().numpy() - make(dtype="float64")(x.astype("float64")).detach().numpy()).max()
    assert error < 4 * np.finfo("float32").eps * 1e4 / 2e-1


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: F.layer_norm(np.ones((4, 3)), 5), ["layer_norm(x float64[4, 3])", "lengths (5,)", "got shape (4, 3)"]),
        (lambda: F.layer_norm(np.ones((4, 3)), (2, 4, 3)), ["lengths (2, 4, 3)"]),
        (lambda: F.layer_norm(np.ones((4, 3)), 3, np.ones(4)), ["weight must have the shape (3,)", "got (4,)"]),
        (lambda: F.rms_norm(np.ones((4, 3)), 3, np.ones((1, 3))), ["rms_norm", "weight must have the shape (3,)", "got (1, 3)"]),
        (lambda: F.layer_norm(np.ones((4, 1)), 1), ["one value an example", "variance is 0", "normalise over more axes"]),
        (lambda: F.group_norm(np.ones((4, 6)), 4), ["group_norm(x float64[4, 6])", "6 channels (axis 1) do not make 4 groups", "1, 2, 3, 6 would"]),
        (lambda: F.group_norm(np.ones((4, 6)), 2, np.ones(5)), ["has 6 channels", "weight must have shape (6,), got (5,)"]),
        (lambda: F.group_norm(np.ones((4, 6)), 6), ["one value a group of an example", "fewer groups"]),
        (lambda: F.group_norm(np.ones(4), 2), ["(N, C)", "got shape (4,)"]),
        (lambda: F.instance_norm(np.ones((4, 3))), ["(N, C, L, …)", "got shape (4, 3)"]),
        (lambda: F.instance_norm(np.ones((4, 3, 1))), ["one value a channel of an example", "larger inputs"]),
        (lambda: F.instance_norm(np.ones((4, 3, 2)), np.ones(2)), ["gamma must have shape (3,), got (2,)"]),
        (lambda: nn.GroupNorm(2, 4, affine=False)(np.ones((3, 6, 2))), ["GroupNorm", "C = 4 channels", "float64[3, 6, 2]"]),
        (lambda: nn.InstanceNorm1d(3)(np.ones((2, 4, 5))), ["InstanceNorm1d", "C = 3 channels", "which has 4 channels"]),
        (lambda: nn.InstanceNorm2d(3)(np.ones((2, 3, 5))), ["InstanceNorm2d", "(N, C, H, W)", "float64[2, 3, 5]"]),
        (lambda: nn.InstanceNorm2d(3)(np.ones((2, 3, 1, 1))), ["InstanceNorm2d", "one value a channel of an example", "BatchNorm"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, parts: list[str]) -> None:
    with refused(ShapeError, *parts, "test_layer_norm.py"):
        call()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: nn.LayerNorm(0), "positive length"),
        (lambda: nn.LayerNorm(()), "positive length"),
        (lambda: nn.RMSNorm((2, 2.5)), "positive length"),
        (lambda: nn.LayerNorm(2, eps=-1.0), "eps is added"),
        (lambda: nn.RMSNorm(2, eps=float("nan")), "eps is added"),
        (lambda: nn.GroupNorm(4, 6), "6 channels do not make 4 groups"),
        (lambda: nn.InstanceNorm1d(3, momentum=2.0), "momentum"),
    ],
)
def test_settings_are_checked(make: Any, part: str) -> None:
    with pytest.raises(OperationError, match=part):
        make()


def test_a_failed_call_leaves_instance_norms_statistics_alone() -> None:
    layer = nn.InstanceNorm1d(2, track_running_stats=True)
    layer(batch((3, 2, 4)))
    before = layer.state_dict()
    bad = batch((3, 2, 4))
    bad[0, 1, 0] = np.inf
    for x, kind in ((bad, OperationError), (batch((3, 4, 4)), ShapeError), (batch((3, 2, 1)), ShapeError), (batch((0, 2, 4)), OperationError)):
        with np.errstate(all="ignore"), pytest.raises(kind, match="InstanceNorm1d|instance_norm"):
            layer(x)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_tracked_instance_norm_warns_freezes_and_recalibrates_as_batch_norm_does() -> None:
    layer = nn.InstanceNorm1d(2, track_running_stats=True, dtype="float64")
    with pytest.warns(UserWarning, match="InstanceNorm1d.*updated even once"):
        layer.eval()(batch((3, 2, 4)))
    x = batch((3, 2, 4))
    nn.recalibrate(layer.train(), [x])
    np.testing.assert_allclose(layer.running_mean.value, x.mean((0, 2)))
    np.testing.assert_allclose(layer.running_var.value, x.var(2, ddof=1).mean(0))
    before = layer.state_dict()
    layer.freeze()(batch((3, 2, 4), 1))
    np.testing.assert_array_equal(layer.state_dict()["running_mean"], before["running_mean"])


def test_squares_of_integers_do_not_wrap_around() -> None:
    x = np.array([[200, 100], [1, 7]], np.uint8)
    np.testing.assert_allclose(F.rms_norm(x, 2).numpy(), F.rms_norm(x.astype(float), 2).numpy())

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError
from tests.messages import refused

Layer: TypeAlias = type[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]
every_kind = pytest.mark.parametrize(
    ("kind", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm1d, (4, 3, 5)), (nn.BatchNorm2d, (4, 3, 2, 5)), (nn.BatchNorm3d, (2, 3, 2, 3, 2))]
)


def statistics(bn: nn.Module) -> list[Any]:
    return [np.array(b.value) for b in bn.buffers()]


def averaged(shape: tuple[int, ...]) -> tuple[int, ...]:
    """All axes but that of the channels."""
    return (0, *range(2, len(shape)))


def batch(shape: tuple[int, ...] = (6, 3), seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(2.0, 3.0, shape).astype("float32")


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
def test_it_starts_as_pytorch_does(kind: Layer) -> None:
    bn = kind(3)
    state = bn.state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [v.tolist() for v in state.values()] == [[1, 1, 1], [0, 0, 0], [0, 0, 0], [1, 1, 1], 0]
    assert {v.dtype for v in list(state.values())[:4]} == {np.dtype("float32")}
    assert bn.num_batches_tracked.dtype == np.int64
    assert [n for n, _ in bn.named_parameters()] == ["weight", "bias"]


@every_kind
def test_training_moves_the_running_statistics_by_the_unbiased_variance(kind: Layer, shape: tuple[int, ...]) -> None:
    bn, x = kind(3, momentum=0.3, dtype="float64"), batch(shape).astype("float64")
    axes = averaged(shape)
    y = bn(x)
    np.testing.assert_allclose(bn.running_mean.value, 0.3 * x.mean(axes))
    np.testing.assert_allclose(bn.running_var.value, 0.7 + 0.3 * x.var(axes, ddof=1))
    assert bn.num_batches_tracked.item() == 1
    np.testing.assert_allclose(y.detach().numpy().var(axes), 1, atol=1e-4)


@every_kind
def test_momentum_none_is_the_plain_average(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3, momentum=None, dtype="float64")
    xs, axes = [batch(shape, seed=i) for i in range(5)], averaged(shape)
    for x in xs:
        bn(x)
    np.testing.assert_allclose(bn.running_mean.value, np.mean([x.mean(axes) for x in xs], axis=0), rtol=1e-5)
    np.testing.assert_allclose(bn.running_var.value, np.mean([x.var(axes, ddof=1) for x in xs], axis=0), rtol=1e-5)


@every_kind
def test_evaluation_depends_on_the_input_alone(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3)
    bn(batch(shape))
    bn.eval()
    before, x = statistics(bn), batch(shape, seed=1)
    whole = bn(x).detach().numpy()
    np.testing.assert_allclose(bn(x[:1]).detach().numpy(), whole[:1], rtol=1e-6)
    for a, b in zip(before, statistics(bn), strict=True):
        np.testing.assert_array_equal(a, b)


@every_kind
def test_float32_in_float32_out_in_both_modes(kind: Layer, shape: tuple[int, ...]) -> None:
    bn, x = kind(3), ab.tensor(batch(shape), requires_grad=True)
    for _ in range(2):
        y = bn(x)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == bn.weight.grad.dtype == bn.running_mean.dtype == bn.running_var.dtype == np.float32
        bn.eval()


@every_kind
def test_without_tracking_evaluation_uses_the_batch(kind: Layer, shape: tuple[int, ...]) -> None:
    bn, x = kind(3, track_running_stats=False, affine=False), batch(shape)
    trained = bn(x).numpy()
    np.testing.assert_array_equal(bn.eval()(x).numpy(), trained)
    assert bn.state_dict() == {}


def test_a_state_recorded_before_an_update_keeps_its_values() -> None:
    bn, x = nn.BatchNorm1d(3, dtype="float64"), batch().astype("float64")
    bn(x)
    bn.eval()
    scale = 1 / np.sqrt(np.array(bn.running_var.value) + 1e-5)
    leaf = ab.tensor(x, requires_grad=True)
    y = bn(leaf)
    bn.train()(batch(seed=3))
    y.sum().backward()
    np.testing.assert_allclose(np.array(leaf.grad), np.broadcast_to(scale, x.shape), rtol=1e-6)


@every_kind
def test_no_stat_update_leaves_them_alone(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3)
    with nn.no_stat_update():
        bn(batch(shape))
    assert bn.num_batches_tracked.item() == 0
    assert bn.running_mean.tolist() == [0, 0, 0]


@every_kind
def test_freeze_survives_train(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3)
    bn(batch(shape))
    before, evaluated = statistics(bn), bn.eval()(batch(shape, seed=1)).detach().numpy()
    bn.freeze().train()
    np.testing.assert_array_equal(bn(batch(shape, seed=1)).detach().numpy(), evaluated)
    for a, b in zip(before, statistics(bn), strict=True):
        np.testing.assert_array_equal(a, b)
    bn.freeze(False)(batch(shape))
    assert bn.num_batches_tracked.item() == 2


@every_kind
def test_gradients_inside_a_transform_update_once(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3)
    ab.grad(lambda m: (m(batch(shape)) ** 2).sum())(bn)
    assert bn.num_batches_tracked.item() == 1


@pytest.mark.parametrize(
    ("x", "kind", "parts"),
    [
        (batch((6, 4)), ShapeError, ["C = 3 channels", "which has 4 channels", "float32[6, 4]"]),
        (batch((6, 3, 2, 2)), ShapeError, ["(N, C) or (N, C, L)", "float32[6, 3, 2, 2]"]),
        (batch((1, 3)), ShapeError, ["float32[1, 3]", "one value a channel", "drop_last=True", "larger batch", "eval()"]),
        (batch((1, 3, 1)), ShapeError, ["one value a channel"]),
        (batch((0, 3)), OperationError, ["empty"]),
        (np.array([[1, 2, 3], [4, np.nan, 6]], "float32"), OperationError, ["not finite", "1 of 3 channels", "first is 1", "unchanged"]),
        (np.array([[1, 2, 3], [4, 5, np.inf]], "float32"), OperationError, ["not finite", "first is 2"]),
        (np.array([[1, 2, 3e38], [4, 5, -3e38]], "float32"), OperationError, ["not finite", "first is 2"]),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_error_names_the_layer_and_leaves_the_statistics_alone(x: Any, kind: type[Exception], parts: list[str]) -> None:
    network = nn.Sequential(nn.BatchNorm1d(3))
    before = statistics(network[0])  # type: ignore[arg-type]
    with pytest.raises(kind) as caught:
        network(x)
    assert isinstance(caught.value, ValueError)
    for part in [*parts, "test_normalization.py"]:
        assert part in str(caught.value)
    if "empty" not in parts:
        assert "Sequential/0: BatchNorm1d" in str(caught.value)
    for a, b in zip(before, statistics(network[0]), strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "x", "error", "parts"),
    [
        (nn.BatchNorm2d, batch((4, 2, 5, 3)), ShapeError, ["expected (N, C, H, W) with C = 3 channels", "which has 2 channels"]),
        (nn.BatchNorm2d, batch((4, 3, 5)), ShapeError, ["expected (N, C, H, W)", "float32[4, 3, 5]"]),
        (nn.BatchNorm2d, batch((3, 4, 5)), ShapeError, ["float32[3, 4, 5]; one example is a batch of one, x[None]"]),
        (nn.BatchNorm2d, batch((1, 3, 1, 1)), ShapeError, ["one value a channel", "drop_last=True", "eval()"]),
        (nn.BatchNorm2d, batch((0, 3, 2, 2)), OperationError, ["empty"]),
        (nn.BatchNorm2d, batch((2, 3, 2, 2)) * [[[[np.inf]]]], OperationError, ["not finite", "3 of 3 channels", "unchanged"]),
        (nn.BatchNorm3d, batch((4, 3, 5, 2)), ShapeError, ["expected (N, C, D, H, W)", "float32[4, 3, 5, 2]"]),
        (nn.BatchNorm3d, batch((1, 3, 1, 1, 1)), ShapeError, ["one value a channel"]),
        (nn.BatchNorm3d, batch((2, 3, 2, 0, 2)), OperationError, ["empty"]),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_errors_of_the_layers_for_images_and_volumes(kind: Layer, x: Any, error: type[Exception], parts: list[str]) -> None:
    bn = kind(3)
    before = statistics(bn)
    with refused(error, *parts, "test_normalization.py"):
        bn(x)
    for a, b in zip(before, statistics(bn), strict=True):
        np.testing.assert_array_equal(a, b)


@every_kind
def test_a_constant_channel_gives_beta_and_finite_gradients(kind: Layer, shape: tuple[int, ...]) -> None:
    bn, x = kind(3), ab.tensor(np.full(shape, 7.25, "float32"), requires_grad=True)
    ab.assign(bn.bias, [1.0, 2.0, 3.0])
    y = bn(x)
    np.testing.assert_array_equal(y.detach().numpy(), np.broadcast_to(np.array([1.0, 2.0, 3.0]).reshape((1, 3) + (1,) * (len(shape) - 2)), shape))
    y.backward(batch(shape))
    assert np.isfinite(x.grad.numpy()).all()
    assert np.isfinite(bn.weight.grad.numpy()).all()


@every_kind
def test_a_large_mean_costs_no_more_than_its_own_rounding(kind: Layer, shape: tuple[int, ...]) -> None:
    exact = np.random.default_rng(0).normal(1e4, 1e-1, (8, *shape[1:]))
    x = exact.astype("float32")
    axes = averaged(shape)
    deviation = exact - exact.mean(axes, keepdims=True)
    wanted = deviation / np.sqrt((deviation**2).mean(axes, keepdims=True) + 1e-5)
    error = abs(kind(3)(x).detach().numpy() - wanted).max()
    assert error < 4 * np.finfo("float32").eps * 1e4 / exact.std(axes).min()


def test_an_update_inside_vmap_is_refused_and_evaluation_is_not() -> None:
    bn = nn.BatchNorm1d(3)
    with pytest.raises(OperationError, match="BatchNorm1d.*vmap"):
        ab.vmap(bn)(batch((5, 4, 3)))
    with nn.no_stat_update():
        mapped = ab.vmap(bn)(batch((5, 4, 3))).numpy()
        np.testing.assert_allclose(mapped[2], bn(batch((5, 4, 3))[2]).detach().numpy(), rtol=1e-5, atol=1e-6)
    assert bn.num_batches_tracked.item() == 0
    bn(batch())
    bn.eval()
    np.testing.assert_allclose(ab.vmap(bn)(batch((5, 4, 3))).numpy()[2], bn(batch((5, 4, 3))[2]).detach().numpy(), rtol=1e-6)


@every_kind
def test_evaluating_before_any_update_warns_once(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3).eval()
    with pytest.warns(UserWarning, match=f"{kind.__name__}.*updated even once.*recalibrate"):
        bn(batch(shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bn(batch(shape))


@pytest.mark.parametrize("momentum", [-0.1, 1.5, float("nan"), "0.1", True])
def test_momentum_is_checked_and_the_convention_told(momentum: Any) -> None:
    with pytest.raises(OperationError, match=r"momentum.*weight of the new value.*\(1 - momentum\)\*running \+ momentum\*batch"):
        nn.BatchNorm1d(3, momentum=momentum)


@pytest.mark.parametrize("options", [{"num_features": 0}, {"num_features": 2.5}, {"num_features": 3, "eps": -1e-5}, {"num_features": 3, "eps": float("nan")}])
def test_other_settings_are_checked(options: Any) -> None:
    with pytest.raises(OperationError, match="num_features|eps"):
        nn.BatchNorm1d(**options)


@every_kind
def test_recalibrate_is_algorithm_2(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3, dtype="float64")
    network = nn.Sequential(bn)
    bn(batch(shape, seed=9))
    xs, axes = [batch(shape, seed=i).astype("float64") for i in range(4)], averaged(shape)
    bn.freeze().eval()
    nn.recalibrate(network, xs)
    np.testing.assert_allclose(bn.running_mean.value, np.mean([x.mean(axes) for x in xs], axis=0))
    np.testing.assert_allclose(bn.running_var.value, np.mean([x.var(axes, ddof=1) for x in xs], axis=0))
    assert (bn.training, bn.frozen, bn.momentum) == (False, True, 0.1)


@every_kind
def test_recalibrate_that_fails_changes_nothing(kind: Layer, shape: tuple[int, ...]) -> None:
    bn = kind(3)
    bn(batch(shape))
    before = statistics(bn)
    with pytest.raises(OperationError, match="no batch"):
        nn.recalibrate(bn, [])
    with pytest.raises(ShapeError):
        nn.recalibrate(bn, [batch(shape, seed=1), batch((6, 4, *shape[2:]))])
    for a, b in zip(before, statistics(bn), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(OperationError, match="no batch norm layer"):
        nn.recalibrate(nn.ReLU(), [batch(shape)])


@pytest.mark.parametrize("momentum", [0.1, None])
@every_kind
def test_twenty_steps_agree_with_pytorch(kind: Layer, shape: tuple[int, ...], momentum: float | None) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    theirs = getattr(torch.nn, kind.__name__)(3, momentum=momentum, dtype=torch.float64)
    ours = kind(3, momentum=momentum, dtype="float64")
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, dy = rng.normal(1, 2, shape), rng.standard_normal(shape)
        a, b = ab.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        ours.zero_grad()
        theirs.zero_grad()
        y, z = ours(a), theirs(b)
        y.backward(dy)
        z.backward(torch.tensor(dy))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-10)
        np.testing.assert_allclose(np.array(a.grad), b.grad.numpy(), atol=1e-10)
        np.testing.assert_allclose(np.array(ours.weight.grad), theirs.weight.grad.numpy(), atol=1e-10)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), atol=1e-10)
    x = rng.normal(1, 2, shape)
    np.testing.assert_allclose(ours.eval()(x).detach().numpy(), theirs.eval()(torch.tensor(x)).detach().numpy(), atol=1e-10)
    other = kind(3, dtype="float64")
    other.load_state_dict(theirs.state_dict())
    np.testing.assert_allclose(other.eval()(x).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), atol=1e-10)


def test_an_empty_batch_goes_through_in_evaluation_alone() -> None:
    bn = nn.BatchNorm1d(3)
    bn(np.random.default_rng(0).standard_normal((4, 3)))
    with pytest.raises(OperationError, match="the batch is empty"):
        bn(np.zeros((0, 3)))
    assert bn.eval()(np.zeros((0, 3), np.float32)).shape == (0, 3)

"""Folding batch norm: the same outputs from fewer operations, a copy, and refusals where it is no fixed map."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError

Array = np.ndarray[Any, Any]
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def batch(*shape: int, seed: int = 0, dtype: str = "float64") -> Array:
    return np.random.default_rng(seed).normal(1.0, 3.0, shape).astype(dtype)


def trained(network: nn.Module, *shape: int, dtype: str = "float64") -> nn.Module:
    """In evaluation mode, after some batches, with γ and β that are not 1 and 0."""
    rng = np.random.default_rng(1)
    for m in network.modules():
        if isinstance(m, NORMS) and m.weight is not None and m.bias is not None:
            ab.assign(m.weight, rng.uniform(-1.5, 1.5, m.num_features))
            ab.assign(m.bias, rng.standard_normal(m.num_features))
    for seed in range(3):
        network(batch(*shape, seed=seed, dtype=dtype))
    return network.eval()


def dense(bias: bool = False, dtype: str = "float64", **settings: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the bias before batch norm
        chain = nn.Sequential(nn.Linear(5, 4, bias, rng=0, dtype=dtype), nn.BatchNorm1d(4, dtype=dtype, **settings), nn.ReLU())
    return nn.Sequential(chain, nn.Linear(4, 3, False, rng=1, dtype=dtype), nn.BatchNorm1d(3, dtype=dtype))


def images(bias: bool = False, groups: int = 1) -> nn.Module:
    first = nn.Conv2d(2, 4, 3, padding=1, groups=groups, bias=bias, rng=0, dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(first, nn.BatchNorm2d(4, dtype="float64"), nn.Tanh(), nn.Conv2d(4, 2, 2, rng=1, dtype="float64"))


@pytest.mark.parametrize("bias", [False, True])
def test_a_folded_network_gives_the_same_to_float64_rounding(bias: bool) -> None:
    sequence = nn.Sequential(nn.Conv1d(2, 3, 3, bias=False, rng=0, dtype="float64"), nn.BatchNorm1d(3, affine=False, dtype="float64"))
    for network, shape in ((dense(bias), (8, 5)), (images(bias), (4, 2, 6, 6)), (images(bias, 2), (4, 2, 6, 6)), (sequence, (4, 2, 9))):
        trained(network, *shape)
        x = batch(*shape, seed=9)
        expected = network(x).detach().numpy()
        folded = nn.fold_batch_norm(network)
        assert np.abs(folded(x).detach().numpy() - expected).max() <= 1e-12 * max(1.0, np.abs(expected).max())
        assert not any(isinstance(m, NORMS) for m in folded.modules())


def test_float32_stays_float32() -> None:
    network = trained(dense(dtype="float32"), 8, 5, dtype="float32")
    folded, x = nn.fold_batch_norm(network), batch(8, 5, dtype="float32")
    assert {p.dtype for p in folded.parameters()} == {np.dtype("float32")}
    np.testing.assert_allclose(folded(x).detach().numpy(), network(x).detach().numpy(), atol=1e-5)


def test_it_is_a_copy_that_can_be_trained_and_saved() -> None:
    network = trained(dense(), 8, 5)
    before = network.state_dict()
    folded = nn.fold_batch_norm(network)
    assert list(folded.state_dict()) == ["0.0.weight", "0.0.bias", "1.weight", "1.bias"]
    (folded(batch(8, 5)) ** 2).sum().backward()
    assert all(p.grad is not None for p in folded.parameters())
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert all(p.grad is None for p in network.parameters())


def test_a_frozen_batch_norm_is_a_fixed_map_in_training_too() -> None:
    network = trained(dense(), 8, 5)
    x, expected = batch(8, 5), network(batch(8, 5)).detach().numpy()
    for m in network.modules():
        if isinstance(m, NORMS):
            m.freeze()
    np.testing.assert_allclose(nn.fold_batch_norm(network.train())(x).detach().numpy(), expected, atol=1e-12)


def shared() -> nn.Module:
    layer = nn.Linear(4, 4, False, rng=0, dtype="float64")
    return nn.Sequential(layer, nn.BatchNorm1d(4, dtype="float64"), layer)


def over_rows() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 4, False, rng=0, dtype="float64"), nn.BatchNorm1d(3, dtype="float64"))


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: trained(dense(), 8, 5).train(), ["batch norm 2", "training mode", "eval()"]),
        (lambda: trained(dense(track_running_stats=False), 8, 5), ["batch norm 0.1", "no running statistics"]),
        (lambda: dense().eval(), ["batch norm 2", "never updated", "recalibrate"]),
        (lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.BatchNorm1d(3)), ["nothing to fold", "Sequential"]),
        (lambda: trained(shared(), 8, 4), ["layer 0", "more than one place"]),
        (lambda: trained(over_rows(), 8, 3, 5), ["4 outputs", "3 channels"]),
    ],
)
def test_what_is_no_fixed_map_is_refused_and_nothing_changes(make: Any, parts: list[str]) -> None:
    network = make()
    before = network.state_dict()
    with pytest.raises(OperationError, match="fold_batch_norm") as caught:
        nn.fold_batch_norm(network)
    for part in parts:
        assert part in str(caught.value)
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(array, before[name])

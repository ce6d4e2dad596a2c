"""Batch norm folded into the layer before it: in evaluation it is a fixed affine map, which that layer can do as well."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from typing import Any, TypeVar

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.tensor import Tensor, plain, tensor
from autograd_bn.nn.containers import Sequential
from autograd_bn.nn.convolution import Convolution
from autograd_bn.nn.layers import Identity, Linear
from autograd_bn.nn.module import Module
from autograd_bn.nn.normalization import BatchNorm

Network = TypeVar("Network", bound=Module)


def fold_batch_norm(model: Network) -> Network:
    """A copy for inference in which each affine layer or convolution has absorbed the batch norm right after it (Ioffe & Szegedy 2015, section 3.1).

    W′ = γ/√(σ² + ε)·W and b′ = γ/√(σ² + ε)·(b − μ) + β, with the running μ and σ², computed in float64 and rounded once. An `Identity`
    takes the place of the batch norm, so that the other parts keep their names.

    Parameters
    ----------
    model
        In evaluation mode. The pairs that are folded are neighbours in a `Sequential`, at any depth: `Linear` with `BatchNorm1d`,
        where it sees rows of shape (N, C), and convolutions with theirs. The model itself is not changed.

    Raises OperationError for a batch norm that is in training mode, has no running statistics or was never updated, for a layer that is
    used in more than one place, and where there is nothing to fold.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> linear = ab.nn.Linear(2, 3, bias=False, rng=0)
    >>> network = ab.nn.Sequential(linear, ab.nn.BatchNorm1d(3), ab.nn.ReLU())
    >>> _ = network(ab.nn.Generator(0).normal((8, 2)))
    >>> ab.nn.fold_batch_norm(network.eval())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): Identity()
      (2): ReLU()
    )
    """
    folded = copy.deepcopy(model)
    places = Counter(id(part) for _, part in folded._walk())
    count = 0
    for name, chain in list(folded.named_modules()):
        if not isinstance(chain, Sequential):
            continue
        for (first, layer), (second, norm) in itertools.pairwise(list(chain.named_children())):
            if not (isinstance(layer, (Linear, Convolution)) and isinstance(norm, BatchNorm)):
                continue
            at, after = (f"{name}.{part}" if name else part for part in (first, second))
            if places[id(layer)] > 1 or places[id(norm)] > 1:
                raise OperationError(f"fold_batch_norm: layer {at} or the batch norm {after} is used in more than one place; fold copies of them")
            _fold(layer, norm, at, after)
            setattr(chain, second, Identity())
            count += 1
    if not count:
        raise OperationError(
            "fold_batch_norm: no Linear layer or convolution is followed by its batch norm in a Sequential, so there is nothing to fold; "
            "put the two into a Sequential"
        )
    return folded


def _fold(layer: Linear | Convolution, norm: BatchNorm, at: str, after: str) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise OperationError(f"fold_batch_norm: the batch norm {after} has no running statistics (track_running_stats=False), so it is no fixed map")
    if norm.training and not norm.frozen:
        raise OperationError(f"fold_batch_norm: the batch norm {after} is in training mode, where it is no fixed map; call eval() first")
    if norm.never_updated:
        raise OperationError(
            f"fold_batch_norm: the running statistics of the batch norm {after} were never updated; train first, or call ab.nn.recalibrate(network, batches)"
        )
    channels = layer.weight.shape[0]
    if norm.num_features != channels:
        raise OperationError(f"fold_batch_norm: layer {at} has {channels} outputs, the batch norm {after} takes {norm.num_features} channels")
    mean, variance = _double(norm.running_mean), _double(norm.running_var)
    γ = np.ones(channels) if norm.weight is None else _double(norm.weight)
    β = np.zeros(channels) if norm.bias is None else _double(norm.bias)
    b = np.zeros(channels) if layer.bias is None else _double(layer.bias)
    scale = γ / np.sqrt(variance + norm.eps)
    weight, dtype = _double(layer.weight), layer.weight.dtype
    layer.weight = tensor((weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))).astype(dtype), requires_grad=True, name=layer.weight.name)
    layer.bias = tensor((scale * (b - mean) + β).astype(dtype), requires_grad=True, name="b")


def _double(x: Tensor) -> np.ndarray[Any, Any]:
    return np.array(plain(x), np.float64)

"""Instance norm: batch norm's lines over the places of each example alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.tensor import Tensor
from autograd_bn.nn import functional
from autograd_bn.nn.normalization import RunningNorm


class InstanceNorm1d(RunningNorm):
    """Instance norm over (N, C, L) (Ulyanov et al. 2016), with PyTorch's conventions and names.

    Each channel of each example is normalised by its own mean and biased variance, in training and evaluation alike, unless
    running statistics are tracked: these then move towards the averages over the examples, and evaluation uses them.

    Parameters
    ----------
    num_features
        The number of channels C, on axis 1.
    eps
        Added to the variance under the root.
    momentum
        The weight of the new value, from 0 to 1; None for the plain average of all batches.
    affine
        Whether to scale by γ and shift by β.
    track_running_stats
        Whether to keep running statistics.
    dtype
        Of the parameters and statistics.

    Attributes
    ----------
    weight, bias
        γ (starts at 1) and β (0), shape (C,); None unless affine.
    running_mean, running_var, num_batches_tracked
        Buffers, starting at 0, 1 and 0; None unless tracked.

    Raises ShapeError for the wrong number of channels, or one place a channel; OperationError for an empty batch, or statistics
    that are not finite (the running ones are then unchanged). Warns when it evaluates by running statistics before any update.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.InstanceNorm1d(2, eps=0.0)(ab.tensor([[[0.0, 2.0], [1.0, 5.0]]]))
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """

    _ranks: tuple[int, ...] = (3,)
    _layout = "(N, C, L)"
    _one_value = "a channel of an example", "use larger inputs, or statistics over a whole batch, as BatchNorm does"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype=dtype)

    def _normalized(self, x: Tensor, population: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        found = functional.instance_norm(x, self.weight, self.bias, eps=self.eps, population=population, return_statistics=True)
        assert isinstance(found, tuple)
        return found

    def _count(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape[2:])

    def _per_channel(self, statistic: Any) -> Any:
        return statistic.mean(0).reshape(-1)


class InstanceNorm2d(InstanceNorm1d):
    """Instance norm over (N, C, H, W); the rest is as in `InstanceNorm1d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.InstanceNorm2d(2)(ab.zeros((3, 2, 4, 4))).shape
    (3, 2, 4, 4)
    """

    _ranks = (4,)
    _layout = "(N, C, H, W)"

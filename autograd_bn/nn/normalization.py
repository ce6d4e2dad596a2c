"""Batch norm as a layer: the composition in `functional.batch_norm`, and the running statistics that evaluation uses."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from autograd_bn.core.dispatch import describe
from autograd_bn.core.effects import assign, concrete, require_finite
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.state import current, no_effects, no_grad, user_line
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.core.tracing import tracing
from autograd_bn.nn import functional
from autograd_bn.nn.module import Module

no_stat_update = no_effects
"""A context in which batch norm leaves its running statistics as they are."""


def checked_eps(layer: Module, eps: float) -> float:
    """Raises OperationError for one that makes no root."""
    if not (isinstance(eps, (int, float)) and 0 <= eps < math.inf):
        raise OperationError(f"{type(layer).__name__}: eps is added under the root, so it must be finite and not negative, got {eps!r}")
    return eps


class RunningNorm(Module):
    """Normalises by statistics of what it gets, and moves the running ones that evaluation uses: batch norm and instance norm."""

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _ranks: tuple[int, ...]
    _layout: str
    _one_value: tuple[str, str]
    """Of what there is one value where there is no variance, and the remedy."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        kind = type(self).__name__
        if not is_integer(num_features, 1):
            raise OperationError(f"{kind}: num_features is the number of channels, a positive integer, got {num_features!r}")
        if momentum is not None and not (isinstance(momentum, (int, float)) and not isinstance(momentum, bool) and 0 <= momentum <= 1):
            raise OperationError(
                f"{kind}: momentum must be from 0 to 1, or None for the plain average, got {momentum!r}; it is the weight of the new value, "
                "running = (1 - momentum)*running + momentum*batch (Keras and ONNX weight the old one: their 0.9 is 0.1 here)"
            )
        self.num_features = num_features
        self.eps = checked_eps(self, eps)
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.frozen = False
        self._warned = False
        self.weight = tensor(np.ones(num_features, dtype), requires_grad=True, name="γ") if affine else None
        self.bias = tensor(np.zeros(num_features, dtype), requires_grad=True, name="β") if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", tensor(np.zeros(num_features, dtype), name="running_mean") if tracked else None)
        self.register_buffer("running_var", tensor(np.ones(num_features, dtype), name="running_var") if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0, dtype=np.int64, name="num_batches_tracked") if tracked else None)

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, …) to the same."""
        if x.__class__ is not Tensor:
            x = asarray(x)
        assert isinstance(x, Tensor)
        shape = x.shape
        if len(shape) not in self._ranks or shape[1] != self.num_features:
            which = f", which has {shape[1]} channels" if len(shape) in self._ranks else ""
            if not which and len(shape) + 1 in self._ranks and shape[:1] == (self.num_features,):
                which = "; one example is a batch of one, x[None]"
            raise ShapeError(f"{self._place()}: expected {self._layout} with C = {self.num_features} channels, got x {describe(x)}{which}\n  at {user_line()}")
        mean, variance = self.running_mean, self.running_var
        if mean is not None and variance is not None and (self.frozen or not self.training):
            self._warn_if_never_updated()
            return self._normalized(x, (mean, variance))[0]
        count = self._count(shape)
        if count == 1:
            what, remedy = self._one_value
            raise ShapeError(
                f"{self._place()}: x {describe(x)} has one value {what}, whose variance is 0, so its output would not depend on it; {remedy}"
                f"\n  at {user_line()}"
            )
        out, μ, var = self._normalized(x, None)
        if self.training and mean is not None and variance is not None and current().effects:
            self._update(mean, variance, μ, var, count)
        return out

    def _normalized(self, x: Tensor, population: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """The result, and the statistics that it was normalised by."""
        raise NotImplementedError

    def _count(self, shape: tuple[int, ...]) -> int:
        """How many values a statistic is taken over."""
        raise NotImplementedError

    def _per_channel(self, statistic: Any) -> Any:
        """What the running statistics move towards, shape (C,)."""
        raise NotImplementedError

    def _update(self, mean: Tensor, variance: Tensor, μ: Tensor, var: Tensor, count: int) -> None:
        """Move the running statistics, all or none."""
        assert self.num_batches_tracked is not None
        batch_mean = self._per_channel(concrete(μ, self._updating, user_line))
        batch_variance = self._per_channel(concrete(var, self._updating, user_line))
        old_mean, old_variance, number = (concrete(x, self._updating, user_line) for x in (mean, variance, self.num_batches_tracked))
        tracked = number + 1
        weight = self.momentum if self.momentum is not None else 1 / tracked
        new_mean = (1 - weight) * old_mean + weight * batch_mean
        new_variance = (1 - weight) * old_variance + (weight * count / (count - 1)) * batch_variance
        require_finite((new_mean, new_variance), self._check_finite)
        assign(mean, Tensor(new_mean))
        assign(variance, Tensor(new_variance))
        assign(self.num_batches_tracked, Tensor(tracked))

    def _updating(self) -> str:
        return f"{self._place()}: an update of running statistics"

    def _check_finite(self, mean: Any, variance: Any) -> None:
        wrong = np.flatnonzero(~(np.isfinite(mean) & np.isfinite(variance)))
        if len(wrong):
            raise OperationError(
                f"{self._place()}: the batch's statistics are not finite in {len(wrong)} of {self.num_features} channels (the first is {wrong[0]}), because x "
                f"has NaN, inf or values too large; the running statistics are unchanged. Look for the cause in the layers before\n  at {user_line()}"
            )

    def _warn_if_never_updated(self) -> None:
        if not self._warned and tracing() is None and self.never_updated:
            self.__dict__["_warned"] = True
            warnings.warn(
                f"{self._place()} evaluates before its running statistics were updated even once, so it normalises by mean 0 and variance 1; "
                "run batches in training mode first, or call ab.nn.recalibrate(network, batches)",
                stacklevel=5,
            )

    @property
    def never_updated(self) -> bool:
        """Whether there are running statistics, which are as they were at the start."""
        return self.num_batches_tracked is not None and not self.num_batches_tracked.value

    def _place(self) -> str:
        """The layer's name for messages, with those of the modules around it."""
        scope = current().scope
        return repr(scope) if scope is not None and scope.name == self._label else self._label

    def freeze(self, frozen: bool = True) -> Self:
        """Use the running statistics and leave them alone, in training too, until ``freeze(False)``; gives the layer itself."""
        self.frozen = frozen
        return self

    def reset_running_stats(self) -> None:
        """Set the running statistics to where they started."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            assign(self.running_mean, np.zeros(self.num_features))
            assign(self.running_var, np.ones(self.num_features))
            assign(self.num_batches_tracked, 0)
            self._warned = False

    def extra_repr(self) -> str:
        """The settings, as PyTorch shows them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, track_running_stats={self.track_running_stats}"
            f"{', frozen=True' if self.frozen else ''}"
        )


class BatchNorm(RunningNorm):
    """What the batch norm layers share; the subclass says which shapes it takes."""

    _one_value = "a channel", "drop the last incomplete batch (drop_last=True), use a larger batch, or evaluate with eval()"

    def _normalized(self, x: Tensor, population: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        return functional.batch_norm(x, self.weight, self.bias, eps=self.eps, population=population, return_statistics=True)

    def _count(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) // self.num_features

    def _per_channel(self, statistic: Any) -> Any:
        return statistic.reshape(-1)


class BatchNorm1d(BatchNorm):
    """Batch norm over (N, C) or (N, C, L) (Ioffe & Szegedy 2015), with PyTorch's conventions and names.

    Training normalises by the batch's mean and biased variance, and moves the running statistics by
    running ← (1 − momentum)·running + momentum·batch, with the unbiased variance. Evaluation normalises by the running
    statistics, so that an output depends on its own input alone.

    Parameters
    ----------
    num_features
        The number of channels C, on axis 1.
    eps
        Added to the variance under the root.
    momentum
        The weight of the new value, from 0 to 1 (Keras and ONNX weight the old one: their 0.9 is 0.1 here);
        None for the plain average of all batches.
    affine
        Whether to scale by γ and shift by β.
    track_running_stats
        Whether to keep running statistics. Without them evaluation uses the batch's too.
    dtype
        Of the parameters and statistics.

    Attributes
    ----------
    weight, bias
        γ (starts at 1) and β (0), shape (C,); None unless affine.
    running_mean, running_var, num_batches_tracked
        Buffers, starting at 0, 1 and 0; None unless tracked.

    Raises ShapeError for the wrong number of channels, or one value a channel in training; OperationError for an
    empty batch, or a batch whose statistics are not finite (the running ones are then unchanged). Warns
    when it evaluates before any update. Accumulating gradients over small batches is not one big
    batch: each is normalised by its own statistics.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> bn = ab.nn.BatchNorm1d(2)
    >>> _ = bn(ab.tensor([[0.0, 1.0], [2.0, 5.0]]))
    >>> bn.running_mean
    tensor([0.1, 0.3], dtype=float32, name='running_mean')
    """

    _ranks = (2, 3)
    _layout = "(N, C) or (N, C, L)"


class BatchNorm2d(BatchNorm):
    """Batch norm over (N, C, H, W): one mean and one variance a channel, over N·H·W values, as the paper has it for convolutions.

    Parameters, attributes, errors and warnings are those of `BatchNorm1d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> bn = ab.nn.BatchNorm2d(2)
    >>> y = bn(ab.arange(16.0).reshape((2, 2, 2, 2)))
    >>> bn.running_mean
    tensor([0.55, 0.95], dtype=float32, name='running_mean')
    """

    _ranks = (4,)
    _layout = "(N, C, H, W)"


class BatchNorm3d(BatchNorm):
    """Batch norm over (N, C, D, H, W): one mean and one variance a channel, over N·D·H·W values.

    Parameters, attributes, errors and warnings are those of `BatchNorm1d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.BatchNorm3d(2)(ab.arange(32.0).reshape((2, 2, 2, 2, 2))).shape
    (2, 2, 2, 2, 2)
    """

    _ranks = (5,)
    _layout = "(N, C, D, H, W)"


def recalibrate(network: Module, batches: Iterable[Any]) -> None:
    """Replace the running statistics by exact averages over batches with the weights as they are (Ioffe & Szegedy 2015, Algorithm 2).

    Each becomes the mean over the batches of the batch's mean and of its unbiased variance. Other layers run as they are;
    modes and momenta are put back at the end. On an error the statistics are as before.

    Parameters
    ----------
    network
        A module with batch norm layers.
    batches
        Inputs of the network.

    Raises OperationError where there is no batch norm layer, or no batch.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> bn = ab.nn.BatchNorm1d(1)
    >>> ab.nn.recalibrate(bn, [ab.tensor([[0.0], [2.0]]), ab.tensor([[1.0], [5.0]])])
    >>> bn.running_mean.item(), bn.running_var.item()
    (2.0, 5.0)
    """
    layers = [m for m in network.modules() if isinstance(m, RunningNorm) and m.track_running_stats]
    if not layers:
        raise OperationError("recalibrate: the network has no batch norm layer that tracks running statistics")
    before = [(m, m.training, m.frozen, m.momentum, m.state_dict()) for m in layers]
    done = False
    try:
        for m in layers:
            m.reset_running_stats()
            m.training, m.frozen, m.momentum = True, False, None
        with no_grad():
            for x in batches:
                network(x)
                done = True
        if not done:
            raise OperationError("recalibrate: there is no batch to average over")
    except BaseException:
        for m, _, _, _, state in before:
            m.load_state_dict(state)
        raise
    finally:
        for m, training, frozen, momentum, _ in before:
            m.training, m.frozen, m.momentum = training, frozen, momentum

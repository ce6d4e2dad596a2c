"""Losses as modules."""

from __future__ import annotations

import numpy.typing as npt

from autograd_bn.core.tensor import Tensor
from autograd_bn.nn import functional
from autograd_bn.nn.functional.loss import Reduction
from autograd_bn.nn.module import Module


class CrossEntropyLoss(Module):
    """The negative log-likelihood of labels under softmax(scores). See `functional.cross_entropy` for the settings.

    Attributes
    ----------
    weight
        A buffer, or None.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.CrossEntropyLoss(reduction="sum")(ab.zeros((3, 2)), [0, 1, 1]).item() == 3 * ab.log(2.0).item()
    True
    """

    weight: Tensor | None

    def __init__(
        self,
        *,
        weight: Tensor | npt.ArrayLike | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return functional.cross_entropy(
            prediction, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction, label_smoothing=self.label_smoothing
        )

    def extra_repr(self) -> str:
        """The settings."""
        return _settings(self, "ignore_index", "reduction", "label_smoothing")


class NLLLoss(Module):
    """The negative log-likelihood of labels, of logarithms of probabilities. See `functional.nll_loss` for the settings.

    Attributes
    ----------
    weight
        A buffer, or None.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.NLLLoss()(ab.log(ab.tensor([[0.5, 0.5], [0.25, 0.75]])), [1, 0])
    tensor(1.03972077)
    """

    weight: Tensor | None

    def __init__(self, *, weight: Tensor | npt.ArrayLike | None = None, ignore_index: int | None = None, reduction: Reduction = "mean") -> None:
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return functional.nll_loss(prediction, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The settings."""
        return _settings(self, "ignore_index", "reduction")


class BCEWithLogitsLoss(Module):
    """The negative log-likelihood of targets from 0 to 1 under σ(scores). See `functional.binary_cross_entropy_with_logits` for the settings.

    Attributes
    ----------
    pos_weight
        A buffer, or None.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.BCEWithLogitsLoss(reduction="none")(ab.tensor([0.0, 1000.0]), [1.0, 1.0])
    tensor([0.69314718, 0.        ])
    """

    pos_weight: Tensor | None

    def __init__(self, *, pos_weight: Tensor | npt.ArrayLike | None = None, reduction: Reduction = "mean") -> None:
        self.register_buffer("pos_weight", pos_weight)
        self.reduction = reduction

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return functional.binary_cross_entropy_with_logits(prediction, target, pos_weight=self.pos_weight, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The settings."""
        return _settings(self, "reduction")


class MSELoss(Module):
    """The squared difference of two tensors of one shape. See `functional.mse_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.MSELoss()(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        self.reduction = reduction

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return functional.mse_loss(prediction, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The settings."""
        return _settings(self, "reduction")


class L1Loss(Module):
    """The absolute difference of two tensors of one shape. See `functional.l1_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.L1Loss()(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 4.0]))
    tensor(1.)
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        self.reduction = reduction

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return functional.l1_loss(prediction, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The settings."""
        return _settings(self, "reduction")


class HuberLoss(Module):
    """d²/2 of differences d up to δ, a line beyond. See `functional.huber_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.HuberLoss()(ab.tensor([0.0, 0.0]), ab.tensor([0.5, 4.0]))
    tensor(1.8125)
    """

    def __init__(self, *, delta: float = 1.0, reduction: Reduction = "mean") -> None:
        self.delta = delta
        self.reduction = reduction

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return functional.huber_loss(prediction, target, delta=self.delta, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The settings."""
        return _settings(self, "delta", "reduction")


class SmoothL1Loss(Module):
    """The `HuberLoss` divided by its δ, here β. See `functional.smooth_l1_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.SmoothL1Loss(beta=2.0)(ab.tensor([0.0, 0.0]), ab.tensor([0.5, 4.0]))
    tensor(1.53125)
    """

    def __init__(self, *, beta: float = 1.0, reduction: Reduction = "mean") -> None:
        self.beta = beta
        self.reduction = reduction

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return functional.smooth_l1_loss(prediction, target, beta=self.beta, reduction=self.reduction)

    def extra_repr(self) -> str:
        """The settings."""
        return _settings(self, "beta", "reduction")


def _settings(loss: Module, *names: str) -> str:
    return ", ".join(f"{name}={getattr(loss, name)!r}" for name in names if getattr(loss, name) is not None)

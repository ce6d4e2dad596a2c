"""Losses as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy.typing as npt

from autograd_bn.core.tensor import Tensor
from autograd_bn.nn import functional
from autograd_bn.nn.functional.loss import Reduction
from autograd_bn.nn.module import Module


class _Loss(Module):
    """A function of a prediction and a target, some of whose keywords are attributes."""

    reduction: Reduction
    _function: ClassVar[Callable[..., Tensor]]
    _keywords: ClassVar[tuple[str, ...]] = ("reduction",)

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        self.reduction = reduction

    def forward(self, prediction: Tensor | npt.ArrayLike, target: Tensor | npt.ArrayLike) -> Tensor:
        """The loss."""
        return self._function(prediction, target, **{name: getattr(self, name) for name in self._keywords})

    def extra_repr(self) -> str:
        """The settings."""
        settings = {name: getattr(self, name) for name in self._keywords if name not in self._buffers}
        return ", ".join(f"{name}={value!r}" for name, value in settings.items() if value is not None)


class CrossEntropyLoss(_Loss):
    """The negative log-likelihood of labels under softmax(scores). See `functional.cross_entropy` for the settings.

    Attributes
    ----------
    weight
        A buffer, or None.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> loss = ab.nn.CrossEntropyLoss(reduction="sum")
    >>> loss(ab.zeros((3, 2)), [0, 1, 1]).item() == 3 * ab.log(2.0).item()
    True
    """

    _function = staticmethod(functional.cross_entropy)
    _keywords = ("weight", "ignore_index", "reduction", "label_smoothing")
    weight: Tensor | None

    def __init__(
        self,
        *,
        weight: Tensor | npt.ArrayLike | None = None,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing


class NLLLoss(_Loss):
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

    _function = staticmethod(functional.nll_loss)
    _keywords = ("weight", "ignore_index", "reduction")
    weight: Tensor | None

    def __init__(self, *, weight: Tensor | npt.ArrayLike | None = None, ignore_index: int | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index


class BCEWithLogitsLoss(_Loss):
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

    _function = staticmethod(functional.binary_cross_entropy_with_logits)
    _keywords = ("pos_weight", "reduction")
    pos_weight: Tensor | None

    def __init__(self, *, pos_weight: Tensor | npt.ArrayLike | None = None, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("pos_weight", pos_weight)


class MSELoss(_Loss):
    """The squared difference of two tensors of one shape. See `functional.mse_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.MSELoss()(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 4.0]))
    tensor(2.)
    """

    _function = staticmethod(functional.mse_loss)


class L1Loss(_Loss):
    """The absolute difference of two tensors of one shape. See `functional.l1_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.L1Loss()(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 4.0]))
    tensor(1.)
    """

    _function = staticmethod(functional.l1_loss)


class HuberLoss(_Loss):
    """d²/2 of differences d up to δ, a line beyond. See `functional.huber_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.HuberLoss()(ab.tensor([0.0, 0.0]), ab.tensor([0.5, 4.0]))
    tensor(1.8125)
    """

    _function = staticmethod(functional.huber_loss)
    _keywords = ("delta", "reduction")

    def __init__(self, *, delta: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.delta = delta


class SmoothL1Loss(_Loss):
    """The `HuberLoss` divided by its δ, here β. See `functional.smooth_l1_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.SmoothL1Loss(beta=2.0)(ab.tensor([0.0, 0.0]), ab.tensor([0.5, 4.0]))
    tensor(1.53125)
    """

    _function = staticmethod(functional.smooth_l1_loss)
    _keywords = ("beta", "reduction")

    def __init__(self, *, beta: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

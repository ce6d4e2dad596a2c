"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autograd_bn.core.tensor import Tensor
from autograd_bn.ops.arithmetic import maximum
from autograd_bn.ops.exponential import sqrt
from autograd_bn.optim.optimizer import Optimizer, ParamGroup, Params, State, Update


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012; centred: Graves 2013, arXiv 1308.0850), in PyTorch's form.

    g ← g + weight_decay·p; v ← αv + (1−α)g²; b ← momentum·b + g / (√v + ε); p ← p − lr·b. Centred, v − ḡ² takes the place of v, where
    ḡ ← αḡ + (1−α)g.

    Parameters
    ----------
    params
        Leaf tensors that require a gradient, or groups.
    lr
        The learning rate.
    alpha
        From 0 up to 1 (not included).
    eps
        ε, outside the root.
    weight_decay
        The weight of the penalty ½‖p‖².
    momentum
        From 0 up to 1 (not included).
    centered
        Divide by an estimate of the standard deviation.
    maximize
        Go up instead of down.

    Raises OperationError for settings out of range, and as `Optimizer` does.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> w = ab.tensor(1.0, requires_grad=True)
    >>> optimizer = ab.optim.RMSprop([w], lr=0.01)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered, maximize=maximize)

    def _updated(self, p: Tensor, g: Tensor, lr: Tensor, state: State, group: ParamGroup) -> Update:
        α = group["alpha"]
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        new = {"square": state["square"] * α + g * g * (1 - α)}
        square = new["square"]
        if group["centered"]:
            new["mean"] = state["mean"] * α + g * (1 - α)
            square = maximum(square - new["mean"] * new["mean"], 0.0)  # a variance of 0 may be rounded to less
        change = g / (sqrt(square) + group["eps"])
        if group["momentum"]:
            change = new["velocity"] = state["velocity"] * group["momentum"] + change
        return Update(p - change * lr, new)

    def _remembered(self, group: Mapping[str, Any]) -> set[str]:
        return {"square"} | ({"mean"} if group.get("centered") else set()) | ({"velocity"} if group.get("momentum") else set())

"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autograd_bn.core.errors import OperationError
from autograd_bn.core.tensor import Tensor
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.comparison import isnan
from autograd_bn.optim.optimizer import Optimizer, ParamGroup, Params, State, Update


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, in PyTorch's form (Sutskever et al. 2013 with the rate outside the buffer).

    g ← g + weight_decay·p; v ← momentum·v + (1 − dampening)·g (v = g at first); p ← p − lr·v, or with Nesterov p − lr·(g + momentum·v).

    Parameters
    ----------
    params
        Leaf tensors that require a gradient, or groups.
    lr
        The learning rate.
    momentum
        From 0 up to 1 (not included).
    dampening
        What is taken off the weight of a new gradient.
    weight_decay
        The weight of the penalty ½‖p‖².
    nesterov
        Look ahead; needs momentum and no dampening.
    maximize
        Go up instead of down.

    Raises OperationError for settings out of range, and as `Optimizer` does.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> w = ab.tensor(1.0, requires_grad=True)
    >>> optimizer = ab.optim.SGD([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> w.item()
    0.8
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov, maximize=maximize)

    def _check_group(self, group: ParamGroup) -> None:
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise OperationError("nesterov=True needs momentum > 0 and dampening = 0")

    def _updated(self, p: Tensor, g: Tensor, lr: Tensor, state: State, group: ParamGroup) -> Update:
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        if group["momentum"]:
            old = state["velocity"]
            v = old * group["momentum"] + g * (1 - group["dampening"])
            if group["dampening"]:
                v = where(isnan(old), g, v)
            state = {"velocity": v}
            g = g + v * group["momentum"] if group["nesterov"] else v
        return Update(p - g * lr, state)

    def _remembered(self, group: Mapping[str, Any]) -> set[str]:
        return {"velocity"}

    def _at_first(self, group: Mapping[str, Any]) -> dict[str, float]:
        """NaN where dampening makes a first step another than one from zero."""
        return {"velocity": math.nan if group["dampening"] else 0.0} if group["momentum"] else {}

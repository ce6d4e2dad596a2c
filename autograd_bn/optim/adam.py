"""Adam, and AdamW, which decays the weights outside the moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autograd_bn.core.tensor import Tensor
from autograd_bn.ops.arithmetic import maximum
from autograd_bn.ops.exponential import sqrt
from autograd_bn.optim.optimizer import Optimizer, ParamGroup, Params, State, Update, as_dtype


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), in PyTorch's form.

    g ← g + weight_decay·p; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − lr·m̂ / (√v̂ + ε), with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).

    Parameters
    ----------
    params
        Leaf tensors that require a gradient, or groups.
    lr
        The learning rate.
    betas
        β₁ and β₂, from 0 up to 1 (not included).
    eps
        ε, outside the root.
    weight_decay
        The weight of the penalty ½‖p‖², which enters the moments; `AdamW` decays outside them.
    amsgrad
        Divide by the largest v so far (Reddi et al. 2018, arXiv 1904.09237).
    maximize
        Go up instead of down.

    The step count t is a 0-d float64 tensor a parameter, which counts only the steps in which it had a gradient.

    Raises OperationError for settings out of range, and as `Optimizer` does.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> w = ab.tensor(1.0, requires_grad=True)
    >>> optimizer = ab.optim.Adam([w], lr=0.1)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    0.9
    """

    _decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)

    def _updated(self, p: Tensor, g: Tensor, lr: Tensor, state: State, group: ParamGroup) -> Update:
        β1, β2 = group["betas"]
        decay, dtype = group["weight_decay"], p.dtype
        if decay and self._decoupled:
            p = p * (1 - lr * decay)
        elif decay:
            g = g + p * decay
        t = state["step"] + 1.0
        new = {"step": t, "mean": state["mean"] * β1 + g * (1 - β1), "square": state["square"] * β2 + g * g * (1 - β2)}
        square = new["square"]
        if group["amsgrad"]:
            square = new["largest"] = maximum(state["largest"], square)
        rate = as_dtype(group.rate / (1 - β1**t), dtype)
        root = as_dtype(sqrt(1 - β2**t), dtype)
        return Update(p - new["mean"] / (sqrt(square) / root + group["eps"]) * rate, new)

    def _remembered(self, group: Mapping[str, Any]) -> set[str]:
        return {"step", "mean", "square"} | ({"largest"} if group.get("amsgrad") else set())


class AdamW(Adam):
    """Adam with weight decay outside the moments (Loshchilov & Hutter 2019, arXiv 1711.05101): p ← p·(1 − lr·weight_decay), then Adam's step.

    Parameters
    ----------
    params, lr, betas, eps, amsgrad, maximize
        As in `Adam`.
    weight_decay
        The share that a parameter loses per step, times lr.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> w = ab.tensor(1.0, requires_grad=True)
    >>> optimizer = ab.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    0.85
    """

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

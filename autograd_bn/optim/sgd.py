"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.tensor import Tensor, plain, tensor
from autograd_bn.optim.optimizer import Optimizer, checked


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, in PyTorch's form (Sutskever et al. 2013 with the rate outside the buffer).

    g ← g + weight_decay·p; v ← momentum·v + g (v = g at first); p ← p − lr·v, or with Nesterov p − lr·(g + momentum·v).

    Parameters
    ----------
    params
        Leaf tensors that require a gradient.
    lr
        The learning rate.
    momentum
        From 0 up to 1 (not included).
    weight_decay
        The weight of the penalty ½‖p‖².
    nesterov
        Look ahead; needs momentum.

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

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(params, lr)
        self.momentum = checked("momentum", momentum, 1)
        self.weight_decay = checked("weight_decay", weight_decay)
        self.nesterov = nesterov
        if nesterov and not self.momentum:
            raise OperationError("nesterov=True needs momentum > 0")
        self._velocity: list[Tensor | None] = [None] * len(self.params)

    def _updated(self, i: int, p: Tensor, g: Tensor) -> Tensor:
        if self.weight_decay:
            g = g + p * self.weight_decay
        if self.momentum:
            old = self._velocity[i]
            v = g.detach() if old is None else old * self.momentum + g
            self._velocity[i] = v
            g = g + v * self.momentum if self.nesterov else v
        return p - g * self.lr

    def state_dict(self) -> dict[str, Any]:
        """Settings, and the velocity of each parameter (None before its first step)."""
        velocity = [None if v is None else np.array(plain(v)) for v in self._velocity]
        return {"lr": self.lr, "momentum": self.momentum, "weight_decay": self.weight_decay, "nesterov": self.nesterov, "velocity": velocity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave. Raises OperationError where it does not fit; nothing is then changed."""
        expected = {"lr", "momentum", "weight_decay", "nesterov", "velocity"}
        problems = [f"missing: {key}" for key in sorted(expected - set(state))] + [f"unexpected: {key}" for key in sorted(set(state) - expected)]
        velocity = state.get("velocity", [])
        if not problems and len(velocity) != len(self.params):
            problems.append(f"velocity: {len(velocity)} entries for {len(self.params)} parameters")
        elif not problems:
            problems += [
                f"wrong shape: velocity of {self._described(i)} has shape {np.shape(v)}"
                for i, (p, v) in enumerate(zip(self.params, velocity, strict=True))
                if v is not None and np.shape(v) != p.shape
            ]
        if problems:
            raise OperationError("load_state_dict: the state does not fit this SGD, which is unchanged\n  " + "\n  ".join(problems))
        lr, momentum, decay = checked("lr", state["lr"]), checked("momentum", state["momentum"], 1), checked("weight_decay", state["weight_decay"])
        self._velocity = [None if v is None else tensor(v, dtype=p.dtype) for p, v in zip(self.params, velocity, strict=True)]
        self.lr, self.momentum, self.weight_decay, self.nesterov = lr, momentum, decay, bool(state["nesterov"])

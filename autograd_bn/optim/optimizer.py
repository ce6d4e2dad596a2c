"""What all optimisers share: the checks, and the order check, then compute, then commit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from autograd_bn.core.effects import assign
from autograd_bn.core.errors import GradientError, OperationError
from autograd_bn.core.node import Node
from autograd_bn.core.state import current, no_grad
from autograd_bn.core.tensor import Tensor, plain

Array = np.ndarray[Any, Any]


class Optimizer:
    """Base of optimisers: a subclass defines ``_updates``.

    Parameters
    ----------
    params
        Leaf tensors that require a gradient, as from ``module.parameters()``.
    lr
        The learning rate, not negative; may be changed between steps.

    Raises OperationError where there is no parameter or one comes twice, GradientError for one that is no leaf or
    requires no gradient.
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        if isinstance(params, Tensor):
            raise OperationError("an optimiser takes a list of parameters, got one tensor; pass [parameter]")
        self.params = list(params)
        self.lr = checked("lr", lr)
        if not self.params:
            raise OperationError("an optimiser needs parameters, got an empty list; parameters() is a generator, which can be used once")
        seen: dict[int, int] = {}
        for i, p in enumerate(self.params):
            if not isinstance(p, Tensor):
                raise OperationError(f"an optimiser takes tensors, got {type(p).__name__} at position {i}")
            if id(p) in seen:
                raise OperationError(f"{self._described(i)} is given twice, at positions {seen[id(p)]} and {i}: it would be updated twice a step")
            seen[id(p)] = i
            if not p.is_leaf:
                raise GradientError(
                    f"{self._described(i)} is no leaf but the result of {p.node.title} at {p.node.line}; optimise the tensors that it was made from"
                )
            if p.node.__class__ is not Node:
                raise GradientError(f"{self._described(i)} does not require a gradient; make it with requires_grad=True")

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises GradientError where no parameter has one, or one is NaN or infinite; nothing is then changed.
        """
        if not current().effects:
            raise OperationError("step() inside no_effects() would change nothing; move it out")
        live = [(i, p, g) for i, p in enumerate(self.params) if (g := p.grad) is not None]
        if not live:
            raise GradientError("step(): no parameter has a gradient; call backward() first")
        for i, _, g in live:
            # A sum of squares is finite unless an element is not, or it overflows: only then look at each.
            array = plain(g)
            if not math.isfinite(np.vdot(array, array)):
                self._check_finite(i, array)
        with no_grad():
            updates = [(p, self._updated(i, p, g)) for i, p, g in live]
            for p, value in updates:
                assign(p, value)

    def _check_finite(self, i: int, gradient: Array) -> None:
        wrong = int((~np.isfinite(gradient)).sum())
        if wrong:
            raise GradientError(
                f"step(): the gradient of {self._described(i)} has {wrong} elements of {gradient.size} that are NaN or infinite; no parameter is changed. "
                "Lower the learning rate, clip the gradients, or find the first such operation with anomaly mode"
            )

    def _updated(self, i: int, p: Tensor, g: Tensor) -> Tensor:
        """The new value of parameter i, which has gradient g."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Settings and buffers, copied, so that training can go on later as if it had not stopped."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what ``state_dict`` gave. Raises OperationError where it does not fit; nothing is then changed."""
        raise NotImplementedError

    def _described(self, i: int) -> str:
        p = self.params[i]
        return f"parameter {i}{f' ({p.name})' if p.name else ''} of shape {p.shape}"


def checked(name: str, value: float, high: float = math.inf) -> float:
    """A setting that must be a number from 0 up to ``high``. Raises OperationError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)) or not 0 <= value < high:
        raise OperationError(f"{name} must be a number from 0 up to {'infinity' if high == math.inf else f'{high} (not included)'}, got {value!r}")
    return float(value)

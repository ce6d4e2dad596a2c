"""Learning rates that change as training goes on. All are closed forms of the number of steps: nothing accumulates."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autograd_bn.core.errors import OperationError
from autograd_bn.core.integers import is_integer
from autograd_bn.optim.optimizer import Optimizer, number, outside_traces, unmatched


class Schedule:
    """Base of schedules: a subclass defines ``_rate``. Making one sets the rate of step 0; ``step()`` that of the next.

    Parameters
    ----------
    optimizer
        Whose rates change; those that it has now (as it was made, not as another schedule left them) are the base rates. A group that
        is added later joins with its own.

    Attributes
    ----------
    steps
        How often ``step()`` was called.
    base_lrs
        The base rate of each group.

    A user calls ``step()`` after ``optimizer.step()``, once a step or once an epoch; `ab.train.fit` calls it once a step.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise OperationError(f"{type(self).__name__} takes an optimiser, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.base_lrs: list[float] = []
        self.steps = 0
        self._set()

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in vars(self).items() if name != "optimizer"]
        return f"{type(self).__name__}({', '.join(settings)})"

    def step(self) -> None:
        """Go on to the rate of the next step. Raises TraceError in a compiled function."""
        outside_traces("the schedule")
        self.steps += 1
        self._set()

    def rates(self, steps: int) -> list[float]:
        """The rate of each group after so many steps."""
        return [self._rate(base, steps) for base in self.base_lrs]

    def _rate(self, base: float, steps: int) -> float:
        raise NotImplementedError

    def _set(self) -> None:
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            group.base_lr = group["lr"] if group.base_lr is None else group.base_lr
            self.base_lrs.append(group.base_lr)
        for group, rate in zip(self.optimizer.param_groups, self.rates(self.steps), strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """The number of steps and the base rates; the settings are the constructor's."""
        return {"steps": self.steps, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state_dict`` gave, and set the rates. Raises OperationError where it does not fit; nothing is then changed."""
        problems = unmatched("", {"steps", "base_lrs"}, state)
        if not problems and len(state["base_lrs"]) != len(self.base_lrs):
            problems = [f"base_lrs: {len(state['base_lrs'])} rates for {len(self.base_lrs)} groups"]
        if problems:
            raise OperationError(f"load_state_dict: the state does not fit this {type(self).__name__}, which is unchanged\n  " + "\n  ".join(problems))
        self.steps, self.base_lrs = _count("steps", state["steps"], 0), [number("base_lrs", rate) for rate in state["base_lrs"]]
        self._set()


class StepLR(Schedule):
    """base · gamma^⌊steps / step_size⌋.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> optimizer = ab.optim.SGD([ab.tensor(1.0, requires_grad=True)], lr=8.0)
    >>> schedule = ab.optim.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> [schedule.rates(t)[0] for t in range(6)]
    [8.0, 8.0, 4.0, 4.0, 2.0, 2.0]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = _count("step_size", step_size), number("gamma", gamma)
        super().__init__(optimizer)

    def _rate(self, base: float, steps: int) -> float:
        return float(base * self.gamma ** (steps // self.step_size))


class CosineAnnealingLR(Schedule):
    """eta_min + (base − eta_min)·(1 + cos(π·steps / T_max)) / 2 (Loshchilov & Hutter 2017, arXiv 1608.03983, without restarts).

    Beyond T_max it rises again, as in PyTorch.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> optimizer = ab.optim.SGD([ab.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> schedule = ab.optim.CosineAnnealingLR(optimizer, T_max=4)
    >>> [round(schedule.rates(t)[0], 3) for t in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = _count("T_max", T_max), number("eta_min", eta_min)
        super().__init__(optimizer)

    def _rate(self, base: float, steps: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * steps / self.T_max)) / 2


class LambdaLR(Schedule):
    """base · lr_lambda(steps), of any function.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> optimizer = ab.optim.SGD([ab.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> schedule = ab.optim.LambdaLR(optimizer, lambda step: 0.5**step)
    >>> [schedule.rates(t)[0] for t in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def _rate(self, base: float, steps: int) -> float:
        return number("lr_lambda(steps)", base * self.lr_lambda(steps))


class LinearLR(Schedule):
    """base times a factor that goes from start_factor to end_factor over total_iters steps, then stays: a warm-up.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> optimizer = ab.optim.SGD([ab.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> schedule = ab.optim.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> [schedule.rates(t)[0] for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5) -> None:
        self.start_factor, self.end_factor = number("start_factor", start_factor), number("end_factor", end_factor)
        self.total_iters = _count("total_iters", total_iters)
        super().__init__(optimizer)

    def _rate(self, base: float, steps: int) -> float:
        return base * (self.start_factor + (self.end_factor - self.start_factor) * min(steps / self.total_iters, 1))


class SequentialLR(Schedule):
    """One schedule after another, each counting from its own start.

    Parameters
    ----------
    optimizer
        The one that all schedules were made for.
    schedulers
        In their order.
    milestones
        At which steps the second, the third, … takes over; increasing.

    Examples
    --------
    A warm-up, then a cosine:

    >>> import autograd_bn as ab
    >>> optimizer = ab.optim.SGD([ab.tensor(1.0, requires_grad=True)], lr=1.0)
    >>> warmup = ab.optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> cosine = ab.optim.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule = ab.optim.SequentialLR(optimizer, [warmup, cosine], milestones=[2])
    >>> [round(schedule.rates(t)[0], 3) for t in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        self.schedulers, self.milestones = list(schedulers), [_count("milestones", m) for m in milestones]
        if len(self.schedulers) != len(self.milestones) + 1 or self.milestones != sorted(set(self.milestones)):
            raise OperationError(
                f"SequentialLR: {len(self.schedulers)} schedules need {max(len(self.schedulers) - 1, 0)} increasing milestones, got {list(milestones)}"
            )
        if any(schedule.optimizer is not optimizer for schedule in self.schedulers):
            raise OperationError("SequentialLR: each schedule must have been made for this optimiser")
        super().__init__(optimizer)

    def _rate(self, base: float, steps: int) -> float:
        i = bisect.bisect_right(self.milestones, steps)
        return self.schedulers[i]._rate(base, steps - (self.milestones[i - 1] if i else 0))


def _count(name: str, value: Any, least: int = 1) -> int:
    if not is_integer(value, least):
        raise OperationError(f"{name} must be a whole number, at least {least}, got {value!r}")
    return int(value)

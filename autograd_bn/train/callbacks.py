"""What happens beside the updates: recording, stopping early, keeping the best."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from autograd_bn.core.errors import OperationError
from autograd_bn.core.integers import is_integer
from autograd_bn.train.checkpoint import save_checkpoint

if TYPE_CHECKING:
    from autograd_bn.nn.module import Module
    from autograd_bn.train.loop import Run


class Callback:
    """Base of callbacks: a subclass defines the methods that it wants to be called, all with the `Run`.

    One that remembers anything defines ``state_dict`` and ``load_state_dict`` too, so that a resumed run has it again.
    """

    def on_start(self, run: Run) -> None:
        """Before the first step, also of a resumed run (where ``run.step`` is not 0)."""

    def on_gradients(self, run: Run) -> None:
        """After the backward pass, before the update: to clip gradients, or to look at them."""

    def on_step(self, run: Run) -> None:
        """After each update; ``run.step`` counts it."""

    def on_evaluation(self, run: Run) -> None:
        """After each evaluation, whose row is the last of ``run.history``; before ``on_step``."""

    def on_end(self, run: Run) -> None:
        """After the last step."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it. A run that is resumed asks for it before ``on_start``."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state_dict`` gave."""


class Every(Callback):
    """Call ``function(step, model)`` before the first step and after every ``count``-th, and keep what it returns.

    Attributes
    ----------
    steps, values
        When it was called, and what it returned; a checkpoint keeps both, so let it be numbers or arrays.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> data = ab.data.Dataset(np.eye(4, dtype="float32"), np.arange(4) % 2)
    >>> model = ab.nn.Linear(4, 2, rng=0)
    >>> def norm(step, model):
    ...     return float(np.linalg.norm(model.weight.detach().numpy()))
    >>> norms = ab.train.Every(5, norm)
    >>> optimizer = ab.optim.SGD(model.parameters(), lr=0.5)
    >>> loader = ab.data.Loader(data, 2, seed=0)
    >>> _ = ab.train.fit(
    ...     model, optimizer, loader, steps=10, callbacks=[norms], progress=False
    ... )
    >>> norms.steps, norms.values[0] < norms.values[-1]
    ([0, 5, 10], True)
    """

    def __init__(self, count: int, function: Callable[[int, Module], Any]) -> None:
        if not is_integer(count, 1):
            raise OperationError(f"Every: a positive number of steps is wanted, got {count!r}")
        self.count, self.function = count, function
        self.steps: list[int] = []
        self.values: list[Any] = []

    def on_start(self, run: Run) -> None:
        """Call it before the first step."""
        if run.step == 0:
            self._call(run)

    def on_step(self, run: Run) -> None:
        """Call it if it is time."""
        if run.step % self.count == 0:
            self._call(run)

    def _call(self, run: Run) -> None:
        self.values.append(self.function(run.step, run.model))
        self.steps.append(run.step)

    def state_dict(self) -> dict[str, Any]:
        """Steps and values."""
        return {"steps": list(self.steps), "values": list(self.values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them up."""
        self.steps, self.values = list(state["steps"]), list(state["values"])


class _Watching(Callback):
    """Follows one column of the history."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise OperationError(f"{type(self).__name__}: mode is 'min' or 'max', got {mode!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.best = math.inf if mode == "min" else -math.inf
        self.waited = 0

    def on_evaluation(self, run: Run) -> None:
        """Compare with the best so far."""
        if self.monitor not in run.history:
            raise OperationError(f"{type(self).__name__}: there is no {self.monitor!r} in the history, which has {', '.join(run.history)}")
        value = run.history[self.monitor][-1]
        better = value < self.best - self.min_delta if self.mode == "min" else value > self.best + self.min_delta
        if better:
            self.best, self.waited = value, 0
        else:
            self.waited += 1

    def state_dict(self) -> dict[str, Any]:
        """The best value, and how long ago it was."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them up."""
        self.best, self.waited = float(state["best"]), int(state["waited"])


class EarlyStopping(_Watching):
    """Stop when a column of the history has not improved by more than ``min_delta`` for ``patience`` evaluations in a row.

    Raises OperationError in training where the history has no such column.
    """

    def __init__(self, monitor: str = "val_loss", *, patience: int = 5, mode: str = "min", min_delta: float = 0.0) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = patience

    def on_evaluation(self, run: Run) -> None:
        """Stop if it is time."""
        super().on_evaluation(run)
        if self.waited >= self.patience:
            run.stop(f"{self.monitor} has not improved for {self.waited} evaluations; the best was {self.best:g}")


class BestModel(_Watching):
    """Save the model's state whenever a column of the history is better than ever.

    The file holds ``{"model": state_dict, "step": …, monitor: value}``: ``model.load_state_dict(ab.train.load_checkpoint(path)["model"])``.
    """

    def __init__(self, path: str | os.PathLike[str], monitor: str = "accuracy", *, mode: str = "max") -> None:
        super().__init__(monitor, mode)
        self.path = path

    def on_evaluation(self, run: Run) -> None:
        """Save if it is the best."""
        super().on_evaluation(run)
        if self.waited == 0:
            save_checkpoint(self.path, {"model": run.model.state_dict(), "step": run.step, self.monitor: self.best})

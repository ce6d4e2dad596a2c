"""Training in a cell: ``fit``, with what became of a run that diverged; and the gradient of one batch, for what looks at single steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.errors import GradientError
from autograd_bn.core.state import no_grad
from autograd_bn.data import Dataset, Loader
from autograd_bn.nn import functional_call, no_stat_update
from autograd_bn.nn.functional import cross_entropy
from autograd_bn.nn.module import Module
from autograd_bn.optim import SGD, Optimizer
from autograd_bn.train import Callback, Run, accuracy, fit
from autograd_bn.transforms import value_and_grad

WORTH_COMPILING = 500
"""From how many steps on a compiled step saves more than compiling it takes."""


class _Kept(Callback):
    """Holds the run, whose history is wanted even if it fails."""

    run: Run

    def on_start(self, run: Run) -> None:
        self.run = run


class At(Callback):
    """Calls ``function(run)`` after the steps given, 0 being before the first, and keeps what it returns in ``values``."""

    def __init__(self, steps: Sequence[int], function: Callable[[Run], Any]) -> None:
        self.wanted, self.function = frozenset(steps), function
        self.values: list[Any] = []

    def on_start(self, run: Run) -> None:
        """Call it before the first step, if that is wanted."""
        self.on_step(run)

    def on_step(self, run: Run) -> None:
        """Call it if it is time."""
        if run.step in self.wanted:
            self.values.append(self.function(run))


def trained(
    model: Module,
    train: Dataset,
    test: Dataset,
    *,
    steps: int,
    lr: float,
    seed: int,
    batch: int = 60,
    every: int | None = None,
    callbacks: Sequence[Callback] = (),
    compiled: bool | None = None,
    method: Callable[..., Optimizer] = SGD,
) -> dict[str, Any]:
    """Train on the mean cross entropy, by plain SGD unless told; gives the test accuracy against steps and at the end.

    A step whose gradient is NaN or infinite is not made: training ends there, ``diverged`` says after which step (else it is None), and the
    network is measured as it is then, also for the steps that it did not come to. Long runs are compiled, unless ``compiled`` is False, as it must be
    for a model that draws random numbers by NumPy.
    """
    every = every or steps
    compiled = steps >= WORTH_COMPILING if compiled is None else compiled
    kept = _Kept()
    diverged = None
    optimizer, loader = method(model.parameters(), lr=lr), Loader(train, batch, seed=seed, drop_last=True)
    with np.errstate(all="ignore"):  # what overflows in a run that diverges is seen by its gradient
        try:
            fit(model, optimizer, loader, test, steps=steps, every=every, callbacks=[kept, *callbacks], compiled=compiled, progress=False)
        except GradientError:
            diverged = kept.run.step
        history = kept.run.history
        at, accuracies = list(history.steps), list(history.get("accuracy", []))
        if diverged is not None:
            missing = [step for step in [*range(every, steps, every), steps] if step not in at]
            at, accuracies = at + missing, accuracies + [accuracy(model, test)] * len(missing)
    return {"steps": at, "accuracies": accuracies, "accuracy": accuracies[-1], "diverged": diverged}


def gradients(model: Module, x: Any, y: Any, loss: Callable[[Any, Any], Any] = cross_entropy) -> tuple[float, list[Any]]:
    """The loss of a batch and its gradient, an array for every parameter of the model in order; statistics and ``grad`` stay as they are."""
    parameters = dict(model.named_parameters())
    with no_stat_update():
        value, found = value_and_grad(lambda values: loss(functional_call(model, values, x), y))(parameters)
    return value.item(), [found[name].numpy() for name in parameters]


def loss_at(model: Module, values: Sequence[Any], x: Any, y: Any) -> float:
    """The loss of a batch with other values of the parameters."""
    names = [name for name, _ in model.named_parameters()]
    with no_grad(), no_stat_update():
        return float(cross_entropy(functional_call(model, dict(zip(names, values, strict=True)), x), y).item())

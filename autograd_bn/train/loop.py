"""A small training loop for classifiers: batches, loss, step, now and then the accuracy."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.state import no_grad
from autograd_bn.data.handwritten import Dataset
from autograd_bn.data.loader import batches
from autograd_bn.nn.functional import cross_entropy
from autograd_bn.nn.module import Module
from autograd_bn.optim.optimizer import Optimizer


class History(NamedTuple):
    """What was measured: after which steps, the loss of the last batch, and the accuracy on the test part."""

    steps: list[int]
    losses: list[float]
    accuracies: list[float]


def accuracy(network: Module, data: Dataset) -> float:
    """The share of examples whose largest output is their label, in evaluation mode; the mode is put back.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.train.accuracy(ab.nn.Linear(2, 2, rng=0), ab.data.Dataset(ab.zeros((4, 2)).numpy(), ab.zeros(4).numpy())) in (0.0, 1.0)
    True
    """
    modes = [(m, m.training) for m in network.modules()]
    network.eval()
    try:
        with no_grad():
            guesses = network(data.images).numpy().argmax(1)
    finally:
        for m, training in modes:
            m.training = training
    return float((guesses == data.labels).mean())


def fit(
    network: Module,
    optimizer: Optimizer,
    train: Dataset,
    test: Dataset,
    *,
    steps: int,
    batch_size: int,
    rng: np.random.Generator,
    every: int = 100,
    label: str = "train",
    progress: bool = True,
) -> History:
    """Minimise the cross entropy over shuffled mini-batches.

    Parameters
    ----------
    network, optimizer
        The optimiser holds the network's parameters.
    train, test
        Inputs as the network takes them, and labels.
    steps, batch_size
        How many updates, over how many examples each; an incomplete last batch is left out.
    rng
        Shuffles each pass.
    every
        Measure the test accuracy after every so many steps, and after the last.
    label, progress
        The progress bar's text, and whether to show it on stderr.

    Raises OperationError where the batch is larger than the training part.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> images, labels = ab.data.digits()
    >>> data = ab.data.Dataset(images.reshape(-1, 64), labels)
    >>> network = ab.nn.Linear(64, 10, rng=0)
    >>> optimizer = ab.optim.SGD(network.parameters(), lr=0.5)
    >>> history = ab.train.fit(network, optimizer, data, data, steps=50, batch_size=60, rng=ab.nn.init.generator(0), progress=False)
    >>> history.accuracies[-1] > 0.8
    True
    """
    if steps < 1 or every < 1:
        raise OperationError(f"fit: steps and every must be positive, got {steps} and {every}")
    if batch_size > len(train.labels):
        raise OperationError(f"fit: a batch of {batch_size} is larger than the training part of {len(train.labels)}")
    history = History([], [], [])
    network.train()
    with _progress(steps, label, progress) as shown:
        for step, (x, y) in enumerate(_endless(train, batch_size, rng), 1):
            optimizer.zero_grad()
            loss = cross_entropy(network(x), y)
            loss.backward()
            optimizer.step()
            if step % every == 0 or step == steps:
                history.steps.append(step)
                history.losses.append(loss.item())
                history.accuracies.append(accuracy(network, test))
                shown.set_postfix_str(f"loss {history.losses[-1]:.3f}, test accuracy {history.accuracies[-1]:.1%}", refresh=False)
            shown.update()
            if step == steps:
                return history
    return history


def _endless(train: Dataset, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    while True:
        yield from batches(train.images, train.labels, batch_size, rng, drop_last=True)


class _Shown(Protocol):
    def update(self) -> object: ...

    def set_postfix_str(self, text: str, *, refresh: bool) -> object: ...


@contextmanager
def _progress(steps: int, label: str, wanted: bool) -> Iterator[_Shown]:
    """A tqdm bar on a terminal where tqdm is installed, else a line now and then."""
    if wanted and sys.stderr.isatty():
        try:
            tqdm: Any = importlib.import_module("tqdm").tqdm
        except ImportError:
            pass
        else:
            with tqdm(total=steps, desc=label, file=sys.stderr) as bar:
                yield bar
            return
    yield _Lines(steps, label, wanted)


class _Lines:
    """Ten plain lines in place of a bar."""

    def __init__(self, steps: int, label: str, wanted: bool) -> None:
        self.steps = steps
        self.label = label
        self.wanted = wanted
        self.done = 0
        self.note = ""

    def update(self) -> None:
        self.done += 1
        if self.wanted and self.done * 10 // self.steps > (self.done - 1) * 10 // self.steps:
            print(f"{self.label}: {self.done}/{self.steps} {self.note}", file=sys.stderr)

    def set_postfix_str(self, text: str, *, refresh: bool) -> None:
        self.note = text

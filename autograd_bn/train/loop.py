"""The training loop: batches, loss, step, and now and then an evaluation and a checkpoint."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from autograd_bn.compiler import jit
from autograd_bn.core.arrays import Array
from autograd_bn.core.dispatch import describe
from autograd_bn.core.effects import assign
from autograd_bn.core.errors import OperationError
from autograd_bn.core.state import no_grad
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.tree import Structure, flatten
from autograd_bn.data.loader import Loader
from autograd_bn.nn.functional import cross_entropy
from autograd_bn.nn.losses import CrossEntropyLoss
from autograd_bn.nn.module import Module
from autograd_bn.nn.random import Generator
from autograd_bn.optim.optimizer import Optimizer
from autograd_bn.optim.schedules import Schedule
from autograd_bn.train.callbacks import Callback
from autograd_bn.train.checkpoint import load_checkpoint, remove_leftovers, save_checkpoint
from autograd_bn.train.history import History
from autograd_bn.train.progress import progress as shown_progress

Loss: TypeAlias = Callable[[Any, Any], Tensor]
Metric: TypeAlias = Callable[[Array, Array], float]
CHUNK = 1000


def correct(outputs: Array, labels: Array) -> float:
    """The share of examples whose largest output is their label.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> ab.train.correct(np.eye(2), np.array([0, 0]))
    0.5
    """
    return float((outputs.argmax(1) == labels).mean())


def predict(model: Module, inputs: Any) -> Any:
    """The outputs for all inputs as arrays, in evaluation mode, in chunks of 1,000; nothing is recorded, and the modes are put back.

    A model may return several, in nested containers. Raises OperationError for one that has not an entry an example along axis 0.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> ab.train.predict(ab.nn.Linear(2, 3, rng=0), np.zeros((5, 2), "float32")).shape
    (5, 3)
    """
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with no_grad():
            chunks = [_outputs(model, inputs[i : i + CHUNK]) for i in range(0, len(inputs) or 1, CHUNK)]
    finally:
        for m, training in modes:
            m.training = training
    structure = chunks[0][1]
    return structure.unflatten(np.concatenate(parts) for parts in zip(*[leaves for leaves, _ in chunks], strict=True))


def _outputs(model: Module, inputs: Any) -> tuple[list[Array], Structure]:
    leaves, structure = flatten(model(inputs))
    outputs = [asarray(y).numpy() for y in leaves]
    for y in outputs:
        if y.shape[:1] != (len(inputs),):
            raise OperationError(f"predict: an output has an entry an example along axis 0, so {len(inputs)} of them here, got {describe(y)}")
    return outputs, structure


def accuracy(model: Module, data: tuple[Any, Any]) -> float:
    """The share of examples whose largest output is their label, in evaluation mode; the mode is put back.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> data = ab.data.Dataset(ab.zeros((4, 2)).numpy(), ab.zeros(4).numpy())
    >>> ab.train.accuracy(ab.nn.Linear(2, 2, rng=0), data) in (0.0, 1.0)
    True
    """
    inputs, labels = data
    return correct(predict(model, inputs), labels)


class Run:
    """A training run: what a callback sees.

    Attributes
    ----------
    model, optimizer, loader, schedule, history
        What `fit` was given, and the measurements so far.
    step, steps
        How many updates were made, and how many there will be.
    loss
        The loss of the last batch.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loader: Loader,
        schedule: Schedule | None,
        callbacks: Sequence[Callback],
        generators: Iterable[np.random.Generator | Generator],
        steps: int,
    ) -> None:
        self.model, self.optimizer, self.loader, self.schedule, self.steps = model, optimizer, loader, schedule, steps
        self.callbacks = list(callbacks)
        found = [value for m in model.modules() for value in vars(m).values() if isinstance(value, (np.random.Generator, Generator))]
        buffers = {id(buffer) for _, buffer in model.named_buffers()}
        drawn = [g for g in [*generators, *found] if isinstance(g, np.random.Generator) or id(g.state) not in buffers]
        self.generators = list({id(g): g for g in drawn}.values())
        self.history = History()
        self.step = 0
        self.loss: Tensor | None = None
        self.stopped: str | None = None
        self.total, self.count = 0.0, 0

    @property
    def epoch(self) -> int:
        """How many passes over the data are complete."""
        return self.loader.epoch

    def stop(self, reason: str = "a callback asked to") -> None:
        """Make this step the last."""
        self.stopped = reason

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        return {
            "step": self.step,
            "stopped": self.stopped,
            "running": [self.total, self.count],
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "loader": self.loader.state_dict(),
            "history": {"steps": self.history.steps, "columns": dict(self.history)},
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "generators": [g.bit_generator.state if isinstance(g, np.random.Generator) else g.state.tolist() for g in self.generators],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state_dict`` gave. Raises OperationError where it does not fit; nothing is then changed."""
        own = self.state_dict()
        if set(state) != set(own):
            raise OperationError(f"fit: the checkpoint is not of a training run: it has {', '.join(map(str, state)) or 'nothing'}")
        for name in ("callbacks", "generators"):
            if len(state[name]) != len(own[name]):
                raise OperationError(
                    f"fit: the checkpoint has {len(state[name])} {name}, this run {len(own[name])}; resume with those that it was started with"
                )
        if (state["schedule"] is None) != (self.schedule is None):
            raise OperationError("fit: the checkpoint was written with a schedule and this run has none, or the other way round")
        try:
            self._load(state)
        except BaseException:
            self._load(own)
            raise

    def _load(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loader.load_state_dict(state["loader"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        for callback, part in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(part)
        for generator, part in zip(self.generators, state["generators"], strict=True):
            if isinstance(generator, np.random.Generator):
                generator.bit_generator.state = part
            else:
                assign(generator.state, np.array(part))
        self.history = History(**state["history"])
        self.total, self.count = state["running"]
        self.step, self.stopped = state["step"], state["stopped"]

    def listeners(self, name: str) -> list[Callable[[Run], None]]:
        """The methods of that name that callbacks define."""
        return [getattr(c, name) for c in self.callbacks if getattr(type(c), name) is not getattr(Callback, name)]

    def tell(self, name: str) -> None:
        """Call them."""
        for method in self.listeners(name):
            method(self)


def fit(
    model: Module,
    optimizer: Optimizer,
    train: Loader,
    validation: tuple[Any, Any] | None = None,
    *,
    steps: int | None = None,
    epochs: int | None = None,
    loss: Loss = cross_entropy,
    metrics: Mapping[str, Metric] | None = None,
    every: int | None = None,
    schedule: Schedule | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    generators: Sequence[np.random.Generator | Generator] = (),
    compiled: bool = False,
    label: str = "train",
    progress: bool = True,
) -> History:
    """Minimise a loss over mini-batches.

    Parameters
    ----------
    model, optimizer
        The optimiser holds the model's parameters.
    train
        Gives pairs of inputs and targets, from where it stands.
    validation
        Inputs and targets to evaluate on, in evaluation mode.
    steps, epochs
        How many updates, or passes over the data, in all, those before a resumption included; one of the two.
    loss
        ``loss(model(inputs), targets)`` is minimised.
    metrics
        Functions of all outputs and targets of the validation data, by the name of their column; unless given, the accuracy where ``loss`` is the
        cross entropy, and none for another loss.
    every
        Evaluate after every so many steps, and after the last; once an epoch unless given.
    schedule
        Takes a step after each update.
    callbacks
        Called in their order, see `Callback`.
    checkpoint
        A file to save the whole run in at the end, after every ``checkpoint_every`` steps, and when it is interrupted.
    checkpoint_every
        At each evaluation unless given.
    resume
        Go on from ``checkpoint`` if that file exists. The result is the same bits as if the run had not stopped.
    generators
        Random generators, NumPy's or `nn.Generator`, that loss or callbacks draw from; those that are attributes of the model's modules are found.
    compiled
        Whether to run the step through ``ab.jit``: the same numbers but for roundings, sooner. Only for models and losses that can be compiled: one
        that draws from a generator of NumPy's cannot.
    label, progress
        The progress bar's text, and whether to show it on stderr.

    Returns
    -------
    History
        Columns ``loss`` (the mean over the batches since the row before), ``lr``, and with validation data ``val_loss`` and the metrics.

    Ctrl-C finishes the step, saves, says where on stderr, and raises KeyboardInterrupt; a second Ctrl-C does not wait.

    Raises OperationError where the settings do not go together or a checkpoint is of another run, CheckpointError for one that is damaged.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> images, labels = ab.data.digits()
    >>> data = ab.data.Dataset(images.reshape(-1, 64), labels)
    >>> network = ab.nn.Linear(64, 10, rng=0)
    >>> optimizer = ab.optim.SGD(network.parameters(), lr=0.5)
    >>> loader = ab.data.Loader(data, 60, seed=0)
    >>> history = ab.train.fit(network, optimizer, loader, data, steps=50, progress=False)
    >>> history["accuracy"][-1] > 0.8
    True
    """
    _check_kinds(train, optimizer, loss, callbacks, metrics)
    if (steps is None) == (epochs is None):
        raise OperationError("fit: give the number of steps or of epochs, one of the two")
    every = len(train) if every is None else every
    total = steps if steps is not None else (epochs or 0) * len(train)
    for name, count in {"steps": steps, "epochs": epochs, "every": every, "checkpoint_every": checkpoint_every}.items():
        if count is not None and count < 1:
            raise OperationError(f"fit: {name} must be positive, got {count}")
    if checkpoint is None and (resume or checkpoint_every is not None):
        raise OperationError("fit: resume and checkpoint_every need checkpoint, the file's path")
    run = Run(model, optimizer, train, schedule, callbacks, generators, total)
    if resume and checkpoint is not None:
        remove_leftovers(checkpoint)
        if Path(checkpoint).exists():
            run.load_state_dict(load_checkpoint(checkpoint))
    usual: dict[str, Metric] = {"accuracy": correct} if loss is cross_entropy or isinstance(loss, CrossEntropyLoss) else {}
    chosen = usual if metrics is None else metrics
    model.train()
    run.tell("on_start")
    with shown_progress(total, run.step, label, progress) as shown, _interrupts() as interrupted:
        on_gradients, on_step = run.listeners("on_gradients"), run.listeners("on_step")
        gradients, update = _step(model, optimizer, loss, compiled)
        batches = _endless(train)
        while run.step < total and run.stopped is None:
            x, y = next(batches)
            if on_gradients:
                value = run.loss = gradients(x, y)
                for method in on_gradients:
                    method(run)
                optimizer.step()
            else:
                value = run.loss = update(x, y)
            if schedule is not None:
                schedule.step()
            run.step += 1
            run.total, run.count = run.total + value.item(), run.count + 1
            measured = run.step % every == 0 or run.step == total
            if measured:
                _measure(run, loss, validation, chosen)
                shown.set_postfix_str(", ".join(f"{name} {column[-1]:.4g}" for name, column in run.history.items() if name != "lr"), refresh=False)
                run.tell("on_evaluation")
            for method in on_step:
                method(run)
            shown.update()
            last = run.step == total or run.stopped is not None or bool(interrupted)
            if checkpoint is not None and (last or (measured if checkpoint_every is None else run.step % checkpoint_every == 0)):
                save_checkpoint(checkpoint, run.state_dict())
            if interrupted:
                break
    if interrupted:
        where = f"saved in {checkpoint}; go on with resume=True" if checkpoint is not None else "not saved, because fit was given no checkpoint"
        message = f"interrupted after step {run.step} of {total}, {where}"
        print(f"{label}: {message}", file=sys.stderr)
        raise KeyboardInterrupt(message)
    if run.stopped is not None and progress:
        print(f"{label}: stopped after step {run.step} of {total}: {run.stopped}", file=sys.stderr)
    run.tell("on_end")
    return run.history


def _check_kinds(train: Any, optimizer: Any, loss: Any, callbacks: Any, metrics: Any) -> None:
    """Raise OperationError for what is of another kind than `fit` takes."""
    if isinstance(train, (tuple, list, np.ndarray)):
        raise OperationError(f"fit: train is what gives mini-batches, a Loader, got {type(train).__name__}; pass ab.data.Loader(data, 64)")
    if not isinstance(optimizer, Optimizer):
        raise OperationError(f"fit: optimizer is an optimiser, such as ab.optim.Adam(model.parameters()), got {optimizer!r}")
    if not callable(loss):
        raise OperationError(f"fit: loss is a function of outputs and targets, such as ab.nn.functional.mse_loss, got {loss!r}")
    if isinstance(callbacks, Callback):
        raise OperationError(f"fit: callbacks is a list, pass [{type(callbacks).__name__}(…)]")
    if metrics is not None and not isinstance(metrics, Mapping):
        raise OperationError(f'fit: metrics is a mapping from names to functions, such as {{"accuracy": ab.train.correct}}, got {metrics!r}')


def _step(model: Module, optimizer: Optimizer, loss: Loss, compiled: bool) -> tuple[Loss, Loss]:
    """The loss of a batch with the gradients put in place, and with the update made too."""

    def gradients(x: Any, y: Any) -> Tensor:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        return value

    def update(x: Any, y: Any) -> Tensor:
        value = gradients(x, y)
        optimizer.step()
        return value

    return (jit(gradients), jit(update)) if compiled else (gradients, update)


def _measure(run: Run, loss: Loss, validation: tuple[Any, Any] | None, metrics: Mapping[str, Metric]) -> None:
    """Add a row to the history."""
    row = {"loss": run.total / run.count, "lr": run.optimizer.lr}
    run.total, run.count = 0.0, 0
    if validation is not None:
        inputs, targets = validation
        outputs = predict(run.model, inputs)
        with no_grad():
            row["val_loss"] = loss(outputs, targets).item()
        row |= {name: metric(outputs, targets) for name, metric in metrics.items()}
    run.history.append(run.step, **row)


def _endless(train: Loader) -> Iterator[tuple[Any, ...]]:
    while True:
        yield from train


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """A list that is no longer empty once Ctrl-C was pressed; the second time raises KeyboardInterrupt as ever."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield asked  # signals reach the main thread alone, and somebody else's handler stays
        return

    def remember(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    signal.signal(signal.SIGINT, remember)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)

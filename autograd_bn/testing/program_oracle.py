"""The brute-force oracle of programs: NumPy's run of the same steps, and differences of it.

What no gradient may flow through (``detach``, ``no_grad``) keeps, in the runs that differ, the values of the first run.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import operator
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.errors import AutogradError, DrawingError
from autograd_bn.core.primitive import registry
from autograd_bn.core.tensor import Tensor, tensor
from autograd_bn.drawing import draw
from autograd_bn.testing.program import AUTOGRAD, UPDATES, Program, Step, perform, smaller, source, weights

__all__ = ["Outcome", "ProgramError", "assert_right", "judge"]

STEP = 1e-4
TOLERANCE = 1e-5
VIEWS = frozenset(
    {"getitem", "reshape", "permute_dims", "matrix_transpose", "expand_dims", "squeeze", "broadcast_to", "swapaxes", "moveaxis"}
    | {"flip", "split", "unstack", "diagonal", "diag", "linalg.diagonal", "einsum"}
)
"""The steps whose result NumPy may let share memory, and so do we; every other gives a new array."""


def _sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(0.0, -x))


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    top = np.max(x, axis=axis, keepdims=True)
    out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis=tuple(range(np.ndim(x))) if axis is None else axis)


def _batch_norm(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Any:
    centred = x - x.mean(0)
    return centred / np.sqrt((centred**2).mean(0) + eps) * gamma + beta


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "batch_norm": _batch_norm,
    "cumulative_prod": lambda x, axis: np.cumprod(x, axis),
    "cumulative_sum": lambda x, axis: np.cumsum(x, axis),
    "detach": np.array,
    "erf": np.vectorize(math.erf, otypes=[float]),
    "log_softmax": lambda x, axis: x - _logsumexp(x, axis, True),
    "logsumexp": _logsumexp,
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": _sigmoid,
    "softmax": lambda x, axis: np.exp(x - _logsumexp(x, axis, True)),
    "softplus": lambda x: np.logaddexp(0.0, x),
    "std": lambda x, axis, correction, keepdims=False: np.std(x, axis=axis, ddof=correction, keepdims=keepdims),
    "unstack": lambda x, axis=0: tuple(np.moveaxis(x, axis, 0)[i] for i in range(x.shape[axis])),
    "var": lambda x, axis, correction, keepdims=False: np.var(x, axis=axis, ddof=correction, keepdims=keepdims),
    "vecdot": lambda x, y, axis=-1: np.sum(x * y, axis=axis),
}
"""What NumPy lacks or calls differently, written without this package."""


class NumPy:
    """NumPy as a namespace of programs."""

    def function(self, name: str) -> Callable[..., Any]:
        """NumPy's function, or the forward of a primitive that it does not have."""
        if name in _FUNCTIONS:
            return _FUNCTIONS[name]
        if name.startswith("raw."):
            return registry[name.removeprefix("raw.")].forward
        try:
            return operator.attrgetter(name)(np)  # type: ignore[no-any-return]
        except AttributeError:
            return registry[name].forward

    def under(self, name: str) -> contextlib.AbstractContextManager[Any]:
        """Blocks mean nothing to arrays."""
        return contextlib.nullcontext()

    def constant(self, array: Array) -> Any:
        """A copy."""
        return np.array(array)


NUMPY = NumPy()


def may_alias(step: Step) -> bool:
    """Whether the result may share the memory of the operand."""
    return len(step.operands) == 1 and step.name.removeprefix("raw.") in VIEWS


class Replay:
    """A run of a program on arrays, step by step, which knows whose memory each value lies in.

    Parameters
    ----------
    inputs
        The arrays to run on.
    first
        The run whose values are kept where no gradient flows; the run itself is the first if there is none.

    Attributes
    ----------
    values
        The inputs, and one value a step (None for a write).
    owner
        For each value, which one owns its memory.
    cut
        Whether it is a view that was made without a gradient: it follows the values of its memory, but is a constant.
    recorded
        For each owner, whether a gradient flows into its memory.
    """

    def __init__(self, inputs: Sequence[Array], first: Replay | None = None) -> None:
        self.values: list[Any] = [np.array(x, dtype=float, order="K") for x in inputs]
        self.given = tuple(inputs)
        self.owner = list(range(len(inputs)))
        self.cut = [False] * len(inputs)
        self.recorded = dict.fromkeys(range(len(inputs)), True)
        self.kept: dict[Any, Any] = {} if first is None else first.kept
        self.first = first

    def read(self, i: int, at: Any) -> Any:
        """A value as an operand: that of the first run where it is a constant."""
        return self._same((at, i), self.values[i]) if self.cut[i] else self.values[i]

    def do(self, step: Step) -> Any:
        """Run one more step; gives its value."""
        at = len(self.values)
        quiet = step.under == "no_grad"
        if step.writes:
            self._write(step, at, quiet)
            self._append(None, at, False)
            return None
        operands = [self.read(i, at) for i in step.operands]
        out = perform(step, NUMPY, operands)
        out = np.asarray(out)
        source = step.operands[0] if step.operands else at
        live = any(self._live(i) for i in step.operands)
        if may_alias(step) and self.cut[source]:
            seen = perform(step, NUMPY, [self.values[source]])
            shares = np.may_share_memory(seen, self.values[source])
        else:
            seen, shares = out, may_alias(step) and np.may_share_memory(out, operands[0])
        if shares:
            self._append(seen, self.owner[source], self.cut[source] or (quiet and live))
        else:
            if quiet or step.name == "detach":
                out, live = self._same(at, out), False
            self._append(np.array(out, order="K"), at, False)
            primitive = registry.get(step.name.removeprefix("raw."))
            self.recorded[at] = live and out.dtype.kind == "f" and (primitive is None or primitive.differentiable)
        return self.values[-1]

    def loss(self, outputs: Sequence[int]) -> float:
        """The weighted sum of some values."""
        return float(sum(np.sum(self.read(i, "loss") * weights(i, np.shape(self.values[i]))) for i in outputs))

    def _live(self, i: int) -> bool:
        return not self.cut[i] and self.recorded.get(self.owner[i], False)

    def _append(self, value: Any, owner: int, cut: bool) -> None:
        self.values.append(value)
        self.owner.append(owner)
        self.cut.append(cut)

    def _same(self, key: Any, value: Any) -> Any:
        """The value of the first run under this key, which is kept if this is that run."""
        if self.first is None:
            self.kept[key] = np.array(value, order="K")
        return np.array(self.kept[key], order="K")

    def _write(self, step: Step, at: int, quiet: bool) -> None:
        target = step.operands[0]
        value = self.read(step.operands[1], at)
        owner = self.owner[target]
        if step.name == "update":
            old = self.read(target, (at, "target"))
            self.values[target][...] = UPDATES[step.static["operator"]](np.array(old), value)
        else:
            self.values[target][step.static["key"]] = np.array(value)
        if quiet:  # a constant was written: what was there moves with the input alone
            base = self.values[owner]
            base[...] = self._same((at, "base"), base)
            if self.first is not None and owner < len(self.given):
                base += self.given[owner] - self.first.given[owner]
        elif self._live(step.operands[1]):
            self.recorded[owner] = True


def replayed(program: Program, inputs: Sequence[Array], first: Replay | None = None) -> Replay:
    """The whole program on arrays."""
    run = Replay(inputs, first)
    for step in program.steps:
        run.do(step)
    run.loss(program.outputs)
    return run


class Differences(NamedTuple):
    """Gradients by every input from central differences, and how far two step sizes disagree relative to their size."""

    gradients: list[Array]
    doubt: float


def differences(program: Program, first: Replay) -> Differences:
    """The gradient of the loss by differences of two step sizes, extrapolated."""

    def at(i: int, index: Any, delta: float) -> float:
        moved = list(program.inputs)
        moved[i] = np.array(moved[i])
        moved[i][index] += delta
        return replayed(program, moved, first).loss(program.outputs)

    gradients: list[Array] = []
    doubt = 0.0
    for i, x in enumerate(program.inputs):
        found = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            wide, narrow = ((at(i, index, h) - at(i, index, -h)) / (2 * h) for h in (STEP, STEP / 2))
            found[index] = (4 * narrow - wide) / 3
            gap = float(abs(narrow - wide))
            doubt = max(doubt, gap / max(1.0, abs(float(found[index])))) if math.isfinite(gap) else math.inf
        gradients.append(found)
    return Differences(gradients, doubt)


class Outcome(NamedTuple):
    """What became of a program: ``right``, ``refused``, ``wrong``, or ``unreliable`` where the differences do not settle."""

    kind: Literal["right", "refused", "wrong", "unreliable"]
    detail: str = ""
    gradients: list[Array] | None = None


def judge(program: Program, tolerance: float = TOLERANCE) -> Outcome:
    """Run a program on tensors and compare values and gradients with the oracle."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = replayed(program, program.inputs)
        leaves = [tensor(x, requires_grad=True) for x in program.inputs]
        try:
            values = program.run(AUTOGRAD, leaves)
            loss = program.loss(values)
            if isinstance(loss, Tensor) and loss.requires_grad:
                loss.backward()
        except AutogradError as error:
            return Outcome("refused", f"{type(error).__name__}: {error}")
        for i, (ours, theirs) in enumerate(zip(values, first.values, strict=True)):
            if theirs is not None:
                where = _difference(ours.detach().numpy(), theirs, 1e-9)
                if where:
                    return Outcome("wrong", f"the value {i}: {where}")
        expected = differences(program, first)
        if not expected.doubt < 1e-4:
            return Outcome("unreliable", f"two step sizes differ by {expected.doubt:.0e}", expected.gradients)
        for i, (leaf, wanted) in enumerate(zip(leaves, expected.gradients, strict=True)):
            where = _difference(np.zeros(wanted.shape) if leaf.grad is None else leaf.grad.numpy(), wanted, tolerance)
            if where:
                return Outcome("wrong", f"the gradient by x{i}: {where}", expected.gradients)
        return Outcome("right", gradients=expected.gradients)


def _difference(ours: Array, theirs: Array, tolerance: float) -> str:
    if np.shape(ours) != np.shape(theirs):
        return f"shape {np.shape(ours)}, NumPy's {np.shape(theirs)}"
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0))) if theirs.dtype.kind in "fc" else 1.0
    off = np.abs(np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float))
    if np.all(off <= tolerance * scale):
        return ""
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
    return f"at {tuple(int(k) for k in worst)} ours is {ours[worst]:.8g}, the oracle's {theirs[worst]:.8g}"


class ProgramError(AssertionError):
    """A program that is not right. The message, made when it is first read, shows the smallest one that fails alike, and draws it.

    Attributes
    ----------
    program, outcome
        The program as it was found, and what became of it.
    """

    def __init__(self, program: Program, outcome: Outcome, folder: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.program, self.outcome, self.folder = program, outcome, folder

    @functools.cached_property
    def message(self) -> str:
        """What is wrong, runnable Python, and where the picture is."""
        least = smaller(self.program, lambda program: judge(program).kind == self.outcome.kind)
        outcome = judge(least)
        if outcome.kind != self.outcome.kind:  # what was broken has been mended since
            outcome = self.outcome
        return f"{outcome.detail}\n\n{source(least, outcome.gradients)}\n{_drawn(least, self.folder)}"

    def __str__(self) -> str:
        return self.message


def assert_right(program: Program, *, refusals: bool = True, folder: str | os.PathLike[str] | None = None) -> Outcome:
    """Raise ProgramError, an AssertionError, unless a program's values and gradients are those of the oracle.

    A program whose differences do not settle passes.

    Parameters
    ----------
    program
        The program.
    refusals
        Whether an error of the engine (an `AutogradError`) is an answer.
    folder
        Where to draw a failing program; the temporary directory unless given.
    """
    outcome = judge(program)
    if outcome.kind == "wrong" or (outcome.kind == "refused" and not refusals):
        raise ProgramError(program, outcome, folder)
    return outcome


def _drawn(program: Program, folder: str | os.PathLike[str] | None) -> str:
    """Draw the graph to a file; what to say of it."""
    name = hashlib.sha256(repr(program).encode()).hexdigest()[:8]
    path = Path(tempfile.gettempdir() if folder is None else folder) / f"program-{name}.svg"
    leaves = [tensor(x, requires_grad=True, name=f"x{i}") for i, x in enumerate(program.inputs)]
    try:
        loss = program.loss(program.run(AUTOGRAD, leaves))
    except AutogradError as error:
        return f"# not drawn: {type(error).__name__}"
    if not loss.requires_grad:
        return "# not drawn: the loss requires no gradient"
    try:
        draw(loss, file=path)
    except DrawingError:
        path = path.with_suffix(".dot")
        draw(loss, file=path)
    return f"# drawn: {path}"

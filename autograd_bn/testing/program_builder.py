"""A program in the making: steps are added if they fit the values so far, choices are read from a row of small numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.primitive import Domain, registry
from autograd_bn.testing.program import UPDATES, Step
from autograd_bn.testing.program_oracle import Replay, may_alias

LARGEST, STEEPEST, ELEMENTS, MARGIN = 50.0, 30.0, 40, 1e-3


class UnfitError(Exception):
    """A step that does not fit: shapes, size, or a kink nearby."""


class Builder:
    """A program in the making, with the values of its steps on arrays."""

    def __init__(self, inputs: Sequence[Array]) -> None:
        self.inputs = tuple(inputs)
        self.steps: list[Step] = []
        self.run = Replay(inputs)
        self.under = ""
        self.numbers: tuple[int, ...] = ()
        self.at = 0
        self.elementwise = sorted(name for name, p in registry.items() if p.example is None)
        self.others = sorted(name for name, p in registry.items() if p.example is not None and p.differentiable)

    def row(self, numbers: Sequence[int], moves: Sequence[Callable[[Builder], None]]) -> None:
        """Add the steps of one row, if they fit."""
        self.numbers, self.at = tuple(numbers), 0
        place = self.pick(32)
        self.under = {1: "no_grad", 2: "block", 3: "layer"}.get(place, "")
        move = moves[self.pick(len(moves))]
        steps, values = len(self.steps), len(self.run.values)
        try:
            move(self)
        except (UnfitError, ValueError, TypeError, IndexError, np.linalg.LinAlgError):
            if any(step.writes for step in self.steps[steps:]):  # pragma: no cover - a write is the last step of its row
                raise
            del self.steps[steps:], self.run.values[values:], self.run.owner[values:], self.run.cut[values:]

    def pick(self, count: int) -> int:
        """The next number of the row, below ``count``."""
        number = self.numbers[self.at % len(self.numbers)] + 37 * (self.at // len(self.numbers))
        self.at += 1
        return number % count

    def choose(self, choices: Sequence[Any]) -> Any:
        """One of several, the first for the number 0."""
        if not choices:
            raise UnfitError
        return choices[self.pick(len(choices))]

    def value(self, i: int) -> Array:
        """The value as an array."""
        return self.run.values[i]  # type: ignore[no-any-return]

    def floats(self, fits: Callable[[Array], bool] = lambda x: True) -> list[int]:
        """The float values that fit, the latest first."""
        return [i for i in reversed(range(len(self.run.values))) if self.value(i) is not None and self.value(i).dtype.kind == "f" and fits(self.value(i))]

    def operand(self, fits: Callable[[Array], bool] = lambda x: True) -> int:
        """One of the float values that fit."""
        return int(self.choose(self.floats(fits)))

    def axis(self, x: Array) -> int:
        """An axis; Unfit if there is none."""
        return self.pick(2 * x.ndim) - x.ndim if x.ndim else self.choose(())

    def add(self, name: str, *operands: int, item: int | None = None, **static: Any) -> int:
        """Add a step, away from kinks and of bounded values and slopes; gives the number of its value."""
        step = Step(name, operands, static, self.under, item)
        number = len(self.run.values)
        if step.writes:
            if operands[1] == operands[0] and name == "setitem":
                raise UnfitError
            self._tame(step)
            self.run.do(step)
        else:
            out = self.run.do(step)
            if out.size > ELEMENTS or out.dtype.kind == "c" or not np.all(np.abs(np.asarray(out, dtype=float)) < LARGEST):
                raise UnfitError
            if operands and not may_alias(step):
                self._tame(step)
        self.steps.append(step)
        return number

    def _tame(self, step: Step) -> None:
        """Unfit unless the operation is smooth, and not too steep, within the margin."""
        distinct = sorted(set(step.operands))
        arrays = {i: np.array(self.run.values[i]) for i in distinct}

        def at(pattern: int, sign: float) -> Array:
            moved = {
                i: x + sign * MARGIN * np.cos(2.0 + pattern + 3.7 * k + 2.3 * np.arange(x.size)).reshape(x.shape) if x.dtype.kind == "f" else x
                for k, (i, x) in enumerate(arrays.items())
            }
            if step.name == "setitem":
                moved[step.operands[0]][step.static["key"]] = moved[step.operands[1]]
                return moved[step.operands[0]]
            if step.name == "update":
                return np.array(UPDATES[step.static["operator"]](moved[step.operands[0]], moved[step.operands[1]]))
            trial = Replay([])
            trial.values, trial.owner, trial.cut = [moved[i] for i in distinct], [0] * len(distinct), [False] * len(distinct)
            return np.asarray(trial.do(step._replace(operands=tuple(distinct.index(i) for i in step.operands))), dtype=float)

        for pattern in range(2):
            low, middle, high = (at(pattern, sign) for sign in (-1.0, 0.0, 1.0))
            bent = np.abs(high - 2 * middle + low) / MARGIN
            steep = np.abs(high - low) / (2 * MARGIN)
            if not (np.all(bent < 0.1) and np.all(steep < STEEPEST) and np.all(np.abs(middle) < LARGEST)):
                raise UnfitError

    def within(self, i: int, domain: Domain) -> int:
        """The value itself where it lies in a domain, else one that was brought into it."""
        x = self.value(i)
        points = [p for p in domain.avoid if domain.low < p < domain.high]
        near = any(np.any(np.abs(x - p) < domain.margin / 2) for p in points)
        if not near and np.all((x >= domain.low) & (x <= domain.high)):
            return i
        ends = [domain.low, *sorted(points), domain.high]
        low, high = max(itertools.pairwise(ends), key=lambda pair: pair[1] - pair[0])
        low, high = low + domain.margin, high - domain.margin
        if high <= low:
            low, high = domain.low, domain.high
        return self.add("affine", self.add("sigmoid", i), scale=round(high - low, 6), shift=round(low, 6))

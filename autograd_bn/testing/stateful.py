"""A rule-based machine: random sequences of what users do with tensors, against the brute-force oracle after every rule.

Needs Hypothesis, the extra ``testing``.
"""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.errors import AutogradError
from autograd_bn.core.extras import extra
from autograd_bn.core.tensor import Tensor, tensor
from autograd_bn.testing.program import AUTOGRAD, Program, perform, source
from autograd_bn.testing.program_builder import Builder
from autograd_bn.testing.program_moves import MOVES, ROW, SHAPES, random_inputs
from autograd_bn.testing.program_oracle import differences, replayed

with extra("testing", f"{__name__} needs Hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

__all__ = ["TensorMachine"]

_numbers = st.tuples(*(st.integers(0, 255) for _ in range(ROW)))


class TensorMachine(RuleBasedStateMachine):
    """Builds a program while running it: steps, writes, scopes, ``no_grad``, ``detach``, ``backward`` in every form, threads.

    After every rule the values are those of NumPy's replay, and the gradients that have accumulated those of its
    differences. Run it with ``TensorMachine.TestCase``, or ``hypothesis.stateful.run_state_machine_as_test(TensorMachine)``.
    """

    @initialize(shapes=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3), seed=st.integers(0, 1000))
    def begin(self, shapes: list[tuple[int, ...]], seed: int) -> None:
        """Leaves, and nothing else yet."""
        inputs = random_inputs(np.random.default_rng(seed), shapes)
        self.builder = Builder(inputs)
        self.leaves = [tensor(x, requires_grad=True) for x in inputs]
        self.values: list[Any] = list(self.leaves)
        self.expected: list[Array | None] = [None] * len(inputs)
        self.last: tuple[Any, Program] | None = None

    @rule(rows=st.lists(_numbers, min_size=1, max_size=6))
    def build(self, rows: list[tuple[int, ...]]) -> None:
        """A few more steps: operations, views, writes, blocks."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for numbers in rows:
                done = len(self.builder.steps)
                self.builder.row(numbers, MOVES)
                self._run(done)

    def _run(self, done: int) -> None:
        builder = self.builder
        for i in range(done, len(builder.steps)):
            step = builder.steps[i]
            try:
                self.values.append(perform(step, AUTOGRAD, [self.values[j] for j in step.operands]))
            except AutogradError:  # refused: the oracle goes back to before the step
                kept = builder.steps[:i]
                builder.steps.clear()
                builder.run = replayed(Program(builder.inputs, tuple(kept), ()), builder.inputs)
                builder.steps.extend(kept)
                return

    def _loss(self, number: int) -> tuple[Any, Program] | None:
        """The weighted sum of one or two of the values, as a tensor and as a program."""
        choices = [i for i in self.builder.floats() if isinstance(self.values[i], Tensor) and self.values[i].requires_grad]
        if not choices:
            return None
        outputs = tuple(sorted({choices[number % len(choices)], choices[number // 16 % len(choices)]}))
        program = Program(self.builder.inputs, tuple(self.builder.steps), outputs)
        return program.loss(self.values), program

    def _account(self, program: Program) -> bool:
        """Add the oracle's gradients to what is expected; False where its differences do not settle."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = differences(program, replayed(program, program.inputs))
        for i, gradient in enumerate(found.gradients):
            before = self.expected[i]
            self.expected[i] = gradient if before is None else before + gradient
        return found.doubt < 1e-4

    @rule(number=st.integers(0, 255), retain=st.booleans(), create=st.booleans())
    def differentiate(self, number: int, retain: bool, create: bool) -> None:
        """``backward()``; gradients accumulate, and a graph that was freed says so."""
        chosen = self._loss(number)
        if chosen is None:
            return
        loss, program = chosen
        kept = [leaf.grad for leaf in self.leaves]
        try:
            loss.backward(retain_graph=retain, create_graph=create)
        except AutogradError as error:
            self._was_freed(error)
            for leaf, gradient in zip(self.leaves, kept, strict=True):
                assert leaf.grad is gradient, "a sweep that failed has published gradients"
            return
        self.last = (loss, program) if retain or create else None
        self._settle(program)

    @precondition(lambda self: getattr(self, "last", None) is not None)
    @rule()
    def differentiate_again(self) -> None:
        """A graph that was retained gives its gradients once more, whatever was written since, and is then freed."""
        assert self.last is not None
        loss, program = self.last
        self.last = None
        try:
            loss.backward()
        except AutogradError as error:
            self._was_freed(error)
            return
        self._settle(program)
        try:
            loss.backward()
        except AutogradError as error:
            self._was_freed(error)
        else:
            raise AssertionError("a graph that was freed was swept again")

    def _settle(self, program: Program) -> None:
        if not self._account(program):  # start afresh, from what is there
            self.zero()

    @rule()
    def zero(self) -> None:
        """Gradients start anew."""
        for leaf in self.leaves:
            leaf.grad = None
        self.expected = [None] * len(self.leaves)

    @rule(number=st.integers(0, 255))
    def read_in_threads(self, number: int) -> None:
        """Other threads differentiate the values' copies at the same time, one of them in ``no_grad``: each is alone."""
        values = [x for x in self.values if isinstance(x, Tensor) and x.dtype.kind == "f" and x.size][-2:]
        errors: list[BaseException] = []
        gate = threading.Barrier(3)

        def work(part: int) -> None:
            try:
                gate.wait(10)
                with AUTOGRAD.under("no_grad" if part == 0 else f"thread {part}"):
                    for x in values:
                        own = tensor(x.detach(), requires_grad=True)
                        y = (own * own * float(part) + x.detach()).sum()
                        assert y.requires_grad == (part != 0)
                        if part:
                            y.backward()
                            np.testing.assert_allclose(own.grad.numpy(), 2.0 * part * own.detach().numpy())  # type: ignore[union-attr]
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append(error)

        threads = [threading.Thread(target=work, args=(part,)) for part in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _was_freed(self, error: AutogradError) -> None:
        assert "freed" in str(error), f"{error}\n{self._code()}"

    @invariant()
    def values_are_numpys(self) -> None:
        """Every value is that of the replay, views and all."""
        if not hasattr(self, "builder"):
            return
        for i, (ours, theirs) in enumerate(zip(self.values, self.builder.run.values, strict=True)):
            if theirs is not None:
                np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-9, atol=1e-9, err_msg=f"the value {i} of\n{self._code()}")

    @invariant()
    def gradients_are_the_oracles(self) -> None:
        """What has accumulated is what the differences sum up to."""
        for i, expected in enumerate(getattr(self, "expected", ())):
            ours = self.leaves[i].grad
            if expected is None:
                assert ours is None, f"x{i} has a gradient from nowhere in\n{self._code()}"
                continue
            scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
            found = np.zeros(expected.shape) if ours is None else ours.detach().numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * scale, err_msg=f"the gradient by x{i} in\n{self._code()}")

    def _code(self) -> str:
        return source(Program(self.builder.inputs, tuple(self.builder.steps), ()))

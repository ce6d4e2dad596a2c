"""Random programs over the whole registry: valid, right, small when they fail, and honest: a broken rule is found."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import autograd_bn as ab
from autograd_bn.core.errors import AutogradError
from autograd_bn.core.primitive import registry
from autograd_bn.testing import program_oracle
from autograd_bn.testing.program import AUTOGRAD, Program, Step, smaller, source
from autograd_bn.testing.program_moves import random_program
from autograd_bn.testing.program_oracle import Replay, assert_right, differences, judge, replayed
from autograd_bn.testing.strategies import programs
from tests.fuzz import alarms, fuzz, program_of

steady = settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])


@contextlib.contextmanager
def broken(name: str) -> Iterator[None]:
    """A primitive whose rule is wrong by a factor."""
    primitive = registry[name]
    right = primitive.vjp
    assert right is not None
    primitive.vjp = lambda *args: [None if g is None else g * 1.5 for g in right(*args)]
    try:
        yield
    finally:
        primitive.vjp = right


@pytest.fixture
def broken_sine() -> Iterator[None]:
    with broken("sin"):
        yield


@pytest.fixture
def broken_product() -> Iterator[None]:
    with broken("mul"):
        yield


@steady
@given(programs())
def test_drawn_programs_are_right_or_refused(program: Program) -> None:
    assert_right(program)


def test_a_short_run_of_the_fuzz_finds_nothing_wrong() -> None:
    report = fuzz(100, 1)
    assert not report.wrong
    assert report.outcomes["right"] > 85 and report.outcomes["unreliable"] <= 3, report


def test_the_checks_raise_no_alarm_on_right_programs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        report = alarms(60, 1)
    assert not report.alarms
    assert report.outcomes["passed"] > 30, report


def test_programs_of_a_seed_are_the_same_again() -> None:
    assert [source(program_of(3, i)) for i in range(20)] == [source(program_of(3, i)) for i in range(20)]


def test_programs_reach_every_differentiable_primitive_and_every_form_of_the_language() -> None:
    missing = {name for name, primitive in registry.items() if primitive.differentiable}
    forms: Counter[str] = Counter()
    for i in range(6000):
        program = program_of(2, i)
        forms.update(step.name for step in program.steps)
        forms.update(f"under {step.under}" for step in program.steps)
        uses = Counter(j for step in program.steps for j in step.operands)
        forms["fan-out"] += any(count > 1 for count in uses.values())
        forms["diamond"] += any(len(step.operands) > len(set(step.operands)) for step in program.steps)
        forms["dead branch"] += any(j not in uses and j not in program.outputs for j in range(len(program.inputs) + len(program.steps)))
        try:
            loss = program.loss(program.run(AUTOGRAD, [ab.tensor(x, requires_grad=True) for x in program.inputs]))
        except AutogradError:
            continue
        if isinstance(loss, ab.Tensor) and loss.requires_grad:
            missing -= {node.primitive.name for node in ab.graph(loss).nodes if node.primitive is not None}
        if not missing and i > 300:
            break
    assert not missing
    wanted = ["setitem", "update", "getitem", "detach", "batch_norm", "under no_grad", "under block", "fan-out", "diamond", "dead branch"]
    assert all(forms[form] for form in wanted), forms


def test_a_failing_program_shrinks_to_its_cause_prints_and_is_drawn(broken_product: None, tmp_path: pathlib.Path) -> None:
    @settings(steady, max_examples=100)
    @given(programs(max_steps=2, inputs=1))
    def check(program: Program) -> None:
        assert_right(program, folder=tmp_path)

    with pytest.raises(AssertionError) as caught:
        check()
    message = str(caught.value)
    code = message[message.index("import numpy") : message.index("# ")]
    assert message.startswith("the gradient by x0: at ")
    assert len([line for line in code.splitlines() if line.startswith(("v", "x"))]) <= 2, code
    assert " * " in code or "multiply" in code
    with pytest.raises(AssertionError, match="the gradient by x0"):
        exec(code, {})
    picture = pathlib.Path(message[message.index("# drawn: ") :].splitlines()[0].removeprefix("# drawn: "))
    assert picture.parent == tmp_path and "svg" in picture.read_text()


def test_the_fuzz_shrinks_what_it_found(broken_sine: None) -> None:
    found = next(program for program in map(program_of, [0] * 2000, range(2000)) if judge(program).kind == "wrong")
    least = smaller(found, lambda program: judge(program).kind == "wrong")
    assert any(step.name == "sin" for step in least.steps)
    assert len(least.steps) <= 3 and len(least.outputs) == 1


def test_programs_print_as_python_that_runs_and_checks_itself() -> None:
    done = 0
    for i in range(30):
        program = program_of(4, i)
        outcome = judge(program)
        if outcome.kind == "right":
            space: dict[str, object] = {}
            exec(source(program, outcome.gradients), space)
            done += 1
    assert done > 20


def test_without_a_layout_engine_the_message_names_the_text_of_the_drawing(broken_sine: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = program_oracle.draw

    def refused(y: object, *, file: pathlib.Path) -> object:
        if file.suffix != ".dot":
            raise ab.DrawingError("no layout engine")
        return draw(y, file=file)

    monkeypatch.setattr(program_oracle, "draw", refused)
    program = Program((np.array([0.5]),), (Step("sin", (0,)),), (1,))
    with pytest.raises(AssertionError, match=r"# drawn: .*\.dot"):
        assert_right(program, folder=tmp_path)


# The oracle itself, against results by hand


def test_the_oracle_differentiates_through_writes() -> None:
    x = np.array([2.0, 3.0])
    program = Program(
        (x,),
        (Step("affine", (0,), {"scale": 1.0, "shift": 0.0}), Step("setitem", (1, 0), {"key": slice(None)}), Step("update", (1, 0), {"operator": "*="})),
        (1,),
    )
    found = differences(program, replayed(program, (x,)))
    np.testing.assert_allclose(found.gradients[0], 2 * x * np.cos([1.0, 2.0]), rtol=1e-8)
    assert found.doubt < 1e-6


def test_the_oracle_keeps_what_is_detached() -> None:
    x = np.array([2.0])
    program = Program((x,), (Step("detach", (0,)), Step("multiply", (0, 1))), (2,))
    np.testing.assert_allclose(differences(program, replayed(program, (x,))).gradients[0], 2.0 * np.cos(2.0), rtol=1e-8)
    quiet = Program((x,), (Step("affine", (0,), {"scale": 3.0, "shift": 0.0}, "no_grad"), Step("multiply", (0, 1))), (2,))
    np.testing.assert_allclose(differences(quiet, replayed(quiet, (x,))).gradients[0], 6.0 * np.cos(2.0), rtol=1e-8)


def test_a_kink_is_unreliable_and_not_wrong() -> None:
    program = Program((np.array([3e-5]),), (Step("abs", (0,)),), (1,))
    assert judge(program).kind == "unreliable"


def test_a_wrong_value_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ab, "exp", lambda x: ab.sin(x))
    outcome = judge(Program((np.array([0.5]),), (Step("exp", (0,)),), (1,)))
    assert outcome.kind == "wrong" and outcome.detail.startswith("the value 1: at (0,) ours is 0.479")


def test_a_view_that_was_cut_reads_as_a_constant_and_writes_as_memory() -> None:
    steps = [Step("affine", (0,), {"scale": 1.0, "shift": 0.0}), Step("getitem", (1,), {"key": slice(1, None)}, "no_grad")]
    run = Replay([np.array([1.0, 2.0])])
    for step in steps:
        run.do(step)
    assert run.cut == [False, False, True] and run.owner == [0, 1, 1]
    program = Program((np.array([1.0, 2.0]),), (*steps, Step("getitem", (2,), {"key": 0})), (1, 3))
    assert judge(program).kind == "right"


def test_a_random_program_is_made_of_short_numbers() -> None:
    program = random_program(np.random.default_rng(0))
    assert all(np.all(np.abs(x) < 2.01) for x in program.inputs)


def test_the_command_prints_what_it_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--count", "20"], capture_output=True, text=True, check=True, cwd=pathlib.Path(__file__).parents[2]
    )
    assert done.stdout.startswith("20 programs: ") and " 0 wrong, " in done.stdout

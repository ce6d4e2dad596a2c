"""Threads share nothing but what they are given: gradients are right whatever the others do, in whatever mode."""

from __future__ import annotations

import functools
import math
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import current
from autograd_bn.core.watch import Observer, observed
from tests.threads import switching as switching
from tests.threads import together

THREADS, EACH = 8, 400
MODES: list[Callable[[], AbstractContextManager[Any]]] = [
    nullcontext,
    nullcontext,
    nullcontext,
    nullcontext,
    ab.no_grad,
    ab.profile,
    ab.record,
    ab.anomaly_mode,
]


def in_threads(work: Callable[[int], None], threads: int = THREADS) -> None:
    """Run for each number in a thread of its own."""
    together(*(functools.partial(work, number) for number in range(threads)))


def function(x: Any) -> Any:
    return ab.sin(x) * x**3 + ab.exp(x * 0.5)


def second(a: float) -> float:
    """The second derivative of `function`, by hand."""
    return -math.sin(a) * a**3 + 6 * math.cos(a) * a**2 + 6 * math.sin(a) * a + 0.25 * math.exp(a / 2)


def test_nested_gradients_in_many_threads_are_all_right(switching: None) -> None:
    done = [0] * THREADS

    def work(number: int) -> None:
        nested = ab.grad(ab.grad(function))
        for i in range(EACH):
            a = 0.1 + (number * EACH + i) / (THREADS * EACH)
            with MODES[(number + i) % len(MODES)]():
                found = nested(a).item()
            assert abs(found - second(a)) <= 1e-12 * abs(second(a)), (number, i)
            done[number] += 1

    in_threads(work)
    assert done == [EACH] * THREADS


def test_tapes_of_threads_are_apart_though_they_read_the_same_leaves(switching: None) -> None:
    shared = ab.tensor([0.5, 1.5], requires_grad=True)

    def work(number: int) -> None:
        for i in range(50):
            own = ab.tensor([float(number), float(i)], requires_grad=True)
            if (number + i) % 3 == 0:
                with ab.no_grad():
                    assert not (own * shared).requires_grad
                assert (own * shared).requires_grad
            else:
                ((own * 2.0) * shared.detach()).sum().backward()
                assert own.grad is not None and own.grad.tolist() == [1.0, 3.0]
            _, pullback = ab.vjp(lambda x: (x * own.detach()).sum(), shared)
            assert pullback(1.0)[0].tolist() == [float(number), float(i)]

    in_threads(work)
    assert shared.grad is None


def test_gradients_of_a_leaf_that_threads_share_add_up(switching: None) -> None:
    w, b = ab.tensor([1.0, 1.0], requires_grad=True), ab.tensor(1.0, requires_grad=True)

    def work(number: int) -> None:
        for _ in range(EACH * 2):
            (w * 1.0 + b).sum().backward()

    in_threads(work)
    assert w.grad is not None and w.grad.tolist() == [2.0 * EACH * THREADS] * 2
    assert b.grad is not None and b.grad.item() == 4.0 * EACH * THREADS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_adds_gradients_though_its_parent_was_about_to() -> None:
    x, before, after = ab.tensor(1.0, requires_grad=True), threading.Event(), threading.Event()

    class Slow(Observer):
        def ran(self, event: Any) -> None:
            if event.primitive is raw.add:
                before.set()
                after.wait(60)

    def work() -> None:
        (x * 2.0).backward()
        with observed(Slow()):
            (x * 2.0).backward()  # adds to the first inside the lock

    thread = threading.Thread(target=work)
    thread.start()
    assert before.wait(60)
    child = os.fork()
    if child == 0:  # pragma: no cover - coverage does not see it
        signal.alarm(60)
        y = ab.tensor(1.0, requires_grad=True)
        (y * 3.0).backward()
        os._exit(7 if y.grad is not None and y.grad.item() == 3.0 else 1)
    after.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert x.grad is not None and x.grad.item() == 4.0


def test_a_mode_of_one_thread_is_not_that_of_another() -> None:
    entered, left = threading.Barrier(2), threading.Barrier(2)

    def work(number: int) -> None:
        before = current()
        if number == 0:
            with ab.no_grad(), ab.record(), ab.scope("one"):
                entered.wait()
                left.wait()
        else:
            entered.wait()
            assert current() is before
            assert ab.is_grad_enabled() and before.watch is None and before.scope is None
            left.wait()
        assert current() is before

    in_threads(work, 2)


def test_the_report_of_each_thread_is_its_own(switching: None) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            with ab.profile() as report:
                for _ in range(number + 1):
                    ab.grad(function)(0.5)
            assert {row.count for row in report.rows if row.operation in ("sin", "exp")} == {number + 1}

    in_threads(work)


def test_a_recording_of_one_thread_leaves_the_graphs_of_others_alone(switching: None) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            x = ab.tensor(np.ones(2) * number, requires_grad=True)
            with ab.record() if number % 2 else nullcontext():
                y = (x * 3.0).sum()
                y.backward()
            kept = [node.value is not None for node in ab.graph(y).nodes]
            assert all(kept) if number % 2 else not any(kept)

    in_threads(work)

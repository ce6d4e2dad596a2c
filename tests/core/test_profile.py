"""profile: every operation is counted once, where it was written, with its bytes."""

from __future__ import annotations

import contextvars
import re
import sys
import threading
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.constructors import elementwise
from autograd_bn.core.state import current
from autograd_bn.core.tensor import Tensor
from tests.registries import forgetting


def leaf(*shape: int) -> Tensor:
    return ab.tensor(np.random.default_rng(0).uniform(0.5, 1.5, shape), requires_grad=True)


def counts(report: Any) -> dict[tuple[str, str], int]:
    total: dict[tuple[str, str], int] = {}
    for row in report.rows:
        key = (row.operation, row.phase)
        total[key] = total.get(key, 0) + row.count
    return total


def only(report: Any, operation: str, phase: str) -> Any:
    (row,) = [row for row in report.rows if (row.operation, row.phase) == (operation, phase)]
    return row


def test_operations_are_counted_forward_and_backward() -> None:
    x = leaf(3)
    with ab.profile() as report:
        for _ in range(4):
            x.grad = None
            (ab.exp(x) * 2.0 + x).sum().backward()
    names = ["exp", "mul", "add", "sum"]
    assert counts(report) == {(name, phase): 4 for name in names for phase in ("forward", "backward")}


def test_bytes_are_those_of_new_results_and_of_what_is_saved_once() -> None:
    x = leaf(10, 5)
    with ab.profile() as report:
        y = ab.exp(x)
        z = y * y.T.reshape((10, 5))
        (z + 1.0).sum().backward()
    assert (only(report, "exp", "forward").bytes, only(report, "exp", "forward").saved) == (400, 400)
    assert (only(report, "permute_dims", "forward").bytes, only(report, "permute_dims", "forward").saved) == (0, 0)
    assert only(report, "reshape", "forward").bytes == 400  # a transposed array cannot be reshaped without a copy
    assert (only(report, "mul", "forward").bytes, only(report, "mul", "forward").saved) == (400, 400)  # the copy; exp keeps the other
    assert (only(report, "add", "forward").bytes, only(report, "add", "forward").saved) == (400, 0)
    assert only(report, "add", "backward").bytes == 0
    assert only(report, "mul", "backward").bytes == 800
    assert sum(row.saved for row in report.rows) == 800


def test_rows_tell_lines_and_scopes() -> None:
    network = ab.nn.Sequential(ab.nn.Linear(4, 3, bias=False), ab.nn.BatchNorm1d(3))
    x = leaf(6, 4).astype("float32")
    with ab.profile() as report:
        out = network(x)
        out.sum().backward()
    line = test_rows_tell_lines_and_scopes.__code__.co_firstlineno + 4
    for phase in ("forward", "backward"):
        row = only(report, "sqrt", phase)
        assert row.scope == "Sequential/1: BatchNorm1d/batch_norm"
        assert (row.line.number, row.line.text) == (line, "out = network(x)")
        assert only(report, "sum", phase).line.number == line + 1
        assert only(report, "sum", phase).scope == ""


def test_times_are_within_the_block() -> None:
    x = leaf(100, 100)
    with ab.profile() as report:
        (x @ x).sum().backward()
    assert all(row.seconds > 0 for row in report.rows)
    assert sum(row.seconds for row in report.rows) < report.seconds
    assert [row.seconds for row in report.rows] == sorted((row.seconds for row in report.rows), reverse=True)
    assert report.seconds == report.seconds


def test_an_operation_under_nested_levels_counts_once() -> None:
    with ab.profile() as report:
        ab.grad(lambda x: ab.sin(x) * 2.0)(1.0)
    assert counts(report) == {("sin", "forward"): 1, ("mul", "forward"): 1, ("sin", "backward"): 1, ("mul", "backward"): 1}
    with ab.profile() as report:
        ab.grad(lambda y: ab.grad(lambda x: ab.sin(x))(y))(1.0)
    found = counts(report)
    assert found[("sin", "forward")] == 1
    assert found[("cos", "backward")] == 2  # in the inner rule of sin, which ran as operations, and its own rule
    assert ("cos", "forward") not in found and ("sin", "backward") not in found
    with ab.profile() as report:
        ab.vmap(lambda x: ab.exp(x))(np.ones((2, 3)))
    assert counts(report) == {("exp", "forward"): 1}
    with ab.profile() as report:
        ab.vmap(ab.vmap(lambda x: ab.exp(x)))(np.ones((2, 3)))
    assert counts(report)[("exp", "forward")] == 1
    with ab.profile() as report:
        ab.jvp(lambda x: ab.exp(x), (1.0,), (1.0,))
    assert counts(report) == {("exp", "forward"): 1, ("exp", "tangent"): 1}


def test_a_recorded_backward_pass_counts_its_operations_on_the_forward_line() -> None:
    x = leaf(3)
    with ab.profile() as report:
        y = ab.exp(x).sum()
        y.backward(create_graph=True)
    line = test_a_recorded_backward_pass_counts_its_operations_on_the_forward_line.__code__.co_firstlineno + 3
    assert only(report, "mul", "backward").line.number == line


def test_the_table_has_a_line_a_row_and_sums_up() -> None:
    x = leaf(3)
    with ab.profile() as report, ab.scope("outer"):
        ab.exp(x).sum().backward()
    head, *rows, total = str(report).splitlines()
    assert head.split() == ["ms", "share", "count", "MB", "made", "MB", "saved", "phase", "operation", "scope", "line"]
    assert len(rows) == len(report.rows) == 4
    assert all(re.search(r"outer +test_profile.py:\d+: ab.exp\(x\).sum\(\).backward\(\)$", row) for row in rows)
    assert re.fullmatch(r"operations [\d.]+ ms \((forward|backward) [\d.]+ ms, (forward|backward) [\d.]+ ms\) of [\d.]+ ms", total)


def test_an_empty_report_is_a_table_too() -> None:
    with ab.profile() as report:
        pass
    assert report.rows == []
    assert len(str(report).splitlines()) == 2


def test_nothing_is_measured_after_the_block_nor_after_an_error() -> None:
    x, before = leaf(3), current()
    with pytest.raises(ab.ShapeError), ab.profile() as report:  # noqa: PT012
        ab.exp(x)
        ab.exp(x).reshape((7,))
    ab.exp(x)
    assert counts(report) == {("exp", "forward"): 2}
    assert current() is before


def test_blocks_nest_and_compose_with_record_and_anomaly_mode() -> None:
    x = leaf(3)
    with ab.profile() as outer:
        ab.exp(x)
        with ab.record(), ab.profile() as inner, ab.anomaly_mode(), ab.no_grad(), ab.enable_grad():
            y = ab.exp(x).sum()
            y.backward()
        ab.exp(x)
    assert counts(inner) == {(name, phase): 1 for name in ("exp", "sum") for phase in ("forward", "backward")}
    assert counts(outer) == {**counts(inner), ("exp", "forward"): 3}
    nodes = ab.graph(y).nodes
    assert all(node.value is not None for node in nodes)
    assert nodes[1].cotangents is not None


def test_what_an_observer_does_itself_is_not_measured() -> None:
    x = leaf(3)
    with ab.profile() as report, ab.record():
        (x * 1.0).sum().backward(create_graph=True)
    assert counts(report)[("broadcast_to", "forward")] == 1  # the sweep's own


def test_threads_report_where_they_run_in_a_copy_of_the_context() -> None:
    x = np.ones(3)

    def work() -> None:
        for _ in range(250):
            ab.vjp(lambda v: ab.exp(v).sum(), x)[1](1.0)

    with ab.profile() as report:
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(4)]
        stranger = threading.Thread(target=work)
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in [*threads, stranger]:
                thread.start()
            for thread in [*threads, stranger]:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
    assert counts(report) == {(name, phase): 1000 for name in ("exp", "sum") for phase in ("forward", "backward")}


def test_a_long_run_does_not_make_the_report_grow() -> None:
    x = leaf(3)
    network = ab.nn.Sequential(ab.nn.Linear(3, 3), ab.nn.ReLU())
    sizes = []
    with ab.profile() as report:
        for _ in range(20):
            network(ab.stack([x, x]).astype("float32")).sum().backward()
            sizes.append((len(report._profiler.rows), len(report._profiler.kept)))
    assert sizes[1] == sizes[-1]


def test_what_a_checkpoint_computes_again_is_told_of_as_operations_where_they_are_written() -> None:
    def function(x: Any) -> Any:
        return ab.exp(ab.sin(x))

    with ab.profile() as report:
        ab.checkpoint(function)(leaf(3)).sum().backward()
    assert {key: n for key, n in counts(report).items() if key[0] in ("exp", "sin")} == {
        ("exp", "forward"): 2,
        ("sin", "forward"): 2,
        ("exp", "backward"): 1,
        ("sin", "backward"): 1,
    }
    assert only(report, "sin", "forward").line.function.endswith("function")


def test_the_time_of_operations_inside_a_users_rule_is_counted_once() -> None:
    def slow(x: Any) -> Any:
        out = ab.asarray(x)
        for _ in range(30):
            out = ab.exp(out * 1e-3)
        return out.numpy()

    with forgetting():
        primitive = elementwise("slow_for_a_test", lambda x: np.exp(x), slow)
    with ab.profile() as report:
        primitive(leaf(300, 300)).sum().backward()
    assert counts(report)[("exp", "backward")] == 30
    assert counts(report)[(primitive.name, "backward")] == 1
    assert sum(row.seconds for row in report.rows) < report.seconds

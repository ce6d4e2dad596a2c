"""record: every value and the cotangent of every edge are kept, beside whatever else keeps gradients."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.tensor import Tensor


def leaf(data: object) -> Tensor:
    return ab.tensor(data, requires_grad=True)


def test_values_and_whole_cotangents_are_kept() -> None:
    x = leaf([1.0, 2.0])
    with ab.record():
        y = (x * 3.0 + 1.0).sum()
        y.backward()
    values = [node.value for node in ab.graph(y).nodes if node.value is not None]
    assert [v.tolist() for v in values] == [[1.0, 2.0], [3.0, 6.0], [4.0, 7.0], 11.0]
    kept = [node.cotangents for node in ab.graph(y).nodes if node.cotangents]
    assert [[None if c is None else c.tolist() for c in one] for one in kept] == [[[3.0, 3.0]], [[1.0, 1.0]], [[1.0, 1.0]]]


def test_nothing_is_kept_outside() -> None:
    x = leaf([1.0, 2.0])
    with ab.record():
        pass
    y = (x * 3.0).sum()
    y.backward()
    assert all(node.value is None and node.cotangents is None for node in ab.graph(y).nodes)


def test_an_edge_without_a_cotangent_is_known_to_have_none() -> None:
    x = leaf([1.0, 2.0])
    with ab.record():
        steps = x * 1.0
        y = (x + ab.where(steps, x, 0.0)).sum()
        y.backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 2.0]
    for node in ab.graph(y).nodes:
        assert not node.operands or node.cotangents is not None, node


def test_a_retained_gradient_is_counted_once() -> None:
    x = leaf([1.0, 2.0])
    with ab.record():
        y = x * 3.0
        y.retain_grad()
        (y * 2.0).sum().backward()
    assert y.grad is not None and y.grad.tolist() == [2.0, 2.0]
    assert x.grad is not None and x.grad.tolist() == [6.0, 6.0]


def test_blocks_and_transforms_work_inside_scopes() -> None:
    x = leaf([1.0, 2.0])
    with ab.scope("outer"), ab.record(), ab.scope("inner"), ab.profile() as report:
        y = (x * 3.0).sum()
        assert ab.grad(lambda v: (v * v).sum())(x).tolist() == [2.0, 4.0]
        y.backward()
    assert all(repr(node.scope) == "outer/inner" for node in ab.graph(y).nodes if node.operands)
    assert {row.scope for row in report.rows} == {"outer/inner"}


def test_a_scope_is_on_the_line_that_opens_it_at_the_top_of_a_program_too() -> None:
    source = "import autograd_bn as ab\nwith ab.scope('top'):\n    y = ab.tensor(1.0, requires_grad=True) * 2.0\n"
    program = (
        f"exec(compile({source!r}, 'program.py', 'exec'))\nscope = y.node.scope\nassert repr(scope) == 'top'\n"
        "from autograd_bn.core.lines import Line\nline = Line(scope.code, scope.offset)\nassert (line.file, line.number) == ('program.py', 2), line\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    subprocess.run([sys.executable, "-c", source], check=True)


def test_constants_are_kept_as_they_were_when_they_were_used() -> None:
    x, c, shared = leaf([1.0, 2.0]), ab.tensor([3.0, 4.0]), np.array([5.0, 6.0])
    with ab.record():
        y = x * c + shared
        c[0] = 30.0
        shared[0] = 50.0
    constants = [node for node in ab.graph(y).nodes if node.kind == "constant"]
    assert [node.value.tolist() for node in constants if node.value is not None] == [[3.0, 4.0], [5.0, 6.0]]
    assert [(node.shape, node.dtype) for node in constants] == [((2,), np.float64)] * 2
    assert [node.value for node in ab.graph(x * c).nodes if node.kind == "constant"] == [None]


def test_a_backward_pass_that_failed_is_over() -> None:
    def fail(g: ab.Tensor) -> ab.Tensor:
        raise ZeroDivisionError

    def orders(x: ab.Tensor) -> list[int]:
        x.grad = None
        (x**3).backward([1.0], create_graph=True)
        return [node.order for node in ab.graph(x.grad).nodes if node.kind == "operation"]

    x = leaf([1.0])
    with ab.record():
        y = x * 2.0
        y.register_hook(fail)
        before = orders(x)
        with pytest.raises(ZeroDivisionError):
            (y * 3.0).backward([1.0])
        assert orders(x) == before and max(before) == 1
    for outer, inner in ((ab.record, ab.anomaly_mode), (ab.anomaly_mode, ab.record)):
        with outer(), inner():
            with pytest.raises(ab.AnomalyError):
                (x * 2.0).backward([np.nan])
            assert orders(x) == before

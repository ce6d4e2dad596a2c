"""Joins: slices, concatenation, padding and their cotangents are native code, whose parts are computed where they belong."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler import llvm_emitter
from autograd_bn.compiler.moves import apart, boxed, counts, gaps
from autograd_bn.compiler.passes import NATIVE_PASSES, PASSES
from autograd_bn.core.graph import Graph
from tests.compiler.test_native import array, check_native, close

F = ab.nn.functional


def unrolled(x: Any, w: Any) -> Any:
    """A recurrent network of two gates."""
    h, outputs = ab.zeros((4, 6), dtype=x.dtype), []
    for step in range(3):
        z = x[step] + h @ w
        h = ab.tanh(z[:, :6]) * ab.sigmoid(z[:, 6:])
        outputs.append(h)
    whole = ab.stack(outputs)
    return (whole**2).sum() + (whole[-1] @ w).sum()


def once_more(x: Any, y: Any) -> Any:
    both = ab.concat([x * 2, y], axis=1)
    return ab.concat([both, both * 2]), both.sum(1), both


def slice_of_a_join(x: Any, y: Any) -> Any:
    both = ab.concat([x * 2, y], axis=1)
    return both[:, 1:4] * 2, both[1:, 7:], both[:, 4:8] + 1, both[0], both[1, 2], ab.pad(x, 1)[:1] + 1


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "concat": (lambda x, y: ab.concat([x * 2, y], axis=1), (array(4, 6), array(4, 3))),
    "concat of inputs and sums": (lambda x, y: (ab.concat([x, y, x * 2], axis=1) * 2, ab.concat([x.sum(0), y[0]])), (array(4, 6), array(4, 3))),
    "concat of products": (lambda x: ab.concat([x @ x, x.T @ x, x.T], axis=1), (array(5, 5),)),
    "concat of one twice": (lambda x, y: (ab.concat([x * 2, x * 2]), ab.concat([x * 2, y], axis=1), x * 2), (array(4, 6), array(4, 3))),
    "concat of concat": (
        lambda x, y: ab.concat([ab.concat([x * 2, y], axis=1), ab.concat([y + 1, x], axis=1)]),
        (array(4, 6), array(4, 3)),
    ),
    "concat that is read, and part of another": (once_more, (array(4, 6), array(4, 3))),
    "slice of a concat": (slice_of_a_join, (array(4, 6), array(4, 3))),
    "stack": (lambda x: (ab.stack([x[i] * i for i in range(4)]), ab.stack([x[i] for i in range(4)], axis=1) @ x), (array(4, 6),)),
    "pad": (lambda x: (ab.pad(x, ((1, 2), (0, 3))), ab.pad(x * 2, 1).sum(0), ab.pad(x[0], 2, constant_values=3)), (array(4, 6),)),
    "slices that meet": (ab.grad(lambda x: (x[:, :2] * x[:, 2:4]).sum() + ab.exp(x[:, 4:]).sum()), (array(4, 6),)),
    "slices that overlap": (ab.grad(lambda x: (x[1:, ::2] * x[:-1, 1::2]).sum() + x[3, 4] * x[0].sum()), (array(4, 6),)),
    "slices with steps": (ab.grad(lambda x: (x[::2] ** 2).sum() + (x[:, ::-3] ** 3).sum() + x[2, 3] ** 2 + x[..., None, 1].sum()), (array(4, 6),)),
    "roll and flip": (lambda x: (ab.roll(x, 2, 1), ab.grad(lambda x: (ab.roll(x, 1, 0) * ab.flip(x)).sum())(x), ab.flip(x, 0) * 2), (array(4, 6),)),
    "a network unrolled": (ab.value_and_grad(unrolled, (0, 1)), (array(3, 4, 12), array(6, 12))),
    "whole numbers": (lambda n: (ab.concat([n, n + 1]), ab.pad(n > 2, 1), n[::2, 1:] + 1), (ab.tensor(np.arange(12).reshape(3, 4)),)),
    "reshapes of what is not in order": (
        lambda x: (
            ab.permute_dims(x.reshape((4, 2, 3)), (1, 0, 2)).reshape((8, 3)) * 2,
            ab.permute_dims(x.reshape((2, 2, 6)), (2, 1, 0)).reshape((12, 2)) @ x[:2],
            x[:, ::2].reshape(-1),
        ),
        (array(4, 6),),
    ),
    "products of what BLAS cannot read": (lambda x: (x[:, ::2] @ x[:3, ::2], x[::2, ::3].T @ x[::2]), (array(4, 6),)),
    "second order": (lambda x: ab.hessian(lambda x: (x[1:] * x[:-1] ** 2).sum())(x), (array(5),)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_what_is_put_together_and_cut_is_native(name: str, dtype: str, emitter: Any) -> None:
    check_native(*CASES[name], dtype, emitter)


def test_parts_of_a_join_that_numpy_reads_or_makes() -> None:
    def f(x: Any, y: Any) -> Any:
        both = ab.concat([ab.exp(x), ab.sort(y, axis=1)], axis=1)
        return ab.concat([ab.sort(ab.exp(x)), both], axis=1), ab.sort(both), both[:, 2:5], both.T

    x, y = array(4, 6), array(4, 3)
    close(ab.jit(f)(x, y), f(x, y), 1e-14)


def test_what_has_no_elements_or_a_dtype_of_numpys_alone_is_left_to_numpy() -> None:
    x, z = array(3, 4), ab.tensor(np.arange(4.0) + 1j)
    for f, given in ((lambda x: (ab.concat([x, x[:0]]), ab.pad(x[:, :0], 1)), x), (lambda z: (ab.concat([z, z * 2]), ab.pad(z, 1)), z)):
        for one, other in zip(ab.jit(f)(given), f(given), strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


def passed(function: Callable[..., Any], *arguments: Any, until: str) -> Graph:
    """The graph of a function after native passes up to one."""
    compiled = ab.jit(function)
    compiled(*arguments)
    graph = compiled.graph
    for name, run in {**PASSES, **NATIVE_PASSES}.items():
        graph = run(graph)
        if name == until:
            break
    return graph


def names(graph: Graph) -> list[str]:
    return [node.primitive.name for node in graph.nodes if node.primitive is not None]


def test_cotangents_of_slices_that_meet_are_one_join() -> None:
    graph = passed(ab.grad(lambda x: (ab.exp(x[:, :2]) * x[:, 2:]).sum()), array(3, 4), until="dead code, once more")
    assert names(graph).count("join") == 1
    assert not {"scatter_add", "add"} & set(names(graph))


def test_a_part_that_is_a_result_too_is_written_to_both() -> None:
    compiled = ab.jit(lambda x, y: (ab.concat([x * 2, y], axis=1), x * 2))
    compiled(array(4, 6), array(4, 3))
    assert ".copy()" not in compiled.source


def test_zeros_between_parts_are_not_added() -> None:
    graph = passed(ab.grad(lambda x: (ab.stack([x, x, ab.exp(x)])[-1] ** 2).sum()), array(3, 4), until="dead code, once more")
    assert not {"add", "join", "broadcast_to"} & set(names(graph))


def test_a_slice_of_a_join_is_its_part() -> None:
    graph = passed(lambda x, y: ab.concat([x * 2, y * 3], axis=1)[:, :6] + 1, array(4, 6), array(4, 3), until="dead code, once more")
    assert names(graph) == ["mul", "add"]


def test_what_is_read_in_parts_only_is_computed_in_parts() -> None:
    graph = passed(lambda x, b: ab.exp((x + b)[:, :3]) * (x + b)[:, 3:], array(4, 6), array(6), until="dead code, once more")
    assert all(node.shape != (4, 6) for node in graph.nodes if node.kind == "operation")
    graph = passed(lambda x: ab.exp((x + 1)[:, :4]) * (x + 1)[:, 2:], array(4, 6), until="dead code, once more")  # some elements would be computed twice
    assert sum(node.shape == (4, 6) for node in graph.nodes if node.kind == "operation") == 1


@pytest.mark.parametrize("layer", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_training_steps_of_a_recurrent_network_are_one_native_call_each(layer: str, dtype: str) -> None:
    def network() -> tuple[Any, list[ab.Tensor]]:
        recurrent, head = getattr(ab.nn, layer)(5, 4, rng=0, dtype=dtype), ab.nn.Linear(4, 3, rng=1, dtype=dtype)
        parameters = [*recurrent.parameters(), *head.parameters()]
        optimizer = ab.optim.Adam(parameters, lr=0.01)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            outputs, _ = recurrent(x)
            loss = F.cross_entropy(head(outputs[-1]), y) + (outputs**2).mean()
            loss.backward()
            optimizer.step()
            return loss

        return step, parameters

    (step, compiled), (eager, expected) = network(), network()
    run = ab.jit(step)
    x, y = array(6, 3, 5, dtype=dtype), ab.tensor([0, 2, 1])
    for _ in range(5):
        close(run(x, y), eager(x, y), 1e5 * np.finfo(dtype).eps)
    close(compiled, expected, 1e5 * np.finfo(dtype).eps)
    assert "functions in 1 calls" in run.explain()


SLICES = [0, 2, -1, slice(None), slice(1, None), slice(None, None, 2), slice(1, None, 3), slice(None, None, -1), slice(None, -2, -2), slice(1, 3)]


def test_gaps_are_what_is_left() -> None:
    shape = (5, 4)
    indices = [index for index in itertools.product(SLICES, SLICES) if np.zeros(shape)[index].size]
    rng = np.random.default_rng(0)
    simple = 0
    for _ in range(400):
        boxes: list[Any] = []
        for k in rng.permutation(len(indices))[:3]:
            box = boxed(indices[k], shape)
            boxes += [box] if all(apart(box, other) for other in boxes) else []
        found = gaps(shape, boxes)
        if found is None:
            continue
        simple += 1
        times = np.zeros(shape, int)
        for box in (*boxes, *found):
            times[tuple(along.slice for along in box)] += 1
        assert np.array_equal(times, np.ones(shape)), boxes
    assert simple > 300


def test_parts_are_apart_only_if_they_share_no_place() -> None:
    for one, other in itertools.product(SLICES, SLICES):
        a, b = boxed(one, (7,)), boxed(other, (7,))
        mine, yours = ({int(i) for i in np.atleast_1d(np.arange(7)[index])} for index in (one, other))
        assert math.prod(counts(a)) == len(mine)
        assert not (apart(a, b) and mine & yours)


def test_the_steps_of_a_recurrence_share_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    for writer in (llvm_emitter.KernelWriter, llvm_emitter.ProductWriter):
        made = writer.__init__
        monkeypatch.setattr(writer, "__init__", lambda self, *given, made=made: (written.append(given[-1]), made(self, *given))[1])
    counts = []
    for steps in (5, 20):
        recurrent = ab.nn.LSTM(5, 4, rng=0)

        def step(x: Any, recurrent: Any = recurrent) -> Any:
            loss = (recurrent(x)[0] ** 2).sum()
            loss.backward()
            return loss

        ab.jit(step)(array(steps, 3, 5, dtype="float32"))
        counts.append(len(written))
        written.clear()
    assert 0 < counts[0] == counts[1]

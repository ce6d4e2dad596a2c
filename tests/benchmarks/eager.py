"""Eager execution beside PyTorch's: python -m tests.benchmarks.eager [TASK ...]

All run in one process on one thread, in turn, a short batch each; the ratio is taken batch by batch, so that a
machine whose speed drifts gives the same answer. Prints for each task the medians (µs), the median ratio, and as ``floor`` what the
task's NumPy calls alone, forward and backward, without a graph, a tensor or a check, take of PyTorch's time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import autograd_bn as ab

torch.set_num_threads(1)
Run = Callable[[], object]
Step = Callable[[Any, Any], Any]
LINKS = 500
BATCH, SIZES = 60, [784, 100, 100, 100, 10]
RATE = 0.1


def compared(ours: Run, theirs: Run, *others: Run, budget: float = 4.0) -> tuple[float, ...]:
    """Medians of both in µs, and of the ratios ours/theirs and other/theirs over interleaved batches."""
    runs = (theirs, ours, *others)
    for _ in range(5):
        for run in runs:
            run()
    start = time.perf_counter()
    for run in runs:
        run()
    count = max(1, int(0.01 / (time.perf_counter() - start)))

    def batch(run: Run) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            run()
        return (time.perf_counter() - begin) / count * 1e6

    rows, end = [], time.perf_counter() + budget
    while time.perf_counter() < end:
        rows.append([batch(run) for run in runs])
    theirs_µs, ours_µs, *_ = (statistics.median(column) for column in zip(*rows, strict=True))
    return ours_µs, theirs_µs, *(statistics.median(row[k] / row[0] for row in rows) for k in range(1, len(runs)))


def chained(step: Step, x: Any, w: Any, links: int) -> Run:
    """Forward and backward through a chain of one operation."""

    def run() -> None:
        y = x
        for _ in range(links):
            y = step(y, w)
        y.sum().backward()

    return run


class Task(NamedTuple):
    """Ours, the other, how many operations a run has, and the NumPy calls alone."""

    ours: Run
    theirs: Run
    count: int = 1
    floor: Run | None = None


def pair(step: Step, x: np.ndarray[Any, Any], w: Any, back: Callable[[Any, Any, Any], tuple[Any, Any]], by_hand: Step | None = None) -> Task:
    """One chain on both engines; an array ``w`` requires a gradient too.

    ``back`` gives a link's cotangents for y and w; ``by_hand`` is the step for arrays where that is another.
    """
    is_array = isinstance(w, np.ndarray)
    ours = chained(step, ab.tensor(x, requires_grad=True), ab.tensor(w, requires_grad=True) if is_array else w, LINKS)
    theirs = chained(step, torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True) if is_array else w, LINKS)
    forward = by_hand or step

    def floor() -> object:
        y, passed = x, []
        for _ in range(LINKS):
            passed.append(y)
            y = forward(y, w)
        g, total = np.ones(y.shape), None
        for y in reversed(passed):
            g, c = back(g, y, w)
            if c is not None:
                total = c if total is None else total + c
        return g, total

    return Task(ours, theirs, LINKS, floor)


def overhead() -> Task:
    factor, term = np.array(1.0001), np.array(0.001)
    task = pair(lambda y, w: (y * w) + 0.001, np.linspace(0.1, 1, 8), 1.0001, lambda g, y, w: (g * factor, None), lambda y, w: y * factor + term)
    return task._replace(count=2 * LINKS)


def broadcast() -> Task:
    add = np.add.reduce
    return pair(lambda y, w: y * w, np.linspace(0.1, 1, 32).reshape(4, 8), np.full(8, 1.001), lambda g, y, w: (g * w, add(g * y, 0)))


def getitem() -> Task:
    def back(g: Any, y: Any, w: Any) -> tuple[Any, Any]:
        c = np.zeros(y.shape)
        c[1:] = g
        return c, None

    return pair(lambda y, w: y[1:], np.linspace(0.1, 1, 8 + LINKS), None, back)


def matmul() -> Task:
    return pair(lambda y, w: y @ w, np.linspace(0.1, 1, 16).reshape(4, 4), np.eye(4), lambda g, y, w: (g.dot(w.T), y.T.dot(g)), np.dot)


def batch_norm() -> Task:
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((60, 100)).astype("f4") for _ in range(2))
    gamma, beta = np.ones(100, "f4"), np.zeros(100, "f4")
    mine = [ab.tensor(a) for a in (x, gamma, beta)]
    seed = ab.tensor(dy)

    def ours() -> object:
        value, pullback = ab.vjp(ab.nn.functional.batch_norm, *mine)
        return value, pullback(seed)

    leaves = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    torch_seed = torch.tensor(dy)

    def theirs() -> object:
        for leaf in leaves:
            leaf.grad = None
        torch.nn.functional.batch_norm(leaves[0], None, None, leaves[1], leaves[2], True, 0.1, 1e-5).backward(torch_seed)
        return leaves

    def floor() -> object:  # the composition's calls and those of its rules, none of which NumPy can fuse
        mean, total, n = np.mean, np.add.reduce, np.float32(len(x))
        d = x - mean(x, 0, keepdims=True)
        s = np.sqrt(mean(d * d, 0, keepdims=True) + np.float32(1e-5))
        inverse = 1 / s
        normal = d * inverse
        y = normal * gamma + beta
        dn = dy * gamma
        dv = total(dn * d, 0, keepdims=True) * (inverse * inverse) * (-0.5 / n) * inverse
        dd = dn * inverse + d * (2 * dv)
        return y, dd - total(dd, 0, keepdims=True) / n, total(dy * normal, 0), total(dy, 0)

    return Task(ours, theirs, floor=floor)


def typed_batch_norm() -> Task:
    """The library's own call beside the same lines typed by a user (not PyTorch)."""
    rng = np.random.default_rng(0)
    mine = [ab.tensor(rng.standard_normal(shape).astype("f4")) for shape in ((60, 100), (100,), (100,))]
    seed = ab.tensor(rng.standard_normal((60, 100)).astype("f4"))

    def typed(x: Any, gamma: Any, beta: Any) -> Any:
        mean = x.mean(0, keepdims=True)
        centred = x - mean
        square = centred**2
        variance = square.mean(0, keepdims=True)
        deviation = ab.sqrt(variance + 1e-5)
        inverse = 1 / deviation
        normal = centred * inverse
        scaled = normal * gamma
        return scaled + beta

    def run(function: Callable[..., Any]) -> Run:
        def once() -> object:
            value, pullback = ab.vjp(function, *mine)
            return value, pullback(seed)

        return once

    return Task(run(ab.nn.functional.batch_norm), run(typed))


def network() -> Task:
    """The paper's network, one step of gradient descent, beside PyTorch's modules and optimiser."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((BATCH, SIZES[0])).astype("f4")
    labels = rng.integers(0, 10, BATCH)
    weights = [(rng.standard_normal((SIZES[i], SIZES[i + 1])) * 0.1).astype("f4") for i in range(4)]
    start = [*weights, *([np.ones(100, "f4")] * 3), *([np.zeros(100, "f4")] * 3), np.zeros(10, "f4")]
    state = {"p": [ab.tensor(a) for a in start]}
    x, y = ab.tensor(images), ab.tensor(labels)

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = x
        for i in range(3):
            u = ab.matmul(h, p[i])
            mu = ab.mean(u, axis=0)
            d = u - mu
            v = ab.mean(d**2, axis=0)
            h = ab.nn.functional.sigmoid(d * (1 / ab.sqrt(v + 1e-5)) * p[4 + i] + p[7 + i])
        return ab.nn.functional.cross_entropy(ab.matmul(h, p[3]) + p[10], y)

    def ours() -> object:
        value, gradients = ab.value_and_grad(loss)(state["p"], x, y)
        state["p"] = [a - RATE * b for a, b in zip(state["p"], gradients, strict=True)]
        return value.item()

    layers: list[torch.nn.Module] = []
    for i in range(3):
        layers += [torch.nn.Linear(SIZES[i], SIZES[i + 1], bias=False), torch.nn.BatchNorm1d(SIZES[i + 1]), torch.nn.Sigmoid()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(100, 10))
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE)
    tx, ty = torch.tensor(images), torch.tensor(labels)

    def theirs() -> object:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(net(tx), ty)
        value.backward()
        optimiser.step()
        return value.item()

    return Task(ours, theirs)


TASKS: dict[str, tuple[Callable[[], Task], float]] = {
    "overhead": (overhead, 0.5),
    "broadcast": (broadcast, 0.5),
    "getitem": (getitem, 0.5),
    "matmul": (matmul, 0.5),
    "batch_norm": (batch_norm, 1.25),
    "network": (network, 1.25),
    "typed_batch_norm": (typed_batch_norm, 1.05),
}
"""Each task with the ratio it must not exceed."""


def main(names: list[str]) -> int:
    print(f"{'task':18s}{'ours µs':>10s}{'other µs':>10s}{'ratio':>8s}{'limit':>8s}{'floor':>8s}")
    missed = 0
    for name in names or TASKS:
        make, limit = TASKS[name]
        task = make()
        ours, theirs, ratio, *rest = compared(task.ours, task.theirs, *filter(None, [task.floor]))
        missed += ratio > limit
        floor = f"{rest[0]:8.3f}" if rest else " " * 8
        print(
            f"{name:18s}{ours / task.count:10.2f}{theirs / task.count:10.2f}{ratio:8.3f}{limit:8.2f}{floor}{'' if ratio <= limit else '  missed'}", flush=True
        )
    return missed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))

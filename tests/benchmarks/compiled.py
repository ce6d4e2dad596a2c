"""Compiled functions beside PyTorch, torch.compile and JAX: python -m tests.benchmarks.compiled [TASK ...] [--peers torch,compile,jax]

All run in one process on one CPU, in turn, a short batch each. Prints for each task the medians (µs) and the median ratio to the best of
the peers that are installed, taken batch by batch. Tasks: batch_norm, typed_batch_norm, within_network, layer_norm, softmax, network; the first
call is timed by ``tests.benchmarks.first_call``.
"""

from __future__ import annotations

import os

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

import argparse
import importlib.util
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import autograd_bn as ab

Run = Callable[[], object]
Runs = dict[str, Run]
SIZES = [(60, 100), (256, 1024), (4096, 1024), (65536, 64)]
BATCH, LAYERS, RATE = 60, [784, 100, 100, 100, 10], 0.1


def compared(runs: Runs, budget: float) -> tuple[dict[str, float], float]:
    """Medians in µs, and the median over batches of the ratio of ours to the best peer's."""
    counts = {}
    for name, run in runs.items():
        for _ in range(3):
            run()
        start = time.perf_counter()
        run()
        counts[name] = max(1, int(0.05 / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(times["ours"]) < 5:
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(counts[name]):
                run()
            times[name].append((time.perf_counter() - start) / counts[name] * 1e6)
    medians = {name: statistics.median(found) for name, found in times.items()}
    best = min((name for name in runs if name != "ours"), key=lambda name: medians[name], default="ours")
    return medians, statistics.median(a / b for a, b in zip(times["ours"], times[best], strict=True))


def values(*shapes: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype("f4") for shape in shapes]


def pulled(peers: list[str], ours: Any, torch_native: Any, typed: Any, arrays: list[Any]) -> Runs:
    """A function and its gradient: ``typed(xp, *operands)`` is the same in each library's own operations, the last array the cotangent."""
    *operands, seed = arrays

    def pull(*given: Any) -> Any:
        y, pullback = ab.vjp(ours, *given[:-1])
        return (y, *pullback(given[-1]))

    compiled = ab.jit(pull)
    mine = [ab.tensor(a) for a in arrays]
    runs: Runs = {"ours": lambda: compiled(*mine)}
    if "torch" in peers or "compile" in peers:
        import torch

        torch.set_num_threads(1)
        leaves = [torch.tensor(a, requires_grad=True) for a in operands]
        cotangent = torch.tensor(seed)

        def backward(function: Any) -> Run:
            def run() -> None:
                for leaf in leaves:
                    leaf.grad = None
                function(*leaves).backward(cotangent)

            return run

        if "torch" in peers:
            runs["torch"] = backward(torch_native)
        if "compile" in peers:
            runs["compile"] = backward(torch.compile(lambda *given: typed(torch, *given)))
    if "jax" in peers:
        import jax
        import jax.numpy as jnp

        @jax.jit
        def both(*given: Any) -> Any:
            y, vjp = jax.vjp(lambda *operands: typed(jnp, *operands), *given[:-1])
            return (y, *vjp(given[-1]))

        theirs = [jnp.array(a) for a in arrays]
        runs["jax"] = lambda: jax.block_until_ready(both(*theirs))
    return runs


def typed_norm(axis: int) -> Any:
    """Batch norm or layer norm as a user would type it; ``mean`` keeps the axis by indexing, which all libraries share."""

    def function(xp: Any, x: Any, gamma: Any, beta: Any) -> Any:
        index = (None,) if axis == 0 else (slice(None), None)
        centred = x - x.mean(axis)[index]
        return centred / xp.sqrt((centred**2).mean(axis)[index] + 1e-5) * gamma + beta

    return function


def norm_of(axis: int, shape: tuple[int, int], peers: list[str], own: bool) -> Runs:
    x, gamma, beta, seed = values(shape, shape[1:], shape[1:], shape)

    def typed(xp: Any, *given: Any) -> Any:
        return typed_norm(axis)(xp, *given)

    def native(x: Any, gamma: Any, beta: Any) -> Any:
        from torch.nn.functional import batch_norm, layer_norm

        return batch_norm(x, None, None, gamma, beta, True, 0.1, 1e-5) if axis == 0 else layer_norm(x, shape[1:], gamma, beta)

    def ours(x: Any, gamma: Any, beta: Any) -> Any:
        centred = x - x.mean(axis, keepdims=True)
        return centred / ab.sqrt((centred**2).mean(axis, keepdims=True) + 1e-5) * gamma + beta

    return pulled(peers, ab.batch_norm if own else ours, native, typed, [x, gamma, beta, seed])


def within_network(shape: tuple[int, int], peers: list[str]) -> Runs:
    """Batch norm in the middle: a product before, a loss after, so that forward and backward pass are apart."""
    rows, columns = shape
    arrays = values((rows, 64), (64, columns), (columns,), (columns,))
    norm = typed_norm(0)

    def ours(a: Any, w: Any, gamma: Any, beta: Any) -> Any:
        return (ab.sigmoid(ab.batch_norm(a @ w, gamma, beta)) ** 2).mean()

    compiled = ab.jit(ab.value_and_grad(ours, (1, 2, 3)))
    mine = [ab.tensor(x) for x in arrays]
    runs: Runs = {"ours": lambda: compiled(*mine)}
    if "torch" in peers or "compile" in peers:
        import torch

        torch.set_num_threads(1)
        leaves = [torch.tensor(x, requires_grad=k > 0) for k, x in enumerate(arrays)]

        def loss(a: Any, w: Any, gamma: Any, beta: Any) -> Any:
            y = torch.nn.functional.batch_norm(a @ w, None, None, gamma, beta, True, 0.1, 1e-5)
            return (torch.sigmoid(y) ** 2).mean()

        def run_of(function: Any) -> Run:
            def run() -> None:
                for leaf in leaves:
                    leaf.grad = None
                function(*leaves).backward()

            return run

        runs |= {name: run_of(function) for name, function in (("torch", loss), ("compile", torch.compile(loss))) if name in peers}
    if "jax" in peers:
        import jax
        import jax.numpy as jnp

        both = jax.jit(jax.value_and_grad(lambda a, w, g, b: (jax.nn.sigmoid(norm(jnp, a @ w, g, b)) ** 2).mean(), (1, 2, 3)))
        theirs = [jnp.array(x) for x in arrays]
        runs["jax"] = lambda: jax.block_until_ready(both(*theirs))
    return runs


def softmax_of(shape: tuple[int, int], peers: list[str]) -> Runs:
    def typed(xp: Any, x: Any) -> Any:
        if xp.__name__ == "torch":
            return xp.softmax(x, -1)
        import jax

        return jax.nn.softmax(x, -1)

    return pulled(peers, lambda x: ab.softmax(x, axis=-1), lambda x: x.softmax(-1), typed, values(shape, shape))


def parameters() -> list[np.ndarray[Any, Any]]:
    weights = [0.1 * w for w in values(*itertools.pairwise(LAYERS))]
    return [*weights, *(np.ones(100, "f4") for _ in range(3)), *(np.zeros(100, "f4") for _ in range(3)), np.zeros(10, "f4")]


def forward(xp: Any, sigmoid: Any, p: Any, x: Any) -> Any:
    """The network of the batch-norm paper: 784-100-100-100-10, batch norm and sigmoid after each hidden layer."""
    h = x
    for i in range(3):
        u = xp.matmul(h, p[i])
        centred = u - xp.mean(u, axis=0)
        h = sigmoid(centred * (1 / xp.sqrt(xp.mean(centred**2, axis=0) + 1e-5)) * p[4 + i] + p[7 + i])
    return xp.matmul(h, p[3]) + p[10]


def step_of_ours() -> Run:
    def loss(p: Any, x: Any, y: Any) -> Any:
        return ab.nn.functional.cross_entropy(forward(ab, ab.sigmoid, p, x), y)

    @ab.jit
    def update(p: Any, x: Any, y: Any) -> Any:
        value, gradients = ab.value_and_grad(loss)(p, x, y)
        return value, [a - RATE * g for a, g in zip(p, gradients, strict=True)]

    x, y = ab.tensor(values((BATCH, 784))[0]), ab.tensor(np.arange(BATCH) % 10)
    state = [[ab.tensor(a) for a in parameters()]]

    def run() -> float:
        value, state[0] = update(state[0], x, y)
        return float(value.item())

    return run


def step_of_jax() -> Run:
    import jax
    import jax.numpy as jnp

    def loss(p: Any, x: Any, y: Any) -> Any:
        z = forward(jnp, jax.nn.sigmoid, p, x)
        return (jax.nn.logsumexp(z, 1) - z[jnp.arange(BATCH), y]).mean()

    @jax.jit
    def update(p: Any, x: Any, y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(p, x, y)
        return value, [a - RATE * g for a, g in zip(p, gradients, strict=True)]

    x, y = jnp.array(values((BATCH, 784))[0]), jnp.array(np.arange(BATCH) % 10)
    state = [[jnp.array(a) for a in parameters()]]

    def run() -> float:
        value, state[0] = update(state[0], x, y)
        return float(value)

    return run


def step_of_torch(compiling: bool) -> Run:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    hidden = [(nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.Sigmoid()) for a, b in itertools.pairwise(LAYERS[:4])]
    net = nn.Sequential(*(layer for block in hidden for layer in block), nn.Linear(100, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    x, y = torch.tensor(values((BATCH, 784))[0]), torch.tensor(np.arange(BATCH) % 10)

    def loss(x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(net(x), y)

    function = torch.compile(loss) if compiling else loss

    def run() -> float:
        optimizer.zero_grad()
        value = function(x, y)
        value.backward()
        optimizer.step()
        return float(value.detach())

    return run


def network(peers: list[str]) -> Runs:
    makers: dict[str, Callable[[], Run]] = {"torch": lambda: step_of_torch(False), "compile": lambda: step_of_torch(True), "jax": step_of_jax}
    return {"ours": step_of_ours(), **{name: makers[name]() for name in makers if name in peers}}


def tasks(names: list[str], peers: list[str]) -> Iterator[tuple[str, Runs]]:
    for shape in SIZES:
        for name in names:
            if name in ("batch_norm", "typed_batch_norm"):
                yield f"{name} {shape[0]}×{shape[1]}", norm_of(0, shape, peers, name == "batch_norm")
            elif name == "layer_norm":
                yield f"{name} {shape[0]}×{shape[1]}", norm_of(1, shape, peers, False)
            elif name == "within_network":
                yield f"{name} {shape[0]}×{shape[1]}", within_network(shape, peers)
            elif name == "softmax":
                yield f"{name} {shape[0]}×{shape[1]}", softmax_of(shape, peers)
    if "network" in names:
        yield "network", network(peers)


def main() -> None:
    every = ["batch_norm", "typed_batch_norm", "within_network", "layer_norm", "softmax", "network"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=every)
    parser.add_argument("--peers", default="torch,compile,jax")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each task")
    arguments = parser.parse_args()
    package = {"torch": "torch", "compile": "torch", "jax": "jax"}
    peers = [name for name in arguments.peers.split(",") if importlib.util.find_spec(package[name]) is not None]
    warnings.simplefilter("ignore")
    for title, runs in tasks(arguments.tasks, peers):
        medians, ratio = compared(runs, arguments.seconds)
        print(f"{title:26}" + "".join(f"{name} {median:9.1f} µs   " for name, median in medians.items()) + f"ratio {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()

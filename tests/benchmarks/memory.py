"""Peak memory of one training step beside PyTorch's: python -m tests.benchmarks.memory [--batch N] [--width N] [--layers N]

The network is Linear without bias, BatchNorm1d, ReLU, as many times as there are layers, then a Linear to ten classes and cross entropy;
one step is the forward and the backward pass, float32, training mode. Each engine runs in a process of its own on one thread: it makes
the network and the batch, runs one step on a batch of four rows (so that code, BLAS's buffers and gradients exist), drops
its gradients, and then runs one step.

The figure is the highest resident size that the kernel saw during the step (VmHWM, reset just before by writing 5 to /proc/self/clear_refs)
minus the resident size just before it and the gradients of the parameters that the step leaves; the parameters and the batch exist
before. It includes all that an engine allocates, whoever allocates it. malloc is told to return every
freed array above 64 KiB at once, to both engines alike, so that no allocator's cache hides what is alive. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

CLASSES = 10
SETTINGS = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}

Step = Callable[[int], int]
"""Runs one step on so many rows of the batch; gives the bytes of the gradients that it leaves."""


def compiled(layers: int, width: int, batch: int) -> Step:
    """The step through ``jit``. What compiling takes counts too, because it is compiled for the whole batch in the step that is measured."""
    return ours(layers, width, batch, compiled=True)


def ours(layers: int, width: int, batch: int, compiled: bool = False) -> Step:
    import numpy as np

    import autograd_bn as ab

    made: list[Any] = []
    for _ in range(layers):
        made += [ab.nn.Linear(width, width, bias=False), ab.nn.BatchNorm1d(width), ab.nn.ReLU()]
    network = ab.nn.Sequential(*made, ab.nn.Linear(width, CLASSES))
    rng = np.random.default_rng(0)
    data = rng.standard_normal((batch, width), dtype="f4")
    labels = rng.integers(0, CLASSES, batch)

    def backward(x: Any, y: Any) -> None:
        ab.nn.functional.cross_entropy(network(x), y).backward()

    run = ab.jit(backward) if compiled else backward

    def step(rows: int) -> int:
        x = ab.asarray(data) if rows == batch else ab.asarray(data[:rows])
        run(x, labels[:rows])
        size = sum(p.grad.numpy().nbytes for p in network.parameters())
        for p in network.parameters():
            p.grad = None
        return size

    return step


def theirs(layers: int, width: int, batch: int) -> Step:
    import torch

    torch.set_num_threads(1)
    made: list[Any] = []
    for _ in range(layers):
        made += [torch.nn.Linear(width, width, bias=False), torch.nn.BatchNorm1d(width), torch.nn.ReLU()]
    network = torch.nn.Sequential(*made, torch.nn.Linear(width, CLASSES))
    data = torch.randn(batch, width)
    labels = torch.randint(0, CLASSES, (batch,))

    def step(rows: int) -> int:
        torch.nn.functional.cross_entropy(network(data[:rows]), labels[:rows]).backward()
        size = sum(p.grad.nbytes for p in network.parameters() if p.grad is not None)
        for p in network.parameters():
            p.grad = None
        return size

    return step


ENGINES: dict[str, Callable[[int, int, int], Step]] = {"ours": ours, "compiled": compiled, "PyTorch": theirs}
LIMITS = {"ours": 1.6, "compiled": 1.0}


def resident(field: str) -> int:
    """A size of this process in bytes, as the kernel counts it."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def measured(make: Callable[[int, int, int], Step], layers: int, width: int, batch: int) -> int:
    step = make(layers, width, batch)
    step(4)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before = resident("VmRSS")
    gradients = step(batch)
    return resident("VmHWM") - before - gradients


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory", description="Peak memory of one training step, ours beside PyTorch's.")
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--engine", choices=list(ENGINES), help="measure only this one, in this process, and print JSON")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has PyTorch")
    given = parser.parse_args(arguments)
    sizes = (given.layers, given.width, given.batch)
    if given.engine:
        print(json.dumps(measured(ENGINES[given.engine], *sizes)))
        return 0
    activation = 4 * given.width * given.batch
    peaks = {}
    print(f"{given.layers} layers of width {given.width}, batch {given.batch}: an activation is {activation / 2**20:.1f} MiB")
    for name in ENGINES:
        command = [given.python if name == "PyTorch" else sys.executable, "-m", "tests.benchmarks.memory", "--engine", name]
        command += [part for option, size in zip(("--layers", "--width", "--batch"), sizes, strict=True) for part in (option, str(size))]
        out = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **SETTINGS})
        peaks[name] = json.loads(out.stdout)
        print(
            f"{name:8s}{peaks[name] / 2**20:10.1f} MiB{peaks[name] / activation:8.1f} activations{peaks[name] / activation / given.layers:8.2f} a layer",
            flush=True,
        )
    missed = 0
    for name, limit in LIMITS.items():
        ratio = peaks[name] / peaks["PyTorch"]
        missed += ratio > limit
        print(f"{name} / PyTorch {ratio:.3f}   limit {limit}{'' if ratio <= limit else '  missed'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""From the first call of a compiled training step to its result: python -m tests.benchmarks.first_call

The paper's network, one step of gradient descent, in fresh processes in turn, imports excluded: compiled anew, from the cache on
the disk, and by JAX if it is installed. Prints the medians (ms) and the median ratios to JAX's; 1 if one exceeds its limit.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile

LIMITS = {"compiled": 1.0, "cached": 0.2}
"""What the ratios to JAX must not exceed."""
ROUNDS = 9

DATA = """
import time
import numpy as np

rng = np.random.default_rng(0)
x, y = rng.standard_normal((60, 784)).astype("f4"), rng.integers(0, 10, 60)
sizes = [784, 100, 100, 100, 10]
weights = [(rng.standard_normal((sizes[i], sizes[i + 1])) * 0.1).astype("f4") for i in range(4)]
start = [*weights, *([np.ones(100, "f4")] * 3), *([np.zeros(100, "f4")] * 3), np.zeros(10, "f4")]

def network(p, x, sigmoid, sqrt):
    h = x
    for i in range(3):
        u = h @ p[i]
        d = u - u.mean(0)
        h = sigmoid(d * (1 / sqrt((d**2).mean(0) + 1e-5)) * p[4 + i] + p[7 + i])
    return h @ p[3] + p[10]
"""
OURS = """
import autograd_bn as ab
import autograd_bn.compiler.llvm_emitter, autograd_bn.nn, scipy.linalg.cython_blas

def loss(p, x, y):
    return ab.nn.functional.cross_entropy(network(p, x, ab.sigmoid, ab.sqrt), y)

@ab.jit
def step(p, x, y):
    value, gradients = ab.value_and_grad(loss)(p, x, y)
    return value, [a - 0.1 * b for a, b in zip(p, gradients)]

p, x, y = [ab.tensor(a) for a in start], ab.tensor(x), ab.tensor(y)
"""
JAX = """
import jax, jax.numpy as jnp

def loss(p, x, y):
    z = network(p, x, jax.nn.sigmoid, jnp.sqrt)
    return (jax.nn.logsumexp(z, 1) - z[jnp.arange(60), y]).mean()

@jax.jit
def step(p, x, y):
    value, gradients = jax.value_and_grad(loss)(p, x, y)
    return value, [a - 0.1 * b for a, b in zip(p, gradients)]

p, x, y = [jnp.array(a) for a in start], jnp.array(x), jnp.array(y)
"""
CALL = """
begin = time.perf_counter()
value = float(step(p, x, y)[0])
print(time.perf_counter() - begin)
"""


def seconds(code: str, folder: str) -> float:
    """How long the first call takes in a process of its own, whose cache is in a folder."""
    environment = {**os.environ, "AUTOGRAD_BN_CACHE": folder}
    return float(subprocess.run([sys.executable, "-c", DATA + code + CALL], check=True, capture_output=True, text=True, env=environment).stdout)


def main() -> int:
    """Print the figures."""
    peer = importlib.util.find_spec("jax") is not None
    found: dict[str, list[float]] = {"compiled": [], "cached": [], "JAX": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            found["compiled"].append(seconds(OURS, folder))
            found["cached"].append(seconds(OURS, folder))
            if peer:
                found["JAX"].append(seconds(JAX, folder))
    missed = 0
    for name, values in found.items():
        line = f"{name:10}{statistics.median(values) * 1e3:8.1f} ms" if values else f"{name:10} is not installed"
        if peer and name in LIMITS:
            ratio = statistics.median(a / b for a, b in zip(values, found["JAX"], strict=True))
            missed += ratio > LIMITS[name]
            line += f"  {ratio:.3f} of JAX's (limit {LIMITS[name]})"
        print(line)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

STEPS = """
import resource
import numpy as np
import autograd_bn as ab

def step():
    y = x
    for _ in range(20):
        y = y * w
    y.sum().backward()
    x.grad = w.grad = None

x, w = (ab.tensor(np.ones((400, 1000), "float32"), requires_grad=True) for _ in range(2))
faults = []
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(*faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told to keep memory")
def test_the_memory_of_a_step_serves_the_next_one() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, timeout=60, check=True)
    first, *later = map(int, done.stdout.split())
    assert first > 4000  # the first step gets its pages, 390 for each of the arrays
    assert sum(later) < first / 2

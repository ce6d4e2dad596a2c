from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

import autograd_bn as ab

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


def test_a_large_tensor_is_a_copy_that_begins_where_a_line_of_the_caches_does() -> None:
    for array in (np.arange(30000.0).reshape(300, 100), np.arange(40000, dtype="int32"), np.ones((100, 1000), ">f8"), np.ones((200, 300)) > 0):
        for offset in range(0, 64, 8):
            whole = np.zeros(array.nbytes + 64, np.uint8)
            given = whole[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
            given[...] = array
            x = ab.tensor(given)
            assert x.dtype is np.dtype(array.dtype.type) and np.array_equal(x.numpy(), array) and not np.shares_memory(x.numpy(), given)
            if array.dtype.kind in "fi":
                assert x.numpy().ctypes.data % 64 == 0
    turned = ab.tensor(np.ones((200, 300)).T)
    assert turned.shape == (300, 200) and turned.numpy().flags.f_contiguous
    assert ab.tensor(np.ones((200, 300)), dtype="float32").dtype == np.float32
    view = x[1:]
    view[0] = False
    assert not x.numpy()[1].any()

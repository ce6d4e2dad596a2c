"""How many threads matrix products take while small networks are trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, threadpoolctl, autograd_bn as ab
from autograd_bn.train.threads import one_blas_thread
with one_blas_thread():
    ab.jit(lambda x: x @ x)(ab.ones((3, 3)))
    print(json.dumps([found["num_threads"] for found in threadpoolctl.threadpool_info() if found["user_api"] == "blas"]))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has one thread")
def test_the_products_of_compiled_functions_take_one_thread_too() -> None:
    for package in ("threadpoolctl", "scipy", "llvmlite"):
        pytest.importorskip(package)
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=free, capture_output=True, text=True, check=True)
    assert set(json.loads(run.stdout)) == {1}

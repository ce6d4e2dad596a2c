"""A child of fork can compile, whatever its parent was doing."""

from __future__ import annotations

import importlib
import os
import threading
import time

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler import machine

jit = importlib.import_module("autograd_bn.compiler.jit")  # the package has the function under this name

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_compiles_though_another_thread_of_its_parent_was_compiling() -> None:
    pytest.importorskip("llvmlite")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with jit._tracing, machine._compiling:
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if ab.jit(lambda x: x * 2.0 + 1.0)(ab.tensor(np.ones(3))).tolist() == [3.0, 3.0, 3.0] else 2
        finally:
            os._exit(code)
    try:
        end = time.monotonic() + 60
        while (found := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.01)
        if found == (0, 0):
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert found[0] == child and os.waitstatus_to_exitcode(found[1]) == 0
    finally:
        done.set()
        holder.join()

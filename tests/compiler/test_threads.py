"""Threads of native code: the same bits for any number, calls from several Python threads, forks, and no more threads than can be had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler import threads
from autograd_bn.core.errors import OperationError
from tests.threads import switching as switching
from tests.threads import together


@pytest.fixture(autouse=True)
def _unchanged() -> Iterator[None]:
    before = ab.get_num_threads()
    yield
    ab.set_num_threads(before)


def array(*shape: int, seed: int = 0) -> ab.Tensor:
    return ab.tensor(np.random.default_rng(seed).standard_normal(shape).astype("float32"))


def layer_norm(x: Any, gamma: Any, beta: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / ab.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta


def step(x: ab.Tensor, gamma: ab.Tensor, beta: ab.Tensor, seed: ab.Tensor) -> Any:
    first, pull_first = ab.vjp(ab.batch_norm, x, gamma, beta)
    second, pull_second = ab.vjp(layer_norm, x, gamma, beta)
    third, pull_third = ab.vjp(lambda x: ab.softmax(x, axis=-1), x)
    return first, second, third, *pull_first(seed), *pull_second(seed), *pull_third(seed), x.max(0)


@pytest.mark.parametrize("shape", [(4097, 257), (16500, 64), (1100, 1024), (70, 16000)])
def test_results_have_the_same_bits_with_any_number_of_threads(shape: tuple[int, int]) -> None:
    f = ab.jit(step)
    arguments = array(*shape), array(shape[1], seed=1), array(shape[1], seed=2), array(*shape, seed=3)
    ab.set_num_threads(1)
    expected = [np.array(y) for y in f(*arguments)]
    for one, other in zip(expected, step(*(x.astype("float64") for x in arguments)), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=2e-4, atol=2e-5 * np.abs(other.numpy()).max())
    assert (" blocks" in f.explain()) == (shape[0] > 70)

    def compare() -> None:
        for one, other in zip(f(*arguments), expected, strict=True):
            np.testing.assert_array_equal(one.numpy(), other)

    for count in (2, 3, 100):
        ab.set_num_threads(count)
        compare()
    ab.set_num_threads(3)
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(compare) for _ in range(8)]:
            future.result()


def test_elementwise_operations_on_large_arrays_are_for_threads_too() -> None:
    f = ab.jit(lambda x: ab.maximum(x, 0) * 2 + 1)
    x = array(32, 64, 520)
    np.testing.assert_array_equal(f(x).numpy(), (ab.maximum(x, 0) * 2 + 1).numpy())
    assert "blocks" in f.explain() and "past the caches" in f.explain()


def test_sums_by_blocks_are_no_less_accurate_than_numpys() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (40000, 40)).astype("float32")
    exact = x.astype("float64").sum(0)
    found = ab.jit(lambda x: (layer_norm(x, x[0], x[1]).sum(), x.sum(0)))(ab.tensor(x))[1].numpy()
    assert np.abs(found - exact).max() <= np.abs(x.sum(0) - exact).max()


@pytest.mark.skipif(sys.platform == "win32", reason="one thread there")
def test_threads_are_started_as_told_and_fewer_do_where_there_cannot_be_more() -> None:
    code = """
import ctypes, numpy as np, llvmlite.binding as llvm, autograd_bn as ab
started = []
@ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)
def refused(*given):
    started.append(given)
    return 11
llvm.add_symbol("pthread_create", ctypes.cast(refused, ctypes.c_void_p).value)
f = ab.jit(lambda x: (x - x[0], x.sum(0)))
x = np.arange(2.0**21).reshape(2**14, 2**7)
for count in (4, 1):
    ab.set_num_threads(count)
    y, total = f(ab.tensor(x))
    assert np.array_equal(y.numpy(), x - x[0]) and np.array_equal(total.numpy(), x.sum(0))
    assert len(started) == (1 if count == 4 else 0), started
    started.clear()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_goes_on_with_threads() -> None:
    code = """
import os, numpy as np, autograd_bn as ab
ab.set_num_threads(3)
f = ab.jit(lambda x: (x * 2, x.sum(0)))
x = ab.tensor(np.ones((2**14, 2**7)))
f(x)
child = os.fork()
y, total = f(x)
good = bool((y.numpy() == 2).all() and (total.numpy() == 2**14).all())
if not child:
    os._exit(0 if good else 1)
assert good and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_number_of_threads() -> None:
    ab.set_num_threads(3)
    assert ab.get_num_threads() == 3
    with pytest.raises(OperationError, match="at least one"):
        ab.set_num_threads(0)
    assert ab.get_num_threads() == 3
    cpus = threads.wanted({})
    assert threads.wanted({"OMP_NUM_THREADS": "1"}) == threads.wanted({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "7"}) == 1
    assert threads.wanted({"OMP_NUM_THREADS": "100000,2"}) == threads.wanted({"OMP_NUM_THREADS": "many"}) == threads.wanted({"OMP_NUM_THREADS": "0"}) == cpus


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("passed", [True, False])
def test_threads_that_add_to_one_gradient_lose_none(passed: bool, emitter: Any, switching: None) -> None:
    w, x = ab.tensor(np.zeros(3000), requires_grad=True), ab.tensor(np.ones(3000))

    def accumulate(w: ab.Tensor, x: ab.Tensor) -> None:
        (w * x).sum().backward()

    passing, closing = ab.jit(accumulate, emitter=emitter), ab.jit(lambda x: accumulate(w, x), emitter=emitter)

    def work() -> None:
        for _ in range(100):
            if passed:
                passing(w, x)
            else:
                closing(x)

    together(*[work] * 8)
    np.testing.assert_array_equal(w.grad.numpy(), np.full(3000, 800.0))

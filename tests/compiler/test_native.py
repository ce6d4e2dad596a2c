"""Native code: what is fused, how loops are cut, special values, layouts, and random programs through both emitters."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import AutogradError, OperationError
from autograd_bn.testing.program import AUTOGRAD
from tests.fuzz import program_of

F = ab.nn.functional


def array(*shape: int, dtype: Any = "float64", seed: int = 0) -> ab.Tensor:
    return ab.tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def arrays(x: Any) -> list[Any]:
    return [np.array(x.detach())] if isinstance(x, ab.Tensor) else [a for part in x for a in arrays(part)]


def close(found: Any, expected: Any, eps: float) -> None:
    for one, other in zip(arrays(found), arrays(expected), strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        size = np.max(np.abs(other), initial=0, where=np.isfinite(other)) if other.dtype.kind == "f" else 0
        np.testing.assert_allclose(one, other, rtol=eps, atol=eps * size)


def check_native(function: Callable[..., Any], arguments: Sequence[ab.Tensor], dtype: str, emitter: Any, ulps: int = 100) -> None:
    """The first and a later call of compiled code give what the function gives; native code is one call, without NumPy."""
    given = [x.astype(dtype) if x.dtype.kind == "f" else x for x in arguments]
    expected = function(*given)
    compiled = ab.jit(function, emitter=emitter)
    for _ in range(2):
        close(compiled(*given), expected, ulps * np.finfo(dtype).eps if emitter == "llvm" else 0)
    if emitter == "llvm":
        assert " by NumPy" not in compiled.explain() and "functions in 1 calls" in compiled.explain()


def kernels(f: Any) -> list[str]:
    """The names of a compiled function's kernels."""
    return list(dict.fromkeys(node.scope.name for node in f.lowered.nodes if node.scope is not None and node.scope.name.startswith("kernel")))


def both(x: ab.Tensor, gamma: ab.Tensor, beta: ab.Tensor, seed: ab.Tensor) -> Any:
    y, pullback = ab.vjp(F.batch_norm, x, gamma, beta)
    return y, *pullback(seed)


def test_batch_norm_and_its_gradient_are_three_passes_and_two_over_columns() -> None:
    f = ab.jit(both)
    arguments = (array(60, 100), array(100, seed=1), array(100, seed=2), array(60, 100, seed=3))
    close(f(*arguments), both(*arguments), 1e-13)
    assert [name.split("over ")[1] for name in kernels(f)] == ["60×100", "100", "60×100", "100", "60×100"]
    reads = [sum(i in (0, 3) for node in f.lowered.nodes if node.scope and node.scope.name == name for i in set(node.inputs)) for name in kernels(f)]
    assert reads[0] == 1  # the sum of dy is taken where dy is read anyway


def test_batch_norm_under_a_relu_takes_as_many_passes() -> None:
    """A gradient times a mask is a term of a sum as any other: factors are taken out of it all the same."""

    def activated(*arguments: ab.Tensor) -> Any:
        y, pullback = ab.vjp(lambda *given: F.relu(F.batch_norm(*given)), *arguments[:3])
        return y, *pullback(arguments[3])

    f = ab.jit(activated)
    arguments = (array(60, 100), array(100, seed=1), array(100, seed=2), array(60, 100, seed=3))
    close(f(*arguments), activated(*arguments), 1e-13)
    assert [name.split("over ")[1] for name in kernels(f)].count("60×100") == 4


def normalise_rows(x: ab.Tensor, gamma: ab.Tensor, beta: ab.Tensor) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / ab.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta


@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 5), (2, 5000), (6, 6)])
def test_what_is_over_the_last_axis_runs_row_by_row(shape: tuple[int, ...]) -> None:
    def f(x: Any, seed: Any, gamma: Any, beta: Any) -> Any:
        y, pullback = ab.vjp(normalise_rows, x, gamma, beta)
        return y, *pullback(seed), ab.grad(lambda x: (ab.softmax(x, axis=-1) ** 2).sum())(x)

    arguments = (array(*shape), array(*shape, seed=1), array(shape[-1], seed=2), array(shape[-1], seed=3))
    compiled = ab.jit(f)
    close(compiled(*arguments), f(*arguments), 1e-12)
    assert all("row by row" in name for name in kernels(compiled) if name.split("over ")[1].startswith("×".join(map(str, shape))))


def _compared(x: Any, y: Any) -> Any:
    return x > y, x == x, (x > 0) & (y < 0), ab.where(x > y, x, 0), (x != y).sum(), ab.any(x > 2), ab.all(x < 9, axis=0)


def _whole(n: Any, x: Any) -> Any:
    return n + 1, n * n, n - 5 > 0, n.sum(0), n.max(1), n * x, ab.where(n > 3, n, 0), n / 4


def _converted(x: Any, n: Any) -> Any:
    return x.astype("float64").sum(), n.astype("float32") * x, (x > 0).astype("float32"), x.astype("bool")


def _slices(x: Any) -> Any:
    parts = x[:, 2:6], x[::-2, ::3], x[3], x[1, 2], x[..., None, 1], x[-1:, -3:], x[2:2]
    rest = [part * 3 + 1 for part in parts] + [x[1:3].sum(0), x[:, 1:5] @ x[1:5, :3], ab.exp(x[::2]).T.sum(1), x[:, ::2].reshape(-1), x[4:].reshape(16)]
    return *parts, *rest, ab.grad(lambda x: (x[1:, ::2] * x[:-1, 1::2]).sum() + x[3, 4] * x[0].sum())(x)


def _chain(x: Any, count: int) -> Any:
    for _ in range(count):
        x = x * 0.999 + 0.001
    return x


def test_arrays_larger_than_the_caches() -> None:
    def f(x: Any, seed: Any, gamma: Any, beta: Any) -> Any:
        rows, pull_rows = ab.vjp(normalise_rows, x, gamma, beta)
        columns, pull_columns = ab.vjp(F.batch_norm, x, gamma, beta)
        return rows, columns, ab.softmax(x, axis=-1), *pull_rows(seed), *pull_columns(seed)

    arguments = [array(*shape, dtype="float32", seed=k) for k, shape in enumerate([(1030, 1100), (1030, 1100), (1100,), (1100,)])]
    expected = f(*(x.astype("float64") for x in arguments))
    for one, other in zip(ab.jit(f)(*arguments), expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-4, atol=2e-5 * np.abs(other.numpy()).max())


@pytest.mark.parametrize("shape", [(4099, 1024), (43700, 96), (4100, 1036), (65541, 64)])
def test_large_results_that_nothing_reads_again_go_past_the_caches(shape: tuple[int, int]) -> None:
    def f(x: Any, seed: Any, v: Any) -> Any:
        y, pullback = ab.vjp(lambda x: ab.softmax(x, axis=-1), x)
        return y, pullback(seed), x * v, x > v, (x + v).sum(0)

    x, seed, v = array(*shape, dtype="float32"), array(*shape, dtype="float32", seed=1), array(shape[1], dtype="float32", seed=2)
    compiled = ab.jit(f)
    found = compiled(x, seed, v)
    assert f"({13 * x.size:,} past the caches)" in compiled.explain() or f"({12 * x.size:,} past the caches)" in compiled.explain()
    close(found, f(x, seed, v), 1e-5)
    close(compiled(seed, x, v)[2:4], f(seed, x, v)[2:4], 0)


@pytest.mark.parametrize("f", [lambda x, v: x * v, lambda x, v: ab.sort(x[:, 1:] * v[1:]), lambda x, v: x[:64, 1:] * v[1:]])
def test_other_results_do_not(f: Callable[..., Any]) -> None:
    x, v = array(4099, 257, dtype="float32"), array(257, dtype="float32", seed=1)
    compiled = ab.jit(f)
    close(compiled(x, v), f(x, v), 0)
    assert "past the caches" not in compiled.explain()


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "a row added along a square's other axis": (lambda x: x - x.sum(1) + ab.exp(x) / ab.exp(x).sum(1), (array(5, 5),)),
    "images": (lambda x, g, b: (F.batch_norm(x, g, b), (x**2).sum((0, 2))), (array(3, 4, 5, 2), array(4), array(4, seed=1))),
    "axes between": (lambda x: (x.sum((0, 2)), x.max(1), x.mean((1, 3)), x.min((0, 1, 2, 3))), (array(3, 4, 5, 2),)),
    "transposed": (lambda x, y: (x.T * y, ab.tanh(x.T) @ y.T, (x.T + y).sum(0), x.T.reshape(-1)), (array(4, 6), array(6, 4))),
    "products": (lambda x, y, v: (x @ y, x.T @ x, v @ x, y.T @ y @ v[:3], v @ v), (array(6, 4), array(4, 3), array(6))),
    "products of stacks": (lambda x, y: (x @ y, x @ y[0], ab.permute_dims(x, (1, 0, 2)) @ y[0, 0]), (array(2, 3, 4), array(5, 1, 2, 4, 3)[0, :, :, :])),
    "comparisons": (_compared, (array(5, 3), array(3))),
    "whole numbers": (_whole, (ab.tensor(np.arange(6).reshape(2, 3)), array(3))),
    "conversions": (_converted, (array(4), ab.tensor(np.arange(4)))),
    "functions": (lambda x: [f(x) for f in (ab.exp, ab.tanh, ab.sin, ab.cos, ab.expm1, ab.erf, ab.sigmoid, ab.atan, ab.floor, ab.sign, ab.abs)], (array(40),)),
    "powers": (lambda x: (x**2, x**3, x**-1, x**0.5, x**-2, x**4, x**1.7, 2.0**x, x**0), (ab.abs(array(9)),)),
    "bounds": (lambda x, y: (ab.clip(x, -0.5, 0.5), ab.maximum(x, y), ab.minimum(x, 0.1), F.relu(x), ab.logaddexp(x, y)), (array(9), array(9, seed=1))),
    "slices": (lambda x: _slices(x * 2.0), (array(6, 8),)),
    "foreign between": (lambda x: (ab.sort(x * 2) + ab.cumulative_sum(ab.exp(x)), ab.sort(x * 2).sum()), (array(9),)),
    "numbers": (lambda x, y: (x * y + 1, ab.sqrt(x * x)), (ab.tensor(2.0), ab.tensor(3.0))),
    "axes of length 1": (lambda x: (x.sum(0), x.mean((0, 2)), x.max(2, keepdims=True), (x * 2).sum()), (array(1, 5, 1),)),
    "one twice": (lambda x, y: (x + y, (x * y).sum(0)), (array(4, 3),) * 2),
    "results shared": (lambda x: ((x * 2).reshape(-1), (x * 2).T, x * 2, x, x.T), (array(3, 4),)),
    "a long chain": (lambda x: _chain(x, 600), (array(5),)),
    "nothing": (lambda x: (x.sum(0), (x * 2).sum(1), ab.exp(x)), (array(0, 3),)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_native_code_gives_what_the_function_gives(name: str, dtype: str) -> None:
    function, arguments = CASES[name]
    given = [x.astype(dtype) if x.dtype.kind == "f" else x for x in arguments]
    expected = function(*given)
    compiled = ab.jit(function)
    for _ in range(2):
        close(compiled(*given), expected, 3000 * np.finfo(dtype).eps if name == "a long chain" else 60 * np.finfo(dtype).eps)


@pytest.mark.parametrize("broadcast", list(itertools.product((True, False), repeat=3)))
def test_sums_over_any_axes_beside_what_is_broadcast_along_any_others(broadcast: tuple[bool, ...]) -> None:
    shape = (6, 9, 5)  # more rows than are taken at a time, and some left over
    x, y = array(*shape), array(*(1 if one else n for one, n in zip(broadcast, shape, strict=True)), seed=1)
    axes = [axis for count in (1, 2, 3) for axis in itertools.combinations(range(3), count)]

    def each(x: Any, y: Any) -> Any:
        z = x * y
        return [(ab.exp(z).sum(axis), z.max(axis), z - z.mean(axis, keepdims=True)) for axis in axes]

    def together(x: Any, y: Any) -> Any:
        z = x * y
        return [z.sum(axis) for axis in axes], [(x + y).min(axis) for axis in axes]

    for f in (each, together, *(lambda x, y, axis=axis: ((x * y).sum(axis), (x * y).max(axis)) for axis in axes)):
        close(ab.jit(f)(x, y), f(x, y), 1e-12)


@pytest.mark.parametrize("one", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
def test_sums_over_some_of_the_axes_of_others_go_on_being_used(one: tuple[int, ...]) -> None:
    for other in [(1,), (2,), (0, 1), (1, 2), (0, 2)]:

        def f(x: Any, other: tuple[int, ...] = other) -> Any:
            top, mean = x.max(one, keepdims=True), x.mean(other, keepdims=True)
            return top * 1.0, mean, top - mean, ((top - mean) ** 2).mean(one), ((x - mean) ** 2).mean(one), (x - top).max(other)

        x = array(9, 4, 4)
        close(ab.jit(f)(x), f(x), 1e-12)


def test_arrays_in_any_layout_are_read_right() -> None:
    f = ab.jit(lambda x, y: (x * y, (x + y).sum(0)))
    base = np.random.default_rng(0).standard_normal((8, 12))
    y = np.arange(12.0).reshape(4, 3)
    raw = np.zeros(4 * 3 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(4, 3)  # not aligned
    raw[...] = base[:4, :3]
    for x in (base[::2, ::4], base[:4, :3], base.T[:4, :3], base[::-2, ::-4], raw, np.broadcast_to(base[:1, :3], (4, 3))):
        close(f(ab.asarray(x), ab.asarray(y)), (ab.tensor(x * y), ab.tensor((x + y).sum(0))), 1e-15)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nan_and_infinity_are_kept(dtype: str) -> None:
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], dtype)
    x = ab.tensor(np.stack(np.meshgrid(special, special), -1).reshape(-1, 2))

    def f(x: Any) -> Any:
        a, b = x[:, 0], x[:, 1]
        yield from (a + b, a * b, a - b, a / b, ab.maximum(a, b), ab.minimum(a, b), a < b, a != b, ab.where(a > b, a, b), ab.isfinite(a), ab.isnan(a))
        yield from (
            x.sum(1),
            x.max(1),
            x.min(0),
            x.sum(),
            x.mean(0),
            ab.relu(a),
            ab.sigmoid(a),
            ab.exp(a),
            ab.tanh(a),
            ab.sign(a),
            abs(a),
            ab.log(b),
            ab.any(x > 2),
        )

    with np.errstate(all="ignore"):
        expected = list(f(x))
        found = ab.jit(lambda x: list(f(x)))(x)
        long = np.ones(30000, dtype)
        for value in (np.inf, -np.inf, np.nan):
            long[17000] = value
            np.testing.assert_array_equal(ab.jit(lambda x: x.sum())(ab.tensor(long)).numpy(), long.sum())
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_sigmoid_that_is_nearly_nothing_is_the_eager_one(dtype: str, emitter: Any) -> None:
    x = ab.tensor(np.array([-np.inf, -1e30, -745, -720, -710, -700, -103, -100, -88.5, -30, np.inf], dtype))
    with np.errstate(under="ignore"):
        expected = ab.sigmoid(x).numpy()
        found = ab.jit(lambda x: ab.sigmoid(x) * 1.0, emitter=emitter)(x).numpy()
    least = float(np.finfo(dtype).smallest_subnormal)
    assert (expected > 0).tolist() == [False, False, *(x.numpy()[2:] > np.log(least) - np.log(2))]
    np.testing.assert_allclose(found, expected, rtol=4 * float(np.finfo(dtype).eps), atol=least)


@pytest.mark.parametrize("shape", [(1_000_003,), (70_001, 3), (3, 100_001), (300, 300)])
def test_long_sums_are_no_less_accurate_than_numpys(shape: tuple[int, ...]) -> None:
    x = (1 + np.random.default_rng(0).random(shape)).astype("float32")
    for axis in (None, 0, len(shape) - 1):
        exact = x.astype("float64").sum(axis)
        found = ab.jit(lambda x, axis=axis: x.sum(axis))(ab.tensor(x)).numpy()
        ours, theirs = (np.max(np.abs(one - exact) / exact) for one in (found.astype("float64"), np.add.reduce(x, axis).astype("float64")))
        assert ours <= max(theirs, 2e-7)


def test_sums_of_short_rows_are_no_less_accurate_than_numpys() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for size in range(17, 257, 29):
        x = rng.random((400, size)).astype("float32")
        exact = x.astype("float64").sum(1)
        found, _ = ab.jit(lambda x: (s := x.sum(1, keepdims=True), x / s), emitter="llvm")(ab.tensor(x))
        errors.append([np.mean(np.abs(one - exact) / np.spacing(exact.astype("float32"))) for one in (found.numpy()[:, 0], np.add.reduce(x, 1))])
    ours, theirs = np.mean(errors, 0)
    assert ours <= theirs


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_random_programs_and_their_gradients(emitter: Any, dtype: str) -> None:
    done = 0
    for number in range(25):
        program = program_of(21, number)
        function = ab.value_and_grad(lambda *xs, p=program: ab.asarray(p.loss(p.run(AUTOGRAD, xs))), tuple(range(len(program.inputs))))
        inputs = [ab.tensor(np.asarray(x).astype(dtype)) for x in program.inputs]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                expected = function(*inputs)
                found = ab.jit(function, emitter=emitter)(*inputs)
            except AutogradError:
                continue
        for one, other in zip(arrays(found), arrays(expected), strict=True):
            eps = (0 if emitter == "numpy" else 1000) * np.finfo(dtype).eps
            scale = np.max(np.abs(other), initial=1, where=np.isfinite(other))
            np.testing.assert_allclose(one, other, rtol=eps, atol=eps * scale, err_msg=str(program))
        done += 1
    assert done > 15


def is_native(function: Callable[[Any], Any], count: int) -> bool:
    """Whether the one operation of a function is in a loop, not a call of NumPy."""
    compiled, x = ab.jit(function, emitter="llvm"), ab.tensor(np.linspace(0.1, 0.9, count))
    np.testing.assert_allclose(compiled(x).numpy(), function(x).numpy(), rtol=1e-14)
    return bool(kernels(compiled))


def test_many_elements_of_what_only_the_c_library_has_are_left_to_numpy() -> None:
    for function in (ab.sin, ab.log2, ab.atanh, lambda x: x**2.5, lambda x: 2**x, lambda x: ab.atan2(x, 2)):
        assert is_native(function, 200)
        assert not is_native(function, 2000)
    for function in (ab.exp, ab.erf, lambda x: ab.hypot(x, 1), lambda x: x**3, lambda x: x**-2):
        assert is_native(function, 2000)


def test_an_emitter_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OperationError, match="'llvm' and 'numpy'"):
        ab.jit(lambda x: x, emitter="cuda")  # type: ignore[arg-type]
    monkeypatch.setattr("llvmlite.__version__", "0.44.0")
    with pytest.raises(OperationError, match=r"llvmlite ≥ 0\.45 .*autograd_bn\[jit\]"):
        ab.jit(lambda x: x, emitter="llvm")
    f = ab.jit(lambda x: x * 2)
    f(array(3))
    assert "arena" not in f.source


def test_llvm_is_imported_by_the_first_call_only() -> None:
    code = """
import sys, numpy as np, autograd_bn as ab
f = ab.jit(lambda x: x * 2)
assert "llvmlite.binding" not in sys.modules and "scipy" not in sys.modules
ab.jit(lambda x: x * 2, emitter="numpy")(ab.tensor(1.0))
assert "llvmlite.binding" not in sys.modules
f(ab.tensor(1.0))
assert "llvmlite.binding" in sys.modules and "scipy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_explain_says_what_fused_what_did_not_and_why() -> None:
    f = ab.jit(lambda x: (ab.sort(ab.exp(x @ x.T)), x.sum(0)))
    f(array(5, 6))
    lines = f.explain().splitlines()
    assert "matmul by BLAS: reads 240 bytes, writes 200, 300 floating-point operations" in lines
    assert "kernel 0 over 5×5, 1 operation: reads 200 bytes, writes 200, 25 floating-point operations" in lines
    assert any(line.startswith("argsort by NumPy, there is no scalar code for it") for line in lines)
    assert any("native functions in" in line for line in lines) and "at once" in lines[-1]
    g = ab.jit(lambda x: x.sum(0) * 2)
    g(array(0, 3))
    assert "there are no elements" in g.explain()


def test_the_lowered_graph_is_drawn_with_its_kernels_as_clusters() -> None:
    f = ab.jit(both)
    f(array(6, 5), array(5), array(5), array(6, 5))
    source = ab.draw(f.lowered).source
    assert source.count("subgraph") == 5 and "kernel 0 over 6×5" in source


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_processes_go_on_with_compiled_code_and_compile_more() -> None:
    code = """
import os, sys, numpy as np, autograd_bn as ab
x = ab.tensor(np.arange(6.0).reshape(2, 3))
f = ab.jit(lambda x: (ab.exp(x) @ x.T, x.sum(0)))
expected = [np.array(y) for y in f(x)]
children = []
for k in range(4):
    child = os.fork()
    if not child:
        same = all(np.array_equal(a.numpy(), b) for _ in range(50) for a, b in zip(f(x), expected))
        more = ab.jit(lambda x: x * k + 1)(x)
        os._exit(0 if same and np.array_equal(more.numpy(), np.arange(6.0).reshape(2, 3) * k + 1) else 1)
    children.append(child)
assert all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
assert all(np.array_equal(a.numpy(), b) for a, b in zip(f(x), expected))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_threads_run_while_native_code_does() -> None:
    compiled = ab.jit(lambda x: ab.exp(ab.tanh(x)).sum(), emitter="llvm")
    x = ab.ones(1 << 20)
    compiled(x)
    called, ran = threading.Event(), threading.Event()

    def work() -> None:
        called.wait()
        ran.set()

    other = threading.Thread(target=work)
    other.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # who has the GIL keeps it, unless it lets go
    try:
        called.set()
        turns = 0
        while not ran.is_set() and turns < 1000:
            compiled(x)
            turns += 1
    finally:
        sys.setswitchinterval(interval)
    other.join()
    assert turns < 1000


def test_threads_share_native_code_of_large_results() -> None:
    f = ab.jit(lambda x: (x * 2, x.sum(0)))
    wrong: list[int] = []

    def work(seed: int) -> None:
        for k in range(20):
            x = np.full((300, 100), float(seed * 100 + k))
            y, total = f(ab.tensor(x))
            if not (np.array_equal(y.numpy(), 2 * x) and np.array_equal(total.numpy(), x.sum(0))):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and f.cache_info().misses == 1


DISTANCES: dict[str, tuple[int, Callable[[Any, Any, Any], Any]]] = {
    "from the smallest": (0, lambda x, y, w: ab.sqrt(x * y + w - ab.min(x * y + w, axis=0))),
    "from the largest of a row": (1, lambda x, y, w: ab.sqrt(1 - (x * y + w) / ab.max(x * y + w, axis=1, keepdims=True))),
    "of a function of a product": (0, lambda x, y, w: ab.sqrt(ab.tanh(x * y) - ab.min(ab.tanh(x * y), axis=0))),
}


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_value_that_two_kernels_compute_is_the_same_to_the_last_bit(name: str, dtype: Any) -> None:
    """A product and a sum that became one instruction in one kernel and not in another would be less than the smallest of themselves."""
    axis, f = DISTANCES[name]
    x, y, w = (array(70, 33, dtype=dtype, seed=seed) for seed in range(3))
    found, product = ab.jit(lambda x, y, w: (f(x, y, w), ab.abs(x * y)))(x, y, w)  # the product is there too, so the kernels differ
    assert np.array_equal(found.numpy().min(axis), np.zeros(found.shape[1 - axis]))
    close((found, product), (f(x, y, w), ab.abs(x * y)), 2000 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_place_of_the_largest_is_found_in_another_kernel_than_the_largest(dtype: Any) -> None:
    x, y, w = (array(70, 33, dtype=dtype, seed=seed) for seed in range(3))
    f = ab.grad(lambda x, y, w: (ab.max(x - x * y, axis=0) * w[0]).sum() + ab.abs(x * y).sum())
    close(ab.jit(f)(x, y, w), f(x, y, w), 2000 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
def test_a_sum_of_products_of_several_dtypes_keeps_its_dtype(dtype: str) -> None:
    x, c = ab.tensor(np.array([[3], [-4], [0]], dtype)), ab.tensor(3.5)

    def f(x: Any, c: Any) -> Any:
        return (x * c).sum(0), ab.mean(x * c - c, axis=0), ab.var(x / c, axis=0), (x * c * x).sum()

    close(ab.jit(f)(x, c), f(x, c), 1e-6)


@pytest.mark.parametrize("shapes", [((1, 1, 1), (2,)), ((1, 1, 1), (3, 2)), ((4, 1, 1), (3, 2)), ((1, 1, 2), (3, 1))], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_factors_with_more_axes_than_the_terms(shapes: tuple[tuple[int, ...], tuple[int, ...]], keepdims: bool) -> None:
    c, x = array(*shapes[0]), array(*shapes[1], seed=1)

    def f(c: Any, x: Any) -> Any:
        every = (0, 1, 2)
        two = ab.sum(-(x * c) + c * x * 2, axis=(1, 2), keepdims=keepdims)
        return ab.sum(c * x, axis=every, keepdims=keepdims), ab.mean(c * x - x / c, axis=every, keepdims=keepdims), two

    close(ab.jit(f)(c, x), f(c, x), 1e-13)

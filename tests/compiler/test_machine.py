"""machine: native code comes from the disk where it can, and only if LLVM would give the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler import machine


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled code is kept."""
    monkeypatch.setenv("AUTOGRAD_BN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "code"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What LLVM compiled."""
    found: list[str] = []
    original: Callable[[str], Any] = machine.optimised

    def counted(source: str) -> Any:
        found.append(source)
        return original(source)

    monkeypatch.setattr(machine, "optimised", counted)
    return found


X = np.linspace(-2, 2, 12).reshape(3, 4)


def run(shift: float = 0.0) -> ab.Compiled:
    """Compile a function, and see that it is right."""
    compiled = ab.jit(ab.grad(lambda x: (ab.tanh(x + shift) @ ab.ones((4, 2))).sum()), emitter="llvm")
    got = compiled(ab.tensor(X)).numpy()
    np.testing.assert_allclose(got, 2 / np.cosh(X + shift) ** 2, rtol=1e-13)
    return compiled


@pytest.fixture(autouse=True, scope="module")
def readers() -> None:
    """What reads arrays is compiled once in a process: before compilations are counted, whichever test is the first."""
    run()


def test_what_was_compiled_once_comes_from_the_disk(compilations: list[str], folder: Path) -> None:
    run()
    run()
    assert len(compilations) == 1
    run(shift=1.0)
    assert len(compilations) == 2
    assert len(list(folder.iterdir())) == 2


def test_another_process_finds_it() -> None:
    code = """
import sys, numpy as np, autograd_bn as ab
from autograd_bn.compiler import machine
if sys.argv[1] == "second":
    machine.optimised = None
rng = np.random.default_rng(0)
x, w = ab.tensor(rng.standard_normal((60, 20))), ab.tensor(rng.standard_normal((20, 5)))
net = lambda w: (ab.softmax(ab.batch_norm(x @ w, ab.ones(5), ab.zeros(5)), axis=1) ** 2).sum()
print(ab.jit(ab.value_and_grad(net), emitter="llvm")(w))
"""
    first, second = (subprocess.run([sys.executable, "-c", code, turn], check=True, capture_output=True, text=True).stdout for turn in ("first", "second"))
    assert first == second


def test_damaged_code_is_compiled_anew(compilations: list[str], folder: Path) -> None:
    run()
    (path,) = folder.iterdir()
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:-40] + b"\1" + content[-39:], b""):
        path.write_bytes(damaged)
        run()
        assert path.read_bytes() == content
    assert len(compilations) == 4


def test_for_another_cpu_or_with_other_passes_it_is_compiled_anew(compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    target, cpu, features = machine._cpu()
    monkeypatch.setattr(machine, "_cpu", lambda: (target, cpu, features + ",-avx512vnni"))
    run()
    assert len(compilations) == 2
    monkeypatch.setattr(machine, "PASSES", {**machine.PASSES, "slp_vectorization": True})
    run()
    assert len(compilations) == 3
    monkeypatch.setattr(machine.llvmlite, "__version__", "999.0")
    run()
    assert len(compilations) == 4


SUMMED = """
define void @add(ptr noalias %x, ptr noalias %y) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %a = getelementptr float, ptr %x, i64 %i
  %b = getelementptr float, ptr %y, i64 %i
  %u = load float, ptr %a
  %v = load float, ptr %b
  %w = fadd float %u, %v
  store float %w, ptr %b
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, 1024
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""


WIDE = "+avx512f,+avx512vl,+avx512vbmi2"


@pytest.mark.parametrize(
    ("cpu", "features", "width"),
    [
        ("sapphirerapids", WIDE, "zmm"),
        ("icelake-server", WIDE, "zmm"),
        ("znver5", WIDE, "zmm"),
        ("skylake-avx512", "+avx512f,+avx512vl", "ymm"),
        ("haswell", "+avx2", "ymm"),
    ],
)
def test_vectors_are_as_wide_as_the_cpu_has_them_but_where_that_slowed_the_first_of_its_kind(cpu: str, features: str, width: str) -> None:
    target = machine._cpu()[0]
    if target.name != "x86-64":
        pytest.skip("x86 only")
    made = target.create_target_machine(cpu=cpu, features=machine.wide(features), opt=3)
    code = made.emit_assembly(machine.optimised(SUMMED, made))
    assert width in code
    assert width == "zmm" or "zmm" not in code


def test_without_a_folder_everything_is_compiled_and_explain_says_why(compilations: list[str], folder: Path) -> None:
    assert "kept" not in run().explain()
    folder.parent.rename(folder.parent.with_name("away"))
    folder.parent.write_text("a file in its place")
    assert "compiled code is not kept on the disk: " in run().explain()
    run()
    assert len(compilations) == 3


def test_a_compiled_function_in_a_cycle_is_collected_without_a_trace_in_freed_memory() -> None:
    code = """
import gc, numpy as np, autograd_bn as ab
gc.disable()
for k in range(20):
    f = ab.jit(lambda x: x * 2.0 + k)
    f(np.ones(5)), f(np.ones(5))
    del f
    gc.collect()
"""
    filled = {"PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "255"}  # glibc fills what is freed with ones
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **filled})

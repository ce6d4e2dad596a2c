"""Random programs of reductions over any axes; `tests.compiler.reduction_programs` runs more of them."""

from __future__ import annotations

import pytest

from autograd_bn.compiler.passes import recomputation
from tests.compiler.reduction_programs import program_of, wrong


@pytest.mark.parametrize("number", range(60))
def test_numpy_calls_give_the_same_bits(number: int) -> None:
    program = program_of(0, number)
    assert wrong(program, ["numpy"]) is None, program


@pytest.mark.parametrize("number", range(100, 110))
def test_native_code_gives_the_same_but_for_rounding(number: int) -> None:
    pytest.importorskip("llvmlite")
    program = program_of(0, number)
    assert wrong(program, ["llvm"]) is None, program


@pytest.mark.parametrize("number", [67, 68, *range(5)])
def test_native_code_that_computes_all_it_can_again(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(recomputation, "LARGE", 1)
    monkeypatch.setattr(recomputation, "FAR", 0)
    program = program_of(7, number)
    assert wrong(program, ["llvm"]) is None, program

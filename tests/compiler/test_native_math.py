"""native_math: as exact as it says for every kind of number, on a CPU with fused multiply-adds and without, and SIMD code."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from llvmlite import ir

import autograd_bn as ab
from autograd_bn.compiler.native_math import FUNCTIONS, define
from autograd_bn.core.errors import OperationError
from tests import minimax
from tests.native_loops import TYPES, native
from tests.ulps import EXACT, LIMITS, MACHINES, PATTERNS, WIDE, errors, worst, worst_of_samples

SPECIAL: dict[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (math.inf, math.inf), (-math.inf, 0.0), (1e30, math.inf), (-1e30, 0.0), (math.nan, math.nan)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (math.inf, math.inf), (-math.inf, -1.0), (1e30, math.inf), (-1e30, -1.0), (math.nan, math.nan)],
    "log": [(1.0, 0.0), (0.0, -math.inf), (-0.0, -math.inf), (math.inf, math.inf), (-math.inf, math.nan), (-1e-30, math.nan), (math.nan, math.nan)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -math.inf), (math.inf, math.inf), (-math.inf, math.nan), (-1.5, math.nan), (math.nan, math.nan)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (math.inf, 1.0), (-math.inf, -1.0), (1e30, 1.0), (-1e30, -1.0), (math.nan, math.nan)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (math.inf, 1.0), (-math.inf, 0.0), (1e30, 1.0), (-1e30, 0.0), (math.nan, math.nan)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (math.inf, 1.0), (-math.inf, -1.0), (1e30, 1.0), (-1e30, -1.0), (math.nan, math.nan)],
}

each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_dtype = pytest.mark.parametrize("dtype", TYPES)
each_machine = pytest.mark.parametrize("features", MACHINES.values(), ids=MACHINES)


def test_every_function_is_checked() -> None:
    assert set(FUNCTIONS) == set(WIDE) == set(EXACT) == set(SPECIAL) == set(LIMITS)


@each_machine
@each_function
def test_float32_is_within_its_limit_over_all_patterns(name: str, features: str | None) -> None:
    start = sum(map(ord, name))  # another part of the patterns for each
    found = worst(name, np.arange(start, PATTERNS, 509, dtype=np.uint32), features)
    assert found.error <= LIMITS[name], f"{found.error} ulp at {found.at}"


@each_machine
@each_function
def test_float64_is_within_its_limit(name: str, features: str | None) -> None:
    found = worst_of_samples(name, 300, features)
    assert found.error <= LIMITS[name], f"{found.error} ulp at {found.at!r}"


@each_machine
@each_dtype
@each_function
def test_special_values_are_right(name: str, dtype: str, features: str | None) -> None:
    given, expected = np.array(SPECIAL[name], dtype).T.copy()
    got = native(name, dtype, features)(given)
    assert np.array_equal(got, expected, equal_nan=True), got
    numbers = ~np.isnan(expected)
    assert np.array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers])), got


@each_dtype
@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh"])
def test_subnormal_numbers_pass_unchanged(name: str, dtype: str) -> None:
    least = np.finfo(dtype).smallest_subnormal
    x = np.array([1, 2, 3, 1000, 123457], dtype) * least
    x = np.concatenate([x, -x])
    assert np.array_equal(native(name, dtype)(x), x)


@each_dtype
def test_results_get_subnormal_and_then_zero(dtype: str) -> None:
    info = np.finfo(dtype)
    least = math.log(info.smallest_subnormal)
    x = np.array([least + 0.01, least - 0.68, least - 0.7], dtype)
    for name in ("exp", "sigmoid"):
        assert np.array_equal(native(name, dtype)(x), np.array([1, 1, 0], dtype) * info.smallest_subnormal)


@each_dtype
def test_the_largest_result_comes_before_infinity(dtype: str) -> None:
    top = np.array(math.log(np.finfo(dtype).max), dtype)
    x = np.array([np.nextafter(top, np.zeros_like(top)), top * np.array(1.0001, dtype)])
    for name in ("exp", "expm1"):
        finite, infinite = native(name, dtype)(x)
        assert np.isfinite(finite)
        assert infinite == math.inf


@each_dtype
@each_function
def test_a_function_is_one_block_of_arithmetic(name: str, dtype: str) -> None:
    function = define(ir.Module(), name, TYPES[dtype])
    (block,) = function.blocks
    names = {instruction.opname for instruction in block.instructions}
    assert names <= {"fneg", "fadd", "fsub", "fmul", "fdiv", "fcmp", "select", "bitcast", "add", "sub", "and", "or", "shl", "lshr", "call", "ret"}
    called = {instruction.callee.name for instruction in block.instructions if instruction.opname == "call"}
    assert all(re.fullmatch(r"llvm\.(fabs|copysign)\.f(32|64)", callee) for callee in called)
    flags = {flag for instruction in block.instructions for flag in instruction.flags}
    assert flags <= {"contract"}


@each_machine
@each_dtype
@each_function
def test_a_loop_becomes_simd_code_without_calls(name: str, dtype: str, features: str | None) -> None:
    loop = native(name, dtype, features)
    llvm = {"float32": "float", "float64": "double"}[dtype]
    products = [int(lanes) for lanes in re.findall(rf"fmul contract <(\d+) x {llvm}>", loop.text)]
    assert products
    assert max(products) * np.dtype(dtype).itemsize >= 16
    assert "call" not in loop.assembly
    assert f"autograd_bn.{name}" not in loop.text


def test_a_function_is_added_once_a_module_and_type() -> None:
    module = ir.Module()
    first = define(module, "tanh", ir.FloatType())
    assert define(module, "tanh", ir.FloatType()) is first
    assert define(module, "tanh", ir.DoubleType()) is not first
    assert define(ir.Module(), "tanh", ir.FloatType()) is not first


@pytest.mark.parametrize(("name", "type_"), [("sin", ir.FloatType()), ("exp", ir.HalfType()), ("exp", ir.IntType(32))])
def test_what_is_not_there_is_said(name: str, type_: Any) -> None:
    with pytest.raises(OperationError, match=rf"no native {name} of {type_}; there are exp, .* of float and double"):
        define(ir.Module(), name, type_)


def test_the_coefficients_are_those_that_are_printed() -> None:
    assert minimax.MODULE.read_text(encoding="utf-8") == minimax.text()


def test_errors_are_counted_in_units_of_the_last_place() -> None:
    got = np.array([1 + 2**-23, 3e-45, math.inf, 0.0, math.nan, math.nan, 1.0], np.float32)
    true = np.array([1.0, 1.5 * 2.0**-149, 2.0**128 - 2.0**103, -1e-60, math.nan, 1.0, math.nan])
    assert errors(got, true).tolist() == [1.0, 0.5, 0.5, math.inf, 0.0, math.inf, math.inf]
    assert errors(np.array([1.0, math.inf]), np.array([1.0, 1e308]), np.array([0.25, 0])).tolist() == [0.25, math.inf]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_power_of_a_half_is_a_square_root(dtype: str) -> None:
    x = ab.tensor(np.array([-np.inf, -0.0, 4.0, np.nan, np.inf], dtype))
    out = ab.jit(lambda x: x**0.5, emitter="llvm")(x).numpy()
    np.testing.assert_array_equal(out, np.array([np.nan, -0.0, 2.0, np.nan, np.inf], dtype))
    assert np.signbit(out[1])

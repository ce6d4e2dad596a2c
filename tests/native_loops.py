"""The functions of native_math in a loop over an array, compiled for this CPU."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
from llvmlite import binding, ir

from autograd_bn.compiler import machine
from autograd_bn.compiler.native_math import define

TYPES = {"float32": ir.FloatType(), "float64": ir.DoubleType()}


def loop(name: str, dtype: str) -> ir.Module:
    """A module with ``run(input, output, count)``."""
    kind, index = TYPES[dtype], ir.IntType(64)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [kind.as_pointer(), kind.as_pointer(), index]), "run")
    source, target, count = function.args
    for argument in (source, target):
        argument.add_attribute("noalias")
    start, body, end = (function.append_basic_block(block) for block in ("start", "body", "end"))
    builder = ir.IRBuilder(start)
    builder.cbranch(builder.icmp_unsigned(">", count, index(0)), body, end)
    builder.position_at_end(body)
    i = builder.phi(index)
    value = builder.load(builder.gep(source, [i]))
    builder.store(builder.call(define(module, name, kind), [value]), builder.gep(target, [i]))
    following = builder.add(i, index(1))
    i.add_incoming(index(0), start)
    i.add_incoming(following, body)
    builder.cbranch(builder.icmp_unsigned("<", following, count), body, end)
    ir.IRBuilder(end).ret_void()
    return module


class Loop:
    """A compiled loop; ``text`` is the optimised LLVM code, ``assembly`` that of the CPU."""

    def __init__(self, name: str, dtype: str, features: str | None = None) -> None:
        target = machine.new_target(features)
        module = machine.optimised(machine.text(loop(name, dtype)), target)
        self.dtype = dtype
        self.text = str(module)
        self.assembly = target.emit_assembly(module)
        self.engine = binding.create_mcjit_compiler(module, target)
        self.engine.finalize_object()
        self.run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(self.engine.get_function_address("run"))

    def __call__(self, x: np.ndarray[Any, Any], out: np.ndarray[Any, Any] | None = None) -> np.ndarray[Any, Any]:
        """The function of each element of a contiguous array."""
        assert x.dtype == self.dtype
        assert x.flags.c_contiguous
        out = np.empty_like(x) if out is None else out
        self.run(x.ctypes.data, out.ctypes.data, x.size)
        return out


@functools.cache
def native(name: str, dtype: str, features: str | None = None) -> Loop:
    """A loop, compiled once."""
    return Loop(name, dtype, features)

"""Matrix products of native code: calls of BLAS by the pointers that SciPy gives out."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
from llvmlite import binding, ir

from autograd_bn.compiler.kinds import Kinds, contiguous
from autograd_bn.compiler.llvm_loops import counted
from autograd_bn.compiler.llvm_scalar import INDEX, POINTER, TYPES

_NAMES = {np.dtype("float32"): "sgemm", np.dtype("float64"): "dgemm"}


@functools.cache
def _resolved(name: str) -> str:
    """The symbol under which LLVM finds a routine."""
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__[name]
    read = ctypes.pythonapi.PyCapsule_GetName
    read.restype, read.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    symbol = f"autograd_bn_{name}"
    binding.add_symbol(symbol, pointer(capsule, read(capsule)))
    return symbol


def _routine(module: ir.Module, dtype: np.dtype[Any]) -> ir.Function:
    symbol = _resolved(_NAMES[dtype])
    known = module.globals.get(symbol)
    return known if known is not None else ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * 13), symbol)


def _cell(module: ir.Module, kind: ir.Type, number: Any) -> ir.Value:
    """A constant in memory, as Fortran's routines want their arguments."""
    name = f"constant.{kind}.{number}"
    known = module.globals.get(name)
    if known is None:
        known = ir.GlobalVariable(module, kind, name)
        known.linkage = "internal"
        known.global_constant = True
        known.initializer = ir.Constant(kind, number)
    return known


class ProductWriter:
    """Writes ``out = x @ y`` as a function of pointers to the first elements of the three."""

    def __init__(self, module: ir.Module, kinds: Kinds, i: int, name: str) -> None:
        graph = kinds.graph
        node = graph.nodes[i]
        self.module = module
        self.dtype = node.dtype
        assert self.dtype is not None
        x, y = (graph.nodes[j] for j in node.inputs)
        one, two = (kinds.layout[j] for j in node.inputs)
        xs, ys = x.shape or (), y.shape or ()
        first, second = kinds.matrix(x.index), kinds.matrix(y.index)
        assert first is not None
        assert second is not None
        self.rows, self.columns, self.inner = xs[-2] if len(xs) > 1 else 1, ys[-1] if len(ys) > 1 else 1, xs[-1]
        self.first = first if len(xs) > 1 else (False, self.inner)
        self.second = second
        batch = (node.shape or ())[: len(node.shape or ()) - (len(xs) > 1) - (len(ys) > 1)]
        steps = contiguous((*batch, self.rows, self.columns))[: len(batch)]
        self.batch = list(zip(batch, _steps(batch, xs, one.strides), _steps(batch, ys, two.strides), steps, strict=True))
        self.function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * 3), name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.loops(builder, 0, [INDEX(0), INDEX(0), INDEX(0)])
        builder.ret_void()

    @staticmethod
    def signature(kinds: Kinds, i: int) -> tuple[object, ...]:
        """All that the function depends on."""
        nodes = kinds.graph.nodes
        return (nodes[i].shape, nodes[i].dtype, *((nodes[j].shape, kinds.layout[j].strides) for j in nodes[i].inputs))

    def loops(self, builder: ir.IRBuilder, k: int, offsets: list[ir.Value]) -> None:
        """The loops over further axes."""
        if k == len(self.batch):
            self.call(builder, offsets)
            return
        size, *steps = self.batch[k]

        def inner(inside: ir.IRBuilder, counter: ir.Value) -> None:
            self.loops(inside, k + 1, [inside.add(offset, inside.mul(counter, INDEX(step))) for offset, step in zip(offsets, steps, strict=True)])

        counted(builder, size, inner)

    def call(self, builder: ir.IRBuilder, offsets: list[ir.Value]) -> None:
        """One product. BLAS reads columns first, so it computes outᵀ = yᵀ·xᵀ."""
        assert self.dtype is not None
        kind = TYPES[self.dtype]
        x, y, out = (builder.gep(pointer, [offset], inbounds=True, source_etype=kind) for pointer, offset in zip(self.function.args, offsets, strict=True))
        letter = {flag: _cell(self.module, ir.IntType(8), ord("T" if flag else "N")) for flag in (False, True)}
        one, nought = (_cell(self.module, kind, number) for number in (1.0, 0.0))
        (turned_x, lead_x), (turned_y, lead_y) = self.first, self.second
        sizes = (self.columns, self.rows, self.inner, lead_x, lead_y)
        columns, rows, inner, lead_x, lead_y = (_cell(self.module, ir.IntType(32), number) for number in sizes)
        arguments = [letter[turned_y], letter[turned_x], columns, rows, inner, one, y, lead_y, x, lead_x, nought, out, columns]
        builder.call(_routine(self.module, self.dtype), arguments)


def _steps(batch: tuple[int, ...], shape: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    """How far apart an operand's matrices lie along the axes of the result that are not the matrix's."""
    count = max(len(shape) - 2, 0)
    steps = [0 if n == 1 else step for n, step in zip(shape[:count], strides[:count], strict=True)]
    return [0] * (len(batch) - count) + steps

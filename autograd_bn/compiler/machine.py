"""The machine that native code is for: LLVM's compiler of this CPU, and code in memory."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import llvmlite
from llvmlite import binding, ir

from autograd_bn.compiler import disk_cache
from autograd_bn.compiler.llvm_loops import with_loop_notes
from autograd_bn.core.forks import ForkedLock

_compiling = ForkedLock()

PASSES = {"speed_level": 2, "loop_vectorization": True, "loop_interleaving": True, "slp_vectorization": False}
"""The options of LLVM's passes."""


def wide(features: str) -> str:
    """What a CPU can do, with vectors of 512 bits where it has them.

    LLVM takes 256 bits on Intel's CPUs, the first of which ran slower with wider ones. Those did not have VBMI2 yet.
    """
    return f"{features},-prefer-256-bit" if "+avx512vbmi2" in features.split(",") else features


@functools.cache
def _cpu() -> tuple[binding.Target, str, str]:
    """The CPU, and all that it can do."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple(), binding.get_host_cpu_name(), wide(binding.get_host_cpu_features().flatten())


def new_target(features: str | None = None) -> binding.TargetMachine:
    """A compiler for this CPU, or any that has these features only; an engine takes the one that it is given."""
    target, cpu, own = _cpu()
    return target.create_target_machine(cpu=cpu if features is None else "", features=own if features is None else features, opt=3, jit=True)


_target = functools.cache(new_target)


def fuses() -> bool:
    """Whether this CPU has fused multiply-adds."""
    target, _, features = _cpu()
    return target.name == "aarch64" or "+fma" in features.split(",")


def masks() -> bool:
    """Whether this CPU reads and writes parts of vectors of any elements."""
    return "+avx512bw" in _cpu()[2].split(",")


def text(module: ir.Module) -> str:
    """A module for this machine."""
    machine = _target()
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    return with_loop_notes(str(module))


def optimised(source: str, target: binding.TargetMachine | None = None) -> binding.ModuleRef:
    """A module after LLVM's passes; loops become SIMD code."""
    parsed = binding.parse_assembly(source)
    options = binding.create_pipeline_tuning_options()
    for name, value in PASSES.items():
        setattr(options, name, value)
    builder = binding.create_pass_builder(target or _target(), options)
    builder.getModulePassManager().run(parsed, builder)
    return parsed


def compiled(module: ir.Module) -> bytes:
    """The machine code of a module, as an object file; from the disk if it was compiled before."""
    with _compiling:
        return compiled_text(text(module))


def compiled_text(source: str) -> bytes:
    """The machine code of a module's text.

    The key is all that LLVM is given, and which LLVM: nothing else can make a difference.
    """
    with _compiling:
        _, cpu, features = _cpu()
        key = "\n".join([llvmlite.__version__, repr(binding.llvm_version_info), cpu, features, repr(PASSES), source]).encode()
        code = disk_cache.load(key)
        if code is None:
            code = bytes(_target().emit_object(optimised(source)))
            disk_cache.store(key, code)
        return code


class _Method(ctypes.Structure):
    """Python's record of a function in C."""

    _fields_ = (("name", ctypes.c_char_p), ("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


_FASTCALL = 0x0080


class Code:
    """Machine code in memory. ``call`` gives a function of it that takes Python objects as they are, and runs where it lets go of the GIL itself."""

    def __init__(self, data: bytes) -> None:
        with _compiling:
            _cpu()
            self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), new_target())
            self._engine.add_object_file(binding.ObjectFileRef.from_data(data))
            self._engine.finalize_object()

    def call(self, name: str, *bound: Any) -> Callable[..., Any]:
        """The function of a name: ``PyObject *f(PyObject *, PyObject *const *, Py_ssize_t)``, which ctypes would take several times as long to call.

        Its first argument is a tuple that begins with the objects that it is bound to.
        """
        label = name.encode()
        # As bytes: a structure of ctypes is emptied when the garbage collector finds it in a cycle, before the function that refers to it has gone.
        record = bytes(_Method(label, self._engine.get_function_address(name), _FASTCALL, None))
        made = ctypes.pythonapi.PyCFunction_NewEx
        made.restype, made.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        # The function refers to the record and the name, and holds the tuple.
        function: Callable[..., Any] = made(ctypes.cast(ctypes.c_char_p(record), ctypes.c_void_p), (*bound, self._engine, record, label), None)
        return function


@functools.cache
def python_symbol(name: str) -> str:
    """The symbol under which LLVM finds a function of Python's C interface."""
    symbol = f"autograd_bn_{name}"
    binding.add_symbol(symbol, ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value)
    return symbol

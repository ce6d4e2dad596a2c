"""A recorded function, compiled: trace → passes → plan → kernels."""

from autograd_bn.compiler.jit import CacheInfo, Compiled, jit

__all__ = ["CacheInfo", "Compiled", "jit"]

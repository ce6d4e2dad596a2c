"""A recorded function, compiled: trace → passes → plan → kernels."""

from autograd_bn.compiler.jit import CacheInfo, Compiled, jit
from autograd_bn.compiler.threads import get_num_threads, set_num_threads
from autograd_bn.core.namespaces import curated

curated(__name__)
__all__ = ["CacheInfo", "Compiled", "get_num_threads", "jit", "set_num_threads"]

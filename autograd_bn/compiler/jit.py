"""``jit``: a function that is traced when it is first called with arguments of a kind, and runs compiled from then on."""

from __future__ import annotations

import functools
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, Generic, Literal, NamedTuple, Never, ParamSpec, TypeVar, overload

import numpy as np

from autograd_bn.compiler.objects import layout_is_known
from autograd_bn.compiler.passes.common import by_value
from autograd_bn.compiler.program import Bound, hooks_of, settled
from autograd_bn.compiler.shortcut import MISS
from autograd_bn.compiler.surroundings import Itself, is_owner
from autograd_bn.compiler.trace import trace
from autograd_bn.core.effects import is_journalled
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import OperationError
from autograd_bn.core.forks import ForkedLock
from autograd_bn.core.graph import Graph
from autograd_bn.core.node import Constant, Node
from autograd_bn.core.state import current
from autograd_bn.core.tensor import Tensor
from autograd_bn.core.tracing import tracing
from autograd_bn.core.tree import Structure, flatten

MANY = 8
"""From how many versions on a warning says that the function is compiled again and again."""

_tracing = ForkedLock()
"""A trace lifts the tensors that it touches, so that there is one at a time."""


class CacheInfo(NamedTuple):
    """How often a compiled version was there (``hits``) or had to be made (``misses``), and how many are kept (``currsize``).

    ``eager`` counts how often the function ran as it is: inside a transform, ``checkpoint`` or trace, or while ``record()``, ``profile()``
    or ``anomaly_mode()`` look on.
    """

    hits: int
    misses: int
    currsize: int
    eager: int


EMITTERS = ("llvm", "numpy")
P = ParamSpec("P")
R = TypeVar("R")


@overload
def jit(function: Callable[P, R], *, emitter: Literal["llvm", "numpy"] | None = ...) -> Compiled[P, R]: ...


@overload
def jit(*, emitter: Literal["llvm", "numpy"] | None = ...) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...


@keywords
def jit(function: Callable[..., Any] | None = None, *, emitter: Literal["llvm", "numpy"] | None = None, **elsewhere: Never) -> Any:
    """Compile a function of tensors: trace it once for each kind of arguments, then run the simplified graph.

    Parameters
    ----------
    function
        Takes tensors and arrays, nested containers of them, and Python values. Numbers, flags and words are part of what is
        compiled, and another value compiles again; a learning rate that changes is better a tensor. So are the variables outside and the attributes
        that its code names. It may call ``backward()`` and optimisers, and close over tensors and Modules: their values are read at each call, and
        changed ones are written back at its end.
    emitter
        ``"llvm"`` makes native code and needs the extra, ``pip install "autograd_bn[jit]"``; ``"numpy"`` makes straight NumPy calls, which give what the
        function gives to the last bit. Unless given, native code where the extra is installed.

    Returns a `Compiled` of the same arguments; without a function, as in ``@ab.jit(emitter="numpy")``, a decorator.
    Its results are tensors that require no gradient.

    Raises TraceError where the function looks at a value (``if``, ``float()``, ``.item()``), naming the line and the way out; GradientError
    where a result requires a gradient; OperationError for an emitter that is not known or not installed.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> f = ab.jit(ab.grad(lambda x: (x**3).sum()))
    >>> f(ab.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    >>> f(ab.tensor([3.0, 4.0]))
    tensor([27., 48.])
    >>> f.cache_info()
    CacheInfo(hits=1, misses=1, currsize=1, eager=0)
    """
    if elsewhere:
        raise unexpected(jit, elsewhere)
    if function is None:
        return functools.partial(jit, emitter=emitter)
    return Compiled(function, _emitter(emitter))


def _native() -> bool:
    """Whether the extra is installed, and this Python one that native code can read the arrays of."""
    if not layout_is_known() or any(importlib.util.find_spec(name) is None for name in ("llvmlite", "scipy")):
        return False
    from llvmlite import __version__  # another package may hold it back

    return [int(part) for part in __version__.split(".")[:2]] >= [0, 45]  # before, LLVM's pointers had types


def _emitter(wanted: str | None) -> str:
    """The emitter to use."""
    if wanted not in (None, *EMITTERS):
        raise OperationError(f"jit: there is no emitter {wanted!r}; there are {' and '.join(map(repr, EMITTERS))}")
    installed = wanted != "numpy" and _native()
    if wanted == "llvm" and not installed:
        raise OperationError('jit: native code needs llvmlite ≥ 0.45 and SciPy; pip install "autograd_bn[jit]", or use emitter="numpy"')
    return wanted or ("llvm" if installed else "numpy")


class Compiled(Generic[P, R]):
    """A compiled function. ``graph`` is what was traced, ``lowered`` what is left after all passes, ``source`` the kernel; all of the last version used."""

    def __init__(self, function: Callable[P, R], emitter: str) -> None:
        if not callable(function):
            raise OperationError(f"jit compiles a function, got {type(function).__name__}")
        functools.update_wrapper(self, function)
        self.__name__: str = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._emitter = emitter
        self._versions: dict[Any, list[Bound]] = {}
        self._last: Bound | None = None
        self._counts = [0, 0, 0]
        self._short = _NO_SHORT

    def __get__(self, owner: Any, kind: type) -> Any:
        return self if owner is None else MethodType(self, owner)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the version for these arguments; the first time, make it."""
        state = current()
        known, call = self._short
        if state is known and not kwargs:
            found = call(args)
            if found is not MISS:
                self._counts[0] += 1
                return found  # type: ignore[no-any-return]
        leaves, structure = flatten((args, kwargs), _module())
        dynamic = [i for i, x in enumerate(leaves) if isinstance(x, (Tensor, np.ndarray, np.generic))]
        if state.watch is not None or tracing() is not None or is_journalled() or any(_live(leaves[i]) for i in dynamic):
            self._counts[2] += 1
            return self._function(*args, **kwargs)
        key = (state.floor == 0, state.effects, _frozen(structure), tuple(map(_kind, leaves)))
        arguments = [leaves[i] for i in dynamic]
        for version in self._versions.get(key, ()):
            if version.fits(arguments):
                self._counts[0] += 1
                break
        else:
            version = self._compiled(key, leaves, dynamic, structure)
        if version is not self._last:
            self._last = version
            short = version.short(structure, leaves)
            self._short = _NO_SHORT if short is None else (state, short)
        out = version.run(arguments)
        return self(*args, **kwargs) if out is MISS else out  # another thread has added to a gradient

    def _compiled(self, key: Any, leaves: list[Any], dynamic: Sequence[int], structure: Structure) -> Bound:
        with _tracing:
            arguments = [leaves[i] for i in dynamic]
            for version in self._versions.get(key, ()):  # another thread was first
                if version.fits(arguments):
                    self._counts[0] += 1
                    return version
            version = Bound(settled(trace(self._function, leaves, dynamic, structure, _module())), self._emitter)
            if version.unchanged():  # else the function itself changes what it depends on
                versions = self._versions.setdefault(key, [])
                versions.append(version)
                del versions[:-MANY]
            self._counts[1] += 1
        if self._counts[1] == MANY:
            warnings.warn(
                f"{self.__name__} was compiled {MANY} times, for other shapes, dtypes, Python values, variables or settings each time; pass what changes as "
                "tensors, and pad batches to one shape (cache_info() counts)",
                stacklevel=3,
            )
        return version

    def _made(self) -> Bound:
        if self._last is None:
            raise OperationError(f"{self.__name__} is compiled when it is first called; call it once")
        return self._last

    @property
    def graph(self) -> Graph:
        """What was traced, backward pass and updates included."""
        return self._made().graph

    @property
    def lowered(self) -> Graph:
        """What is left of the graph after all passes."""
        return self._made().lowered

    @property
    def source(self) -> str:
        """The kernel, as readable code."""
        return self._made().emitted.source()

    @property
    def nbytes(self) -> int:
        """What the buffers that are kept from call to call take, a thread."""
        return self._made().emitted.nbytes

    @property
    def peak_nbytes(self) -> int:
        """How many bytes a call has in use at once at most: what is kept from call to call, the results, and what NumPy allocates between."""
        return self._made().emitted.peak

    def cache_info(self) -> CacheInfo:
        """How often there was a compiled version."""
        hits, misses, eager = self._counts
        return CacheInfo(hits, misses, sum(map(len, self._versions.values())), eager)

    def cache_clear(self) -> None:
        """Forget all versions."""
        self._versions.clear()
        self._last = None
        self._short = _NO_SHORT
        self._counts = [0, 0, 0]

    def explain(self) -> str:
        """What was traced, what the passes left, and what runs: kernels, matrix products, NumPy calls and why, bytes, floating-point operations, memory."""
        version = self._made()
        before, after = (sum(node.kind == "operation" for node in graph.nodes) for graph in (version.graph, version.lowered))
        peak = f"at most {version.emitted.peak:,} bytes at once, results included"
        return f"{self.__name__}: {before} operations traced, {after} after all passes\n{version.emitted.summary()}\n{peak}"

    def __reduce__(self) -> Any:
        """A copy has versions of its own; what a module defines under its name is that itself, as a function is."""
        found: Any = sys.modules.get(self.__module__)
        name: str = getattr(self, "__qualname__", "")
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is self else (Compiled, (self._function, self._emitter))

    def __repr__(self) -> str:
        return f"<compiled {self.__name__}: {self.cache_info()}>"


_Short = tuple[Any, Callable[[tuple[Any, ...]], Any]]
_NO_SHORT: _Short = (None, lambda args: MISS)
"""The short way to the last version used, after the surroundings in which it may be gone: in one tuple, as threads may change it."""


def _module() -> type | tuple[()]:
    """The class of modules, each of which is one thing, part of what is compiled."""
    module = sys.modules.get("autograd_bn.nn.module")
    return () if module is None else module.Module


def _live(x: Any) -> bool:
    """Whether an operation on the argument would be recorded somewhere outside."""
    if not isinstance(x, Tensor):
        return False
    node = x.node
    return not (type(node) is Constant or (type(node) is Node and node.level == 0 and node.primitive is None))


def _kind(x: Any) -> Any:
    """What a trace depends on of one argument."""
    if isinstance(x, Tensor):
        graded = None if type(x.node) is not Node else (x.grad is not None, hooks_of(x))
        return (x.value.shape, x.value.dtype, graded)
    if isinstance(x, (np.ndarray, np.generic)):
        return (x.shape, x.dtype, "array")
    if type(x) is slice:
        return (slice, x.start, x.stop, x.step)
    if is_owner(x):
        return Itself(x)  # its attributes are looked at as those of a module are
    try:
        hash(x)
    except TypeError:
        raise OperationError(
            f"a compiled function got a {type(x).__name__}: it may change without being seen to. Pass tensors and arrays, numbers, words, lists, tuples and "
            f"dicts of them, or objects with attributes; a container of your own can be taken apart after ab.register_container"
        ) from None
    return (type(x), by_value(x))


def _frozen(structure: Structure) -> Any:
    rest = structure.rest
    try:
        hash(rest)
    except TypeError:
        rest = tuple(rest) if isinstance(rest, list) else id(rest)
    return (structure.kind, rest, tuple(map(type, rest)) if type(rest) is tuple else None, tuple(map(_frozen, structure.children)))

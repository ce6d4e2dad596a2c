"""checkpoint: what a function saved is given up after it has run, and computed again when the sweep asks for it.

The recorded graph stays as it is, with its scope, its lines and every edge to what the function closed over: only the
saved values are replaced by a promise. So every transform, and the second order, goes on as without.
"""

from __future__ import annotations

import copy
import functools
import random
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.effects import Journal, journalled, replayed
from autograd_bn.core.errors import GradientError, MutationError
from autograd_bn.core.levels import open_levels, reopened
from autograd_bn.core.lines import Line
from autograd_bn.core.node import Dual, Node
from autograd_bn.core.state import Scope, State, current, enter, leave, open_scope
from autograd_bn.core.tensor import array_of, each_level, snapshot
from autograd_bn.core.tree import Structure, flatten
from autograd_bn.transforms.argnums import check_function

Signature = tuple[str, tuple[int, ...], np.dtype[Any]]


def checkpoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose backward pass computes it again instead of keeping what it computed.

    Nothing that it computes inside stays in memory, for about one more forward pass. Derivatives are the same, of every
    order and in every mode, also by tensors that it closes over. Running statistics, random states and other assigned
    state change once; the second pass starts from what they were in the first.

    Parameters
    ----------
    function
        A function or a ``Module``. It must do the same when it runs again on the same arguments. Arguments are kept as they are, parameters of a
        Module among them; of random generators among the arguments a copy is kept, so that the same numbers are drawn.

    Returns a function of the same arguments.

    The backward pass raises MutationError where running the function again gave another value, because it drew random
    numbers from elsewhere or something that it reads was changed, and GradientError where it did other operations.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> block = ab.checkpoint(lambda x: ab.tanh(ab.exp(ab.sin(x))))
    >>> ab.grad(block)(0.0)
    tensor(0.41997434)
    """
    check_function(function, "checkpoint")
    name = getattr(function, "__name__", type(function).__name__)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((function, args, kwargs))
        held = [_held(x) for x in leaves]
        state = current()
        opened = open_scope(f"checkpoint {name}")
        scope = current().scope
        assert scope is not None
        try:
            with journalled() as journal:
                out = function(*args, **kwargs)
        finally:
            leave(opened)
        results, _ = flatten(out)
        nodes = list(_recorded(results, scope))
        if any(_saves(node) for node in nodes):
            segment = _Segment(name, structure, held, journal, state, scope, nodes, _checksum(results))
            for i, node in enumerate(nodes):
                if _saves(node):
                    node.saved = _Promise(segment, i)  # type: ignore[assignment]
        return out

    if hasattr(function, "__name__"):
        return functools.wraps(function)(wrapped)
    wrapped.__name__ = wrapped.__qualname__ = name
    return wrapped


class _Promise:
    """In the place of a node's saved values: it reads like them, and is kept when it is read."""

    __slots__ = ("index", "saved", "segment")

    def __init__(self, segment: _Segment, index: int) -> None:
        self.segment: _Segment | None = segment
        self.index = index
        self.saved: Any = None

    def _kept(self) -> Any:
        segment = self.segment
        if segment is not None:
            with segment.lock:
                if self.segment is not None:
                    self.saved = segment.take(self.index)
                    self.segment = None
        return self.saved

    def __iter__(self) -> Iterator[Any]:
        return iter(self._kept())

    def __getitem__(self, i: Any) -> Any:
        return self._kept()[i]

    def __len__(self) -> int:
        return len(self._kept())

    @property
    def residuals(self) -> Any:
        """Those of a rule of the user's, if the node has one."""
        return getattr(self._kept(), "residuals", None)


class _Segment:
    """One call of a checkpointed function: how to run it again, and what it saved when it was. It refers to no node of its own."""

    __slots__ = ("checksum", "found", "held", "journal", "levels", "lock", "name", "scope", "signatures", "state", "structure")

    def __init__(
        self, name: str, structure: Structure, held: list[Any], journal: Journal, state: State, scope: Scope, nodes: list[Node], checksum: int
    ) -> None:
        self.name = name
        self.structure = structure
        self.held: list[Any] | None = held
        self.journal = journal
        self.state = state
        self.scope = scope
        self.signatures = [_signature(node) for node in nodes]
        self.checksum = checksum
        self.levels = frozenset(open_levels)
        self.found: dict[int, Any] = {}
        self.lock = threading.RLock()

    def take(self, index: int) -> Any:
        """What one node saved."""
        if self.held is not None:
            self.found = dict(enumerate(self._run(self.held)))
            self.held = None
        return self.found.pop(index)

    def _run(self, held: list[Any]) -> list[Any]:
        """Run the function again as it ran, on the state as it was, and leave the state as it is; what each of its nodes saved."""
        function, args, kwargs = self.structure.unflatten(held)
        inside = enter(State(self.state.floor, self.scope, current().watch, self.state.effects, self.state.cut))
        try:
            with replayed(self.journal), reopened(self.levels):
                results, _ = flatten(function(*args, **kwargs))
        finally:
            leave(inside)
        nodes = list(_recorded(results, self.scope))
        if [_signature(node) for node in nodes] != self.signatures:
            raise GradientError(
                f"checkpoint: {self.name} did other operations when it ran again for the backward pass than before; "
                f"it must depend on its arguments alone\n  at {self._line()}"
            )
        if _checksum(results) != self.checksum:
            raise MutationError(
                f"checkpoint: {self.name} gave another value when it ran again for the backward pass, so its gradient would be wrong: it draws random "
                "numbers from elsewhere, or something that it reads was changed in between; pass generators and such values as arguments"
                f"\n  at {self._line()}"
            )
        return [node.saved for node in nodes]

    def _line(self) -> Line:
        return Line(self.scope.code, self.scope.offset)


def _held(x: Any) -> Any:
    """A leaf of the arguments as it is now, whatever becomes of it."""
    return copy.deepcopy(x) if hasattr(x, "bit_generator") or isinstance(x, random.Random) else snapshot(x)


def _saves(node: Node) -> bool:
    saved: Any = node.saved
    return isinstance(saved, _Promise) or (saved is not None and any(x is not None for x in saved))


def _signature(node: Node) -> Signature:
    return (node.title, node.shape, node.dtype)


def _recorded(results: Iterable[Any], scope: Scope) -> Iterator[Node]:
    """The nodes inside a scope that some results depend on, on every tape, in an order that is the same for the same program."""
    inside: dict[Scope | None, bool] = {None: False, scope: True}
    seen: set[Node] = set()
    stack = [node for x in results for node in _tapes(x)]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if _within(node.scope, inside):
            yield node
            stack.extend(parent for parent in node.parents if type(parent) is Node)


def _within(scope: Scope | None, inside: dict[Scope | None, bool]) -> bool:
    path = []
    while scope not in inside:
        assert scope is not None
        path.append(scope)
        scope = scope.parent
    found = inside[scope]
    inside.update(dict.fromkeys(path, found))
    return found


def _tapes(x: Any) -> Iterator[Node]:
    """The nodes of a value, one a tape, those of its tangents too."""
    for level in each_level(x):
        if type(level.node) is Node:
            yield level.node
        elif type(level.node) is Dual:
            yield from _tapes(level.node.tangent)


def _checksum(results: Iterable[Any]) -> int:
    total = 0
    for x in results:
        array = array_of(x)
        if isinstance(array, (np.ndarray, np.generic)):
            for part in _told_by_bytes(np.ascontiguousarray(array)):
                total = zlib.crc32(part.data, total)
    return total


def _told_by_bytes(x: Array) -> tuple[Array, ...]:
    """Arrays whose bytes are equal where those numbers are; of long doubles some bytes say nothing."""
    narrow: Any = {"g": np.float64, "G": np.complex128}.get(x.dtype.char)
    if narrow is None:
        return (x,)
    with np.errstate(all="ignore"):
        high = x.astype(narrow)
        return high, (x - high).astype(narrow)

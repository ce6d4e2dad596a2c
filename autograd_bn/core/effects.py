"""The one way in which a tensor's value changes: running statistics, optimisers and loaded state all use it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.errors import DtypeError, MutationError, OperationError, ShapeError
from autograd_bn.core.lines import Line, caller_line
from autograd_bn.core.node import Batch
from autograd_bn.core.state import current
from autograd_bn.core.tensor import Tensor, array_of, each_level, is_foreign, plain
from autograd_bn.core.tracing import Symbol, lifted, tracing
from autograd_bn.core.views import origin, replay

if TYPE_CHECKING:
    import numpy.typing as npt


def assign(target: Tensor, value: Tensor | npt.ArrayLike) -> None:
    """Give a tensor a new value: no gradient flows through it, and graphs that were recorded before keep the old one.

    The target keeps its identity, name, dtype and gradient; its array is replaced, never written into. Inside
    ``no_effects()`` nothing happens.

    Parameters
    ----------
    target
        A leaf or a constant, such as a parameter or a running statistic.
    value
        Of the target's shape and of a dtype that converts to the target's without a change of kind. It is detached.

    Raises ShapeError or DtypeError where the value does not fit, MutationError for a target that is the result of
    a recorded operation, OperationError inside vmap, where one value would be assigned an example.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> w = ab.tensor([1.0, 2.0], requires_grad=True, name="w")
    >>> ab.assign(w, w - 0.5)
    >>> w
    tensor([0.5, 1.5], name='w', requires_grad=True)
    """
    if not current().effects:
        return
    trace = tracing()
    if trace is not None:
        target = trace.lift(target)
    journal = _JOURNAL.get()
    if journal is not None:
        journal.before.setdefault(id(target), (target, target.value, target.node))
    if trace is not None:
        trace.assign(target, value)
        return
    new = concrete(value)
    if value.node.foreign if isinstance(value, Tensor) else is_foreign(value):
        new = new.copy()
    if not target.is_leaf or isinstance(target.value, Tensor) or target.node.level > 0 or target.node.__class__ is Batch:
        where = f"; it was made by {target.node.title} at {target.node.line}" if hasattr(target.node, "title") else ""
        raise MutationError(f"assign to a tensor that is no leaf would contradict its history{where}\n  at {caller_line(2)}")
    if origin(target)[0] is not target:
        raise MutationError(f"assign to a view of shape {target.shape}: write view[...] = value, which its base sees too\n  at {caller_line(2)}")
    old = target.value
    if new.shape != old.shape:
        raise ShapeError(f"assign: the target has shape {old.shape}, the value {new.shape}; they must be equal\n  at {caller_line(2)}")
    if new.dtype != old.dtype:
        if not np.can_cast(new.dtype, old.dtype, "same_kind"):
            raise DtypeError(f"assign: a value of dtype {new.dtype} does not fit a target of dtype {old.dtype}; convert it first\n  at {caller_line(2)}")
        new = new.astype(old.dtype)
    target.value = new
    replay(target)


class Journal:
    """What was assigned while something ran, with the values from before: enough to run it again on the same state."""

    __slots__ = ("before",)

    def __init__(self) -> None:
        self.before: dict[int, tuple[Tensor, Any, Any]] = {}


_JOURNAL: ContextVar[Journal | None] = ContextVar("autograd_bn_journal", default=None)


def is_journalled() -> bool:
    """Whether somebody keeps what is assigned."""
    return _JOURNAL.get() is not None


@contextmanager
def journalled() -> Iterator[Journal]:
    """Keep the value that each assigned tensor had before."""
    outer, journal = _JOURNAL.get(), Journal()
    token = _JOURNAL.set(journal)
    try:
        yield journal
    finally:
        _JOURNAL.reset(token)
        if outer is not None:
            for key, entry in journal.before.items():
                outer.before.setdefault(key, entry)


@contextmanager
def replayed(journal: Journal) -> Iterator[None]:
    """Run something again: what it assigned has its value from before inside, and afterwards the one that it has now."""
    now = [(target, target.value, target.node) for target, _, _ in journal.before.values()]
    token = _JOURNAL.set(None)
    try:
        _put_back(journal.before.values())
        yield
    finally:
        _put_back(now)
        _JOURNAL.reset(token)


def _put_back(entries: Iterable[tuple[Tensor, Any, Any]]) -> None:
    for target, value, node in entries:
        target.value, target.node = value, node
        replay(target)


def require_finite(values: Sequence[Any], report: Callable[..., object]) -> None:
    """See to it that no element is NaN or infinite before anything is assigned; else ``report(*arrays)``, which raises.

    In a compiled function the values are looked at after each run, before its effects are committed.
    """
    trace = tracing()
    if trace is not None:
        trace.require_finite(values, report)
        return
    arrays = [np.asarray(plain(x)) for x in values]
    # A sum of squares is finite unless an element is not, or it overflows: only then look at each.
    if not all(math.isfinite(np.vdot(a, a).real) for a in arrays):
        report(*arrays)


def concrete(x: Any, what: Callable[[], str] = lambda: "assign()", line: Callable[[], Line] = lambda: caller_line(4)) -> Any:
    """The array under a value, whatever transforms lie above it (while a function is traced, a tensor that stands for it).

    Raises OperationError, of ``what()`` at ``line()``, where vmap maps over it.
    """
    for level in each_level(lifted(x) if isinstance(x, Tensor) else x):
        if level.node.__class__ is Symbol:
            return level
        if level.node.__class__ is Batch:
            raise OperationError(
                f"{what()} inside vmap: there is one value an example, and nothing says how to make them one; "
                f"reduce over the examples outside vmap, or suppress what ab.assign does with ab.no_effects()\n  at {line()}"
            )
    return np.asarray(array_of(x))

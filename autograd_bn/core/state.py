"""What surrounds an operation: is it recorded, in which scope, with which extras. Held in a context variable, never global.

`gate` is all that the fast path looks at: a tape whose level is below it is not recorded, nor a tangent carried on. It is the same
as `floor`, except when somebody watches every operation (see `watch`); then it lies above every level.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Never

from autograd_bn.core.decorating import Function, decorated
from autograd_bn.core.elsewhere import keywords
from autograd_bn.core.errors import OperationError
from autograd_bn.core.lines import Line, caller_line, outside_engine

if TYPE_CHECKING:
    from autograd_bn.core.watch import Watch

NESTED = 1 << 62
"""Stands for the level of a value that is not a plain array on one tape: the general path handles it."""

SLOW = NESTED + 1
"""A gate above everything: every operation takes the general path."""

_levels = itertools.count(1)


def fresh_level() -> int:
    """A level above every one that exists; level 0 is the tape of ``backward()``."""
    return next(_levels)


class Scope:
    """A named part of the program: one call of a composite or of a module. A drawing shows it as a cluster."""

    __slots__ = ("code", "name", "offset", "parent")

    def __init__(self, name: str, parent: Scope | None, code: CodeType, offset: int) -> None:
        self.name = name
        self.parent = parent
        self.code = code
        self.offset = offset

    def path(self) -> tuple[Scope, ...]:
        """The scopes from the outermost to this one."""
        found: list[Scope] = []
        scope: Scope | None = self
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return tuple(reversed(found))

    def __repr__(self) -> str:
        return "/".join(scope.name for scope in self.path())


class State:
    """A snapshot of the surroundings of an operation. ``outer`` are those that come back when it ends, and ``block`` opened it, if one did."""

    __slots__ = ("block", "cut", "effects", "floor", "gate", "outer", "scope", "watch")

    def __init__(
        self,
        floor: int = 0,
        scope: Scope | None = None,
        watch: Watch | None = None,
        effects: bool = True,
        cut: Callable[[], object] | None = None,
        block: Block | None = None,
    ) -> None:
        self.floor = floor
        self.gate = SLOW if watch is not None else floor
        self.scope = scope
        self.watch = watch
        self.effects = effects
        self.cut = cut
        self.block = block
        self.outer: State = current()

    def watched(self, watch: Watch | None) -> State:
        """The same surroundings, seen by somebody else."""
        return State(self.floor, self.scope, watch, self.effects, self.cut)


_new = object.__new__
_ROOT = _new(State)
_STATE: ContextVar[State] = ContextVar("autograd_bn", default=_ROOT)
current = _STATE.get
resume = _STATE.set
State.__init__(_ROOT)  # it is its own outer one


def enter(state: State) -> State:
    """Make a state, which was made here, the current one."""
    resume(state)
    return state


def leave(state: State) -> None:
    """Go back to what was current before."""
    resume(state.outer)


class Block:
    """A with-block, re-entrant, usable as a decorator and by several threads: it has no state of its own."""

    __slots__ = ()

    def _state(self) -> State:
        """What holds inside. Called two frames below the program."""
        raise NotImplementedError

    def __enter__(self) -> None:
        resume(self._state())

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        state = current()
        if state.block is self:
            resume(state.outer)
        else:
            self._end_below(state, error)

    def __call__(self, function: Function) -> Function:
        """The function, which runs inside; of a generator each step."""
        return decorated(self, function)

    def _end_below(self, above: State, error: BaseException | None) -> None:
        """End, though this is not the innermost block, and say so, unless there is an error to say already."""
        while above.outer.block is not self and above.outer is not _ROOT:
            above = above.outer
        found = above.outer.block is self
        above.outer = above.outer.outer
        if isinstance(error, Exception):
            return
        why = (
            "before a block that was opened inside it: blocks end in the reverse order. A generator that is suspended in a block keeps it open; "
            "yield outside of it, or decorate the generator with it"
            if found
            else "where it is not open: it was opened in another thread or task, or what it was opened in has ended"
        )
        raise OperationError(f"{self!r} ends {why}\n  at {user_line()}")


@keywords
def no_grad(*function: Never) -> Block:
    """Record nothing inside: results do not require a gradient.

    Works as a context manager and as a decorator. A transform (``grad``, ``jvp``) that is called inside still
    differentiates what it is given; to one that was called outside, results are constants, in forward mode as in reverse, so
    that a derivative is the same in both. Each thread has its own setting.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor(2.0, requires_grad=True)
    >>> with ab.no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    if function:
        raise TypeError("no_grad() takes no arguments; instead: @ab.no_grad(), with parentheses, as a decorator")
    return _Mode(False)


def enable_grad() -> Block:
    """Record again inside a ``no_grad`` block.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor(2.0, requires_grad=True)
    >>> with ab.no_grad(), ab.enable_grad():
    ...     y = x * x
    >>> y.requires_grad
    True
    """
    return _Mode(True)


def open_scope(name: str, depth: int = 2, block: Block | None = None) -> State:
    """Open a scope that was called ``depth`` frames up, or by the nearest program outside the engine; ``leave`` the state to close it."""
    outer = current()
    frame = outside_engine(sys._getframe(depth))
    scope = _new(Scope)
    scope.name = name
    scope.parent = outer.scope
    scope.code = frame.f_code
    scope.offset = frame.f_lasti
    state = _new(State)
    state.floor = outer.floor
    state.gate = outer.gate
    state.scope = scope
    state.watch = outer.watch
    state.effects = outer.effects
    state.cut = outer.cut
    state.block = block
    state.outer = outer
    resume(state)
    return state


def user_line() -> Line:
    """The nearest line that is not this package's own."""
    frame: FrameType | None = sys._getframe(1)
    nearest = caller_line(2)
    while frame is not None:
        line = Line(frame.f_code, frame.f_lasti)
        if not line.inside:
            return line
        frame = frame.f_back
    return nearest


def located(line: Line, scope: Scope | None) -> Line:
    """A line of the user's program as it is; for one inside the package, where the innermost scope that the user opened was called."""
    while line.inside and scope is not None:
        line = Line(scope.code, scope.offset)
        scope = scope.parent
    return line


class _Mode(Block):
    __slots__ = ("_on",)

    def __init__(self, on: bool) -> None:
        self._on = on

    def _state(self) -> State:
        state = current()
        line = caller_line(3)
        floor = 0 if self._on else fresh_level()
        cut = None if self._on else lambda: line
        return State(floor, state.scope, state.watch, state.effects, cut, self)

    def __repr__(self) -> str:
        return "enable_grad()" if self._on else "no_grad()"


class _NoEffects(Block):
    __slots__ = ()

    def _state(self) -> State:
        state = current()
        return State(state.floor, state.scope, state.watch, False, state.cut, self)

    def __repr__(self) -> str:
        return "no_effects()"


class _Named(Block):
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        open_scope(self._name, 2, self)

    def __repr__(self) -> str:
        return f"scope({self._name!r})"


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require a gradient are recorded here.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.is_grad_enabled()
    True
    """
    return current().floor == 0


def no_effects() -> Block:
    """Leave running statistics and other assigned state as they are.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> count = ab.tensor(0.0)
    >>> with ab.no_effects():
    ...     ab.assign(count, 1.0)
    >>> count
    tensor(0.)
    """
    return _NoEffects()


def scope(name: str) -> Block:
    """Group the operations inside under a name; a drawing shows the group as a cluster.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor(2.0, requires_grad=True)
    >>> with ab.scope("square"):
    ...     y = x * x
    >>> ab.graph(y).nodes[-1].scope
    square
    """
    return _Named(name)

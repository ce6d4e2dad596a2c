"""Seeing every operation: `record`, `anomaly_mode` and `profile` are observers of the one mechanism here.

While the surroundings have a Watch, the gate of `state` lies above every level, so that each operation takes the
general path and each rule is run by `Watch.pull`. The fast path knows nothing of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from autograd_bn.core.lines import Line, outside_engine
from autograd_bn.core.primitive import Primitive, Traced
from autograd_bn.core.state import Scope, current, enter, leave, located

if TYPE_CHECKING:
    from autograd_bn.core.node import Node

Start = tuple[float, float]
"""When something began, and how many seconds had been told of by then."""
UNSEEN: Start = (0.0, 0.0)
_told: ContextVar[float] = ContextVar("autograd_bn_told", default=0.0)


def begin() -> Start:
    """The start of something that will be told of."""
    return perf_counter(), _told.get()


def _elapsed(start: Start) -> float:
    """The seconds since then, without those of other operations and rules that ran inside and were told of themselves."""
    began, told = start
    now = _told.get()
    seconds = max(perf_counter() - began - (now - told), 0.0)
    _told.set(now + seconds)
    return seconds


Phase = Literal["forward", "tangent", "backward"]


class Event(NamedTuple):
    """Plain arrays went through a primitive (forward) or through one of its rules (tangent, backward).

    Backward, ``operands`` are the cotangent and what was saved, and ``results`` the cotangents of the operands.
    ``origins`` are the nodes of the operands, forward. ``rule`` is the node that was being differentiated,
    also where its rule was itself recorded and so ran as operations of their own. The place is the forward operation's.
    ``seconds`` leave out what was told of meanwhile, such as the operations of a user's own rule.
    """

    phase: Phase
    primitive: Primitive
    operands: Sequence[Any]
    results: Sequence[Any]
    origins: Sequence[Any]
    seconds: float
    code: CodeType
    offset: int
    scope: Scope | None
    rule: Node | None

    @property
    def line(self) -> Line:
        """The user's line."""
        return located(Line(self.code, self.offset), self.scope)


class Observer:
    """Sees what happens, and may raise. Each method does nothing unless a subclass says so."""

    def ran(self, event: Event) -> None:
        """An operation or a rule ran on plain arrays: once for each, however many levels lie above."""

    def recorded(self, node: Node, operands: Sequence[Any], out: Any, rule: Node | None) -> None:
        """An operation was recorded on the tape of one level, within the rule of a node if that was."""

    def seeded(self, roots: Sequence[tuple[Node, Any]]) -> None:
        """A sweep starts."""

    def reached(self, node: Node, g: Any) -> None:
        """A sweep has a node's whole cotangent, and its rule is about to use what was saved."""

    def pulled(self, node: Node, g: Any, gradients: Sequence[Any]) -> None:
        """A rule gave the cotangents of the operands, as they left it; None for g where none flows."""

    def found(self, leaves: Mapping[Node, Any]) -> None:
        """A sweep has the cotangents of the leaves."""

    def ended(self, roots: Sequence[tuple[Node, Any]]) -> None:
        """A sweep has ended, or failed, maybe before this observer knew that it starts."""


class Watch:
    """The observers, and the node whose rule runs now."""

    __slots__ = ("observers", "rule")

    def __init__(self, observers: tuple[Observer, ...], rule: Node | None = None) -> None:
        self.observers = observers
        self.rule = rule

    def saw(self, phase: Phase, primitive: Primitive, operands: Sequence[Any], out: Any, origins: Sequence[Any], start: Start, scope: Scope | None) -> None:
        """Tell of a result, unless it is a tensor: what made it has been told of then."""
        if isinstance(out, Traced):
            return
        rule = self.rule
        if rule is None:
            frame = outside_engine(sys._getframe(2))
            code, offset = frame.f_code, frame.f_lasti
        else:
            phase, code, offset, scope = "backward", rule.code, rule.offset, rule.scope
        event = Event(phase, primitive, operands, (out,), origins, _elapsed(start), code, offset, scope, rule)
        for observer in self.observers:
            observer.ran(event)

    def recorded(self, node: Node, operands: Sequence[Any], out: Any) -> None:
        """Tell of a recorded operation."""
        for observer in self.observers:
            observer.recorded(node, operands, out, self.rule)

    def seeded(self, roots: Sequence[tuple[Node, Any]]) -> None:
        """Tell of a sweep that starts."""
        for observer in self.observers:
            observer.seeded(roots)

    def pull(self, node: Node, g: Any, saved: Sequence[Any]) -> Sequence[Any]:
        """The rule of a node, or nothing for no cotangent."""
        gradients: Sequence[Any] = (None,) * len(node.parents)
        state = current()
        if g is not None:
            for observer in self.observers:
                observer.reached(node, g)
            primitive: Primitive = node.primitive  # type: ignore[assignment]
            assert primitive.vjp is not None
            saved = tuple(saved)  # what a checkpoint computes again is told of as operations of its own
            inside = enter(state.watched(Watch(self.observers, node)))
            start = begin()
            try:
                gradients = primitive.vjp(g, saved, node.parents, node.static)
            finally:
                leave(inside)
            if not any(isinstance(c, Traced) for c in gradients):
                event = Event("backward", primitive, (g, *saved), gradients, (), _elapsed(start), node.code, node.offset, node.scope, node)
                for observer in self.observers:
                    observer.ran(event)
        inside = enter(state.watched(None))  # what an observer does itself is not seen
        try:
            for observer in self.observers:
                observer.pulled(node, g, gradients)
        finally:
            leave(inside)
        return gradients

    def found(self, leaves: Mapping[Node, Any]) -> None:
        """Tell of what a sweep has found."""
        for observer in self.observers:
            observer.found(leaves)

    def ended(self, roots: Sequence[tuple[Node, Any]]) -> None:
        """Tell of the end of a sweep."""
        for observer in self.observers:
            observer.ended(roots)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Let an observer see what happens inside, beside those that do already."""
    state = current()
    others = state.watch.observers if state.watch is not None else ()
    inside = enter(state.watched(Watch((*others, observer), None if state.watch is None else state.watch.rule)))
    try:
        yield
    finally:
        leave(inside)

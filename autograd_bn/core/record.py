"""Keeping every value and cotangent of a run, for drawings."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograd_bn.core.complex_values import conjugated
from autograd_bn.core.dispatch import unwrapped
from autograd_bn.core.node import Constant, Extra, Node, Origin, same_place
from autograd_bn.core.primitive import raw
from autograd_bn.core.sweep import fitted
from autograd_bn.core.tensor import each_level, tensor_of
from autograd_bn.core.watch import Event, Observer, observed

_NUMBERS = itertools.count()


class _Sweep:
    """A sweep that runs now: its order, the node that it is at, how many cotangents each value has got, which values have no variable of
    their own, and what was recorded between two rules.
    """

    def __init__(self, roots: Sequence[tuple[Node, Any]]) -> None:
        self.roots = roots
        self.order = 1 + max((_order(node) for node, _ in roots), default=0)
        self.number = next(_NUMBERS)
        self.at: Node | None = None
        self.seed: Any = None
        self.arrived: dict[Node, int] = {}
        self.inner: set[Node] = set()
        self.between: set[Node] = set()

    def origin(self, node: Node) -> Origin:
        """Where what this sweep makes at a node comes from."""
        return Origin(node, self.order, self.number)

    def made(self, x: Any) -> Iterator[tuple[Node, Extra]]:
        """The nodes of a value that this sweep recorded, one a level: not those of a seed that the caller made."""
        for level in each_level(x):
            extra = level.node.extra if type(level.node) is Node else None
            if extra is not None and extra.origin is not None and extra.origin.order == self.order:
                yield level.node, extra


class _Recorder(threading.local, Observer):
    """Puts the values, those of constant operands too, the cotangents and the time into the nodes' extras; each thread has its own sweeps."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._sweeps: list[_Sweep] = []

    def ran(self, event: Event) -> None:
        """The time of an operation, which is then recorded, or of a rule."""
        self._seconds = event.seconds
        if event.rule is not None:
            event.rule.extras().seconds += event.seconds

    def recorded(self, node: Node, operands: Sequence[Any], out: Any, rule: Node | None) -> None:
        extra = node.extras()
        extra.value = out
        extra.seconds += self._seconds
        for i, (parent, value) in enumerate(zip(node.parents, operands, strict=True)):
            if type(parent) is Node:
                if parent.primitive is None:
                    parent.extras().value = value
            elif type(parent) is Constant:
                extra.constants[i] = np.array(value) if parent.foreign and type(value) is np.ndarray else value
                if rule is not None and self._is_seed(value):
                    extra.seeds[i] = self._sweeps[-1].origin(rule)
        if not self._sweeps:
            extra.order = max((_order(parent) for parent in node.parents), default=0)
            return
        current = self._sweeps[-1]
        extra.order = current.order
        made_by = rule if rule is not None else current.at
        extra.origin = None if made_by is None else current.origin(made_by)
        if rule is None:
            current.between.add(node)

    def reached(self, node: Node, g: Any) -> None:
        self._sweeps[-1].seed = g

    def seeded(self, roots: Sequence[tuple[Node, Any]]) -> None:
        self._sweeps.append(_Sweep(roots))

    def pulled(self, node: Node, g: Any, gradients: Sequence[Any]) -> None:
        """The whole cotangent of the result, and of each edge as it leaves the rule."""
        extra = node.extras()
        if g is not None and g.shape != node.shape:
            g = raw.broadcast_to(g, shape=node.shape)
        if not extra.retain:
            extra.gradient = None if g is None else tensor_of(conjugated(g))
        current = self._sweeps[-1]
        current.at = node
        self._whole(node, g)
        kept = []
        for parent, c in zip(node.parents, gradients, strict=True):
            if c is not None and type(parent) is Node:
                self._part(node, parent, c)
                c = conjugated(raw.broadcast_to(fitted(c, parent, node), shape=parent.shape))
            kept.append(c if type(parent) is Node else None)
        extra.cotangents = kept

    def found(self, leaves: Mapping[Node, Any]) -> None:
        for leaf, g in leaves.items():
            self._whole(leaf, g)

    def ended(self, roots: Sequence[tuple[Node, Any]]) -> None:
        if self._sweeps and self._sweeps[-1].roots is roots:
            self._sweeps.pop()

    def _is_seed(self, value: Any) -> bool:
        """Whether a constant is the cotangent that the rule was given."""
        return bool(self._sweeps) and unwrapped(value) is unwrapped(self._sweeps[-1].seed)

    def _whole(self, node: Node, g: Any) -> None:
        """Call a tensor the gradient of a value."""
        current = self._sweeps[-1]
        for made, extra in current.made(g) if node not in current.inner else ():
            if extra.cotangent is None or extra.part:
                extra.cotangent, extra.part = current.origin(node), 0
            if made in current.between:
                extra.origin = current.origin(node)

    def _part(self, node: Node, parent: Node, c: Any) -> None:
        """Call a tensor one of several gradients of a value, unless it still has to be summed."""
        current = self._sweeps[-1]
        if same_place(parent, node):
            current.inner.add(parent)
            return
        current.arrived[parent] = number = current.arrived.get(parent, 0) + 1
        for _, extra in current.made(c) if c.shape == parent.shape else ():
            if extra.cotangent is None:
                extra.cotangent, extra.part = current.origin(parent), number


def _order(node: Any) -> int:
    """How often what made a node was differentiated."""
    return node.extra.order if type(node) is Node and node.extra is not None else 0


@contextmanager
def record() -> Iterator[None]:
    """Keep every value of the forward pass and the cotangent of every edge of the backward pass.

    Plain runs keep only what the rules need. Inside this block each operation keeps its result and each edge the
    gradient that flows along it, so that a drawing can show them; and the time of each operation and of its rule. What a backward pass records
    itself (``create_graph``, or ``ab.grad`` of what is then differentiated) is called after what it differentiates.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> with ab.record():
    ...     y = (x * 3.0).sum()
    ...     y.backward()
    >>> ab.graph(y).nodes[1].cotangents[0]
    array([3., 3.])
    """
    with observed(_Recorder()):
        yield

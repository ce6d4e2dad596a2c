"""Keeping every value and cotangent of a run, for drawings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograd_bn.core.complex_values import conjugated
from autograd_bn.core.node import Constant, Node
from autograd_bn.core.primitive import raw
from autograd_bn.core.sweep import fitted
from autograd_bn.core.tensor import Tensor
from autograd_bn.core.watch import Observer, observed


class _Recorder(Observer):
    """Puts the values, those of constant operands too, and the cotangents into the nodes' extras."""

    def recorded(self, node: Node, operands: Sequence[Any], out: Any, rule: Node | None) -> None:
        extra = node.extras()
        extra.value = out
        for i, (parent, value) in enumerate(zip(node.parents, operands, strict=True)):
            if type(parent) is Node:
                if parent.primitive is None:
                    parent.extras().value = value
            elif type(parent) is Constant:
                extra.constants[i] = np.array(value) if parent.foreign and type(value) is np.ndarray else value

    def pulled(self, node: Node, g: Any, gradients: Sequence[Any]) -> None:
        """The whole cotangent of the result, and of each edge as it leaves the rule."""
        extra = node.extras()
        if g is not None and g.shape != node.shape:
            g = raw.broadcast_to(g, shape=node.shape)
        if not extra.retain:
            shown = None if g is None else conjugated(g)
            extra.gradient = shown if shown is None or isinstance(shown, Tensor) else Tensor(shown)
        kept = []
        for parent, c in zip(node.parents, gradients, strict=True):
            if c is not None and type(parent) is Node:
                c = conjugated(raw.broadcast_to(fitted(c, parent, node), shape=parent.shape))
            kept.append(c if type(parent) is Node else None)
        extra.cotangents = kept


@contextmanager
def record() -> Iterator[None]:
    """Keep every value of the forward pass and the cotangent of every edge of the backward pass.

    Plain runs keep only what the rules need. Inside this block each operation keeps its result and each edge the
    gradient that flows along it, so that a drawing can show them.

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

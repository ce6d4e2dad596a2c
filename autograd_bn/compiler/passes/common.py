"""Common subexpressions: the same operation on the same values is done once."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.core.graph import Graph


def without_repetition(graph: Graph) -> Graph:
    """The graph with operations that are done more than once done once."""
    new = Rewrite(graph)
    seen: dict[Any, int] = {}
    for node in graph.nodes:
        if node.kind == "leaf":
            new.keep(node)
            continue
        if node.primitive is None:
            assert node.value is not None
            key: Any = (node.shape, node.dtype, node.value.tobytes()) if node.value.size <= 64 else (id(node.value),)
        else:
            numbers = tuple((type(x), by_value(x)) for x in node.constants)
            key = (node.primitive, tuple(new.place[i] for i in node.inputs), numbers, _hashable(node.static))
        if key in seen:
            new.same(node, seen[key])
        else:
            seen[key] = new.keep(node)
    return new.graph()


def by_value(x: Any) -> Any:
    """What is equal for numbers that are the same to the last bit: 0.0 and -0.0 differ, NaN is one."""
    return repr(x) if isinstance(x, (float, complex)) else x


def _hashable(x: Any) -> Any:
    """A value that is equal for static parameters that are alike."""
    if isinstance(x, dict):
        return tuple((key, _hashable(value)) for key, value in sorted(x.items()))
    if isinstance(x, (tuple, list)):
        return (type(x), tuple(_hashable(value) for value in x))
    if isinstance(x, slice):
        return (slice, x.start, x.stop, x.step)
    if isinstance(x, np.ndarray):
        return (x.shape, x.dtype, x.tobytes()) if x.size <= 1024 else id(x)
    try:
        hash(x)
    except TypeError:
        return id(x)
    return (type(x), by_value(x))

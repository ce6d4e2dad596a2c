"""Permuted axes: what does not care for their order is done before they are permuted, so that a permutation meets its inverse or is of few axes.

A convolution has the examples last in memory and first in its shape. Eager execution keeps such a layout by NumPy's own rule; here the operations
between two convolutions come to work on values as they lie in memory, so that every buffer is one contiguous block. Of two axes
nothing is changed: there sums have a way of their own, whose last bits differ.
"""

from __future__ import annotations

import math
from typing import Any

from autograd_bn.compiler.passes.rewrite import Rewrite, changed
from autograd_bn.core.axes import reduced_shape
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry

Axes = tuple[int, ...]
LEAST = 3
"""How many axes a value must have."""


def with_late_permutes(graph: Graph) -> Graph:
    """The graph with permutations of axes behind elementwise operations and reductions."""
    new = Rewrite(graph)
    for node in graph.nodes:
        if node.primitive is None or not (_composed(node, new) or _merged(node, new) or _elementwise(node, new) or _reduced(node, new)):
            new.keep(node)
    return _reshaped(new.graph())


def _reshaped(graph: Graph) -> Graph:
    """The graph with permutations that move axes of length 1 only as reshapes, and reshapes of reshapes as one."""
    new = Rewrite(graph)
    for node in graph.nodes:
        if node.primitive is not registry["reshape"] and not _moves_nothing(node, graph):
            new.keep(node)
            continue
        place = new.place[node.inputs[0]]
        if new.nodes[place].primitive is registry["reshape"]:
            (place,) = new.nodes[place].inputs
        if new.nodes[place].shape == node.shape:
            new.same(node, place)
        else:
            new.put(node, registry["reshape"], (place,), (None,), {"shape": node.shape})
    return new.graph()


def _moves_nothing(node: GraphNode, graph: Graph) -> bool:
    """Whether a permutation leaves the order of all axes that are not of length 1."""
    if node.primitive is not registry["permute_dims"]:
        return False
    shape = graph.nodes[node.inputs[0]].shape or ()
    moved = [a for a in node.static["axes"] if shape[a] != 1]
    return moved == sorted(moved)


def _source(new: Rewrite, place: int) -> tuple[int, Axes] | None:
    """What a permuted value was before, and how its axes were permuted. Of repeated axes NumPy cannot tell how they were: those stay as they are."""
    node = new.nodes[place]
    axes = node.static.get("axes", ())
    return (node.inputs[0], axes) if node.primitive is registry["permute_dims"] and len(axes) >= LEAST and not _repeats(new, place) else None


def _repeats(new: Rewrite, place: int) -> bool:
    """Whether a value is a view of one that is shorter along some axes."""
    node = new.nodes[place]
    while node.primitive is not None and node.primitive.aliases:
        if node.primitive is registry["broadcast_to"]:
            return True
        node = new.nodes[node.inputs[0]]
    return False


def _put(new: Rewrite, like: GraphNode, name: str, place: int, shape: Axes, static: dict[str, Any]) -> int:
    """Add a step between shapes for an old node."""
    return new.put(changed(like, shape=shape, dtype=new.nodes[place].dtype), registry[name], (place,), (None,), static)


def _permute(new: Rewrite, like: GraphNode, place: int, axes: Axes) -> int:
    """Permute a value, or what it was permuted from. The result takes the old node's place."""
    found = _source(new, place)
    if found is not None:
        place, axes = found[0], tuple(found[1][a] for a in axes)
    if axes == tuple(range(len(axes))):
        new.same(like, place)
        return place
    shape = new.nodes[place].shape or ()
    return _put(new, like, "permute_dims", place, tuple(shape[a] for a in axes), {"axes": axes})


def _composed(node: GraphNode, new: Rewrite) -> bool:
    """A permutation: of a permuted value it is one."""
    axes = tuple(node.static.get("axes", ()))
    if node.primitive is not registry["permute_dims"] or len(axes) < LEAST:
        return False
    _permute(new, node, new.place[node.inputs[0]], axes)
    return True


def _merged(node: GraphNode, new: Rewrite) -> bool:
    """A reshape that makes one axis of some that lie together before the permutation too: it goes before, and the permutation is of fewer axes.

    So what a convolution multiplies is a matrix or its transpose, not a copy.
    """
    found = _source(new, new.place[node.inputs[0]]) if node.primitive is registry["reshape"] else None
    shape = node.shape or ()
    if found is None or 0 in shape or 1 in shape:
        return False
    place, axes = found
    before = new.nodes[place].shape or ()
    long = [a for a, n in enumerate(before) if n != 1]
    left = [long.index(a) for a in axes if before[a] != 1]
    groups: list[list[int]] = []
    for n in shape:
        group: list[int] = []
        while left and math.prod(before[long[k]] for k in group) < n:
            group.append(left.pop(0))
        if math.prod(before[long[k]] for k in group) != n or group != list(range(group[0], group[0] + len(group))):
            return False
        groups.append(group)
    order = sorted(range(len(groups)), key=groups.__getitem__)
    whole = tuple(shape[k] for k in order)
    _permute(new, node, _put(new, node, "reshape", place, whole, {"shape": whole}), tuple(order.index(k) for k in range(len(order))))
    return True


def _elementwise(node: GraphNode, new: Rewrite) -> bool:
    """An operation whose operands of the result's shape were all permuted alike. Smaller ones, which it repeats, are permuted back.

    One that says itself how axes lie which the others have in another order stays: NumPy then takes the order of the shape, which would be another.
    """
    primitive, shape = node.primitive, node.shape or ()
    assert primitive is not None
    if not (primitive.pointwise or primitive is registry["astype"]):
        return False
    places = [new.place[i] for i in node.inputs]
    sources = [_source(new, place) if new.nodes[place].shape == shape else None for place in places]
    orders = {None if found is None else found[1] for place, found in zip(places, sources, strict=True) if new.nodes[place].shape == shape}
    axes = orders.pop() if len(orders) == 1 else None
    if axes is None:
        return False
    back = tuple(axes.index(i) for i in range(len(axes)))
    if not all(found is not None or _agrees(new, place, back) for place, found in zip(places, sources, strict=True)):
        return False
    inputs = []
    for place, found in zip(places, sources, strict=True):
        small = new.nodes[place].shape or ()
        if found is not None:
            inputs.append(found[0])
        elif small:
            aligned = (1,) * (len(back) - len(small)) + small
            inputs.append(_permute(new, node, place if aligned == small else _put(new, node, "reshape", place, aligned, {"shape": aligned}), back))
        else:
            inputs.append(place)
    inner = changed(node, shape=tuple(shape[i] for i in back))
    _permute(new, node, new.put(inner, primitive, tuple(inputs), node.constants, node.static), axes)
    return True


def _agrees(new: Rewrite, place: int, back: Axes) -> bool:
    """Whether the axes of an operand that it repeats lie in memory in the order that a permutation gives them."""
    shape = new.nodes[place].shape or ()
    ahead = len(back) - len(shape)
    order = [a - ahead for a in back if a >= ahead]
    found = _source(new, place)
    if found is not None:
        shape, order = new.nodes[found[0]].shape or (), [found[1][a] for a in order]
    long = [a for a in order if shape[a] != 1]
    return long == sorted(long)


def _reduced(node: GraphNode, new: Rewrite) -> bool:
    """A reduction along axes, which are others before the permutation."""
    primitive, static = node.primitive, node.static
    assert primitive is not None
    found = _source(new, new.place[node.inputs[0]]) if set(static) == {"axis", "keepdims"} and len(node.inputs) == 1 else None
    if found is None:
        return False
    (place, axes), keepdims = found, static["keepdims"]
    along = tuple(sorted(axes[a] for a in static["axis"]))
    inner = changed(node, shape=reduced_shape(new.nodes[place].shape or (), along, keepdims))
    reduced = new.put(inner, primitive, (place,), node.constants, {"axis": along, "keepdims": keepdims})
    left = [a for a in range(len(axes)) if keepdims or a not in along]
    _permute(new, node, reduced, tuple(left.index(a) for i, a in enumerate(axes) if keepdims or i not in static["axis"]))
    return True

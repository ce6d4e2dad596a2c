"""Levels: how many loops must be over before a value can be computed."""

from __future__ import annotations

from collections.abc import Mapping

from autograd_bn.compiler.kinds import Kind, Kinds
from autograd_bn.core.graph import Graph

LONGEST = 200
"""How many operations one after the other a loop has at most: LLVM takes time for the square of their number."""


def levels(graph: Graph, kinds: Kinds, pins: Mapping[int, int]) -> list[int]:
    """The level of each node, at least that which ``pins`` asks for."""
    kind = kinds.kind
    level: list[int] = []
    depth: list[int] = []
    for node in graph.nodes:
        loop = kinds.in_loop(node.index)
        found = pins.get(node.index, 0)
        for i in node.inputs:
            if kind[i] is Kind.SOURCE:
                continue
            # In one loop an elementwise value is there at once; anything else must be in memory.
            there = kind[i] in (Kind.VIEW, Kind.JOINED) or (loop and kind[i] is Kind.POINT)
            found = max(found, level[i] + (not there))
        steps = loop + max((depth[i] for i in node.inputs if level[i] == found), default=0)
        level.append(found + (steps > LONGEST))
        depth.append(steps if steps <= LONGEST else 1)
    return level

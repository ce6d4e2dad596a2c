"""Levels: how many loops must be over before a value can be computed."""

from __future__ import annotations

from collections.abc import Mapping

from autograd_bn.compiler.kinds import Kind, Kinds
from autograd_bn.core.graph import Graph


def levels(graph: Graph, kinds: Kinds, pins: Mapping[int, int]) -> list[int]:
    """The level of each node, at least that which ``pins`` asks for."""
    kind = kinds.kind
    level: list[int] = []
    for node in graph.nodes:
        loop = kinds.in_loop(node.index)
        found = pins.get(node.index, 0)
        for i in node.inputs:
            if kind[i] is Kind.SOURCE:
                continue
            # In one loop an elementwise value is there at once; anything else must be in memory.
            there = kind[i] in (Kind.VIEW, Kind.JOINED) or (loop and kind[i] is Kind.POINT)
            found = max(found, level[i] + (not there))
        level.append(found)
    return level

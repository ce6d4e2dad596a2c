"""Where what a backward pass recorded belongs: in scopes named after those that were differentiated, on the lines that made it."""

from __future__ import annotations

from autograd_bn.core.lines import Line
from autograd_bn.core.node import Node, Origin
from autograd_bn.core.state import Scope


class BackwardScopes:
    """The scopes of nodes. Those of each backward pass mirror the forward ones, in a scope of its own."""

    def __init__(self) -> None:
        self._mirrored: dict[tuple[Scope | None, int], Scope] = {}

    def scope(self, node: Node) -> Scope | None:
        """The scope that a node is shown in."""
        origin = None if node.extra is None else node.extra.origin
        return node.scope if origin is None else self.mirrored(origin)

    def mirrored(self, origin: Origin) -> Scope:
        """The scope of what the rule of a node recorded."""
        node = origin.node
        forward = self.scope(node)  # as deep as the order
        found = self._mirrored.get((None, origin.sweep))
        if found is None:
            name = "backward pass" if origin.order == 1 else f"backward pass {origin.order}"
            found = self._mirrored[None, origin.sweep] = Scope(name, None, node.code, node.offset)
        for scope in () if forward is None else forward.path():
            key = (scope, origin.sweep)
            if key not in self._mirrored:
                self._mirrored[key] = Scope(scope.name, found, scope.code, scope.offset)
            found = self._mirrored[key]
        return found

    def line(self, node: Node) -> Line:
        """The line of the operation whose rule recorded a node, or its own."""
        while node.extra is not None and node.extra.origin is not None:
            node = node.extra.origin.node
        return node.line

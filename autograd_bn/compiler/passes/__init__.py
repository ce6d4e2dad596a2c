"""Each pass takes a graph and gives a graph that computes the same, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable

from autograd_bn.compiler.passes.algebra import simplified
from autograd_bn.compiler.passes.broadcasts import without_broadcasts
from autograd_bn.compiler.passes.common import without_repetition
from autograd_bn.compiler.passes.constants import folded
from autograd_bn.compiler.passes.copies import with_copies
from autograd_bn.compiler.passes.dead import without_dead_code
from autograd_bn.compiler.passes.factors import factored
from autograd_bn.compiler.passes.fusion import fused
from autograd_bn.compiler.passes.joins import joined
from autograd_bn.compiler.passes.permutes import with_late_permutes
from autograd_bn.compiler.passes.products import with_products
from autograd_bn.compiler.passes.slices import with_early_slices
from autograd_bn.core.graph import Graph

PASSES: dict[str, Callable[[Graph], Graph]] = {
    "dead code": without_dead_code,
    "constants": folded,
    "algebra": simplified,
    "broadcasts": without_broadcasts,
    "permutes": with_late_permutes,
    "common subexpressions": without_repetition,
    "dead code, again": without_dead_code,
}
"""In the order in which they run. All are exact to the last bit."""

NATIVE_PASSES: dict[str, Callable[[Graph], Graph]] = {
    "products": with_products,
    "permutes, again": with_late_permutes,
    "joins": joined,
    "slices": with_early_slices,
    "factors": factored,
    "algebra, again": simplified,
    "common subexpressions, again": without_repetition,
    "dead code, once more": without_dead_code,
    "copies": with_copies,
    "fusion": fused,
}
"""Those that follow for native code."""


def lowered(graph: Graph, *, native: bool = False) -> Graph:
    """The graph after all passes."""
    for run in PASSES.values():
        graph = run(graph)
    for run in NATIVE_PASSES.values() if native else ():
        graph = run(graph)
    return graph

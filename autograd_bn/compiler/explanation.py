"""What native code does with a graph, in lines: kernels, matrix products and NumPy calls, the bytes that each moves, its floating-point operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autograd_bn.compiler.kinds import Kind, Kinds, uniform
from autograd_bn.compiler.plan import nbytes
from autograd_bn.core.graph import Graph, GraphNode


def _why(node: GraphNode, kinds: Kinds) -> str:
    """Why an operation is left to NumPy."""
    assert node.primitive is not None
    values = [kinds.graph.nodes[i] for i in node.inputs] + [node]
    if any(0 in (value.shape or ()) for value in values):
        return "there are no elements"
    if node.primitive.code is None and node.primitive.name != "matmul":
        return "there is no scalar code for it"
    return f"native code does not have it of {' and '.join(dict.fromkeys(str(value.dtype) for value in values))} in this layout and size"


def explained(
    graph: Graph, kinds: Kinds, units: Sequence[tuple[int, ...] | int], stored: set[int], streamed: set[int], blocks: dict[int, int]
) -> Iterator[str]:
    """A line for each step."""
    flops = graph.flops()
    for unit in units:
        members = (unit,) if isinstance(unit, int) else unit
        nodes = [graph.nodes[i] for i in members]
        read = {kinds.layout[j].base for node in nodes for j in node.inputs if j not in members and uniform(graph.nodes[j]) is None}
        written = [node for node in nodes if kinds.layout[node.index].base in stored or not isinstance(unit, tuple)]
        counted = sum(flops[i] or 0 for i in members)
        past = sum(nbytes(node) for node in nodes if node.index in streamed)
        writes = f"writes {sum(map(nbytes, written)):,}" + (f" ({past:,} past the caches)" if past else "")
        size = f"reads {sum(nbytes(graph.nodes[j]) for j in read):,} bytes, {writes}, {counted:,} floating-point operations"
        first = nodes[0]
        assert first.primitive is not None
        if isinstance(unit, tuple):
            assert first.scope is not None
            parts = f", in {blocks[unit[0]]} blocks" if blocks[unit[0]] else ""
            yield f"{first.scope.name}{parts}, {len(unit)} operation{'' if len(unit) == 1 else 's'}: {size}"
        elif kinds.kind[unit] is Kind.PRODUCT:
            yield f"{first.primitive.name} by BLAS: {size}"
        elif kinds.kind[unit] in (Kind.OVERLAP, Kind.INDEXED):
            yield f"{first.primitive.name} in a loop of its own: {size}"
        else:
            yield f"{first.primitive.name} by NumPy, {_why(first, kinds)}: {size}"

"""Which results a kernel writes over what it reads for the last time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from autograd_bn.compiler.kernel import Kernel


def overwriting(kernel: Kernel, ours: Set[int]) -> dict[int, int]:
    """The members of a kernel that can take the memory of a node that nobody else reads any more, and which; of ``ours``, both.

    A member writes each element in the last pass over a row, where it has just read one or where nobody reads in that pass, and that memory is read in no other
    way.
    """
    nodes, layout = kernel.graph.nodes, kernel.kinds.layout
    loads = kernel.loads()
    ways = Counter(layout[j].base for j, _ in loads)
    found: dict[int, int] = {}
    for i in sorted(kernel.full & kernel.stored & ours):
        if kernel.phase[i] != kernel.phases - 1 or layout[i].base != i:
            continue
        free = _read(kernel, i) | {j for j, _ in loads if not _read_last(kernel, j)}
        for j, access in loads:
            base = layout[j].base
            whole = nodes[j].dtype == nodes[i].dtype and layout[j].offset == 0 and kernel.strides(j, access) == kernel.strides(i, kernel.access[i])
            if j in free and whole and base in ours and ways[base] == 1 and base not in found.values():
                found[i] = base
                break
    return found


def _read_last(kernel: Kernel, j: int) -> bool:
    """Whether something from outside is read in the last pass over a row."""
    return any(kernel.phases - 1 in kernel.need[i] for i in kernel.members if j in kernel.graph.nodes[i].inputs)


def _read(kernel: Kernel, i: int) -> set[int]:
    """What is read from outside, in the pass in which a member is computed, to compute it."""
    seen, stack = {i}, [i]
    while stack:
        k = stack.pop()
        if k not in kernel.access or (k != i and (kernel.reduces(k) or (k in kernel.kept and kernel.phase[k] < kernel.phase[i]))):
            continue
        new = [j for j in kernel.graph.nodes[k].inputs if j not in seen]
        seen.update(new)
        stack += new
    return seen - set(kernel.members)

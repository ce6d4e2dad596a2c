"""Constants: an operation on known values alone is run now, unless its result would be large."""

from __future__ import annotations

import math

import numpy as np

from autograd_bn.compiler.passes.rewrite import Rewrite, operand_list
from autograd_bn.core.graph import Graph

LARGEST = 1 << 16
"""How many elements a folded result may have."""


def folded(graph: Graph) -> Graph:
    """The graph with operations on constants replaced by their results."""
    new = Rewrite(graph)
    for node in graph.nodes:
        known = node.primitive is not None and all(new.nodes[new.place[i]].kind == "constant" for i in node.inputs)
        if not known or math.prod(node.shape if node.shape is not None else ()) > LARGEST:
            new.keep(node)
            continue
        assert node.primitive is not None
        operands = [number if i is None else new.nodes[new.place[i]].value for i, number in operand_list(node)]
        try:
            with np.errstate(all="ignore"):
                new.constant(node, np.array(node.primitive.forward(*operands, **node.static)))
        except Exception:  # noqa: BLE001 - where it runs the error says which operation, and on which line
            new.keep(node)
    return new.graph()

"""Products: einsum of two operands as the matrix product that it is, and operands of a product in its dtype, so that native code knows it."""

from __future__ import annotations

import math

import numpy as np

from autograd_bn.compiler.passes.rewrite import Rewrite
from autograd_bn.core.contraction import planned
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.primitive import registry

BLAS = (np.dtype(np.float32), np.dtype(np.float64))


def with_products(graph: Graph) -> Graph:
    """The graph without einsum and products of several dtypes."""
    new = _Products(graph)
    for node in graph.nodes:
        if node.primitive is registry["matmul"]:
            new.put(node, node.primitive, new.operands(node), node.constants, node.static)
        elif node.primitive is not registry["einsum"] or not new.written(node):
            new.keep(node)
    return new.graph()


class _Products(Rewrite):
    def operands(self, node: GraphNode) -> tuple[int, ...]:
        """Those of a product in its dtype, to which NumPy converts them."""
        places = tuple(self.place[i] for i in node.inputs)
        if node.dtype not in BLAS:
            return places
        return tuple(self.converted(node, i) for i in places)

    def converted(self, node: GraphNode, i: int) -> int:
        """A value in the dtype of a node."""
        source = self.nodes[i]
        if source.dtype == node.dtype:
            return i
        return self.add(node, registry["astype"], (i,), (None,), source.shape or (), {"dtype": node.dtype})

    def written(self, node: GraphNode) -> bool:
        """Put the matrix product, as eager execution computes it."""
        if len(node.inputs) != 2:
            return False
        plan = planned(*node.static["subscripts"])
        if plan.lone_x or plan.lone_y:
            return False
        x, y = self.operands(node)
        x, y = self.ordered(node, x, plan.order_x), self.ordered(node, y, plan.order_y)
        first, second = self.nodes[x].shape or (), self.nodes[y].shape or ()
        both, rows = first[: plan.batch], first[plan.batch : plan.batch + plan.rows]
        inner, columns = second[plan.batch : plan.batch + plan.inner], second[plan.batch + plan.inner :]
        if 0 in first or 0 in second or both != second[: plan.batch] or first[plan.batch + plan.rows :] != inner:
            return False
        x = self.shaped(node, x, (*both, math.prod(rows), math.prod(inner)))
        y = self.shaped(node, y, (*both, math.prod(inner), math.prod(columns)))
        out = self.add(node, registry["matmul"], (x, y), (None, None), (*both, math.prod(rows), math.prod(columns)), {})
        self.same(node, self.ordered(node, self.shaped(node, out, (*both, *rows, *columns)), plan.order_out))
        return True

    def ordered(self, node: GraphNode, i: int, order: tuple[int, ...] | None) -> int:
        """A value with its axes in another order."""
        if order is None:
            return i
        shape = self.nodes[i].shape or ()
        return self.add(node, registry["permute_dims"], (i,), (None,), tuple(shape[a] for a in order), {"axes": order})

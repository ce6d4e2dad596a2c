"""Contractions: products summed over shared axes. The subscripts alone give every rule."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.node import Node
from autograd_bn.core.primitive import Abstract, Primitive, broadcast_shapes, raw

Subscripts = tuple[str, str, str]


def _matrices(rng: Any) -> Any:
    pairs = [((2, 3), (3, 4)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((2, 1, 2, 3), (4, 3, 2)), ((2, 3, 1), (2, 1, 2))]
    return [((rng.standard_normal(a), rng.standard_normal(b)), {}) for a, b in pairs]


def contraction(
    name: str, forward: Callable[..., Any], subscripts: Callable[..., Subscripts], *, label: Any = None, example: Callable[..., Any] = _matrices
) -> Primitive:
    """A product of two operands, summed over some axes.

    ``subscripts(shape_x, shape_y, **static)`` names the axes of both operands and of the result, one letter an
    axis, by how many there are: lengths make no difference. The cotangent of an operand is then the contraction of g
    with the other operand. Axes of length 1 that were broadcast are summed by the sweep.

    Returns the Primitive: a function that gives arrays for arrays, and tensors for tensors.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> pairs = ab.primitives.contraction(
    ...     "pairs",
    ...     np.multiply.outer,
    ...     lambda x, y: ("i", "j", "ij"),
    ... )
    >>> ab.grad(lambda x: pairs(x, ab.ones(3)).sum())(ab.tensor([1.0, 2.0]))
    tensor([3., 3.])
    """

    @functools.lru_cache(maxsize=4096)
    def adjoints(rank_x: int, rank_y: int, static: tuple[tuple[str, Any], ...]) -> tuple[Plan, Plan]:
        left, right, result = subscripts((1,) * rank_x, (1,) * rank_y, **dict(static))
        return planned(result, right, left), planned(left, result, right)

    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Mapping[str, Any]) -> Sequence[Any]:
        x, y, _ = saved
        p, q = parents
        first, second = adjoints(len(p.shape) if x is None else x.ndim, len(q.shape) if y is None else y.ndim, tuple(static.items()) if static else ())
        return (
            contract(first, g, y) if type(p) is Node else None,
            contract(second, x, g) if type(q) is Node else None,
        )

    def jvp(tangents: Sequence[Any], operands: Sequence[Any], out: Any, static: Mapping[str, Any]) -> Any:
        (t, u), (x, y) = tangents, operands
        if u is None:
            return primitive(t, y, **static)
        if t is None:
            return primitive(x, u, **static)
        return primitive(t, y, **static) + primitive(x, u, **static)

    def abstract(operands: Sequence[Abstract], static: Mapping[str, Any]) -> Abstract:
        x, y = operands
        length, result = lengths(operands, static)
        dtype = forward(np.ones((1,) * len(x.shape), x.dtype), np.ones((1,) * len(y.shape), y.dtype), **static).dtype
        return Abstract(tuple(length[i] for i in result), dtype)

    def lengths(operands: Sequence[Abstract], static: Mapping[str, Any]) -> tuple[dict[str, int], str]:
        """How long the axis of each letter is, and the letters of the result."""
        x, y = operands
        left, right, result = subscripts(x.shape, y.shape, **static)
        length: dict[str, int] = {}
        for letters, shape in ((left, x.shape), (right, y.shape)):
            for letter, n in zip(letters, shape, strict=True):
                length[letter] = n if length.get(letter, 1) == 1 else broadcast_shapes((length[letter],), (n,))[0]
        return length, result

    def flops(operands: Sequence[Abstract], static: Mapping[str, Any], out: Abstract) -> int:
        """A product and an addition for every choice of all indices."""
        return 2 * math.prod(lengths(operands, static)[0].values())

    def batch(operands: Sequence[Any], batched: Sequence[bool], static: Mapping[str, Any]) -> Any:
        x, y = operands
        shapes = [tuple(v.shape[1:] if b else v.shape) for v, b in zip(operands, batched, strict=True)]
        left, right, result = subscripts(*shapes, **static)
        return contract(planned("Z" * batched[0] + left, "Z" * batched[1] + right, "Z" + result), x, y)

    primitive = Primitive(
        name,
        forward,
        vjp=vjp,
        jvp=jvp,
        batch=batch,
        abstract=abstract,
        label=label,
        needs=(frozenset({1}), frozenset({0})),
        broadcasts=True,
        flops=flops,
        example=example,
    )
    return primitive


class Plan(NamedTuple):
    """How to do a contraction by one matrix product."""

    dot: bool
    """Two plain matrices."""
    order_x: tuple[int, ...] | None
    """Batch axes, rows, then summed axes; None where they are so already."""
    order_y: tuple[int, ...] | None
    order_out: tuple[int, ...] | None
    lone_x: tuple[int, ...]
    """Axes to sum first: they are in one operand only."""
    lone_y: tuple[int, ...]
    plain: bool
    """One axis a group, so that no reshape is needed."""
    batch: int
    rows: int
    inner: int


@functools.lru_cache(maxsize=4096)
def planned(left: str, right: str, result: str) -> Plan:
    """How to contract operands whose axes have these letters."""
    lone_x = tuple(i for i, letter in enumerate(left) if letter not in right + result)
    lone_y = tuple(i for i, letter in enumerate(right) if letter not in left + result)
    left = "".join(i for i in left if i in right + result)
    right = "".join(i for i in right if i in left + result)
    batch = [i for i in result if i in left and i in right]
    rows = [i for i in result if i in left and i not in right]
    columns = [i for i in result if i in right and i not in left]
    inner = [i for i in left if i in right and i not in result]

    def order(wanted: list[str], given: str) -> tuple[int, ...] | None:
        axes = tuple(given.index(i) for i in wanted)
        return None if axes == tuple(range(len(given))) else axes

    plain = len(rows) == len(columns) == len(inner) == 1
    return Plan(
        plain and not batch and not lone_x and not lone_y and list(result) == rows + columns,
        order(batch + rows + inner, left),
        order(batch + inner + columns, right),
        order(list(result), "".join(batch + rows + columns)),
        lone_x,
        lone_y,
        plain,
        len(batch),
        len(rows),
        len(inner),
    )


def contract(plan: Plan, x: Any, y: Any) -> Any:
    """The contraction of two operands, arrays or tensors, as one matrix product."""
    if plan[0] and type(x) is type(y) is np.ndarray:  # by place, which is faster than by name
        return (x if plan[1] is None else x.T).dot(y if plan[2] is None else y.T)
    _, order_x, order_y, order_out, lone_x, lone_y, plain, batch, rows, inner = plan
    if lone_x:
        x = raw.sum(x, axis=lone_x, keepdims=False)
    if lone_y:
        y = raw.sum(y, axis=lone_y, keepdims=False)
    if order_x is not None:
        x = raw.permute_dims(x, axes=order_x)
    if order_y is not None:
        y = raw.permute_dims(y, axes=order_y)
    if plain:
        out = raw.matmul(x, y)
    else:
        xs, ys = x.shape, y.shape
        x = raw.reshape(x, shape=(*xs[:batch], math.prod(xs[batch : batch + rows]), math.prod(xs[batch + rows :])))
        y = raw.reshape(y, shape=(*ys[:batch], math.prod(ys[batch : batch + inner]), math.prod(ys[batch + inner :])))
        out = raw.matmul(x, y)
        out = raw.reshape(out, shape=(*out.shape[:batch], *xs[batch : batch + rows], *ys[batch + inner :]))
    return out if order_out is None else raw.permute_dims(out, axes=order_out)

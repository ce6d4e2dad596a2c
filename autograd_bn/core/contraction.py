"""Contractions: products summed over shared axes. The subscripts alone give every rule."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.node import Node
from autograd_bn.core.primitive import Abstract, Primitive, broadcast_shapes, raw

Subscripts = tuple[str, str, str]


def contraction(name: str, forward: Callable[..., Any], subscripts: Callable[..., Subscripts], *, label: Any = None) -> Primitive:
    """A product of two operands, summed over some axes.

    ``subscripts(shape_x, shape_y, **static)`` names the axes of both operands and of the result, one letter an
    axis. The cotangent of an operand is then the contraction of g with the other operand. Axes of length 1 that were
    broadcast are summed by the sweep.
    """

    def adjoints(x: Any, y: Any, static: Mapping[str, Any]) -> Subscripts:
        return _subscripts_of(subscripts, tuple(x.shape), tuple(y.shape), static)

    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Mapping[str, Any]) -> Sequence[Any]:
        x, y, _ = saved
        p, q = parents
        left, right, result = adjoints(p if x is None else x, q if y is None else y, static)
        return (
            contract(result, right, left, g, y) if p.__class__ is Node else None,
            contract(left, result, right, x, g) if q.__class__ is Node else None,
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
        left, right, result = subscripts(x.shape, y.shape, **static)
        length: dict[str, int] = {}
        for letters, shape in ((left, x.shape), (right, y.shape)):
            for letter, n in zip(letters, shape, strict=True):
                length[letter] = n if length.get(letter, 1) == 1 else broadcast_shapes((length[letter],), (n,))[0]
        dtype = forward(np.ones((1,) * len(x.shape), x.dtype), np.ones((1,) * len(y.shape), y.dtype), **static).dtype
        return Abstract(tuple(length[i] for i in result), dtype)

    def batch(operands: Sequence[Any], batched: Sequence[bool], static: Mapping[str, Any]) -> Any:
        x, y = operands
        shapes = [tuple(v.shape[1:] if b else v.shape) for v, b in zip(operands, batched, strict=True)]
        left, right, result = subscripts(*shapes, **static)
        return contract("Z" * batched[0] + left, "Z" * batched[1] + right, "Z" + result, x, y)

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
        example=lambda rng: [
            ((rng.standard_normal(a), rng.standard_normal(b)), {})
            for a, b in [((2, 3), (3, 4)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (3,)), ((2, 1, 2, 3), (4, 3, 2))]
        ],
    )
    return primitive


def _subscripts_of(rule: Callable[..., Subscripts], x: tuple[int, ...], y: tuple[int, ...], static: Mapping[str, Any]) -> Subscripts:
    return _cached(rule, x, y) if not static else rule(x, y, **static)


@functools.lru_cache(maxsize=4096)
def _cached(rule: Callable[..., Subscripts], x: tuple[int, ...], y: tuple[int, ...]) -> Subscripts:
    return rule(x, y)


@functools.lru_cache(maxsize=4096)
def _plan(left: str, right: str, result: str) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None, tuple[int, ...] | None, bool, int, int, int]:
    """How to do a contraction by one matrix product: orders of the axes, whether a reshape is needed, group sizes."""
    batch = [i for i in result if i in left and i in right]
    rows = [i for i in result if i in left and i not in right]
    columns = [i for i in result if i in right and i not in left]
    inner = [i for i in left if i in right and i not in result]

    def order(wanted: list[str], given: str) -> tuple[int, ...] | None:
        axes = tuple(given.index(i) for i in wanted)
        return None if axes == tuple(range(len(given))) else axes

    plain = len(rows) == len(columns) == len(inner) == 1
    made = batch + rows + columns
    return (
        order(batch + rows + inner, left),
        order(batch + inner + columns, right),
        order(list(result), "".join(made)),
        plain,
        len(batch),
        len(rows),
        len(inner),
    )


def contract(left: str, right: str, result: str, x: Any, y: Any) -> Any:
    """The contraction of two operands whose axes are named by letters, as one matrix product.

    Letters that only one operand has must be in the result, save where its axis was broadcast: those are summed first.
    """
    x, left = _summed(x, left, right + result)
    y, right = _summed(y, right, left + result)
    first, second, last, plain, batch, rows, inner = _plan(left, right, result)
    if first is not None:
        x = x.transpose(first) if x.__class__ is np.ndarray else raw.permute_dims(x, axes=first)
    if second is not None:
        y = y.transpose(second) if y.__class__ is np.ndarray else raw.permute_dims(y, axes=second)
    if plain:
        out = raw.matmul(x, y)
    else:
        xs, ys = tuple(x.shape), tuple(y.shape)
        x = raw.reshape(x, shape=(*xs[:batch], _product(xs[batch : batch + rows]), _product(xs[batch + rows :])))
        y = raw.reshape(y, shape=(*ys[:batch], _product(ys[batch : batch + inner]), _product(ys[batch + inner :])))
        out = raw.matmul(x, y)
        out = raw.reshape(out, shape=(*out.shape[:batch], *xs[batch : batch + rows], *ys[batch + inner :]))
    return out if last is None else raw.permute_dims(out, axes=last)


def _product(lengths: tuple[int, ...]) -> int:
    out = 1
    for n in lengths:
        out *= n
    return out


def _summed(x: Any, letters: str, used: str) -> tuple[Any, str]:
    lone = tuple(i for i, letter in enumerate(letters) if letter not in used)
    if not lone:
        return x, letters
    return raw.sum(x, axis=lone, keepdims=False), "".join(letter for letter in letters if letter in used)

"""The primitives that the sweeps themselves need: sum, broadcast_to, reshape, astype, and the real part and conjugate of complex numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_bn.core.axes import kept_shape, reduced_shape
from autograd_bn.core.complex_values import cast
from autograd_bn.core.constructors import elementwise, linear
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.primitive import raw

_add: Callable[..., Any] = np.add.reduce
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_FIRST = (0,)


def _rows(shape: tuple[int, ...]) -> int:
    """How many rows BLAS adds of a matrix of this shape; 0 where NumPy does it."""
    return shape[0] if len(shape) == 2 and 0 < shape[0] * shape[1] < 65536 else 0


@functools.lru_cache(maxsize=64)
def _ones(count: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    return np.ones(count, dtype)


def add_along(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """The sum of a floating array along axes. Columns of a small matrix are added by BLAS, in half of NumPy's time."""
    if axis == _FIRST and x.ndim == 2:
        dtype = x.dtype
        if (dtype is _SINGLE or dtype is _DOUBLE) and (rows := _rows(x.shape)):
            out = _ones(rows, dtype).dot(x)
            return out[None] if keepdims else out
    return _add(x, axis[0] if len(axis) == 1 else axis, None, None, keepdims)


def _sum(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.kind in "biu":
        return np.sum(x, axis=axis, keepdims=keepdims)
    return add_along(x, axis, keepdims)


def spread(g: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """A reduction's cotangent, ready to be repeated along the reduced axes."""
    if keepdims:
        return g
    shape = kept_shape(x.shape, axis)
    return g.reshape(shape) if type(g) is np.ndarray else raw.reshape(g, shape=shape)


def _broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    if type(x) is np.ndarray and x.flags.c_contiguous and x.size:
        extra = len(shape) - x.ndim
        if extra >= 0:
            old = (1,) * extra + x.shape
            step = (0,) * extra + x.strides
            if all(a == b or a == 1 for a, b in zip(old, shape, strict=True)):
                strides = tuple(0 if a != b else s for a, b, s in zip(old, shape, step, strict=True))
                out: Any = np.ndarray(shape, x.dtype, x, 0, strides)
                return out
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ShapeError(f"shape {x.shape} cannot be broadcast to {shape}") from None


def _reshape(x: Any, shape: tuple[int, ...]) -> Any:
    if x.size != math.prod(shape):
        raise ShapeError(f"{x.size} elements of shape {x.shape} cannot take shape {shape} of {math.prod(shape)} elements")
    return x.reshape(shape)


@functools.lru_cache(maxsize=4096)
def _fit(given: tuple[int, ...], whole: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, tuple[int, ...], int, tuple[int, ...]]:
    """How a cotangent of shape ``given``, which stands for ``whole``, becomes one for an operand of shape ``wanted``.

    How many rows of a matrix BLAS may add, and there is nothing else to do (else 0); the axes to sum; how often an axis that is not repeated yet would have
    been added; the final shape. Raises ShapeError where it stands for no such thing.
    """
    rank = len(whole)
    extra = rank - len(given)
    g = (1,) * extra + given
    w = (1,) * (rank - len(wanted)) + wanted
    if not (repeatable(g, whole) and repeatable(w, whole)):
        raise ShapeError(f"shape {given} does not stand for {whole}, of an operand of shape {wanted}")
    repeated = [i for i in range(rank) if w[i] == 1 and whole[i] != 1]
    axes = tuple(i - extra for i in repeated if g[i] != 1)
    count = math.prod([whole[i] for i in repeated if g[i] == 1])
    final = tuple(1 if i in repeated else n for i, n in enumerate(g))[rank - len(wanted) :]
    return _rows(given) if axes == _FIRST and count == 1 and final == given[1:] else 0, axes, count, final


def unbroadcast(g: Any, whole: tuple[int, ...], wanted: tuple[int, ...]) -> Any:
    """Sum a cotangent, which stands for shape ``whole``, over the axes along which an operand was broadcast.

    The result is broadcastable to ``wanted``; axes that were not repeated before still are not.
    """
    rows, axes, count, final = _fit(g.shape, whole, wanted)
    plain = type(g) is np.ndarray
    if rows and plain:
        dtype = g.dtype
        if dtype is _SINGLE or dtype is _DOUBLE:
            return _ones(rows, dtype).dot(g)
    if axes:
        g = add_along(g, axes, False) if plain else raw.sum(g, axis=axes, keepdims=False)
    if count != 1:
        g = g * count
    if g.shape != final:
        g = g.reshape(final) if plain else raw.reshape(g, shape=final)
    return g


@functools.lru_cache(maxsize=4096)
def repeatable(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a cotangent of one shape only needs repeating along axes of length 1 to have the other."""
    return len(given) == len(wanted) and all(n in (1, m) for n, m in zip(given, wanted, strict=True))


@functools.lru_cache(maxsize=4096)
def count_along(shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    """How many elements a reduction over axes takes together."""
    return math.prod([shape[a] for a in axis])


@functools.lru_cache(maxsize=1024)
def _count(shape: tuple[int, ...], axis: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """That number as an array without axes, which NumPy divides by in half the time, where the dtype surely holds it."""
    count = count_along(shape, axis)
    return np.array(count, dtype) if dtype is _SINGLE or dtype is _DOUBLE else count


def divided(total: Any, shape: tuple[int, ...], axis: tuple[int, ...]) -> Any:
    """A sum, or a cotangent, by how many elements of a shape the axes take together."""
    return total / (_count(shape, axis, total.dtype) if type(total) is np.ndarray else count_along(shape, axis))


def reduction_examples(rng: Any) -> Any:
    """Operands of a reduction for tests: over two axes, and over one that is kept."""
    return [((rng.standard_normal((2, 3, 4)),), {"axis": (0, 2), "keepdims": False}), ((rng.standard_normal((3, 2)),), {"axis": (0,), "keepdims": True})]


sum_p = linear(
    "sum",
    _sum,
    transpose=spread,
    batch=lambda x, axis, keepdims: raw.sum(x, axis=tuple(a + 1 for a in axis), keepdims=keepdims),
    shape=lambda x, axis, keepdims: reduced_shape(x.shape, axis, keepdims),
    label="Σ",
    adds=True,
    code="x + y",
    spreads=True,
    example=reduction_examples,
)

broadcast_to_p = linear(
    "broadcast_to",
    _broadcast,
    transpose=lambda g, x, shape: unbroadcast(g, shape, x.shape),
    batch=lambda x, shape: raw.broadcast_to(
        raw.reshape(x, shape=x.shape[:1] + (1,) * (len(shape) + 1 - len(x.shape)) + x.shape[1:]), shape=(x.shape[0], *shape)
    ),
    label="broadcast",
    aliases=True,
    example=lambda rng: [((rng.standard_normal((3, 1)),), {"shape": (2, 3, 4)})],
)

reshape_p = linear(
    "reshape",
    _reshape,
    transpose=lambda g, x, shape: raw.reshape(g, shape=x.shape),
    batch=lambda x, shape: raw.reshape(x, shape=(x.shape[0], *shape)),
    aliases=True,
    example=lambda rng: [((rng.standard_normal((2, 6)),), {"shape": (3, 4)})],
)

astype_p = linear(
    "astype",
    lambda x, dtype: x.astype(dtype),
    transpose=lambda g, x, dtype: cast(g, x.dtype),
    batch=lambda x, dtype: raw.astype(x, dtype=dtype),
    label=lambda node: f"→{node.dtype}",
    code="x",
    example=lambda rng: [((rng.standard_normal((2, 3)),), {"dtype": np.dtype("float64")})],
)

# New arrays: what NumPy gives as views would share the memory of a real operand, or of every other number.
real_p = elementwise("real", lambda x: np.positive(np.real(x)), 1, label="Re")

imag_p = elementwise("imag", lambda x: np.positive(np.imag(x)), lambda g: g * -1j, label="Im")

conj_p = elementwise("conj", np.conjugate, lambda g: raw.conj(g), label="x̄")

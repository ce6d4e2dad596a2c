"""The linear primitives that the sweeps themselves need: sum, broadcast_to, reshape, astype."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from autograd_bn.core.constructors import kept_shape, linear, reduced_shape
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.primitive import raw

_add = np.add.reduce


def _sum(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype.kind in "biu":
        return np.sum(x, axis=axis, keepdims=keepdims)
    return _add(x, axis[0] if len(axis) == 1 else axis, None, None, keepdims)


def spread(g: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """A reduction's cotangent, repeated along the reduced axes (without memory of its own)."""
    if not keepdims:
        g = raw.reshape(g, shape=kept_shape(x.shape, axis))
    return raw.broadcast_to(g, shape=x.shape)


def _broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    if x.__class__ is np.ndarray and x.flags.c_contiguous and x.size:
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
def summed_axes(wide: tuple[int, ...], narrow: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of ``wide`` along which a value of shape ``narrow`` was repeated."""
    extra = len(wide) - len(narrow)
    return tuple(range(extra)) + tuple(i + extra for i, n in enumerate(narrow) if n == 1 and wide[i + extra] != 1)


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which an operand of ``shape`` was broadcast."""
    axes = summed_axes(g.shape, shape)
    if g.__class__ is np.ndarray:
        out = _add(g, axes[0] if len(axes) == 1 else axes, None, None, True)
        return out if out.shape == shape else out.reshape(shape)
    out = raw.sum(g, axis=axes, keepdims=True)
    return out if out.shape == shape else raw.reshape(out, shape=shape)


def _sum_example(rng: Any) -> Any:
    return [((rng.standard_normal((2, 3, 4)),), {"axis": (0, 2), "keepdims": False}), ((rng.standard_normal((2, 3)),), {"axis": (1,), "keepdims": True})]


sum_p = linear(
    "sum",
    _sum,
    transpose=spread,
    batch=lambda x, axis, keepdims: raw.sum(x, axis=tuple(a + 1 for a in axis), keepdims=keepdims),
    shape=lambda x, axis, keepdims: reduced_shape(x.shape, axis, keepdims),
    label="Σ",
    example=_sum_example,
)

broadcast_to_p = linear(
    "broadcast_to",
    _broadcast,
    transpose=lambda g, x, shape: unbroadcast(g, x.shape),
    batch=lambda x, shape: raw.broadcast_to(
        raw.reshape(x, shape=x.shape[:1] + (1,) * (len(shape) + 1 - len(x.shape)) + tuple(x.shape[1:])), shape=(x.shape[0], *shape)
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
    transpose=lambda g, x, dtype: raw.astype(g, dtype=x.dtype),
    batch=lambda x, dtype: raw.astype(x, dtype=dtype),
    label=lambda node: f"→{node.dtype}",
    example=lambda rng: [((rng.standard_normal((2, 3)),), {"dtype": np.dtype("float64")})],
)

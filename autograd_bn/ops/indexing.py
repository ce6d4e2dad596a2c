"""Taking elements out, and putting their cotangents back."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import linear
from autograd_bn.core.errors import OperationError
from autograd_bn.core.operators import run_unary
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor, plain

_BASIC = frozenset({int, slice, type(None), type(Ellipsis)})


def _is_basic(index: Any) -> bool:
    if index.__class__ is tuple:
        return all([i.__class__ in _BASIC for i in index])
    return index.__class__ in _BASIC


def _scatter_add(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    if _is_basic(index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


def _batched_index(index: Any) -> tuple[Any, ...]:
    return (slice(None), *index) if index.__class__ is tuple else (slice(None), index)


def _first_axis_back(x: Any, index: Any, take: Any) -> Any:
    """Index all examples at once; NumPy puts the axes of separated integer arrays first, so move the batch back."""
    whole = tuple(index) if index.__class__ is tuple else (index,)
    arrays = [i for i, part in enumerate(whole) if isinstance(part, (np.ndarray, int)) and not isinstance(part, bool)]
    separated = any(isinstance(p, np.ndarray) for p in whole) and arrays != list(range(arrays[0], arrays[0] + len(arrays)))
    out = take(x, (slice(None), *whole))
    if not separated:
        return out
    moved = np.broadcast(*[whole[i] for i in arrays]).ndim
    return raw.permute_dims(out, axes=(moved, *range(moved), *range(moved + 1, len(out.shape))))


def _batched_scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    rows = [raw.scatter_add(raw.getitem(g, index=i), index=index, shape=shape) for i in range(g.shape[0])]
    wide = [raw.reshape(row, shape=(1, *shape)) for row in rows]
    return raw.concat(*wide, axis=0, sizes=(1,) * len(wide))


def _examples(rng: Any) -> Any:
    x = rng.standard_normal((3, 4, 2))
    keys: list[Any] = [(1, slice(None, None, -2)), (slice(1, 3), None, Ellipsis), np.array([0, 0, 2]), (np.array([1, 1]), slice(None), np.array([0, 1]))]
    return [((x,), {"index": key}) for key in keys]


_getitem = linear(
    "getitem",
    lambda x, index: x[index],
    transpose=lambda g, x, index: raw.scatter_add(g, index=index, shape=x.shape),
    batch=lambda x, index: _first_axis_back(x, index, lambda x, i: raw.getitem(x, index=i)),
    label="[ ]",
    aliases=True,
    example=_examples,
)

_scatter = linear(
    "scatter_add",
    _scatter_add,
    transpose=lambda g, x, index, shape: raw.getitem(g, index=index),
    batch=_batched_scatter,
    label="scatter +",
    example=lambda rng: [((x["x"][k["index"]],), {**k, "shape": (3, 4, 2)}) for (x, k) in [({"x": a[0]}, k) for a, k in _examples(rng)]],
)


def getitem(x: Tensor, key: Any) -> Tensor:
    """``x[key]`` with NumPy's basic, integer-array and boolean-mask indexing.

    Raises OperationError for a key that does not fit, naming the shape.
    """
    if not _is_basic(key):
        key = tuple(_plain_index(k) for k in key) if isinstance(key, tuple) else _plain_index(key)
    return run_unary(_getitem, x, {"index": key})


def _plain_index(key: Any) -> Any:
    if key.__class__ in _BASIC:
        return key
    if isinstance(key, (np.bool_, bool)):
        raise OperationError("a single boolean is no index; use ab.where")
    if isinstance(key, np.integer):
        return int(key)
    array = np.array(plain(key)) if isinstance(key, Tensor) else np.array(key)
    if array.dtype.kind not in "biu" and array.size:
        raise OperationError(f"an index holds integers or booleans, got dtype {array.dtype}")
    return array if array.size or array.dtype.kind in "biu" else array.astype(int)

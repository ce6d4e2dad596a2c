"""Taking elements out, and putting their cotangents back."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.arrays import no_array
from autograd_bn.core.constructors import linear
from autograd_bn.core.errors import ConversionError, OperationError
from autograd_bn.core.operators import subscript_operator
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, plain

_BASIC = frozenset({int, slice, type(None), type(Ellipsis)})
_LONGEST = 20
"""Characters of an index in a label."""


def is_basic(index: Any) -> bool:
    """Whether a key has only integers, slices, None and Ellipsis, so that NumPy gives a view."""
    if type(index) is tuple:
        return _BASIC.issuperset(map(type, index))
    return type(index) in _BASIC


def at(axis: int, part: Any) -> tuple[Any, ...]:
    """The index of a part along one axis."""
    return (slice(None),) * axis + (part,)


def _scatter_add(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, g.dtype)
    if type(index) is slice or is_basic(index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


def _batched_index(index: Any) -> tuple[tuple[Any, ...], int]:
    """The index of all examples at once, and how many axes of the result NumPy then puts before theirs.

    It puts the axes of integer arrays first where something separates them.
    """
    whole: list[Any] = [slice(None)]
    for part in index if type(index) is tuple else (index,):
        whole += part.nonzero() if isinstance(part, np.ndarray) and part.dtype == bool else [part]
    places = [i for i, part in enumerate(whole) if isinstance(part, (np.ndarray, int))]
    separated = any(isinstance(part, np.ndarray) for part in whole) and places != list(range(places[0], places[0] + len(places)))
    return tuple(whole), np.broadcast(*(whole[i] for i in places)).ndim if separated else 0


def _batched_getitem(x: Any, index: Any) -> Any:
    if any(isinstance(part, np.ndarray) and part.dtype == bool for part in (index if type(index) is tuple else (index,))):
        np.broadcast_to(False, x.shape[1:])[index]  # a mask must fit an example, which the places where it is true do not tell
    whole, before = _batched_index(index)
    out = raw.getitem(x, index=whole)
    return raw.permute_dims(out, axes=(before, *range(before), *range(before + 1, len(out.shape)))) if before else out


def _batched_scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    whole, before = _batched_index(index)
    if before:
        g = raw.permute_dims(g, axes=(*range(1, before + 1), 0, *range(before + 1, len(g.shape))))
    return raw.scatter_add(g, index=whole, shape=(g.shape[before], *shape))


def _examples(rng: Any) -> Any:
    x = rng.standard_normal((3, 4, 2))
    keys: list[Any] = [(1, slice(None, None, -2)), (slice(1, 3), None, Ellipsis), np.array([0, 0, 2]), (np.array([1, 1]), slice(None), np.array([0, 1]))]
    return [((x,), {"index": key}) for key in keys]


def index_text(index: Any) -> str:
    """An index as it is typed, ``1:, 0``; … for an array, and for what is long."""
    texts = []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, slice):
            ends = ["" if end is None else str(end) for end in (part.start, part.stop, part.step)]
            texts.append(":".join(ends if ends[2] else ends[:2]))
        else:
            texts.append("..." if part is Ellipsis else "…" if isinstance(part, np.ndarray) and part.ndim else str(part))
    text = ", ".join(texts)
    return text if len(text) <= _LONGEST else "…"


_getitem = linear(
    "getitem",
    lambda x, index: x[index],
    transpose=lambda g, x, index: (_scatter_add if type(g) is np.ndarray else raw.scatter_add)(g, index=index, shape=x.shape),
    batch=_batched_getitem,
    label=lambda node: f"[{index_text(node.static['index'])}]" if getattr(node, "static", None) else "[ ]",
    aliases=True,
    example=_examples,
)

_scatter = linear(
    "scatter_add",
    _scatter_add,
    transpose=lambda g, x, index, shape: raw.getitem(g, index=index),
    batch=_batched_scatter,
    label="scatter +",
    adds=True,
    example=lambda rng: [((x[static["index"]],), {**static, "shape": x.shape}) for (x,), static in _examples(rng)],
)


def plain_index(key: Any) -> Any:
    """A key of plain numbers, slices and arrays of our own. Raises OperationError for what is no index."""
    if type(key) in _BASIC:
        return key
    if isinstance(key, tuple):
        return tuple(plain_index(k) for k in key)
    if isinstance(key, np.integer):
        return int(key)
    try:
        array = np.array(plain(key))
    except ConversionError:
        if not isinstance(key, Tensor):
            raise
        told = "an index that differs between the examples of ab.vmap: take elements by ab.take or ab.take_along_axis, and in place of a mask use ab.where"
        raise ConversionError(f"{told}\n  at {user_line()}") from None
    except ValueError as error:
        raise no_array(key, error) from None
    if array.dtype == bool and not array.ndim:
        raise OperationError(f"a single boolean is no index; use ab.where\n  at {user_line()}")
    if array.dtype.kind not in "biu" and array.size:
        raise OperationError(f"an index holds integers or booleans, got dtype {array.dtype}\n  at {user_line()}")
    return array if array.size or array.dtype.kind in "biu" else array.astype(int)


getitem = subscript_operator(_getitem, plain_index)
getitem.__doc__ = """``x[key]`` with NumPy's basic, integer-array and boolean-mask indexing.

Raises OperationError for a key that does not fit, naming the shape.
"""

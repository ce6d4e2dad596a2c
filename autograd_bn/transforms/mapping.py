"""vmap: a function of one example, run on a batch at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.node import CONSTANT, Batch
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import fresh_level
from autograd_bn.core.tensor import Tensor, asarray, owned
from autograd_bn.core.tree import flatten


def _moved(x: Any, source: int, target: int) -> Any:
    rank = len(x.shape)
    order = [i for i in range(rank) if i != source % rank]
    order.insert(target % rank, source % rank)
    return x if order == list(range(rank)) else raw.permute_dims(x, axes=tuple(order))


def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: int = 0) -> Callable[..., Any]:
    """A function that maps over an axis of its arguments, with one array operation for all examples.

    Parameters
    ----------
    function
        Takes one example of each argument; returns a tensor, or tensors in nested containers.
    in_axes
        The axis to map over, for all arguments or one an argument; None for an argument that all examples share.
    out_axes
        Where the axis of examples goes in the results.

    Raises OperationError where nothing is mapped, ShapeError where the mapped axes differ in length.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.vmap(lambda row: row.sum())(ab.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([3., 7.])
    """

    @functools.wraps(function)
    def wrapped(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise OperationError(f"vmap: {len(axes)} in_axes for {len(args)} arguments")
        level = fresh_level()
        size: int | None = None
        opened = []
        for arg, axis in zip(args, axes, strict=True):
            leaves, structure = flatten(arg)
            if axis is None:
                opened.append(arg)
                continue
            inner = []
            for x in map(asarray, leaves):
                if not -x.ndim <= axis < x.ndim:
                    raise ShapeError(f"vmap over axis {axis} of an argument of shape {x.shape}")
                if size not in (None, x.shape[axis]):
                    raise ShapeError(f"vmap over axes of different lengths: {size} and {x.shape[axis]}")
                size = x.shape[axis]
                inner.append(Tensor(_moved(owned(x), axis, 0), Batch(level, size)))
            opened.append(structure.unflatten(inner))
        if size is None:
            raise OperationError("vmap: no argument is mapped; give at least one an axis")
        leaves, structure = flatten(function(*opened))
        out = []
        for y in map(asarray, leaves):
            value = y.value if y.node.level == level else raw.broadcast_to(y if y.node.level >= 0 else y.value, shape=(size, *y.shape))
            rank = len(value.shape)
            if not -rank <= out_axes < rank:
                raise ShapeError(f"vmap: out_axes={out_axes} is no axis of a result of shape {value.shape}")
            value = _moved(value, 0, out_axes)
            out.append(value if isinstance(value, Tensor) else Tensor(value, CONSTANT))
        return structure.unflatten(out)

    return wrapped

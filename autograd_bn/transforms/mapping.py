"""vmap: a function of one example, run on a batch at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Never

from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.levels import OpenLevel
from autograd_bn.core.node import Batch
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor, asarray, owned, tensor_of
from autograd_bn.core.tracing import lifted
from autograd_bn.core.tree import Structure, flatten
from autograd_bn.transforms.argnums import check_function


def _moved(x: Any, source: int, target: int) -> Any:
    rank = len(x.shape)
    order = [i for i in range(rank) if i != source % rank]
    order.insert(target % rank, source % rank)
    return x if order == list(range(rank)) else raw.permute_dims(x, axes=tuple(order))


def _axes(spec: Any, structure: Structure, what: str) -> list[int | None]:
    """The axis of each leaf, of a specification that is an axis (or None) for everything, or nested as the value is from the top."""
    if spec is None or is_integer(spec):
        return [spec] * structure.leaf_count()
    kind = structure.kind
    parts: list[Any] | None = None
    if isinstance(spec, dict):
        if (keys := structure.keys()) is not None and set(spec) == set(keys):
            parts = [spec[key] for key in keys]
    elif isinstance(spec, (list, tuple)) and kind is not None and issubclass(kind, (list, tuple)) and len(spec) == len(structure.children):
        parts = list(spec)
    if parts is None:
        raise OperationError(f"vmap: {what} is {spec!r}, which is neither an axis nor nested as the value is: {structure.describe()}")
    return [axis for part, child in zip(parts, structure.children, strict=True) for axis in _axes(part, child, what)]


@keywords
def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, **elsewhere: Never) -> Callable[..., Any]:
    """A function that maps over an axis of its arguments, with one array operation for all examples.

    Parameters
    ----------
    function
        Takes one example of each argument; returns a tensor, or tensors in nested containers. Keyword arguments are mapped over axis 0.
    in_axes
        The axis to map over, for all positional arguments or one per argument; None for an argument that all examples share.
        In the place of an axis there may be containers of axes, nested as the argument is from the top: ``({"w": None, "x": 0},)``.
    out_axes
        Where the axis of examples goes, in all results or, nested, in each; None for a result that is the same for all examples.

    Raises OperationError where nothing is mapped, axes are not nested as the value, or a result for ``out_axes`` None depends on the
    example; ShapeError where the mapped axes differ in length.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.vmap(lambda row: row.sum())(ab.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([3., 7.])
    """
    if elsewhere:
        raise unexpected(vmap, elsewhere)
    check_function(function, "vmap")

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise OperationError(f"vmap: {len(axes)} in_axes for {len(args)} arguments")
        with OpenLevel() as level:
            size: int | None = None
            opened: list[Any] = []
            given = args
            if kwargs:
                given, axes = (*args, *kwargs.values()), (*axes, *(0 for _ in kwargs))
            for arg, spec in zip(given, axes, strict=True):
                leaves, structure = flatten(arg)
                inner = []
                for leaf, axis in zip(leaves, _axes(spec, structure, "in_axes"), strict=True):
                    if axis is None:
                        inner.append(leaf)
                        continue
                    x = lifted(asarray(leaf))
                    if not -x.ndim <= axis < x.ndim:
                        listed = (
                            "; a list or tuple is a container of numbers here: pass an array, as in np.array([1.0, 2.0])"
                            if isinstance(arg, (list, tuple))
                            else "; None in in_axes is for an argument that all examples share"
                            if x.ndim == 0 and not kwargs
                            else ""
                        )
                        which = "an argument"
                        if len(opened) >= len(args):
                            which = f"the argument {list(kwargs)[len(opened) - len(args)]}"
                            listed += "; keyword arguments are mapped over axis 0: give one that all examples share by position, with None in in_axes"
                        raise ShapeError(f"vmap over axis {axis} of {which} of shape {x.shape}, which has no such axis{listed}")
                    if size not in (None, x.shape[axis]):
                        raise ShapeError(f"vmap over axes of different lengths: {size} and {x.shape[axis]}")
                    size = x.shape[axis]
                    inner.append(Tensor(_moved(owned(x), axis, 0), Batch(level, size)))
                opened.append(arg if spec is None else structure.unflatten(inner))
            if size is None:
                raise OperationError("vmap: no argument is mapped; give at least one an axis")
            leaves, structure = flatten(function(*opened[: len(args)], **dict(zip(kwargs, opened[len(args) :], strict=True))) if kwargs else function(*opened))
            out = []
            for y, axis in zip(map(lifted, map(asarray, leaves)), _axes(out_axes, structure, "out_axes"), strict=True):
                if axis is None:
                    if y.node.level == level:
                        raise OperationError(f"vmap: out_axes is None for a result of shape {y.shape} that depends on the example; give it an axis")
                    out.append(y)
                    continue
                value = y.value if y.node.level == level else raw.broadcast_to(y if y.node.level >= 0 else y.value, shape=(size, *y.shape))
                rank = len(value.shape)
                if not -rank <= axis < rank:
                    raise ShapeError(f"vmap: out_axes={axis} is no axis of a result of shape {value.shape}")
                out.append(tensor_of(_moved(value, 0, axis)))
        return structure.unflatten(out)

    return wrapped

"""Writes in place, as one linear operation from the old value and what is written to the new value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.constructors import linear
from autograd_bn.core.dispatch import apply
from autograd_bn.core.effects import concrete
from autograd_bn.core.errors import DtypeError, MutationError, ShapeError, TraceError
from autograd_bn.core.lines import caller_line
from autograd_bn.core.node import Batch, Constant, Dual, Node
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import current
from autograd_bn.core.structural import unbroadcast
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.tracing import Symbol, lifted, outer_tape, tracing
from autograd_bn.core.views import Path, along, origin, renew, replay, views_of
from autograd_bn.ops.indexing import index_text, is_basic, plain_index


def _write(base: Any, value: Any, path: Path, key: Any) -> Any:
    out = np.array(base, order="K")
    target = along(path, out)
    if np.may_share_memory(target, out):
        target[key] = value
    else:  # in this layout a step of the path copies: write by the places that its elements come from
        out = np.array(base, order="C")
        places = along(path, np.arange(out.size).reshape(out.shape))
        out.reshape(-1)[places[key]] = value
    return out


def _winners(shape: tuple[int, ...], key: Any) -> Any:
    """Where a key names a place more than once: which of the written elements stays (the last, as in NumPy)."""
    if is_basic(key):
        return None
    places = np.zeros(shape, np.intp)
    count = places[key].size
    order = np.arange(count).reshape(places[key].shape)
    places[key] = order
    won = places[key] == order
    return None if won.all() else won


def _back(g: Any, parents: Sequence[Any], path: Path, key: Any) -> list[Any]:
    kept = raw.write(g, np.zeros((), g.dtype), path=path, key=key) if type(parents[0]) is Node else None
    written = None
    if type(parents[1]) is Node:
        shape = parents[1].shape
        region = along(path, g)
        written = raw.getitem(region, index=key)
        won = _winners(region.shape, key)
        if won is not None:
            written = written * won
        whole = written.shape
        narrow = shape[len(shape) - len(whole) :] if len(shape) > len(whole) else shape
        written = unbroadcast(written, whole, narrow)
        if written.shape != shape:
            written = raw.reshape(written, shape=shape)
    return [kept, written]


def _each(base: Any, value: Any, path: Path, key: Any) -> Any:
    if not base.shape[0]:
        return base
    rows = [raw.write(raw.getitem(base, index=i), raw.getitem(value, index=i), path=path, key=key) for i in range(base.shape[0])]
    wide = [raw.reshape(row, shape=(1, *row.shape)) for row in rows]
    return raw.concat(*wide, axis=0, sizes=(1,) * len(wide))


def _examples(rng: Any) -> Any:
    return [
        ((rng.standard_normal((3, 4)), rng.standard_normal(4)), {"path": (), "key": 1}),
        ((rng.standard_normal((3, 4)), rng.standard_normal((2, 1))), {"path": ((raw.getitem, {"index": (slice(None), slice(1, 3))}),), "key": slice(1, None)}),
        ((rng.standard_normal((3, 4)), rng.standard_normal(3)), {"path": ((raw.permute_dims, {"axes": (1, 0)}),), "key": np.array([0, 2, 0])[:, None]}),
        ((rng.standard_normal((2, 3)), rng.standard_normal(())), {"path": ((raw.reshape, {"shape": (6,)}),), "key": np.array([True, False] * 3)}),
    ]


def _label(node: Any) -> str:
    static = getattr(node, "static", None)
    return f"[{'…' if static['path'] else index_text(static['key'])}] ←" if static else "[ ] ←"


_primitive = linear("write", _write, transpose=_back, batch=_each, variadic=True, label=_label, example=_examples)


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """``x[key] = value``, seen by every view of the same memory, and differentiable by ``x``'s old value and by ``value``.

    Graphs that were recorded before keep the values they were recorded with.

    Raises MutationError for a leaf that requires a gradient (outside ``no_grad``) and for a recorded result inside
    ``no_grad``, DtypeError for a value that the dtype of ``x`` cannot hold, OperationError or ShapeError for a key or
    value that does not fit.
    """
    x, value = lifted(x), lifted(asarray(value))
    _check(x, "x[…] = …")
    if value.dtype != x.dtype:
        if not np.can_cast(value.dtype, x.dtype, "same_kind") and (value.requires_grad or value.dtype.kind == "c"):
            raise DtypeError(f"x[…] = …: a value of dtype {value.dtype} does not fit a tensor of dtype {x.dtype}; convert one of them\n  at {caller_line()}")
        value = value.astype(x.dtype)
    _store(x, value, plain_index(key))


def _check(x: Tensor, what: str) -> None:
    """Raise MutationError where a write would contradict what is recorded."""
    base, path = origin(x)
    node = base.node
    if any(primitive.name == "broadcast_to" for primitive, _ in path):
        raise MutationError(
            f"{what} on a broadcast view of shape {x.shape}: several of its elements share one place; copy it first, as in x + 0\n  at {caller_line()}"
        )
    below = base
    floor = current().floor
    while type(below.node) in (Batch, Dual):
        if type(below.node) is Dual and below.node.level < floor:
            raise MutationError(
                f"{what} inside no_grad() on a tensor of shape {x.shape} that carries a tangent: the tangent would no longer be true; "
                f"write into x.detach(), or outside no_grad()\n  at {caller_line()}"
            )
        if not isinstance(below.value, Tensor):
            break
        below = below.value
    node = below.node
    if type(node) is not Node:
        return
    recording = node.level >= floor
    if below is base and node.primitive is None and (recording or not outer_tape(node.level)):
        which = "a leaf" if base is x else "a view of a leaf"
        raise MutationError(
            f"{what} on {which} of shape {x.shape} that requires a gradient would lose the leaf; write y = x + … for a new tensor, "
            f"or change a parameter with ab.assign(x, value) or inside ab.no_grad()\n  at {caller_line()}"
        )
    if (node.primitive is not None or below is not base) and not recording:
        raise MutationError(
            f"{what} inside no_grad() on the result of a recorded operation, shape {x.shape}: its history would no longer be true; "
            f"write into x.detach(), or outside no_grad()\n  x made by {node.title} at {node.line}\n  at {caller_line()}"
        )


def _store(x: Tensor, value: Tensor, key: Any) -> None:
    base, path = origin(x)
    _replace(base, apply(_primitive, (base, value), {"path": path, "key": key}))


def _replace(base: Tensor, new: Tensor) -> None:
    """Give a base another value and history; a leaf keeps its own, a constant its name."""
    old = base.node
    if tracing() is not None and any(primitive.name == "reshape" for view in views_of(base) for primitive, _ in origin(view)[1]):
        raise TraceError(
            f"a write into a tensor of shape {base.shape} that was reshaped: whether the reshaped tensor shares its memory depends on the layout, which "
            f"a trace does not know; write before reshaping, or inside a function that is not compiled\n  at {caller_line()}"
        )
    if type(old) is Node and old.primitive is None and type(new.node) in (Batch, Dual):
        new = Tensor(concrete(new, lambda: "a write into a leaf", caller_line))  # no tangent flows into a leaf, as by assign
    base.value = new.value
    if type(new.node) is Symbol and type(old) is not Node:
        base.node = new.node
    elif type(new.node) is Symbol:
        base.value = new
    elif type(new.node) is Constant:
        if type(old) is Constant:
            base.node = Constant(new.shape, new.dtype, old.name, False, new.node.reason, new.node.line)
    else:
        renew(base, new.node)
    replay(base)


def updating(operator: Callable[[Any, Any], Any], symbol: str) -> Callable[[Tensor, Any], Tensor]:
    """The in-place form of a binary operator."""

    def update(self: Tensor, other: Any) -> Tensor:
        x = lifted(self)
        _check(x, symbol)
        result = operator(self, other)
        if result is NotImplemented:
            return result  # type: ignore[no-any-return]
        if result.shape != self.shape:
            raise ShapeError(f"{symbol} on a tensor of shape {self.shape}: the result has shape {result.shape} and does not fit in place\n  at {caller_line()}")
        if result.dtype != self.dtype:
            if not np.can_cast(result.dtype, self.dtype, "same_kind"):
                raise DtypeError(
                    f"{symbol} on a tensor of dtype {self.dtype}: the result has dtype {result.dtype} and does not fit in place; "
                    f"write x = x {symbol[:-1]} … instead\n  at {caller_line()}"
                )
            result = result.astype(self.dtype)
        if origin(x)[0] is x:
            _replace(x, result)
        else:
            _store(x, result, Ellipsis)
        return self

    return update

"""Which tensors share memory: a view knows its base and how it came from it, a base knows its views (weakly).

A write replaces the base's value and replays its views, so an array that a rule has saved is never written into.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.node import DIFFERENTIATED, Constant, Node
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import State, current, enter, fresh_level, leave
from autograd_bn.core.tensor import Tensor
from autograd_bn.core.tracing import lifted

if TYPE_CHECKING:
    from autograd_bn.core.primitive import Primitive

Path = tuple[tuple["Primitive", Mapping[str, Any]], ...]
"""The operations that lead from a base to its view."""


def track(view: Tensor, source: Tensor, primitive: Primitive, static: Mapping[str, Any]) -> None:
    """Remember that an operation's result shares memory with its operand, if it does, and whether it was cut from a recorded one."""
    out, value, tapes = view, source, 0
    while type(out) is Tensor:
        tapes -= type(out.node) in DIFFERENTIATED
        out = out.value
    while type(value) is Tensor:
        tapes += type(value.node) in DIFFERENTIATED
        value = value.value
    memory = out.base
    if primitive is raw.getitem and is_number(static["index"], view.shape):  # also where an example is one number, though vmap's array of them is a view
        return
    if not isinstance(value, np.generic) and (memory is None or (memory is not value and memory is not value.base)):
        return  # but a number that came out of an operation is memory, too
    link(view, source, primitive, static, tapes > 0)


def link(view: Tensor, source: Tensor, primitive: Primitive, static: Mapping[str, Any], cut: bool) -> None:
    """Remember that a tensor is a view of another, and whether it was cut from the graph."""
    base = source.base
    if base is None:
        base = source
        view.path = (None, primitive, static, cut)
    else:
        view.path = (source.path, primitive, static, cut or source.path[3])
    view.base = base
    views = base.views
    if views is None:
        base.views = [weakref.ref(view)]
        return
    views.append(weakref.ref(view))
    if len(views) >= 32 and not len(views) & (len(views) - 1):
        views[:] = [reference for reference in views if reference() is not None]


def is_number(index: Any, shape: tuple[int, ...]) -> bool:
    """Whether a key takes a number out, which NumPy copies, rather than a view of one."""
    return shape == () and not any(part is Ellipsis for part in (index if type(index) is tuple else (index,)))


def unshared(out: Tensor, x: Tensor) -> Tensor:
    """The result of a composition; a copy of it where it came out as a view of the operand, though NumPy gives a new array."""
    x = lifted(x)
    return raw.astype(out, dtype=out.dtype) if (out if out.base is None else out.base) is (x if x.base is None else x.base) else out


def origin(x: Tensor) -> tuple[Tensor, Path]:
    """The tensor that owns the memory, and the way from it to ``x``."""
    base = x.base
    return (x, ()) if base is None else (base, _flat(x.path))


def _flat(linked: Any) -> Path:
    """A path as a sequence. A view links to the path of the view that it was made from, so that long chains stay cheap."""
    steps = []
    while linked is not None:
        linked, primitive, static, _ = linked
        steps.append((primitive, static))
    return tuple(reversed(steps))


def views_of(base: Tensor) -> Iterator[Tensor]:
    """The living views of a base."""
    for reference in list(base.views or ()):
        view = reference()
        if view is not None:
            yield view


def along(path: Path, x: Any) -> Any:
    """Follow a path from a value of the base's shape; of an array, the result is a view where the path's is."""
    for primitive, static in path:
        x = primitive.forward(x, **static) if type(x) is np.ndarray else primitive(x, **static)
    return x


def replay(base: Tensor) -> None:
    """Bring the views of a base whose value was replaced up to date; what was cut from the graph stays cut."""
    for view in views_of(base):
        view = lifted(view)
        cut = view.path[3]
        state = current()
        inside = enter(State(fresh_level() if cut else 0, state.scope, effects=state.effects, cut=state.cut))
        try:
            fresh = along(_flat(view.path), base)
        finally:
            leave(inside)
        view.value = fresh.value
        if not cut or type(fresh.node) is not Constant:
            renew(view, fresh.node)


def renew(x: Tensor, node: Any) -> None:
    """Give a tensor another history; a gradient that it retains is from now on that of the new value."""
    old = x.node
    x.node = node
    if type(old) is Node and type(node) is Node and old.extra is not None and old.extra.retain:
        node.extras().retain = True

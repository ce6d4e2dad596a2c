"""A call of a function whose derivative is a rule of the user's: one node on a tape, one step for tangents and batches.

As a primitive's, the rule holds at every level: the highest level handles the call, on the values below, for which it is
the same call again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Protocol, Self

import numpy as np

from autograd_bn.core.dispatch import lower_parent, recorded, stripped, unrecorded, unwrapped, unwritten
from autograd_bn.core.errors import DtypeError, GradientError, OperationError
from autograd_bn.core.levels import OpenLevel
from autograd_bn.core.lines import caller_line
from autograd_bn.core.node import DIFFERENTIATED, Batch, Dual, Node
from autograd_bn.core.primitive import Abstract, Primitive, raw
from autograd_bn.core.state import current, no_effects
from autograd_bn.core.tensor import Tensor, array_of, each_level, tensor_of
from autograd_bn.core.tracing import lifted
from autograd_bn.core.tree import Structure
from autograd_bn.ops.shape import concat

Results = tuple[list[Tensor], Structure]


class Rules(Protocol):
    """A function of tensors, at one call, and its derivative; each gives its results as a list and how to nest them."""

    name: str

    def run(self, xs: list[Tensor]) -> Results:
        """The value."""
        ...

    def remember(self, xs: list[Tensor]) -> tuple[list[Tensor], Structure, Any]:
        """The value, and what the pullback will need besides the operands."""
        ...

    def pull(self, kept: Any, xs: list[Tensor], structure: Structure, gs: list[Tensor]) -> Sequence[Tensor | None]:
        """The cotangents of the operands."""
        ...

    def push(self, xs: list[Tensor], ts: list[Tensor]) -> tuple[list[Tensor], Structure, list[Tensor]]:
        """The value and its tangents."""
        ...

    def mapped(self, flags: Sequence[bool], size: int) -> Self:
        """The same over a batch of ``size`` examples, on axis 0 of the operands that ``flags`` says, and of all results."""
        ...


class _Saved(tuple[Any, ...]):
    """What a node saved, and what the rule wants to remember. On a tape of its own it is an ordinary tuple, and the rule remembers anew."""

    residuals: Any


def call(rules: Rules, operands: Sequence[Tensor]) -> Results:
    """Run the function, and record it where a gradient is required."""
    state = current()
    values: list[Any] = []
    origins: list[Any] = []
    cut = False
    for operand in operands:
        x, node, ended = stripped(lifted(operand), state.floor)
        cut = cut or ended
        values.append(x.copy() if node.foreign else x)
        origins.append(node)
    level = max((x.node.level for x in values if isinstance(x, Tensor)), default=-1)
    if level < 0:
        outs, structure = rules.run([Tensor(x) for x in values])
        _refuse_closures(rules, outs, ())
        arrays = [array_of(y) for y in outs]
        primitive = _primitive(rules, structure, arrays, len(values))
        return [Tensor(y, unrecorded(primitive, origins, cut, y)) for y in arrays], structure
    here = [isinstance(x, Tensor) and x.node.level == level for x in values]
    kind = next(x.node.__class__ for x, h in zip(values, here, strict=True) if h)
    lower = [x.value if h else x for x, h in zip(values, here, strict=True)]
    operands_below = [tensor_of(x) for x in lower]
    if kind is Node:
        kept = None
        if _differentiated(operands_below):
            outs, structure = call(rules, operands_below)
        else:
            outs, structure, kept = rules.remember(operands_below)
            _refuse_closures(rules, outs, operands_below)
        below = [unwrapped(y) for y in outs]
        if not any(y.dtype.kind in "fc" for y in below):
            return outs, structure
        nodes = [x.node if h else lower_parent(x, origin) for x, h, origin in zip(values, here, origins, strict=True)]
        primitive = _primitive(rules, structure, below, len(values))
        result = recorded(primitive, unwritten(lower), nodes, sum(1 << i for i, h in enumerate(here) if h), _packed(below), {}, level, state)
        result.node.saved = saved = _Saved(result.node.saved)
        saved.residuals = kept
        return _unpacked(result, below), structure
    if kind is Dual:
        ts = [tensor_of(x.node.tangent) if h else tensor_of(np.zeros(x.shape, x.dtype)) for x, h in zip(values, here, strict=True)]
        outs, structure, tangents = rules.push(operands_below, ts)
        _refuse_closures(rules, outs, (*operands_below, *ts))
        if _differentiated(operands_below):
            outs, structure = call(rules, operands_below)
        below = [unwrapped(y) for y in outs]
        pairs = zip(below, tangents, strict=True)
        return [Tensor(y, Dual(level, unwrapped(t))) if y.dtype.kind in "fc" else tensor_of(y) for y, t in pairs], structure
    if kind is Batch:
        size = next(x.node.size for x, h in zip(values, here, strict=True) if h)
        outs, structure = call(rules.mapped(here, size), operands_below)
        return [Tensor(unwrapped(y), Batch(level, size)) for y in outs], structure
    return rules.run(list(operands))


def opened(xs: Sequence[Any], flags: Sequence[bool], level: int, size: int) -> list[Any]:
    """One example each of the values that hold a batch, at a new level of ``vmap``."""
    return [Tensor(unwrapped(x), Batch(level, size)) if flag else x for x, flag in zip(xs, flags, strict=True)]


def gathered(y: Tensor, level: int, size: int) -> Tensor:
    """All examples of a result, on axis 0."""
    if y.node.level == level:
        return tensor_of(y.value)
    return tensor_of(raw.broadcast_to(y, shape=(size, *y.shape)))


def over_batch(run: Callable[[list[Tensor]], Results], flags: Sequence[bool], size: int) -> Callable[[list[Tensor]], Results]:
    """A function that maps over a batch on axis 0 of the operands that ``flags`` says."""

    def whole(xs: list[Tensor]) -> Results:
        with OpenLevel() as level:
            outs, structure = run(opened(xs, flags, level, size))
            return [gathered(y, level, size) for y in outs], structure

    return whole


def _primitive(rules: Rules, structure: Structure, outs: Sequence[Any], count: int) -> Primitive:
    """The node's primitive: it has the function's name, and its pullback is the rule's."""

    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Any) -> Sequence[Any]:
        kept = getattr(saved, "residuals", None)
        xs = [tensor_of(x) for x in tuple(saved)[:-1]]
        if kept is None:
            with no_effects():
                _, _, kept = rules.remember(xs)
        found = rules.pull(kept, xs, structure, _unpacked(tensor_of(g), outs_like))
        return [unwrapped(c) if c is not None and type(p) is Node else None for c, p in zip(found, parents, strict=True)]

    def forward(*arrays: Any) -> Any:
        found, _ = rules.run([Tensor(x) for x in arrays])
        return unwrapped(_packed([unwrapped(y) for y in found]))

    def opaque(*_: Any) -> NoReturn:
        raise OperationError(f"{rules.name} is a function with a rule of its own, of which nothing is known without running it")

    outs_like = [Abstract(y.shape, y.dtype) for y in outs]
    needs = (frozenset(range(count)),) * max(count, 1)
    return Primitive(rules.name, forward, vjp=vjp, batch=opaque, abstract=opaque, needs=needs, register=False)


def _packed(outs: Sequence[Any]) -> Any:
    """All floating results as one value: the only one itself, several in a row."""
    floating = [y for y in outs if y.dtype.kind in "fc"]
    if len(floating) == 1:
        return floating[0]
    if len({y.dtype.kind for y in floating}) > 1:
        raise DtypeError("a function with a rule of its own returned real and complex tensors together; return them from two functions")
    return unwrapped(concat([tensor_of(raw.reshape(y, shape=(math.prod(y.shape),))) for y in floating]))


def _unpacked(packed: Tensor, outs: Sequence[Any]) -> list[Tensor]:
    """The results again, or their cotangents; for what is not floating the value, or zeros."""
    several = sum(y.dtype.kind in "fc" for y in outs) > 1
    found, start = [], 0
    for y in outs:
        if y.dtype.kind not in "fc":
            found.append(Tensor(np.zeros(y.shape, y.dtype)) if isinstance(y, Abstract) else tensor_of(y))
        elif not several:
            found.append(packed)
        else:
            size = math.prod(y.shape)
            part: Any = raw.reshape(packed[start : start + size], shape=y.shape)
            found.append(tensor_of(part if part.dtype == y.dtype else raw.astype(part, dtype=y.dtype)))
            start += size
    return found


def _levels(x: Any, floor: int) -> Iterator[int]:
    for node in (level.node for level in each_level(x)):
        if node.level >= 0 and (type(node) not in DIFFERENTIATED or node.level >= floor):
            yield node.level
            if type(node) is Dual:
                yield from _levels(node.tangent, floor)


def _differentiated(xs: Sequence[Any]) -> bool:
    """Whether a level below differentiates, so that the value must be one to which the rule applies."""
    floor = current().floor
    return any(type(level.node) in DIFFERENTIATED and level.node.level >= floor for x in xs for level in each_level(x))


def _refuse_closures(rules: Rules, outs: Sequence[Tensor], operands: Sequence[Any]) -> None:
    """Refuse a result that depends on what the rule does not see."""
    floor = current().floor
    known = {level for x in operands for level in _levels(x, floor)}
    if any(level not in known for y in outs for level in _levels(y, floor)):
        raise GradientError(
            f"{rules.name} depends on a tensor that it closes over and that is differentiated or mapped, which its rule does not see; pass it as an argument, "
            f"or cut it off with ab.stop_gradient\n  at {caller_line(3)}"
        )

"""The reverse sweep: cotangents from outputs to leaves, each operation once, without recursion."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace
from typing import Any

import numpy as np

from autograd_bn.core.complex_values import cast, conjugated
from autograd_bn.core.errors import DtypeError, GradientError, RuleError, ShapeError
from autograd_bn.core.forks import ForkedLock
from autograd_bn.core.node import Constant, Node
from autograd_bn.core.primitive import Primitive, raw
from autograd_bn.core.state import NESTED, State, current, fresh_level, resume
from autograd_bn.core.structural import repeatable, unbroadcast
from autograd_bn.core.tensor import Tensor, asarray, owned, tensor_of, why_constant
from autograd_bn.core.tracing import lifted, outer_tape
from autograd_bn.core.watch import Watch

accumulating = ForkedLock()
"""Held while gradients are added to those from before: threads may share a leaf."""


def sweep(roots: Iterable[tuple[Node, Any]], *, free: bool, tape: bool = False) -> dict[Node, Any]:
    """Pull cotangents from the roots back to the leaves.

    Parameters
    ----------
    roots
        Nodes, each with the cotangent of its value (of a complex one, the `conjugated` of what users mean by it).
    free
        Let go of saved values as the sweep passes them.
    tape
        Record the sweep on the nodes' own level (``create_graph``): the rules then run on tensors.

    Returns the cotangent of each leaf that was reached, and of each node that retains its gradient.
    """
    seeds = list(roots)
    watch = current().watch
    if watch is None:
        return _swept(seeds, free, tape, None)
    try:
        watch.seeded(seeds)
        found = _swept(seeds, free, tape, watch)
        watch.found(found)
    finally:
        watch.ended(seeds)
    return found


def _swept(seeds: list[tuple[Node, Any]], free: bool, tape: bool, watch: Watch | None) -> dict[Node, Any]:
    """What `sweep` returns.

    An operand is always older than what was made of it, so the youngest node that waits has all its cotangents.
    """
    leaves: dict[Node, Any] = {}
    waiting: dict[Node, Any] = {}
    """Sums of cotangents; `ages` has the same nodes by age, but for one that is held outside: of a chain, every one."""
    ages: list[tuple[int, Node]] = []
    for node, c in seeds:
        sums = leaves if node.primitive is None else waiting
        if node not in sums and node.primitive is not None:
            heappush(ages, (-node.age, node))
        sums[node] = _sum(sums.get(node), c)
    found: dict[Node, Any] = {}
    held: Node | None = None
    g = total = None
    while True:
        if held is None:
            if not ages:
                break
            node = heappop(ages)[1]
            g = waiting.pop(node)
        elif ages and held.age < -ages[0][0]:
            waiting[held] = total
            node = heapreplace(ages, (-held.age, held))[1]
            g = waiting.pop(node)
            held = None
        else:
            node, g = held, total
            held = None
        primitive: Primitive = node.primitive  # type: ignore[assignment]
        parents = node.parents
        if g is not None:
            if (node.extra is not None or not primitive.pointwise) and g.shape != node.shape:
                g = raw.broadcast_to(g, shape=node.shape)
            if node.extra is not None:
                g = _kept(node, g, found, tape)
            saved = node.saved
            if saved is None:
                raise _freed(node)
            if tape:
                saved = _taped(node, saved)
            try:
                gradients = primitive.vjp(g, saved, parents, node.static) if watch is None else watch.pull(node, g, saved)  # type: ignore[misc]
            except Exception as error:
                _annotate(error, node)
                raise
        else:
            gradients = (None,) * len(parents) if watch is None else watch.pull(node, None, ())
        if free:
            node.saved = None
        i = 0
        for parent in parents:
            if type(parent) is Node:
                c = gradients[i]
                if c is not None and (c is not g or parent.shape is not node.shape or parent.dtype is not node.dtype):
                    try:
                        shape = c.shape
                    except AttributeError:
                        raise RuleError(f"the rule of {node.title} returned a {type(c).__name__}, not an array\n  operation at {node.line}") from None
                    if shape != parent.shape or (node.shape != parent.shape and primitive.pointwise):
                        try:
                            c = unbroadcast(c, node.shape, parent.shape) if primitive.pointwise else fitted(c, parent, node)
                        except ShapeError:
                            c = fitted(c, parent, node)  # which says whose rule it is
                    if c.dtype is not parent.dtype:
                        c = cast(c, parent.dtype)
                if parent is held:
                    total = _sum(total, c)
                elif parent.primitive is None:
                    leaves[parent] = _sum(leaves[parent], c) if parent in leaves else c
                elif waiting and parent in waiting:
                    waiting[parent] = _sum(waiting[parent], c)
                elif held is None:
                    held, total = parent, c
                else:
                    waiting[parent] = c
                    heappush(ages, (-parent.age, parent))
            i += 1  # noqa: SIM113 - enumerate makes a tuple for each
    for leaf, c in leaves.items():
        if c is not None:
            found[leaf] = _kept(leaf, c if c.shape == leaf.shape else raw.broadcast_to(c, shape=leaf.shape), found, tape)
    return found


def _sum(total: Any, c: Any) -> Any:
    """The sum of two cotangents, either of which may be none."""
    return c if total is None else total if c is None else total + c


def _kept(node: Node, g: Any, found: dict[Node, Any], tape: bool) -> Any:
    """The whole cotangent of a node after its hooks, and kept where it is retained."""
    extra = node.extra
    if extra is not None:
        if extra.hooks:
            g = _hooked(node, g, tape)
        if extra.retain:
            found[node] = g
    return g


def fitted(c: Any, parent: Node, node: Node) -> Any:
    """A cotangent brought to its operand's shape, or to one that only needs repeating; an error if it cannot be."""
    primitive: Primitive = node.primitive  # type: ignore[assignment]
    shape = parent.shape
    try:
        if primitive.pointwise:
            return unbroadcast(c, node.shape, shape)
        if c.shape == shape or (primitive.spreads and repeatable(c.shape, shape)):
            return c
        if primitive.broadcasts:
            return unbroadcast(c, c.shape, shape)
    except ShapeError:
        pass
    raise RuleError(f"the rule of {node.title} returned a cotangent of shape {c.shape} for an operand of shape {shape}\n  operation at {node.line}")


def _taped(node: Node, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """The saved values as tensors on the tape they came from, so that the rule itself is recorded; plain numbers as themselves."""
    owners = (*node.parents, node)
    return tuple(v if v is None else Tensor(v, p) if type(p) is Node else v if type(p) is Constant else p for v, p in zip(saved, owners, strict=True))


def _hooked(node: Node, g: Any, tape: bool) -> Any:
    hooks = node.extras().hooks or {}
    for hook in list(hooks.values()):
        shown = conjugated(g)
        given = Tensor(shown.value, shown.node) if isinstance(shown, Tensor) else Tensor(shown)  # its own: a rule may have given this cotangent to others
        value = given.value
        changed = hook(given)
        if changed is None and given.value is not value:
            changed = given  # which was written into
        if changed is not None:
            try:
                changed = asarray(changed)
            except (DtypeError, ShapeError) as error:
                raise type(error)(f"a hook on {node.title} returned no gradient: {error}\n  operation at {node.line}") from None
            if changed.node.level == node.level and not tape:
                changed = tensor_of(changed.value)  # what it was recorded of on the tape that is swept is no part of the cotangent
            if changed.shape != node.shape:
                raise ShapeError(f"a hook on {node.title} returned shape {changed.shape} for a gradient of shape {node.shape}\n  operation at {node.line}")
            if changed.dtype != node.dtype:
                if changed.dtype.kind == "c" and node.dtype.kind != "c":
                    raise DtypeError(f"a hook on {node.title} returned dtype {changed.dtype} for a gradient of dtype {node.dtype}\n  operation at {node.line}")
                changed = changed.astype(node.dtype)
            g = conjugated(changed if isinstance(g, Tensor) else owned(changed))
    return g


def _freed(node: Node) -> GradientError:
    return GradientError(
        f"the graph was freed by an earlier backward(): the values saved by {node.title} are gone; "
        "call the first one with retain_graph=True, or run the forward pass again; a state that is carried on to the next step needs detach()"
        f"\n  operation at {node.line}"
    )


def _annotate(error: Exception, node: Node) -> None:
    if str(node.line) in str(error):
        return
    error.add_note(f"while differentiating {node.title}, shape {node.shape}, dtype {node.dtype}\n  operation at {node.line}")


def backward(output: Tensor, gradient: Any, *, retain_graph: bool, create_graph: bool) -> None:
    """``Tensor.backward``: see there."""
    output = lifted(output)
    node = output.node
    if type(node) is not Node:
        why = why_constant(node)
        remedy = "move what must be differentiated out of there" if why else "make a leaf with requires_grad=True, and compute with tensors from there on"
        raise GradientError(f"backward(): nothing to differentiate, the tensor does not require a gradient{why}\n  remedy: {remedy}")
    if (node.level != 0 or node.fast == NESTED) and not (node.level and outer_tape(node.level)):
        raise GradientError("backward() belongs to the outer tape; inside ab.grad, ab.vjp or ab.jvp return the value and let the transform differentiate it")
    state = current()
    if state.floor > 0 and create_graph:
        raise GradientError("backward(create_graph=True) inside no_grad() would record nothing; move it out, or use ab.enable_grad()")
    seed = conjugated(_seed(output, gradient))
    if create_graph:
        seed = tensor_of(seed)
    else:
        seed = seed.value if isinstance(seed, Tensor) and type(seed.node) is Node else seed
        resume(State(fresh_level(), state.scope, state.watch, state.effects, state.cut))
    try:
        found = sweep([(node, seed)], free=not (retain_graph or create_graph), tape=create_graph)
        with accumulating.lock:
            published = []
            for leaf, g in found.items():
                extra = leaf.extra
                if extra is None:
                    extra = leaf.extras()
                new = tensor_of(conjugated(g))
                published.append((extra, new if extra.gradient is None else extra.gradient + new))
            for extra, total in published:
                extra.gradient = total
    finally:
        if not create_graph:
            resume(state)


def _made(output: Tensor) -> str:
    return f"\n  made by {output.node.title} at {output.node.line}"


def _seed(output: Tensor, gradient: Any) -> Any:
    if gradient is None:
        if output.size != 1:
            raise GradientError(
                f"backward() of a tensor of shape {output.shape} needs a seed: call backward(gradient) with one of that shape, "
                f"or reduce first, as in y.sum().backward(){_made(output)}"
            )
        if output.dtype.kind == "c":
            raise GradientError(
                "backward() of a complex number needs a seed, since only a real loss has a gradient: take ab.real(y), ab.abs(y) or the like, "
                f"or call backward(gradient){_made(output)}"
            )
        return np.ones(output.shape, output.dtype)
    seed = lifted(asarray(gradient))
    if seed.node.level > output.node.level:
        raise GradientError("the seed of backward() belongs to a transform, whose derivative .grad cannot carry; use ab.vjp and its pullback")
    if seed.shape != output.shape:
        raise ShapeError(f"the seed of backward() has shape {seed.shape}, the tensor {output.shape}; they must be equal{_made(output)}")
    if seed.dtype != output.dtype:
        if (seed.dtype.kind == "c" and output.dtype.kind != "c") or (seed.dtype.kind == output.dtype.kind and isinstance(gradient, (Tensor, np.ndarray))):
            raise DtypeError(
                f"the seed of backward() has dtype {seed.dtype}, the tensor {output.dtype}; convert it with .astype('{output.dtype}'){_made(output)}"
            )
        seed = seed.astype(output.dtype)
    return seed if seed.node.level >= 0 else owned(seed)

"""The reverse sweep: cotangents from outputs to leaves, each operation once, without recursion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from autograd_bn.core.complex_values import cast, conjugated
from autograd_bn.core.errors import DtypeError, GradientError, RuleError, ShapeError
from autograd_bn.core.node import Node
from autograd_bn.core.primitive import Primitive, raw
from autograd_bn.core.state import NESTED, State, current, enter, fresh_level, leave
from autograd_bn.core.structural import repeatable, unbroadcast
from autograd_bn.core.tensor import Tensor, asarray, owned, why_constant
from autograd_bn.core.tracing import lifted, outer_tape


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
    seen: set[Node] = set()
    # How many cotangents a node still waits for, where it is more than one; a seed counts as one.
    waiting: dict[Node, int] = {}
    stack: list[Node] = []
    for node, _ in seeds:
        if node in seen:
            waiting[node] = waiting.get(node, 1) + 1
        else:
            seen.add(node)
            stack.append(node)
    while stack:
        for parent in stack.pop().parents:
            if type(parent) is Node:
                if parent in seen:
                    waiting[parent] = waiting.get(parent, 1) + 1
                else:
                    seen.add(parent)
                    stack.append(parent)
    sums: dict[Node, Any] = {}
    ready: list[tuple[Node, Any]] = []
    for node, g in seeds:
        if node in waiting:
            _add(node, g, waiting, sums, ready)
        else:
            ready.append((node, g))
    watch = current().watch
    if watch is not None:
        watch.seeded(seeds)
    found: dict[Node, Any] = {}
    while ready:
        node, g = ready.pop()
        primitive: Any = node.primitive
        parents = node.parents
        if g is not None:
            extra = node.extra
            if extra is not None or primitive is None or not primitive.pointwise:
                if g.shape != node.shape:
                    g = raw.broadcast_to(g, shape=node.shape)
                if extra is not None:
                    if extra.hooks:
                        g = _hooked(node, g)
                    if extra.retain:
                        found[node] = g
                if primitive is None:
                    found[node] = g
                    continue
            saved = node.saved
            if saved is None:
                raise _freed(node)
            if tape:
                saved = _taped(node, saved)
            try:
                gradients = primitive.vjp(g, saved, parents, node.static) if watch is None else watch.pull(node, g, saved)
            except Exception as error:
                _annotate(error, node)
                raise
        else:
            gradients = (None,) * len(parents) if watch is None else watch.pull(node, None, ())
        if free and primitive is not None:
            node.saved = None
        for parent, c in zip(parents, gradients):  # noqa: B905 - the constructors see to it
            if type(parent) is Node:
                if c is not None:
                    try:
                        shape = c.shape
                    except AttributeError:
                        raise RuleError(f"the rule of {node.title} returned a {type(c).__name__}, not an array\n  operation at {node.line}") from None
                    if shape != parent.shape or (node.shape != parent.shape and primitive.pointwise):
                        c = unbroadcast(c, node.shape, parent.shape) if primitive.pointwise else fitted(c, parent, node)
                    if c.dtype is not parent.dtype:
                        c = cast(c, parent.dtype)
                if parent in waiting:
                    _add(parent, c, waiting, sums, ready)
                else:
                    ready.append((parent, c))
    if watch is not None:
        watch.found(found)
    return found


def _add(node: Node, c: Any, waiting: dict[Node, int], sums: dict[Node, Any], ready: list[tuple[Node, Any]]) -> None:
    """Add one of several cotangents of a node, which is ready when all of them have come."""
    if c is not None:
        old = sums.get(node)
        sums[node] = c if old is None else old + c
    left = waiting[node] - 1
    if left:
        waiting[node] = left
    else:
        ready.append((node, sums.pop(node, None)))


def fitted(c: Any, parent: Node, node: Node) -> Any:
    """A cotangent brought to its operand's shape, or to one that only needs repeating; an error if it cannot be."""
    primitive: Primitive = node.primitive  # type: ignore[assignment]
    shape = parent.shape
    if primitive.pointwise:
        return unbroadcast(c, node.shape, shape)
    if c.shape == shape:
        return c
    if primitive.broadcasts:
        return unbroadcast(c, c.shape, shape)
    if primitive.spreads and repeatable(c.shape, shape):
        return c
    raise RuleError(f"the rule of {primitive.name} returned a cotangent of shape {c.shape} for an operand of shape {shape}\n  operation at {node.line}")


def _taped(node: Node, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """The saved values as tensors on the tape they came from, so that the rule itself is recorded."""
    owners = (*node.parents, node)
    return tuple(Tensor(v, p) if v is not None and type(p) is Node else v for v, p in zip(saved, owners, strict=True))


def _hooked(node: Node, g: Any) -> Any:
    hooks = node.extras().hooks or {}
    for hook in list(hooks.values()):
        shown = conjugated(g)
        changed = hook(shown if isinstance(shown, Tensor) else Tensor(shown))
        if changed is not None:
            changed = asarray(changed)
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
        f"call the first one with retain_graph=True, or run the forward pass again\n  operation at {node.line}"
    )


def _annotate(error: Exception, node: Node) -> None:
    if str(node.line) in str(error):
        return
    error.add_note(f"while differentiating {node.title}, shape {node.shape}, dtype {node.dtype}\n  operation at {node.line}")


def backward(output: Tensor, gradient: Any, *, retain_graph: bool, create_graph: bool) -> None:
    """``Tensor.backward``: see there."""
    node = output.node
    if type(node) is not Node:
        why = why_constant(node)
        remedy = "move what must be differentiated out of there" if why else "make a leaf with requires_grad=True"
        raise GradientError(f"backward(): nothing to differentiate, the tensor does not require a gradient{why}\n  remedy: {remedy}")
    if (node.level != 0 or node.fast == NESTED) and not (node.level and outer_tape(node.level)):
        raise GradientError("backward() belongs to the outer tape; inside ab.grad, ab.vjp or ab.jvp return the value and let the transform differentiate it")
    state = current()
    if state.floor > 0 and create_graph:
        raise GradientError("backward(create_graph=True) inside no_grad() would record nothing; move it out, or use ab.enable_grad()")
    seed = conjugated(_seed(output, gradient))
    token = None
    if create_graph:
        seed = seed if isinstance(seed, Tensor) else Tensor(seed)
    else:
        seed = seed.value if isinstance(seed, Tensor) and type(seed.node) is Node else seed
        token = enter(State(fresh_level(), state.scope, state.watch, state.effects, state.cut))
    try:
        found = sweep([(node, seed)], free=not (retain_graph or create_graph), tape=create_graph)
        published = []
        for leaf, g in found.items():
            extra = leaf.extras()
            g = conjugated(g)
            new = g if isinstance(g, Tensor) else Tensor(g)
            published.append((extra, new if extra.gradient is None else extra.gradient + new))
    finally:
        if token is not None:
            leave(token)
    for extra, total in published:
        extra.gradient = total


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

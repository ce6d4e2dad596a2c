"""A compiled program bound to what it reads and changes: inputs are fetched, the kernel runs, effects are committed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.compiler.interpreter import interpreted
from autograd_bn.compiler.passes import lowered
from autograd_bn.compiler.plan import Emitted
from autograd_bn.compiler.shortcut import MISS, changed_arguments, changed_outside, memory_of, shortened
from autograd_bn.compiler.surroundings import Itself
from autograd_bn.compiler.trace import Program, Source
from autograd_bn.core.errors import TraceError
from autograd_bn.core.graph import Graph, GraphNode
from autograd_bn.core.node import Constant, Node
from autograd_bn.core.sweep import accumulating
from autograd_bn.core.tensor import Tensor
from autograd_bn.core.tree import Structure
from autograd_bn.core.views import replay


class Bound:
    """One compiled version of a function."""

    def __init__(self, program: Program, emitter: str) -> None:
        self.graph = program.graph
        self.lowered: Graph = lowered(program.graph, native=emitter == "llvm")
        self.emitted: Emitted = _emit(emitter, self.lowered)
        self._kernel = self.emitted.kernel
        self._program = program
        self._guards = program.guards
        self._ungraded = [source.tensor for source in program.ungraded if source.tensor is not None]
        leaves = [node for node in program.graph.nodes if node.kind == "leaf"]
        self._hidden = [(source, leaf) for source, leaf in zip(program.inputs, leaves, strict=True) if source.tensor is not None]
        self._hooks = [(x, hooks_of(x)) for x in {source.tensor for source, _ in self._hidden} if x is not None and type(x.node) is Node]
        self._closed = {id(source.tensor) for source, _ in self._hidden}
        self._changed, self._outside = changed_arguments(program), changed_outside(program)
        self._accumulates = program.accumulates

    def short(self, structure: Structure, leaves: Sequence[Any]) -> Callable[[tuple[Any, ...]], Any] | None:
        """The short way in for positional arguments of one structure, if there is one."""
        lines = self.emitted.lines
        if lines is None:
            return None
        return shortened(self._program, lines, structure, leaves, _commit, self.unchanged, self._undone if self._ungraded or self._hooks else None)

    def unchanged(self) -> bool:
        """Whether the settings, hooks and gradients that the program is for are as they were."""
        for guard in self._guards:
            if not guard.holds():
                return False
        return self._undone()

    def _undone(self) -> bool:
        """Whether no hook and no gradient has come or gone."""
        for tensor, hooks in self._hooks:
            if hooks_of(tensor) != hooks:
                return False
        return not self._ungraded or all(tensor.grad is None for tensor in self._ungraded)

    def fits(self, arguments: Sequence[Any]) -> bool:
        """Whether what the function closes over is still as it was when it was traced."""
        if not self.unchanged():
            return False
        for source, leaf in self._hidden:
            x = _fetched(source, arguments)
            if x is None or isinstance(x.value, Tensor) or x.value.shape != leaf.shape or x.value.dtype != leaf.dtype or not x.is_leaf:
                return False
        return True

    def run(self, arguments: Sequence[Any]) -> Any:
        """Run, one thread at a time where gradients are added to those from before; `MISS` where these have come or gone since the version was chosen."""
        if not self._accumulates:
            return self._run(arguments)
        with accumulating.lock:
            return self._run(arguments) if self._graded(arguments) else MISS

    def _graded(self, arguments: Sequence[Any]) -> bool:
        """Whether there are the gradients that the program reads, and none that it found to be None."""
        program = self._program
        there = all(_fetched(source, arguments) is not None for source in program.inputs if source.gradient)
        return there and all(_owner(source, arguments).grad is None for source in program.ungraded)

    def _run(self, arguments: Sequence[Any]) -> Any:
        """Fetch the inputs, run the kernel, look at what must be finite, commit the effects, and give the results."""
        program = self._program
        owners = [memory_of(x) for x in arguments] if self._outside or self._changed else []
        if any(id(x) in self._outside for x in owners) or any(id(owners[k]) in self._closed for k in self._changed):
            raise TraceError(
                "a compiled function changes a tensor that it closes over, and got it, or a view of it, as an argument, too: which of the two is meant cannot "
                "be told; pass it, or close over it, but not both"
            )
        for k in self._changed:
            if any(x is owners[k] for i, x in enumerate(owners) if i != k):
                raise TraceError(
                    "a compiled function changes an argument, and got the same tensor, or a view of it, as another one, too: pass it once, or a copy of it"
                )
            if owners[k] is not arguments[k]:
                raise TraceError(
                    f"a compiled function changes an argument, and got a view of shape {arguments[k].shape} of a tensor of shape {owners[k].shape}, which "
                    "would not see it: pass that tensor and take the view inside, or return the new value"
                )
        values = []
        for source in program.inputs:
            x = _fetched(source, arguments)
            values.append(x.value if isinstance(x, Tensor) else np.asarray(x))
        try:
            outputs = self._kernel(*values)
        except Exception:  # noqa: BLE001 - what cannot be computed is told as eager execution does: which operation, of what, on which line
            outputs = interpreted(program.graph, values)
        for check in program.checks:
            if not all(outputs[i] for i in check.flags):
                check.report(*[outputs[i] for i in check.outputs])
        count = program.results
        for source, value in zip(program.writes, outputs[count:], strict=False):
            _commit(source, arguments, np.asarray(value))
        for source in program.cleared:
            _commit(source, arguments, None)
        return program.structure.unflatten(Tensor(np.asarray(value)) for value in outputs[:count])


def hooks_of(leaf: Tensor) -> tuple[Itself, ...]:
    """What is done to the gradient of a leaf."""
    extra = leaf.node.extra
    return () if extra is None or not extra.hooks else tuple(map(Itself, extra.hooks.values()))


def _emit(emitter: str, graph: Graph) -> Emitted:
    if emitter == "llvm":
        from autograd_bn.compiler.llvm_emitter import emit
    else:
        from autograd_bn.compiler.numpy_emitter import emit
    return emit(graph)


def _owner(source: Source, arguments: Sequence[Any]) -> Any:
    return arguments[source.position] if source.tensor is None else source.tensor


def _fetched(source: Source, arguments: Sequence[Any]) -> Any:
    owner = _owner(source, arguments)
    return owner.grad if source.gradient else owner


def _commit(source: Source, arguments: Sequence[Any], value: Any) -> None:
    """Give a tensor, or its gradient, the value that a run computed for it."""
    owner: Tensor = _owner(source, arguments)
    if source.gradient:
        owner.node.extras().gradient = None if value is None else Tensor(value)
        return
    owner.value = value
    if type(owner.node) is Constant:
        owner.node = Constant(value.shape, value.dtype, owner.node.name)
    replay(owner)


def settled(program: Program) -> Program:
    """The program with tensors that it alone holds, because the traced function made them, turned into constants.

    Takes over ``program``: the caller must not keep it, or they are held.
    """
    nodes = list(program.graph.nodes)
    leaves = [node.index for node in nodes if node.kind == "leaf"]
    values = [None if s.tensor is None else s.tensor.value for s in program.inputs]
    inputs, writes, cleared, ungraded = map(_loose, (program.inputs, program.writes, program.cleared, program.ungraded))
    graph, structure, results, checks, guards = program.graph, program.structure, program.results, program.checks, program.guards
    del program
    kept: list[Source] = []
    for index, value, source in zip(leaves, values, inputs, strict=True):
        if found := _living([source]):
            kept += found
        else:
            old = nodes[index]
            nodes[index] = GraphNode(index, "constant", shape=old.shape, dtype=old.dtype, name=old.name, value=np.array(value))
    outputs = list(graph.outputs[:results])
    changed: list[Source] = []
    for index, source in zip(graph.outputs[results:], writes, strict=False):
        if found := _living([source]):
            changed += found
            outputs.append(index)
    moved = len(outputs) - results - len(writes)
    outputs += graph.outputs[results + len(writes) :]
    checks = tuple(check._replace(outputs=tuple(i + moved for i in check.outputs), flags=tuple(i + moved for i in check.flags)) for check in checks)
    return Program(Graph(tuple(nodes), tuple(outputs)), tuple(kept), structure, results, tuple(changed), _living(cleared), _living(ungraded), checks, guards)


_Loose = list[tuple[Source, Callable[[], Tensor | None] | None]]


def _loose(sources: Sequence[Source]) -> _Loose:
    """Sources that do not keep their tensors."""
    return [(source._replace(tensor=None), None if source.tensor is None else weakref.ref(source.tensor)) for source in sources]


def _living(sources: _Loose) -> tuple[Source, ...]:
    """Those whose tensors are still there."""
    found = [(source, None if tensor is None else tensor(), tensor is None) for source, tensor in sources]
    return tuple(source._replace(tensor=tensor) for source, tensor, argument in found if argument or tensor is not None)

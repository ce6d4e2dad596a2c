"""A function's operations, written down by running it once on tensors without values."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.compiler.surroundings import Guard, Surroundings, is_owner
from autograd_bn.core.arrays import Array
from autograd_bn.core.dispatch import explained
from autograd_bn.core.effects import concrete
from autograd_bn.core.errors import DtypeError, GradientError, MutationError, ShapeError, TraceError
from autograd_bn.core.graph import Graph, GraphNode, variable
from autograd_bn.core.levels import HeldLevel
from autograd_bn.core.lines import Line, outside_engine
from autograd_bn.core.node import Constant, Extra, Node
from autograd_bn.core.primitive import Primitive, abstract_of, raw, registry
from autograd_bn.core.state import State, current, enter, fresh_level, leave, located, user_line
from autograd_bn.core.tensor import Tensor, leaf
from autograd_bn.core.tracing import Symbol, Unknown, enter_trace, leave_trace, tracing
from autograd_bn.core.tree import Structure, flatten
from autograd_bn.core.views import is_number, origin, replay
from autograd_bn.core.watch import Watch
from autograd_bn.ops.indexing import is_basic


class Source(NamedTuple):
    """Where an input of a compiled function comes from, and where a changed one goes.

    It is argument ``position``, or a tensor that the function closes over; with ``gradient`` its ``.grad``.
    """

    position: int
    tensor: Tensor | None
    gradient: bool = False


class Check(NamedTuple):
    """Outputs that must be finite before anything is committed; ``flags`` are outputs that say whether each is."""

    outputs: tuple[int, ...]
    flags: tuple[int, ...]
    report: Callable[..., object]


class Program(NamedTuple):
    """What a trace found.

    ``graph`` has a leaf an input, in the order of ``inputs``, and its outputs are, one after the other: the results, the changed
    values of ``writes``, and those of ``checks``. ``cleared`` have their gradient set to None; of ``ungraded`` it was read and found to be None.
    """

    graph: Graph
    inputs: tuple[Source, ...]
    structure: Structure
    results: int
    writes: tuple[Source, ...]
    cleared: tuple[Source, ...]
    ungraded: tuple[Source, ...]
    checks: tuple[Check, ...]
    guards: tuple[Guard, ...]

    @property
    def accumulates(self) -> bool:
        """Whether it gives gradients that may depend on those from before."""
        before = bool(self.ungraded) or any(source.gradient for source in self.inputs)
        return before and any(source.gradient for source in self.writes)


class _Lifted:
    """The tensor that stands for an input, and which input it is.

    Of a leaf, ``gradient`` is the input that its gradient is: None before that is looked at, -1 if there was none.
    """

    __slots__ = ("gradient", "index", "original", "source", "tensor")

    def __init__(self, tensor: Tensor, index: int, source: Source, original: Tensor) -> None:
        self.tensor = tensor
        self.index = index
        self.source = source
        self.original = original
        self.gradient: int | None = None


class _LiftedExtra(Extra):
    """The extras of a lifted leaf. The gradient that it has from before is an input only of a program that looks at it before it gives it another."""

    __slots__ = ("_gradient", "before")

    def __init__(self, original: Extra | None, before: Callable[[], Tensor | None]) -> None:
        super().__init__()
        if original is not None:
            for name in Extra.__slots__:
                if name != "gradient":
                    setattr(self, name, copy.copy(original.hooks) if name == "hooks" else getattr(original, name))
        self.before: Callable[[], Tensor | None] | None = before

    @property
    def gradient(self) -> Tensor | None:
        if self.before is not None:
            self.gradient = self.before()
        return self._gradient

    @gradient.setter
    def gradient(self, gradient: Tensor | None) -> None:
        self._gradient = gradient
        self.before = None


class FunctionTrace:
    """One run of a function on unknown values. See `Trace` in ``core.tracing`` for what the engine asks of it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.surroundings = Surroundings(function)
        self._levels = HeldLevel(), HeldLevel()
        self.level, self.tape = (level.number for level in self._levels)
        self.nodes: list[GraphNode] = []
        self.inputs: list[Source] = []
        self.lifted: dict[int, _Lifted] = {}
        self.checks: list[tuple[list[int], Callable[..., object]]] = []
        self.arrays: list[tuple[Tensor, int]] = []
        """What stands for arguments that are arrays, and their inputs."""
        self._constants: dict[int, tuple[Array, Array, int]] = {}
        self._shared: list[tuple[Tensor, Array]] = []
        self._refusals: list[TraceError] = []

    # What the engine asks

    def lift(self, x: Tensor) -> Tensor:
        """The tensor of the trace that stands for one that has a value."""
        bottom = x
        while isinstance(bottom.value, Tensor):
            bottom = bottom.value
        if type(bottom.node) is Symbol:
            if bottom.node.trace is not self:
                raise escaped(x)
            return x
        known = self.lifted.get(id(x))
        if known is not None:
            return known.tensor
        node = x.node
        if type(node) is Node and (node.level != 0 or node.primitive is not None):
            raise TraceError(
                f"a compiled function closes over a tensor of shape {x.shape} that was made by a recorded operation, {node.title} at {node.line}; "
                f"pass it as an argument, or detach() it\n  at {user_line()}"
            )
        if bottom is not x or type(node) not in (Node, Constant):
            raise TraceError(
                f"a compiled function closes over a tensor of shape {x.shape} of an enclosing transform; pass it as an argument\n  at {user_line()}"
            )
        lifted = self._lift(x, Source(-1, x))
        if type(node) is Constant and node.foreign:
            self._shared.append((x, x.value.copy()))
        lifted.views = None if x.views is None else list(x.views)
        if x.base is not None:
            lifted.base, lifted.path = self.lift(x.base), x.path
        return lifted

    def operation(self, primitive: Primitive, operands: Sequence[Any], static: Mapping[str, Any]) -> Tensor:
        """Write down an operation."""
        if tracing() is not self:
            raise escaped(next(x for x in operands if isinstance(x, Tensor)))
        try:
            shape, dtype = primitive.abstract([abstract_of(x) for x in operands], static)
        except Exception as error:
            raise explained(primitive, operands, static, error) from error
        inputs: list[int] = []
        numbers: list[Any] = []
        for x in operands:
            if isinstance(x, Tensor):
                inputs.append(x.node.index)
                numbers.append(None)
            elif isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
                numbers.append(x)
            else:
                inputs.append(self.constant(np.asarray(x)))
                numbers.append(None)
        scope = current().scope
        frame = outside_engine(sys._getframe(1))
        line = Line(frame.f_code, frame.f_lasti)
        index = len(self.nodes)
        self.nodes.append(
            GraphNode(index, "operation", primitive, tuple(inputs), static, shape, np.dtype(dtype), variable(line), scope, located(line, scope), tuple(numbers))
        )
        first = operands[0]
        memory = None
        if primitive.aliases and isinstance(first, Tensor) and _is_view(static, shape):
            memory = first.value if first.value.base is None else first.value.base
        return Tensor(Unknown(shape, dtype, memory), Symbol(self.level, self, index))

    def assign(self, target: Tensor, value: Any) -> None:
        """Give a lifted leaf or constant another value."""
        target = self.lift(target)
        bottom = target.value if isinstance(target.value, Tensor) else target
        if origin(target)[0] is not target:
            raise MutationError(f"assign to a view of shape {target.shape}: write view[...] = value, which its base sees too\n  at {user_line()}")
        if type(target.node) is Node and (target.node.primitive is not None or target.node.level != self.tape):
            raise MutationError(f"assign to a tensor that is no leaf would contradict its history\n  at {user_line()}")
        new = self._bottom(value)
        if new.shape != bottom.shape:
            raise ShapeError(f"assign: the target has shape {bottom.shape}, the value {new.shape}; they must be equal\n  at {user_line()}")
        if new.dtype != bottom.dtype:
            if not np.can_cast(new.dtype, bottom.dtype, "same_kind"):
                raise DtypeError(f"assign: a value of dtype {new.dtype} does not fit a target of dtype {bottom.dtype}; convert it first\n  at {user_line()}")
            new = raw.astype(new, dtype=bottom.dtype)
        if type(target.node) is Node:
            target.value = new
        else:
            target.value, target.node = new.value, new.node
        replay(target)

    def require_finite(self, values: Sequence[Any], report: Callable[..., object]) -> None:
        """Have the values looked at after each run."""
        self.checks.append(([self._bottom(x).node.index for x in values], report))

    def refused(self, error: TraceError) -> None:
        """Something asked for a value; whatever becomes of the error, the trace is not what the function does."""
        self._refusals.append(error)

    def depends(self, owner: Any) -> None:
        """The program depends on the plain attributes of an object."""
        self.surroundings.depend(owner)

    # Building

    def constant(self, value: Array) -> int:
        """The node of an array that is part of the program, as it is now: the function may write into it later."""
        known = self._constants.get(id(value))
        if known is None or not _same_bits(known[1], value):
            index = len(self.nodes)
            copied = value.copy()
            self.nodes.append(GraphNode(index, "constant", shape=value.shape, dtype=value.dtype, value=copied))
            known = self._constants[id(value)] = (value, copied, index)
        return known[2]

    def argument(self, position: int, x: Any) -> Tensor:
        """What the function gets for an array, or a tensor that is a leaf or constant."""
        source = Source(position, None)
        if isinstance(x, Tensor):
            return self._lift(x, source)
        index = self._input(np.asarray(x), source, None)
        tensor = Tensor(*self._symbol(index))
        if isinstance(x, np.ndarray):  # a number of NumPy's is never written into
            self.arrays.append((tensor, index))
        return tensor

    def _lift(self, x: Tensor, source: Source) -> Tensor:
        """A tensor that stands for the value of x; that of a leaf is a leaf, on the tape of the trace."""
        index = self._input(x.value, source, x.name)
        lifted = Tensor(*self._symbol(index))
        if type(x.node) is Node:
            lifted = leaf(lifted, self.tape, x.name)
        held = _Lifted(lifted, index, source, x)
        if type(x.node) is Node:
            if x.node.extra is not None and x.node.extra.hooks:
                self.surroundings.reach(*x.node.extra.hooks.values())
            lifted.node.extra = _LiftedExtra(x.node.extra, functools.partial(self._gradient, held))
        # Of an argument the tensor is the function's own; one that it closes over is found again by its identity.
        self.lifted[id(x if source.tensor is not None else lifted)] = held
        return lifted

    def _gradient(self, held: _Lifted) -> Tensor | None:
        """What stands for the gradient that a leaf had before the trace."""
        extra = held.original.node.extra
        gradient = None if extra is None else extra.gradient
        if gradient is None:
            held.gradient = -1
            return None
        held.gradient = self._input(gradient.value, held.source._replace(gradient=True), None)
        return Tensor(*self._symbol(held.gradient))

    def _input(self, value: Any, source: Source, name: str | None) -> int:
        index = len(self.nodes)
        self.nodes.append(GraphNode(index, "leaf", shape=value.shape, dtype=value.dtype, name=name))
        self.inputs.append(source)
        return index

    def _symbol(self, index: int) -> tuple[Unknown, Symbol]:
        node = self.nodes[index]
        assert node.shape is not None
        assert node.dtype is not None
        return Unknown(node.shape, node.dtype), Symbol(self.level, self, index, node.name)

    def _bottom(self, x: Any) -> Tensor:
        """The traced tensor under a value, whatever levels lie above it."""
        if isinstance(x, Tensor):
            x = self.lift(x)
            while isinstance(x, Tensor) and type(x.node) is not Symbol:
                if not isinstance(x.value, Tensor) or type(x.node) not in (Node, Constant):
                    concrete(x)  # a batch, or a dual of one
                x = x.value
            return x  # type: ignore[no-any-return]
        return Tensor(*self._symbol(self.constant(np.asarray(x))))

    def _result(self, x: Any) -> int:
        """The index of a result. Raises GradientError if a gradient would have to flow into it from outside."""
        if not isinstance(x, Tensor):
            value = np.asarray(x)
            if value.dtype.kind not in "biufc":
                raise TraceError(f"a compiled function returns tensors, arrays and numbers in containers, got a {type(x).__name__}; return it beside the call")
            return self.constant(value)
        if type(x.node) is Node and x.node.primitive is not None and x.node.saved is not None:
            raise GradientError(
                f"a compiled function returns a tensor of shape {x.shape}, made by {x.node.title}, that requires a gradient; a gradient cannot flow back "
                "into it from outside. Compile the whole step with backward() or ab.grad inside, return x.detach(), or call it inside ab.no_grad()"
                f"\n  made at {x.node.line}"
            )
        return int(self._bottom(x).node.index)

    def finish(self, out: Any) -> Program:
        """The program, once the function has returned."""
        if self._refusals:
            raise TraceError(f"{self._refusals[0]}\n  (the function caught this error, and went on otherwise than it does when it is not compiled)")
        if self.surroundings.drawn():
            raise TraceError(
                "a compiled function drew random numbers of NumPy's or Python's, or items of an iterator, which would be the same in each call: draw "
                "numbers with ab.nn.Generator, or draw outside, and pass what was drawn as an argument"
            )
        for x, before in self._shared:
            if not _same_bits(x.value, before):
                raise TraceError(
                    f"while a compiled function was traced, something wrote into the array of NumPy's that a tensor of shape {x.shape} shares memory with "
                    "(ab.asarray): that would happen only then. Make a tensor of a copy, with ab.tensor, for each value"
                )
        leaves, structure = flatten(out)
        results = [self._result(x) for x in leaves]
        writes: list[tuple[Source, int]] = []
        cleared: list[Source] = []
        ungraded: list[Source] = []
        for tensor, index in self.arrays:
            if self._bottom(tensor).node.index != index:
                raise TraceError(
                    f"a compiled function writes into an argument of shape {tensor.shape} that is an array of NumPy's: pass a tensor, or return the new value"
                )
        for held in list(self.lifted.values()):
            tensor = held.tensor
            if tensor.base is None:
                index = self._bottom(tensor).node.index
                if index != held.index:
                    writes.append((held.source, index))
            if type(held.original.node) is Node:
                extra = tensor.node.extra
                slot = held.source._replace(gradient=True)
                if held.gradient == -1:
                    ungraded.append(held.source)
                if type(extra) is _LiftedExtra and extra.before is not None:
                    continue
                if extra is None or extra.gradient is None:
                    if held.gradient != -1:
                        cleared.append(slot)
                elif (index := self._bottom(extra.gradient).node.index) != held.gradient:
                    writes.append((slot, index))
        outputs = [*results, *(index for _, index in writes)]
        checks = []
        for indices, report in self.checks:
            start, count = len(outputs), len(indices)
            checks.append(Check(tuple(range(start, start + count)), tuple(range(start + count, start + 2 * count)), report))
            outputs += [*indices, *map(self._all_finite, indices)]
        graph = Graph(tuple(self.nodes), tuple(outputs))
        return Program(
            graph,
            tuple(self.inputs),
            structure,
            len(results),
            tuple(source for source, _ in writes),
            tuple(cleared),
            tuple(ungraded),
            tuple(checks),
            tuple(self.surroundings.guards),
        )

    def _all_finite(self, index: int) -> int:
        """The node that says whether all elements of a value are finite."""
        shape = self.nodes[index].shape or ()
        flag = np.dtype(bool)
        count = len(self.nodes)
        self.nodes.append(GraphNode(count, "operation", registry["isfinite"], (index,), shape=shape, dtype=flag, constants=(None,)))
        axes = {"axis": tuple(range(len(shape))), "keepdims": False}
        self.nodes.append(GraphNode(count + 1, "operation", registry["all"], (count,), axes, (), flag, constants=(None,)))
        return count + 1

    def close(self) -> None:
        """Let go of the tensors that were lifted: those of the trace lead here, and those whose gradient nobody looked at to themselves."""
        for held in self.lifted.values():
            if type(held.original.node) is Node and type(held.tensor.node.extra) is _LiftedExtra:
                held.tensor.node.extra.before = None
        self.lifted.clear()
        self.inputs.clear()


def _is_view(static: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether the result of an operation that may share memory does: with an array among the indices it is a copy, and so is a number that is taken out."""
    return "index" not in static or (is_basic(static["index"]) and not is_number(static["index"], shape))


def _same_bits(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def escaped(x: Tensor) -> TraceError:
    """The error for a traced tensor that is used after its trace."""
    return TraceError(
        f"a tensor of shape {x.shape} without a value came out of a function that was compiled by ab.jit by another way than being returned; "
        f"return it, or give it to a tensor with ab.assign\n  at {user_line()}"
    )


def trace(function: Callable[..., Any], leaves: Sequence[Any], dynamic: Sequence[int], structure: Structure, whole: type | tuple[()]) -> Program:
    """Run a function on unknown values in the place of the ``dynamic`` ones among the leaves of its arguments; what is ``whole`` is a leaf."""
    run = FunctionTrace(function)
    token = enter_trace(run)
    state = current()
    surroundings = enter(State(0 if state.floor == 0 else fresh_level(), state.scope, Watch(()), state.effects, state.cut))
    try:
        inner = list(leaves)
        for position, i in enumerate(dynamic):
            inner[i] = run.argument(position, leaves[i])
        for x in inner:
            if not isinstance(x, Tensor):
                (run.depends if is_owner(x) else run.surroundings.reach)(x)
        args, kwargs = structure.unflatten(inner)
        out = function(*args, **kwargs)
        found, changed = flatten((args, kwargs), whole)
        if changed != structure or any(x is not y for x, y in zip(found, inner, strict=True)):
            raise TraceError(
                "a compiled function changes a list, dict or other container that it got as an argument, which would happen only while it is traced: "
                "return what is new, or write into a tensor"
            )
        del inner, found, args, kwargs
        return run.finish(out)
    finally:
        run.close()
        leave(surroundings)
        leave_trace(token)

"""The way of every operation that is not on the operators' fast path: run it, and record it where a gradient is required."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autograd_bn.core import primitive as primitives
from autograd_bn.core.arrays import no_array
from autograd_bn.core.complex_values import cast
from autograd_bn.core.errors import AutogradError, DtypeError, GradientError, OperationError, RuleError
from autograd_bn.core.levels import escaped, open_levels
from autograd_bn.core.lines import Line, caller_line, outside_engine
from autograd_bn.core.node import CONSTANT, DIFFERENTIATED, FOREIGN, NO_STATIC, Batch, Constant, Dual, Node, next_age
from autograd_bn.core.primitive import Primitive, abstract_of
from autograd_bn.core.state import NESTED, State, current, user_line
from autograd_bn.core.tensor import Tensor, is_foreign, snapshot
from autograd_bn.core.tracing import Symbol, tracing
from autograd_bn.core.views import track
from autograd_bn.core.watch import UNSEEN, begin

_getframe = sys._getframe
_new = object.__new__
_NUMBERS = (float, int, bool, complex)


def apply(primitive: Primitive, operands: Sequence[Any], static: Mapping[str, Any] = NO_STATIC) -> Tensor:
    """Run a primitive on tensors, arrays and numbers; record it if an operand requires a gradient.

    Raises the subclass of AutogradError that fits, naming the operation, shapes, dtypes and the line.
    """
    state = current()
    gate = state.gate
    level = -1
    for x in operands:
        if type(x) is Tensor and x.node.fast > level:
            level = x.node.fast
    if level >= NESTED or gate > NESTED:
        return _general(primitive, operands, static, state)
    values = []
    parents: list[Any] = []
    mask = 0
    bit = 1
    for x in operands:
        if type(x) is Tensor:
            node = x.node
            if node.fast >= gate:
                if node.fast != level:
                    return _general(primitive, operands, static, state)
                mask |= bit
            values.append(x.value)
            parents.append(node)
        else:
            x, node = constant(x, primitive)
            values.append(x)
            parents.append(node)
        bit <<= 1
    try:
        out = primitive.forward(*values, **static)
        if type(out) is not np.ndarray:
            out = returned(out)
    except Exception as error:
        raise explained(primitive, values, static, error) from error
    if not mask or not primitive.differentiable or out.dtype.kind not in "fc":
        result = Tensor(out, unrecorded(primitive, parents, mask, out))
    else:
        result = recorded(primitive, values, parents, mask, out, static, level, state)
    if primitive.aliases and type(operands[0]) is Tensor:
        track(result, operands[0], primitive, static)
    return result


def returned(out: Any) -> Any:
    """What a forward returned: an array, which of Python's numbers may be one itself. Raises RuleError for anything else."""
    if isinstance(out, (np.ndarray, np.generic)):
        return out
    if type(out) in _NUMBERS:
        return np.asarray(out)
    raise RuleError(f"its function returned a {type(out).__name__}, not an array: write it in NumPy's functions")


def recorded(primitive: Primitive, values: list[Any], parents: list[Any], mask: int, out: Any, static: Mapping[str, Any], level: int, state: State) -> Tensor:
    """The result of an operation, recorded on the tape of a level for the operands in ``mask``."""
    kept = primitive.kept(mask, len(values))
    saved: list[Any] = []
    for i, value in enumerate(values):
        if not mask >> i & 1 and parents[i].__class__ is Node:
            parents[i] = CONSTANT
        if not kept[i]:
            saved.append(None)
        elif parents[i].__class__ is Constant and parents[i].foreign:
            saved.append(value.copy())
        else:
            saved.append(value)
    saved.append(out if kept[-1] else None)
    node = Node()
    node.age = next_age()
    node.primitive = primitive
    node.parents = tuple(parents)
    node.saved = tuple(saved)
    node.static = static
    node.level = level
    node.fast = NESTED if type(out) is Tensor else level
    node.shape = out.shape
    node.dtype = out.dtype
    node.scope = state.scope
    frame = outside_engine(_getframe(2))
    node.code = frame.f_code
    node.offset = frame.f_lasti
    node.extra = None
    if state.watch is not None:
        state.watch.recorded(node, values, out)
    result = _new(Tensor)
    result.value = out
    result.node = node
    result.base = result.views = None
    return result


def constant(x: Any, primitive: Primitive) -> tuple[Any, Any]:
    """A value and its parent entry, for an operand that is not a tensor."""
    if type(x) in _NUMBERS:
        return x, x
    try:
        value = np.asarray(x)
    except ValueError as error:
        raise no_array(x, error) from None
    if value.dtype.kind not in "biufc":
        got = f"an array of dtype {value.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise DtypeError(f"{primitive.name}: operands are tensors, arrays or numbers, got {got}\n  at {user_line()}")
    return value, Constant(value.shape, value.dtype, None, is_foreign(x))


def unrecorded(primitive: Primitive, parents: Sequence[Any], recordable: int, out: Any) -> Constant:
    """The node of a result that is not recorded: it passes on where the graph was cut."""
    state = current()
    if state.cut is not None or recordable:
        for parent in parents:
            if type(parent) in DIFFERENTIATED:
                if state.cut is not None:
                    return Constant(out.shape, out.dtype, None, False, "no_grad()", state.cut())  # type: ignore[arg-type]
                return Constant(out.shape, out.dtype, None, False, f"{primitive.name}, which has no derivative,", caller_line(2))
    foreign = False
    for parent in parents:
        if type(parent) is Constant:
            if parent.reason is not None:
                return Constant(out.shape, out.dtype, None, parent.foreign and primitive.aliases, parent.reason, parent.line)
            foreign = foreign or parent.foreign
    return FOREIGN if foreign and primitive.aliases else CONSTANT


def stripped(x: Any, floor: int) -> tuple[Any, Any, bool]:
    """A tensor without the tapes and tangents that end below ``floor``: what is left, its node, and whether one ended there."""
    node: Any = CONSTANT
    ended = False
    while isinstance(x, Tensor):
        node = x.node
        if node.level < floor and type(node) in DIFFERENTIATED:
            ended = True
        elif node.level >= 0:
            if node.level not in open_levels:
                raise _escaped(x)
            break
        x = x.value
    return x, node, ended


def _escaped(x: Tensor) -> GradientError:
    if type(x.node) is Batch:
        return escaped(x.shape, "ab.vmap", "", "return it from the mapped function")
    made = f", made by {x.node.title} at {x.node.line}," if type(x.node) is Node else ""
    transform = "ab.jvp" if type(x.node) is Dual else "ab.grad, ab.value_and_grad or ab.vjp"
    return escaped(x.shape, transform, made, "keep x.detach() of it, or return it, from ab.grad by has_aux=True")


def _general(primitive: Primitive, operands: Sequence[Any], static: Mapping[str, Any], state: State) -> Tensor:
    """Any mixture of levels: the highest one handles the operation, on values of the levels below."""
    trace = tracing()
    if trace is not None:
        operands = [trace.lift(x) if isinstance(x, Tensor) else x for x in operands]
    values = []
    parents = []
    cut = False
    for x in operands:
        if isinstance(x, Tensor):
            x, node, ended = stripped(x, state.floor)
            cut = cut or ended
        else:
            x, node = constant(x, primitive)
        values.append(x)
        parents.append(node)
    out = _evaluate(primitive, values, parents, static, state)
    if not isinstance(out, Tensor):
        out = Tensor(out, unrecorded(primitive, parents, cut or any(type(p) in DIFFERENTIATED for p in parents), out))
    if primitive.aliases and type(operands[0]) is Tensor:
        track(out, operands[0], primitive, static)
    return out


def _evaluate(primitive: Primitive, operands: Sequence[Any], parents: Sequence[Any], static: Mapping[str, Any], state: State) -> Any:
    """Like `_general`, for operands that are arrays, numbers or live tensors; an array where nothing is live."""
    level = max((x.node.level for x in operands if isinstance(x, Tensor)), default=-1)
    if level < 0:
        return _run(primitive, operands, parents, static, state)
    here = [isinstance(x, Tensor) and x.node.level == level for x in operands]
    kind = next(x.node.__class__ for x, h in zip(operands, here, strict=True) if h)
    if kind is Symbol:
        return next(x.node.trace for x, h in zip(operands, here, strict=True) if h).operation(primitive, operands, static)
    lower = [x.value if h else x for x, h in zip(operands, here, strict=True)]
    below = [None if h else p for p, h in zip(parents, here, strict=True)]
    origins = [x.node if h else p for x, h, p in zip(operands, here, parents, strict=True)]
    if kind is Node:
        out = _lower(primitive, lower, origins, static, state)
        if not primitive.differentiable or out.dtype.kind not in "fc":
            return out
        nodes = [x.node if h else lower_parent(x, p) for x, h, p in zip(operands, here, below, strict=True)]
        mask = sum(1 << i for i, h in enumerate(here) if h)
        return recorded(primitive, unwritten(lower), nodes, mask, out, static, level, state)
    watch = state.watch
    if kind is Dual:
        out = _lower(primitive, lower, origins, static, state)
        if primitive.jvp is None or out.dtype.kind not in "fc":
            return out
        tangents = [x.node.tangent if h else None for x, h in zip(operands, here, strict=True)]
        start = UNSEEN if watch is None else begin()
        tangent = primitive.jvp(tangents, lower, out, static)
        if watch is not None and tangent is not None:
            watch.saw("tangent", primitive, (*lower, *tangents), tangent, origins, start, state.scope)
        return out if tangent is None else Tensor(out, Dual(level, unwrapped(cast(tangent, out.dtype))))
    size = next(x.node.size for x, h in zip(operands, here, strict=True) if h)
    start = UNSEEN if watch is None else begin()
    try:
        out = unwrapped(primitive.batch(lower, here, static))
    except AutogradError:
        raise
    except Exception as error:
        raise explained(primitive, operands, static, error) from error
    if watch is not None:
        watch.saw("forward", primitive, lower, out, origins, start, state.scope)
    return Tensor(out, Batch(level, size))


def unwritten(lower: Sequence[Any]) -> list[Any]:
    """Values to save. A tensor of a lower level is the user's own, who may write into it later: what is saved keeps the value of now."""
    return [snapshot(x) if isinstance(x, Tensor) else x for x in lower]


def _lower(primitive: Primitive, lower: Sequence[Any], origins: Sequence[Any], static: Mapping[str, Any], state: State) -> Any:
    if any(isinstance(x, Tensor) for x in lower):
        return unwrapped(_general(primitive, lower, static, state))
    return _run(primitive, lower, origins, static, state)


def _run(primitive: Primitive, operands: Sequence[Any], origins: Sequence[Any], static: Mapping[str, Any], state: State) -> Any:
    """The forward on plain arrays."""
    watch = state.watch
    start = UNSEEN if watch is None else begin()
    try:
        out = returned(primitive.forward(*operands, **static))
    except Exception as error:
        raise explained(primitive, operands, static, error) from error
    if watch is not None:
        watch.saw("forward", primitive, operands, out, origins, start, state.scope)
    return out


def lower_parent(x: Any, parent: Any) -> Any:
    """The parent entry of an operand that is not on the tape that records: a value of a lower level, or what it was given as."""
    if isinstance(x, Tensor):
        return Constant(x.shape, x.dtype)
    return parent if parent is not None and type(parent) is not Node else CONSTANT


def unwrapped(x: Any) -> Any:
    """The array of a constant tensor; anything live as it is."""
    while isinstance(x, Tensor) and x.node.level < 0:
        x = x.value
    return x


def explained(primitive: Primitive, operands: Sequence[Any], static: Mapping[str, Any], error: Exception, line: Line | None = None) -> Exception:
    """The error that a user gets for a forward that failed: operation, shapes, dtypes, line (the one that called unless given), cause."""
    described = ", ".join(describe(x) for x in operands)
    options = "".join(f", {key}={value!r}" for key, value in static.items())
    if line is None:
        line = caller_line(2)
        if line.inside:
            line = user_line()
    cause: BaseException = error
    if not isinstance(error, AutogradError):
        try:
            primitive.abstract([abstract_of(x) for x in operands], static)
        except AutogradError as found:
            cause = found.with_traceback(None)  # its frames hold this one, and this one would hold it
        except Exception:  # noqa: BLE001 - the first error is the one to report
            cause = error
    kind = type(cause) if isinstance(cause, AutogradError) else DtypeError if isinstance(error, TypeError) else OperationError
    return kind(f"{primitive.name}({described}{options}): {cause}\n  at {line}")


def describe(x: Any) -> str:
    """A value's dtype and shape, or the number itself."""
    if type(x) in _NUMBERS:
        return repr(x)
    return f"{x.dtype}{list(x.shape)}"


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy's functions on tensors: recorded where there is a primitive, else refused."""
    primitive = _of_ufunc.get(ufunc)
    if options.get("out") is not None:
        raise DtypeError(f"np.{ufunc.__name__} cannot write a tensor into an array (out= or {ufunc.__name__} in place): the gradient would be dropped")
    if primitive is None or method != "__call__" or options:
        used = ufunc.__name__ + ("" if method == "__call__" else f".{method}") + (f" with {sorted(options)}" if options else "")
        raise DtypeError(f"np.{used} has no recorded counterpart for tensors; use the functions of autograd_bn, or .detach().numpy() for the values alone")
    return apply(primitive, inputs)


_of_ufunc: dict[np.ufunc, Primitive] = {}


def serve_ufunc(ufunc: Callable[..., Any], primitive: Primitive) -> None:
    """Let ``ufunc(tensor)`` run the primitive."""
    if isinstance(ufunc, np.ufunc):
        _of_ufunc.setdefault(ufunc, primitive)


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
primitives.apply = apply

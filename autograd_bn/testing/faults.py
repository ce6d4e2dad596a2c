"""Which operation of a recorded graph is at fault: every operation's own rule, checked at the operands it was recorded with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.complex_values import cast
from autograd_bn.core.errors import AutogradError
from autograd_bn.core.node import Constant, Node
from autograd_bn.core.primitive import Primitive, raw
from autograd_bn.core.state import no_effects
from autograd_bn.core.sweep import fitted
from autograd_bn.core.tensor import Tensor, array_of
from autograd_bn.core.watch import Observer, observed
from autograd_bn.testing.causes import Evidence, likely_cause
from autograd_bn.testing.differences import central_slope
from autograd_bn.testing.reference import COMPLEX_STEP, complex_slope, infinite_slope, tolerance
from autograd_bn.testing.subject import Subject
from autograd_bn.transforms import vjp

ELEMENTS = 64
WRONG_TERM = "a term is missing or wrong:"
CONJUGATE = "a conjugate is missing or too many (the gradient of a holomorphic f is g·conj(f′)), or a term is missing or wrong:"


class Fault(NamedTuple):
    """Where, and why."""

    operation: str
    cause: str


class _Recorded(NamedTuple):
    node: Node
    operands: list[Any]
    out: Array


class _Recorder(Observer):
    def __init__(self) -> None:
        self.rows: list[_Recorded] = []

    def recorded(self, node: Node, operands: Sequence[Any], out: Any, rule: Node | None) -> None:
        if rule is None:
            self.rows.append(_Recorded(node, [np.array(x) if isinstance(x, np.ndarray) else x for x in operands], np.array(out)))


def find_fault(subject: Subject, evidence: Evidence | None, forward: bool = False) -> Fault:
    """The first operation whose rule is wrong by itself; if none is, what else explains the numbers."""
    recorder = _Recorder()
    with no_effects(), observed(recorder):
        results, _ = vjp(subject, *subject.inputs)
    rows = [row for row in recorder.rows if not any(isinstance(x, Tensor) for x in (*row.operands, row.out))]
    lost = evidence is not None and not np.isfinite(evidence.actual).all()
    for count, row in enumerate(rows, 1):
        if _complex(row):
            continue
        if lost and (cause := _infinite(row)):
            return Fault(_where(row, count, len(rows)), cause)
        cause = _wrong_tangent(row, subject) if forward else _wrong_rule(row, subject)
        if cause:
            return Fault(_where(row, count, len(rows)), cause)
    if evidence is None:
        return Fault("", "")
    cut = next((c for row in rows for c in row.node.parents if type(c) is Constant and c.reason is not None), None)
    if cut is None:
        cut = next((y.node for y in results if type(y.node) is Constant and y.node.reason is not None), None)
    if cut is not None:
        reason = str(cut.reason).removesuffix(",")
        return Fault("", f"the graph was cut by {reason}, so a term is missing (if that is meant, check the function without it)\nat {cut.line}")
    unsearched = dict.fromkeys(row.node.title for row in rows if _complex(row))
    if unsearched:
        where = f"perhaps {', '.join(unsearched)}: the rules for complex numbers are not looked at one by one"
        return Fault(where, likely_cause(evidence).replace(WRONG_TERM, CONJUGATE))
    return Fault("", ("" if forward else _dropped(rows, evidence)) or likely_cause(evidence))


def _complex(row: _Recorded) -> bool:
    """Whether complex numbers take part, for which the references here are not made."""
    return any(isinstance(x, (np.ndarray, complex)) and np.iscomplexobj(x) for x in (*row.operands, row.out))


def _where(row: _Recorded, place: int, count: int) -> str:
    node = row.node
    shapes = ", ".join(f"{list(x.shape)}" if isinstance(x, np.ndarray) else repr(np.asarray(x).item()) for x in row.operands)
    which = "the only operation" if count == 1 else f"number {place} of {count}"
    line = node.line
    text = f": {line.text}" if line.text else ""
    here = os.path.join(os.getcwd(), "")
    return f"{node.title}({shapes}), {which} in the graph\nat {line.file.removeprefix(here)}:{line.number}{text}"


def _wrong_rule(row: _Recorded, subject: Subject) -> str:
    """What is wrong with the rule of one node, or nothing."""
    node = row.node
    for saved, operand in zip(node.saved or (), (*row.operands, row.out), strict=False):
        if isinstance(saved, np.ndarray) and isinstance(operand, np.ndarray) and not np.array_equal(saved, operand, equal_nan=True):
            return "a stale buffer: what was saved for the backward pass is not what the operation was given"
    g = subject.normal(row.out)
    kept = g.copy()
    try:
        first = _pulled(node, g)
        if not np.array_equal(g, kept):
            return "the rule writes in place into its cotangent"
        _pulled(node, subject.normal(row.out))
        again = _pulled(node, g)
    except AutogradError as error:
        return "broadcast not summed, or transposed: " + str(error).splitlines()[0] if "shape" in str(error) else str(error).splitlines()[0]
    for a, b in zip(first, again, strict=True):
        if a is not None and b is not None and not np.array_equal(a, b, equal_nan=True):
            return "a stale buffer: the rule gives other cotangents when it is called again"
    right: list[tuple[Array, Array, str] | None] = []
    for i, (parent, a) in enumerate(zip(node.parents, first, strict=True)):
        right.append(None if type(parent) is not Node else _right(row, i, a, g))
    for i, found in enumerate(right):
        if found is None:
            continue
        a, r, method = found
        if not _close(a, r, row, method):
            others = tuple((o[0], o[1]) for k, o in enumerate(right) if o is not None and k != i)
            return likely_cause(_evidence(row, i, a, r, g, others))
    return ""


def _pulled(node: Node, g: Array) -> list[Array | None]:
    primitive: Primitive = node.primitive  # type: ignore[assignment]
    assert primitive.vjp is not None
    with no_effects():
        found = primitive.vjp(g, node.saved, node.parents, node.static)
    out: list[Array | None] = []
    for parent, c in zip(node.parents, found, strict=True):
        if type(parent) is not Node or c is None:
            out.append(None)
        else:
            c = cast(raw.broadcast_to(fitted(c, parent, node), shape=parent.shape), parent.dtype)
            out.append(np.array(array_of(c)))
    return out


def _forward(row: _Recorded, operands: Sequence[Any]) -> Array:
    primitive: Primitive = row.node.primitive  # type: ignore[assignment]
    with no_effects():
        return np.ravel(array_of(primitive.forward(*operands, **row.node.static)))


def _line(row: _Recorded, i: int, direction: Array) -> Callable[[Any], Array]:
    def at(t: Any) -> Array:
        operands = [np.asarray(x, float) if _real(x) else x for x in row.operands]
        operands[i] = operands[i] + t * direction
        return _forward(row, operands)

    return at


def _real(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _derivative(line: Callable[[Any], Array], analytic: bool) -> tuple[Array, str]:
    if analytic:
        found = complex_slope(line)
        if found is not None:
            return found.value, COMPLEX_STEP
    slope = central_slope(line)
    return slope.value, slope.method


def _right(row: _Recorded, i: int, a: Array | None, g: Array) -> tuple[Array, Array, str]:
    """Autodiff's cotangent of one operand and the right one, at the elements that are compared."""
    x = np.asarray(row.operands[i], float)
    weights = np.ravel(g).astype(float)
    given = np.zeros(x.shape) if a is None else a
    analytic = _analytic(row, i)
    if x.size > ELEMENTS:
        rng = np.random.default_rng(0)
        directions = rng.choice([-1.0, 1.0], (8, *x.shape))
        values = [_derivative(_line(row, i, d), analytic) for d in directions]
        method = values[0][1]
        return np.array([np.sum(given * d) for d in directions]), np.array([weights @ v for v, _ in values]), method
    out = np.zeros(x.shape)
    method = ""
    for index in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[index] = 1.0
        value, method = _derivative(_line(row, i, unit), analytic)
        out[index] = weights @ value
    return given, out, method


def _analytic(row: _Recorded, i: int) -> bool:
    line = _line(row, i, np.cos(1.0 + np.arange(np.size(row.operands[i]))).reshape(np.shape(row.operands[i])))
    found = complex_slope(line)
    if found is None:
        return False
    check = central_slope(line)
    return bool(np.all(np.abs(found.value - check.value) <= 1e-6 * np.max(np.abs(check.value), initial=0.0) + 10 * check.error + 1e-12))


def _infinite(row: _Recorded) -> str:
    """That the derivative itself is infinite at an element of an operand, where it is and the rule says so."""
    try:
        pulled = _pulled(row.node, np.ones_like(row.out))
    except AutogradError:
        return ""
    for i, a in enumerate(pulled):
        if a is None:
            continue
        for index in map(tuple, np.argwhere(~np.isfinite(a))):
            unit = np.zeros(a.shape)
            unit[index] = 1.0
            slope = float(infinite_slope(_line(row, i, unit)).sum())
            if np.isfinite(row.operands[i][index]) and not np.isfinite(slope) and a[index] != -slope:
                where = f" at {list(map(int, index))}" if index else ""
                return (
                    f"the derivative of {row.node.title} is infinite where its operand{where} is {row.operands[i][index]:g}, and 0 times it is NaN: keep the "
                    "operand away from there, by ab.where or a small ε, or choose another point"
                )
    return ""


def _close(a: Array, r: Array, row: _Recorded, method: str) -> bool:
    dtypes = [x.dtype for x in (*row.operands, row.out) if _real(x)]
    allowed = 4 * max(tolerance(d).of(method) for d in dtypes)
    scale = np.nanmax(np.abs(r), initial=0.0) + 1e-3 * np.max(np.abs(row.out), initial=0.0)
    with np.errstate(all="ignore"):
        return bool(np.all((np.abs(a - r) <= allowed * scale) | ~np.isfinite(r)))


def _evidence(row: _Recorded, i: int, a: Array, r: Array, g: Array, others: tuple[tuple[Array, Array], ...]) -> Evidence:
    shapes = (*(x.shape for x in row.operands if isinstance(x, np.ndarray)), row.out.shape)
    x = row.operands[i]
    whole = _unsummed(row, i, g) if r.shape == x.shape else None

    def swapped() -> Array | None:
        if len(row.operands) != 2 or r.shape != x.shape:
            return None
        exchanged = row._replace(operands=row.operands[::-1])
        try:
            return _right(exchanged, i, None, g)[1]
        except Exception:  # noqa: BLE001 - operands that cannot be exchanged
            return None

    return Evidence(a, r, shapes, others, whole, swapped)


def _unsummed(row: _Recorded, i: int, g: Array) -> Array | None:
    """The right cotangent of an operand that had been broadcast beforehand, where the operation broadcasts."""
    primitive: Primitive = row.node.primitive  # type: ignore[assignment]
    x, shape = row.operands[i], row.out.shape
    if primitive.name == "broadcast_to":
        return g
    if primitive.pointwise:
        wide = shape
    elif primitive.broadcasts and len(shape) > 2 <= x.ndim:
        wide = (*shape[:-2], *x.shape[-2:])  # a product of stacks of matrices
    else:
        return None
    if wide == x.shape:
        return None
    spread = row._replace(operands=[np.array(np.broadcast_to(o, wide)) if k == i else o for k, o in enumerate(row.operands)])
    if not primitive.pointwise:
        return _right(spread, i, None, g)[1]
    with np.errstate(all="ignore"):
        value, _ = _derivative(_line(spread, i, np.ones(wide)), False)
    return np.asarray(g * value.reshape(wide))


def _wrong_tangent(row: _Recorded, subject: Subject) -> str:
    primitive: Primitive = row.node.primitive  # type: ignore[assignment]
    if primitive.jvp is None:
        return ""
    tangents = [subject.normal(x) if _real(x) and type(p) is Node else None for x, p in zip(row.operands, row.node.parents, strict=True)]
    given = primitive.jvp(tangents, row.operands, row.out, row.node.static)

    def at(t: Any) -> Array:
        return _forward(row, [x if d is None else np.asarray(x, float) + t * d for x, d in zip(row.operands, tangents, strict=True)])

    slope = central_slope(at)
    a = np.zeros(row.out.shape) if given is None else np.asarray(array_of(given), float)
    if a.size != slope.value.size:
        return f"the tangent has shape {a.shape}, the result {row.out.shape}"
    r = slope.value.reshape(a.shape)
    return "" if _close(a, r, row, slope.method) else likely_cause(Evidence(a, r, tuple(np.shape(x) for x in (*row.operands, row.out))))


def _dropped(rows: Sequence[_Recorded], evidence: Evidence) -> str:
    """Whether the numbers are right but for one of several paths that meet."""
    missing = evidence.expected - evidence.actual
    if not rows or not np.any(missing):
        return ""
    uses: dict[Node, int] = {}
    for row in rows:
        for parent in row.node.parents:
            if type(parent) is Node:
                uses[parent] = uses.get(parent, 0) + 1
    shared = [row.node.title for row in rows if uses.get(row.node, 0) > 1]
    several = [n for n in uses if n.primitive is None and uses[n] > 1]
    if not shared and not several:
        return ""
    where = f"the result of {shared[0]}" if shared else "an input"
    return f"an accumulated path was dropped: every rule is right by itself, and {where} is used more than once"

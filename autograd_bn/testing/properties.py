"""The checks that need no reference: what every gradient must do, whatever its value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import AutogradError, GradientError, TraceError
from autograd_bn.core.state import no_effects, no_grad
from autograd_bn.core.sweep import backward
from autograd_bn.core.tensor import Tensor, array_of, tensor
from autograd_bn.ops.arithmetic import add, multiply
from autograd_bn.testing.faults import Fault, find_fault
from autograd_bn.testing.reference import close, largest, tolerance
from autograd_bn.testing.report import Finding, Report
from autograd_bn.testing.rounding import BETWEEN, deviations
from autograd_bn.testing.subject import OUTSIDE, Subject
from autograd_bn.transforms import checkpoint, vjp, vmap

ALONE = 8
"""So many inputs at most are differentiated by one at a time."""


def check_linear(subject: Subject, report: Report) -> None:
    """The pullback of 2u − 3v is 2 times that of u minus 3 times that of v."""
    u, v = subject.cotangents, [subject.normal(y) for y in subject.outputs]
    mixed = subject.pull([np.asarray(2 * a - 3 * b, a.dtype) for a, b in zip(u, v, strict=True)])
    expected = [2 * a - 3 * b for a, b in zip(subject.pulled, subject.pull(v), strict=True)]
    mixed = [np.where(np.isfinite(r), m, r) for m, r in zip(mixed, expected, strict=True)]  # infinities do not add up
    parts = [2 * np.abs(a) + 3 * np.abs(b) for a, b in zip(subject.pulled, subject.pull(v), strict=True)]
    cause = "the rule is not linear in the cotangent: does it clip, round, or use its sign?"
    _compare(subject, report, "linearity", "the pullback of 2u − 3v is not 2 that of u less 3 that of v", mixed, expected, parts, cause)
    _done(report, "linearity", "in the cotangent")


def check_kept(subject: Subject, report: Report) -> None:
    """Gradients have their inputs' shapes and dtypes; in single precision too, and there they are those of double precision but for rounding."""
    check = "dtype_and_shape"
    single = [x.astype(np.float32) for x in subject.inputs]
    with no_effects():
        for inputs in (subject.inputs, single):
            try:
                subject.values(inputs)
            except OUTSIDE:  # a point that is outside of the domain when it is rounded
                break
            results, pullback = vjp(subject, *inputs)
            try:
                cotangents = pullback(tuple(np.asarray(g, y.dtype) for g, y in zip(subject.cotangents, results, strict=True)))
            except GradientError as error:
                if inputs is single and "have no derivative" in str(error):  # values that rounding has made equal
                    break
                raise
            for i, (x, c) in enumerate(zip(inputs, cotangents, strict=True)):
                if c.shape != x.shape or c.dtype != x.dtype:
                    report.findings.append(Finding(check, f"the gradient is {c.dtype}{list(c.shape)}", f"{subject.labels[i]}, {describe(x)}"))
                    return
            if inputs is single and subject.dtype == np.float64:
                _same_in_single(subject, report, single, [array_of(c) for c in cotangents])
                if report.failed(check):
                    return
    report.passed[check] = "as the inputs', in their precision and in float32"


def _same_in_single(subject: Subject, report: Report, single: list[Array], found: list[Array]) -> None:
    """That gradients in single precision are those in double precision at the same point."""
    digits = float(np.finfo(np.float32).eps)
    expected = subject.pull(inputs=[x.astype(np.float64) for x in single])
    results = subject.values(single)
    gs = [np.asarray(g, y.dtype) for g, y in zip(subject.cotangents, results, strict=True)]
    values = zip(results, subject.values([x.astype(np.float64) for x in single]), strict=True)
    share = tolerance(np.dtype(np.float32)).complex_step
    if not all(np.isfinite(y).all() and np.all(np.abs(y - z) <= share * np.abs(z) + 16 * digits * largest(z)) for y, z in values):
        return  # another function, such as with another ε, or lost in rounding
    noise: Array | None = None
    start = 0
    for i, (a, r) in enumerate(zip(found, expected, strict=True)):
        wrong = ~close(a, r, share * largest(r) + digits * subject.rounding + float(np.finfo(np.float32).tiny)) & np.isfinite(r)
        if wrong.any():
            if noise is None:
                noise = BETWEEN * deviations(lambda xs: np.concatenate([np.ravel(c) for c in subject.pull(gs, xs)]), single, digits, OUTSIDE)
                noise = np.broadcast_to(noise, sum(x.size for x in single))
            wrong &= ~(np.abs(a - r) <= noise[start : start + a.size].reshape(a.shape))
        if wrong.any():
            index = tuple(int(n) for n in np.argwhere(wrong)[0])
            what, cause = "the gradient in float32 is another than in float64", "the rule computes something else in float32"
            report.findings.append(
                Finding("dtype_and_shape", what, f"{subject.labels[i]}, {describe(single[i])}", index, float(a[index]), float(r[index]), "", "", cause)
            )
            return
        start += a.size


def check_kept_inputs(subject: Subject, report: Report) -> None:
    """Neither the inputs nor the cotangents are written into."""
    inputs, gs = [x.copy() for x in subject.inputs], [g.copy() for g in subject.cotangents]
    leaves = [tensor(x, requires_grad=True) for x in subject.inputs]
    with no_effects():
        _, pullback = vjp(subject, *inputs)
        pullback(tuple(gs))
        _backward(subject(*leaves), gs)
    for kind, given, before, names in (
        ("input", inputs, subject.inputs, subject.labels),
        ("input", [array_of(x) for x in leaves], subject.inputs, subject.labels),
        ("cotangent", gs, subject.cotangents, [f"of result {k}" for k in range(len(gs))]),
    ):
        for x, b, name in zip(given, before, names, strict=True):
            if not np.array_equal(x, b, equal_nan=True):
                where = tuple(int(n) for n in np.argwhere(x != b)[0]) if x.ndim else ()
                cause = "a rule or the function writes in place into an array that it was given"
                report.findings.append(
                    Finding("unchanged", f"the {kind} was changed", f"{name}, {describe(b)}", where, float(x[where]), float(b[where]), "", "", cause)
                )
                return
    report.passed["unchanged"] = "inputs and cotangents are as they were"


def check_apart(subject: Subject, report: Report) -> None:
    """What the caller writes afterwards, and a second pull, change nothing in what was returned."""
    cause = "a stale buffer: the rule keeps an array that it shares with somebody, and gives it out again"
    with no_effects():
        gs = [g.copy() for g in subject.cotangents]
        inputs = [x.copy() for x in subject.inputs]
        results, pullback = vjp(subject, *inputs)
        given = [array_of(y) for y in results]
        kept = [y.copy() for y in given]
        first = [array_of(c) for c in pullback(tuple(gs))]
        before = [c.copy() for c in first]
        written = "the rule writes in place into what it has saved"
        _same(report, "aliasing", "a second pull gives another gradient", [array_of(c) for c in pullback(tuple(gs))], before, written)
        for x in (*gs, *inputs):
            x[...] = 7.0
        _same(report, "aliasing", "a gradient changes when the caller writes into the inputs or the cotangent", first, before, cause)
        second = [array_of(c) for c in pullback(tuple(subject.cotangents))]
        _same(report, "aliasing", "a second pull gives another gradient after the caller has written into the inputs", second, before, cause)
        pullback(tuple(subject.normal(y) for y in subject.outputs))
        _same(report, "aliasing", "a gradient changes when another cotangent is pulled back", first, before, cause)
        other = _nearby(subject)
        _, pullback = vjp(subject, *subject.inputs)
        subject.pull(inputs=other)
        late = [array_of(c) for c in pullback(tuple(subject.cotangents))]
        _same(report, "aliasing", "the gradient changes when the function is called elsewhere before the backward pass", late, before, cause)
        _same(report, "aliasing", "the same call gives another gradient after a backward pass elsewhere", subject.pull(), before, cause)
        _same(report, "aliasing", "a result changes when the function is called again", given, kept, cause)
    _done(report, "aliasing", "nothing that is returned shares memory that changes later")


def check_accumulated(subject: Subject, report: Report) -> None:
    """``.grad`` adds up over calls, and over several uses of one tensor in one call."""
    check = "accumulation"
    leaves = [tensor(x, requires_grad=True) for x in subject.inputs]
    with no_effects():
        _backward(subject(*leaves), subject.cotangents)
        once = [g.copy() for g in _gradients(leaves)]
        cause = "an accumulated path was dropped, or the tape and the transform disagree"
        _compare(subject, report, check, ".grad after backward() is not what vjp gives", once, subject.pulled, None, cause)
        _backward(subject(*leaves), subject.cotangents)
        twice = _gradients(leaves)
        _compare(subject, report, check, ".grad after two backward passes is not twice the gradient", twice, [2 * c for c in subject.pulled], None, cause)
        both = _pull_of(lambda *xs: tuple(add(y, z) for y, z in zip(subject(*xs), subject(*xs), strict=True)), subject)
        _compare(subject, report, check, "two calls on the same inputs do not give twice the gradient", both, [2 * c for c in subject.pulled], None, cause)
    _done(report, check, "over calls, and over two uses of an input")


def check_repeated(subject: Subject, report: Report) -> None:
    """The same call gives the same bits."""
    cause = "the function or its rule draws random numbers, or keeps something from one call to the next"
    again = subject.values(subject.inputs)
    _same(report, "determinism", "the same call gives another value", again, subject.outputs, cause, method="the first call")
    if not report.failed("determinism"):
        _same(report, "determinism", "the same call gives another gradient", subject.pull(), subject.pulled, cause, method="the first call")
    _done(report, "determinism", "bit for bit")


def check_graphs(subject: Subject, report: Report) -> None:
    """Graphs that mean the same have the same gradient: an added 0, halves of two uses, results in the other order."""
    cause = "an accumulated path was dropped, or something is kept between two uses"
    variants: dict[str, Callable[..., tuple[Any, ...]]] = {
        "with 0 added to the inputs": lambda *xs: subject(*(add(x, 0.0) for x in xs)),
        "with 0 added to the results": lambda *xs: tuple(add(y, 0.0) for y in subject(*xs)),
        "as the sum of two halves": lambda *xs: tuple(add(multiply(y, 0.5), multiply(z, 0.5)) for y, z in zip(subject(*xs), subject(*xs), strict=True)),
    }
    with no_effects():
        for how, variant in variants.items():
            _compare(subject, report, "graph_invariance", f"the gradient is another {how}", _pull_of(variant, subject), subject.pulled, None, cause)
        leaves = [tensor(x, requires_grad=True) for x in subject.inputs]
        results = subject(*leaves)
        subject(*(add(x, 0.0) for x in leaves))  # recorded and never pulled
        _backward(results[::-1], subject.cotangents[::-1])
        found = _gradients(leaves)
        _compare(subject, report, "graph_invariance", "the gradient is another where results are pulled in the other order", found, subject.pulled, None, cause)
        wide = [np.repeat(x, 2, axis=-1) if x.ndim else x for x in subject.inputs]
        _, pullback = vjp(lambda *xs: subject(*map(_every_second, xs)), *wide)
        found = [np.array(_every_second(array_of(c))) for c in pullback(tuple(subject.cotangents))]
        how = "the gradient is another where the inputs lie otherwise in memory"
        _compare(subject, report, "graph_invariance", how, found, subject.pulled, None, "the rule takes arrays to be contiguous")
        if 1 < len(subject.inputs) <= ALONE:
            found = [_pulled_alone(subject, i) for i in range(len(subject.inputs))]
            how = "the gradient is another where the other inputs are constants"
            _compare(subject, report, "graph_invariance", how, found, subject.pulled, None, "the rule depends on which operands require a gradient")
    _done(report, "graph_invariance", f"{', '.join(variants)}, in the other order, in another memory layout, by each input alone")


def _every_second(x: Any) -> Any:
    return x[..., ::2] if x.ndim else x


def _pulled_alone(subject: Subject, i: int) -> Array:
    """The cotangent of one input, the others being constants."""

    def alone(x: Any) -> Any:
        return subject(*(x if k == i else Tensor(y) for k, y in enumerate(subject.inputs)))

    c: Array = array_of(vjp(alone, subject.inputs[i])[1](tuple(subject.cotangents))[0])
    return c


def check_mapped(subject: Subject, report: Report) -> None:
    """``vmap`` over a batch gives the values and gradients of a loop."""
    rows = [list(subject.inputs), _nearby(subject)]
    wide = [np.stack(both) for both in zip(*rows, strict=True)]
    gs = tuple(subject.cotangents)
    with no_effects():
        try:
            values = [array_of(y) for y in vmap(subject)(*wide)]
            mapped = [array_of(c) for c in vmap(lambda *xs: tuple(vjp(subject, *xs)[1](gs)))(*wide)]
        except AutogradError as error:
            report.findings.append(Finding("vmap", f"vmap raised {type(error).__name__}: {error}"))
            return
    loops = [np.stack(ys) for ys in zip(*(subject.values(row) for row in rows), strict=True)]
    _compare(subject, report, "vmap", "the value under vmap is not that of a loop", values, loops, None, "the batching rule")
    loops = [np.stack(cs) for cs in zip(*(subject.pull(inputs=row) for row in rows), strict=True)]
    _compare(subject, report, "vmap", "the gradient under vmap is not that of a loop", mapped, loops, None, "the batching rule")
    _done(report, "vmap", "values and gradients as a loop's")


def check_recomputed(subject: Subject, report: Report) -> None:
    """``checkpoint`` changes no gradient."""
    with no_effects():
        found = _pull_of(checkpoint(subject.__call__), subject)
    _compare(subject, report, "checkpoint", "the gradient is another under checkpoint", found, subject.pulled, None, "recomputation gives other values")
    _done(report, "checkpoint", "the same gradient")


def check_compiled(subject: Subject, report: Report) -> None:
    """``jit`` changes neither values nor gradients, also when the compiled function runs again on other values."""
    from autograd_bn.compiler import jit

    def pull(inputs: tuple[Any, ...], gs: tuple[Any, ...]) -> Any:
        return vjp(subject, *inputs)[1](gs)

    compiled, pulled = jit(subject.__call__), jit(pull)
    with no_effects(), no_grad():  # what it closes over may require a gradient
        for inputs in (subject.inputs, _nearby(subject)):
            try:
                values = [array_of(y) for y in compiled(*inputs)]
                found = [array_of(c) for c in pulled(tuple(inputs), tuple(subject.cotangents))]
            except TraceError as error:
                report.skipped["jit"] = f"it cannot be compiled: {str(error).splitlines()[0]}"
                return
            except AutogradError as error:
                report.findings.append(Finding("jit", f"jit raised {type(error).__name__}: {error}"))
                return
            _compare(subject, report, "jit", "the compiled value is not the eager one", values, subject.values(inputs), None, "the compiler")
            _compare(subject, report, "jit", "the compiled gradient is not the eager one", found, subject.pull(inputs=inputs), None, "the compiler")
    _done(report, "jit", "the same values and gradients")


def _nearby(subject: Subject) -> list[Array]:
    """The inputs at another point, not far away."""
    return [x * np.asarray(0.96875, x.dtype) for x in subject.inputs]


def _gradients(leaves: Sequence[Any]) -> list[Array]:
    return [np.zeros(x.shape, x.dtype) if x.grad is None else array_of(x.grad) for x in leaves]


def _backward(results: Sequence[Any], gs: Sequence[Array]) -> None:
    live = [(y, g) for y, g in zip(results, gs, strict=True) if y.requires_grad]
    for y, g in live:
        backward(y, g, retain_graph=True, create_graph=False)


def _pull_of(function: Callable[..., Any], subject: Subject) -> list[Array]:
    _, pullback = vjp(function, *subject.inputs)
    return [array_of(c) for c in pullback(tuple(subject.cotangents))]


def _same(report: Report, check: str, what: str, found: Sequence[Array], expected: Sequence[Array], cause: str, method: str = "") -> None:
    if report.failed(check):
        return
    for a, r in zip(found, expected, strict=True):
        if a.shape != r.shape or not np.array_equal(a, r, equal_nan=True):
            index = tuple(int(n) for n in np.argwhere(a != r)[0]) if a.ndim else ()
            report.findings.append(Finding(check, what, "", index, float(a[index]), float(r[index]), method, cause=cause))
            return


def _compare(
    subject: Subject, report: Report, check: str, what: str, found: Sequence[Array], expected: Sequence[Array], sizes: Sequence[Array] | None, cause: str
) -> None:
    if report.failed(check):
        return
    allowed = subject.options.rtol or max(tolerance(subject.dtype).complex_step, 1e-9)
    for i, (a, r) in enumerate(zip(found, expected, strict=True)):
        if a.shape != r.shape:
            report.findings.append(Finding(check, f"{what}: shape {a.shape}, not {r.shape}", cause=cause))
            return
        size = np.abs(r) if sizes is None else sizes[i]
        scale = float(np.max(size[np.isfinite(size)], initial=0.0)) + 1e-3 * subject.rounding
        wrong = ~close(a, r, allowed * scale)
        if wrong.any() and "value" not in what:
            wrong &= ~(np.abs(a - r) <= 3 * subject.pulled_noise[i])  # both sides of it are twice or thrice the gradient, or so
        if wrong.any():
            index = tuple(int(n) for n in np.argwhere(wrong)[0]) if a.ndim else ()
            label = subject.called(i) if len(found) == len(subject.labels) else ""
            fault = Fault("", "") if check in ("vmap", "checkpoint", "jit") else find_fault(subject, None)
            report.findings.append(Finding(check, what, label, index, float(a[index]), float(r[index]), "", fault.operation, fault.cause or cause))
            return


def _done(report: Report, check: str, how: str) -> None:
    if not report.failed(check):
        report.passed[check] = how

"""The checks of derivatives against references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import AutogradError, RuleError, ShapeError
from autograd_bn.core.tensor import array_of
from autograd_bn.testing.causes import Evidence
from autograd_bn.testing.differences import Reach, central_slope, one_sided
from autograd_bn.testing.faults import Fault, find_fault
from autograd_bn.testing.reference import (
    COMPLEX_STEP,
    DIFFERENCES,
    TAYLOR,
    Line,
    Slope,
    close,
    infinite_slope,
    largest,
    taylor_order,
    tolerance,
)
from autograd_bn.testing.report import Finding, Report
from autograd_bn.testing.rounding import BETWEEN, deviations, noise
from autograd_bn.testing.subject import OUTSIDE, Subject
from autograd_bn.transforms import jvp, vjp

LOST = "not judged: rounding alone moves the derivative by as much"
UNSETTLED = "not judged: differences settle on no derivative here (a jump, or rounding)"
FIRST_ORDER = (
    "the derivative of the gradient is zero: the rule is not written in differentiable operations (if it is meant to be of first order only, leave "
    "second_order out of checks=)"
)
INFINITE = "nothing more can be compared; choose another point"


def first_line(error: BaseException) -> str:
    """What an error says first."""
    return (str(error) or type(error).__name__).splitlines()[0]


def values(subject: Subject, report: Report) -> None:
    """The function's values against the reference's."""
    expected = subject.reference_values(subject.inputs)
    for k, (a, r) in enumerate(zip(subject.outputs, expected, strict=False)):
        what = f"result {k} differs from the reference"
        if a.shape != r.shape:
            report.findings.append(Finding("values", f"{what}: shape {a.shape}, reference {r.shape}"))
            continue
        wrong = ~close(a, r, _allowed(subject, DIFFERENCES) * np.nanmax(np.abs(r), initial=1e-300))
        if wrong.any():
            index = _worst(a, r, wrong)
            report.findings.append(Finding("values", what, "", index, float(a[index]), float(r[index]), "the reference function"))
    if len(expected) != len(subject.outputs):
        report.findings.append(Finding("values", f"the function has {len(subject.outputs)} real results, the reference {len(expected)}"))
    if not report.failed("values"):
        report.passed["values"] = "as the reference's"


def check_pulled(subject: Subject, report: Report) -> None:
    """Reverse mode against the reference, element by element."""
    try:
        actual = subject.pulled
        _same_values(subject, report, "vjp", subject.pulled_values())
    except AutogradError as error:
        raised = find_fault(subject, None)
        shape = isinstance(error, (RuleError, ShapeError)) and "shape" in str(error)
        cause = raised.cause or ("broadcast not summed, or transposed: the rule's cotangent has another shape than its operand" if shape else "")
        report.findings.append(Finding("vjp", f"the backward pass raised {type(error).__name__}: {error}", operation=raised.operation, cause=cause))
        return
    total = sum(x.size for x in subject.inputs)
    methods: set[str] = set()
    compared = judged = rounded = 0
    for i, x in enumerate(subject.inputs):
        indices = list(np.ndindex(x.shape))
        if total > subject.options.elements:
            share = max(1, subject.options.elements * x.size // total)
            indices = [indices[k] for k in sorted(subject.rng.choice(x.size, min(share, x.size), replace=False))] if x.size else []
        a = np.array([actual[i][index] for index in indices], float)
        slopes = [subject.slope(subject.unit(i, index), subject.magnitude(i, index)) for index in indices]
        r = np.array([_contracted(subject.weights, s.value) for s in slopes], float)
        compared += len(indices)
        if indices:
            methods.add(slopes[0].method)
        blind = [k for k, s in enumerate(slopes) if a[k] == 0 and np.isnan(s.value).any() and not np.nan_to_num(s.value).any()]  # they may move NaN alone
        doubtful = bad = [k for k in _suspects(subject, i, indices, a, r, slopes) if k not in blind]
        for k in bad:
            slopes[k] = subject.contradicted(slopes[k], subject.unit(i, indices[k]), subject.magnitude(i, indices[k]))
            r[k] = _contracted(subject.weights, slopes[k].value)
        bad = [k for k in bad if not _excused(subject, i, indices[k], a[k], slopes[k], report, methods)]
        sure = (np.isfinite(a) & np.isfinite(r)) | (np.isinf(a) & (a == r))
        sure[doubtful] = True
        sure[blind] = False
        for why in (UNSETTLED, LOST):
            doubts = {k: _error(subject, slopes[k]) if why == UNSETTLED else float(subject.pulled_noise[i][indices[k]]) for k in bad}
            within = [k for k in bad if abs(a[k] - r[k]) <= doubts[k]]
            scales = {k: _scale(subject, subject.magnitude(i, indices[k]), slopes[k].value) for k in within}
            lost = [k for k in within if doubts[k] > 1e-2 * scales[k]]  # within less, they agree as far as can be told
            bad = [k for k in bad if k not in within]
            if lost:
                sure[lost] = False
                rounded += len(lost)
                report.notes.append(f"vjp: {len(lost)} elements of {subject.labels[i]} are {why}")
        judged += int(sure.sum())
        if bad:
            worst = max(bad, key=lambda k: _distance(float(a[k]), float(r[k])))
            whole = len(indices) == x.size
            sizes = (*(y.shape for y in subject.inputs), *(y.shape for y in subject.outputs))
            evidence = Evidence(a.reshape(x.shape), r.reshape(x.shape), sizes) if whole else Evidence(a, r, sizes)
            fault = _faulty(subject, evidence)
            what = f"{len(bad)} of {len(indices)} elements of the gradient are wrong"
            finding = Finding("vjp", what, subject.called(i), indices[worst], a[worst], r[worst], slopes[worst].method, *fault)
            report.findings.append(finding)
    if total > compared and not report.findings:
        _directions(subject, report, methods)
    if compared and not judged and rounded:
        report.skipped["vjp"] = next(why for why in (LOST, UNSETTLED) if any(why in note for note in report.notes))
    elif compared and not judged:
        report.findings.append(_unjudged("vjp", subject))
    elif not report.failed("vjp"):
        how = " and ".join(sorted(methods, reverse=True)) or "no elements"
        report.passed["vjp"] = f"{judged} of {total} elements by {how}" + (", the rest along random directions" if total > compared else "")
        if judged + rounded < compared:
            report.passed["vjp"] += f"; {compared - judged - rounded} not judged, where a result or a derivative is not finite"
    report.notes += subject.kinks
    subject.kinks.clear()


def _same_values(subject: Subject, report: Report, check: str, found: Sequence[Array]) -> None:
    """That the results are the function's own when they are differentiated: a rule may compute them itself."""
    for k, (a, r) in enumerate(zip(found, subject.outputs, strict=False)):
        what = f"result {k} is another when it is differentiated: the rule computes something else than the function"
        if a.shape != r.shape:
            report.findings.append(Finding(check, f"{what}, of shape {a.shape} for {r.shape}"))
            return
        wrong = ~close(a, r, _allowed(subject, COMPLEX_STEP) * largest(r))
        if wrong.any():
            index = _worst(a, r, wrong)
            report.findings.append(Finding(check, what, "", index, float(a[index]), float(r[index]), "the function itself"))
            return


def _unjudged(check: str, subject: Subject) -> Finding:
    cause = "; ".join(subject.undefined()) or "the point is not inside the domain: choose another one"
    return Finding(check, "nothing can be judged: neither the derivative nor the reference is finite anywhere", cause=cause)


def _faulty(subject: Subject, evidence: Evidence, forward: bool = False) -> Fault:
    try:
        return find_fault(subject, evidence, forward=forward)
    except AutogradError as error:
        return Fault("", f"(the graph could not be searched: {first_line(error)})")


def _directions(subject: Subject, report: Report, methods: set[str]) -> None:
    """What was not compared one by one, along random directions."""
    for _ in range(4):
        directions: list[Any] = [d.astype(float) for d in subject.directions()]
        slope = subject.slope(directions)
        r = _contracted(subject.weights, slope.value)
        parts = [float(np.sum(c * d)) for c, d in zip(subject.pulled, directions, strict=True)]
        a = float(sum(parts))
        size = sum(float(np.sum(np.abs(c * d))) for c, d in zip(subject.pulled, directions, strict=True))
        error = _error(subject, slope)
        if abs(a - r) <= _allowed(subject, slope.method) * (size + subject.rounding) + error or (np.isnan(a) and np.isnan(r)):
            continue
        if subject.slope_is_kinked(directions, a):
            continue
        slope = subject.contradicted(slope, directions)
        if abs(a - _contracted(subject.weights, slope.value)) <= _error(subject, slope):
            continue
        if abs(a - r) <= sum(float(np.sum(n * np.abs(d))) for n, d in zip(subject.pulled_noise, directions, strict=True)):
            report.notes.append(f"vjp: a random direction is {LOST}")
            continue
        fault = _faulty(subject, Evidence(np.array(a), np.array(r)))
        finding = Finding("vjp", "the gradient is wrong along a random direction", "", None, a, r, slope.method, *fault)
        report.findings.append(finding)
        return


def check_pushed(subject: Subject, report: Report) -> None:
    """Forward mode against the reference, along a random direction."""
    try:
        tangents = subject.push()
    except AutogradError as error:
        if "reverse rule only" in str(error) or "have no derivative" in str(error):
            report.skipped["jvp"] = first_line(error).split(", so ")[0]
        else:
            report.findings.append(Finding("jvp", f"forward mode raised {type(error).__name__}: {error}"))
        return
    _same_values(subject, report, "jvp", subject.pushed_values())
    along = [t.astype(float) for t in subject.tangents]
    slope = subject.slope(along)
    a = np.concatenate([np.ravel(t).astype(float) for t in tangents])
    r = slope.value
    if a.shape != r.shape:
        report.findings.append(Finding("jvp", f"the tangents have {a.size} elements, the results {r.size}"))
        return
    wrong = _apart(subject, a, slope)
    if wrong.any():
        slope = subject.contradicted(slope, along)
        r, wrong = slope.value, _apart(subject, a, slope)
    judged = np.isfinite(r) | np.isinf(a)
    unsettled = judged & ~wrong & _apart(subject, a, slope._replace(error=np.minimum(slope.error, 1e-2 * np.abs(r))))
    if unsettled.any():
        judged &= ~unsettled
        report.notes.append(f"jvp: {int(unsettled.sum())} results are {UNSETTLED}")
    if wrong.any():
        wrong &= ~_between(subject, subject.line(along), a)
        if not wrong.any():
            report.notes.append("jvp: at a kink; the directional derivative lies between the one-sided slopes")
    if np.isinf(a[wrong]).any():
        steep = np.isinf(a) & (infinite_slope(subject.line(along)) == a)
        if (wrong & steep).any():
            report.notes.append(f"jvp: the derivative is infinite here, and autodiff says so: {INFINITE}")
        wrong &= ~steep
    if wrong.any():
        lost = wrong & (np.abs(a - r) <= np.concatenate([np.ravel(n) for n in subject.pushed_noise]))
        if lost.any():
            report.notes.append(f"jvp: {int(lost.sum())} results are {LOST}")
        wrong &= ~lost
    if a.size and not judged.any():
        if unsettled.any():
            report.skipped["jvp"] = UNSETTLED
        elif np.isfinite(a).any():
            report.skipped["jvp"] = "not judged, since the reference is not finite"
        else:
            report.findings.append(_unjudged("jvp", subject))
    elif wrong.any():
        worst = _worst(a, r, wrong)
        k = int(np.searchsorted(np.cumsum([y.size for y in subject.outputs]), worst[0], side="right"))
        start = sum(y.size for y in subject.outputs[:k])
        index = tuple(int(n) for n in np.unravel_index(worst[0] - start, subject.outputs[k].shape)) if subject.outputs[k].ndim else ()
        fault = _faulty(subject, Evidence(a, r, tuple(y.shape for y in subject.outputs)), forward=True)
        what = f"{int(wrong.sum())} of {a.size} elements of the tangent are wrong"
        finding = Finding(
            "jvp", what, f"along a random direction, to result {k}, {describe(subject.outputs[k])}", index, a[worst], r[worst], slope.method, *fault
        )
        report.findings.append(finding)
    else:
        report.passed["jvp"] = f"along a random direction by {slope.method}" + (
            "" if judged.all() else f"; {int(judged.sum())} of {a.size} results, where it is finite"
        )


def _apart(subject: Subject, a: Array, slope: Slope) -> Array:
    """Where tangents are not the slope within the tolerance; what is not finite in either, or in the result, says nothing."""
    r = slope.value
    scale = np.abs(r) + 1e-3 * np.concatenate([np.ravel(np.abs(y)) for y in subject.outputs])
    wrong = ~close(a, r, _allowed(subject, slope.method) * scale + subject.residue + slope.error) & subject.finite
    return np.asarray(wrong & (np.isfinite(r) | (np.isfinite(a) & (slope.error <= 1e-3 * scale))))


def check_agreement(subject: Subject, report: Report) -> None:
    """⟨v, Ju⟩ = ⟨Jᵀv, u⟩: that the modes agree says nothing of whether either is right."""
    try:
        tangents = subject.push()
        cotangents = subject.pulled
    except AutogradError as error:
        report.skipped["modes_agree"] = first_line(error).split(", so ")[0]
        return
    forward = sum(float(np.sum(g.astype(float) * t)) for g, t in zip(subject.cotangents, tangents, strict=True))
    reverse = sum(float(np.sum(c.astype(float) * u)) for c, u in zip(cotangents, subject.tangents, strict=True))
    size = sum(float(np.sum(np.abs(c.astype(float) * u))) for c, u in zip(cotangents, subject.tangents, strict=True))
    size += sum(float(np.sum(np.abs(g.astype(float) * t))) for g, t in zip(subject.cotangents, tangents, strict=True)) + subject.rounding
    if not (np.isfinite(forward) and np.isfinite(reverse)):
        report.skipped["modes_agree"] = "not judged, since the derivative is not finite"
    elif abs(forward - reverse) > _allowed(subject, COMPLEX_STEP) * size + subject.residue and not _rounded(subject, abs(forward - reverse)):
        report.findings.append(Finding("modes_agree", "⟨v, Ju⟩ of forward mode is not ⟨Jᵀv, u⟩ of reverse mode", "", None, reverse, forward, "forward mode"))
    else:
        report.passed["modes_agree"] = "⟨v, Ju⟩ = ⟨Jᵀv, u⟩ (agreement, no reference)"


def _rounded(subject: Subject, difference: float) -> bool:
    pairs = (*zip(subject.pulled_noise, subject.tangents, strict=True), *zip(subject.pushed_noise, subject.cotangents, strict=True))
    return difference <= sum(float(np.sum(noise * np.abs(x))) for noise, x in pairs)


def check_second(subject: Subject, report: Report) -> None:
    """The derivative of the gradient, reverse over reverse and forward over reverse, against differences of the gradient."""
    inputs = subject.wide
    weights = [d.astype(float) for d in subject.directions()]
    directions = [d.astype(float) for d in subject.directions()]
    try:
        cotangents = _seeds(subject, inputs)

        def gradient(*xs: Any) -> Any:
            return vjp(subject, *xs)[1](cotangents)

        def slope_of(*xs: Any) -> Any:
            total: Any = 0.0
            for c, w in zip(gradient(*xs), weights, strict=True):
                total = total + (c * w).sum()
            return total

        def twice(xs: Sequence[Array]) -> list[Array]:
            return [np.asarray(array_of(c)) for c in vjp(slope_of, *xs)[1](np.ones(()))]

        second = twice(inputs)
    except AutogradError as refused:
        report.skipped["second_order"] = first_line(refused)
        return
    ways = {"reverse over reverse": float(sum(np.sum(c * d) for c, d in zip(second, directions, strict=True)))}
    try:
        pushed = jvp(gradient, inputs, directions)[1]
        ways["forward over reverse"] = float(sum(np.sum(np.asarray(array_of(t)) * w) for t, w in zip(pushed, weights, strict=True)))
    except AutogradError as refused:
        report.skipped["second_order (forward over reverse)"] = first_line(refused).split(", so ")[0]

    def contracted(moved: list[Array]) -> Array:
        return np.array([sum(float(np.sum(c * w)) for c, w in zip(subject.pull(cotangents, moved), weights, strict=True))])

    def along(ways: Sequence[Array | None]) -> Line:
        def at(t: Any) -> Array:
            try:
                return contracted([x if d is None else x + t * d for x, d in zip(inputs, ways, strict=True)])
            except OUTSIDE:
                return np.array([np.nan])

        return at

    at = along(directions)
    reach = subject.reach()._replace(noise=lambda: noise(contracted, inputs, subject.digits, OUTSIDE))
    slope = central_slope(at, reach)
    r, error = float(slope.value[0]), float(slope.error[0])
    size = sum(float(np.sum(np.abs(c * d))) for c, d in zip(second, directions, strict=True))
    first = sum(float(np.sum(np.abs(np.asarray(c, float) * w))) for c, w in zip(subject.pulled, weights, strict=True))
    size += first + abs(r)
    if not np.isfinite(r) or error > max(1e-3 * abs(r), (1e-3 if subject.coarse else 1e-6) * (first + subject.rounding)):
        report.skipped["second_order"] = "the gradient has no derivative here that differences can find (a kink, or too steep)"
        return
    for way, a in ways.items():
        allowed = (subject.options.rtol or (1e-2 if subject.coarse else 1e-5)) * size + 10 * error
        if not abs(a - r) <= allowed:
            moves = deviations(lambda xs: np.array([sum(np.sum(c * d) for c, d in zip(twice(xs), directions, strict=True))]), inputs, subject.digits, OUTSIDE)
            rounding = BETWEEN * float(np.sum(moves))
            if abs(a - r) <= allowed + rounding:
                if rounding > 1e-2 * size:
                    report.skipped["second_order"] = "rounding moves the derivative of the gradient by as much"
                    return
                continue
            if _between(subject, at, a, reach).all() or (
                abs(a - ways["reverse over reverse"]) <= allowed and _kinked_by_elements(subject, second, along, reach)
            ):
                report.notes.append(f"second_order: at a kink of the gradient; {way} lies between the one-sided slopes")
                continue
            ratio = FIRST_ORDER if a == 0 else ""
            cause = ratio or "a term is missing: what the rule saved, or computed outside the engine, does not depend on the input"
            if report.failed("vjp"):
                cause = "it follows from what is wrong with the first derivative"
            report.findings.append(
                Finding("second_order", f"{way} is wrong along a random direction", "", None, a, r, f"{DIFFERENCES} of the gradient", cause=cause)
            )
            return
    report.passed["second_order"] = f"{', '.join(ways)}, by {DIFFERENCES} of the gradient"


def _kinked_by_elements(subject: Subject, second: Sequence[Array], along: Callable[[Sequence[Array | None]], Line], reach: Reach) -> bool:
    """Whether each element is its slope, or lies between its slopes at a kink, which a direction through several kinks cannot say."""
    kinks = 0
    if sum(x.size for x in subject.wide) > subject.options.elements:
        return False
    for i, x in enumerate(subject.wide):
        for index in np.ndindex(x.shape):
            line, one = along(subject.unit(i, index)), reach._replace(size=subject.magnitude(i, index))
            slope = central_slope(line, one)
            if abs(second[i][index] - slope.value[0]) <= 1e-4 * abs(slope.value[0]) + 10 * slope.error[0]:
                continue
            if not _between(subject, line, second[i][index], one).all():
                return False
            kinks += 1
    return kinks > 0


def _seeds(subject: Subject, inputs: list[Array]) -> tuple[Array, ...]:
    return tuple(np.asarray(g, y.dtype) for g, y in zip(subject.cotangents, subject.values(inputs), strict=True))


def _allowed(subject: Subject, method: str) -> float:
    return subject.options.rtol if subject.options.rtol is not None else tolerance(subject.dtype).of(method)


def _contracted(weights: Array, slope: Array) -> float:
    """Their product, over what is finite if anything is: a result that is NaN says nothing of the others."""
    used = (weights != 0) & np.isfinite(slope)
    if not used.any():
        used = weights != 0
    with np.errstate(all="ignore"):
        return float(weights[used] @ slope[used])


def _distance(a: float, r: float) -> float:
    return abs(a - r) if np.isfinite(a) and np.isfinite(r) else np.inf


def _worst(a: Array, r: Array, wrong: Array) -> tuple[int, ...]:
    with np.errstate(all="ignore"):
        far = np.where(wrong, np.nan_to_num(np.abs(np.asarray(a, float) - r), nan=np.inf), -1.0)
    return tuple(int(n) for n in np.unravel_index(int(np.argmax(far)), far.shape))


def _suspects(subject: Subject, i: int, indices: list[tuple[int, ...]], a: Array, r: Array, slopes: list[Slope]) -> list[int]:
    """The elements that do not agree within the tolerance."""
    found = []
    for k, s in enumerate(slopes):
        if not np.isfinite(a[k]) and not np.isfinite(s.value).all():
            continue
        scale = _scale(subject, subject.magnitude(i, indices[k]), s.value)
        allowed, error = _allowed(subject, s.method) * scale, _error(subject, s)
        if error > max(allowed, 1e-2 * scale) or not close(a[k], r[k], allowed + error):
            found.append(k)
    return found


def _scale(subject: Subject, size: float, slope: Array) -> float:
    """What a derivative by a number of a size is compared with: its terms, and what rounding of the results that depend on the number may leave."""
    results = np.abs(subject.weights * np.concatenate([np.ravel(y) for y in subject.outputs]).astype(float))
    terms = np.abs(subject.weights * slope)
    used = (slope != 0) & np.isfinite(results)
    left = np.sum(results[used if used.any() else np.isfinite(results)])
    return float(np.sum(terms[np.isfinite(terms)]) + 1e-3 * left / max(1.0, size))


def _error(subject: Subject, slope: Slope) -> float:
    """How far the contraction of a slope may be off."""
    used = (subject.weights != 0) & np.isfinite(slope.value)
    return float(np.abs(subject.weights[used]) @ slope.error[used])


def _excused(subject: Subject, i: int, index: tuple[int, ...], a: float, slope: Slope, report: Report, methods: set[str]) -> bool:
    """Whether a kink explains the difference, or the reference was too rough and the order of the Taylor remainder says that autodiff is right."""
    unit = subject.unit(i, index)
    if subject.slope_is_kinked(unit, a, subject.magnitude(i, index)):
        where = f"{list(index)} of " if index else ""
        note = f"vjp: a kink at {where}{subject.labels[i]}; the subgradient {a + 0.0:.6g} between the one-sided slopes is accepted"
        subject.kinks[:] = [*subject.kinks[:2], note]
        return True
    line = subject.line(unit)

    def weighted(t: float) -> Array:
        return np.array([subject.weights @ line(t)])

    if np.isinf(a) and infinite_slope(weighted)[0] == a:
        where = f"{list(index)} of " if index else ""
        subject.kinks[:] = [*subject.kinks[:2], f"vjp: the derivative by {where}{subject.labels[i]} is infinite here, and autodiff says so: {INFINITE}"]
        return True
    scale = _scale(subject, subject.magnitude(i, index), slope.value)
    if _error(subject, slope) <= max(_allowed(subject, slope.method), 1e-2) * scale:
        return False
    size = max(1e-3, subject.magnitude(i, index))
    order = taylor_order(lambda t: np.array([_contracted(subject.weights, line(t))]), a, 1e-2 * size)
    if order > 1.6:
        methods.add(TAYLOR)
        return True
    return False


def _between(subject: Subject, line: Line, a: Any, reach: Reach | None = None) -> Array:
    """Whether a line has a kink at 0, and a number lies between its slopes."""
    left, right = one_sided(line, reach or subject.reach())
    low, high = np.minimum(left.value, right.value), np.maximum(left.value, right.value)
    room = (1e-2 if subject.coarse else 1e-4) * np.maximum(np.abs(low), np.abs(high)) + left.error + right.error
    return np.asarray((high - low > 10 * room) & (a >= low - room) & (a <= high + room))

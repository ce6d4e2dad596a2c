"""Faults planted mechanically in every primitive's rules, and in batch norm: does `check_gradients` find each, and name it?

python -m tests.mutants [--sample N] [--verbose]

A mutant whose fault has nothing to act on (no operand that is broadcast, no further addition in the rule) is not counted. One that changes no derivative
of first or second order is equivalent: that is decided by running the rules themselves, without the kit. The cause counts as
named if the first report names it, whatever later ones say; how often that was by elimination, because no other cause fitted, is printed too.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

import autograd_bn as ab
from autograd_bn.core.node import Node
from autograd_bn.core.primitive import Primitive, registry
from tests.core.test_registry import DIFFERENTIABLE, bound, cases

Rule = Callable[..., Any]
CAUSES = {
    "scale": "off by",
    "sign": "sign",
    "dropped term": "a term is missing",
    "swapped operands": "swapped",
    "missing un-broadcast": "broadcast not summed",
    "stale buffer": "stale",
    "dropped accumulation": "accumulated path was dropped",
}
COMPOSED = ("mean", "sub", "pow", "add", "sqrt", "div", "mul")
MAX_TERMS = 6
ELIMINATION = "a term is missing or wrong"
acted: set[str] = set()
"""The mutants whose fault has been at work."""


class Mutant(NamedTuple):
    """One fault in one rule of one primitive."""

    primitive: str
    kind: str
    place: int
    mode: str = "vjp"

    def __str__(self) -> str:
        return f"{self.primitive}.{self.mode}: {self.kind} ({self.place})"


class Verdict(NamedTuple):
    """What became of a mutant, and whether the kit named its cause and, in a composition, the operation."""

    outcome: str
    named: bool
    said: str


def mutants() -> Iterator[Mutant]:
    """Every fault of every primitive's rules; some turn out equivalent."""
    for name in DIFFERENTIABLE:
        count = max(len(case.operands) for case in cases(registry[name]))
        for i in range(count):
            yield from (Mutant(name, kind, i) for kind in ("scale", "sign", "dropped term", "missing un-broadcast"))
        yield from (Mutant(name, "dropped term", count + k) for k in range(MAX_TERMS))
        if count > 1:
            yield from (Mutant(name, "swapped operands", place) for place in (0, 1))
        yield Mutant(name, "stale buffer", 0)
        yield Mutant(name, "dropped accumulation", 0)
        yield from (Mutant(name, kind, 0, "jvp") for kind in ("scale", "sign"))


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The primitive with the fault."""
    primitive = registry[mutant.primitive]
    rule = getattr(primitive, mutant.mode)
    setattr(primitive, mutant.mode, _faulty(mutant, primitive, rule))
    try:
        yield
    finally:
        setattr(primitive, mutant.mode, rule)


def _faulty(mutant: Mutant, primitive: Primitive, rule: Rule) -> Rule:
    kind, place = mutant.kind, mutant.place
    if mutant.mode == "jvp":
        factor = 3.0 if kind == "scale" else -1.0

        def pushed(*args: Any) -> Any:
            acted.add(str(mutant))
            tangent = rule(*args)
            return None if tangent is None else tangent * _like(factor, tangent)

        return pushed
    if kind == "stale buffer":
        return _stale(rule, str(mutant))
    if kind == "dropped accumulation":
        return _forgetful(rule, str(mutant))

    most = max(len(case.operands) for case in cases(primitive))

    def pulled(g: Any, saved: Any, parents: Sequence[Any], static: Any) -> Any:
        count = len(parents)
        if kind == "dropped term" and place >= most:
            return _without_term(rule, place - most, str(mutant), g, saved, parents, static)
        if kind == "swapped operands" and place == 1 and count == 2:
            x, y, *rest = saved
            exchanged = x is not None and y is not None and np.shape(x) == np.shape(y)
            if exchanged:
                acted.add(str(mutant))
            return rule(g, (y, x, *rest) if exchanged else saved, parents, static)
        found = list(rule(g, saved, parents, static))
        if kind == "swapped operands" and place == 0 and count == 2 and all(c is not None for c in found):
            fits = all(type(p) is Node for p in parents) and parents[0].shape == parents[1].shape
            if fits:
                acted.add(str(mutant))
            return found[::-1] if fits else found
        if place < count and found[place] is not None and type(parents[place]) is Node:
            c = found[place]
            if kind in ("scale", "sign", "dropped term"):
                acted.add(str(mutant))
            if kind == "scale":
                found[place] = c * _like(3.0, c)
            elif kind == "sign":
                found[place] = -c
            elif kind == "dropped term":
                found[place] = None
            elif kind == "missing un-broadcast":
                found[place] = _unsummed(c, g, parents, place, primitive, static)
                if found[place] is not c:
                    acted.add(str(mutant))
        return found

    return pulled


def _like(factor: float, x: Any) -> Any:
    return np.asarray(factor, x.dtype)


def _unsummed(c: Any, g: Any, parents: Sequence[Any], place: int, primitive: Primitive, static: Any) -> Any:
    """The first slice along every axis that should have been summed."""
    wanted = parents[place].shape
    if primitive.name == "broadcast_to":
        whole, c = static["shape"], g
    elif primitive.pointwise:
        whole = np.broadcast_shapes(c.shape, g.shape, *(getattr(p, "shape", None) or () for p in parents))  # of a constant it may not be known
    else:
        whole = tuple(c.shape)
    if tuple(whole) == tuple(wanted):
        return c
    c = ab.broadcast_to(c, whole) if isinstance(c, ab.Tensor) else np.broadcast_to(c, whole)
    extra = len(whole) - len(wanted)
    index = (0,) * extra + tuple(slice(0, 1) if n == 1 else slice(None) for n in wanted)
    return c[index] if isinstance(c, ab.Tensor) else np.array(c[index])


def _stale(rule: Rule, name: str) -> Rule:
    """A rule that keeps what was saved, and uses it at the next call if that has the same shapes."""
    kept: dict[Any, Any] = {}

    def pulled(g: Any, saved: Any, parents: Sequence[Any], static: Any) -> Any:
        saved = tuple(saved)
        if any(isinstance(x, ab.Tensor) for x in (g, *saved)):
            return rule(g, saved, parents, static)
        key = (repr(sorted(static.items(), key=str)), *(None if x is None else (np.shape(x), np.asarray(x).dtype) for x in saved))
        old = kept.get(key, saved)
        kept[key] = saved
        if any(x is not None and not np.array_equal(x, y) for x, y in zip(saved, old, strict=True)):
            acted.add(name)
        return rule(g, old, parents, static)

    return pulled


def _forgetful(rule: Rule, name: str) -> Rule:
    """A rule whose cotangent is lost where another call of the same primitive has sent one to the same operand."""
    first: dict[Any, Any] = {}

    def pulled(g: Any, saved: Any, parents: Sequence[Any], static: Any) -> Any:
        found = list(rule(g, saved, parents, static))
        for i, parent in enumerate(parents):
            if type(parent) is Node and first.setdefault(parent, parents) is not parents:
                acted.add(name)
                found[i] = None
        return found

    return pulled


class _Watched(np.ndarray[Any, Any]):
    """An array whose nth addition or subtraction, since ``countdown`` was set, loses its second operand."""

    countdown = -1

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) if isinstance(x, _Watched) else x for x in inputs]
        options = {k: tuple(np.asarray(x) for x in v) if k == "out" else v for k, v in options.items()}
        out = getattr(ufunc, method)(*plain, **options)
        if ufunc in (np.add, np.subtract) and method == "__call__":
            if _Watched.countdown == 0:
                out = np.array(np.broadcast_to(np.asarray(plain[0], out.dtype), out.shape))
            _Watched.countdown -= 1
        return np.asarray(out).view(_Watched) if not isinstance(out, tuple) else out


def _without_term(rule: Rule, place: int, name: str, g: Any, saved: Any, parents: Sequence[Any], static: Any) -> Any:
    if any(isinstance(x, ab.Tensor) for x in (g, *saved)):
        return rule(g, saved, parents, static)
    _Watched.countdown = place
    watched = [x.view(_Watched) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in saved]
    try:
        found = rule(np.asarray(g).view(_Watched), tuple(watched), parents, static)
        if _Watched.countdown < 0:
            acted.add(name)
    finally:
        _Watched.countdown = -1
    return [None if c is None else np.array(c) for c in found]


def functions(primitive: Primitive) -> Iterator[tuple[Callable[..., Any], list[Any]]]:
    """The primitive at its cases, and where it takes two operands of one shape also with the operands exchanged for others."""
    for case in cases(primitive):
        function, operands, _ = bound(primitive, case)
        if all(np.size(x) for x in operands):
            yield function, operands


def _derivatives(function: Callable[..., Any], operands: Sequence[Any]) -> list[Any]:
    """Derivatives in the ways in which a fault may show: twice, elsewhere, of two uses of an input, forward."""
    rng = np.random.default_rng(3)
    found: list[Any] = []
    g = rng.standard_normal(ab.vjp(function, *operands)[0].shape)
    try:
        for xs in (operands, [x * 0.96875 for x in operands], operands):
            found += ab.vjp(function, *xs)[1](g)
        found += ab.vjp(lambda *xs: function(*xs) + function(*xs), *operands)[1](g)
        found.append(ab.jvp(function, operands, operands)[1])
        found += ab.vjp(lambda *xs: sum((c * c).sum() for c in ab.vjp(function, *xs)[1](g)), *operands)[1](1.0)
    except (ab.AutogradError, ValueError) as error:
        return [type(error).__name__]
    return found


def is_equivalent(mutant: Mutant, programs: Sequence[tuple[Callable[..., Any], list[Any]]]) -> bool:
    """Whether no derivative differs: the rules are run and their numbers compared, without the kit."""
    for function, operands in programs:
        right = _derivatives(function, operands)
        with planted(mutant), np.errstate(all="ignore"):
            wrong = _derivatives(function, operands)
        if len(right) != len(wrong):
            return False
        for a, b in zip(right, wrong, strict=True):
            x, y = np.asarray(a.numpy()), np.asarray(b.numpy())
            if not np.allclose(x, y, rtol=1e-7, atol=1e-9 * (1 + np.max(np.abs(x), initial=0.0)), equal_nan=True):
                return False
    return True


def judge(mutant: Mutant, programs: Sequence[tuple[Callable[..., Any], list[Any]]], composed: bool = False) -> Verdict:
    """Run the kit on the primitive with the fault."""
    acted.discard(str(mutant))
    for function, operands in programs:
        with planted(mutant):
            report = ab.testing.check_gradients(function, *operands, name=mutant.primitive, raises=False)
        if report.ok:
            continue
        finding = next((f for f in report.findings if f.cause), report.findings[0])
        named = CAUSES[mutant.kind] in finding.cause
        if composed and finding.operation:
            named = named and finding.operation.startswith(f"{mutant.primitive}(")
        return Verdict("killed", named, finding.cause or finding.what)
    same = is_equivalent(mutant, programs)
    return Verdict("no site" if str(mutant) not in acted else "equivalent" if same else "survived", False, "")


def batch_norm_programs() -> list[tuple[Callable[..., Any], list[Any]]]:
    """Batch norm as people call it."""
    rng = np.random.default_rng(0)
    return [(lambda x, gamma, beta: ab.batch_norm(x, gamma, beta), [rng.standard_normal((5, 3)), rng.uniform(0.5, 2, 3), rng.standard_normal(3)])]


def study(sample: int | None = None, verbose: bool = False) -> tuple[Counter[str], Counter[tuple[str, str]], list[str]]:
    """Judge every mutant, or a sample of so many. Counts by outcome, by (kind, outcome), and what survived."""
    every = [(m, False) for m in mutants()]
    every += [(m, True) for m in mutants() if m.primitive in COMPOSED]
    if sample is not None:
        every = [every[i] for i in sorted(np.random.default_rng(0).choice(len(every), sample, replace=False))]
    total: Counter[str] = Counter()
    kinds: Counter[tuple[str, str]] = Counter()
    survivors = []
    for mutant, composed in every:
        programs = batch_norm_programs() if composed else list(functions(registry[mutant.primitive]))
        verdict = judge(mutant, programs, composed)
        where = f"batch norm with {mutant}" if composed else str(mutant)
        total[verdict.outcome] += 1
        total["generated"] += verdict.outcome != "no site"
        total["by elimination"] += verdict.named and ELIMINATION in verdict.said
        total["named"] += verdict.named
        kinds[mutant.kind, verdict.outcome] += 1
        kinds[mutant.kind, "named"] += verdict.named
        if verdict.outcome == "survived":
            survivors.append(where)
        if verbose and verdict.outcome == "killed" and not verdict.named:
            print(f"  {where}: {verdict.said}")
    return total, kinds, survivors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, help="judge so many mutants, chosen at random")
    parser.add_argument("--verbose", action="store_true", help="show the causes that were named wrongly")
    given = parser.parse_args()
    total, kinds, survivors = study(given.sample, given.verbose)
    print(f"{'fault':<22}{'equivalent':>11}{'killed':>8}{'survived':>10}{'cause named':>13}")
    for kind in CAUSES:
        print(f"{kind:<22}{kinds[kind, 'equivalent']:>11}{kinds[kind, 'killed']:>8}{kinds[kind, 'survived']:>10}{kinds[kind, 'named']:>13}")
    print(f"{total['generated']} generated, {total['equivalent']} equivalent, {total['killed']} killed, {total['survived']} survived")
    share = total["named"] / max(total["killed"], 1)
    print(f"the cause was named right for {total['named']} of {total['killed']} ({share:.0%}), {total['by elimination']} of them by elimination")
    for survivor in survivors:
        print(f"survived: {survivor}")
    return 1 if survivors or total["named"] < 0.75 * total["killed"] else 0


if __name__ == "__main__":
    sys.exit(main())

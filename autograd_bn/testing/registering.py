"""The whole suite for an operation of one's own, from one call, as pytest cases."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.primitive import Domain, Primitive
from autograd_bn.testing.gradients import ALSO, CHECKS, check_gradients, require_checks
from autograd_bn.testing.report import Report

Example = Callable[[np.random.Generator], Sequence[Any]]
Interval = Domain | tuple[float, float]

SHAPES: Mapping[int, tuple[tuple[tuple[int, ...], ...], ...]] = {
    1: (((),), ((1,),), ((3,),), ((2, 3),)),
    2: (((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3))),
    3: (((3,), (3,), (3,)), ((2, 1), (3,), ())),
}


class Case(NamedTuple):
    """One call of the operation, of which one check is made."""

    name: str
    args: tuple[Any, ...]
    check: str

    def __str__(self) -> str:
        return f"{self.name}-{self.check}"


class OperationSuite:
    """The cases of an operation. As a class of tests: ``TestMine = register_op(mine, …).tests()``."""

    def __init__(
        self, op: Callable[..., Any], name: str, reference: Callable[..., Any] | None, calls: dict[str, tuple[Any, ...]], checks: Sequence[str]
    ) -> None:
        self.op = op
        self.name = name
        self.reference = reference
        self.calls = calls
        self.checks = tuple(checks)

    def cases(self) -> Iterator[Case]:
        """Every call with every check."""
        for name, args in self.calls.items():
            for check in self.checks:
                yield Case(name, args, check)

    def run(self, case: Case) -> Report:
        """Make the check of one case; raises GradientCheckError if it fails. The report says if the check could not be made."""
        __tracebackhide__ = True  # a failure is told by its message
        reference = self.reference if case.check == "values" else None
        wanted = () if case.check == "values" else (case.check,)
        return check_gradients(self.op, *case.args, checks=wanted, reference=reference, name=f"{self.name}({case.name})")

    def tests(self) -> type:
        """A class that pytest collects, with a test a case."""
        import pytest

        suite = self

        class TestOperation:
            __doc__ = f"Derivatives of {suite.name}."

            @pytest.mark.parametrize("case", list(suite.cases()), ids=str)
            def test_gradients(self, case: Case) -> None:
                __tracebackhide__ = True
                for why in suite.run(case).skipped.values():
                    pytest.skip(why)

        TestOperation.__name__ = TestOperation.__qualname__ = f"Test_{suite.name}"
        return TestOperation


def register_op(
    op: Callable[..., Any],
    *,
    reference: Callable[..., Any] | None = None,
    domain: Interval | Sequence[Interval] | None = None,
    shapes: Sequence[Sequence[tuple[int, ...]]] | None = None,
    example: Example | None = None,
    checks: Sequence[str] | None = None,
    seed: int = 0,
) -> OperationSuite:
    """Get the whole suite of checks for a function, or for one with a rule of its own, as pytest cases.

    Parameters
    ----------
    op
        A function of tensors.
    reference
        The same in NumPy; the values are then compared too.
    domain
        Where operands may be sampled: a ``(low, high)``, or a `Domain` with kinks and poles to keep away from; one for all operands, or one each.
        Unless given, that of the record of a primitive, and from −2 to 2 for others.
    shapes
        A sequence of operands' shapes for each call; unless given, scalars, vectors, matrices and broadcasting mixtures. The last is called in float32 too.
    example
        Makes the arguments from a random generator, where operands are not just arrays of a domain.
    checks
        The names of checks; all, and vmap, checkpoint and jit, unless given.

    Returns a suite; ``suite.tests()`` is a class that pytest collects.

    Raises OperationError for an operation whose number of operands cannot be told, and for a domain with nothing in it.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> ours, numpys = lambda x: ab.log(x) * x, lambda x: np.log(x) * x
    >>> suite = ab.testing.register_op(ours, reference=numpys, domain=(0.5, 2.0))
    >>> all(suite.run(case).ok for case in suite.cases())
    True
    """
    name = str(getattr(op, "__name__", type(op).__name__)).replace("<lambda>", "lambda")
    rng = np.random.default_rng(seed)
    if domain is None:
        record = getattr(op, "primitive", None)
        domain = record.domains if isinstance(record, Primitive) else Domain()
    calls: dict[str, tuple[Any, ...]] = {}
    if example is not None:
        args = tuple(example(rng))
        calls["example"] = args
    else:
        for mixture in shapes if shapes is not None else _shapes(op, name):
            calls["×".join(str(list(s)) for s in mixture)] = tuple(_sampled(rng, domain, i, tuple(shape)) for i, shape in enumerate(mixture))
        for name_of_last, given in list(calls.items())[-1:]:
            calls[f"{name_of_last}-float32"] = tuple(x.astype(np.float32) for x in given)
    every = [*CHECKS, *ALSO] if checks is None else list(checks)
    require_checks(every)
    return OperationSuite(op, name, reference, calls, ["values", *every] if reference is not None else every)


def _shapes(op: Callable[..., Any], name: str) -> Sequence[Sequence[tuple[int, ...]]]:
    try:
        parameters = list(inspect.signature(op).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    if not parameters or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise OperationError(f"{name} does not say how many operands it takes: give shapes=[…], or example=")
    count = sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    if count not in SHAPES:
        raise OperationError(f"{name} takes {count} operands: give shapes=[…], or example=")
    return SHAPES[count]


def _sampled(rng: np.random.Generator, domain: Interval | Sequence[Interval], position: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    each = [domain] if isinstance(domain, Domain) or isinstance(domain[0], (int, float)) else list(domain)
    low_high: Any = each[min(position, len(each) - 1)]
    return sample(rng, low_high if isinstance(low_high, Domain) else Domain(*low_high), shape)


def sample(rng: np.random.Generator, domain: Domain, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Uniform in the domain's interval, away from its kinks and poles. Raises OperationError where that leaves nothing."""
    x = np.asarray(rng.uniform(domain.low, domain.high, shape))
    for _ in range(100):
        close = np.zeros(shape, bool)
        for point in domain.avoid:
            close |= np.abs(x - point) < domain.margin
        if not close.any():
            return x
        x = np.where(close, rng.uniform(domain.low, domain.high, shape), x)
    raise OperationError(f"the domain {domain} leaves nothing to sample")

"""`check_gradients`, and each of its checks by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

from autograd_bn.core.errors import AutogradError, OperationError
from autograd_bn.core.state import no_effects
from autograd_bn.testing import checks as checks_of_derivatives
from autograd_bn.testing import properties
from autograd_bn.testing.report import Finding, Report
from autograd_bn.testing.subject import Options, Subject

Check = Callable[[Subject, Report], None]

CHECKS: dict[str, Check] = {
    "determinism": properties.check_repeated,
    "aliasing": properties.check_apart,
    "vjp": checks_of_derivatives.check_pulled,
    "jvp": checks_of_derivatives.check_pushed,
    "modes_agree": checks_of_derivatives.check_agreement,
    "second_order": checks_of_derivatives.check_second,
    "linearity": properties.check_linear,
    "dtype_and_shape": properties.check_kept,
    "unchanged": properties.check_kept_inputs,
    "accumulation": properties.check_accumulated,
    "graph_invariance": properties.check_graphs,
}
ALSO: dict[str, Check] = {"vmap": properties.check_mapped, "checkpoint": properties.check_recomputed, "jit": properties.check_compiled}


class Settings(TypedDict, total=False):
    """The keywords of every check: see `check_gradients`."""

    reference: Callable[..., Any] | None
    seed: int
    elements: int
    rtol: float | None
    name: str | None


def check_gradients(
    function: Callable[..., Any],
    *args: Any,
    checks: Sequence[str] | None = None,
    also: Sequence[str] = (),
    raises: bool = True,
    reference: Callable[..., Any] | None = None,
    seed: int = 0,
    elements: int = 256,
    rtol: float | None = None,
    name: str | None = None,
) -> Report:
    """Check every derivative of a function at one point, and say what is wrong.

    Reverse mode is compared, element by element, with the derivative by a complex step; where the function is not written for
    complex numbers with central differences; where those are too rough with the order of the Taylor remainder. Forward
    mode, the second order and what needs no reference (linearity, dtypes, memory, accumulation, determinism) follow.

    Parameters
    ----------
    function
        Takes and returns tensors, in nested containers; may close over others, and have rules of its own.
    args
        Tensors, arrays, numbers, or nested containers of them, Modules among them. Real floating ones are differentiated by.
    checks
        The names of the checks to make; all unless given.
    also
        Further ones: ``"vmap"``, ``"checkpoint"`` and ``"jit"``, under which derivatives must be the same.
    raises
        Raise what is found; else return it.
    reference
        The same function in NumPy: values are then compared with its, and derivatives with those of it.
    seed
        Of the random cotangents and tangents.
    elements
        How many elements of the inputs to compare one by one; the rest along random directions.
    rtol
        The tolerance relative to the largest element, instead of one by dtype and method.
    name
        What to call the function.

    Returns the Report.

    Raises GradientCheckError, an AssertionError with the ``report``, if a derivative is wrong; OperationError where there is nothing to
    differentiate by.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> f = lambda x: (x * ab.sin(x)).sum()
    >>> report = ab.testing.check_gradients(f, ab.tensor([1.0, 2.0]), name="x·sin x")
    >>> report.ok, report.passed["vjp"]
    (True, '2 of 2 elements by complex step')
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    with np.errstate(all="ignore"), no_effects():  # each call draws the same random numbers
        report = _examined(function, args, checks, also, Options(reference, seed, elements, rtol, name))
    return report.raise_if_wrong() if raises else report


def require_checks(names: Sequence[str]) -> None:
    """Raise OperationError for a name that no check has."""
    for name in names:
        if name not in CHECKS and name not in ALSO:
            raise OperationError(f"there is no check {name!r}; there are {', '.join((*CHECKS, *ALSO))}")


def _examined(function: Callable[..., Any], args: Sequence[Any], checks: Sequence[str] | None, also: Sequence[str], options: Options) -> Report:
    wanted = tuple(CHECKS) if checks is None else tuple(checks)
    require_checks((*wanted, *also))
    subject = Subject(function, args, options)
    report = Report(subject.name)
    if options.reference is not None:
        checks_of_derivatives.values(subject, report)
    for name in (*wanted, *also):
        _made(name, subject, report)
    report.notes += subject.undefined()
    return report


def _made(name: str, subject: Subject, report: Report) -> None:
    """Make one check. An error of the backward pass fails the check of reverse mode; the others then cannot be made."""
    check = CHECKS.get(name) or ALSO[name]
    try:
        check(subject, report)
    except AutogradError as error:
        if name != "vjp" and report.failed("vjp"):
            report.skipped[name] = checks_of_derivatives.first_line(error)
        else:
            report.findings.append(Finding(name, f"raised {type(error).__name__}: {error}"))


def _alone(name: str, function: Callable[..., Any], args: Sequence[Any], settings: Settings) -> Report:
    return check_gradients(function, *args, checks=(name,), **settings)


def check_vjp(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check reverse mode against a complex step, central differences, or the order of the Taylor remainder. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_vjp(ab.sin, 1.0).passed
    {'vjp': '1 of 1 elements by complex step'}
    """
    return _alone("vjp", function, args, settings)


def check_jvp(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check forward mode along a random direction. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_jvp(ab.abs, 1.0).passed
    {'jvp': 'along a random direction by central differences'}
    """
    return _alone("jvp", function, args, settings)


def check_modes_agree(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that ⟨v, Ju⟩ = ⟨Jᵀv, u⟩. Both modes may be wrong alike, so this takes the place of no other check.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_modes_agree(ab.sin, 1.0).ok
    True
    """
    return _alone("modes_agree", function, args, settings)


def check_second_order(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check the derivative of the gradient against differences of the gradient. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_second_order(ab.sin, 1.0).ok
    True
    """
    return _alone("second_order", function, args, settings)


def check_linearity(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that the pullback is linear in the cotangent. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_linearity(ab.sin, 1.0).passed
    {'linearity': 'in the cotangent'}
    """
    return _alone("linearity", function, args, settings)


def check_dtype_and_shape(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that gradients have their inputs' shapes and dtypes, also in single precision, where they are the same but for rounding. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_dtype_and_shape(ab.sum, ab.ones((2, 3))).ok
    True
    """
    return _alone("dtype_and_shape", function, args, settings)


def check_unchanged(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that neither inputs nor cotangents are written into. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_unchanged(ab.sum, ab.ones((2, 3))).ok
    True
    """
    return _alone("unchanged", function, args, settings)


def check_aliasing(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that what is returned shares no memory that changes later. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_aliasing(ab.positive, ab.ones(3)).ok
    True
    """
    return _alone("aliasing", function, args, settings)


def check_accumulation(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that gradients add up over calls and over several uses. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_accumulation(lambda x: x * x, 2.0).ok
    True
    """
    return _alone("accumulation", function, args, settings)


def check_determinism(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that the same call gives the same bits. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_determinism(ab.sin, 1.0).passed
    {'determinism': 'bit for bit'}
    """
    return _alone("determinism", function, args, settings)


def check_graph_invariance(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that graphs that mean the same have the same gradient. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_graph_invariance(lambda x: x * x, 2.0).ok
    True
    """
    return _alone("graph_invariance", function, args, settings)


def check_vmap(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that values and gradients under ``vmap`` are those of a loop. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_vmap(ab.softmax, ab.ones((2, 3))).ok
    True
    """
    return _alone("vmap", function, args, settings)


def check_checkpoint(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that ``checkpoint`` changes no gradient. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_checkpoint(ab.softmax, ab.ones((2, 3))).ok
    True
    """
    return _alone("checkpoint", function, args, settings)


def check_jit(function: Callable[..., Any], *args: Any, **settings: Unpack[Settings]) -> Report:
    """Check that ``jit`` changes neither values nor gradients. See `check_gradients`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.testing.check_jit(ab.softmax, ab.ones((2, 3))).ok
    True
    """
    return _alone("jit", function, args, settings)

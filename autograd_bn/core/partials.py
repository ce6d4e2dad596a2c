"""Partial derivatives as they are written, by what they need, and the rules of an elementwise function that are made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.node import Node

Partial = Callable[..., Any] | complex | None
Pull = Callable[..., Any]
"""``(g, *operands, out)`` to the product of ``g`` and a partial."""

_VARIABLE = 0x04 | 0x08  # CO_VARARGS, CO_VARKEYWORDS


def parameters(function: Callable[..., Any], known: Sequence[str], what: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of the ``known`` values a function takes: those by position, and those by keyword only.

    What has a default and another name is left to its default. Raises OperationError where a name is unknown, or where there are none to read.
    """
    code = function.__code__ if type(function) is FunctionType else None
    if code is not None and not (code.co_flags & _VARIABLE or code.co_kwonlyargcount or function.__defaults__ or hasattr(function, "__wrapped__")):
        positional: tuple[str, ...] = code.co_varnames[: code.co_argcount]
        keywords: tuple[str, ...] = ()
    else:
        positional, keywords = _signature(function, known, what)
    for name in positional + keywords:
        if name not in known:
            raise OperationError(f"{what} asks for {name!r}; it may name {', '.join(known)}")
    return positional, keywords


def _signature(function: Callable[..., Any], known: Sequence[str], what: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    import inspect

    remedy = f"; write it as a function of {', '.join(known)} or some of them, as in lambda {known[0]}: …"
    try:
        if isinstance(function, np.ufunc):  # its names, as far as it has them, are of its own
            raise ValueError
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise OperationError(f"{what}, {function!r}, has no parameter names that say what it needs{remedy}") from None
    positional: list[str] = []
    keywords: list[str] = []
    skipped = False
    for parameter in found:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise OperationError(f"{what} takes {parameter}, which does not say what it needs{remedy}")
        if parameter.name not in known and parameter.default is not parameter.empty:
            skipped = True
        elif parameter.kind is parameter.KEYWORD_ONLY or (skipped and parameter.kind is parameter.POSITIONAL_OR_KEYWORD):
            keywords.append(parameter.name)
        elif skipped:
            raise OperationError(f"{what} takes {parameter.name!r} by position after what is not one of {', '.join(known)}{remedy}")
        else:
            positional.append(parameter.name)
    return tuple(positional), tuple(keywords)


_ITSELF = (lambda x: x).__code__.co_code
"""What a partial that is an operand, or the result, does: it is written into the rule, which need not call it."""


def _product(partial: Partial, place: int, names: tuple[str, ...], what: str) -> tuple[str, frozenset[int]]:
    """The product of a cotangent g (or a tangent) and a partial, as source, and what it needs: positions of operands, −1 for the result."""
    if partial is None:
        return "None", frozenset()
    if not callable(partial):
        if not isinstance(partial, (int, float, complex)):
            raise OperationError(f"{what} is a number, None or a function, got {partial!r}")
        return "g" if partial == 1 else "-g" if partial == -1 else f"g * partial{place}", frozenset()
    positional, keywords = parameters(partial, (*names, "out", "g"), what)
    wanted = positional + keywords
    needs = frozenset(-1 if p == "out" else names.index(p) for p in wanted if p != "g")
    code = getattr(partial, "__code__", None)
    if code is not None and code.co_code == _ITSELF and wanted == code.co_varnames[:1] != ("g",):
        return f"g * {wanted[0]}", needs
    call = f"partial{place}({', '.join([*positional, *(f'{k}={k}' for k in keywords)])})"
    return call if "g" in wanted else f"g * {call}", needs


@functools.cache
def _compiled(names: tuple[str, ...], products: tuple[str, ...]) -> Callable[..., Any]:
    """Makes the rules from the partials. Compiled once a pattern, so that a partial costs its own call and nothing else."""
    count = range(len(names))
    free = ("g", "None") if len(names) > 1 else products
    needed = [p if p in free else f"{p} if type(parent{i}) is Node else None" for i, p in enumerate(products)]
    source = f"""
def make({", ".join(f"partial{i}" for i in count)}):
    def vjp(g, saved, parents, static):
        {", ".join(names)}, out = saved
        {"".join(f"parent{i}, " for i in count)} = parents
        return ({"".join(f"{n}, " for n in needed)})
    return vjp, ({"".join(f"lambda g, {', '.join(names)}, out: {product}, " for product in products)})
"""
    space: dict[str, Any] = {"__name__": __name__, "Node": Node}
    # Named as a file of the engine, so that an operation in a rule is not taken for the user's.
    exec(compile(source, __file__ + ":rule", "exec"), space)  # noqa: S102 - the source is made of the names above
    make: Callable[..., Any] = space["make"]
    return make


def rules(name: str, names: tuple[str, ...], partials: Sequence[Partial]) -> tuple[Callable[..., Any], tuple[Pull | None, ...], tuple[frozenset[int], ...]]:
    """The VJP of an elementwise function, for each operand the product by its partial (None where there is none), and what each needs."""
    given = [p.item() if isinstance(p, np.generic) else p for p in partials]  # a NumPy number would widen float32
    products, needs = zip(*[_product(p, i, names, f"{name}: the partial by {n}") for i, (p, n) in enumerate(zip(given, names, strict=True))], strict=True)
    vjp, pulls = _compiled(names, products)(*given)
    return vjp, tuple(None if p is None else pull for p, pull in zip(given, pulls, strict=True)), needs

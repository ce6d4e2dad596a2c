"""The graph of whatever is to be shown: a result, a graph, or a function or module that is run for it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.errors import DrawingError
from autograd_bn.core.graph import Graph, graph
from autograd_bn.core.lines import Line
from autograd_bn.core.node import Node, ancestors
from autograd_bn.core.record import record
from autograd_bn.core.state import no_effects, user_line
from autograd_bn.core.tensor import Tensor, leaf
from autograd_bn.core.tree import flatten


def is_run(target: Any) -> bool:
    """Whether a target is a function or module, which has to be run to have a graph."""
    return callable(target) and not isinstance(target, (Tensor, Graph))


def name_of(target: Any) -> str:
    """What a function, or any other target, is called."""
    return str(getattr(target, "__name__", type(target).__name__)) if is_run(target) else "Graph"


def graph_of(target: Any, inputs: tuple[Any, ...], usage: str) -> Graph:
    """The graph of a tensor, a container of tensors or a Graph; or of a function or module, which is run on its inputs.

    ``usage`` is how that is written, for messages: ``"draw(f, x)"``.
    """
    caller = usage.split("(")[0]
    if is_run(target):
        return run_graph(target, _arguments(target, inputs, f"{caller}() needs example inputs to run {name_of(target)}: {usage}"))
    if inputs:
        named = next((f"; a file is given by name, file={os.fspath(x)!r}" for x in inputs if isinstance(x, (str, os.PathLike))), "")
        raise DrawingError(f"{caller}() takes inputs for a function or a module, not for a {type(target).__name__}{named}")
    return target if isinstance(target, Graph) else graph(target)


def _arguments(function: Callable[..., Any], inputs: tuple[Any, ...], message: str) -> list[Any]:
    """The inputs, an array or number of floating dtype as a leaf with the name of the parameter that it goes to, in containers too."""
    called = function if inspect.isroutine(function) else getattr(function, "forward", function)
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # some functions of other languages have none
        return list(inputs)
    try:
        bound = signature.bind(*inputs)
    except TypeError as error:
        raise DrawingError(f"{message}; {error}") from None
    names = []
    for name, value in bound.arguments.items():
        several = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        names += [f"{name}[{i}]" for i in range(len(value))] if several else [name]
    line = user_line()
    return [_leaf(x, name, line) for x, name in zip(inputs, names, strict=True)]


def _leaf(x: Any, name: str, line: Line, kinds: tuple[type, ...] = (np.ndarray, np.inexact, float, complex)) -> Any:
    if isinstance(x, kinds) and np.asarray(x).dtype.kind in "fc":
        return leaf(np.array(x), 0, name, line)
    if type(x) is dict:
        return {key: _leaf(part, f"{name}[{key!r}]", line) for key, part in x.items()}
    if type(x) in (list, tuple):  # one of numbers may be meant as an array
        return type(x)(_leaf(part, f"{name}[{i}]", line, (np.ndarray,)) for i, part in enumerate(x))
    return x


def run_graph(function: Callable[..., Any], arguments: Sequence[Any]) -> Graph:
    """The graph of a call inside ``ab.record()``. A result of one number is differentiated, unless the function did so itself.

    Gradients and running statistics are then as they were.
    """
    with record(), no_effects():
        return differentiated_graph(function(*arguments))


def differentiated_graph(result: Any) -> Graph:
    """The graph of a result; one number is differentiated first, unless that was done, and the leaves' gradients are then as they were."""
    if isinstance(result, Graph):
        return result
    found, _ = flatten(result)
    if not (len(found) == 1 and isinstance(found[0], Tensor) and found[0].size == 1 and found[0].requires_grad) or _differentiated(found[0]):
        return graph(result)
    before = [(leaf.extras(), leaf.extras().gradient) for leaf in ancestors([found[0].node]) if leaf.primitive is None]
    for extra, _ in before:
        extra.gradient = None
    try:
        found[0].backward()
        return graph(result)
    finally:
        for extra, gradient in before:
            extra.gradient = gradient


def _differentiated(result: Tensor) -> bool:
    extra = result.node.extra if isinstance(result.node, Node) else None
    return extra is not None and extra.cotangents is not None

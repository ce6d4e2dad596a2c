"""Reverse mode as transforms: vjp, and grad made of the same sweep."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.complex_values import conjugated
from autograd_bn.core.errors import DtypeError, GradientError, ShapeError
from autograd_bn.core.levels import OpenLevel
from autograd_bn.core.lines import caller_line
from autograd_bn.core.node import Node
from autograd_bn.core.sweep import sweep
from autograd_bn.core.tensor import Tensor, asarray, check_differentiable, leaf, owned, tensor_of
from autograd_bn.core.tracing import lifted, tracing
from autograd_bn.core.tree import Structure, flatten, matched
from autograd_bn.transforms.argnums import argument_numbers, check_function, positions


def _inputs(tree: Any, level: int, what: str) -> tuple[Any, list[Tensor], Structure]:
    """The leaves of a tree as leaves on the tape of a level.

    Their values are arrays that nobody else writes into, or live tensors of the levels below.
    """
    leaves, structure = flatten(tree)
    line = caller_line(2)
    trace = tracing()
    opened = []
    for x in leaves:
        if type(x) is not Tensor:
            x = asarray(x)
        if trace is not None:
            x = trace.lift(x)
        value = x.value
        if value.dtype.kind not in "fc":
            check_differentiable(x.dtype, what)
        node = x.node
        if node.level >= 0:
            opened.append(leaf(x, level, x.name, line))
        else:
            opened.append(leaf(value.copy() if node.foreign else value, level, node.name, line))
    return structure.unflatten(opened), opened, structure


def _lowered(x: Any, level: int) -> tuple[Any, Any]:
    """An output's value below the level, and its node there (None if it does not depend on the inputs)."""
    if type(x) is not Tensor:
        return asarray(x), None
    if x.node.level == level:
        return tensor_of(x.value), x.node
    return x, None


def _gradients(inputs: list[Tensor], found: dict[Node, Any]) -> list[Tensor]:
    out = []
    for x in inputs:
        g = found.get(x.node)
        if g is None:
            g = np.zeros(x.node.shape, x.node.dtype)
        g = conjugated(g)
        out.append(Tensor(g.value, g.node) if isinstance(g, Tensor) else Tensor(g))  # its own: one cotangent may reach several inputs
    return out


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """A function's value, and its pullback: the map from a cotangent of the value to cotangents of the primals.

    Parameters
    ----------
    function
        Takes the primals; returns a tensor, or tensors in nested containers.
    primals
        Tensors, arrays or numbers of floating dtype, or nested containers of them.

    Returns
    -------
    value, pullback
        ``pullback(cotangent)`` takes what has the structure, shapes and dtypes of the value, and gives a tuple with one
        entry a primal. It may be called again.

    Raises DtypeError for a primal that is not floating; the pullback ShapeError for a cotangent that does not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> value, pullback = ab.vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> pullback(1.0)
    (tensor(3.), tensor(2.))
    """
    check_function(function, "vjp")
    with OpenLevel() as level:
        arguments, inputs, structure = _inputs(primals, level, "vjp")
        out = function(*arguments)
    leaves, out_structure = flatten(out)
    lowered = [_lowered(x, level) for x in leaves]

    def pullback(cotangent: Any) -> Any:
        seeds = matched(cotangent, out_structure, "the cotangent", "the value")
        roots = [(node, _seed(seed, node)) for seed, (_, node) in zip(seeds, lowered, strict=True) if node is not None]
        found = sweep(roots, free=False)
        return structure.unflatten(_gradients(inputs, found))

    return out_structure.unflatten(value for value, _ in lowered), pullback


def _seed(seed: Any, node: Node) -> Any:
    seed = lifted(seed if isinstance(seed, Tensor) else asarray(seed))
    if seed.shape != node.shape:
        raise ShapeError(f"the cotangent has shape {seed.shape}, the value {node.shape}; they must be equal")
    if seed.dtype != node.dtype:
        if (seed.dtype.kind == "c" and node.dtype.kind != "c") or (seed.dtype.kind == node.dtype.kind and seed.ndim):
            raise DtypeError(f"the cotangent has dtype {seed.dtype}, the value {node.dtype}; convert it with .astype('{node.dtype}')")
        seed = seed.astype(node.dtype)
    return conjugated(owned(seed))


def _counted(result: Any) -> str:
    return f"a {type(result).__name__}" + (f" of {len(result)}" if isinstance(result, (tuple, list, dict)) else "")


def value_and_grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the value of a scalar function and its gradient.

    Parameters
    ----------
    function
        Returns a tensor with one element; with ``has_aux`` a pair of it and anything else.
    argnums
        The position of the argument to differentiate by, or several; each may be a nested container.
    has_aux
        Return ``((value, aux), gradient)``.

    Returns a function of the same arguments. Its gradient has the structure of the argument (a tuple for several).
    What the value does not depend on gets zeros.

    Of a complex argument the gradient is ∂L/∂Re z + i·∂L/∂Im z, as in PyTorch.

    Raises GradientError where the value is no scalar, DtypeError where it is complex or an argument is not floating.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.value_and_grad(lambda p: (p["w"] ** 2).sum())({"w": ab.tensor([1.0, 2.0])})
    (tensor(5.), {'w': tensor([2., 4.])})
    """
    check_function(function, "grad")
    numbers, single = argument_numbers(argnums, "argnums of grad")

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = positions(numbers, len(args), "argnums of grad")
        with OpenLevel() as level:
            chosen, inputs, structure = _inputs(tuple(args[i] for i in places), level, f"grad of {getattr(function, '__name__', 'a function')}")
            arguments = list(args)
            for i, opened in zip(places, chosen, strict=True):
                arguments[i] = opened
            result = function(*arguments, **kwargs)
            aux = None
            if has_aux:
                if not isinstance(result, (tuple, list)) or len(result) != 2:
                    raise GradientError(f"grad with has_aux=True needs a function that returns a pair, its value and anything else, got {_counted(result)}")
                result, aux = result
            if isinstance(result, (tuple, list, dict)):
                remedy = "" if has_aux else ", or pass has_aux=True, which hands on the second of a pair"
                raise GradientError(f"grad needs a function with one output, got {_counted(result)}; return what to differentiate alone{remedy}")
            value, node = _lowered(result, level)
            if value.size != 1:
                raise GradientError(f"grad needs a function with one output element, got shape {value.shape}; reduce it, or use ab.vjp or ab.jacobian")
            if value.dtype.kind == "c":
                raise DtypeError(
                    f"grad needs a real value, got {value.dtype}: only of a real loss is there a gradient; take ab.real, ab.abs or the like of it, "
                    "or use ab.vjp"
                )
            found: dict[Node, Any] = {}
            if node is not None:
                found = sweep([(node, np.ones(node.shape, node.dtype))], free=True)
        gradients = structure.unflatten(_gradients(inputs, found))
        gradient = gradients[0] if single else gradients
        if not has_aux:
            return value, gradient
        leaves, aux_structure = flatten(aux)
        return (value, aux_structure.unflatten(_lowered(x, level)[0] if isinstance(x, Tensor) else x for x in leaves)), gradient

    return wrapped


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of a scalar function. See `value_and_grad`; with ``has_aux``, ``(gradient, aux)``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.grad(ab.grad(lambda x: x**3))(2.0)
    tensor(12.)
    """
    both = value_and_grad(function, argnums, has_aux=has_aux)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped

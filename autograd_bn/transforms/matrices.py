"""Whole matrices of derivatives: jacobian and hessian, by mapping pullbacks and pushforwards over a basis; and the product hvp."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from autograd_bn.core.errors import DtypeError, OperationError
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import no_effects
from autograd_bn.core.tensor import Tensor, asarray, check_differentiable
from autograd_bn.core.tree import flatten
from autograd_bn.transforms.argnums import argument_numbers, check_function, positions
from autograd_bn.transforms.forward import jvp
from autograd_bn.transforms.mapping import vmap
from autograd_bn.transforms.reverse import grad, vjp

Mode = Literal["forward", "reverse"]


def jacobian(function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, mode: Mode | None = None) -> Callable[..., Any]:
    """A function that returns the derivative of every element of a function's value by every element of its argument.

    Parameters
    ----------
    function
        Returns a tensor, or tensors in nested containers; real floating.
    argnums
        The position of the argument to differentiate by, or several; each may be a nested container.
    mode
        ``"forward"`` (a pushforward an input element) or ``"reverse"`` (a pullback an output element), all of them at once;
        by default reverse, unless there are more outputs than inputs, when the function runs a second time.

    Returns a function of the same arguments. Its result has the structure of the value, in which each tensor is replaced
    by the structure of the argument (a tuple for several), of tensors with the shape of the output followed by that of the input.

    Raises DtypeError where an input or output is not real floating.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.jacobian(lambda x: ab.stack([x[0] * x[1], x[1] ** 2]))(ab.tensor([2.0, 3.0]))
    tensor([[3., 2.],
            [0., 6.]])
    """
    if mode not in (None, "forward", "reverse"):
        raise OperationError(f"jacobian: mode is 'forward', 'reverse' or None for the cheaper one, got {mode!r}")
    check_function(function, "jacobian")
    numbers, single = argument_numbers(argnums, "argnums of jacobian")

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = positions(numbers, len(args), "argnums of jacobian")
        primals = tuple(args[i] for i in places)
        leaves, structure = flatten(primals)
        inputs = [asarray(x) for x in leaves]
        for x in inputs:
            _check_real(x.dtype, "jacobian")

        def chosen(*given: Any) -> Any:
            arguments = list(args)
            for i, x in zip(places, given, strict=True):
                arguments[i] = x
            return function(*arguments, **kwargs)

        if mode == "forward":
            blocks, outputs = _by_columns(chosen, primals, inputs)
        else:
            value, pullback = vjp(chosen, *primals)
            found, outputs = flatten(value)
            results = [asarray(y) for y in found]
            for y in results:
                _check_real(y.dtype, "jacobian's output")
            if mode is None and _total(results) > _total(inputs):
                with no_effects():
                    blocks, outputs = _by_columns(chosen, primals, inputs)
            else:
                blocks = _by_rows(pullback, outputs, results, inputs)
        rows = [structure.unflatten(row) for row in blocks]
        return outputs.unflatten(row[0] if single else row for row in rows)

    return wrapped


def _check_real(dtype: np.dtype[Any], what: str) -> None:
    """Of complex numbers a matrix of derivatives says all only where the function is holomorphic, which nobody knows."""
    if dtype.kind == "c":
        raise DtypeError(f"{what} needs a real floating dtype, got {dtype}; differentiate by the real and the imaginary part, or use ab.vjp or ab.jvp")
    check_differentiable(dtype, what)


def _total(leaves: list[Tensor]) -> int:
    return sum(x.size for x in leaves)


def _parts(leaves: list[Tensor]) -> list[slice]:
    """Where each of the leaves lies, all of them in a row."""
    ends = itertools.accumulate(x.size for x in leaves)
    return [slice(end - x.size, end) for x, end in zip(leaves, ends, strict=True)]


def _basis(leaves: list[Tensor]) -> tuple[Any, ...]:
    """The unit vectors of all leaves together, along axis 0."""
    total = _total(leaves)
    found = []
    for x, part in zip(leaves, _parts(leaves), strict=True):
        unit = np.zeros((total, x.size), x.dtype)
        np.fill_diagonal(unit[part], 1)
        found.append(Tensor(unit.reshape(total, *x.shape)))
    return tuple(found)


def _by_rows(pullback: Callable[..., Any], outputs: Any, results: list[Tensor], inputs: list[Tensor]) -> list[list[Tensor]]:
    if not _total(results):
        return [[Tensor(np.zeros(y.shape + x.shape, x.dtype)) for x in inputs] for y in results]
    pulled = vmap(lambda *seeds: tuple(flatten(pullback(outputs.unflatten(seeds)))[0]))(*_basis(results))
    return [
        [asarray(raw.reshape(g[part], shape=y.shape + x.shape)) for g, x in zip(pulled, inputs, strict=True)]
        for y, part in zip(results, _parts(results), strict=True)
    ]


def _by_columns(function: Callable[..., Any], primals: tuple[Any, ...], inputs: list[Tensor]) -> tuple[list[list[Tensor]], Any]:
    _, structure = flatten(primals)
    outputs: Any = None

    def push(*directions: Any) -> Any:
        nonlocal outputs
        _, tangent = jvp(function, primals, structure.unflatten(directions))
        found, outputs = flatten(tangent)
        for t in found:
            _check_real(t.dtype, "jacobian's output")
        return tuple(found)

    if not _total(inputs):
        found = push(*(Tensor(np.zeros(x.shape, x.dtype)) for x in inputs))
        return [[Tensor(np.zeros(y.shape + x.shape, y.dtype)) for x in inputs] for y in found], outputs
    pushed = vmap(push, out_axes=-1)(*_basis(inputs))
    blocks = [
        [asarray(raw.reshape(columns[..., part], shape=columns.shape[:-1] + x.shape)) for x, part in zip(inputs, _parts(inputs), strict=True)]
        for columns in pushed
    ]
    return blocks, outputs


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the second derivatives of a function, forward over reverse.

    Parameters
    ----------
    function
        Returns a tensor, of one element as a rule, or tensors in nested containers.
    argnums
        The position of the argument to differentiate by, or several; each may be a nested container.

    Returns a function of the same arguments. Its result is that of ``jacobian(jacobian(function))``: in the place of each
    output the structure of the argument, and in the place of each of its tensors that structure again.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.hessian(lambda x: x[0] ** 2 * x[1])(ab.tensor([2.0, 3.0]))
    tensor([[6., 4.],
            [4., 0.]])
    """
    return jacobian(jacobian(function, argnums, mode="reverse"), argnums, mode="forward")


def hvp(function: Callable[..., Any], x: Any, v: Any) -> Any:
    """The product of a scalar function's Hessian at ``x`` and a vector, forward over reverse, without forming the matrix (Pearlmutter 1994).

    Parameters
    ----------
    function
        Takes ``x``; returns a tensor with one element.
    x, v
        Tensors, arrays or numbers, or nested containers of them, of equal structure and shapes; real floating.

    Returns ``H @ v`` with the structure of ``x``.

    Raises ShapeError where ``v`` does not have the shapes of ``x``, GradientError where the value is no scalar.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.hvp(lambda x: (x**3).sum(), ab.tensor([1.0, 2.0]), ab.tensor([1.0, 10.0]))
    tensor([  6., 120.])
    """
    return jvp(grad(function), (x,), (v,))[1]

"""Forward mode: tangents carried along with values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.levels import OpenLevel
from autograd_bn.core.node import Dual
from autograd_bn.core.tensor import Tensor, asarray, check_differentiable, owned, tensor_of
from autograd_bn.core.tracing import lifted
from autograd_bn.core.tree import flatten, matched
from autograd_bn.transforms.argnums import check_function


def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """A function's value and its directional derivative, in one forward pass.

    Parameters
    ----------
    function
        Takes the primals; returns a tensor, or tensors in nested containers.
    primals, tangents
        Sequences of one entry an argument, of equal structure and shapes; floating.

    Returns ``(value, tangent)``, both of the structure that the function returns.

    Raises ShapeError where a tangent does not have its primal's shape, DtypeError where a primal is not floating, or the tangent of a real one complex.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.jvp(ab.sin, (0.0,), (2.0,))
    (tensor(0.), tensor(2.))
    """
    check_function(function, "jvp")
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise OperationError(f"jvp: {what} is a tuple of one entry an argument, as in jvp(f, (x,), (t,)), got {type(given).__name__}")
    if len(primals) != len(tangents):
        raise OperationError(f"jvp: {len(primals)} primals and {len(tangents)} tangents")
    with OpenLevel() as level:
        leaves, structure = flatten(tuple(primals))
        directions = matched(tuple(tangents), structure, "jvp: the tuple of tangents", "that of the primals")
        opened = []
        for x, t in zip(map(asarray, leaves), map(asarray, directions), strict=True):
            x, t = lifted(x), lifted(t)
            check_differentiable(x.dtype, "jvp")
            if t.shape != x.shape:
                raise ShapeError(f"jvp: a tangent has shape {t.shape}, its primal {x.shape}; they must be equal")
            if t.dtype.kind == "c" and x.dtype.kind != "c":
                raise DtypeError(f"jvp: a tangent has dtype {t.dtype}, its primal {x.dtype}")
            opened.append(Tensor(owned(x), Dual(level, owned(t if t.dtype == x.dtype else t.astype(x.dtype)))))
        out = function(*structure.unflatten(opened))
        values, out_structure = flatten(out)
        primal_out, tangent_out = [], []
        for y in map(asarray, values):
            if y.node.__class__ is Dual and y.node.level == level:
                primal_out.append(tensor_of(y.value))
                tangent_out.append(tensor_of(y.node.tangent))
            else:
                primal_out.append(y)
                tangent_out.append(Tensor(np.zeros(y.shape, y.dtype)))
    return out_structure.unflatten(primal_out), out_structure.unflatten(tangent_out)

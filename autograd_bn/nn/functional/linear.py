"""Affine maps."""

from __future__ import annotations

import math
from typing import Any

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray


@composite
def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """The affine map x·Wᵀ + b.

    Parameters
    ----------
    x
        Shape (…, in).
    weight
        Shape (out, in).
    bias
        Shape (out,), or None.

    Returns shape (…, out). Raises ShapeError where the shapes do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x, weight = ab.tensor([[1.0, 2.0]]), ab.tensor([[3.0, 4.0]])
    >>> ab.nn.functional.linear(x, weight, ab.tensor([0.5]))
    tensor([[11.5]])
    """
    if type(x) is not Tensor:
        x = asarray(x)
    if type(weight) is not Tensor:
        weight = asarray(weight)
    out_in = weight.shape
    if len(out_in) != 2 or x.shape[-1:] != out_in[1:]:
        expected = f"x must have shape (…, {out_in[1]})" if len(out_in) == 2 else "the weight must have shape (out, in)"
        hint = "; flatten the other axes into it, as in x.reshape((len(x), -1))" if len(out_in) == 2 and math.prod(x.shape[1:]) == out_in[1] else ""
        raise ShapeError(f"linear(x {describe(x)}, weight {describe(weight)}): {expected}, got x of shape {x.shape}{hint}\n  at {user_line()}")
    product: Tensor = x @ weight.T
    if bias is None:
        return product
    out: Tensor = product + bias
    return out

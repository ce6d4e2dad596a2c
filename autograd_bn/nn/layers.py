"""The plainest layers: an affine map, axes joined, and nothing at all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.axes import normalized_axis
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.nn import functional, init
from autograd_bn.nn.module import Module


def affine_parameters(shape: tuple[int, ...], bias: bool, rng: init.Seed, dtype: npt.DTypeLike) -> tuple[Tensor, Tensor | None]:
    """W of shape (out, in, …) and b, if there is to be one, uniform within ±1/√(inputs of an output)."""
    rng = init.generator(rng)
    bound = 1 / math.sqrt(init.fans(shape)[0])
    weight = tensor(init.kaiming_uniform(shape, rng, slope=math.sqrt(5), dtype=dtype), requires_grad=True, name="W")
    return weight, tensor(init.uniform(shape[:1], rng, low=-bound, high=bound, dtype=dtype), requires_grad=True, name="b") if bias else None


class Linear(Module):
    """The affine map x·Wᵀ + b, with PyTorch's names and shapes.

    Parameters
    ----------
    in_features, out_features
        The lengths of the last axis before and after.
    bias
        Whether to add b. Leave it out before batch norm, whose β replaces it.
    rng
        A generator or a seed for the initial values, which are uniform within ±1/√in; None for entropy from the system.
    dtype
        Of the parameters.

    Attributes
    ----------
    weight, bias
        Shapes (out, in) and (out,).

    Raises OperationError for lengths that are not positive.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Linear(2, 3, rng=0)(ab.ones((4, 2))).shape
    (4, 3)
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: init.Seed = None, dtype: npt.DTypeLike = np.float32) -> None:
        if not is_integer(in_features, 1) or not is_integer(out_features, 1):
            raise OperationError(f"Linear({in_features}, {out_features}): both lengths must be positive integers")
        self.in_features = in_features
        self.out_features = out_features
        self.weight, self.bias = affine_parameters((out_features, in_features), bias, rng, dtype)

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (…, in) to (…, out)."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The lengths."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Axes joined into one, which an affine map can take; all but the first, that of the examples, unless told.

    Parameters
    ----------
    start_dim, end_dim
        The first and the last of the axes to join; negative ones count from the end.

    Raises ShapeError where an axis does not exist, or the last comes before the first.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Flatten()(ab.zeros((5, 2, 3, 4))).shape
    (5, 24)
    """

    _repr_settings = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, …) to (N, the product of the others)."""
        x = asarray(x)
        start, end = normalized_axis(self.start_dim, x.ndim), normalized_axis(self.end_dim, x.ndim)
        if end < start:
            raise ShapeError(
                f"Flatten: axis {self.end_dim} of shape {x.shape} comes before axis {self.start_dim}; swap start_dim and end_dim\n  at {user_line()}"
            )
        return x.reshape((*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


class Identity(Module):
    """What it gets, as it is: a place in a network for another layer.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Identity()(ab.tensor(2.0))
    tensor(2.)
    """

    def forward(self, x: Any) -> Any:
        """Anything."""
        return x

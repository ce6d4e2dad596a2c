"""Activations as layers."""

from __future__ import annotations

from typing import Literal

import numpy.typing as npt

from autograd_bn.core.errors import OperationError
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn import functional
from autograd_bn.nn.module import Module


class Sigmoid(Module):
    """1/(1+e⁻ˣ) of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Sigmoid()(ab.tensor(0.0))
    tensor(0.5)
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.sigmoid(x)
        return out


class ReLU(Module):
    """max(x, 0) of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.ReLU()(ab.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.relu(x)
        return out


class Tanh(Module):
    """The hyperbolic tangent of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Tanh()(ab.tensor(0.0))
    tensor(0.)
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.tanh(x)
        return out


class GELU(Module):
    """x·Φ(x) of each element, Φ the normal distribution. See `functional.gelu`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.GELU()(ab.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.15865525,  0.        ,  0.84134475])
    """

    _repr_settings = ("approximate",)

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.gelu(x, self.approximate)
        return out


class SiLU(Module):
    """x·σ(x) of each element, also called swish; NaN at −∞, as in PyTorch.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.SiLU()(ab.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.26894142,  0.        ,  0.73105858])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.silu(x)
        return out


class LeakyReLU(Module):
    """x of positive elements and ``negative_slope``·x of the others.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.LeakyReLU(0.1)(ab.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    _repr_settings = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.leaky_relu(x, self.negative_slope)
        return out


class ELU(Module):
    """x of positive elements and α·(eˣ − 1) of the others.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.ELU()(ab.tensor([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """

    _repr_settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.elu(x, self.alpha)
        return out


class Softplus(Module):
    """log(1 + e^(β·x)) / β of each element: a smooth relu.

    Raises OperationError for β that is not positive.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Softplus()(ab.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """

    _repr_settings = ("beta",)

    def __init__(self, beta: float = 1.0) -> None:
        if not beta > 0:
            raise OperationError(f"Softplus: beta must be positive, got {beta!r}")
        self.beta = beta

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.softplus(x) if self.beta == 1 else functional.softplus(asarray(x) * self.beta) / self.beta
        return out


class Softmax(Module):
    """eˣ divided by its sum along an axis, the last unless told: positive numbers that add up to 1.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Softmax()(ab.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """

    _repr_settings = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.softmax(x, self.dim)
        return out


class LogSoftmax(Module):
    """The logarithm of `Softmax`, in which small ones are not lost.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.LogSoftmax()(ab.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """

    _repr_settings = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        out = functional.log_softmax(x, self.dim)
        return out

"""Activations that are compositions; the others are operations of their own."""

from __future__ import annotations

import math
from typing import Any, Literal

from autograd_bn.core.constructors import composite
from autograd_bn.core.errors import OperationError
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.circular import tanh
from autograd_bn.ops.error_function import erf
from autograd_bn.ops.exponential import expm1, sigmoid


@composite
def gelu(x: Any, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """x·Φ(x), Φ the normal distribution (Hendrycks & Gimpel 2016, arXiv 1606.08415), of each element; ``"tanh"`` takes the paper's approximation of Φ.

    Raises OperationError for another approximation.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.gelu(ab.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.15865525,  0.        ,  0.84134475])
    """
    x = asarray(x)
    if approximate == "none":
        Φ = (1 + erf(x * math.sqrt(0.5))) * 0.5
    elif approximate == "tanh":
        Φ = (1 + tanh((x + 0.044715 * x**3) * math.sqrt(2 / math.pi))) * 0.5
    else:
        raise OperationError(f"gelu: approximate is 'none' or 'tanh', got {approximate!r}\n  at {user_line()}")
    out: Tensor = x * Φ
    return out


@composite
def silu(x: Any) -> Tensor:
    """x·σ(x) of each element, also called swish (Elfwing et al. 2017, arXiv 1702.03118); NaN at −∞, as in PyTorch.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.silu(ab.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.26894142,  0.        ,  0.73105858])
    """
    x = asarray(x)
    out: Tensor = x * sigmoid(x)
    return out


@composite
def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    """Each element where it is positive, and ``negative_slope``·x where it is not (Maas et al. 2013); the derivative at 0 is taken as the slope.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.leaky_relu(ab.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.01,  0.  ,  1.  ])
    """
    x = asarray(x)
    return where(x > 0, x, x * negative_slope)


@composite
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Each element where it is positive, and α·(eˣ − 1) where it is not (Clevert et al. 2015, arXiv 1511.07289); the derivative at 0 is taken as α.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.elu(ab.tensor([-1.0, 0.0, 1000.0]))
    tensor([-6.32120559e-01,  0.00000000e+00,  1.00000000e+03])
    """
    x = asarray(x)
    positive = x > 0
    below = where(positive, 0.0, x)  # so that nothing overflows where it does not count
    return where(positive, x, alpha * expm1(below))

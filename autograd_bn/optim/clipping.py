"""Gradients that are too large, made smaller before a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.effects import require_finite
from autograd_bn.core.errors import GradientError
from autograd_bn.core.state import no_grad
from autograd_bn.core.tensor import Tensor
from autograd_bn.core.tracing import tracing
from autograd_bn.ops.arithmetic import maximum, minimum, square
from autograd_bn.ops.exponential import sqrt
from autograd_bn.ops.reduction import sum as total
from autograd_bn.ops.shape import stack
from autograd_bn.optim.optimizer import Named, as_dtype, check_finite, listed, number, of_parts, real_parts


def clip_grad_norm(params: Named | Tensor, max_norm: float) -> float | Tensor:
    """Scale all gradients by one factor, so that the 2-norm of them all together is at most ``max_norm``; gives the norm before.

    The factor is min(1, max_norm / (norm + 1e-6)), as in PyTorch (Pascanu et al. 2013, arXiv 1211.5063). The norm is
    summed in float64. In what `jit` compiles it is a tensor.

    Raises GradientError where no parameter has a gradient, one is NaN or infinite, or the norm is beyond float64; nothing is then changed.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> w = ab.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> ab.optim.clip_grad_norm([w], 1.0)
    10.0
    >>> [round(g, 4) for g in w.grad.tolist()]
    [0.6, 0.8]
    """
    params = _listed("clip_grad_norm", params)
    max_norm = number("max_norm", max_norm)
    with no_grad(), np.errstate(over="ignore"):
        squares = [total(square(real_parts(p.grad).astype("float64"))) for p in params if p.grad is not None]
        squared = total(stack(squares))
        require_finite((squared,), _refuse_norm)
        norm = sqrt(squared)
        factor = minimum(max_norm / (norm + 1e-6), 1.0)
        for p in params:
            if p.grad is not None:
                p.grad = p.grad * as_dtype(factor, p.dtype)
    return norm if tracing() is not None else float(norm.item())


def clip_grad_value(params: Named | Tensor, clip_value: float) -> None:
    """Limit each element of the gradients, of complex ones each part, to within ``clip_value`` of 0.

    Raises GradientError where no parameter has a gradient, or one is NaN or infinite; nothing is then changed.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> w = ab.tensor([3.0, -4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> ab.optim.clip_grad_value([w], 7.0)
    >>> w.grad.tolist()
    [6.0, -7.0]
    """
    params = _listed("clip_grad_value", params)
    limit = number("clip_value", clip_value)
    with no_grad():
        for p in params:
            if p.grad is not None:
                p.grad = of_parts(minimum(maximum(real_parts(p.grad), -limit), limit), p.dtype)


def _refuse_norm(squared: Any) -> None:
    if not np.isfinite(squared):
        raise GradientError(
            "clip_grad_norm: the square of the norm is beyond float64, so that all gradients would become 0; no gradient is changed. "
            "Lower the learning rate, or limit each element with clip_grad_value first"
        )


def _listed(what: str, params: Named | Tensor) -> list[Tensor]:
    names, found = listed(params)
    check_finite(what, names, found)
    return found

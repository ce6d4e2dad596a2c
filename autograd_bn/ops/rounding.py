"""Steps and what is left over: rounding, division with remainder, clipping."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from autograd_bn.core.constructors import binary, elementwise, unary
from autograd_bn.core.dispatch import apply
from autograd_bn.core.primitive import Domain, raw
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.arithmetic import maximum, minimum
from autograd_bn.ops.shape import astype

floor = unary(
    "floor",
    np.floor,
    None,
    """The largest integer not above each element. No gradient flows through it.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.floor(ab.tensor([-1.5, 1.5]))
    tensor([-2.,  1.])
    """,
    code="floor(x)",
)

ceil = unary(
    "ceil",
    np.ceil,
    None,
    """The smallest integer not below each element. No gradient flows through it.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.ceil(ab.tensor([-1.5, 1.5]))
    tensor([-1.,  2.])
    """,
    code="ceil(x)",
)

trunc = unary(
    "trunc",
    np.trunc,
    None,
    """Each element without its fraction. No gradient flows through it.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.trunc(ab.tensor([-1.5, 1.5]))
    tensor([-1.,  1.])
    """,
    code="trunc(x)",
)

_nearest = unary("round", np.round, None, "The nearest integer to each element.", code="rint(x)")


def round(x: Any, /, decimals: int | None = 0) -> Tensor:  # noqa: A001 - the array API's name
    """The nearest number of so many decimals to each element, the even one of two that are as near. No gradient flows through it.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.round(ab.tensor([-1.5, 1.5])), ab.round(ab.tensor(3.14159), 2)
    (tensor([-2.,  2.]), tensor(3.14))
    """
    if not decimals:
        return _nearest(x)
    x, scale = asarray(x), 10.0 ** builtins.abs(decimals)
    if x.dtype.kind not in "fc":
        return x if decimals > 0 else astype(_nearest(x / scale) * scale, x.dtype)
    rounded: Tensor = _nearest(x * scale) / scale if decimals > 0 else _nearest(x / scale) * scale
    return rounded


round.primitive = _nearest.primitive  # type: ignore[attr-defined]

floor_divide = binary(
    "floor_divide",
    np.floor_divide,
    None,
    None,
    """The quotient of two elements, rounded down. No gradient flows through it.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.floor_divide(ab.tensor([-7.0, 7.0]), 2.0)
    tensor([-4.,  3.])
    """,
    label="⌊/⌋",
    domain=(Domain(4.3, 4.7), Domain(1.2, 1.4)),
)

remainder = binary(
    "remainder",
    np.remainder,
    1,
    lambda g, x, y: -g * raw.floor_divide(x, y),
    """What is left of x1 after division by x2: x1 − x2·⌊x1/x2⌋, of the sign of x2, as Python's ``%``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.remainder(ab.tensor([-7.0, 7.0]), 2.0)
    tensor([1., 1.])
    """,
    label="%",
    domain=(Domain(4.3, 4.7), Domain(1.2, 1.4)),  # the quotient stays between 3 and 4
)


def _held(x: Any, low: Any, high: Any) -> Any:
    """Python's numbers have no dtype of their own, not even two of them."""
    if type(x) in (bool, int, float) and type(low) in (bool, int, float):
        return np.minimum(max(x, low), high)
    return np.minimum(np.maximum(x, low), high)


_clip = elementwise(
    "clip",
    _held,
    lambda g, x, low, high: raw.where(raw.logical_and(raw.greater_equal(x, low), raw.less_equal(x, high)), g, 0),
    lambda g, x, low, high: raw.where(raw.greater(low, high), 0, raw.where(raw.less(x, low), g, 0)),
    lambda g, x, low, high: raw.where(raw.greater(raw.maximum(x, low), high), g, 0),
    operands=("x", "low", "high"),
    label="clip",
    code="min(max(x, low), high)",
    domain=(Domain(-2.0, 2.0, avoid=(-1.0, 1.0), margin=0.25), Domain(-1.2, -0.8), Domain(0.8, 1.2)),
)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:  # noqa: A002 - the array API's names
    """Each element, held between two bounds, which broadcast with it; None is no bound.

    All of the gradient goes to x where it lies within the bounds or on one, as in PyTorch, and to the bound elsewhere; none where one of them is NaN.
    Where the lower bound is above the upper one, the upper one counts.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([-2.0, 0.0, 1.0, 3.0], requires_grad=True)
    >>> y = ab.clip(x, -1.0, 1.0)
    >>> y
    tensor([-1.,  0.,  1.,  1.], made_by=clip)
    >>> y.sum().backward()
    >>> x.grad
    tensor([0., 1., 1., 0.])
    """
    x = asarray(x)
    if x.dtype.kind != "f":  # infinity would make floats of integers
        x = x if min is None else maximum(x, min)
        return x if max is None else minimum(x, max)
    return apply(_clip, (x, -np.inf if min is None else min, np.inf if max is None else max))


def quotient_and_rest(x: Any, other: Any, /) -> tuple[Tensor, Tensor]:
    """``divmod(x, other)``: ``x // other`` and ``x % other``."""
    return x // other, x % other


def reflected_quotient_and_rest(x: Any, other: Any, /) -> tuple[Tensor, Tensor]:
    """``divmod(other, x)``."""
    return other // x, other % x

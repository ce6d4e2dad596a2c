"""The circular and hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_bn.core.constructors import binary, unary
from autograd_bn.core.primitive import POSITIVE, REAL, Domain, raw
from autograd_bn.core.tensor import Tensor
from autograd_bn.ops.arithmetic import multiply

_INSIDE = Domain(-0.9, 0.9)

sin = unary(
    "sin",
    np.sin,
    lambda x: raw.cos(x),
    """The sine of each element, in radians.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.sin(ab.tensor([0.0, 1.0]))
    tensor([0.        , 0.84147098])
    """,
    code="sin(x)",
)

cos = unary(
    "cos",
    np.cos,
    lambda x: -raw.sin(x),
    """The cosine of each element, in radians.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.cos(ab.tensor([0.0, 1.0]))
    tensor([1.        , 0.54030231])
    """,
    code="cos(x)",
)

tanh = unary(
    "tanh",
    np.tanh,
    lambda out: 1 - out * out,
    """The hyperbolic tangent of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tanh(ab.tensor([0.0, 1.0]))
    tensor([0.        , 0.76159416])
    """,
    code="tanh(x)",
)

tan = unary(
    "tan",
    np.tan,
    lambda out: 1 + out * out,
    """The tangent of each element, in radians.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tan(ab.tensor([0.0, 1.0]))
    tensor([0.        , 1.55740772])
    """,
    domain=Domain(-1.2, 1.2),
    code="tan(x)",
)

asin = unary(
    "asin",
    np.arcsin,
    lambda g, x: g / raw.sqrt((1 - x) * (1 + x)),
    """The inverse sine of each element, in radians; NaN outside [−1, 1]. Its derivative at ±1 is inf.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.asin(ab.tensor([0.0, 1.0]))
    tensor([0.        , 1.57079633])
    """,
    domain=_INSIDE,
    code="asin(x)",
)

acos = unary(
    "acos",
    np.arccos,
    lambda g, x: -g / raw.sqrt((1 - x) * (1 + x)),
    """The inverse cosine of each element, in radians; NaN outside [−1, 1]. Its derivative at ±1 is −inf.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.acos(ab.tensor([0.0, 1.0]))
    tensor([1.57079633, 0.        ])
    """,
    domain=_INSIDE,
    code="acos(x)",
)

atan = unary(
    "atan",
    np.arctan,
    lambda g, x: g / (1 + x * x),
    """The inverse tangent of each element, in radians.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.atan(ab.tensor([0.0, 1.0]))
    tensor([0.        , 0.78539816])
    """,
    code="atan(x)",
)

sinh = unary(
    "sinh",
    np.sinh,
    lambda x: raw.cosh(x),
    """The hyperbolic sine of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.sinh(ab.tensor([0.0, 1.0]))
    tensor([0.        , 1.17520119])
    """,
    code="sinh(x)",
)

cosh = unary(
    "cosh",
    np.cosh,
    lambda x: raw.sinh(x),
    """The hyperbolic cosine of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.cosh(ab.tensor([0.0, 1.0]))
    tensor([1.        , 1.54308063])
    """,
    code="cosh(x)",
)

asinh = unary(
    "asinh",
    np.arcsinh,
    lambda g, x: g / (raw.sqrt(1 + x * x) if x.dtype.kind == "c" else raw.hypot(x, 1)),
    """The inverse hyperbolic sine of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.asinh(ab.tensor([0.0, 1.0]))
    tensor([0.        , 0.88137359])
    """,
    code="asinh(x)",
)

acosh = unary(
    "acosh",
    np.arccosh,
    lambda g, x: g / (raw.sqrt(x - 1) * raw.sqrt(x + 1)),
    """The inverse hyperbolic cosine of each element; NaN below 1, where its derivative is inf.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.acosh(ab.tensor([1.0, 2.0]))
    tensor([0.       , 1.3169579])
    """,
    domain=Domain(1.2, 3.0),
    code="acosh(x)",
)

atanh = unary(
    "atanh",
    np.arctanh,
    lambda g, x: g / ((1 - x) * (1 + x)),
    """The inverse hyperbolic tangent of each element; ±inf at ±1 and NaN outside.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.atanh(ab.tensor([0.0, 0.5]))
    tensor([0.        , 0.54930614])
    """,
    domain=_INSIDE,
    code="atanh(x)",
)


def _turned(g: Any, other: Any, radius: Any) -> Any:
    """The product with other/radius², of which no square overflows or vanishes."""
    return g * (other / radius / radius)


atan2 = binary(
    "atan2",
    np.arctan2,
    lambda g, x, y: _turned(g, y, raw.hypot(x, y)),
    lambda g, x, y: -_turned(g, x, raw.hypot(x, y)),
    """The angle, from −π to π, of the point whose ordinate is the first element and whose abscissa is the second.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.atan2(ab.tensor([0.0, 1.0]), 1.0)
    tensor([0.        , 0.78539816])
    """,
    code="atan2(x, y)",
    domain=(POSITIVE, REAL),
)

_DEGREES = 180 / math.pi


def degrees(x: Any, /) -> Tensor:
    """Radians in degrees. Also called ``rad2deg``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.degrees(ab.tensor([0.0, 1.0]))
    tensor([ 0.        , 57.29577951])
    """
    return multiply(x, _DEGREES)


def radians(x: Any, /) -> Tensor:
    """Degrees in radians. Also called ``deg2rad``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.radians(ab.tensor([0.0, 180.0]))
    tensor([0.        , 3.14159265])
    """
    return multiply(x, 1 / _DEGREES)

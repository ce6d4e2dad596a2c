"""Exponentials, logarithms and roots, and the activations made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_bn.core.complex_values import refused
from autograd_bn.core.constructors import binary, composite, unary
from autograd_bn.core.primitive import NONZERO, POSITIVE, Domain, raw
from autograd_bn.core.tensor import Tensor

_LN2 = math.log(2)
_LN10 = math.log(10)

exp = unary(
    "exp",
    np.exp,
    lambda out: out,
    """e to the power of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.exp(ab.tensor([0.0, 1.0]))
    tensor([1.        , 2.71828183])
    """,
    code="exp(x)",
)

exp2 = unary(
    "exp2",
    np.exp2,
    lambda g, out: g * (out * _LN2),
    """2 to the power of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.exp2(ab.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """,
    label="2ˣ",
)

log = unary(
    "log",
    np.log,
    lambda g, x: g / x,
    """The natural logarithm of each element; −inf at 0 and NaN below, as in NumPy.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.log(ab.tensor([1.0, 2.0]))
    tensor([0.        , 0.69314718])
    """,
    code="log(x)",
    domain=POSITIVE,
)

sqrt = unary(
    "sqrt",
    np.sqrt,
    lambda g, out: g / (2 * out),
    """The square root of each element; its derivative at 0 is inf.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.sqrt(ab.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """,
    label="√",
    code="sqrt(x)",
    domain=POSITIVE,
)

cbrt = unary(
    "cbrt",
    np.cbrt,
    lambda g, out: g / 3 / out / out,
    """The cube root of each element; its derivative at 0 is inf.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.cbrt(ab.tensor([8.0, -27.0]))
    tensor([ 2., -3.])
    """,
    label="∛",
    domain=NONZERO,
)


def _sigmoid(x: Any) -> Any:
    """eˣ/(eˣ+1), with the exponent held below overflow: right at ±inf, and small results are as accurate as eˣ, subnormal ones too."""
    if type(x) is not np.ndarray or x.dtype.kind != "f":
        x = np.asarray(x, dtype=None if np.asarray(x).dtype.kind in "fc" else float)
        if x.dtype.kind == "c":
            return 1 / (1 + np.exp(-x))
    e: Any = np.minimum(x, _LARGEST[x.dtype.itemsize])
    e = np.exp(e)
    return e / (e + 1)


_LARGEST: dict[int, Any] = {2: np.float16(11.0), 4: np.float32(88.0), 8: np.float64(709.0), 16: np.longdouble(11000.0)}

sigmoid = unary(
    "sigmoid",
    _sigmoid,
    lambda out: out * (1 - out),
    """The logistic function 1/(1+e⁻ˣ) of each element. It saturates: far from 0 its derivative vanishes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.sigmoid(ab.tensor([0.0, 2.0]))
    tensor([0.5       , 0.88079708])
    """,
    label="σ",
    code="sigmoid(x)",
)


def _relu(x: Any) -> Any:
    """NumPy's maximum with a number is not vectorised. Its clip is, but costs more to call. Both would compare complex numbers by their real parts."""
    if x.dtype.kind == "c" and refused(x.dtype):
        raise TypeError("complex numbers are not ordered; take the relu of their parts, ab.real(x) and ab.imag(x), or of ab.abs(x)")
    if type(x) is np.ndarray and x.size > 16384 and x.dtype.kind == "f":
        return np.clip(x, 0, np.inf)
    return np.maximum(x, 0)


relu = unary(
    "relu",
    _relu,
    lambda g, out: g * raw.greater(out, 0),
    """max(x, 0) of each element. The derivative at 0 is taken as 0.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.relu(ab.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """,
    code="max(x, 0)",
    domain=NONZERO,
)

log1p = unary(
    "log1p",
    np.log1p,
    lambda g, x: g / (1 + x),
    """log(1 + x) of each element, accurate for small ones; −inf at −1 and NaN below.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.log1p(ab.tensor([0.0, 1e-09]))
    tensor([0.00000000e+00, 9.99999999e-10])
    """,
    code="log1p(x)",
    domain=Domain(-0.8, 2.0),
)

expm1 = unary(
    "expm1",
    np.expm1,
    lambda out: out + 1,
    """eˣ − 1 of each element, accurate for small ones.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.expm1(ab.tensor([0.0, 1e-09]))
    tensor([0.e+00, 1.e-09])
    """,
    code="expm1(x)",
)

log2 = unary(
    "log2",
    np.log2,
    lambda g, x: g / (x * _LN2),
    """The binary logarithm of each element; −inf at 0 and NaN below, as in NumPy.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.log2(ab.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """,
    code="log2(x)",
    domain=POSITIVE,
)

log10 = unary(
    "log10",
    np.log10,
    lambda g, x: g / (x * _LN10),
    """The decimal logarithm of each element; −inf at 0 and NaN below, as in NumPy.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.log10(ab.tensor([1.0, 1000.0]))
    tensor([0., 3.])
    """,
    code="log10(x)",
    domain=POSITIVE,
)


def _lead(x: Any, y: Any) -> Any:
    """The share of eˣ in eˣ + eʸ, from their distance, which is exact where log(eˣ + eʸ) is rounded. Of the same infinity it is 1 or 0."""
    level = raw.logical_and(raw.equal(x, y), raw.isinf(y))
    return raw.sigmoid(x - raw.where(level, 0, y))


logaddexp = binary(
    "logaddexp",
    np.logaddexp,
    lambda x, y: _lead(x, y),
    lambda x, y: _lead(y, x),
    """log(eˣ + eʸ) of two elements, which does not overflow. Where both are −inf, so is the result, and no gradient
    flows; by one that is inf the derivative is 1.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.logaddexp(ab.tensor([0.0, 1000.0]), 1000.0)
    tensor([1000.        , 1000.69314718])
    """,
    label="log(eˣ+eʸ)",
    code="x + 0.6931471805599453 if x == y else max(x, y) + log1p(exp(-abs(x - y)))",
)


@composite
def softplus(x: Any, /) -> Tensor:
    """log(1 + eˣ) of each element: a smooth relu, which neither overflows nor loses small results.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.softplus(ab.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    return logaddexp(x, 0.0)

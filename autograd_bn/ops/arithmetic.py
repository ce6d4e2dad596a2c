"""The four operations and their relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import binary, elementwise, unary
from autograd_bn.core.dispatch import apply, serve_ufunc
from autograd_bn.core.primitive import NONZERO, POSITIVE, REAL, raw
from autograd_bn.core.tensor import Tensor

_INTEGER = np.dtype(int)

add = binary(
    "add",
    np.add,
    1,
    1,
    """Sum of two tensors, element by element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.add(ab.tensor([1.0, 2.0]), 10.0)
    tensor([11., 12.])
    """,
    label="+",
    code="x + y",
)

subtract = binary(
    "sub",
    np.subtract,
    1,
    -1,
    """Difference of two tensors, element by element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.subtract(ab.tensor([1.0, 2.0]), 1.0)
    tensor([0., 1.])
    """,
    public="subtract",
    label="−",
    code="x - y",
)

multiply = binary(
    "mul",
    np.multiply,
    lambda y: y,
    lambda x: x,
    """Product of two tensors, element by element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.multiply(ab.tensor([1.0, 2.0]), 3.0)
    tensor([3., 6.])
    """,
    public="multiply",
    label="*",
    code="x * y",
)

divide = binary(
    "div",
    np.divide,
    lambda g, y: g / y,
    lambda g, y, out: -g * out / y,
    """Quotient of two tensors, element by element; dividing by zero gives inf or NaN as in NumPy.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.divide(1.0, ab.tensor([2.0, 4.0]))
    tensor([0.5 , 0.25])
    """,
    public="divide",
    label=lambda node: "1/x" if node.constants[0] == 1 else "/",
    code="x / y",
    domain=(REAL, NONZERO),
)

negative = unary(
    "neg",
    np.negative,
    -1,
    """The negative of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.negative(ab.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """,
    public="negative",
    label="−x",
    code="-x",
)


def _power(x: Any, y: Any) -> Any:
    """NumPy's power, by the cheaper ufunc where the exponent is a plain small number and the dtype stays."""
    if (type(y) is int or type(y) is float) and getattr(x, "dtype", _INTEGER).kind in "fc":
        if y == 2:
            return np.square(x)
        if y == 1:
            return np.positive(x)
    return np.power(x, y)


def _power_by_base(g: Any, x: Any, y: Any) -> Any:
    if type(y) is int or type(y) is float:
        if y == 0:
            return g * 0.0
        return g * y * (x if y == 2 else raw.pow(x, y - 1))
    nought = raw.equal(y, 0)
    tiny = np.finfo(g.dtype).tiny
    small = raw.less(raw.abs(x), tiny)
    base = raw.where(raw.logical_and(small, nought), tiny, x)  # 0⁰ is constant in the base; the inverse of what is subnormal may be infinite
    return g * (y * raw.pow(base, raw.where(nought, 1, y - 1) if getattr(y, "dtype", _INTEGER).kind == "u" else y - 1))


def _power_by_exponent(g: Any, x: Any, out: Any) -> Any:
    nought = raw.logical_and(raw.equal(x, 0), raw.isfinite(out))
    return g * raw.where(nought, 0.0, out * raw.log(raw.where(nought, 1.0, x)))


pow = binary(  # noqa: A001 - the array API's name
    "pow",
    _power,
    _power_by_base,
    _power_by_exponent,
    """x1 to the power x2, element by element.

    The derivative by the exponent is taken as 0 where the base is 0, and the exponent is not negative.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.pow(ab.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """,
    label=lambda node: f"**{node.constants[1]:g}" if isinstance(node.constants[1], (int, float)) else "**",
    code="pow(x, y)",
    domain=(POSITIVE, REAL),
)

serve_ufunc(np.power, pow.primitive)


def _sign(x: Any) -> Any:
    """Of real numbers: that of a complex one is no step, and has a derivative."""
    if getattr(x, "dtype", _INTEGER).kind == "c":
        raise TypeError("the sign of complex numbers is not defined here; divide them by ab.abs(x)")
    return np.sign(x)


sign = unary(
    "sign",
    _sign,
    None,
    """−1, 0 or 1 by the sign of each element, real. No gradient flows through it.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.sign(ab.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """,
    code="1 if x > 0 else -1 if x < 0 else 0 if x == 0 else x",
)

serve_ufunc(np.sign, sign.primitive)


def direction(x: Any, out: Any) -> Any:
    """The conjugate of x over its norm, and 0 where that is 0."""
    nought = raw.equal(out, 0)
    return raw.where(nought, 0.0, (raw.conj(x) if x.dtype.kind == "c" else x) / raw.where(nought, 1.0, out))


abs = unary(  # noqa: A001 - the array API's name
    "abs",
    np.abs,
    lambda x, out: direction(x, out) if x.dtype.kind == "c" else raw.sign(x),
    """The absolute value of each element; of a complex one the modulus, which is real. The derivative at 0 is taken as 0.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.abs(ab.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """,
    label="|x|",
    code="abs(x)",
    domain=NONZERO,
)


def _share(g: Any, chosen: Any, other: Any) -> Any:
    """All of g where an operand is chosen, nothing where the other one is, and half where neither is: they are equal, or one is NaN."""
    return g * raw.where(raw.equal(chosen, other), 0.5, raw.astype(chosen, dtype=g.dtype))


maximum = binary(
    "maximum",
    np.maximum,
    lambda g, x, y: _share(g, raw.greater(x, y), raw.greater(y, x)),
    lambda g, x, y: _share(g, raw.greater(y, x), raw.greater(x, y)),
    """The larger of two elements; NaN where either is NaN. Where they are equal, or either is NaN, each gets half of the gradient.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.maximum(ab.tensor([1.0, 5.0]), 3.0)
    tensor([3., 5.])
    """,
    label="max",
    code="max(x, y)",
)

minimum = binary(
    "minimum",
    np.minimum,
    lambda g, x, y: _share(g, raw.less(x, y), raw.less(y, x)),
    lambda g, x, y: _share(g, raw.less(y, x), raw.less(x, y)),
    """The smaller of two elements; NaN where either is NaN. Where they are equal, or either is NaN, each gets half of the gradient.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.minimum(ab.tensor([1.0, 5.0]), 3.0)
    tensor([1., 3.])
    """,
    label="min",
    code="min(x, y)",
)

_where = elementwise(
    "where",
    np.where,
    None,
    lambda g, condition: raw.where(condition, g, 0),
    lambda g, condition: raw.where(condition, 0, g),
    operands=("condition", "x", "y"),
    code="x if condition else y",
)


def where(condition: Any, x1: Any, x2: Any, /) -> Tensor:
    """Elements of x1 where the condition holds, else of x2; the three are broadcast.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([1.0, -2.0])
    >>> ab.where(x > 0, x, 0.0)
    tensor([1., 0.])
    """
    return apply(_where, (condition, x1, x2))


square = unary(
    "square",
    np.square,
    lambda g, x: g * 2 * x,
    """The square of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.square(ab.tensor([1.0, -3.0]))
    tensor([1., 9.])
    """,
    label="**2",
    code="x * x",
)

reciprocal = unary(
    "reciprocal",
    lambda x: np.true_divide(1, x),
    lambda g, out: -g * out * out,
    """1/x of each element; dividing by zero gives inf, as in NumPy, and integers give floats.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.reciprocal(ab.tensor([2.0, 4.0]))
    tensor([0.5 , 0.25])
    """,
    label="1/x",
    code="1 / x",
    domain=NONZERO,
)

serve_ufunc(np.reciprocal, reciprocal.primitive)

positive = unary(
    "positive",
    np.positive,
    1,
    """Each element as it is, as ``+x``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.positive(ab.tensor([1.0, -2.0]))
    tensor([ 1., -2.])
    """,
    label="+x",
    code="x",
)


hypot = binary(
    "hypot",
    np.hypot,
    lambda x, out: direction(x, out),
    lambda y, out: direction(y, out),
    """√(x² + y²) of two elements, which does not overflow. The derivatives at (0, 0) are taken as 0.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.hypot(ab.tensor([3.0, 5.0]), ab.tensor([4.0, 12.0]))
    tensor([ 5., 13.])
    """,
    label="√(x²+y²)",
    code="hypot(x, y)",
    domain=(POSITIVE, REAL),
)

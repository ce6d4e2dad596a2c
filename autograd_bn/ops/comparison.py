"""Comparisons: booleans, and bits, through which no gradient flows."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import binary, unary
from autograd_bn.core.operators import Binary


def _doc(first: str, symbol: str, result: str) -> str:
    return f"""{first}

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tensor([1.0, 2.0, 3.0]) {symbol} 2.0
    tensor([{result}])
    """


def _discrete(name: str, ufunc: np.ufunc, doc: str, **options: Any) -> Binary:
    """A function of two operands through which no gradient flows."""
    return binary(name, ufunc, None, None, doc, **options)


equal = _discrete("equal", np.equal, _doc("Whether two elements are equal.", "==", "False,  True, False"), label="=", code="x == y")
not_equal = _discrete("not_equal", np.not_equal, _doc("Whether two elements differ.", "!=", " True, False,  True"), label="≠", code="x != y")
less = _discrete("less", np.less, _doc("Whether the first element is smaller.", "<", " True, False, False"), label="<", code="x < y")
less_equal = _discrete("less_equal", np.less_equal, _doc("Whether the first element is not larger.", "<=", " True,  True, False"), label="≤", code="x <= y")
greater = _discrete("greater", np.greater, _doc("Whether the first element is larger.", ">", "False, False,  True"), label=">", code="x > y")
greater_equal = _discrete(
    "greater_equal", np.greater_equal, _doc("Whether the first element is not smaller.", ">=", "False,  True,  True"), label="≥", code="x >= y"
)

isfinite = unary(
    "isfinite",
    np.isfinite,
    None,
    """Whether each element is neither infinite nor NaN.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.isfinite(ab.tensor([1.0, float("inf")]))
    tensor([ True, False])
    """,
    code="x - x == 0",
)

logical_not = unary(
    "logical_not",
    np.logical_not,
    None,
    """Whether each element is false.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.logical_not(ab.tensor([True, False]))
    tensor([False,  True])
    """,
    code="x == 0",
)

isnan = unary(
    "isnan",
    np.isnan,
    None,
    """Whether each element is NaN.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.isnan(ab.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """,
    code="x != x",
)

isinf = unary(
    "isinf",
    np.isinf,
    None,
    """Whether each element is infinite.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.isinf(ab.tensor([1.0, float("-inf")]))
    tensor([False,  True])
    """,
    code="abs(x) == inf",
)

logical_and = _discrete(
    "logical_and",
    np.logical_and,
    """Whether both elements are true; what is not 0 counts as true.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.logical_and(ab.tensor([True, True, False]), ab.tensor([True, False, False]))
    tensor([ True, False, False])
    """,
    label="∧",
    code="(x != 0) & (y != 0)",
)

logical_or = _discrete(
    "logical_or",
    np.logical_or,
    """Whether one of two elements is true; what is not 0 counts as true.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.logical_or(ab.tensor([True, True, False]), ab.tensor([True, False, False]))
    tensor([ True,  True, False])
    """,
    label="∨",
    code="(x != 0) | (y != 0)",
)

logical_xor = _discrete(
    "logical_xor",
    np.logical_xor,
    """Whether one of two elements is true and the other is not.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.logical_xor(ab.tensor([True, True, False]), ab.tensor([True, False, False]))
    tensor([False,  True, False])
    """,
    label="⊻",
    code="(x != 0) ^ (y != 0)",
)


def _integers(rng: np.random.Generator) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [((rng.integers(0, 8, (2, 3)), rng.integers(0, 8, 3)), {}), ((rng.random(3) < 0.5, rng.random((2, 1)) < 0.5), {})]


bitwise_and = _discrete(
    "bitwise_and",
    np.bitwise_and,
    """The bits that both integers have; of booleans, whether both hold, as ``&``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> (ab.tensor([1.0, 2.0]) > 0) & (ab.tensor([1.0, 2.0]) < 2)
    tensor([ True, False])
    """,
    label="&",
    code="x & y",
    example=_integers,
)

bitwise_or = _discrete(
    "bitwise_or",
    np.bitwise_or,
    """The bits that one of two integers has; of booleans, whether one holds, as ``|``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> (ab.tensor([1.0, 2.0]) < 0) | (ab.tensor([1.0, 2.0]) < 2)
    tensor([ True, False])
    """,
    label="|",
    code="x | y",
    example=_integers,
)

bitwise_xor = _discrete(
    "bitwise_xor",
    np.bitwise_xor,
    """The bits that differ; of booleans, whether just one holds, as ``^``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> (ab.tensor([1.0, 2.0]) > 0) ^ (ab.tensor([1.0, 2.0]) < 2)
    tensor([False,  True])
    """,
    label="^",
    code="x ^ y",
    example=_integers,
)

bitwise_invert = unary(
    "bitwise_invert",
    np.invert,
    None,
    """The bits that an integer lacks; of booleans, the opposite, as ``~``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ~(ab.tensor([1.0, 2.0]) < 2)
    tensor([False,  True])
    """,
    label="~",
    code="~x",
    example=lambda rng: [((rng.integers(0, 8, (2, 3)),), {}), ((rng.random(3) < 0.5,), {})],
)

"""Comparisons: booleans, and bits, through which no gradient flows."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import binary, unary


def _doc(first: str, symbol: str, result: str) -> str:
    return f"""{first}

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tensor([1.0, 2.0, 3.0]) {symbol} 2.0
    tensor([{result}])
    """


equal = binary("equal", np.equal, None, None, _doc("Whether two elements are equal.", "==", "False,  True, False"), label="=", code="x == y")
not_equal = binary("not_equal", np.not_equal, None, None, _doc("Whether two elements differ.", "!=", " True, False,  True"), label="≠", code="x != y")
less = binary("less", np.less, None, None, _doc("Whether the first element is smaller.", "<", " True, False, False"), label="<", code="x < y")
less_equal = binary(
    "less_equal", np.less_equal, None, None, _doc("Whether the first element is not larger.", "<=", " True,  True, False"), label="≤", code="x <= y"
)
greater = binary("greater", np.greater, None, None, _doc("Whether the first element is larger.", ">", "False, False,  True"), label=">", code="x > y")
greater_equal = binary(
    "greater_equal", np.greater_equal, None, None, _doc("Whether the first element is not smaller.", ">=", "False,  True,  True"), label="≥", code="x >= y"
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

logical_and = binary(
    "logical_and",
    np.logical_and,
    None,
    None,
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

logical_or = binary(
    "logical_or",
    np.logical_or,
    None,
    None,
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

logical_xor = binary(
    "logical_xor",
    np.logical_xor,
    None,
    None,
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


bitwise_and = binary(
    "bitwise_and",
    np.bitwise_and,
    None,
    None,
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

bitwise_or = binary(
    "bitwise_or",
    np.bitwise_or,
    None,
    None,
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

bitwise_xor = binary(
    "bitwise_xor",
    np.bitwise_xor,
    None,
    None,
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

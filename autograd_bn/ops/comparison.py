"""Comparisons: booleans, through which no gradient flows."""

from __future__ import annotations

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


equal = binary("equal", np.equal, None, None, _doc("Whether two elements are equal.", "==", "False,  True, False"), label="=")
not_equal = binary("not_equal", np.not_equal, None, None, _doc("Whether two elements differ.", "!=", " True, False,  True"), label="≠")
less = binary("less", np.less, None, None, _doc("Whether the first element is smaller.", "<", " True, False, False"), label="<")
less_equal = binary("less_equal", np.less_equal, None, None, _doc("Whether the first element is not larger.", "<=", " True,  True, False"), label="≤")
greater = binary("greater", np.greater, None, None, _doc("Whether the first element is larger.", ">", "False, False,  True"), label=">")
greater_equal = binary("greater_equal", np.greater_equal, None, None, _doc("Whether the first element is not smaller.", ">=", "False,  True,  True"), label="≥")

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
)

"""Matrix products. One rule from the subscripts serves every contraction."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.contraction import contraction
from autograd_bn.core.dispatch import apply, serve_ufunc
from autograd_bn.core.errors import ShapeError
from autograd_bn.core.tensor import Tensor


def _subscripts(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[str, str, str]:
    """Letters for matmul of these shapes: a batch letter an axis, i j k for the matrices."""
    if not x or not y:
        raise ShapeError(f"matmul needs at least one axis, got shapes {x} and {y}; use * for a product by a number")
    batch = "abcdefgh"[: max(len(x), len(y), 2) - 2]
    left = batch[len(batch) - max(len(x) - 2, 0) :] + ("ij" if len(x) > 1 else "j")
    right = batch[len(batch) - max(len(y) - 2, 0) :] + ("jk" if len(y) > 1 else "j")
    inner_y = len(y) - 2 if len(y) > 1 else 0
    if x[-1] != y[inner_y]:
        hint = ""
        if len(x) > 1 and len(y) > 1:
            if y[-1] == x[-1]:
                hint = "; did you mean x @ y.T?" if len(y) == 2 else "; did you mean x @ y.mT?"
            elif x[-2] == y[inner_y]:
                hint = "; did you mean x.T @ y?" if len(x) == 2 else "; did you mean x.mT @ y?"
        raise ShapeError(f"matmul of shapes {x} and {y}: axis {len(x) - 1} of the first has length {x[-1]}, axis {inner_y} of the second {y[inner_y]}{hint}")
    return left, right, batch + ("i" if len(x) > 1 else "") + ("k" if len(y) > 1 else "")


def _product(x: Any, y: Any) -> Any:
    """NumPy's matmul; of plain matrices by ``dot``, whose call costs half, and of columns by rows as the product, since NumPy has no fast way for many."""
    if x.ndim == 2 and y.ndim == 2:
        return x.dot(y)
    if x.ndim > 1 and y.ndim > 1 and x.shape[-1] == y.shape[-2] == 1:
        return x * y
    return np.matmul(x, y)


_matmul = contraction("matmul", _product, _subscripts, label="@")
serve_ufunc(np.matmul, _matmul)


def matmul(x1: Any, x2: Any, /) -> Tensor:
    """The matrix product over the last axis of x1 and the last but one of x2; other axes are broadcast.

    Parameters
    ----------
    x1, x2
        Shapes (…, N, K) and (…, K, M); either may be a vector (K,).

    Raises ShapeError, naming the two axes that differ.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.matmul(ab.tensor([[1.0, 2.0]]), ab.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    return apply(_matmul, (x1, x2))

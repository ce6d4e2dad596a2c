"""Places in sorted vectors, and interpolation between them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from autograd_bn.core.constructors import composite
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, plain
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.comparison import equal, greater, greater_equal, isnan, less, less_equal, logical_not, logical_or
from autograd_bn.ops.indexing import getitem
from autograd_bn.ops.reduction import sum as total
from autograd_bn.ops.rounding import clip
from autograd_bn.ops.shape import expand_dims
from autograd_bn.ops.sorting import is_known, take


@composite
def searchsorted(x1: Any, x2: Any, /, *, side: Literal["left", "right"] = "left") -> Tensor:
    """The places in a sorted vector x1 before which the elements of x2 would have to stand, of any shape; no gradient flows through them.

    Of elements that tie, an element comes before the first (``side="left"``) or after the last (``"right"``); NaNs are the largest.

    Raises ShapeError unless x1 is a vector, OperationError for another side.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.searchsorted([1.0, 2.0, 3.0], [0.5, 2.0, 9.0])
    tensor([0, 1, 3])
    """
    edges, x = asarray(x1), asarray(x2)
    if edges.ndim != 1:
        raise ShapeError(f"searchsorted: the sorted tensor must be a vector, got shape {edges.shape}\n  at {user_line()}")
    if side not in ("left", "right"):
        raise OperationError(f"searchsorted: side is 'left' or 'right', got {side!r}\n  at {user_line()}")
    if is_known(edges) and is_known(x):
        return asarray(np.searchsorted(plain(edges), plain(x), side))
    x = expand_dims(x, axis=-1)
    before = logical_not(logical_or(greater_equal(edges, x), isnan(edges))) if side == "left" else logical_or(less_equal(edges, x), isnan(x))
    return total(before, axis=-1)


@composite
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Tensor:
    """The piecewise linear function through the points (xp, fp), at x; before and after them ``left`` and ``right``, or the first and last of fp.

    The gradient flows to x, xp and fp; at a point that of x is the slope to its right.

    Parameters
    ----------
    x
        Any shape.
    xp, fp
        Vectors of equal length; xp increases.

    Raises ShapeError unless xp and fp are vectors of equal length with an element, OperationError where xp is seen to decrease.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.interp([0.5, 1.5, 9.0], [0.0, 1.0, 2.0], [0.0, 10.0, 40.0])
    tensor([ 5., 25., 40.])
    """
    x, xp, fp = asarray(x), asarray(xp), asarray(fp)
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(f"interp: xp and fp must be vectors of one length from 1 up, got shapes {xp.shape} and {fp.shape}\n  at {user_line()}")
    if is_known(xp) and np.any(np.diff(plain(xp)) < 0):
        raise OperationError(f"interp: xp must increase; sort both by ab.argsort(xp) first\n  at {user_line()}")
    first, last = (getitem(xp, i) for i in (0, -1))
    n = xp.shape[0]
    above = clip(searchsorted(xp, x, side="right"), min(1, n - 1), n - 1)
    below = clip(above - 1, 0, None)
    (start, end), (low, high) = ((take(v, below), take(v, above)) for v in (xp, fp))
    before, after, gap = less(x, first), greater(x, last), end - start
    share = (where(logical_or(before, after), start, x) - start) / where(equal(gap, 0), 1, gap)  # finite where x is not
    out = where(equal(x, last), getitem(fp, -1), low + share * (high - low))
    out = where(before, getitem(fp, 0) if left is None else left, out)
    return where(after, getitem(fp, -1) if right is None else right, out)

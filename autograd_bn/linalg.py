"""Linear algebra, named as in the array API standard: ``ab.linalg``."""

from __future__ import annotations

from typing import Any

from autograd_bn.core.namespaces import curated
from autograd_bn.ops import diagonals
from autograd_bn.ops.decompositions import cholesky, det, eigh, eigvalsh, inv, slogdet, solve, svd, svdvals
from autograd_bn.ops.einsum import outer, tensordot, vecdot
from autograd_bn.ops.matmul import matmul
from autograd_bn.ops.products import cross
from autograd_bn.ops.shape import matrix_transpose
from autograd_bn.ops.statistics import vector_norm

curated(__name__)
__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_transpose",
    "outer",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonal of the matrices on the last two axes; a positive offset takes one above the main diagonal.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.diagonal(ab.ones((5, 2, 3))).shape
    (5, 2)
    """
    return diagonals.diagonal(x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0) -> Any:
    """The sum of the diagonal of the matrices on the last two axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.trace(ab.ones((5, 2, 3))).shape
    (5,)
    """
    return diagonals.trace(x, offset, -2, -1)

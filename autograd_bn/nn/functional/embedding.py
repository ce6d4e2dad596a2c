"""The rows of a table."""

from __future__ import annotations

from typing import Any, NoReturn

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn.functional.indices import check_range
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.sorting import take


@composite
def embedding(indices: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Rows of a table, one an index.

    Parameters
    ----------
    indices
        Integers from 0 to rows − 1, any shape.
    weight
        The table, shape (rows, features). The gradient of a row is the sum over its uses.
    padding_idx
        A row that gets no gradient; negative counts from the end.

    Returns shape (*indices.shape, features).

    Raises ShapeError for a weight that is no table, DtypeError for indices that are not integers, OperationError for one out of range.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> table = ab.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    >>> ab.nn.functional.embedding([2, 0], table)
    tensor([[4., 5.],
            [0., 1.]])
    """
    indices, weight = asarray(indices), asarray(weight)
    what = f"embedding(indices {describe(indices)}, weight {describe(weight)})"
    if weight.ndim != 2:
        raise ShapeError(f"{what}: the weight must have shape (rows, features), got {weight.shape}\n  at {user_line()}")
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"{what}: indices are the numbers of rows, so integers; convert them with indices.astype('int64')\n  at {user_line()}")
    rows = weight.shape[0]
    line = user_line()

    def refuse(value: Any, place: Any) -> NoReturn:
        raise OperationError(f"{what}: indices must be from 0 to {rows - 1}, the one at position {place} is {'not' if value is None else value}\n  at {line}")

    indices = check_range(indices, rows, refuse)
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise OperationError(f"{what}: padding_idx is one of {rows} rows, got {padding_idx}\n  at {user_line()}")
    out: Tensor = take(weight, indices, axis=0)
    if padding_idx is not None:
        out = where((indices == padding_idx % rows).reshape((*indices.shape, 1)), out.detach(), out)
    return out

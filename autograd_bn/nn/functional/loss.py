"""Losses: how far outputs are from targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.effects import require_finite
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.node import Batch
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.tracing import Symbol, lifted
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.exponential import exp, log
from autograd_bn.ops.indexing import getitem


@composite
def cross_entropy(logits: Any, labels: Any) -> Tensor:
    """The mean negative log-likelihood of the labels under softmax(logits).

    Computed as log Σ exp(z − max z) − (z[label] − max z), which neither overflows nor loses small probabilities.

    Parameters
    ----------
    logits
        Shape (N, K), real floating.
    labels
        Shape (N,), integers from 0 to K − 1.

    Returns a scalar.

    Raises ShapeError where the shapes do not fit, DtypeError for labels that are not integers, OperationError for a
    label out of range or an empty batch.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.cross_entropy(ab.tensor([[0.0, 0.0]]), [1]).item() == ab.log(2.0).item()
    True
    """
    if type(logits) is not Tensor:
        logits = asarray(logits)
    index = _checked_labels(logits, labels)
    peak = logits.detach().max(1, keepdims=True)
    z = logits - peak
    expz = exp(z)
    total = expz.sum(1)
    logtotal = log(total)
    if index is None:  # noqa: SIM108 - drawings read the name from an assignment of its own
        zlabel = where(labels.reshape((-1, 1)) == np.arange(z.shape[1]), z, 0.0).sum(1)
    else:
        zlabel = getitem(z, index)
    losses = logtotal - zlabel
    loss = losses.mean()
    return loss


def _checked_labels(logits: Tensor, labels: Any) -> tuple[Any, Any] | None:
    """The index of each row's label among the logits; None where vmap maps over the labels, whose values cannot be looked at."""
    y = labels
    while type(y) is Tensor:
        if type(y.node) is Batch:
            return None
        if type(lifted(y).node) is Symbol:
            _check_traced_labels(logits, y)
            return None
        y = y.value
    y = np.asarray(y)
    shape = logits.shape
    if len(shape) == 2 and y.shape == shape[:1] and y.dtype.kind in "iu" and y.size and y.min() >= 0 and y.max() < shape[1]:
        return np.arange(shape[0]), y
    what = f"cross_entropy(logits {describe(logits)}, labels {describe(y)})"
    where = f"\n  at {user_line()}"
    if len(shape) != 2:
        raise ShapeError(f"{what}: logits must have shape (N, K), a row an example, got {shape}{where}")
    if y.ndim == 2 and y.shape == shape:
        raise ShapeError(f"{what}: labels must have shape ({shape[0]},), the number of the class; for one-hot rows pass labels.argmax(1){where}")
    if y.shape != shape[:1]:
        raise ShapeError(f"{what}: labels must have shape ({shape[0]},), one an example, got {y.shape}{where}")
    if y.dtype.kind not in "iu":
        raise DtypeError(f"{what}: labels are the numbers of classes, so integers; convert them with labels.astype('int64'){where}")
    if not y.size:
        raise OperationError(f"{what}: the batch is empty, so there is nothing to average; leave empty batches out{where}")
    wrong = int(np.flatnonzero((y < 0) | (y >= shape[1]))[0])
    raise OperationError(f"{what}: labels must be from 0 to {shape[1] - 1}, got {y[wrong]} at position {wrong}{where}")


def _check_traced_labels(logits: Tensor, labels: Tensor) -> None:
    """In a compiled function: shapes now, the labels themselves after each run."""
    if len(logits.shape) != 2 or labels.shape != logits.shape[:1] or labels.dtype.kind not in "iu" or not labels.size:
        _checked_labels(Tensor(np.zeros(logits.shape)), np.full(labels.shape, -1, labels.dtype))
    count = logits.shape[1]

    def report(marked: Any) -> None:
        raise OperationError(f"cross_entropy: labels must be from 0 to {count - 1}, but the one at position {int(np.flatnonzero(np.isnan(marked))[0])} is not")

    require_finite([where((labels >= 0) & (labels < count), 0.0, np.nan)], report)


@composite
def mse_loss(prediction: Any, target: Any) -> Tensor:
    """The mean squared difference of two tensors of one shape.

    Returns a scalar. Raises ShapeError where the shapes differ: broadcasting here is nearly always a mistake.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.mse_loss(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 4.0]))
    tensor(2.)
    """
    prediction, target = asarray(prediction), asarray(target)
    if prediction.shape != target.shape:
        raise ShapeError(f"mse_loss: the prediction has shape {prediction.shape}, the target {target.shape}; they must be equal\n  at {user_line()}")
    difference = prediction - target
    sq = difference**2
    loss = sq.mean()
    return loss  # type: ignore[no-any-return]

"""Losses: how far outputs are from targets."""

from __future__ import annotations

import math
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np

from autograd_bn.core.complex_values import refused
from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, plain
from autograd_bn.core.tracing import lifted
from autograd_bn.nn.functional.indices import check_range
from autograd_bn.ops.arithmetic import abs as absolute
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.comparison import less_equal
from autograd_bn.ops.exponential import exp, log, softplus
from autograd_bn.ops.indexing import getitem
from autograd_bn.ops.precision import narrowed, widened
from autograd_bn.ops.rearranging import moveaxis
from autograd_bn.ops.shape import astype
from autograd_bn.ops.sorting import is_known
from autograd_bn.ops.statistics import log_softmax

Reduction: TypeAlias = Literal["mean", "sum", "none"]


@composite
def cross_entropy(
    logits: Any, labels: Any, *, weight: Any = None, ignore_index: int | None = None, reduction: Reduction = "mean", label_smoothing: float = 0.0
) -> Tensor:
    """The negative log-likelihood of the labels under softmax(logits).

    Computed as log Σ exp(z − max z) − (z[label] − max z), which neither overflows nor loses small probabilities.

    Parameters
    ----------
    logits
        Shape (N, K), real floating; or (N, K, …), a row of classes at each place; or (K,), of one example.
    labels
        Shape (N,), (N, …) or (), integers from 0 to K − 1; or probabilities of the classes, floating, of the shape of the logits.
    weight
        Shape (K,), a factor of each class's terms, or None for 1.
    ignore_index
        A label, which need not be a class, whose examples do not count.
    reduction
        ``"mean"`` over the examples that count, each by the weight of its label (of probabilities, over all N), ``"sum"``, or ``"none"`` for
        one value an example.
    label_smoothing
        The share, from 0 to 1, of the probability that is spread evenly over all classes (Szegedy et al. 2015).

    Returns a scalar, or the shape of the labels, (N,).

    Raises ShapeError where the shapes do not fit, DtypeError for labels that are neither integers nor probabilities, OperationError for a
    label out of range, the mean of a batch of which nothing counts, ``ignore_index`` with probabilities, or settings out of range.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> scores = ab.tensor([[0.0, 0.0]])
    >>> ab.nn.functional.cross_entropy(scores, [1]).item() == ab.log(2.0).item()
    True
    >>> probabilities = [[0.25, 0.75]]
    >>> ab.nn.functional.cross_entropy(scores, probabilities).item() == ab.log(2.0).item()
    True
    """
    given = asarray(logits)
    rows, labels, places = _as_rows(given, labels)
    logits = widened(rows)
    if not 0 <= label_smoothing <= 1:
        raise OperationError(f"cross_entropy: label_smoothing is a share, from 0 to 1, got {label_smoothing!r}\n  at {user_line()}")
    if type(labels) is not Tensor:
        labels = np.asarray(labels)
    weight = _checked_weight("cross_entropy", logits, weight)
    if labels.dtype.kind == "f" and labels.ndim == 2:
        losses = _soft(logits, labels, weight, ignore_index, label_smoothing, reduction == "mean")
        return narrowed(_reduced("cross_entropy", losses, reduction, places=places), given)
    labels, index, counts = _checked_labels("cross_entropy", logits, labels, ignore_index, reduction == "mean")
    peak = logits.detach().max(1, keepdims=True)
    z = logits - peak
    expz = exp(z)
    total = expz.sum(1)
    logtotal = log(total)
    zlabel = _chosen(z, labels, index)
    if weight is not None:
        share = _chosen(weight, labels, index and index[1:])
        losses = (logtotal - zlabel) * share
        if label_smoothing:
            spread = (weight * (logtotal.reshape((-1, 1)) - z)).mean(1)
            losses = (1 - label_smoothing) * losses + label_smoothing * spread
        return narrowed(_reduced("cross_entropy", losses, reduction, counts, share, places), given)
    if label_smoothing:
        zlabel = (1 - label_smoothing) * zlabel + label_smoothing * z.mean(1)
    losses = logtotal - zlabel
    return narrowed(_reduced("cross_entropy", losses, reduction, counts, places=places), given)


@composite
def nll_loss(log_probabilities: Any, labels: Any, *, weight: Any = None, ignore_index: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """The negative log-likelihood of the labels, of logarithms of probabilities, such as `log_softmax` gives.

    Parameters
    ----------
    log_probabilities
        Shape (N, K), (N, K, …) or (K,).
    labels
        Shape (N,), (N, …) or (), integers from 0 to K − 1.
    weight, ignore_index, reduction
        As in `cross_entropy`, and so are the errors.

    Returns a scalar, or shape (N,).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.nll_loss(ab.log(ab.tensor([[0.5, 0.5], [0.25, 0.75]])), [1, 0])
    tensor(1.03972077)
    """
    log_probabilities, labels, places = _as_rows(asarray(log_probabilities), labels)
    weight = _checked_weight("nll_loss", log_probabilities, weight)
    labels, index, counts = _checked_labels("nll_loss", log_probabilities, labels, ignore_index, reduction == "mean")
    losses = -_chosen(log_probabilities, labels, index)
    share = None
    if weight is not None:
        share = _chosen(weight, labels, index and index[1:])
        losses = losses * share
    return _reduced("nll_loss", losses, reduction, counts, share, places)


@composite
def binary_cross_entropy_with_logits(logits: Any, target: Any, *, pos_weight: Any = None, reduction: Reduction = "mean") -> Tensor:
    """The negative log-likelihood of targets from 0 to 1 under the probabilities σ(logits), each element by itself.

    Computed as t·log(1 + e⁻ᶻ) + (1 − t)·log(1 + eᶻ), which neither overflows nor loses small results.

    Parameters
    ----------
    logits, target
        Of one shape.
    pos_weight
        A factor of the first term, which broadcasts.
    reduction
        ``"mean"`` over the elements, ``"sum"``, or ``"none"``.

    Returns a scalar, or the shape of the logits. Raises ShapeError where the shapes differ.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> scores = ab.tensor([0.0, 1000.0])
    >>> loss = ab.nn.functional.binary_cross_entropy_with_logits
    >>> loss(scores, [1.0, 1.0], reduction="none")
    tensor([0.69314718, 0.        ])
    """
    logits, target = _pair("binary_cross_entropy_with_logits", logits, target, "the logits have")
    positive = target * softplus(-logits)
    if pos_weight is not None:
        positive = positive * pos_weight
    losses = positive + (1 - target) * softplus(logits)
    return _reduced("binary_cross_entropy_with_logits", losses, reduction)


@composite
def mse_loss(prediction: Any, target: Any, *, reduction: Reduction = "mean") -> Tensor:
    """The squared difference of two tensors of one shape.

    Parameters
    ----------
    prediction, target
        Of one shape: broadcasting here is nearly always a mistake.
    reduction
        ``"mean"`` over the elements, ``"sum"``, or ``"none"``.

    Returns a scalar, or the shape of both. Raises ShapeError where the shapes differ.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.mse_loss(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 4.0]))
    tensor(2.)
    """
    prediction, target = _pair("mse_loss", prediction, target)
    if refused(prediction.dtype) or refused(target.dtype):
        raise DtypeError(
            f"mse_loss(prediction {describe(prediction)}, target {describe(target)}): a loss is real; square the sizes, as in "
            f"(ab.abs(prediction - target) ** 2).mean()\n  at {user_line()}"
        )
    difference = prediction - target
    sq = difference**2
    return _reduced("mse_loss", sq, reduction)


@composite
def l1_loss(prediction: Any, target: Any, *, reduction: Reduction = "mean") -> Tensor:
    """The absolute difference of two tensors of one shape; where they are equal its derivative is taken as 0.

    Parameters, result and errors are those of `mse_loss`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.l1_loss(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 4.0]))
    tensor(1.)
    """
    prediction, target = _pair("l1_loss", prediction, target)
    return _reduced("l1_loss", absolute(prediction - target), reduction)


@composite
def huber_loss(prediction: Any, target: Any, *, delta: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """d²/2 of differences d up to δ, and δ·(|d| − δ/2) of larger ones (Huber 1964): outliers pull with a force that does not grow.

    Parameters
    ----------
    prediction, target
        Of one shape.
    delta
        Where the parabola becomes a line, positive.
    reduction
        ``"mean"`` over the elements, ``"sum"``, or ``"none"``.

    Returns a scalar, or the shape of both. Raises ShapeError where the shapes differ, OperationError for δ that is not positive.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x, y = ab.tensor([0.0, 0.0]), ab.tensor([0.5, 4.0])
    >>> ab.nn.functional.huber_loss(x, y, reduction="none")
    tensor([0.125, 3.5  ])
    """
    return _reduced("huber_loss", _huber("huber_loss", prediction, target, "delta", delta), reduction)


@composite
def smooth_l1_loss(prediction: Any, target: Any, *, beta: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """The `huber_loss` divided by its δ, here β: beyond β it is the absolute difference less β/2.

    Parameters, result and errors are those of `huber_loss`, with ``beta`` for ``delta``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x, y = ab.tensor([0.0, 0.0]), ab.tensor([0.5, 4.0])
    >>> ab.nn.functional.smooth_l1_loss(x, y, beta=2.0, reduction="none")
    tensor([0.0625, 3.    ])
    """
    return _reduced("smooth_l1_loss", _huber("smooth_l1_loss", prediction, target, "beta", beta) / beta, reduction)


def _huber(name: str, prediction: Any, target: Any, what: str, delta: float) -> Tensor:
    if not delta > 0:
        raise OperationError(f"{name}: {what} is where the parabola becomes a line, so it must be positive, got {delta!r}\n  at {user_line()}")
    prediction, target = _pair(name, prediction, target)
    difference = prediction - target
    size = absolute(difference)
    inside = less_equal(size, delta)
    near = where(inside, size if difference.dtype.kind == "c" else difference, 0.0)  # whose square has its curvature at 0
    return where(inside, near**2 / 2, delta * (size - delta / 2))


def _reduced(name: str, losses: Tensor, reduction: Reduction, counts: Any = None, weights: Any = None, places: tuple[int, ...] | None = None) -> Tensor:
    """The mean or the sum of those that count (all unless told), or all as they are and 0 for those that do not.

    The mean of losses that have been weighted is their sum over that of the weights. ``places`` is the shape of those that are not reduced.
    """
    if reduction not in ("mean", "sum", "none"):
        raise OperationError(f"{name}: the reduction is 'mean', 'sum' or 'none', got {reduction!r}\n  at {user_line()}")
    if counts is not None:
        losses = where(counts, losses, 0.0)
    if reduction == "none":
        return losses if places is None else losses.reshape(places)
    if reduction == "mean" and counts is None and weights is None:
        loss = losses.mean()
        return loss
    loss = widened(losses).sum()
    if reduction == "mean" and weights is None:
        loss = loss / counts.sum().astype(loss.dtype)
    elif reduction == "mean":
        loss = loss / (weights if counts is None else where(counts, weights, 0.0)).sum()
    return narrowed(loss, losses)


def _pair(name: str, prediction: Any, target: Any, what: str = "the prediction has") -> tuple[Tensor, Tensor]:
    """Both as tensors of one shape: broadcasting here is nearly always a mistake."""
    prediction, target = asarray(prediction), asarray(target)
    if prediction.shape != target.shape:
        raise ShapeError(f"{name}: {what} shape {prediction.shape}, the target {target.shape}; they must be equal\n  at {user_line()}")
    if prediction.dtype.kind in "biu" and target.dtype.kind in "biu":  # whose differences need not fit their dtype
        prediction = prediction.astype(np.float64)
    return prediction, target


def _soft(logits: Tensor, labels: Any, weight: Tensor | None, ignore_index: int | None, label_smoothing: float, averaged: bool) -> Tensor:
    """The cross-entropy of each row with probabilities."""
    target = astype(labels, logits.dtype)
    if target.shape != logits.shape or (averaged and not target.shape[0]):
        _refuse_labels("cross_entropy", logits, target)
    if ignore_index is not None:
        raise OperationError(f"cross_entropy: ignore_index is a label, but these are probabilities; give the examples a row of zeros\n  at {user_line()}")
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / logits.shape[1]
    if weight is not None:
        target = target * weight
    return -(target * log_softmax(logits)).sum(1)


def _as_rows(scores: Tensor, labels: Any) -> tuple[Tensor, Any, tuple[int, ...] | None]:
    """Scores as rows of classes, the labels that go with the rows, and the shape that the losses then have (None: as they are).

    What does not fit together is left as it is, for the checks to refuse.
    """
    shape = scores.shape
    if len(shape) == 2 or not shape:
        return scores, labels, None
    if type(labels) is not Tensor:
        labels = np.asarray(labels)
    places = (shape[0], *shape[2:]) if len(shape) > 2 else ()

    def rows(x: Any) -> Tensor:
        return (moveaxis(x, 1, -1) if len(shape) > 2 else asarray(x)).reshape((math.prod(places), shape[min(1, len(shape) - 1)]))

    if labels.shape == places and labels.dtype.kind in "iu":
        return rows(scores), labels.reshape((math.prod(places),)), places
    if labels.shape == shape and labels.dtype.kind == "f":
        return rows(scores), rows(labels), places
    return scores, labels, None


def _checked_weight(name: str, scores: Tensor, weight: Any) -> Tensor | None:
    """One factor a class, of the dtype of the scores."""
    if weight is None:
        return None
    weight = asarray(weight)
    if weight.shape != scores.shape[1:] or weight.dtype.kind not in "biuf":
        raise ShapeError(
            f"{name}(logits {describe(scores)}): weight has one real factor a class, shape {scores.shape[1:]}, got {describe(weight)}\n  at {user_line()}"
        )
    return astype(weight, scores.dtype)


def _chosen(scores: Tensor, labels: Any, index: tuple[Any, ...] | None) -> Tensor:
    """The score of each row's label; of one row, for all."""
    if index is None:  # noqa: SIM108 - drawings read the name from an assignment of its own
        zlabel = where(labels.reshape((-1, 1)) == np.arange(scores.shape[-1]), scores, 0.0).sum(1)
    else:
        zlabel = getitem(scores, index)
    return zlabel


def _checked_labels(name: str, scores: Tensor, labels: Any, ignore_index: int | None, averaged: bool) -> tuple[Any, tuple[Any, Any] | None, Any]:
    """The labels, the index of each row's label among the scores, and which rows count (None: all).

    There is no index where vmap maps over the labels, or a compiled function is given them: their values cannot be looked at.
    """
    known = type(labels) is not Tensor or is_known(labels)
    y = np.asarray(plain(labels)) if known else lifted(labels)
    shape = scores.shape
    if refused(scores.dtype) or len(shape) != 2 or y.shape != shape[:1] or y.dtype.kind not in "iu" or (averaged and not y.shape[0]):
        _refuse_labels(name, scores, y)

    if known and ignore_index is None and (not y.size or (y.min() >= 0 and y.max() < shape[1])):
        return y, (np.arange(shape[0]), y), None
    line = user_line()

    def refuse(value: Any, place: Any) -> NoReturn:
        got = f"got {value} at position {place}" if value is not None else f"the one at position {place} is not"
        raise OperationError(f"{name}(logits {describe(scores)}, labels {describe(y)}): labels must be from 0 to {shape[1] - 1}, {got}\n  at {line}")

    check_range(y, shape[1], refuse, ignore_index)
    if ignore_index is None:
        return y, None, None
    counts = y != ignore_index
    if known:
        if averaged and not counts.any():
            raise OperationError(f"{name}: every label is {ignore_index}, which is ignored, so there is nothing to average\n  at {line}")
        return y, (np.arange(shape[0]), np.where(counts, y, 0)), counts
    return y, None, counts


def _refuse_labels(name: str, scores: Tensor, y: Any) -> NoReturn:
    shape = scores.shape
    what = f"{name}(logits {describe(scores)}, labels {describe(y)})"
    line = f"\n  at {user_line()}"
    if refused(scores.dtype):
        raise DtypeError(f"{what}: logits must be real{line}")
    if not shape:
        raise ShapeError(f"{what}: logits must have shape (N, K), a row an example, got {shape}{line}")
    if len(shape) != 2:
        places = (shape[0], *shape[2:]) if len(shape) > 2 else ()
        kind = "of integers" if y.shape == places else f"of shape {places}{f', or as probabilities {shape}' if name == 'cross_entropy' else ''}, got {y.shape}"
        raise ShapeError(f"{what}: labels must be {kind}{line}")
    if y.ndim == 2 and y.shape == shape and y.size:
        raise ShapeError(
            f"{what}: labels must have shape ({shape[0]},), the number of the class; for one-hot rows pass labels.argmax(1), or floats as probabilities{line}"
        )
    if y.ndim == 2 and y.dtype.kind == "f" and y.shape != shape:
        raise ShapeError(f"{what}: probabilities must have the shape of the logits, {shape}, got {y.shape}{line}")
    if y.shape != shape[:1] and y.shape != shape:
        raise ShapeError(f"{what}: labels must have shape ({shape[0]},), one an example, got {y.shape}{line}")
    if y.dtype.kind not in "iu" and y.ndim == 1:
        raise DtypeError(f"{what}: labels are the numbers of classes, so integers; convert them with labels.astype('int64'){line}")
    raise OperationError(f"{what}: the batch is empty, so there is nothing to average; leave empty batches out{line}")

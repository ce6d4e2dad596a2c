"""Functions of networks, each a composition of primitives: no rule is written here."""

from __future__ import annotations

from typing import Any, Literal, NoReturn, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.effects import require_finite
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.node import Batch
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.tracing import Symbol, lifted
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.exponential import exp, log, relu, sigmoid, softplus, sqrt, tanh
from autograd_bn.ops.indexing import getitem
from autograd_bn.ops.statistics import log_softmax, softmax

__all__ = ["batch_norm", "cross_entropy", "linear", "log_softmax", "mse_loss", "relu", "sigmoid", "softmax", "softplus", "tanh"]

Values: TypeAlias = Tensor | npt.ArrayLike


@overload
def batch_norm(
    x: Values,
    gamma: Values | None,
    beta: Values | None,
    *,
    eps: float = ...,
    population: tuple[Values, Values] | None = ...,
    return_statistics: Literal[False] = ...,
) -> Tensor: ...


@overload
def batch_norm(
    x: Values,
    gamma: Values | None,
    beta: Values | None,
    *,
    eps: float = ...,
    population: tuple[Values, Values] | None = ...,
    return_statistics: Literal[True],
) -> tuple[Tensor, Tensor, Tensor]: ...


@composite
def batch_norm(
    x: Any,
    gamma: Any,
    beta: Any,
    *,
    eps: float = 1e-5,
    population: tuple[Any, Any] | None = None,
    return_statistics: bool = False,
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Each channel shifted and scaled to mean 0 and variance 1 over the batch, then scaled by γ and shifted by β.

    x̂ = (x − μ) / √(σ² + ε), y = γ·x̂ + β, with the batch's mean μ and biased variance σ² (Ioffe & Szegedy 2015, arXiv
    1502.03167). A composition of mean, −, **, +, √, 1/x and *: the gradient flows through μ and σ² too.

    Parameters
    ----------
    x
        Shape (N, C), or (N, C, …): channels are on axis 1, and every other axis is averaged over.
    gamma, beta
        Shape (C,), or None for no scale or shift.
    eps
        Added to the variance under the root.
    population
        A mean and a variance of shape (C,) to use in place of the batch's, as in evaluation.
    return_statistics
        Return ``(y, μ, σ²)``, the statistics with the averaged axes kept.

    Returns a tensor of the shape of x; float32 in, float32 out.

    Raises ShapeError where the number of channels differs or x has fewer than two axes, OperationError for an empty batch.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([[0.0, 1.0], [2.0, 5.0]])
    >>> ab.nn.functional.batch_norm(x, ab.ones(2), ab.zeros(2), eps=0.0)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    if type(x) is not Tensor:
        x = asarray(x)
    if gamma is not None and type(gamma) is not Tensor:
        gamma = asarray(gamma)
    if beta is not None and type(beta) is not Tensor:
        beta = asarray(beta)
    shape = x.shape
    rank = len(shape)
    per_channel = shape[1:2]
    if (
        rank < 2
        or 0 in shape
        or (gamma is not None and gamma.shape != per_channel)
        or (beta is not None and beta.shape != per_channel)
        or population is not None
    ):
        _check_batch_norm(x, gamma, beta, population)
    axes: int | tuple[int, ...] = 0
    if rank > 2:
        axes = (0, *range(2, rank))
        wide = (1, shape[1]) + (1,) * (rank - 2)
        gamma = None if gamma is None else gamma.reshape(wide)
        beta = None if beta is None else beta.reshape(wide)
        population = None if population is None else (asarray(population[0]).reshape(wide), asarray(population[1]).reshape(wide))
    # One operation a statement, named as in the figure: drawings read these names from the bytecode.
    if population is None:
        μ = x.mean(axes, keepdims=True)
        xμ = x - μ
        sq = xμ**2
        var = sq.mean(axes, keepdims=True)
    else:
        μ, var = asarray(population[0]), asarray(population[1])
        xμ = x - μ
    sqrtvar = sqrt(var + eps)
    ivar = 1 / sqrtvar
    x̂ = xμ * ivar
    γx̂ = x̂
    if gamma is not None:
        γx̂ = x̂ * gamma
    out = γx̂
    if beta is not None:
        out = γx̂ + beta
    return (out, μ, var) if return_statistics else out


def _check_batch_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, population: tuple[Any, Any] | None) -> None:
    """The slow half of the argument check: it runs only where something looked odd, and says what."""
    mean, variance = population if population is not None else (None, None)
    per_channel = {"gamma": gamma, "beta": beta, "the population mean": mean, "the population variance": variance}

    def fail(kind: type[ShapeError | OperationError], problem: str) -> NoReturn:
        given = ", ".join(f"{name} {describe(asarray(p))}" for name, p in {"x": x, **per_channel}.items() if p is not None)
        raise kind(f"batch_norm({given}): {problem}\n  at {user_line()}")

    if x.ndim < 2:
        fail(ShapeError, f"x needs a batch axis and a channel axis, (N, C) or (N, C, …), got shape {x.shape}; add the missing axis with reshape")
    channels = x.shape[1]
    for name, p in per_channel.items():
        if p is not None and asarray(p).shape != (channels,):
            got = asarray(p).shape
            hint = "; channels belong on axis 1: did you mean to move the last axis there?" if x.ndim > 2 and got == x.shape[-1:] else ""
            fail(ShapeError, f"x has {channels} channels (axis 1), so {name} must have shape ({channels},), got {got}{hint}")
    if 0 in x.shape and channels:
        fail(OperationError, "the batch is empty, so there is nothing to normalise; leave empty batches out")


@composite
def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """The affine map x·Wᵀ + b.

    Parameters
    ----------
    x
        Shape (…, in).
    weight
        Shape (out, in).
    bias
        Shape (out,), or None.

    Returns shape (…, out). Raises ShapeError where the shapes do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.linear(ab.tensor([[1.0, 2.0]]), ab.tensor([[3.0, 4.0]]), ab.tensor([0.5]))
    tensor([[11.5]])
    """
    if type(x) is not Tensor:
        x = asarray(x)
    if type(weight) is not Tensor:
        weight = asarray(weight)
    out_in = weight.shape
    if len(out_in) != 2 or x.shape[-1:] != out_in[1:]:
        expected = f"x must have shape (…, {out_in[1]})" if len(out_in) == 2 else "the weight must have shape (out, in)"
        hint = "; flatten the other axes into it, as in x.reshape((len(x), -1))" if len(out_in) == 2 and _product(x.shape[1:]) == out_in[1] else ""
        raise ShapeError(f"linear(x {describe(x)}, weight {describe(weight)}): {expected}, got x of shape {x.shape}{hint}\n  at {user_line()}")
    product = x @ weight.T
    if bias is None:
        return product  # type: ignore[no-any-return]
    out = product + bias
    return out  # type: ignore[no-any-return]


def _product(lengths: tuple[int, ...]) -> int:
    return int(np.prod(lengths, dtype=int))


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

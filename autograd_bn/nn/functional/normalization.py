"""Normalisation: values shifted and scaled to mean 0 and variance 1 over some axes."""

from __future__ import annotations

from typing import Any, Literal, NoReturn, TypeAlias, overload

import numpy.typing as npt

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.exponential import sqrt

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

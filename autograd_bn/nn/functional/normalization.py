"""Normalisation: values shifted and scaled to mean 0 and variance 1 over some axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from autograd_bn.core.complex_values import refused
from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.integers import integers
from autograd_bn.core.state import user_line
from autograd_bn.core.structural import count_along
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.exponential import sqrt
from autograd_bn.ops.precision import narrowed, widened

Values: TypeAlias = Tensor | npt.ArrayLike


@overload
def batch_norm(
    x: Values,
    gamma: Values | None = ...,
    beta: Values | None = ...,
    *,
    eps: float = ...,
    population: tuple[Values, Values] | None = ...,
    return_statistics: Literal[False] = ...,
) -> Tensor: ...


@overload
def batch_norm(
    x: Values,
    gamma: Values | None = ...,
    beta: Values | None = ...,
    *,
    eps: float = ...,
    population: tuple[Values, Values] | None = ...,
    return_statistics: Literal[True],
) -> tuple[Tensor, Tensor, Tensor]: ...


@composite
def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
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

    Returns a tensor of the shape of x; float32 in, float32 out, and float16 in, float16 out, computed in float32.

    Raises ShapeError where the number of channels differs or x has fewer than two axes, OperationError for an empty batch without a population,
    DtypeError for complex x.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([[0.0, 1.0], [2.0, 5.0]])
    >>> ab.nn.functional.batch_norm(x, ab.ones(2), ab.zeros(2), eps=0.0)
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """
    x, rank, gamma, beta, population = _per_channel("batch_norm", x, gamma, beta, population)
    x̂, μ, var = _standardized("batch_norm", x, 0 if rank == 2 else (0, *range(2, rank)), eps, population)
    out = _affine(x, x̂, gamma, beta)
    return (out, μ, var) if return_statistics else out


@composite
def instance_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    eps: float = 1e-5,
    population: tuple[Any, Any] | None = None,
    return_statistics: bool = False,
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Each channel of each example shifted and scaled to mean 0 and variance 1 over its places (Ulyanov et al. 2016, arXiv 1607.08022).

    The lines of `batch_norm` over other axes, with the same parameters. x has shape (N, C, L, …); the statistics have shape (N, C, 1, …).

    Returns a tensor of the shape of x.

    Raises ShapeError where the number of channels differs, x has fewer than three axes, or a channel has one place only.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.instance_norm(ab.tensor([[[0.0, 2.0], [1.0, 5.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    x, rank, gamma, beta, population = _per_channel("instance_norm", x, gamma, beta, population, 3)
    axes = tuple(range(2, rank))
    if population is None:
        _check_count(
            "instance_norm", x, count_along(x.shape, axes), "channel of an example", "use larger inputs, or statistics over a whole batch (batch_norm)"
        )
    x̂, μ, var = _standardized("instance_norm", x, axes, eps, population)
    out = _affine(x, x̂, gamma, beta)
    return (out, μ, var) if return_statistics else out


@composite
def layer_norm(x: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Each example shifted and scaled to mean 0 and variance 1 over its last axes (Ba et al. 2016, arXiv 1607.06450).

    Parameters
    ----------
    x
        Shape (…, *normalized_shape).
    normalized_shape
        The lengths of the last axes, over which the mean and the biased variance are taken.
    weight, bias
        Of that shape, or None for no scale or shift.
    eps
        Added to the variance under the root.

    Returns a tensor of the shape of x. Raises ShapeError where the shapes do not fit, or there is one value to normalise over.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.layer_norm(ab.tensor([[0.0, 2.0], [1.0, 5.0]]), 2, eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    x, axes, (weight, bias) = _last_axes("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    _check_count("layer_norm", x, count_along(x.shape, axes), "example", "normalise over more axes, or leave the layer out")
    x̂, _, _ = _standardized("layer_norm", x, axes, eps)
    return _affine(x, x̂, weight, bias)


@composite
def rms_norm(x: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None) -> Tensor:
    """Each example divided by its root mean square over its last axes, x / √(mean(x²) + ε) (Zhang & Sennrich 2019, arXiv 1910.07467).

    Parameters
    ----------
    x
        Shape (…, *normalized_shape).
    normalized_shape
        The lengths of the last axes, over which the mean is taken.
    weight
        Of that shape, or None for no scale.
    eps
        Added to the mean under the root; the distance from 1 to the next number of the dtype of x unless given.

    Returns a tensor of the shape of x. Raises ShapeError where the shapes do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.rms_norm(ab.tensor([[1.0, 7.0]]), 2, eps=0.0)
    tensor([[0.2, 1.4]])
    """
    x, axes, (weight,) = _last_axes("rms_norm", x, normalized_shape, weight=weight)
    if x.dtype.kind in "biu":
        x = x.astype(np.float64)
    if eps is None:
        eps = float(np.finfo(x.dtype).eps)
    wide = _wide("rms_norm", x)
    sq = wide**2
    meansq = sq.mean(axes, keepdims=True)
    rms = sqrt(meansq + eps)
    irms = 1 / rms
    x̂ = wide * irms
    return _affine(x, x̂, weight, None)


@composite
def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Each group of channels of each example shifted and scaled to mean 0 and variance 1 (Wu & He 2018, arXiv 1803.08494).

    Parameters
    ----------
    x
        Shape (N, C, …).
    num_groups
        Of neighbouring channels; it divides C. 1 takes all channels together, C each alone, as instance norm.
    weight, bias
        Shape (C,), or None for no scale or shift.
    eps
        Added to the variance under the root.

    Returns a tensor of the shape of x.

    Raises ShapeError where the shapes do not fit, the groups are not of equal size, or a group has one value.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.group_norm(ab.tensor([[0.0, 2.0, 1.0, 5.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    x, _, weight, bias, _ = _per_channel("group_norm", x, weight, bias, None, names=("weight", "bias"))
    shape = x.shape
    channels = shape[1]
    if num_groups < 1 or channels % num_groups:
        fitting = ", ".join(str(n) for n in range(1, channels + 1) if channels % n == 0)
        raise ShapeError(
            f"group_norm(x {describe(x)}): {channels} channels (axis 1) do not make {num_groups} groups of equal size; {fitting} would\n  at {user_line()}"
        )
    groups = x.reshape((shape[0], num_groups, math.prod(shape[1:]) // num_groups))
    _check_count("group_norm", x, groups.shape[2], "group of an example", "make fewer groups")
    x̂, _, _ = _standardized("group_norm", groups, 2, eps)
    return _affine(x, x̂.reshape(shape), weight, bias)


def _wide(name: str, x: Tensor) -> Tensor:
    """The input as it is, but float16 in float32. Refuses complex numbers, whose squares are no distances."""
    if refused(x.dtype):
        raise DtypeError(f"{name}(x {describe(x)}): x must be real; normalise ab.real(x) and ab.imag(x), or ab.abs(x)\n  at {user_line()}")
    return widened(x)


def _standardized(
    name: str, x: Tensor, axes: int | tuple[int, ...], eps: float, population: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(x − μ) / √(σ² + ε), μ and σ² over axes, which are kept: what batch, layer, group and instance norm have in common."""
    if x.dtype.char not in "fd":
        x = _wide(name, x)
    # One operation a statement, named as in the figure: drawings read these names from the bytecode.
    if population is None:
        μ = x.mean(axes, keepdims=True)
        xμ = x - μ
        sq = xμ**2
        var = sq.mean(axes, keepdims=True)
    else:
        μ, var = population
        xμ = x - μ
    sqrtvar = sqrt(var + eps)
    ivar = 1 / sqrtvar
    x̂ = xμ * ivar
    return x̂, μ, var


def _affine(x: Tensor, x̂: Tensor, gamma: Tensor | None, beta: Tensor | None) -> Tensor:
    """γ·x̂ + β, as far as there are any; of the dtype that x has where x̂ was computed in another."""
    γx̂ = x̂
    if gamma is not None:
        γx̂ = x̂ * gamma
    out = γx̂
    if beta is not None:
        out = γx̂ + beta
    return narrowed(out, x, gamma, beta) if x.dtype.char == "e" else out


def _per_channel(
    name: str, x: Any, gamma: Any, beta: Any, population: tuple[Any, Any] | None, axes: int = 2, names: tuple[str, str] = ("gamma", "beta")
) -> tuple[Tensor, int, Tensor | None, Tensor | None, tuple[Tensor, Tensor] | None]:
    """The arguments as tensors that broadcast, and how many axes x has, once it is certain that there is one value a channel (axis 1) of each."""
    if type(x) is not Tensor:
        x = asarray(x)
    shape = x.shape
    rank = len(shape)
    channels = shape[1:2]
    odd = rank < axes or 0 in shape or population is not None
    if gamma is not None:
        if type(gamma) is not Tensor:
            gamma = asarray(gamma)
        odd = odd or gamma.shape != channels
    if beta is not None:
        if type(beta) is not Tensor:
            beta = asarray(beta)
        odd = odd or beta.shape != channels
    if odd:
        if population is not None:
            population = (asarray(population[0]), asarray(population[1]))
        mean, variance = population if population is not None else (None, None)
        given = {names[0]: gamma, names[1]: beta, "the population mean": mean, "the population variance": variance}
        _check_channels(name, x, {what: p for what, p in given.items() if p is not None}, axes)
    if rank > 2:
        wide = (1, *channels) + (1,) * (rank - 2)
        gamma = None if gamma is None else gamma.reshape(wide)
        beta = None if beta is None else beta.reshape(wide)
        population = None if population is None else (population[0].reshape(wide), population[1].reshape(wide))
    return x, rank, gamma, beta, population


def _check_channels(name: str, x: Tensor, per_channel: dict[str, Tensor], axes: int) -> None:
    """The slow half of the argument check: it runs only where something looked odd, and says what."""

    def fail(kind: type[ShapeError | OperationError], problem: str) -> NoReturn:
        given = ", ".join(f"{what} {describe(p)}" for what, p in {"x": x, **per_channel}.items())
        raise kind(f"{name}({given}): {problem}\n  at {user_line()}")

    if x.ndim < axes:
        wanted = "a batch axis and a channel axis, (N, C) or (N, C, …)" if axes == 2 else "a batch axis, a channel axis and one of places, (N, C, L, …)"
        fail(ShapeError, f"x needs {wanted}, got shape {x.shape}; add the missing axis with reshape")
    channels = x.shape[1]
    for what, p in per_channel.items():
        if p.shape != (channels,):
            hint = "; channels belong on axis 1: did you mean to move the last axis there?" if x.ndim > 2 and p.shape == x.shape[-1:] else ""
            fail(ShapeError, f"x has {channels} channels (axis 1), so {what} must have shape ({channels},), got {p.shape}{hint}")
    if name != "group_norm" and 0 in x.shape and channels and "the population mean" not in per_channel:
        fail(OperationError, "the batch is empty, so there is nothing to normalise; leave empty batches out")


def _last_axes(name: str, x: Any, normalized_shape: int | Sequence[int], **parameters: Any) -> tuple[Tensor, tuple[int, ...], list[Tensor | None]]:
    """The arguments as tensors, and the last axes of x, once it is certain that all have these lengths."""
    x = asarray(x)
    given = {what: None if p is None else asarray(p) for what, p in parameters.items()}
    lengths = integers(normalized_shape)
    first = x.ndim - len(lengths)
    if not lengths or first < 0 or x.shape[first:] != lengths or 0 in lengths:
        raise ShapeError(f"{name}(x {describe(x)}): the last axes of x must have the lengths {lengths}, got shape {x.shape}\n  at {user_line()}")
    for what, p in given.items():
        if p is not None and p.shape != lengths:
            raise ShapeError(f"{name}(x {describe(x)}): {what} must have the shape {lengths} that is normalised over, got {p.shape}\n  at {user_line()}")
    return x, tuple(range(first, x.ndim)), list(given.values())


def _check_count(name: str, x: Tensor, count: int, what: str, remedy: str) -> None:
    if count == 1:
        raise ShapeError(
            f"{name}(x {describe(x)}): there is one value a{'n' if what[0] in 'aeiou' else ''} {what}, whose variance is 0, so the output would not depend on "
            f"it; {remedy}\n  at {user_line()}"
        )

"""Initial values of weights, drawn from an explicit generator."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.namespaces import curated

if TYPE_CHECKING:
    import numpy.typing as npt

curated(__name__)
__all__ = ["fans", "generator", "kaiming_normal", "kaiming_uniform", "normal", "orthogonal", "uniform", "xavier_normal", "xavier_uniform"]

# As text, so that importing the package does not import numpy.random.
Seed: TypeAlias = "int | np.random.Generator | None"


def generator(seed: Seed = None) -> np.random.Generator:
    """The generator itself, or a counter-based one (Philox) from a seed; None takes entropy from the system.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.init.generator(0).integers(100) == ab.nn.init.generator(0).integers(100)
    np.True_
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is not None and not is_integer(seed, 0):
        raise OperationError(f"a seed is a non-negative integer, a numpy Generator or None, got {seed!r}")
    return np.random.Generator(np.random.Philox(seed))


def normal(shape: Sequence[int], rng: Seed = None, *, mean: float = 0.0, std: float = 1.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """Gaussian values.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.init.normal((2, 3), 0, std=0.01).shape
    (2, 3)
    """
    return (mean + std * generator(rng).standard_normal(_checked(shape))).astype(dtype)


def uniform(shape: Sequence[int], rng: Seed = None, *, low: float = 0.0, high: float = 1.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """Values spread evenly from ``low`` to ``high``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> abs(ab.nn.init.uniform((2, 3), 0, low=-0.1, high=0.1)).max() <= 0.1
    np.True_
    """
    return generator(rng).uniform(low, high, _checked(shape)).astype(dtype)


def xavier_uniform(shape: Sequence[int], rng: Seed = None, *, gain: float = 1.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """Uniform values within ±gain·√(6 / (in + out)) (Glorot & Bengio 2010), for weights of shape (out, in, …).

    Raises ShapeError for fewer than two axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> abs(ab.nn.init.xavier_uniform((2, 4), 0)).max() <= 1.0
    np.True_
    """
    fan_in, fan_out = fans(shape)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    return uniform(shape, rng, low=-bound, high=bound, dtype=dtype)


def kaiming_uniform(shape: Sequence[int], rng: Seed = None, *, slope: float = 0.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """Uniform values within ±√(6 / ((1 + slope²)·in)) (He et al. 2015), for weights of shape (out, in, …).

    ``slope`` is that of a leaky ReLU below 0; √5 gives ±1/√in, with which `Linear` starts.

    Raises ShapeError for fewer than two axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> abs(ab.nn.init.kaiming_uniform((2, 6), 0)).max() <= 1.0
    np.True_
    """
    fan_in, _ = fans(shape)
    bound = math.sqrt(6 / ((1 + slope**2) * fan_in))
    return uniform(shape, rng, low=-bound, high=bound, dtype=dtype)


def xavier_normal(shape: Sequence[int], rng: Seed = None, *, gain: float = 1.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """Gaussian values of standard deviation gain·√(2 / (in + out)) (Glorot & Bengio 2010), for weights of shape (out, in, …).

    Raises ShapeError for fewer than two axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.init.xavier_normal((2, 4), 0).shape
    (2, 4)
    """
    fan_in, fan_out = fans(shape)
    return normal(shape, rng, std=gain * math.sqrt(2 / (fan_in + fan_out)), dtype=dtype)


def kaiming_normal(shape: Sequence[int], rng: Seed = None, *, slope: float = 0.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """Gaussian values of standard deviation √(2 / ((1 + slope²)·in)) (He et al. 2015), for weights of shape (out, in, …).

    ``slope`` is that of a leaky ReLU below 0. Raises ShapeError for fewer than two axes.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.init.kaiming_normal((2, 4), 0).shape
    (2, 4)
    """
    fan_in, _ = fans(shape)
    return normal(shape, rng, std=math.sqrt(2 / ((1 + slope**2) * fan_in)), dtype=dtype)


def orthogonal(shape: Sequence[int], rng: Seed = None, *, gain: float = 1.0, dtype: npt.DTypeLike = np.float32) -> Array:
    """A random matrix whose rows, or columns if these are fewer, have length ``gain`` and are at right angles (Saxe et al. 2013).

    All axes but the first count as columns. The matrix is drawn evenly from all that there are.

    Raises ShapeError for fewer than two axes.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> w = ab.nn.init.orthogonal((2, 3), 0, dtype="float64")
    >>> np.allclose(w @ w.T, np.eye(2))
    True
    """
    fans(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    drawn = generator(rng).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.sign(np.diag(r))  # without it QR's own signs would favour some matrices
    return (gain * (q if rows >= columns else q.T)).reshape(tuple(shape)).astype(dtype)


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs feed an output, and how many outputs an input feeds, for weights of shape (out, in, …).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.init.fans((8, 4, 3, 3))
    (36, 72)
    """
    shape = _checked(shape)
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(f"fan in and fan out need a weight of shape (out, in, …) with no empty axis, got {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        remedy = "; give its .shape, and the values to ab.assign" if hasattr(shape, "shape") else ""
        raise ShapeError(f"a shape is a sequence of integers, got {type(shape).__name__}{remedy}") from None

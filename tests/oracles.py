"""Derivatives found without the engine, and without its testing kit, which they check."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.complex_values import analytic_continuation

Array = Any
STEP = 1e-6
TINY = 1e-30


def is_real(x: Any) -> bool:
    """Whether an operand can be differentiated by."""
    return isinstance(x, float) or getattr(x, "dtype", np.dtype(int)).kind == "f"


def directional(function: Callable[..., Array], operands: Sequence[Array], directions: Sequence[Array | None]) -> Array:
    """The derivative of an array function along a direction: by a complex step where it takes one, else by central differences."""
    moved = [x if d is None else np.asarray(x) + 1j * TINY * np.asarray(d) for x, d in zip(operands, directions, strict=True)]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(), analytic_continuation():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            stepped = np.asarray(function(*moved))
        if stepped.dtype.kind == "c":
            return stepped.imag / TINY
    except (TypeError, ValueError):
        pass
    return central(function, operands, directions)


def central(function: Callable[..., Array], operands: Sequence[Array], directions: Sequence[Array | None], step: float = STEP) -> Array:
    """The derivative along a direction by central differences."""

    def at(sign: float) -> Array:
        moved = [x if d is None else np.asarray(x) + sign * step * np.asarray(d) for x, d in zip(operands, directions, strict=True)]
        return np.asarray(function(*moved), dtype=float)

    return (at(1.0) - at(-1.0)) / (2 * step)


def gradient(
    function: Callable[..., Array], operands: Sequence[Array], position: int, cotangent: Array, derivative: Callable[..., Array] = directional
) -> Array:
    """The gradient of ``sum(cotangent * function(*operands))`` by one operand, an element at a time."""
    x = np.asarray(operands[position])
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[index] = 1.0
        directions = [unit if i == position else None for i in range(len(operands))]
        out[index] = np.sum(cotangent * derivative(function, operands, directions))
    return out


def value(x: Any) -> Array:
    """The plain array of a tensor, or of anything else."""
    return np.asarray(x.detach().numpy() if hasattr(x, "detach") else x)


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-6, what: str = "") -> None:
    """Equal shapes, and elements equal to a tolerance relative to the largest."""
    actual, expected = value(actual), value(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what)

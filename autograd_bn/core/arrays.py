"""Data as arrays of numbers in the machine's byte order, or an error that says what they are instead."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.allocation import native
from autograd_bn.core.errors import DtypeError, ShapeError
from autograd_bn.core.state import user_line

Array = np.ndarray[Any, Any]


def as_numbers(value: Array) -> Array:
    """An array itself if it holds numbers; those of another byte order are converted, as operations give none.

    Raises DtypeError for what is no number.
    """
    dtype = value.dtype
    if dtype.kind in "biufc":
        return value if dtype.isnative else value.astype(native(dtype))
    if value.ndim or dtype.kind != "O":
        raise DtypeError(f"a tensor holds numbers, got data of dtype {dtype}\n  at {user_line()}")
    kind = type(value.item()).__name__
    remedies = {"NoneType": "a function without return gives None", "int": "of integers those of 64 bits; a float may be larger"}
    remedy = remedies.get(kind, "if it is a container, tell the transforms by ab.register_container")
    raise DtypeError(f"a tensor holds numbers, got {kind}; {remedy}\n  at {user_line()}")


def no_array(data: Any, error: Exception) -> Exception:
    """The error for data of which NumPy made no array: where they are ragged, or NumPy's own."""
    uneven = _uneven(data)
    if not uneven:
        return error
    return ShapeError(f"data of different shapes make no tensor: {uneven}; pad them to one shape, or keep a list of tensors\n  at {user_line()}")


def _uneven(data: Any, path: str = "") -> str:
    """The first two places, side by side, whose shapes differ; empty where there are none."""
    if not isinstance(data, (list, tuple)):
        return ""
    for i, part in enumerate(data):
        if found := _uneven(part, f"{path}[{i}]"):
            return found
    shapes = [np.shape(part) for part in data]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            return f"{path}[0] has shape {shapes[0]}, {path}[{i}] {shape}"
    return ""

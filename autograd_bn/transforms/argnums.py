"""The function that a transform is of, and which of its arguments it is about."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

from autograd_bn.core.errors import OperationError
from autograd_bn.core.tensor import Tensor

Argnums = SupportsIndex | Iterable[SupportsIndex]
"""The position of an argument, or several; one below zero counts from the last."""


def check_function(function: Any, transform: str) -> None:
    """Raise OperationError for what cannot be called, such as the result of a function."""
    if not callable(function):
        remedy = "; pass a function that computes it, or call its backward()" if isinstance(function, Tensor) else ""
        raise OperationError(f"{transform} takes a function, got {type(function).__name__}{remedy}")


def argument_numbers(argnums: Argnums, what: str) -> tuple[tuple[int, ...], bool]:
    """The numbers in ``argnums``, and whether it is one number by itself. Raises OperationError where it is neither that nor several."""
    try:
        return (operator.index(argnums),), True  # type: ignore[arg-type]
    except TypeError:
        pass
    try:
        return tuple([operator.index(i) for i in argnums]), False  # type: ignore[union-attr]
    except TypeError:
        transform = what.removeprefix("argnums of ")
        remedy = "" if transform == what else f"; the arguments go to what {transform} gives, as in {transform}(f)(x)"
        raise OperationError(f"{what} is the position of an argument, or several positions, got {reprlib.repr(argnums)}{remedy}") from None


def positions(numbers: Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """Which of ``count`` arguments the numbers mean. Raises OperationError where there is no such argument, or two mean the same."""
    if len(numbers) == 1 and 0 <= numbers[0] < count:
        return tuple(numbers)
    for i in numbers:
        if not -count <= i < count:
            raise OperationError(f"{what} names argument {i} of a call with {count} positional arguments")
    found = tuple([i % count for i in numbers])
    if len(set(found)) != len(found):
        raise OperationError(f"{what} names an argument twice: {tuple(numbers)} of a call with {count} positional arguments")
    return found

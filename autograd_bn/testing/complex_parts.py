"""Functions of complex numbers as functions of their real and imaginary parts, which is what differences can be compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.state import no_effects, no_grad
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.tree import flatten
from autograd_bn.ops.complex_numbers import imag, real


def is_complex(x: Any) -> bool:
    """Whether it is a complex number, array or tensor."""
    return type(x) is complex or (isinstance(x, (Tensor, np.ndarray, np.generic)) and x.dtype.kind == "c")


def in_parts(function: Callable[..., Any], args: Sequence[Any], plain: bool = False) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
    """The function with two arguments for each complex one and two results for each complex one, and such arguments; None where all is real.

    A ``plain`` function takes arrays instead of tensors.
    """
    leaves, structure = flatten(tuple(args))
    turned = [is_complex(x) for x in leaves]
    if not any(turned):
        with no_grad(), no_effects():
            arguments = leaves if plain else [asarray(x) if isinstance(x, (np.ndarray, np.generic, float)) else x for x in leaves]
            results, _ = flatten(function(*structure.unflatten(arguments)))
        if not any(map(is_complex, results)):
            return None

    def by_parts(*parts: Any) -> list[Any]:
        given = iter(parts)
        whole = [next(given) + 1j * next(given) if turn else next(given) for turn in turned]
        results, _ = flatten(function(*structure.unflatten(whole)))
        return list(_parts(results))

    by_parts.__name__ = str(getattr(function, "__name__", type(function).__name__))
    return by_parts, tuple(_parts(leaves))


def _parts(values: Sequence[Any]) -> Iterator[Any]:
    for x in values:
        if not is_complex(x):
            yield x
        elif isinstance(x, Tensor):
            yield from (real(x), imag(x))
        else:
            yield from (np.array(x.real), np.array(x.imag))

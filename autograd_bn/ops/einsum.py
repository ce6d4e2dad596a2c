"""Products summed over named axes: einsum and what it can say."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_bn.core.axes import normalized_axes
from autograd_bn.core.constructors import composite
from autograd_bn.core.contraction import contract, contraction, planned
from autograd_bn.core.dispatch import apply
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import integers
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.ops.complex_numbers import conj
from autograd_bn.ops.diagonals import diagonal
from autograd_bn.ops.rearranging import moveaxis
from autograd_bn.ops.reduction import sum as total
from autograd_bn.ops.shape import permute_dims

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"  # Z is the contraction's own


def _examples(rng: Any) -> Any:
    cases = [("ij", "jk", "ki"), ("abc", "cbd", "ad"), ("ab", "ab", "ab"), ("i", "j", "ij"), ("ai", "aj", "jai")]
    length = dict(zip("ijkabcd", (2, 3, 2, 2, 3, 2, 4), strict=True))
    return [((rng.standard_normal([length[i] for i in x]), rng.standard_normal([length[i] for i in y])), {"subscripts": (x, y, z)}) for x, y, z in cases]


_pair = contraction(
    "einsum",
    lambda x, y, subscripts: contract(planned(*subscripts), x, y),
    lambda x, y, subscripts: subscripts,
    label=lambda node: "Σ {},{}→{}".format(*node.static["subscripts"]),
    example=_examples,
)


@functools.lru_cache(maxsize=1024)
def _parsed(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[tuple[str, ...], str]:
    """Letters for every axis of every operand and of the result, those of ``...`` among them."""
    said = subscripts.replace(" ", "")
    left, arrow, right = said.partition("->")
    terms = left.split(",")
    if not re.fullmatch(r"(?:[A-Za-z]|\.\.\.|,|->)*", said) or any(t.count("...") > 1 for t in (*terms, right)):
        raise OperationError(f"einsum: {subscripts!r} are not subscripts: letters, commas, one '->' and '...' once an operand")
    if len(terms) != len(shapes):
        raise OperationError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(shapes)}")
    free = [i for i in _LETTERS + "Z" if i not in said]
    rank = 0
    for term, shape in zip(terms, shapes, strict=True):
        extra = len(shape) - len(term.replace("...", ""))
        if extra < 0 or (extra and "..." not in term):
            raise ShapeError(f"einsum: {term!r} of {subscripts!r} names {len(term.replace('...', ''))} axes of an operand of shape {shape}")
        rank = max(rank, extra)
    if rank > len(free):
        raise OperationError("einsum: too many axes for the letters of the alphabet")
    rest = "".join(free[:rank])
    whole = []
    for term, shape in zip(terms, shapes, strict=True):
        extra = len(shape) - len(term.replace("...", ""))
        whole.append(term.replace("...", rest[rank - extra :]))
    named = "".join(whole)
    if arrow:
        result = right.replace("...", rest)
        if "..." not in right and rank:
            raise OperationError(f"einsum: the axes of '...' in {subscripts!r} are missing from the result; put '...' after '->'")
    else:
        result = rest + "".join(sorted(i for i in set(left) - set(".,") if left.count(i) == 1))
    if len(set(result)) != len(result) or not set(result) <= set(named):
        raise OperationError(f"einsum: the result of {subscripts!r} names an axis twice, or one that no operand has")
    # one alphabet for all, without Z
    letters = dict(zip(dict.fromkeys(named), _LETTERS, strict=False))
    if len(set(named)) > len(_LETTERS):
        raise OperationError("einsum: too many axes for the letters of the alphabet")
    return tuple("".join(letters[i] for i in term) for term in whole), "".join(letters[i] for i in result)


def _lengths(terms: Sequence[str], shapes: Sequence[tuple[int, ...]], subscripts: str) -> dict[str, int]:
    length: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, n in zip(term, shape, strict=True):
            if length.setdefault(letter, n) != n:
                if 1 not in (n, length[letter]):
                    raise ShapeError(f"einsum: {subscripts!r} of shapes {' and '.join(map(str, shapes))}: one axis has lengths {length[letter]} and {n}")
                length[letter] = max(n, length[letter]) if 0 not in (n, length[letter]) else 0
    return length


def _reduced(x: Tensor, term: str, elsewhere: str, length: dict[str, int]) -> tuple[Tensor, str]:
    """Diagonals of repeated letters taken, axes of length 1 that stand for more dropped, letters of this operand alone summed."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(f"einsum: the axes of a diagonal have lengths {x.shape[first]} and {x.shape[second]}")
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    kept = [i for i, letter in enumerate(term) if x.shape[i] == length[letter]]
    if len(kept) < len(term):
        x = x.reshape(tuple(x.shape[i] for i in kept))
        term = "".join(term[i] for i in kept)
    lone = tuple(i for i, letter in enumerate(term) if letter not in elsewhere)
    if lone:
        x = total(x, axis=lone)
        term = "".join(letter for letter in term if letter in elsewhere)
    return x, term


@functools.lru_cache(maxsize=1024)
def _order(terms: tuple[str, ...], result: str, lengths: tuple[tuple[str, int], ...]) -> list[tuple[int, ...]]:
    """Which operands to multiply next; NumPy's greedy choice."""
    if len(terms) == 2:
        return [(0, 1)]
    length = dict(lengths)
    empty = [np.broadcast_to(0.0, tuple(length[i] for i in term)) for term in terms]
    path = np.einsum_path(",".join(terms) + "->" + result, *empty, optimize="greedy")[0][1:]
    pairs = [tuple(places) for places in path]
    return pairs if all(len(pair) == 2 for pair in pairs) else [(0, 1)] * (len(terms) - 1)


@composite
def einsum(subscripts: str, /, *operands: Any) -> Tensor:
    """Products of elements, summed over the axes whose letter the result lacks; several operands are multiplied by twos.

    As `numpy.einsum`: a letter that is repeated in an operand takes a diagonal, ``...`` broadcasts, and without ``->``
    the result has the letters that occur once, in alphabetical order. Every pair is one matrix product.

    Raises ShapeError for lengths that differ, OperationError for subscripts that say nothing.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.einsum("ij,j->i", ab.tensor([[1.0, 2.0], [3.0, 4.0]]), ab.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if not isinstance(subscripts, str):
        raise OperationError("einsum: the subscripts come first, as a string")
    values = [asarray(x) for x in operands]
    if not values:
        raise OperationError("einsum of no operands")
    terms, result = _parsed(subscripts, tuple(x.shape for x in values))
    length = _lengths(terms, [x.shape for x in values], subscripts)
    named = list(terms)
    for i, x in enumerate(values):
        # a letter dropped from one operand may leave it to another alone, which is reduced later or in its turn
        values[i], named[i] = _reduced(x, named[i], result + "".join(named[:i] + named[i + 1 :]), length)
    if len(values) > 1:
        for pair in _order(tuple(named), result, tuple(length.items())):
            second, first = (values.pop(i) for i in sorted(pair, reverse=True))
            right, left = (named.pop(i) for i in sorted(pair, reverse=True))
            later = result + "".join(named)
            first, left = _reduced(first, left, later + right, length)
            second, right = _reduced(second, right, later + left, length)
            out = "".join(i for i in dict.fromkeys(left + right) if i in later)
            if not named:
                out = "".join(i for i in result if i in left + right)
            values.append(apply(_pair, (first, second), {"subscripts": (left, right, out)}))
            named.append(out)
    (value,), (term,) = values, named
    value, term = _reduced(value, term, result, length)
    axes = tuple(term.index(i) for i in result)
    return value if axes == tuple(range(len(axes))) else permute_dims(value, axes)


@composite
def tensordot(x1: Any, x2: Any, /, axes: int | Sequence[Any] = 2) -> Tensor:
    """The product summed over the last ``axes`` axes of x1 and the first of x2, or over pairs of given axes.

    Raises ShapeError for axes of different length.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.tensordot(ab.ones((2, 3, 4)), ab.ones((3, 4)), axes=2)
    tensor([12., 12.])
    """
    x, y = asarray(x1), asarray(x2)
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise ShapeError(f"tensordot: {axes} axes of shapes {x.shape} and {y.shape}")
        first, second = tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
    else:
        first, second = (integers(a) for a in axes)
    if len(first) != len(second):
        raise ShapeError(f"tensordot: {len(first)} axes {first} of x1 and {len(second)} axes {second} of x2")
    normalized_axes(first, x.ndim), normalized_axes(second, y.ndim)
    left, right = list(_LETTERS[: x.ndim]), list(_LETTERS[x.ndim : x.ndim + y.ndim])
    for a, b in zip(first, second, strict=True):
        if x.shape[a] != y.shape[b]:
            raise ShapeError(f"tensordot: axis {a} of shape {x.shape} has length {x.shape[a]}, axis {b} of shape {y.shape} {y.shape[b]}")
        right[b] = left[a]
    shared = {left[a] for a in first}
    out = "".join(i for i in left + right if i not in shared)
    return apply(_pair, (x, y), {"subscripts": ("".join(left), "".join(right), out)})


@composite
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The dot products of the vectors along an axis, of complex ones with the conjugate of the first; the other axes are broadcast.

    Raises ShapeError for vectors of different length.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.vecdot(ab.tensor([[1.0, 2.0], [3.0, 4.0]]), ab.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    x, y = (moveaxis(asarray(v), axis, -1) for v in (x1, x2))
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"vecdot: vectors of lengths {x.shape[-1]} and {y.shape[-1]}")
    return einsum("...i,...i->...", conj(x) if x.dtype.kind == "c" else x, y)


@composite
def outer(x1: Any, x2: Any, /) -> Tensor:
    """All products of an element of one vector with one of another.

    Raises ShapeError for more than one axis.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.outer(ab.tensor([1.0, 2.0]), ab.tensor([1.0, 10.0]))
    tensor([[ 1., 10.],
            [ 2., 20.]])
    """
    x, y = asarray(x1), asarray(x2)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"outer takes vectors, got shapes {x.shape} and {y.shape}")
    return apply(_pair, (x, y), {"subscripts": ("a", "b", "ab")})

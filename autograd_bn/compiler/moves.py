"""What only native code has: a value put into memory as it is, and values side by side in one block of memory.

Concatenation, padding and the cotangents of slices are all a `join`: its parts are computed where they belong, so that putting them together
costs nothing. Where a part lies is a `Box`: for each axis of the whole where it starts, its step, and how many elements it has along it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_bn.core.primitive import Abstract, Primitive


class Along(NamedTuple):
    """Places along an axis: ``start``, ``start + step``, … ``length`` of them."""

    start: int
    step: int
    length: int

    @property
    def slice(self) -> slice:
        """The same as an index."""
        stop = self.start + self.step * self.length
        return slice(self.start, stop if stop >= 0 else None, self.step)

    def upward(self) -> Along:
        """The same places in increasing order; of one, the step is 1."""
        if self.length == 1:
            return Along(self.start, 1, 1)
        return self if self.step > 0 else Along(self.start + self.step * (self.length - 1), -self.step, self.length)

    def within(self, other: Along) -> Along | None:
        """The places in terms of those of another that has them all; None if it does not have all."""
        first, rest = divmod(self.start - other.start, other.step)
        step, uneven = divmod(self.step, other.step) if self.length > 1 else (1, 0)
        last = first + step * (self.length - 1)
        return Along(first, step, self.length) if not rest and not uneven and 0 <= first < other.length and 0 <= last < other.length else None

    def of(self, other: Along) -> Along:
        """These places among another's, in the other's terms."""
        return Along(other.start + other.step * self.start, other.step * self.step, self.length)

    def without(self, other: Along) -> tuple[list[Along], Along | None] | None:
        """What is not in another, and what is in both; None where that is not so simple. Both go upward."""
        if self.step == 1 and other.step > 1:
            rest = [Along(start, other.step, -(-(self.start + self.length - start) // other.step)) for start in range(self.start, self.start + other.step)]
            rest = [part for part in rest if part.length > 0]
            same = [part for part in rest if (part.start - other.start) % other.step == 0]
            outside = [part for part in rest if part not in same]
            found = same[0].without(other) if same else ([], None)
            return None if found is None else (outside + found[0], found[1])
        if other.length > 1 and self.step != other.step:
            return None
        if (other.start - self.start) % self.step:
            return [self], None
        low = (other.start - self.start) // self.step
        begin, end = max(low, 0), min(low + other.length, self.length)
        if begin >= end:
            return [self], None
        pieces = [Along(self.start, self.step, begin), Along(self.start + self.step * end, self.step, self.length - end)]
        return [part for part in pieces if part.length], Along(self.start + self.step * begin, self.step, end - begin)


Box = tuple[Along, ...]


def whole(shape: Sequence[int]) -> Box:
    """All of a shape."""
    return tuple(Along(0, 1, n) for n in shape)


def counts(box: Box) -> tuple[int, ...]:
    """The shape of a part."""
    return tuple(part.length for part in box)


def boxed(index: Any, shape: tuple[int, ...]) -> Box:
    """What basic indexing takes of a shape, no axis dropped."""
    key = [part for part in (index if type(index) is tuple else (index,)) if part is not None]
    if not any(part is Ellipsis for part in key):
        key.append(Ellipsis)
    at = next(k for k, part in enumerate(key) if part is Ellipsis)
    key[at : at + 1] = [slice(None)] * (len(shape) - len(key) + 1)
    found = []
    for part, n in zip(key, shape, strict=True):
        if isinstance(part, slice):
            places = range(n)[part]
            found.append(Along(places.start, places.step, len(places)))
        else:
            found.append(Along(int(part) % n, 1, 1))
    return tuple(found)


def apart(one: Box, other: Box) -> bool:
    """Whether two parts surely have no place in common."""
    for a, b in zip(one, other, strict=True):
        p, q = a.upward(), b.upward()
        if p.start + p.step * (p.length - 1) < q.start or q.start + q.step * (q.length - 1) < p.start:
            return True
        if p.step == q.step and (p.start - q.start) % p.step:
            return True
    return False


MANY = 64
"""Up to how many boxes a gap is cut into."""


def gaps(shape: tuple[int, ...], boxes: Sequence[Box]) -> list[Box] | None:
    """Boxes of what parts that are apart leave free; None if it is not so simple."""
    if sum(math.prod(counts(box)) for box in boxes) == math.prod(shape):
        return []
    free = [whole(shape)]
    for box in boxes:
        left: list[Box] = []
        for one in free:
            found = _difference(one, box)
            if found is None:
                return None
            left += found
        free = left
        if len(free) > MANY:
            return None
    return free


def _difference(one: Box, other: Box) -> list[Box] | None:
    """Boxes of what is in one and not in the other."""
    pieces: list[Box] = []
    inside = one
    for axis, part in enumerate(other):
        found = inside[axis].without(part.upward())
        if found is None:
            return None
        outside, both = found
        if both is None:
            return [one]
        pieces += [(*inside[:axis], piece, *inside[axis + 1 :]) for piece in outside]
        inside = (*inside[:axis], both, *inside[axis + 1 :])
    return pieces


def _joined(*parts: Any, shape: tuple[int, ...], boxes: tuple[Box, ...]) -> Any:
    out = np.zeros(shape, parts[0].dtype)
    for part, box in zip(parts, boxes, strict=True):
        out[tuple(along.slice for along in box)] = part.reshape(counts(box))
    return out


def _refused(*_: Any) -> Any:
    raise NotImplementedError("this is made after all transforms")


put = Primitive(
    "put",
    np.positive,
    batch=_refused,
    abstract=lambda operands, static: operands[0],
    pointwise=True,
    code="x",
    operands=("x",),
    flops=lambda operands, static, out: 0,
    register=False,
)
"""The value itself, in memory of its own, in order."""

join = Primitive(
    "join",
    _joined,
    batch=_refused,
    abstract=lambda operands, static: Abstract(static["shape"], operands[0].dtype),
    flops=lambda operands, static, out: 0,
    register=False,
)
"""Parts at their ``boxes`` of a value of a ``shape``, which do not overlap; zeros everywhere else. A part may have other axes of length 1 than its box."""

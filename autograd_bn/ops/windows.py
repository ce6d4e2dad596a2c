"""Windows that slide along axes, and their transpose, which adds windows up where they overlap."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from autograd_bn.core.constructors import linear
from autograd_bn.core.operators import run_unary
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor

Lengths = tuple[int, ...]
Index = tuple[int | slice, ...]


def reach(kernel: Lengths, dilation: Lengths) -> Lengths:
    """How many places a window spans along each axis."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))


def counted(lengths: Lengths, kernel: Lengths, stride: Lengths, dilation: Lengths) -> Lengths:
    """How many windows fit along each axis."""
    return tuple(max(0, (n - r) // s + 1) for n, r, s in zip(lengths, reach(kernel, dilation), stride, strict=True))


@functools.lru_cache(maxsize=512)
def _places(axis: int, kernel: Lengths, counts: Lengths, stride: Lengths, dilation: Lengths) -> tuple[tuple[Index, Index], ...]:
    """For each place in a window, the index of what stands there in all windows, and the index of where that comes from."""
    before = (slice(None),) * axis
    found = []
    for place in np.ndindex(*kernel):
        source = [slice(i * d, i * d + (n - 1) * s + 1, s) for i, n, s, d in zip(place, counts, stride, dilation, strict=True)]
        found.append(((*before, *place), (*before, *source)))
    return tuple(found)


def _windows(x: Any, axis: int, kernel: Lengths, stride: Lengths, dilation: Lengths) -> Any:
    end = axis + len(kernel)
    counts = counted(x.shape[axis:end], kernel, stride, dilation)
    out = np.empty((*x.shape[:axis], *kernel, *counts, *x.shape[end:]), x.dtype)
    if out.size:
        for place, source in _places(axis, kernel, counts, stride, dilation):
            out[place] = x[source]
    return out


def _overlap_add(g: Any, axis: int, lengths: Lengths, stride: Lengths, dilation: Lengths) -> Any:
    middle, end = axis + len(lengths), axis + 2 * len(lengths)
    kernel = g.shape[axis:middle]
    out = np.zeros((*g.shape[:axis], *lengths, *g.shape[end:]), g.dtype)
    apart = all(s >= r for s, r in zip(stride, reach(kernel, dilation), strict=True))
    if g.size:
        for place, source in _places(axis, kernel, g.shape[middle:end], stride, dilation):
            if apart:
                out[source] = g[place]
            else:
                part = out[source]
                part += g[place]  # out[source] += … would write every sum a second time
    return out


def _cases() -> list[tuple[Lengths, dict[str, Any]]]:
    """Windows that overlap; that are dilated and leave a rest; that do not touch; none, because none fits."""
    return [
        ((2, 4, 3), {"axis": 1, "kernel": (3,), "stride": (1,), "dilation": (1,)}),
        ((5, 6, 2), {"axis": 0, "kernel": (2, 3), "stride": (1, 2), "dilation": (2, 1)}),
        ((1, 5, 4), {"axis": 1, "kernel": (2, 2), "stride": (3, 2), "dilation": (1, 1)}),
        ((2, 1), {"axis": 0, "kernel": (3,), "stride": (1,), "dilation": (1,)}),
    ]


def _overlap_examples(rng: Any) -> Any:
    found = []
    for shape, static in _cases():
        g = _windows(rng.standard_normal(shape), **static)
        axis, kernel = static["axis"], static["kernel"]
        found.append(((g,), {"axis": axis, "lengths": shape[axis : axis + len(kernel)], "stride": static["stride"], "dilation": static["dilation"]}))
    return found


_windows_p = linear(
    "windows",
    _windows,
    transpose=lambda g, x, axis, kernel, stride, dilation: raw.overlap_add(
        g, axis=axis, lengths=x.shape[axis : axis + len(kernel)], stride=stride, dilation=dilation
    ),
    batch=lambda x, axis, **static: raw.windows(x, axis=axis + 1, **static),
    example=lambda rng: [((rng.standard_normal(shape),), static) for shape, static in _cases()],
)

_overlap_p = linear(
    "overlap_add",
    _overlap_add,
    transpose=lambda g, x, axis, lengths, stride, dilation: raw.windows(
        g, axis=axis, kernel=x.shape[axis : axis + len(lengths)], stride=stride, dilation=dilation
    ),
    batch=lambda x, axis, **static: raw.overlap_add(x, axis=axis + 1, **static),
    label="overlap +",
    adds=True,
    example=_overlap_examples,
)


def windows(x: Tensor, axis: int, kernel: Lengths, stride: Lengths, dilation: Lengths) -> Tensor:
    """All windows along the axes from ``axis`` on: (…, H, W, …) becomes (…, kernel H, kernel W, windows H, windows W, …).

    The result is one block of memory, written in whole rows of the axes that follow; where one of these is long, or nothing follows
    and the stride is 1, that is as fast as memory is. What does not fill a window at the end is left out.
    """
    return run_unary(_windows_p, x, {"axis": axis, "kernel": kernel, "stride": stride, "dilation": dilation})

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from autograd_bn.core.primitive import raw
from autograd_bn.ops.windows import counted

SETTINGS = [
    {"kernel": (2, 3), "stride": (1, 1), "dilation": (1, 1)},
    {"kernel": (3, 2), "stride": (2, 3), "dilation": (1, 2)},
    {"kernel": (1, 4), "stride": (1, 4), "dilation": (3, 1)},
    {"kernel": (2, 2), "stride": (2, 2), "dilation": (1, 1)},
    {"kernel": (2, 2), "stride": (3, 3), "dilation": (1, 1)},
]


def places(lengths: tuple[int, ...], kernel: Any, stride: Any, dilation: Any) -> Any:
    """Every place of every window, and the element that stands there, by the definition."""
    counts = counted(lengths, kernel, stride, dilation)
    for within in itertools.product(*map(range, kernel)):
        for window in itertools.product(*map(range, counts)):
            yield within, window, tuple(w * s + i * d for w, s, i, d in zip(window, stride, within, dilation, strict=True))


@pytest.mark.parametrize("static", SETTINGS)
def test_windows_hold_the_elements_that_the_definition_names(static: Any) -> None:
    x = np.arange(2 * 7 * 8 * 3.0).reshape(2, 7, 8, 3)
    out = raw.windows(x, axis=1, **static)
    assert out.flags.c_contiguous
    seen = np.full(out.shape, np.nan)
    for within, window, source in places((7, 8), **static):
        seen[(slice(None), *within, *window)] = x[(slice(None), *source)]
    np.testing.assert_array_equal(out, seen)


@pytest.mark.parametrize("static", SETTINGS)
def test_overlap_add_puts_every_element_back_and_adds(static: Any) -> None:
    g = np.random.default_rng(0).integers(-9, 9, raw.windows(np.zeros((2, 7, 8, 3)), axis=1, **static).shape).astype(float)
    expected = np.zeros((2, 7, 8, 3))
    for within, window, source in places((7, 8), **static):
        expected[(slice(None), *source)] += g[(slice(None), *within, *window)]
    rest = {"stride": static["stride"], "dilation": static["dilation"]}
    np.testing.assert_array_equal(raw.overlap_add(g, axis=1, lengths=(7, 8), **rest), expected)


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "dilation", "count"), [(5, 5, 1, 1, 1), (5, 2, 2, 1, 2), (5, 3, 1, 2, 1), (4, 5, 1, 1, 0), (9, 1, 4, 7, 3)]
)
def test_so_many_windows_fit(length: int, kernel: int, stride: int, dilation: int, count: int) -> None:
    assert counted((length,), (kernel,), (stride,), (dilation,)) == (count,)
    assert raw.windows(np.zeros(length), axis=0, kernel=(kernel,), stride=(stride,), dilation=(dilation,)).shape == (kernel, count)

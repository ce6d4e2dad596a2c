"""Text for drawings: any string as DOT that shows it as typed, and arrays in a few words."""

from __future__ import annotations

import functools
import html
import math
import re
from typing import Any

import graphviz  # type: ignore[import-untyped, unused-ignore]
import numpy as np

_PIECE = 1000
_SMALL = 6
"""Arrays of at most this many elements are printed; of larger ones the norm and the mean."""

# No font has the control characters, SVG cannot hold most of them, and C strings end at the first: show their pictures.
_PICTURES = {code: 0x2400 + code for code in range(32) if code != 10} | {127: 0x2421}


def quoted(text: str) -> str:
    """A label, tooltip or other attribute that comes out as typed: no escapes, entities or markup are read in it."""
    escaped: str = graphviz.escape(_printable(text).replace("&", "&amp;"))
    if len(escaped) > _PIECE:
        escaped = graphviz.nohtml(_in_pieces(escaped, "\\\n"))
    return escaped


@functools.lru_cache(maxsize=4096)
def marked(text: str) -> str:
    """Text for the inside of an HTML-like label, which comes out as typed."""
    escaped = html.escape(_printable(text)).replace("\\", "\\\\").replace("  ", " &#160;").replace("\n", "<BR/>")
    return escaped if len(escaped) <= _PIECE else _in_pieces(escaped, "<!---->")


def _in_pieces(escaped: str, between: str) -> str:
    """A text as long as it likes: Graphviz reads no more than 16,384 bytes of a string in one piece. No escape or entity is cut."""
    return between.join(re.findall(rf"(?:&\w+;|&#\w+;|\\\\|<BR/>|.){{1,{_PIECE}}}", escaped, re.DOTALL))


def _printable(text: str) -> str:
    return text.translate(_PICTURES).encode("utf-8", "backslashreplace").decode()


def shape_text(shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None) -> str:
    """A shape, with the dtype where it is not float64."""
    if shape is None:
        return ""
    return str(shape) if dtype is None or dtype == np.float64 else f"{shape} {dtype}"


def array_text(array: np.ndarray[Any, Any]) -> str:
    """An array in a few words: its elements if they are few, as one row if only one axis is longer than 1; else the norm and the mean."""
    if array.size <= _SMALL:
        return _elements(array.reshape(-1) if array.ndim > 1 and array.size == max(array.shape) else array)
    values = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        return f"{array.size - np.count_nonzero(finite)} of {array.size} not finite"
    return f"‖·‖ {number_text(norm(values))}, mean {_mean_text(values, array.dtype)}"


def _mean_text(values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> str:
    """The mean, unless it is nothing but rounding errors."""
    middle = mean(values)
    noise = np.finfo(dtype).eps * np.max(np.abs(values)) if dtype.kind in "fc" else 0.0
    return "≈ 0" if 0 < abs(middle) < noise else number_text(middle)


def mean(values: np.ndarray[Any, Any]) -> Any:
    """The mean of finite numbers, also where their sum overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    return total / values.size if np.isfinite(total) else (values / values.size).sum()


def norm(values: np.ndarray[Any, Any]) -> float:
    """The Euclidean norm of finite numbers, also where their squares overflow or vanish."""
    largest = float(np.max(np.abs(values), initial=0.0))
    if 1e-140 < largest < 1e140 or largest == 0.0:
        return math.sqrt(np.vdot(values, values).real)
    return largest * norm(values / largest) if math.isfinite(largest) else largest


def statistics_text(array: np.ndarray[Any, Any]) -> str:
    """Least and greatest, mean and deviation of an array's elements; of complex ones, of their magnitudes."""
    if array.size <= 1 or array.dtype.kind not in "biufc":
        return array_text(array)
    values = np.abs(array) if array.dtype.kind == "c" else array.astype(np.float64)
    finite = values[np.isfinite(values)]
    odd = f"\n{array.size - finite.size} of {array.size} not finite" if finite.size < array.size else ""
    if finite.size == 0:
        return odd.strip()
    deviation = norm(finite - mean(finite)) / math.sqrt(finite.size)
    return f"{number_text(finite.min())} … {number_text(finite.max())}\nmean {_mean_text(finite, array.dtype)}, std {number_text(deviation)}{odd}"


def _elements(array: np.ndarray[Any, Any]) -> str:
    if array.ndim == 0:
        return number_text(array[()])
    if array.size == 0:
        return "empty"
    between = ", " if array.ndim == 1 else ",\n"
    return f"[{between.join(_elements(part) for part in array)}]"


def number_text(x: Any) -> str:
    """A number in three digits."""
    if isinstance(x, np.bool_):
        return str(bool(x))
    if isinstance(x, np.integer):
        return str(int(x))
    return f"{x + 0.0:.3g}".replace("-", "−")  # + 0 makes −0 plain 0

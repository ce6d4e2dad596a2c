"""How arrays, tuples and tensors lie in memory, for native code that is handed them.

Reading pointer, shape and dtype there costs nanoseconds; asking for them in Python costs a small kernel's time.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

WORD = ctypes.sizeof(ctypes.c_void_p)
ITEMS = tuple.__basicsize__
"""Where in a tuple its items begin."""
TYPE = object.__basicsize__ - WORD
DATA = object.__basicsize__
RANK, SHAPE, DTYPE, FLAGS = (DATA + k * WORD for k in (1, 2, 5, 6))
READY = 0x0001 | 0x0100
"""NumPy's flags of an array in C order whose elements are aligned."""
KIND = object.__basicsize__ + WORD
KIND_MASK = 0xFFFFFF


def kind_of(dtype: np.dtype[Any]) -> int:
    """What a dtype's record says about kind, type and byte order, as a number of 24 bits."""
    return int.from_bytes(ctypes.string_at(id(dtype) + KIND, 3), "little")


def slots(kind: type[Any], names: Sequence[str]) -> dict[str, int]:
    """Where in an object of a class with ``__slots__`` the values of some of them are."""
    one: Any = object.__new__(kind)
    marks = {name: object() for name in names}
    for name, mark in marks.items():
        setattr(one, name, mark)
    words = {ctypes.c_void_p.from_address(id(one) + place).value: place for place in range(object.__basicsize__, kind.__basicsize__, WORD)}
    return {name: words[id(mark)] for name, mark in marks.items()}


@functools.cache
def layout_is_known() -> bool:
    """Whether Python and NumPy lay out their objects as this module says; another build might not.

    A Python without its global lock does not: references are not counted so there that one could tell whether an array is in use.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False

    def read(kind: Any, place: int) -> Any:
        return kind.from_address(place).value

    array = np.zeros((2, 3), np.float32)
    pair = (array, None)
    good = read(ctypes.c_void_p, id(array) + TYPE) == id(np.ndarray)
    good = good and read(ctypes.c_void_p, id(pair) + ITEMS) == id(array) and read(ctypes.c_void_p, id(pair) + ITEMS + WORD) == id(None)
    for a in (array, array[:, ::2], array.T, np.zeros(()), np.zeros(5, bool), np.zeros((1, 2, 3), np.int64)):
        good = good and read(ctypes.c_void_p, id(a) + DATA) == a.ctypes.data and read(ctypes.c_int, id(a) + RANK) == a.ndim
        good = good and read(ctypes.c_int, id(a) + FLAGS) == a.flags.num and read(ctypes.c_void_p, id(a) + DTYPE) == id(a.dtype)
        good = good and kind_of(a.dtype) == int.from_bytes(f"{a.dtype.kind}{a.dtype.char}{a.dtype.byteorder}".encode(), "little")
        shape = read(ctypes.c_void_p, id(a) + SHAPE)
        good = good and all(read(ctypes.c_ssize_t, shape + k * WORD) == n for k, n in enumerate(a.shape))
    return bool(good)

"""The fast path: one closure a binary operator or unary function, for plain arrays on one tape.

Everything that can be done later is: no shape is checked, no name looked up. Whatever is unusual goes to
`dispatch.apply`, which does the same at leisure.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from autograd_bn.core.dispatch import apply, explained, returned, unrecorded
from autograd_bn.core.lines import outside_engine
from autograd_bn.core.node import CONSTANT, NO_STATIC, Constant, Node, next_age
from autograd_bn.core.primitive import Primitive
from autograd_bn.core.state import NESTED, current
from autograd_bn.core.tensor import Tensor
from autograd_bn.core.views import link, track

_getframe = sys._getframe
_new = object.__new__
NOTHING = (None, None, None)
"""What a rule saves that needs nothing."""

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
_boxes: dict[np.dtype[Any], dict[float, Any]] = {_SINGLE: {}, _DOUBLE: {}}
_known_double = _boxes[_DOUBLE].get
_known_single = _boxes[_SINGLE].get


def _boxed(number: float, dtype: np.dtype[Any]) -> Any:
    """A number as an array without axes, kept for the next time: NumPy takes twice as long for a plain one.

    Zeros, which may be negative, and numbers that the dtype may not hold stay as they are.
    """
    known = _boxes.get(dtype)
    if known is None or not 1e-30 < abs(number) < 1e30:
        return number
    if len(known) > 4096:
        known.clear()
    found = known[number] = np.array(number, dtype)
    found.flags.writeable = False
    return found


class Unary(Protocol):
    """A public function of one operand."""

    primitive: Primitive
    __name__: str

    def __call__(self, x: Any, /) -> Tensor:
        """Run it."""
        ...


class Binary(Protocol):
    """A public function of two operands."""

    primitive: Primitive
    __name__: str

    def __call__(self, x1: Any, x2: Any, /) -> Tensor:
        """Run it."""
        ...


def binary_operator(primitive: Primitive) -> Callable[[Tensor, Any], Any]:
    """The method for ``tensor ∘ other``."""
    forward = primitive.forward
    both_x, both_y, both_out = primitive.kept(0b11, 2)
    first_x, first_y, first_out = primitive.kept(0b01, 2)
    second_x, second_y, second_out = primitive.kept(0b10, 2)
    boxes = isinstance(forward, np.ufunc)
    both, first, second = both_x or both_y or both_out, first_x or first_y or first_out, second_x or second_y or second_out

    if not primitive.differentiable:
        return lambda self, other: NotImplemented if other is None or type(other) is str else apply(primitive, (self, other))

    def operator(self: Tensor, other: Any) -> Any:
        state = current()
        gate = state.gate
        n: Any = self.node
        t = n.fast
        a = self.value
        cls = type(other)
        if cls is Tensor:
            m: Any = other.node
            u = m.fast
            b = other.value
        elif cls is float or cls is int:
            m = b = other
            u = -1
            if boxes:
                dtype = a.dtype
                b = _known_double(other) if dtype is _DOUBLE else _known_single(other) if dtype is _SINGLE else other
                if b is None:
                    b = _boxed(other, dtype)
        elif other is None or cls is str:
            return NotImplemented
        else:
            return apply(primitive, (self, other))
        if t == NESTED or u == NESTED or gate > NESTED:
            return apply(primitive, (self, other))
        try:
            out = forward(a, b)
        except Exception as error:
            raise explained(primitive, (a, b), NO_STATIC, error) from error
        if t >= gate:
            if t == u:
                saved = (a if both_x else None, b if both_y else None, out if both_out else None) if both else NOTHING
            elif u < gate:
                if type(m) is Constant:
                    if first_y and m.foreign:
                        b = b.copy()
                elif type(m) is Node:
                    m = CONSTANT
                saved = (a if first_x else None, b if first_y else None, out if first_out else None) if first else NOTHING
            else:
                return apply(primitive, (self, other))
        elif u >= gate:
            if type(n) is Constant:
                if second_x and n.foreign:
                    a = a.copy()
            else:
                n = CONSTANT
            saved = (a if second_x else None, b if second_y else None, out if second_out else None) if second else NOTHING
            t = u
        else:
            result = _new(Tensor)
            result.value = out
            result.node = CONSTANT if n is CONSTANT and (m is n or cls is not Tensor) else unrecorded(primitive, (n, m), 0, out)
            result.base = result.views = None
            return result
        node = Node()
        node.age = next_age()
        node.primitive = primitive
        node.parents = (n, m)
        node.saved = saved
        node.static = NO_STATIC
        node.level = node.fast = t
        if cls is Tensor:
            node.shape = out.shape
            node.dtype = out.dtype
        else:
            node.shape = n.shape
            node.dtype = n.dtype
        node.scope = state.scope
        frame = _getframe(1)
        node.code = frame.f_code
        node.offset = frame.f_lasti
        node.extra = None
        result = _new(Tensor)
        result.value = out
        result.node = node
        result.base = result.views = None
        return result

    return operator


def reflected_operator(primitive: Primitive) -> Callable[[Tensor, Any], Any]:
    """The method for ``number ∘ tensor``."""
    if not primitive.differentiable:
        return lambda self, other: NotImplemented if other is None or type(other) is str else apply(primitive, (other, self))
    forward = primitive.forward
    boxes = isinstance(forward, np.ufunc)
    keep_x, keep_y, keep_out = primitive.kept(0b10, 2)

    def operator(self: Tensor, other: Any) -> Any:
        state = current()
        n: Any = self.node
        t = n.fast
        cls = type(other)
        if (cls is not float and cls is not int) or not state.gate <= t < NESTED:
            if other is None or cls is str:
                return NotImplemented
            return apply(primitive, (other, self))
        b = self.value
        a = other
        if boxes:
            dtype = n.dtype
            a = _known_double(other) if dtype is _DOUBLE else _known_single(other) if dtype is _SINGLE else other
            if a is None:
                a = _boxed(other, dtype)
        try:
            out = forward(a, b)
        except Exception as error:
            raise explained(primitive, (a, b), NO_STATIC, error) from error
        node = Node()
        node.age = next_age()
        node.primitive = primitive
        node.parents = (other, n)
        node.saved = (a if keep_x else None, b if keep_y else None, out if keep_out else None)
        node.static = NO_STATIC
        node.level = node.fast = t
        node.shape = n.shape
        node.dtype = n.dtype
        node.scope = state.scope
        frame = _getframe(1)
        node.code = frame.f_code
        node.offset = frame.f_lasti
        node.extra = None
        result = _new(Tensor)
        result.value = out
        result.node = node
        result.base = result.views = None
        return result

    return operator


def run_unary(primitive: Primitive, x: Tensor, static: Mapping[str, Any], depth: int = 2) -> Tensor:
    """Like `apply` for one tensor and static parameters, without its loops; the user's line is ``depth`` or more frames up."""
    state = current()
    n: Any = x.node
    t = n.fast
    if not state.gate <= t < NESTED or not primitive.differentiable:
        return apply(primitive, (x,), static)
    a = x.value
    try:
        out = primitive.forward(a, **static)
        if type(out) is not np.ndarray:
            out = returned(out)
    except Exception as error:
        raise explained(primitive, (a,), static, error) from error
    if out.dtype is not n.dtype and out.dtype.kind != "f":
        return apply(primitive, (x,), static)
    keep_x, keep_out = primitive.keeps
    node = Node()
    node.age = next_age()
    node.primitive = primitive
    node.parents = (n,)
    node.saved = (a if keep_x else None, out if keep_out else None)
    node.static = static
    node.level = node.fast = t
    node.shape = out.shape
    node.dtype = out.dtype
    node.scope = state.scope
    frame = outside_engine(_getframe(depth))
    node.code = frame.f_code
    node.offset = frame.f_lasti
    node.extra = None
    result = _new(Tensor)
    result.value = out
    result.node = node
    result.base = result.views = None
    if primitive.aliases:
        if type(a) is not np.ndarray:
            track(result, x, primitive, static)
        elif (memory := out.base) is not None and (memory is a or memory is a.base):
            link(result, x, primitive, static, False)
    return result


def subscript_operator(primitive: Primitive, checked: Callable[[Any], Any]) -> Callable[[Tensor, Any], Tensor]:
    """The method for ``tensor[key]``; ``checked`` turns any key but a slice or a number into one that NumPy takes."""

    def getitem(x: Tensor, key: Any) -> Tensor:
        if type(key) is not slice and type(key) is not int:
            key = checked(key)
        state = current()
        n: Any = x.node
        t = n.fast
        a = x.value
        static = {"index": key}
        if not state.gate <= t < NESTED or type(a) is not np.ndarray:
            return apply(primitive, (x,), static)
        try:
            out = a[key]
        except Exception as error:
            raise explained(primitive, (a,), static, error) from error
        node = Node()
        node.age = next_age()
        node.primitive = primitive
        node.parents = (n,)
        node.saved = (None, None)
        node.static = static
        node.level = node.fast = t
        node.shape = out.shape
        node.dtype = n.dtype
        node.scope = state.scope
        frame = outside_engine(_getframe(1))
        node.code = frame.f_code
        node.offset = frame.f_lasti
        node.extra = None
        result = _new(Tensor)
        result.value = out
        result.node = node
        result.base = result.views = None
        if (memory := out.base) is not None and (memory is a or memory is a.base):
            link(result, x, primitive, static, False)
        return result

    return getitem


def unary_function(primitive: Primitive) -> Callable[[Any], Any]:
    """The public function of one operand; also serves as a method."""

    def function(x: Any, /) -> Any:
        if type(x) is Tensor:
            return run_unary(primitive, x, NO_STATIC)
        return apply(primitive, (x,))

    return function


def binary_function(primitive: Primitive) -> Callable[[Any, Any], Any]:
    """The function of two operands, either of which may be anything array-like."""

    def function(x1: Any, x2: Any, /) -> Any:
        return apply(primitive, (x1, x2))

    return function

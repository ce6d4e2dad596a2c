"""How a compiler sees a program: tensors without values, whose operations are written down instead of run.

While a trace runs, every operation takes the general path. What it touches that has a value (a parameter, a running
statistic) is *lifted*: in its place the trace uses a tensor without a value, which stands for an input. The tensor itself stays as it is, as other
threads may be using it. Nothing here knows what becomes of the trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from autograd_bn.core.errors import TraceError
from autograd_bn.core.state import NESTED, user_line

if TYPE_CHECKING:
    from autograd_bn.core.primitive import Primitive
    from autograd_bn.core.tensor import Tensor


class Trace(Protocol):
    """What is being traced. ``level`` is that of its values, ``tape`` that of the tape of ``backward()`` above them."""

    level: int
    tape: int

    def lift(self, x: Tensor) -> Tensor:
        """The tensor that stands for an input, in place of one that has a value; one of the trace as it is."""
        ...

    def operation(self, primitive: Primitive, operands: Sequence[Any], static: Mapping[str, Any]) -> Tensor:
        """Write down an operation; its result has a shape and a dtype."""
        ...

    def assign(self, target: Tensor, value: Any) -> None:
        """Give a lifted tensor another value."""
        ...

    def require_finite(self, values: Sequence[Any], report: Callable[..., object]) -> None:
        """Have the values looked at after each run; ``report(*arrays)`` raises."""
        ...

    def refused(self, error: TraceError) -> None:
        """Something asked for a value, which raises an error: the trace fails, even if the program catches that."""
        ...

    def depends(self, owner: Any) -> None:
        """The program read plain attributes of an object, such as ``training``: others need another trace."""
        ...


_TRACE: ContextVar[Trace | None] = ContextVar("autograd_bn_trace", default=None)
tracing = _TRACE.get
enter_trace = _TRACE.set
leave_trace = _TRACE.reset


def outer_tape(level: int) -> bool:
    """Whether a level is that of the tape of ``backward()``: 0, or a trace's own."""
    if level == 0:
        return True
    trace = tracing()
    return trace is not None and level == trace.tape


def lifted(x: Tensor) -> Tensor:
    """The tensor, or what stands for it in the trace that runs. Whoever looks at the value, the history or the gradient of a tensor looks here first."""
    trace = tracing()
    return x if trace is None else trace.lift(x)


class Symbol:
    """The node of a tensor without a value: result ``index`` of a trace. ``name`` is for drawings."""

    __slots__ = ("index", "level", "name", "trace")
    fast = NESTED
    foreign = False

    def __init__(self, level: int, trace: Trace, index: int, name: str | None = None) -> None:
        self.level = level
        self.trace = trace
        self.index = index
        self.name = name


class Unknown:
    """The value of a tensor that is being traced: a shape and a dtype. Whoever asks for more gets an error that says where."""

    __slots__ = ("base", "dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], base: Unknown | None = None) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        self.base = base

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def refuse(self, what: str) -> NoReturn:
        """Raise TraceError."""
        error = TraceError(
            f"{what} needs the value of a tensor of shape {self.shape}, dtype {self.dtype}, which does not exist while a function is traced for ab.jit: "
            "the trace must serve every value. Choose between values with ab.where, pass what decides as a Python number or bool, or move it out of the "
            f"compiled function\n  at {user_line()}"
        )
        trace = tracing()
        if trace is not None:
            trace.refused(error)
        raise error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.refuse(f".{name}")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self.refuse("a conversion to a NumPy array")

    def __bool__(self) -> bool:
        self.refuse("a branch (if, while, and, or, not)")

    def __float__(self) -> float:
        self.refuse("float()")

    def __int__(self) -> int:
        self.refuse("int()")

    def __index__(self) -> int:
        self.refuse("an index or a range")

    def __complex__(self) -> complex:
        self.refuse("complex()")

    def __repr__(self) -> str:
        return f"<traced {self.dtype}{list(self.shape)}>"

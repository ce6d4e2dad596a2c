"""What convolution and pooling share: settings an axis, windows along the spatial axes, and the errors of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import AutogradError, OperationError, ShapeError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor
from autograd_bn.ops.rearranging import pad
from autograd_bn.ops.shape import permute_dims
from autograd_bn.ops.windows import Lengths, reach, windows

Each: TypeAlias = int | Sequence[int]
"""One number for all spatial axes, or one an axis."""

Padding: TypeAlias = Each | Literal["same", "valid"]
SPATIAL = ("L", "H", "W")


class Call(NamedTuple):
    """A function and what it was given, for its errors."""

    name: str
    rank: int
    operands: dict[str, Tensor]

    def fail(self, kind: type[AutogradError], problem: str) -> NoReturn:
        """Raise an error that names the function, its operands and the user's line."""
        given = ", ".join(f"{name} {describe(x)}" for name, x in self.operands.items())
        raise kind(f"{self.name}({given}): {problem}\n  at {user_line()}")

    def each(self, what: str, value: Any, least: int = 1) -> Lengths:
        """A setting as one integer an axis. Raises OperationError for anything else, or less than ``least``."""
        found = (value,) * self.rank if is_integer(value) else tuple(value) if isinstance(value, (tuple, list)) else ()
        if len(found) != self.rank or not all(is_integer(n, least) for n in found):
            shown = "an integer" if self.rank == 1 else f"an integer or {self.rank} of them, one an axis,"
            self.fail(OperationError, f"{what} must be {shown} from {least} up, got {value!r}")
        return tuple(map(int, found))

    def around(self, padding: Padding, kernel: Lengths, stride: Lengths, dilation: Lengths) -> list[tuple[int, int]]:
        """How much to pad before and after each axis."""
        if padding == "valid":
            return [(0, 0)] * self.rank
        if padding == "same":
            if set(stride) != {1}:
                self.fail(OperationError, f"padding='same' gives a result as large as x, which a stride of {stride} does not; give the padding in numbers")
            return [((r - 1) // 2, r // 2) for r in reach(kernel, dilation)]
        if isinstance(padding, str):
            self.fail(OperationError, f"padding must be 'same', 'valid' or numbers, got {padding!r}")
        return [(p, p) for p in self.each("padding", padding, 0)]

    def images(self, x: Tensor) -> Tensor:
        """(N, C, …) or, of one example, (C, …), as (C, …, N): then rows of windows are long, and a contraction takes them as they lie."""
        spatial = tuple(range(2, 2 + self.rank))
        if x.ndim == self.rank + 1:
            return x.reshape((*x.shape, 1))
        if x.ndim != self.rank + 2:
            axes = ", ".join(SPATIAL[-self.rank :] if self.rank > 1 else SPATIAL[:1])
            self.fail(ShapeError, f"x must have shape (N, C, {axes}), or (C, {axes}) for one example, got {x.shape}")
        return permute_dims(x, (1, *spatial, 0))

    def restored(self, out: Tensor, x: Tensor) -> Tensor:
        """A result of shape (C, …, N) with its axes as those of ``x``."""
        if x.ndim == self.rank + 1:
            return out.reshape(out.shape[:-1])
        return permute_dims(out, (self.rank + 1, *range(self.rank + 1)))

    def windows(self, images: Tensor, kernel: Lengths, stride: Lengths, around: Sequence[tuple[int, int]], dilation: Lengths, fill: float = 0) -> Tensor:
        """(C, …, N) as (C, kernel…, windows…, N), padded ``around`` first. Raises ShapeError where no window fits."""
        lengths = tuple(n + a + b for n, (a, b) in zip(images.shape[1:-1], around, strict=True))
        spans = reach(kernel, dilation)
        if any(r > n for r, n in zip(spans, lengths, strict=True)):
            spread = f", which spans {'×'.join(map(str, spans))} with its dilation," if spans != kernel else ""
            padded = " with its padding" if any(a + b for a, b in around) else ""
            self.fail(
                ShapeError,
                f"the kernel {'×'.join(map(str, kernel))}{spread} is larger than the input, {'×'.join(map(str, lengths))}{padded}; "
                "use a smaller kernel, more padding, or fewer layers that shrink the input before",
            )
        if any(a or b for a, b in around):
            images = pad(images, ((0, 0), *around, (0, 0)), constant_values=fill)
        return windows(images, 1, kernel, stride, dilation)

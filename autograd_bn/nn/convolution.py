"""Convolutions as layers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from autograd_bn.core.errors import OperationError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.tensor import Tensor
from autograd_bn.nn import functional, init
from autograd_bn.nn.functional.sliding import Call, Each, Padding
from autograd_bn.nn.layers import affine_parameters
from autograd_bn.nn.module import Module


class Convolution(Module):
    """What the convolutions share; the subclass says over how many axes the window slides."""

    weight: Tensor
    bias: Tensor | None
    _rank: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Each,
        stride: Each = 1,
        padding: Padding = 0,
        dilation: Each = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: init.Seed = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        call = Call(type(self).__name__, self._rank, {})
        numbers = {"in_channels": in_channels, "out_channels": out_channels, "groups": groups}
        for name, n in numbers.items():
            if not is_integer(n, 1):
                call.fail(OperationError, f"{name} must be an integer from 1 up, got {n!r}")
            if n % groups:
                call.fail(OperationError, f"{n} {name} cannot be cut into {groups} groups; choose a number that divides both")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = call.each("kernel_size", kernel_size)
        self.stride = call.each("stride", stride)
        self.padding: Literal["same", "valid"] | tuple[int, ...] = padding if isinstance(padding, str) else call.each("padding", padding, 0)
        self.dilation = call.each("dilation", dilation)
        self.groups = groups
        call.around(self.padding, self.kernel_size, self.stride, self.dilation)
        self.weight, self.bias = affine_parameters((out_channels, in_channels // groups, *self.kernel_size), bias, rng, dtype)

    def extra_repr(self) -> str:
        """The settings, as PyTorch shows them: what is as usual is left out."""
        usual = {"padding": (0,) * self._rank, "dilation": (1,) * self._rank, "groups": 1}
        shown = [f"{name}={getattr(self, name)!r}" for name, value in usual.items() if getattr(self, name) != value]
        shown += [] if self.bias is not None else ["bias=False"]
        return ", ".join([f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}", *shown])


class Conv1d(Convolution):
    """A convolution along the last axis, with PyTorch's names and shapes: see `functional.conv1d`.

    Parameters
    ----------
    in_channels, out_channels
        C and O, the lengths of axis 1 before and after.
    kernel_size
        The length of the window.
    stride, padding, dilation, groups
        As in `functional.conv1d`.
    bias
        Whether to add b. Leave it out before batch norm, whose β replaces it.
    rng
        A generator or a seed for the initial values, which are uniform within ±1/√(C/groups·K); None for entropy from the system.
    dtype
        Of the parameters.

    Attributes
    ----------
    weight, bias
        Shapes (O, C / groups, K) and (O,).

    Raises OperationError for settings out of range, or channels that cannot be cut into the groups.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Conv1d(2, 3, 5, padding=2, rng=0)(ab.ones((4, 2, 9))).shape
    (4, 3, 9)
    """

    _rank = 1

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, L) to (N, O, L′), or without N."""
        return functional.conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(Convolution):
    """A convolution over the last two axes, with PyTorch's names and shapes: see `functional.conv2d`.

    As `Conv1d`; the settings are one number for both axes, or one each.

    Attributes
    ----------
    weight, bias
        Shapes (O, C / groups, KH, KW) and (O,).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> conv = ab.nn.Conv2d(1, 16, 5, bias=False, rng=0)
    >>> conv(ab.ones((4, 1, 28, 28))).shape
    (4, 16, 24, 24)
    >>> conv
    Conv2d(1, 16, kernel_size=(5, 5), stride=(1, 1), bias=False)
    """

    _rank = 2

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, H, W) to (N, O, H′, W′), or without N."""
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

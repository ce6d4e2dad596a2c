"""Pooling as layers."""

from __future__ import annotations

import numpy.typing as npt

from autograd_bn.core.tensor import Tensor
from autograd_bn.nn import functional
from autograd_bn.nn.functional.sliding import Each
from autograd_bn.nn.module import Module


class MaxPooling(Module):
    """What the layers share that take the largest element of each window."""

    _repr_settings = ("kernel_size", "stride", "padding", "dilation")

    def __init__(self, kernel_size: Each, stride: Each | None = None, padding: Each = 0, dilation: Each = 1) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation


class MaxPool1d(MaxPooling):
    """The largest element of each window along the last axis; the settings are those of `functional.max_pool1d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.MaxPool1d(2)(ab.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, L) to (N, C, L′), or without N."""
        return functional.max_pool1d(x, self.kernel_size, self.stride, self.padding, self.dilation)


class MaxPool2d(MaxPooling):
    """The largest element of each window over the last two axes; the settings are those of `functional.max_pool2d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.MaxPool2d(2)(ab.arange(16.0).reshape((1, 4, 4)))
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, H, W) to (N, C, H′, W′), or without N."""
        return functional.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)


class AveragePooling(Module):
    """What the layers share that take the mean of each window."""

    _repr_settings = ("kernel_size", "stride", "padding")

    def __init__(self, kernel_size: Each, stride: Each | None = None, padding: Each = 0, count_include_pad: bool = True) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.count_include_pad = count_include_pad


class AvgPool1d(AveragePooling):
    """The mean of each window along the last axis; the settings are those of `functional.avg_pool1d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.AvgPool1d(2)(ab.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[2., 1.]])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, L) to (N, C, L′), or without N."""
        return functional.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.count_include_pad)


class AvgPool2d(AveragePooling):
    """The mean of each window over the last two axes; the settings are those of `functional.avg_pool2d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.AvgPool2d(2)(ab.arange(16.0).reshape((1, 4, 4)))
    tensor([[[ 2.5,  4.5],
             [10.5, 12.5]]])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, H, W) to (N, C, H′, W′), or without N."""
        return functional.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.count_include_pad)


class AdaptivePooling(Module):
    """What the layers share that take the means of a given number of parts."""

    _repr_settings = ("output_size",)

    def __init__(self, output_size: Each) -> None:
        self.output_size = output_size


class AdaptiveAvgPool1d(AdaptivePooling):
    """The means of ``output_size`` parts of the last axis: see `functional.adaptive_avg_pool1d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.AdaptiveAvgPool1d(2)(ab.tensor([[1.0, 3.0, 2.0]]))
    tensor([[2. , 2.5]])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, L) to (N, C, output_size), or without N."""
        return functional.adaptive_avg_pool1d(x, self.output_size)


class AdaptiveAvgPool2d(AdaptivePooling):
    """The means of ``output_size`` parts of the last two axes; 1 gives the mean of each channel: see `functional.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.AdaptiveAvgPool2d(1)(ab.arange(16.0).reshape((1, 4, 4)))
    tensor([[[7.5]]])
    """

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, H, W) to (N, C, H′, W′), or without N."""
        return functional.adaptive_avg_pool2d(x, self.output_size)

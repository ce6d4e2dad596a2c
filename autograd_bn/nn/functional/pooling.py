"""Pooling: the largest element or the mean of windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.constructors import composite
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn.functional.sliding import Call, Each
from autograd_bn.ops.einsum import einsum
from autograd_bn.ops.precision import narrowed, widened
from autograd_bn.ops.reduction import max as largest
from autograd_bn.ops.reduction import mean
from autograd_bn.ops.reduction import sum as total
from autograd_bn.ops.windows import reach


@composite
def max_pool1d(x: Any, kernel_size: Each, stride: Each | None = None, padding: Each = 0, dilation: Each = 1) -> Tensor:
    """The largest element of each window along the last axis; elements that tie share the gradient equally.

    Parameters
    ----------
    x
        Shape (N, C, L), or (C, L) for one example.
    kernel_size
        The length of a window.
    stride
        How far it moves; its own length unless given.
    padding
        How many places to add at both ends, at most half of the window; they are never the largest.
    dilation
        The distance between the elements of a window.

    Returns shape (N, C, L′) or (C, L′), L′ = ⌊(L + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1.

    Raises ShapeError where x has other axes or no window fits, OperationError for settings out of range.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.max_pool1d(ab.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return _largest(1, x, kernel_size, stride, padding, dilation)


@composite
def max_pool2d(x: Any, kernel_size: Each, stride: Each | None = None, padding: Each = 0, dilation: Each = 1) -> Tensor:
    """The largest element of each window over the last two axes; elements that tie share the gradient equally.

    As `max_pool1d`, for x of shape (N, C, H, W) or (C, H, W). Every setting is one number for both axes, or one each.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.max_pool2d(ab.arange(16.0).reshape((1, 4, 4)), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    return _largest(2, x, kernel_size, stride, padding, dilation)


@composite
def avg_pool1d(x: Any, kernel_size: Each, stride: Each | None = None, padding: Each = 0, count_include_pad: bool = True) -> Tensor:
    """The mean of each window along the last axis.

    Parameters
    ----------
    x, kernel_size, stride
        As in `max_pool1d`.
    padding
        How many zeros to add at both ends, at most half of the window.
    count_include_pad
        Whether these count among the elements that the sum is divided by.

    Returns a shape as of `max_pool1d`. Raises as that does.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.avg_pool1d(ab.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return _average(1, x, kernel_size, stride, padding, count_include_pad)


@composite
def avg_pool2d(x: Any, kernel_size: Each, stride: Each | None = None, padding: Each = 0, count_include_pad: bool = True) -> Tensor:
    """The mean of each window over the last two axes.

    As `avg_pool1d`, for x of shape (N, C, H, W) or (C, H, W). Every setting is one number for both axes, or one each.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.avg_pool2d(ab.arange(16.0).reshape((1, 4, 4)), 2)
    tensor([[[ 2.5,  4.5],
             [10.5, 12.5]]])
    """
    return _average(2, x, kernel_size, stride, padding, count_include_pad)


@composite
def adaptive_avg_pool1d(x: Any, output_size: Each) -> Tensor:
    """The means of so many parts of the last axis, which are as equal as can be: part i goes from ⌊i·L/n⌋ to ⌈(i+1)·L/n⌉.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.adaptive_avg_pool1d(ab.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[2. , 2.5]])
    """
    return _adapted(1, x, output_size)


@composite
def adaptive_avg_pool2d(x: Any, output_size: Each) -> Tensor:
    """The means of H′×W′ parts of the last two axes, which are as equal as can be; 1 gives the mean of each channel.

    As `adaptive_avg_pool1d`, for x of shape (N, C, H, W) or (C, H, W); ``output_size`` is one number for both axes, or one each.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.functional.adaptive_avg_pool2d(ab.arange(16.0).reshape((1, 4, 4)), 1)
    tensor([[[7.5]]])
    """
    return _adapted(2, x, output_size)


def _pooled(call: Call, x: Tensor, kernel_size: Each, stride: Each | None, padding: Each, dilation: Each, fill: float) -> tuple[Tensor, tuple[int, ...]]:
    """The windows, and the axes of what stands in one."""
    kernel = call.each("kernel_size", kernel_size)
    steps = kernel if stride is None else call.each("stride", stride)
    around, spread = call.each("padding", padding, 0), call.each("dilation", dilation)
    if any(2 * p > r for p, r in zip(around, reach(kernel, spread), strict=True)):
        call.fail(OperationError, f"a padding of {padding} is more than half of the window {kernel_size}, so that some windows would be nothing but padding")
    return call.windows(call.images(x), kernel, steps, [(p, p) for p in around], spread, fill), tuple(range(1, 1 + call.rank))


def _largest(rank: int, x: Any, kernel_size: Each, stride: Each | None, padding: Each, dilation: Each) -> Tensor:
    x = asarray(x)
    call = Call(f"max_pool{rank}d", rank, {"x": x})
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    windows, within = _pooled(call, x, kernel_size, stride, padding, dilation, lowest)
    peak = largest(windows, axis=within)
    return call.restored(peak, x)


def _average(rank: int, x: Any, kernel_size: Each, stride: Each | None, padding: Each, count_include_pad: bool) -> Tensor:
    x = asarray(x)
    call = Call(f"avg_pool{rank}d", rank, {"x": x})
    windows, within = _pooled(call, x, kernel_size, stride, padding, 1, 0)
    if count_include_pad or not np.any(padding):
        average = mean(windows, axis=within)
    else:
        inside, _ = _pooled(call, asarray(np.ones((1, *x.shape[-rank:]), x.dtype)), kernel_size, stride, padding, 1, 0)
        average = narrowed(total(widened(windows), axis=within) / total(inside, axis=within), x)
    return call.restored(average, x)


def _adapted(rank: int, x: Any, output_size: Each) -> Tensor:
    x = asarray(x)
    call = Call(f"adaptive_avg_pool{rank}d", rank, {"x": x})
    images = call.images(x)
    if 0 in images.shape[1:-1]:
        call.fail(ShapeError, "there is nothing to average")
    dtype = x.dtype if x.dtype.kind in "fc" else np.dtype(float)
    shares = [_shares(n, parts, dtype) for n, parts in zip(images.shape[1:-1], call.each("output_size", output_size), strict=True)]
    average = einsum("cyxn,iy,jx->cijn" if rank == 2 else "cxn,ix->cin", images, *shares)
    return call.restored(average, x)


def _shares(length: int, parts: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The weight of each place in the mean of each part: shape (parts, length)."""
    out = np.zeros((parts, length), dtype)
    for i in range(parts):
        start, stop = i * length // parts, -(-(i + 1) * length // parts)
        out[i, start:stop] = 1 / (stop - start)
    return out

"""Convolution: windows along the spatial axes, contracted with the weights."""

from __future__ import annotations

from typing import Any

from autograd_bn.core.constructors import composite
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn.functional.sliding import Call, Each, Padding
from autograd_bn.ops.einsum import einsum


@composite
def conv1d(x: Any, weight: Any, bias: Any = None, stride: Each = 1, padding: Padding = 0, dilation: Each = 1, groups: int = 1) -> Tensor:
    """Each output channel the sum of products of its weights with a window that slides along the last axis.

    out[n, o, l] = bias[o] + Σ_c,i weight[o, c, i] · x[n, c, l·stride + i·dilation − padding], which is PyTorch's (a cross-correlation:
    the kernel is not mirrored).

    Parameters
    ----------
    x
        Shape (N, C, L), or (C, L) for one example.
    weight
        Shape (O, C / groups, K).
    bias
        Shape (O,), or None.
    stride
        How far the window moves from one result to the next.
    padding
        How many zeros to add at both ends; "valid" for none, "same" for a result as long as x (with stride 1 only).
    dilation
        The distance between the elements of a window.
    groups
        The channels are cut into so many groups, each with its own part of the output channels.

    Returns shape (N, O, L′) or (O, L′), L′ = ⌊(L + 2·padding − dilation·(K − 1) − 1) / stride⌋ + 1.

    Raises ShapeError where channels, groups or bias do not fit or the kernel is larger than the input, OperationError for settings out of range.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([[1.0, 2.0, 4.0, 8.0]])
    >>> ab.nn.functional.conv1d(x, ab.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2., 4.]])
    """
    return _convolved(1, x, weight, bias, stride, padding, dilation, groups)


@composite
def conv2d(x: Any, weight: Any, bias: Any = None, stride: Each = 1, padding: Padding = 0, dilation: Each = 1, groups: int = 1) -> Tensor:
    """Each output channel the sum of products of its weights with a window that slides over the last two axes.

    As `conv1d`, with two spatial axes. ``stride``, ``padding`` and ``dilation`` are one number for both, or one each.

    Parameters
    ----------
    x
        Shape (N, C, H, W), or (C, H, W) for one example.
    weight
        Shape (O, C / groups, KH, KW).
    bias
        Shape (O,), or None.
    stride, padding, dilation, groups
        As in `conv1d`.

    Returns shape (N, O, H′, W′) or (O, H′, W′). In memory the examples come last, which is fastest for what follows.

    Raises as `conv1d` does.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x, weight = ab.ones((1, 2, 4, 4)), ab.ones((3, 2, 3, 3))
    >>> F = ab.nn.functional
    >>> F.conv2d(x, weight).shape, F.conv2d(x, weight, padding="same").shape
    ((1, 3, 2, 2), (1, 3, 4, 4))
    """
    return _convolved(2, x, weight, bias, stride, padding, dilation, groups)


def _convolved(rank: int, x: Any, weight: Any, bias: Any, stride: Each, padding: Padding, dilation: Each, groups: int) -> Tensor:
    x, weight = asarray(x), asarray(weight)
    bias = None if bias is None else asarray(bias)
    call = Call(f"conv{rank}d", rank, {"x": x, "weight": weight} | ({} if bias is None else {"bias": bias}))
    images = call.images(x)
    _check_weight(call, images, weight, bias, groups)
    channels_out, channels, *rest = weight.shape
    kernel = tuple(rest)
    steps, spread = call.each("stride", stride), call.each("dilation", dilation)
    windows = call.windows(images, kernel, steps, call.around(padding, kernel, steps, spread), spread)
    if groups == 1:
        product = einsum("ocij,cijyxn->oyxn" if rank == 2 else "oci,cixn->oxn", weight, windows)
    else:
        parts = weight.reshape((groups, channels_out // groups, channels, *kernel))
        sets = windows.reshape((groups, channels, *windows.shape[1:]))
        product = einsum("gocij,gcijyxn->goyxn" if rank == 2 else "goci,gcixn->goxn", parts, sets)
        product = product.reshape((channels_out, *product.shape[2:]))
    if bias is not None:
        product = product + bias.reshape((channels_out,) + (1,) * (rank + 1))
    return call.restored(product, x)


def _check_weight(call: Call, images: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    axes = "K" if call.rank == 1 else "KH, KW"
    if weight.ndim != call.rank + 2 or 0 in weight.shape:
        call.fail(ShapeError, f"the weight must have shape (O, C / groups, {axes}) with no empty axis, got {weight.shape}")
    channels, (channels_out, share) = images.shape[0], weight.shape[:2]
    if not is_integer(groups, 1):
        call.fail(OperationError, f"groups must be an integer from 1 up, got {groups!r}")
    if channels_out % groups:
        call.fail(ShapeError, f"{channels_out} output channels (axis 0 of the weight) cannot be cut into {groups} groups; choose a number that divides them")
    if channels != share * groups:
        hint = ""
        if images.shape[-2] == share * groups:
            hint = "; channels belong before the spatial axes: did you mean to move the last axis there?"
        elif groups == 1 and channels % share == 0 and channels_out % (channels // share) == 0:
            hint = f"; did you mean groups={channels // share}?"
        of = f"{share}·{groups} = {share * groups}" if groups > 1 else share
        call.fail(ShapeError, f"x has {channels} channels, the weight is for {of} (its axis 1{' times the groups' if groups > 1 else ''}){hint}")
    if bias is not None and bias.shape != (channels_out,):
        call.fail(ShapeError, f"the bias must have shape ({channels_out},), one an output channel, got {bias.shape}")

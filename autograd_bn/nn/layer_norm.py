"""Layer, group and RMS norm: batch norm's lines over the axes of each example alone, the same in training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import integers, is_integer
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.nn import functional
from autograd_bn.nn.module import Module
from autograd_bn.nn.normalization import checked_eps


class LayerNorm(Module):
    """Layer norm over the last axes (Ba et al. 2016), with PyTorch's conventions and names. See `functional.layer_norm`.

    Parameters
    ----------
    normalized_shape
        The lengths of the axes to normalise over, or of the last one.
    eps
        Added to the variance under the root.
    elementwise_affine
        Whether to scale and shift each element.
    bias
        Whether the shift is among them.
    dtype
        Of the parameters.

    Attributes
    ----------
    weight, bias
        γ (starts at 1) and β (0), of shape ``normalized_shape``; None where there is none.

    Raises OperationError for settings out of range; when called, ShapeError where the last axes of x have other lengths.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> norm = ab.nn.LayerNorm(2, eps=0.0, elementwise_affine=False)
    >>> norm(ab.tensor([[0.0, 2.0], [1.0, 5.0]]))
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True, *, dtype: npt.DTypeLike = np.float32
    ) -> None:
        self.normalized_shape = _lengths(self, normalized_shape)
        self.eps = checked_eps(self, eps)
        self.elementwise_affine = elementwise_affine
        self.weight = tensor(np.ones(self.normalized_shape, dtype), requires_grad=True, name="γ") if elementwise_affine else None
        self.bias = tensor(np.zeros(self.normalized_shape, dtype), requires_grad=True, name="β") if elementwise_affine and bias else None

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (…, *normalized_shape) to the same."""
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings, as PyTorch shows them."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """RMS norm over the last axes (Zhang & Sennrich 2019), with PyTorch's conventions and names. See `functional.rms_norm`.

    Parameters
    ----------
    normalized_shape
        The lengths of the axes to normalise over, or of the last one.
    eps
        Added to the mean square under the root; the distance from 1 to the next number of the input's dtype unless given.
    elementwise_affine
        Whether to scale each element.
    dtype
        Of the parameters.

    Attributes
    ----------
    weight
        γ (starts at 1), of shape ``normalized_shape``; None unless there is a scale.

    Raises OperationError for settings out of range; when called, ShapeError where the last axes of x have other lengths.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.RMSNorm(2, eps=0.0, elementwise_affine=False)(ab.tensor([[1.0, 7.0]]))
    tensor([[0.2, 1.4]])
    """

    weight: Tensor | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True, *, dtype: npt.DTypeLike = np.float32
    ) -> None:
        self.normalized_shape = _lengths(self, normalized_shape)
        self.eps = None if eps is None else checked_eps(self, eps)
        self.elementwise_affine = elementwise_affine
        self.weight = tensor(np.ones(self.normalized_shape, dtype), requires_grad=True, name="γ") if elementwise_affine else None

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (…, *normalized_shape) to the same."""
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The settings, as PyTorch shows them."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Group norm over (N, C, …) (Wu & He 2018), with PyTorch's conventions and names. See `functional.group_norm`.

    Parameters
    ----------
    num_groups
        Of neighbouring channels, which are normalised together.
    num_channels
        The number of channels C, on axis 1, which ``num_groups`` divides.
    eps
        Added to the variance under the root.
    affine
        Whether to scale and shift each channel.
    dtype
        Of the parameters.

    Attributes
    ----------
    weight, bias
        γ (starts at 1) and β (0), shape (C,); None unless affine.

    Raises OperationError for settings out of range; when called, ShapeError for the wrong number of channels, or one value a group.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.GroupNorm(2, 4, eps=0.0, affine=False)(ab.tensor([[0.0, 2.0, 1.0, 5.0]]))
    tensor([[-1.,  1., -1.,  1.]])
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, dtype: npt.DTypeLike = np.float32) -> None:
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise OperationError(f"GroupNorm: {num_channels} channels do not make {num_groups} groups of equal size; the groups must divide the channels")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = checked_eps(self, eps)
        self.affine = affine
        self.weight = tensor(np.ones(num_channels, dtype), requires_grad=True, name="γ") if affine else None
        self.bias = tensor(np.zeros(num_channels, dtype), requires_grad=True, name="β") if affine else None

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Shape (N, C, …) to the same."""
        x = asarray(x)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"{self._label}: expected (N, C, …) with C = {self.num_channels} channels, got x {describe(x)}\n  at {user_line()}")
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings, as PyTorch shows them."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


def _lengths(layer: Module, shape: int | Sequence[int]) -> tuple[int, ...]:
    lengths = (shape,) if is_integer(shape) else tuple(shape) if isinstance(shape, Iterable) else ()
    if not lengths or not all(is_integer(n, 1) for n in lengths):
        raise OperationError(f"{type(layer).__name__}: normalized_shape is a positive length or some of them, got {shape!r}")
    return integers(lengths)

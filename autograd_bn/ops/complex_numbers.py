"""Parts of complex numbers: the functions that are not holomorphic, beside the modulus."""

from __future__ import annotations

from typing import Any

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import apply
from autograd_bn.core.structural import conj_p, imag_p, real_p
from autograd_bn.core.tensor import Tensor
from autograd_bn.ops.circular import atan2


def real(x: Any, /) -> Tensor:
    """The real part of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.real(ab.tensor([1.0 + 2.0j]))
    tensor([1.])
    """
    return apply(real_p, (x,))


def imag(x: Any, /) -> Tensor:
    """The imaginary part of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.imag(ab.tensor([1.0 + 2.0j]))
    tensor([2.])
    """
    return apply(imag_p, (x,))


def conj(x: Any, /) -> Tensor:
    """The complex conjugate of each element.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.conj(ab.tensor([1.0 + 2.0j]))
    tensor([1.-2.j], dtype=complex128)
    """
    return apply(conj_p, (x,))


@composite
def angle(x: Any, /) -> Tensor:
    """The argument of each complex number, from −π to π.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.angle(ab.tensor([0.0 + 2.0j]))
    tensor([1.57079633])
    """
    return atan2(imag(x), real(x))

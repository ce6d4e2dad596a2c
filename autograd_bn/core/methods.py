"""The methods of Tensor that other layers own: `ops` puts them here; `methods.pyi` declares them to type checkers."""

from __future__ import annotations


class Methods:
    """Base of Tensor; filled when `autograd_bn.ops` is imported."""

    __slots__ = ()

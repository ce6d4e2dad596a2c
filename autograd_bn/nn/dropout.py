"""Dropout as a layer."""

from __future__ import annotations

import numpy.typing as npt

from autograd_bn.core.errors import OperationError
from autograd_bn.core.tensor import Tensor
from autograd_bn.nn import functional, init
from autograd_bn.nn.module import Module
from autograd_bn.nn.random import Generator


class Dropout(Module):
    """In training, sets elements to 0 with probability p and divides the others by 1 − p (Srivastava et al. 2014); in evaluation, nothing.

    Parameters
    ----------
    p
        The probability, from 0 to 1.
    rng
        A seed or a generator of NumPy for a `Generator` of its own, a `Generator` to share, or None for entropy from the system.

    Attributes
    ----------
    random_state
        A buffer: the state of its generator, so that a run that is resumed goes on with the same numbers.

    Raises OperationError for p out of range; when called in training, DtypeError for integers and OperationError inside vmap.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> layer = ab.nn.Dropout(0.5, rng=0)
    >>> sorted(set(layer(ab.ones(100)).tolist()))
    [0.0, 2.0]
    >>> layer.eval()(ab.ones(2))
    tensor([1., 1.])
    """

    random_state: Tensor
    _repr_settings = ("p",)

    def __init__(self, p: float = 0.5, *, rng: init.Seed | Generator = None) -> None:
        if not (isinstance(p, (int, float)) and 0 <= p <= 1):
            raise OperationError(f"Dropout: p is the probability that an element becomes 0, from 0 to 1, got {p!r}")
        self.p = p
        self.generator = rng if isinstance(rng, Generator) else Generator(rng)
        self.register_buffer("random_state", self.generator.state)

    def forward(self, x: Tensor | npt.ArrayLike) -> Tensor:
        """Any shape."""
        return functional.dropout(x, self.p, self.training, rng=self.generator)

"""Random numbers for training, from a state that is a tensor: eager, compiled, recomputed and resumed runs draw the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.dispatch import apply
from autograd_bn.core.effects import assign
from autograd_bn.core.integers import integers
from autograd_bn.core.tensor import Tensor, tensor
from autograd_bn.core.tracing import tracing
from autograd_bn.nn import init
from autograd_bn.ops import random

if TYPE_CHECKING:
    import numpy.typing as npt

    from autograd_bn.core.primitive import Primitive

_NEXT = np.array([0, 1])


class Generator:
    """Draws random numbers that depend on its state alone, a tensor of a key and a count of draws.

    The numbers come from the counter-based generator Philox. The count goes up through ``ab.assign``, like running statistics: it is a
    hidden input of a compiled function, ``ab.checkpoint`` draws the same numbers when it computes again, and inside
    ``ab.no_effects()`` it stands still, so that the same numbers come each time.

    Parameters
    ----------
    seed
        Decides the key: a non-negative integer, a generator of NumPy to draw it from, or None for entropy from the system.

    Attributes
    ----------
    state
        Shape (2,), integers: the key and the count. A Module saves it if it registers it as a buffer.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> one, other = ab.nn.Generator(0), ab.nn.Generator(0)
    >>> (one.uniform(3) == other.uniform(3)).all()
    tensor(True)
    >>> one.state[1]
    tensor(1)
    """

    def __init__(self, seed: init.Seed = None) -> None:
        self.state = tensor([int(init.generator(seed).integers(1 << 63)), 0], dtype=np.int64, name="random_state")

    def __repr__(self) -> str:
        return f"Generator({self.state!r})"

    def uniform(self, shape: int | Sequence[int] = (), *, dtype: npt.DTypeLike = np.float32) -> Tensor:
        """Numbers that are spread evenly from 0 up to, and without, 1."""
        return self._drawn(random.uniform, shape, dtype)

    def normal(self, shape: int | Sequence[int] = (), *, dtype: npt.DTypeLike = np.float32) -> Tensor:
        """Gaussian numbers of mean 0 and variance 1."""
        return self._drawn(random.normal, shape, dtype)

    def _drawn(self, primitive: Primitive, shape: int | Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        trace = tracing()
        if trace is not None:
            trace.depends(self)
        static: dict[str, Any] = {"shape": integers(shape), "dtype": np.dtype(dtype)}
        drawn = apply(primitive, (self.state,), static)
        assign(self.state, self.state + _NEXT)
        return drawn

"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import DtypeError, OperationError
from autograd_bn.core.node import Batch
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, each_level

if TYPE_CHECKING:
    from autograd_bn.nn.random import Generator


@composite
def dropout(x: Any, p: float = 0.5, training: bool = True, *, rng: Generator | int | None = None) -> Tensor:
    """In training, elements set to 0 with probability p and the others divided by 1 − p (Srivastava et al. 2014); else x as it is.

    Parameters
    ----------
    x
        Any shape, real floating.
    p
        The probability, from 0 to 1.
    training
        Whether to.
    rng
        An `nn.Generator`, which draws what is kept; needed in training. An integer is the seed of one, so the same elements are kept each time.

    Returns a tensor of the shape of x.

    Raises OperationError for p out of range, in training without a generator, or inside vmap, where all examples would lose the same elements.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> y = ab.nn.functional.dropout(ab.ones(1000), 0.2, rng=ab.nn.Generator(0))
    >>> sorted(set(y.tolist())), 770 < (y > 0).sum() < 830
    ([0.0, 1.25], tensor(True))
    """
    x = asarray(x)
    if not 0 <= p <= 1:
        raise OperationError(f"dropout: p is the probability that an element becomes 0, from 0 to 1, got {p!r}\n  at {user_line()}")
    if not training or p == 0:
        return x  # type: ignore[no-any-return]
    if x.dtype.kind != "f":
        raise DtypeError(f"dropout(x {describe(x)}): x must be of real floating numbers; convert it first\n  at {user_line()}")
    if rng is None:
        raise OperationError(
            f"dropout: what is kept is drawn from a generator; make one with nn.Generator(seed), keep it, and pass it as rng\n  at {user_line()}"
        )
    if isinstance(rng, (int, np.integer)):
        from autograd_bn.nn.random import Generator

        rng = Generator(int(rng))
    elif not hasattr(rng, "state"):
        raise OperationError(
            f"dropout: rng is an nn.Generator, or a seed, got {type(rng).__name__}; make one with nn.Generator(rng) and keep it\n  at {user_line()}"
        )
    if any(type(level.node) is Batch for level in each_level(x)):
        raise OperationError(
            f"dropout(x {describe(x)}) inside vmap would take the same elements from every example; call it on the whole batch, outside vmap, or "
            f"in evaluation mode\n  at {user_line()}"
        )
    drawn = rng.uniform(x.shape, dtype=x.dtype)
    kept = (drawn >= p).astype(x.dtype)
    scaled = kept * (1 / (1 - p) if p < 1 else 0.0)
    out: Tensor = x * scaled
    return out

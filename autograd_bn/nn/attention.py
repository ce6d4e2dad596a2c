"""Attention with several heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.nn import functional, init
from autograd_bn.nn.layers import Linear
from autograd_bn.nn.module import Module
from autograd_bn.nn.random import Generator
from autograd_bn.ops.comparison import logical_not
from autograd_bn.ops.rearranging import split
from autograd_bn.ops.shape import permute_dims


class MultiheadAttention(Module):
    """Attention in several heads, each over features of its own (Vaswani et al. 2017), with PyTorch's names and shapes.

    Parameters
    ----------
    embed_dim, num_heads
        The number of features E, and of heads, which divides it.
    dropout
        The probability that a weight becomes 0 in training.
    bias
        Whether the projections have biases, which start at 0.
    batch_first
        Whether inputs and outputs are (N, L, E) rather than (L, N, E).
    rng
        A generator or a seed for dropout and the initial values; None for entropy from the system.
    dtype
        Of the parameters.

    Attributes
    ----------
    in_proj_weight, in_proj_bias
        The projections to queries, keys and values, shapes (3E, E) and (3E,).
    out_proj
        The `Linear` layer after the heads.

    Called with query, key and value of shapes (L, N, E), (S, N, E) and (S, N, E). As in PyTorch, a boolean mask is true where a key must **not** be
    seen, the opposite of `functional.scaled_dot_product_attention`. Returns the output, shape (L, N, E), and the weights, averaged over the heads, shape
    (N, L, S), or None without ``need_weights``.

    Raises OperationError for settings out of range; when called, ShapeError where shapes do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.nn.Generator(0).normal((5, 2, 8))
    >>> out, weights = ab.nn.MultiheadAttention(8, 2, rng=0)(x, x, x)
    >>> out.shape, weights.shape
    ((5, 2, 8), (2, 5, 5))
    """

    in_proj_weight: Tensor
    in_proj_bias: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        batch_first: bool = False,
        *,
        rng: init.Seed = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise OperationError(f"MultiheadAttention: {embed_dim} features do not make {num_heads} heads of equal size; the heads must divide the features")
        if not 0 <= dropout <= 1:
            raise OperationError(f"MultiheadAttention: dropout is a probability, from 0 to 1, got {dropout!r}")
        rng = init.generator(rng)
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.in_proj_weight = tensor(init.xavier_uniform((3 * embed_dim, embed_dim), rng, dtype=dtype), requires_grad=True, name="W")
        self.in_proj_bias = tensor(np.zeros(3 * embed_dim, dtype), requires_grad=True, name="b") if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, rng=rng, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias = tensor(np.zeros(embed_dim, dtype), requires_grad=True, name="b")
        self.generator = Generator(rng) if dropout else None
        if self.generator is not None:
            self.register_buffer("random_state", self.generator.state)

    def forward(
        self,
        query: Tensor | npt.ArrayLike,
        key: Tensor | npt.ArrayLike,
        value: Tensor | npt.ArrayLike,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The output and the weights; ``key_padding_mask``, (N, S), is true for keys that nobody may see.

        ``attn_mask`` has shape (L, S) or (N·num_heads, L, S). Masks may be of floats instead, which are added to the scores.
        """
        given = [asarray(x) for x in (query, key, value)]
        for name, x in zip(("query", "key", "value"), given, strict=True):
            if x.ndim != 3 or x.shape[2] != self.embed_dim:
                layout = f"({'N, L' if self.batch_first else 'L, N'}, {self.embed_dim})"
                raise ShapeError(f"{self._label}: expected a {name} of shape {layout}, got {describe(x)}\n  at {user_line()}")
        if not self.batch_first:
            given = [permute_dims(x, (1, 0, 2)) for x in given]
        weights = split(self.in_proj_weight, 3)
        biases = [None] * 3 if self.in_proj_bias is None else split(self.in_proj_bias, 3)
        q, k, v = (self._heads(functional.linear(x, w, b)) for x, w, b in zip(given, weights, biases, strict=True))
        mask = _seen(attn_mask, key_padding_mask, self.num_heads, (k.shape[0], q.shape[2], k.shape[2]))
        p = self.dropout if self.training else 0.0
        attended = functional.scaled_dot_product_attention(q, k, v, mask, p, rng=self.generator, return_weights=True)
        heads, shares = attended
        n, _, length, _ = heads.shape
        out = self.out_proj(permute_dims(heads, (0, 2, 1, 3)).reshape((n, length, self.embed_dim)))
        return out if self.batch_first else permute_dims(out, (1, 0, 2)), shares.mean(1) if need_weights else None

    def _heads(self, x: Tensor) -> Tensor:
        """(N, L, E) to (N, heads, L, E / heads)."""
        n, length, features = x.shape
        return permute_dims(x.reshape((n, length, self.num_heads, features // self.num_heads)), (0, 2, 1, 3))

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, batch_first={self.batch_first}"


def _seen(attn_mask: Any, key_padding_mask: Any, heads: int, shape: tuple[int, int, int]) -> Tensor | None:
    """PyTorch's masks, true where a key must not be seen, as one that is true where it may; numbers to add stay as they are."""
    count, length, keys = shape
    masks = []
    if attn_mask is not None:
        mask = _checked("attn_mask", attn_mask, shape, (count * heads, length, keys) if asarray(attn_mask).ndim == 3 else None)
        masks.append(mask.reshape((count, heads, length, keys)) if mask.ndim == 3 else mask)
    if key_padding_mask is not None:
        masks.append(_checked("key_padding_mask", key_padding_mask, shape, (count, keys)).reshape((count, 1, 1, keys)))
    if not masks:
        return None
    first, last = masks[0], masks[-1]
    if (first.dtype == bool) != (last.dtype == bool):
        raise OperationError(f"MultiheadAttention: a mask of numbers and one of booleans do not go together; make both the same\n  at {user_line()}")
    if first is last:
        return logical_not(first) if first.dtype == bool else first
    return logical_not(first | last) if first.dtype == bool else first + last


def _checked(name: str, given: Any, shape: tuple[int, int, int], wanted: tuple[int, ...] | None) -> Tensor:
    mask = asarray(given)
    where = f"MultiheadAttention({name} {describe(mask)})"
    if mask.dtype.kind not in "bf":
        raise DtypeError(f"{where}: a mask is of booleans, true where a key is hidden, or of floats to add\n  at {user_line()}")
    if wanted is not None and mask.shape != wanted:
        count, length, keys = shape
        expected = "(N, S)" if len(wanted) == 2 else "(N·num_heads, L, S)"
        raise ShapeError(f"{where}: expected shape {expected}, here {wanted}, with N = {count}, L = {length} and S = {keys}\n  at {user_line()}")
    return mask

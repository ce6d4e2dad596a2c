"""Attention: for each query the mean of the values, weighted by how well their keys fit it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import AutogradError, DtypeError, OperationError, ShapeError
from autograd_bn.core.primitive import broadcast_shapes
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn.functional.dropout import dropout
from autograd_bn.ops.arithmetic import where
from autograd_bn.ops.comparison import equal
from autograd_bn.ops.rearranging import swapaxes
from autograd_bn.ops.reduction import all as every
from autograd_bn.ops.statistics import softmax

if TYPE_CHECKING:
    from autograd_bn.nn.random import Generator


@composite
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    rng: Generator | int | None = None,
    return_weights: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """softmax(Q·Kᵀ/√E + mask)·V (Vaswani et al. 2017, arXiv 1706.03762).

    Parameters
    ----------
    query, key, value
        Shapes (…, L, E), (…, S, E) and (…, S, F).
    attn_mask
        Broadcasts to (…, L, S): booleans, true where a query may see a key, or numbers that are added to the scores.
    dropout_p
        The probability that a weight becomes 0; it needs ``rng``, an `nn.Generator` or a seed.
    is_causal
        Whether query i sees the keys up to i only.
    scale
        Of the scores, in place of 1/√E.
    return_weights
        Return ``(out, weights)``, the weights of shape (…, L, S) before dropout.

    Returns shape (…, L, F). A query that may see no key at all gets 0, and no gradient.

    Raises ShapeError where the shapes do not fit, OperationError for a mask together with ``is_causal``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> ab.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)[0]
    tensor([1., 0.])
    """
    query, key, value = asarray(query), asarray(key), asarray(value)
    seen = None if attn_mask is None else asarray(attn_mask)
    _check(query, key, value, seen, is_causal)
    if is_causal:
        seen = asarray(np.tri(query.shape[-2], key.shape[-2], dtype=bool))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query @ swapaxes(key, -1, -2)) * factor
    if seen is None:
        weights = softmax(scores)
    elif seen.dtype == bool:
        lowest = float(np.finfo(scores.dtype).min)
        weights = where(seen, softmax(where(seen, scores, lowest)), 0.0)
    else:
        scores = scores + seen
        blind = every(equal(scores, -math.inf), axis=-1, keepdims=True)
        weights = where(blind, 0.0, softmax(where(blind, 0.0, scores)))
    out: Tensor = (weights if not dropout_p else dropout(weights, dropout_p, rng=rng)) @ value
    return (out, weights) if return_weights else out


def _check(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, is_causal: bool) -> None:
    def fail(kind: type[AutogradError], problem: str) -> NoReturn:
        given = f"query {describe(query)}, key {describe(key)}, value {describe(value)}{'' if mask is None else f', attn_mask {describe(mask)}'}"
        raise kind(f"scaled_dot_product_attention({given}): {problem}\n  at {user_line()}")

    if min(query.ndim, key.ndim, value.ndim) < 2:
        fail(ShapeError, "each needs an axis of positions and one of features, (…, L, E)")
    if query.shape[-1] != key.shape[-1]:
        fail(ShapeError, f"a query has {query.shape[-1]} features, a key {key.shape[-1]}; they must be equal")
    if key.shape[-2] != value.shape[-2]:
        fail(ShapeError, f"there are {key.shape[-2]} keys and {value.shape[-2]} values; they must be as many")
    if mask is None:
        return
    if mask.dtype.kind not in "bf":
        fail(DtypeError, "a mask is of booleans, true where a query may see a key, or of floats to add; convert it with astype(bool)")
    if is_causal:
        fail(OperationError, "a mask and is_causal were given; make the mask causal too, as in mask & ab.tril(ab.ones((L, S))).astype(bool)")
    wanted = (query.shape[-2], key.shape[-2])
    try:
        fits = broadcast_shapes(mask.shape, wanted)[-2:] == wanted
    except ShapeError:
        fits = False
    if not fits:
        fail(ShapeError, f"the mask must broadcast to (…, {wanted[0]}, {wanted[1]}), a row a query and a column a key")

"""A table of vectors, one a word or other thing that has a number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autograd_bn.core.errors import OperationError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.tensor import Tensor, tensor
from autograd_bn.nn import functional, init
from autograd_bn.nn.module import Module


class Embedding(Module):
    """The rows of a table, with PyTorch's names and shapes. See `functional.embedding`.

    Parameters
    ----------
    num_embeddings, embedding_dim
        The numbers of rows and of features.
    padding_idx
        A row that starts at 0 and gets no gradient; negative counts from the end.
    rng
        A generator or a seed for the initial values, which are Gaussian of mean 0 and variance 1; None for entropy from the system.
    dtype
        Of the table.

    Attributes
    ----------
    weight
        The table, shape (rows, features).

    Raises OperationError for lengths that are not positive, or a padding row that is none.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.Embedding(10, 3, rng=0)([[1, 2], [7, 1]]).shape
    (2, 2, 3)
    """

    weight: Tensor

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, rng: init.Seed = None, dtype: npt.DTypeLike = np.float32
    ) -> None:
        if not is_integer(num_embeddings, 1) or not is_integer(embedding_dim, 1):
            raise OperationError(f"Embedding({num_embeddings}, {embedding_dim}): both lengths must be positive integers")
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise OperationError(f"Embedding: padding_idx is one of {num_embeddings} rows, got {padding_idx}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        table = init.normal((num_embeddings, embedding_dim), rng, dtype=dtype)
        if self.padding_idx is not None:
            table[self.padding_idx] = 0
        self.weight = tensor(table, requires_grad=True, name="table")

    def forward(self, indices: Tensor | npt.ArrayLike) -> Tensor:
        """Integers of any shape to (*shape, features)."""
        return functional.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The settings, as PyTorch shows them."""
        return f"{self.num_embeddings}, {self.embedding_dim}" + ("" if self.padding_idx is None else f", padding_idx={self.padding_idx}")

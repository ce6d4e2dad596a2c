"""Recurrent layers over sequences, with PyTorch's names, shapes and order of gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.errors import OperationError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn import init
from autograd_bn.nn.dropout import Dropout
from autograd_bn.nn.functional import linear
from autograd_bn.nn.gates import GRUStep, LSTMStep, Nonlinearity, Recurrent, RNNStep, State, product, steps
from autograd_bn.ops.shape import concat, permute_dims, stack


class _Layer(Recurrent):
    weight_ih_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: init.Seed = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self._sizes(input_size, hidden_size)
        if not is_integer(num_layers, 1):
            raise OperationError(f"{type(self).__name__}: num_layers must be a positive integer, got {num_layers}")
        if dropout and num_layers == 1:
            raise OperationError(f"{type(self).__name__}: dropout is between layers, and there is one; set num_layers, or put a Dropout after it")
        self.num_layers, self.bias, self.batch_first, self.bidirectional = num_layers, bias, batch_first, bidirectional
        self._suffixes = ("", "_reverse") if bidirectional else ("",)
        rng = init.generator(rng)
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(self._suffixes)
            for suffix in self._suffixes:
                self._add_weights(width, bias, rng, dtype, f"_l{layer}{suffix}")
        self.dropout = Dropout(dropout, rng=rng) if dropout else None

    def forward(self, x: Tensor | npt.ArrayLike, hx: Any = None) -> tuple[Tensor, Any]:
        """The outputs of the last layer at every step, and the state of every layer after the last step."""
        sequence = asarray(x)
        batched = sequence.ndim == 3
        if sequence.ndim not in (2, 3) or sequence.shape[-1] != self.input_size or not sequence.shape[1 if batched and self.batch_first else 0]:
            self._refuse(sequence, f"({'N, L' if self.batch_first else 'L, N'}, {self.input_size}) or (L, {self.input_size}), of a step or more")
        if not batched:
            sequence = sequence.reshape((sequence.shape[0], 1, sequence.shape[1]))
        elif self.batch_first:
            sequence = permute_dims(sequence, (1, 0, 2))
        count = self.num_layers * len(self._suffixes)
        whole = (count, sequence.shape[1], self.hidden_size)
        shape = whole if batched else (count, self.hidden_size)
        given = self._given(hx, shape)
        start = [s.reshape(whole) for s in given] if given else None
        last: list[State] = []
        for layer in range(self.num_layers):
            found = []
            for suffix in self._suffixes:
                state = tuple(s[len(last)] for s in start) if start else self._zeros(whole[1:], self.weight_ih_l0.dtype)
                outputs, state = self._along(sequence, state, f"_l{layer}{suffix}")
                found.append(outputs)
                last.append(state)
            sequence = stack([h[0] if len(h) == 1 else concat(h, axis=-1) for h in zip(*found, strict=True)])
            if self.dropout is not None and layer < self.num_layers - 1:
                sequence = self.dropout(sequence)
        if not batched:
            sequence = sequence.reshape((sequence.shape[0], sequence.shape[2]))
        elif self.batch_first:
            sequence = permute_dims(sequence, (1, 0, 2))
        final = tuple(stack(s).reshape(shape) for s in zip(*last, strict=True))
        return sequence, final[0] if len(final) == 1 else final

    def _along(self, x: Tensor, state: State, suffix: str) -> tuple[list[Tensor], State]:
        """The outputs of one layer in one direction, and its last state."""
        weight, bias, recurrent, apart = self._weights(suffix)
        reverse = suffix.endswith("_reverse")
        inputs = steps(linear(x, weight, bias))
        outputs = []
        for part in reversed(inputs) if reverse else inputs:
            state = self._step(part, product(state[0], recurrent, apart), state)
            outputs.append(state[0])
        return outputs[::-1] if reverse else outputs, state

    def extra_repr(self) -> str:
        """The settings that are not the defaults, as PyTorch shows them."""
        told = {"num_layers": (self.num_layers, 1), "bias": (self.bias, True), "batch_first": (self.batch_first, False)}
        told["bidirectional"] = (self.bidirectional, False)
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *(f"{name}={value}" for name, (value, usual) in told.items() if value != usual)])


class RNN(RNNStep, _Layer):
    """h ← tanh(W·x + b + U·h + d) at each step of a sequence (Elman 1990).

    Parameters
    ----------
    input_size, hidden_size
        The numbers of features of an input and of an output.
    num_layers
        Layers on top of each other; each takes the outputs of the one below.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    bias
        Whether there are b and d.
    batch_first
        Whether x and the outputs have the axis of the examples first.
    dropout
        The probability of a `Dropout` between layers.
    bidirectional
        Whether a second set of weights runs from the end to the start; its outputs are joined to the first's.
    rng
        A generator or a seed for dropout and the initial values, which are uniform within ±1/√hidden_size; None for entropy from the system.
    dtype
        Of the parameters.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
        Shapes (hidden, input), (hidden, hidden), (hidden,) and (hidden,); with ``_l1`` those of the second layer, with ``_reverse`` at the end
        those of the other direction.

    Called with x of shape (L, N, input), or (L, input) of one example, and the state to start from: shape (layers·directions, N, hidden), zeros
    unless given. Returns the outputs of the last layer, shape (L, N, directions·hidden), and the state after the last step.

    Raises OperationError for settings out of range; when called, ShapeError where shapes do not fit or a sequence is empty.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> outputs, h = ab.nn.RNN(3, 5, num_layers=2, rng=0)(ab.ones((7, 4, 3)))
    >>> outputs.shape, h.shape
    ((7, 4, 5), (2, 4, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        rng: init.Seed = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self._choose(nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, rng=rng, dtype=dtype)


class LSTM(LSTMStep, _Layer):
    """A memory c that gates keep, write and read at each step of a sequence (Hochreiter & Schmidhuber 1997).

    c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(c), where (i, f, g, o) = W·x + b + U·h + d, in this order. Parameters, attributes and
    errors are those of `RNN`, without ``nonlinearity``; W and U have 4·hidden rows. The state is the pair (h, c).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> outputs, (h, c) = ab.nn.LSTM(3, 5, batch_first=True, rng=0)(ab.ones((4, 7, 3)))
    >>> outputs.shape, h.shape, c.shape
    ((4, 7, 5), (1, 4, 5), (1, 4, 5))
    """


class GRU(GRUStep, _Layer):
    """Gates that reset and keep the output at each step of a sequence (Cho et al. 2014).

    r = σ(W₁x + b₁ + U₁h + d₁), z = σ(W₂x + b₂ + U₂h + d₂), n = tanh(W₃x + b₃ + r·(U₃h + d₃)), h ← (1 − z)·n + z·h. Parameters, attributes and
    errors are those of `RNN`, without ``nonlinearity``; the weights have 3·hidden rows, in this order.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> outputs, h = ab.nn.GRU(3, 5, bidirectional=True, rng=0)(ab.ones((7, 4, 3)))
    >>> outputs.shape, h.shape
    ((7, 4, 10), (2, 4, 5))
    """

"""Single steps of recurrent layers, for loops of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn import init
from autograd_bn.nn.functional.linear import linear
from autograd_bn.nn.gates import GRUStep, LSTMStep, Nonlinearity, Recurrent, RNNStep, product


class _Cell(Recurrent):
    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, rng: init.Seed = None, dtype: npt.DTypeLike = np.float32) -> None:
        self._sizes(input_size, hidden_size)
        self.bias = bias
        self._add_weights(input_size, bias, init.generator(rng), dtype)

    def forward(self, x: Tensor | npt.ArrayLike, hx: Any = None) -> Any:
        """Shape (N, input) or (input,), and the state before, zeros unless given, to the state after."""
        x = asarray(x)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            self._refuse(x, f"(N, {self.input_size}) or ({self.input_size},)")
        weight, bias, recurrent, apart = self._weights()
        shape = (*x.shape[:-1], self.hidden_size)
        before = self._given(hx, shape) or self._zeros(shape, weight.dtype)
        state = self._step(linear(x, weight, bias), product(before[0], recurrent, apart), before)
        return state[0] if len(state) == 1 else state

    def extra_repr(self) -> str:
        """The settings, as PyTorch shows them."""
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"


class RNNCell(RNNStep, _Cell):
    """h ← tanh(W·x + b + U·h + d), one step of `RNN`.

    Parameters
    ----------
    input_size, hidden_size
        The numbers of features of x and of h.
    bias
        Whether there are b and d.
    nonlinearity
        ``"tanh"`` or ``"relu"``.
    rng
        A generator or a seed for the initial values, which are uniform within ±1/√hidden_size; None for entropy from the system.
    dtype
        Of the parameters.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh
        Shapes (hidden, input), (hidden, hidden), (hidden,) and (hidden,).

    Raises OperationError for settings out of range; when called, ShapeError where shapes do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.RNNCell(3, 5, rng=0)(ab.ones((2, 3))).shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Nonlinearity = "tanh",
        *,
        rng: init.Seed = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self._choose(nonlinearity)
        super().__init__(input_size, hidden_size, bias, rng=rng, dtype=dtype)


class LSTMCell(LSTMStep, _Cell):
    """One step of `LSTM`: called with x and the pair (h, c), it returns the next pair. Parameters are those of `RNNCell`, without ``nonlinearity``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> h, c = ab.nn.LSTMCell(3, 5, rng=0)(ab.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """


class GRUCell(GRUStep, _Cell):
    """One step of `GRU`. Parameters are those of `RNNCell`, without ``nonlinearity``.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.nn.GRUCell(3, 5, rng=0)(ab.ones((2, 3))).shape
    (2, 5)
    """

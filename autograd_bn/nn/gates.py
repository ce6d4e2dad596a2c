"""What recurrent layers and cells share: the step of each kind, the weights that it takes, and the checks of shapes."""

from __future__ import annotations

import math
from typing import Any, Literal, NoReturn, TypeAlias

import numpy.typing as npt

from autograd_bn.core.constructors import composite
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.state import user_line
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.nn.module import Module
from autograd_bn.ops.circular import tanh
from autograd_bn.ops.creation import zeros
from autograd_bn.ops.exponential import relu, sigmoid
from autograd_bn.ops.rearranging import split

State: TypeAlias = tuple[Tensor, ...]
"""What a step leaves to the next: the output h, and for an LSTM the memory c."""

Nonlinearity: TypeAlias = Literal["tanh", "relu"]


@composite
def steps(x: Tensor) -> list[Tensor]:
    """The parts along the first axis. Cut in halves, so that the backward pass puts L parts together at the cost of log L copies, not of L."""
    return _halves(x)


def _halves(x: Tensor) -> list[Tensor]:
    if x.shape[0] == 1:
        return [x.reshape(x.shape[1:])]
    half = x.shape[0] // 2
    return [*_halves(x[:half]), *_halves(x[half:])]


@composite
def rnn_step(x: Tensor, h: Tensor, nonlinearity: Nonlinearity) -> State:
    """The next output, of what input and output before contribute."""
    total = x + h
    h = tanh(total) if nonlinearity == "tanh" else relu(total)
    return (h,)


@composite
def lstm_step(x: Tensor, h: Tensor, c: Tensor) -> State:
    """The next output and memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""
    i, f, g, o = split(x + h, 4, axis=-1)
    forgotten = sigmoid(f) * c
    added = sigmoid(i) * tanh(g)
    c = forgotten + added
    h = sigmoid(o) * tanh(c)
    return h, c


@composite
def gru_step(x: Tensor, h: Tensor, before: Tensor) -> State:
    """The next output (Cho et al. 2014, with the reset gate after the product, as in cuDNN and PyTorch)."""
    size = before.shape[-1]
    r, z = split(sigmoid(x[..., : 2 * size] + h[..., : 2 * size]), 2, axis=-1)
    n = tanh(x[..., 2 * size :] + r * h[..., 2 * size :])
    out: Tensor = n + z * (before - n)
    return (out,)


class Recurrent(Module):
    """What layers and cells share: how many gates there are, what a step is, and the checks of shapes."""

    input_size: int
    hidden_size: int
    _gates = 1
    _states: tuple[str, ...] = ("h",)
    _apart = False
    """Whether the bias of h stays with what h contributes, because a gate multiplies that."""

    def _step(self, x: Tensor, h: Tensor, state: State) -> State:
        raise NotImplementedError

    def _sizes(self, input_size: int, hidden_size: int) -> None:
        if not is_integer(input_size, 1) or not is_integer(hidden_size, 1):
            raise OperationError(f"{type(self).__name__}({input_size}, {hidden_size}): both sizes must be positive integers")
        self.input_size = input_size
        self.hidden_size = hidden_size

    def _add_weights(self, width: int, bias: bool, rng: Any, dtype: npt.DTypeLike, suffix: str = "") -> None:
        rows, bound = self._gates * self.hidden_size, 1 / math.sqrt(self.hidden_size)
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, self.hidden_size), "bias_ih": (rows,), "bias_hh": (rows,)}
        for name, shape in shapes.items():
            drawn = rng.uniform(-bound, bound, shape).astype(dtype) if bias or "weight" in name else None
            setattr(self, name + suffix, None if drawn is None else tensor(drawn, requires_grad=True, name=f"{name}{suffix}"))

    def _weights(self, suffix: str = "") -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
        """The weight and bias of x, the transposed weight and the bias of h. A bias of h that is only added is part of that of x."""
        weight, recurrent, bias, apart = (getattr(self, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        if bias is not None and not self._apart:
            bias, apart = bias + apart, None
        return weight, bias, recurrent.T, apart

    def _given(self, hx: Any, shape: tuple[int, ...]) -> State | None:
        """The state to start from, one tensor of a shape each, if it was given."""
        if hx is None:
            return None
        state = (hx,) if len(self._states) == 1 else hx
        if not isinstance(state, (tuple, list)) or len(state) != len(self._states):
            raise OperationError(f"{self._label}: the state to start from is ({', '.join(self._states)}), a pair of tensors\n  at {user_line()}")
        found = tuple(asarray(x) for x in state)
        for name, x in zip(self._states, found, strict=True):
            if x.shape != shape:
                raise ShapeError(f"{self._label}: the state {name} to start from must have shape {shape}, got {x.shape}\n  at {user_line()}")
        return found

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> State:
        """The state to start from if none is given."""
        return tuple(zeros(shape, dtype=dtype) for _ in self._states)

    def _refuse(self, x: Tensor, layout: str) -> NoReturn:
        raise ShapeError(f"{self._label}: expected x of shape {layout}, got x {describe(x)}\n  at {user_line()}")


def product(h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What the output before contributes; the weight is transposed."""
    product: Tensor = h @ weight
    return product if bias is None else product + bias


class RNNStep(Recurrent):
    """The step of an RNN."""

    nonlinearity: Nonlinearity

    def _choose(self, nonlinearity: Nonlinearity) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise OperationError(f"{type(self).__name__}: the nonlinearity is 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity

    def _step(self, x: Tensor, h: Tensor, state: State) -> State:
        return rnn_step(x, h, self.nonlinearity)


class LSTMStep(Recurrent):
    """The step of an LSTM."""

    _gates = 4
    _states = ("h", "c")

    def _step(self, x: Tensor, h: Tensor, state: State) -> State:
        return lstm_step(x, h, state[1])


class GRUStep(Recurrent):
    """The step of a GRU."""

    _gates = 3
    _apart = True

    def _step(self, x: Tensor, h: Tensor, state: State) -> State:
        return gru_step(x, h, state[0])

"""Recurrent batch norm: an LSTM whose gates and memory are normalised, with statistics of their own at each step."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from autograd_bn.core.errors import OperationError
from autograd_bn.core.integers import is_integer
from autograd_bn.core.state import no_effects, scope
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.core.tracing import tracing
from autograd_bn.nn import init
from autograd_bn.nn.functional import linear
from autograd_bn.nn.gates import Recurrent, State, steps
from autograd_bn.nn.module import Module
from autograd_bn.nn.normalization import BatchNorm1d
from autograd_bn.ops.circular import tanh
from autograd_bn.ops.exponential import sigmoid
from autograd_bn.ops.rearranging import split
from autograd_bn.ops.shape import permute_dims, stack


class StepwiseNorm(Module):
    """Batch norm whose γ and β serve every step, and whose running statistics are those of one step each."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, features: int, length: int, gamma: float, shifted: bool, eps: float, momentum: float | None, dtype: npt.DTypeLike) -> None:
        self.weight = tensor(np.full(features, gamma, dtype), requires_grad=True, name="γ")
        self.bias = tensor(np.zeros(features, dtype), requires_grad=True, name="β") if shifted else None
        self.steps = [BatchNorm1d(features, eps, momentum, affine=False, dtype=dtype) for _ in range(length)]

    def forward(self, x: Tensor, t: int) -> Tensor:
        """Shape (N, features) at step t. Beyond the last step that has statistics those of that one serve, which do not move."""
        if t < len(self.steps):
            normalised = self.steps[t](x)
        else:
            with no_effects():
                normalised = self.steps[-1](x)
        scaled: Tensor = normalised * self.weight
        return scaled if self.bias is None else scaled + self.bias

    def __repr__(self) -> str:
        first = self.steps[0]
        return f"{type(self).__name__}({first.num_features}, eps={first.eps}, momentum={first.momentum}, steps={len(self.steps)})"


class BNLSTM(Recurrent):
    """An LSTM with batch norm in its recurrence (Cooijmans et al. 2016, arXiv 1603.09025).

    (f, i, o, g) = BN(U·h; γ_h) + BN(W·x; γ_x) + b, c ← σ(f)·c + σ(i)·tanh(g), h ← σ(o)·tanh(BN(c; γ_c, β_c)), with no batch norm in the update of c.
    Each step of a sequence is normalised by its own statistics over the batch, because the first steps differ much from the later ones;
    γ and β are shared by all. γ starts small, as in the paper: values of deviation 1 saturate tanh.

    Parameters
    ----------
    input_size, hidden_size
        The numbers of features of an input and of an output.
    max_length
        Up to which step there are running statistics; those of the last serve later steps.
    batch_first
        Whether x and the outputs have the axis of the examples first.
    gamma
        What γ_h, γ_x and γ_c start with.
    eps, momentum
        Of batch norm, see `BatchNorm1d`.
    rng
        A generator or a seed for the initial values of U and W, which are uniform within ±1/√hidden_size; None for entropy from the system.
    dtype
        Of the parameters and statistics.

    Attributes
    ----------
    weight_ih, weight_hh, bias
        W, U and b (which starts at 0), shapes (4·hidden, input), (4·hidden, hidden) and (4·hidden,).
    norm_x, norm_h, norm_c
        Batch norm of W·x, U·h and c: ``weight`` and for c ``bias``, and in ``steps`` a `BatchNorm1d` each step for the statistics.

    Called with x of shape (L, N, input) and the state to start from, a pair (h, c) of shape (1, N, hidden), zeros unless given. Returns the outputs,
    shape (L, N, hidden), and the state after the last step, as `LSTM` does.

    Raises OperationError for settings out of range; when called, ShapeError where shapes do not fit, or for one example in training;
    OperationError where statistics are not finite. Warns when it evaluates a step that no batch has reached in training.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> layer = ab.nn.BNLSTM(3, 5, max_length=7, rng=0)
    >>> outputs, (h, c) = layer(ab.nn.Generator(0).normal((7, 4, 3)))
    >>> outputs.shape, h.shape, c.shape
    ((7, 4, 5), (1, 4, 5), (1, 4, 5))
    >>> layer.norm_x.steps[6].running_mean.shape
    (20,)
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor
    _gates = 4
    _states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        max_length: int,
        batch_first: bool = False,
        gamma: float = 0.1,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        *,
        rng: init.Seed = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        self._sizes(input_size, hidden_size)
        if not is_integer(max_length, 1):
            raise OperationError(f"BNLSTM: max_length is the number of steps that have running statistics, a positive integer, got {max_length!r}")
        rng = init.generator(rng)
        rows, bound = 4 * hidden_size, 1 / math.sqrt(hidden_size)
        self.max_length, self.batch_first = max_length, batch_first
        self.weight_ih = tensor(rng.uniform(-bound, bound, (rows, input_size)).astype(dtype), requires_grad=True, name="W")
        self.weight_hh = tensor(rng.uniform(-bound, bound, (rows, hidden_size)).astype(dtype), requires_grad=True, name="U")
        self.bias = tensor(np.zeros(rows, dtype), requires_grad=True, name="b")
        self.norm_x = StepwiseNorm(rows, max_length, gamma, False, eps, momentum, dtype)
        self.norm_h = StepwiseNorm(rows, max_length, gamma, False, eps, momentum, dtype)
        self.norm_c = StepwiseNorm(hidden_size, max_length, gamma, True, eps, momentum, dtype)

    def forward(self, x: Tensor | npt.ArrayLike, hx: Any = None) -> tuple[Tensor, State]:
        """The outputs at every step, and the state after the last."""
        sequence = asarray(x)
        if sequence.ndim != 3 or sequence.shape[2] != self.input_size or 0 in sequence.shape:
            self._refuse(sequence, f"({'N, L' if self.batch_first else 'L, N'}, {self.input_size}), none of them 0")
        if self.batch_first:
            sequence = permute_dims(sequence, (1, 0, 2))
        length, count, _ = sequence.shape
        self._warn_of_unseen_steps(length)
        shape = (1, count, self.hidden_size)
        given = self._given(hx, shape)
        h, c = (s.reshape(shape[1:]) for s in given) if given else self._zeros(shape[1:], self.weight_ih.dtype)
        recurrent = self.weight_hh.T
        outputs = []
        for t, projected in enumerate(steps(linear(sequence, self.weight_ih))):
            with scope(f"step {t}"):
                gates = self.norm_h(h @ recurrent, t) + self.norm_x(projected, t) + self.bias
                f, i, o = split(sigmoid(gates[:, : 3 * self.hidden_size]), 3, axis=1)
                g = tanh(gates[:, 3 * self.hidden_size :])
                c = f * c + i * g
                h = o * tanh(self.norm_c(c, t))
            outputs.append(h)
        out = stack(outputs)
        return permute_dims(out, (1, 0, 2)) if self.batch_first else out, (h.reshape(shape), c.reshape(shape))

    def _warn_of_unseen_steps(self, length: int) -> None:
        if self.training or tracing() is not None:
            return
        unseen = [t for t, norm in enumerate(self.norm_c.steps[:length]) if norm.never_updated and not norm._warned]
        if unseen:
            for norms in (self.norm_x, self.norm_h, self.norm_c):
                for t in unseen:
                    norms.steps[t].__dict__["_warned"] = True
            warnings.warn(
                f"{self._label} evaluates step {unseen[0]} before its running statistics were updated even once, so it normalises by mean 0 and variance 1; "
                "train on sequences as long, set max_length to the longest so that the last step's statistics serve later ones, or call "
                "ab.nn.recalibrate(network, batches)",
                stacklevel=4,
            )

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.input_size}, {self.hidden_size}, max_length={self.max_length}{', batch_first=True' if self.batch_first else ''}"

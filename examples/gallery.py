"""The pictures of docs/gallery.md, each drawn from a graph that ran.

python examples/gallery.py [DIRECTORY]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import autograd_bn as ab
from autograd_bn import nn

F = nn.functional


def leaf(name: str, *shape: int, scale: float = 1.0) -> ab.Tensor:
    """A parameter or an input with the same numbers each time."""
    rng = np.random.default_rng(sum(map(ord, name)))
    return ab.tensor(scale * rng.standard_normal(shape), requires_grad=True, name=name)


def batch_norm(file: Path) -> None:
    """Batch norm with the formula of each operation and of each gradient."""
    with ab.record():
        out = ab.batch_norm(leaf("x", 3, 2), leaf("γ", 2), leaf("β", 2))
        out.backward(np.eye(3, 2))
    ab.draw(out, formulas=True, values=False, file=file)


def layer_norm(file: Path) -> None:
    """Layer norm: the same operations over the other axis, with statistics."""
    with ab.record():
        out = F.layer_norm(leaf("x", 2, 4), 4, leaf("γ", 4), leaf("β", 4))
        out.backward(np.eye(2, 4))
    ab.draw(out, values="statistics", theme="colorblind", file=file)


def attention(file: Path) -> None:
    """One head of attention over four tokens, in the dark theme."""

    @ab.composite
    def attend(q: Any, k: Any, v: Any) -> Any:
        scores = q @ k.T / np.sqrt(q.shape[-1])
        weights = ab.softmax(scores, axis=-1)
        return weights @ v

    x = leaf("x", 4, 8)
    with ab.record():
        with ab.scope("projections"):
            q = x @ leaf("W_q", 8, 8, scale=0.3)
            k = x @ leaf("W_k", 8, 8, scale=0.3)
            v = x @ leaf("W_v", 8, 8, scale=0.3)
        out = attend(q, k, v)
        loss = (out**2).mean()
        loss.backward()
    ab.draw(loss, theme="dark", file=file)


def lstm_step(file: Path) -> None:
    """One step of an LSTM, without numbers, in print."""
    cell = nn.LSTMCell(3, 4, rng=0, dtype=np.float64)
    ab.draw(cell(leaf("x", 2, 3), (leaf("h", 2, 4), leaf("c", 2, 4))), theme="print", direction="TB", file=file)


class Residual(nn.Module):
    """x + f(x), with two affine maps."""

    def __init__(self, width: int, rng: Any) -> None:
        self.norm = nn.LayerNorm(width, dtype=np.float64)
        self.up = nn.Linear(width, 2 * width, rng=rng, dtype=np.float64)
        self.down = nn.Linear(2 * width, width, rng=rng, dtype=np.float64)

    def forward(self, x: ab.Tensor) -> ab.Tensor:
        """Shape (N, width) to the same."""
        return x + self.down(ab.relu(self.up(self.norm(x))))


def residual_block(file: Path) -> None:
    """A residual block, its parts closed: the gradient takes both ways, and comes together at x."""
    block = Residual(8, np.random.default_rng(0))
    ab.draw(lambda x: (block(x) ** 2).mean(), leaf("x", 4, 8), depth=1, direction="TB", file=file)


def second_derivative(file: Path) -> None:
    """d²/dx² of x·tanh(x): the backward pass of the backward pass."""

    def f(x: Any) -> Any:
        h = ab.tanh(x)
        y = x * h
        return y

    ab.draw(ab.grad(ab.grad(f)), 0.5, gradients=False, direction="TB", file=file)


class Layer(nn.Module):
    """An affine map, batch norm if asked, and a sigmoid."""

    def __init__(self, width: int, normalised: bool, rng: Any) -> None:
        self.linear = nn.Linear(width, width, bias=not normalised, rng=rng, dtype=np.float64)
        self.norm = nn.BatchNorm1d(width, dtype=np.float64) if normalised else None

    def forward(self, x: ab.Tensor) -> ab.Tensor:
        """Shape (N, width) to the same."""
        h = self.linear(x)
        return F.sigmoid(h if self.norm is None else self.norm(h))


def deep_networks() -> list[ab.Tensor]:
    """The losses of two sigmoid networks of 20 layers on the same batch, without and with batch norm."""
    rng = np.random.default_rng(0)
    batch = ab.tensor(rng.standard_normal((64, 32)), name="x")
    losses = []
    for name, normalised in (("without batch norm", False), ("with batch norm", True)):
        same = np.random.default_rng(1)
        model = nn.Sequential(*[Layer(32, normalised, same) for _ in range(20)], nn.Linear(32, 10, rng=same, dtype=np.float64))
        with ab.record(), ab.scope(name):
            loss = (model(batch) ** 2).mean()
            loss.backward()
        losses.append(loss)
    return losses


def vanishing(file: Path) -> None:
    """Each layer coloured by the norm of the gradient that reaches it."""
    ab.draw(deep_networks(), color="gradient", depth=2, constants=False, direction="TB", types=False, file=file)


def vanishing_folded(file: Path) -> None:
    """The same with the layers folded: a cell of the strip is a layer."""
    ab.draw(deep_networks(), color="gradient", depth=2, constants=False, types=False, fold=True, file=file)


PICTURES = (batch_norm, layer_norm, attention, lstm_step, residual_block, second_derivative, vanishing, vanishing_folded)


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        picture(directory / f"gallery-{picture.__name__.replace('_', '-')}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

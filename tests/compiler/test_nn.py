"""Layers, losses and optimisers compiled: each gives what it gives without, forward, backward, and in what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn

Made = Callable[[], nn.Module]


def normal(*shape: int) -> Any:
    return np.random.default_rng(5).standard_normal(shape)


LAYERS: dict[str, tuple[Made, Any]] = {
    "Linear": (lambda: nn.Linear(4, 3, rng=0), normal(5, 4)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), normal(6, 4)),
    "BatchNorm1d of sequences": (lambda: nn.BatchNorm1d(4), normal(6, 4, 7)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), normal(4, 3, 5, 6)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(2), normal(3, 2, 2, 3, 4)),
    "LayerNorm": (lambda: nn.LayerNorm(6), normal(5, 6)),
    "LayerNorm over two": (lambda: nn.LayerNorm((4, 6)), normal(5, 4, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), normal(3, 4, 5)),
    "RMSNorm": (lambda: nn.RMSNorm(6), normal(5, 6)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(3), normal(4, 3, 6)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3), normal(2, 3, 4, 4)),
    "Conv1d": (lambda: nn.Conv1d(3, 4, 3, padding=1, rng=0), normal(2, 3, 8)),
    "Conv2d": (lambda: nn.Conv2d(2, 4, 3, stride=2, rng=0), normal(2, 2, 7, 7)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), normal(2, 3, 8)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), normal(2, 3, 6, 6)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), normal(2, 3, 6, 6)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(1), normal(2, 3, 6, 6)),
    "RNN": (lambda: nn.RNN(3, 4, rng=0), normal(5, 2, 3)),
    "LSTM": (lambda: nn.LSTM(3, 4, rng=0), normal(5, 2, 3)),
    "GRU": (lambda: nn.GRU(3, 4, rng=0), normal(5, 2, 3)),
    "activations": (lambda: nn.Sequential(nn.Linear(4, 4, rng=0), nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Flatten()), normal(3, 4)),
}


def first(out: Any) -> Any:
    """Recurrent layers return their state too."""
    return out[0] if isinstance(out, tuple) else out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_compiled_is_the_layer(name: str, emitter: Any, dtype: str) -> None:
    make, given = LAYERS[name]
    results = []
    for compiling in (False, True):
        layer = make()
        for value in [*layer.parameters(), *layer.buffers()]:
            if value.dtype.kind == "f":
                ab.assign(value, value.detach())
                value.value = value.value.astype(dtype)
                if value.requires_grad:
                    value.node.dtype = value.value.dtype
        x = ab.tensor(given.astype(dtype), requires_grad=True)

        def step(layer: Any = layer, x: Any = x) -> Any:
            for p in [x, *layer.parameters()]:
                p.grad = None
            out = first(layer(x))
            loss = (ab.sin(out) * ab.tensor(np.cos(np.arange(out.size)).reshape(out.shape).astype(dtype))).sum()
            loss.backward()
            return loss.detach(), out.detach()

        run = ab.jit(step, emitter=emitter) if compiling else step
        outs = [run() for _ in range(3)]
        grads = [p.grad.numpy() for p in [x, *layer.parameters()] if p.grad is not None]
        kept = [value.numpy() for value in layer.buffers()]
        results.append([*(np.array(t) for out in outs for t in out), *grads, *kept])
    eps = 0.0 if emitter == "numpy" else 100 * float(np.finfo(dtype).eps)
    for one, other in zip(results[1], results[0], strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=eps, atol=eps * max(1.0, float(np.max(np.abs(other), initial=0))))

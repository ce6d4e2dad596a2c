"""PyTorch's modules as oracles of ours: the same state, the same inputs, the same results and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_bn.nn import Module
from tests.ops.torch_oracle import assert_same
from tests.oracles import assert_close


def assert_same_module(
    ours: Module, theirs: Any, inputs: Sequence[Any], tolerance: float = 1e-10, own: frozenset[str] = frozenset(), uncounted: frozenset[str] = frozenset()
) -> None:
    """Names and shapes of the state, results, gradients by inputs and parameters, and buffers afterwards.

    PyTorch's parameters become random first, and ours take them; ``own`` are entries of our state that PyTorch does not have,
    ``uncounted`` buffers that it does not move.
    """
    randomise(theirs)
    state = {name: x.detach().numpy() for name, x in theirs.state_dict().items()}
    assert {name: x.shape for name, x in ours.state_dict().items() if name not in own} == {name: x.shape for name, x in state.items()}
    ours.load_state_dict({**ours.state_dict(), **state})
    ours.zero_grad()
    theirs.zero_grad()
    assert_same(ours, theirs, inputs, tolerance)
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        grad = np.zeros(parameter.shape) if expected[name].grad is None else expected[name].grad.numpy()
        assert_close(np.zeros(parameter.shape) if parameter.grad is None else parameter.grad, grad, tolerance, name)
        assert parameter.grad is None or parameter.grad.dtype == parameter.dtype
    buffers = dict(theirs.named_buffers())
    for name, buffer in ours.named_buffers():
        if name not in own | uncounted:
            assert_close(buffer, buffers[name].numpy(), tolerance, name)


def randomise(module: Any, seed: int = 0) -> None:
    """Give every parameter of a module of PyTorch's other values, those of ones and zeros too."""
    rng = np.random.default_rng(seed)
    for parameter in module.parameters():
        parameter.data = parameter.data.new_tensor(rng.normal(0.3, 0.5, tuple(parameter.shape)))

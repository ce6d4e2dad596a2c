"""PyTorch as an oracle: the same function on the same arrays, its values, gradients and dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from tests.oracles import assert_close, value


def torch_module() -> Any:
    """PyTorch, or a skip that says why."""
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[peers]'")


def leaf(torch: Any, x: Any) -> Any:
    """An array as PyTorch's leaf, which requires a gradient where it is of floats."""
    array = np.array(x)
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def _outputs(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (tuple, list)) else [out]


def assert_same(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    operands: Sequence[Any],
    tolerance: float = 1e-10,
    dtype: bool = True,
    seed: int = 0,
) -> None:
    """Values, gradients by every float operand, and dtypes are those of PyTorch."""
    torch = torch_module()
    rng = np.random.default_rng(seed)
    leaves = [ab.tensor(x, requires_grad=np.asarray(x).dtype.kind == "f") for x in operands]
    peers = [leaf(torch, x) for x in operands]
    total: Any = 0.0
    total_peer: Any = 0.0
    found, expected = _outputs(ours(*leaves)), _outputs(theirs(*peers))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert_close(a, b.detach().numpy(), tolerance)
        if dtype:
            assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
        if b.requires_grad:
            weights = rng.standard_normal(tuple(b.shape)).astype(value(a).dtype)
            total = total + (a * weights).sum()
            total_peer = total_peer + (b * torch.tensor(weights)).sum()
        else:
            assert not a.requires_grad
    if not isinstance(total, float):
        total.backward()
        total_peer.backward()
    for mine, peer in zip(leaves, peers, strict=True):
        if peer.requires_grad:
            grad = np.zeros(peer.shape) if peer.grad is None else peer.grad.numpy()
            actual = np.zeros(mine.shape, mine.dtype) if mine.grad is None else value(mine.grad)
            assert_close(actual, grad, tolerance)
            assert actual.dtype == mine.dtype

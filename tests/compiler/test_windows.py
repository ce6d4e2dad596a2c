"""Convolution and pooling as native code: windows are a view, their cotangents side by side or added up, products BLAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from tests.compiler.test_native import array, check_native, close

F = ab.nn.functional


def convolved(**settings: Any) -> Callable[..., Any]:
    """A convolution's sum of squares and its gradients."""
    function = F.conv1d if settings.pop("rank", 2) == 1 else F.conv2d
    return ab.value_and_grad(lambda x, w: (function(x, w, **settings) ** 2).sum(), (0, 1))


def pooled(function: Callable[..., Any], *given: Any, **settings: Any) -> Callable[..., Any]:
    """Pooling, weighted, and its gradient."""
    return lambda x: (function(x, *given, **settings), ab.grad(lambda x: (function(x, *given, **settings) ** 3).sum())(x))


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "convolution": (convolved(), (array(2, 3, 6, 7), array(4, 3, 3, 3))),
    "one image": (convolved(), (array(1, 3, 6, 7), array(4, 3, 3, 3))),
    "stride and padding": (convolved(stride=2, padding=1), (array(2, 3, 6, 7), array(4, 3, 3, 3))),
    "windows that do not touch": (convolved(stride=3), (array(2, 3, 8, 7), array(4, 3, 2, 2))),
    "dilation": (convolved(rank=1, dilation=2, padding=2), (array(3, 3, 9), array(4, 3, 3))),
    "groups": (convolved(groups=2, padding="same"), (array(2, 4, 6, 7), array(4, 2, 3, 3))),
    "a window of one": (convolved(), (array(2, 3, 4, 5), array(4, 3, 1, 1))),
    "the largest": (pooled(F.max_pool2d, 2), (array(2, 3, 6, 7),)),
    "the largest of windows that overlap": (pooled(F.max_pool2d, 3, 2, padding=1), (array(2, 3, 6, 7),)),
    "the mean": (pooled(F.avg_pool2d, 2), (array(2, 3, 6, 8),)),
    "the mean of windows that overlap": (pooled(F.avg_pool1d, 3, 1, padding=1), (array(2, 3, 7),)),
    "the mean of parts": (pooled(F.adaptive_avg_pool2d, 2), (array(2, 3, 5, 7),)),
    "whole numbers": (lambda x: F.max_pool1d(x, 2), (ab.tensor(np.arange(12).reshape(2, 6) % 5),)),
    "second order": (lambda x, w: ab.grad(lambda x: (ab.grad(lambda x: (F.conv1d(x, w) ** 3).sum())(x) ** 2).sum())(x), (array(2, 1, 6), array(2, 1, 3))),
    "einsum": (lambda x, y: ab.einsum("abc,cbd->da", x, y) + ab.einsum("abc,cbd->d", x, y)[:, None], (array(2, 3, 4), array(4, 3, 5))),
    "einsum of stacks": (lambda x, y: ab.einsum("gab,gcb->agc", x, y), (array(2, 3, 4), array(2, 5, 4))),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
def test_windows_are_native(name: str, dtype: str, emitter: Any) -> None:
    check_native(*CASES[name], dtype, emitter, 300)


def test_the_mask_of_a_largest_element_is_not_kept() -> None:
    compiled = ab.jit(ab.grad(lambda x: (F.max_pool2d(x, 2) ** 3).sum()))
    compiled(array(2, 3, 6, 8))
    nodes = compiled.lowered.nodes
    sliced = [nodes[node.inputs[0]] for node in nodes if node.primitive is not None and node.primitive.name == "getitem"]
    assert sliced and all(node.primitive is not None and node.primitive.name == "windows" for node in sliced)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_training_steps_of_a_convolutional_network_are_one_native_call_each(dtype: str) -> None:
    nn = ab.nn

    def network() -> tuple[Any, Any]:
        parts = [nn.Conv2d(1, 3, 3, bias=False, rng=0, dtype=dtype), nn.BatchNorm2d(3, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2)]
        parts += [nn.Conv2d(3, 4, 2, padding=1, rng=1, dtype=dtype), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3, rng=2, dtype=dtype)]
        net = nn.Sequential(*parts)
        optimizer = ab.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step, net

    (step, compiled), (eager, expected) = network(), network()
    run = ab.jit(step)
    x, y = array(5, 1, 9, 9, dtype=dtype), ab.tensor([0, 2, 1, 1, 0])
    for _ in range(5):
        close(run(x, y), eager(x, y), 1e4 * np.finfo(dtype).eps)
    for one, other in zip(compiled.state_dict().values(), expected.state_dict().values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e4 * np.finfo(dtype).eps, atol=1e4 * np.finfo(dtype).eps)
    assert "functions in 1 calls" in run.explain() and " by NumPy" not in run.explain()

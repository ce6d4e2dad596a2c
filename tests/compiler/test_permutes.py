"""Permutations of axes go behind what does not care for their order, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.graph import Graph
from autograd_bn.core.primitive import registry
from tests.compiler.test_jit import array, same, values

F = nn.functional


def permuted_operands(graph: Graph) -> list[str]:
    """The operations on a permuted value of three axes or more, but for small values that an elementwise one repeats."""
    late = {node.index: node.shape for node in graph.nodes if node.primitive is registry["permute_dims"] and len(node.shape or ()) > 2}
    return [
        node.primitive.name
        for node in graph.nodes
        if node.primitive is not None and any(i in late and (not node.primitive.pointwise or late[i] == node.shape) for i in node.inputs)
    ]


X, Y = array(2, 3, 4, 5), array(3, 5, 1, seed=1)
AXES = (3, 1, 0, 2)  # of X: (5, 3, 2, 4)

FUNCTIONS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "an elementwise operation": (lambda x, y: ab.permute_dims(ab.exp(ab.permute_dims(x, AXES)), (2, 1, 3, 0)), []),
    "two operands permuted alike": (lambda x, y: (ab.permute_dims(x, AXES) * ab.permute_dims(x + 1, AXES)).sum(), []),
    "two operands permuted otherwise": (lambda x, y: ab.permute_dims(ab.zeros((2, 4, 3, 5)), (3, 2, 0, 1)) + ab.permute_dims(x, AXES), ["add"]),
    "an operand that is not permuted": (lambda x, y: ab.permute_dims(x, AXES) + array(5, 3, 2, 4), ["add"]),
    "a small operand": (lambda x, y: (ab.permute_dims(x, AXES) * y[:, :1]).max(), []),
    "a small operand whose axes lie otherwise": (lambda x, y: (ab.permute_dims(x, AXES) * y[:, :2]).max(), ["mul"]),
    "a small operand that is permuted too": (lambda x, y: (ab.permute_dims(x, AXES) - ab.permute_dims(x.mean((2, 3), keepdims=True), AXES)).max(), []),
    "a row": (lambda x, y: (ab.permute_dims(x, AXES) - array(4, seed=2)).max(), []),
    "a number": (lambda x, y: (2.0 - ab.permute_dims(x, AXES)).max(), []),
    "a comparison": (lambda x, y: ab.where(ab.permute_dims(x, AXES) > 0, ab.permute_dims(x, AXES), 0.0).sum(axis=(0, 2)), []),
    "another dtype": (lambda x, y: ab.permute_dims(x, AXES).astype("float32").max(), []),
    "a sum along axes": (lambda x, y: ab.permute_dims(x, AXES).sum(axis=(0, 2)), []),
    "a mean whose axes are kept": (lambda x, y: ab.permute_dims(x, AXES).mean(axis=(0, 2), keepdims=True), []),
    "a maximum along one axis": (lambda x, y: ab.permute_dims(x, AXES).max(axis=1), []),
    "whether all": (lambda x, y: (ab.permute_dims(x, AXES) > -9).all(axis=(0, 3)), []),
    "two permutations": (lambda x, y: ab.permute_dims(ab.permute_dims(x, AXES), (1, 3, 2, 0)), []),
    "rows of a permutation": (lambda x, y: ab.permute_dims(x, (1, 2, 3, 0)).reshape((60, 2)), []),
    "rows in parts": (lambda x, y: ab.permute_dims(x, (2, 3, 0, 1)).reshape((20, 6)) @ ab.permute_dims(x, (0, 1, 3, 2)).reshape((6, 20)), ["reshape"]),
    "rows that were apart": (lambda x, y: ab.permute_dims(x, (2, 0, 3, 1)).reshape((8, 15)), ["reshape"]),
    "a row cut in two": (lambda x, y: ab.permute_dims(x, (1, 2, 3, 0)).reshape((6, 10, 2)), ["reshape"]),
    "axes of length 1": (lambda x, y: ab.permute_dims(x.mean(axis=(0, 2), keepdims=True), (0, 2, 1, 3)) * 2, []),
    "a cumulative sum": (lambda x, y: ab.permute_dims(x, AXES).cumsum(1), ["cumsum"]),
    "a gradient": (ab.grad(lambda x, y: (ab.permute_dims(x, AXES) ** 2 / (1 + ab.permute_dims(x, AXES).mean(axis=(0, 2), keepdims=True) ** 2)).sum()), ["add"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_permuted_value_meets_only_what_cares(name: str) -> None:
    function, left = FUNCTIONS[name]
    compiled = ab.jit(function, emitter="numpy")
    same(values(compiled(X, Y)), values(function(X, Y)), "numpy")
    assert permuted_operands(compiled.lowered) == left


def test_a_matrix_stays_permuted() -> None:
    compiled = ab.jit(lambda x: ab.exp(x.T).sum(0), emitter="numpy")
    np.testing.assert_allclose(values(compiled(array(3, 4))), values(ab.exp(array(3, 4).T).sum(0)), rtol=1e-15)
    assert [node.primitive.name for node in compiled.lowered.nodes if node.primitive] == ["permute_dims", "exp", "sum"]


def convolutional(seed: int = 0) -> nn.Sequential:
    rng = nn.init.generator(seed)
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3, bias=False, rng=rng), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(3, 4, 2, bias=False, rng=rng), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(4, 5, rng=rng)),
    )


def test_a_training_step_of_a_convolutional_network_is_the_same_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((6, 1, 8, 8)).astype("float32"), rng.integers(0, 5, 6)) for _ in range(3)]
    states, losses = [], []
    for compile_it in (False, True):
        model = convolutional()
        optimizer = ab.optim.Adam(model.parameters(), lr=0.01)

        def step(x: Any, y: Any, model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = ab.jit(step, emitter="numpy") if compile_it else step
        losses.append([run(ab.tensor(x), ab.tensor(y)).item() for x, y in batches])
        states.append(model.state_dict())
    assert losses[0] == losses[1]
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)
    # what is left: the images on their way in and out again into rows, and the transposes of products
    assert set(permuted_operands(run.lowered)) == {"windows", "reshape"}

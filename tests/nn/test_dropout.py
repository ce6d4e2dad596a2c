"""Dropout: what it takes, the gradient, and the same elements in every way of running it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import DtypeError, OperationError
from autograd_bn.nn import functional as F
from tests.messages import refused

X = np.random.default_rng(0).standard_normal((6, 5))


def test_the_share_and_the_mean() -> None:
    n, p = 100_000, 0.3
    y = F.dropout(np.ones(n, "float32"), p, rng=nn.Generator(0)).numpy()
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - p) < 5 * (p * (1 - p) / n) ** 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_goes_where_the_values_went(dtype: str) -> None:
    x = ab.tensor(X.astype(dtype), requires_grad=True)
    y = nn.Dropout(0.4, rng=1)(x)
    y.sum().backward()
    scale = y.detach().numpy() / X.astype(dtype)
    assert x.grad.dtype == y.dtype == np.dtype(dtype)
    np.testing.assert_allclose(np.array(x.grad), scale, rtol=1e-6)
    assert set(np.round(np.unique(np.array(x.grad)), 6)) == {0, np.round(np.array(1 / 0.6, dtype), 6)}


def test_in_evaluation_and_with_p_0_nothing_happens_and_with_p_1_all_is_gone() -> None:
    layer = nn.Dropout(0.5, rng=0)
    state = layer.random_state.tolist()
    x = ab.tensor(X)
    assert layer.eval()(x) is x
    assert nn.Dropout(0.0, rng=0)(x) is x
    assert layer.random_state.tolist() == state
    leaf = ab.tensor(X, requires_grad=True)
    out = nn.Dropout(1.0, rng=0)(leaf)
    out.sum().backward()
    assert not out.detach().numpy().any()
    assert not np.array(leaf.grad).any()


def network(seed: int, checkpointed: bool = False) -> nn.Module:
    shared = nn.Generator(seed)
    block = nn.Sequential(nn.Dropout(0.3, rng=shared), nn.Linear(5, 5, rng=0, dtype="float64"), nn.Tanh(), nn.Dropout(0.4, rng=shared))

    class Network(nn.Module):
        def __init__(self) -> None:
            self.block = block
            self.head = nn.Sequential(nn.Linear(5, 3, rng=1, dtype="float64"), nn.Dropout(0.2, rng=seed + 1))

        def forward(self, x: Any) -> Any:
            return self.head(ab.checkpoint(self.block)(x) if checkpointed else self.block(x))

    return Network()


def trained(model: nn.Module, steps: int, compiled: bool = False) -> dict[str, Any]:
    optimizer = ab.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = ab.jit(step) if compiled else step
    for i in range(steps):
        run(ab.tensor(X * (i + 1)))
    return model.state_dict()


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_training_is_the_same_eager_compiled_and_recomputed(compiled: bool, checkpointed: bool) -> None:
    expected = trained(network(7), 4)
    found = trained(network(7, checkpointed), 4, compiled)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-12, err_msg=name)
        if "random" in name:
            np.testing.assert_array_equal(found[name], array)
    assert expected["block.0.random_state"][1] == 8
    assert (trained(network(8), 4)["head.0.weight"] != expected["head.0.weight"]).any()


def test_checkpoints_inside_each_other_and_higher_orders_draw_the_same() -> None:
    def f(checkpoint: Any) -> Any:
        rng = nn.Generator(5)
        inner = checkpoint(lambda x: F.dropout(ab.sin(x) * x, 0.3, rng=rng))
        outer = checkpoint(lambda x: F.dropout(inner(x) * inner(x * 2), 0.3, rng=rng) * inner(x))
        found = ab.grad(lambda x: (ab.grad(lambda x: (outer(x) ** 2).sum())(x) ** 2).sum())(X)
        return found.numpy(), rng.state.tolist()

    plain, recomputed = f(lambda g: g), f(ab.checkpoint)
    np.testing.assert_allclose(recomputed[0], plain[0], rtol=1e-12)
    assert recomputed[1] == plain[1]


def test_a_recomputation_leaves_the_state_as_it_is_by_then() -> None:
    layer = nn.Dropout(0.5, rng=0)
    loss = (ab.checkpoint(layer)(ab.tensor(X, requires_grad=True) * 2.0) ** 2).sum()
    layer(X)
    layer(X)
    state = layer.random_state.tolist()
    assert state[1] == 3
    loss.backward()
    assert layer.random_state.tolist() == state


def test_a_state_that_was_loaded_goes_on_with_the_same_elements() -> None:
    one, other = nn.Sequential(nn.Dropout(0.5, rng=0)), nn.Sequential(nn.Dropout(0.5, rng=1))
    one(X)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one(X).numpy(), other(X).numpy())


def test_a_resumed_run_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    def run(steps: int, seed: int, resume: bool = False) -> dict[str, Any]:
        model = nn.Sequential(nn.Linear(5, 8, rng=0), nn.ReLU(), nn.Dropout(0.5, rng=seed), nn.Linear(8, 3, rng=1))
        data = ab.data.Loader((X.astype("float32"), np.arange(6) % 3), 2, seed=0)
        optimizer = ab.optim.Adam(model.parameters())
        path = tmp_path / f"{'resumed' if steps < 10 or resume else 'whole'}.safetensors"
        ab.train.fit(model, optimizer, data, steps=steps, checkpoint=path, resume=resume, progress=False)
        return model.state_dict()

    whole = run(10, 0)
    run(4, 0)
    resumed = run(10, 99, resume=True)
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


def test_a_gradient_by_a_transform_draws_once() -> None:
    model = nn.Sequential(nn.Linear(5, 3, rng=0), nn.Dropout(0.5, rng=0))
    ab.grad(lambda m: (m(X) ** 2).sum())(model)
    assert model[1].random_state.tolist()[1] == 1  # type: ignore[attr-defined]


def test_inside_vmap_it_is_refused_in_training_only() -> None:
    layer = nn.Dropout(0.5, rng=0)
    with pytest.raises(OperationError, match=r"dropout\(x float64\[5\]\) inside vmap[\s\S]*whole batch[\s\S]*test_dropout.py"):
        ab.vmap(layer)(X)
    assert layer.random_state.tolist()[1] == 0
    np.testing.assert_array_equal(ab.vmap(layer.eval())(X).numpy(), X)
    weights = F.dropout(X[0], 0.5, rng=nn.Generator(0))
    mapped = ab.vmap(lambda row: row * F.dropout(X[0], 0.5, rng=nn.Generator(0)))(X)
    np.testing.assert_array_equal(mapped.numpy(), X * weights.numpy())


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: F.dropout(X, 1.5, rng=nn.Generator(0)), OperationError, ["from 0 to 1", "got 1.5", "test_dropout.py"]),
        (lambda: F.dropout(X, 0.5), OperationError, ["nn.Generator(seed)", "rng", "test_dropout.py"]),
        (lambda: F.dropout(np.arange(3), 0.5, rng=nn.Generator(0)), DtypeError, ["int64[3]", "real floating", "test_dropout.py"]),
        (lambda: nn.Dropout(-0.1), OperationError, ["from 0 to 1", "got -0.1"]),
        (lambda: nn.Dropout(float("nan")), OperationError, ["from 0 to 1"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts):
        call()


def test_the_function_takes_a_seed_as_the_layer_does() -> None:
    x = ab.ones(50)
    first = ab.nn.functional.dropout(x, 0.5, rng=3)
    np.testing.assert_array_equal(first.numpy(), ab.nn.functional.dropout(x, 0.5, rng=ab.nn.Generator(3)).numpy())
    np.testing.assert_array_equal(first.numpy(), ab.nn.functional.dropout(x, 0.5, rng=np.int64(3)).numpy())
    assert set(first.tolist()) == {0.0, 2.0}
    with pytest.raises(OperationError, match="rng is an nn.Generator, or a seed, got RandomState"):
        ab.nn.functional.dropout(x, 0.5, rng=np.random.RandomState(0))  # type: ignore[arg-type]
    with pytest.raises(OperationError, match=r"got Generator; make one with nn.Generator\(rng\)"):
        ab.nn.functional.dropout(x, 0.5, rng=np.random.default_rng(0))  # type: ignore[arg-type]

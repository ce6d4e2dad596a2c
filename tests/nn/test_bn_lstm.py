"""BN-LSTM against the paper's equations in NumPy: values, gradients, statistics of each step, and what a user must be told."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError
from tests.messages import refused
from tests.oracles import central

Array = np.ndarray[Any, Any]
EPS = 1e-3


def batch(length: int = 5, n: int = 6, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((length, n, 3))


def make(max_length: int = 5, seed: int = 0, **settings: Any) -> nn.BNLSTM:
    layer = nn.BNLSTM(3, 4, max_length, **{"eps": EPS, "dtype": "float64", "rng": seed, **settings})
    rng = np.random.default_rng(seed)
    for name, p in layer.named_parameters():
        if not name.startswith("weight"):
            ab.assign(p, rng.uniform(0.2, 1.0, p.shape))
    return layer


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def reference(p: dict[str, Array], x: Array, population: Any = None) -> tuple[Array, list[dict[str, tuple[Array, Array]]]]:
    """The outputs at every step, and the mean and the biased variance of every step. Straight from the paper."""
    h = c = np.zeros((x.shape[1], 4))
    outputs, found = [], []
    for t, row in enumerate(x):
        seen: dict[str, tuple[Array, Array]] = {}

        def normalised(name: str, values: Array, t: int = t, seen: dict[str, Any] = seen) -> Array:
            seen[name] = (values.mean(0), values.var(0)) if population is None else population(name, t)
            mean, variance = seen[name]
            return p[f"{name}.weight"] * (values - mean) / np.sqrt(variance + EPS)

        gates = normalised("norm_h", h @ p["weight_hh"].T) + normalised("norm_x", row @ p["weight_ih"].T) + p["bias"]
        f, i, o, g = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(normalised("norm_c", c) + p["norm_c.bias"])
        outputs.append(h)
        found.append(seen)
    return np.stack(outputs), found


def test_training_is_the_papers_recurrence() -> None:
    layer, x = make(), batch()
    outputs, (h, c) = layer(x)
    expected, _ = reference(layer.state_dict(), x)
    np.testing.assert_allclose(outputs.detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(h.detach().numpy()[0], expected[-1], atol=1e-12)
    assert c.shape == (1, 6, 4)


def test_each_step_has_running_statistics_of_its_own_over_twenty_batches() -> None:
    layer = make(momentum=0.3)
    running: dict[tuple[str, int], list[Array]] = {}
    for seed in range(20):
        x = batch(seed=seed)
        layer(x)
        for t, seen in enumerate(reference(layer.state_dict(), x)[1]):
            for name, (mean, variance) in seen.items():
                old = running.setdefault((name, t), [np.zeros_like(mean), np.ones_like(mean)])
                running[name, t] = [0.7 * old[0] + 0.3 * mean, 0.7 * old[1] + 0.3 * variance * 6 / 5]
    state = layer.state_dict()
    assert len(running) == 15
    for (name, t), (mean, variance) in running.items():
        np.testing.assert_allclose(state[f"{name}.steps.{t}.running_mean"], mean, atol=1e-12)
        np.testing.assert_allclose(state[f"{name}.steps.{t}.running_var"], variance, atol=1e-12)
    assert not np.allclose(running["norm_c", 0][1], running["norm_c", 4][1], rtol=0.1)


@pytest.mark.parametrize("length", [5, 8])
def test_evaluation_takes_each_steps_statistics_and_the_last_ones_beyond(length: int) -> None:
    layer = make(max_length=5)
    for seed in range(4):
        layer(batch(seed=seed))
    state, x = layer.state_dict(), batch(length, seed=9)

    def population(name: str, t: int) -> tuple[Array, Array]:
        step = f"{name}.steps.{min(t, 4)}"
        return state[f"{step}.running_mean"], state[f"{step}.running_var"]

    evaluated = layer.eval()(x)[0].detach().numpy()
    np.testing.assert_allclose(evaluated, reference(state, x, population)[0], atol=1e-12)
    np.testing.assert_allclose(layer(x[:, :1])[0].detach().numpy(), evaluated[:, :1], atol=1e-12)


def test_training_beyond_the_last_step_moves_no_statistics() -> None:
    short, long, x = make(max_length=3), make(max_length=5), batch()
    np.testing.assert_allclose(short(x)[0].detach().numpy(), long(x)[0].detach().numpy(), atol=1e-14)
    state = long.state_dict()
    for name, array in short.state_dict().items():
        np.testing.assert_allclose(array, state[name], atol=1e-14, err_msg=name)
    assert short.norm_c.steps[2].num_batches_tracked.item() == 1  # type: ignore[union-attr]


def test_gradients_agree_with_differences_of_the_reference() -> None:
    layer, x = make(), batch()
    leaf, weights = ab.tensor(x, requires_grad=True), batch(seed=5)[:, :, :1] * np.ones(4)
    (layer(leaf)[0] * weights).sum().backward()
    parameters = {name: np.array(p.detach()) for name, p in layer.named_parameters()}
    rng = np.random.default_rng(3)
    for name, value in {**parameters, "x": x}.items():
        direction = rng.standard_normal(value.shape)

        def along(moved: Array, name: str = name) -> Array:
            return (reference({**parameters, name: moved}, moved if name == "x" else x)[0] * weights).sum()

        found = np.array(leaf.grad) if name == "x" else np.array(dict(layer.named_parameters())[name].grad)
        np.testing.assert_allclose((found * direction).sum(), central(along, (value,), (direction,)), rtol=1e-6, atol=1e-6, err_msg=name)


def test_it_starts_as_the_paper_says_and_prints_in_a_few_lines() -> None:
    layer = nn.BNLSTM(3, 4, 7, batch_first=True)
    for norm in (layer.norm_x, layer.norm_h, layer.norm_c):
        np.testing.assert_array_equal(norm.weight.value, np.float32(0.1))
        assert len(norm.steps) == 7
    assert layer.norm_x.bias is layer.norm_h.bias is None
    assert layer.norm_c.bias is not None
    assert {p.dtype for p in layer.parameters()} == {np.dtype("float32")}
    assert len(list(layer.parameters())) == 7
    assert repr(layer).splitlines() == [
        "BNLSTM(",
        "  3, 4, max_length=7, batch_first=True",
        "  (norm_x): StepwiseNorm(16, eps=1e-05, momentum=0.1, steps=7)",
        "  (norm_h): StepwiseNorm(16, eps=1e-05, momentum=0.1, steps=7)",
        "  (norm_c): StepwiseNorm(4, eps=1e-05, momentum=0.1, steps=7)",
        ")",
    ]


def test_batch_first_a_given_state_and_float32() -> None:
    x = batch().astype("float32")
    one, other = make(dtype="float32"), make(dtype="float32", batch_first=True)
    state = tuple(np.random.default_rng(k).standard_normal((1, 6, 4)).astype("float32") for k in (1, 2))
    outputs, _ = one(x, state)
    swapped, (h, c) = other(x.swapaxes(0, 1), state)
    np.testing.assert_allclose(swapped.detach().numpy().swapaxes(0, 1), outputs.detach().numpy(), rtol=1e-6)
    outputs.sum().backward()
    assert {outputs.dtype, h.dtype, c.dtype, *(p.grad.dtype for p in one.parameters())} == {np.dtype("float32")}
    assert (outputs.detach().numpy() != one(x)[0].detach().numpy()).any()


def test_a_compiled_step_a_checkpoint_and_an_eager_one_train_alike() -> None:
    def trained(how: str) -> dict[str, Array]:
        layer = make()
        optimizer = ab.optim.SGD(layer.parameters(), lr=0.1)
        function = ab.checkpoint(layer) if how == "checkpoint" else layer

        def step(x: Any) -> None:
            optimizer.zero_grad()
            (function(x)[0] ** 2).sum().backward()
            optimizer.step()

        run = ab.jit(step) if how == "jit" else step
        for seed in range(3):
            run(ab.tensor(batch(seed=seed)))
        return layer.state_dict()

    expected = trained("eager")
    for how in ("jit", "checkpoint"):
        for name, array in trained(how).items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-9, atol=1e-12, err_msg=f"{how} {name}")


def test_evaluating_a_step_that_was_never_trained_warns_once() -> None:
    layer = make(max_length=5)
    layer(batch(3))
    with pytest.warns(UserWarning, match=r"BNLSTM evaluates step 3 before.*max_length.*recalibrate") as caught:
        layer.eval()(batch(5))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(batch(5))


def test_recalibrate_freeze_and_no_stat_update_reach_every_step() -> None:
    layer, x = make(), batch()
    before = layer.state_dict()
    with nn.no_stat_update():
        layer(x)
    assert all((before[name] == array).all() for name, array in layer.state_dict().items())
    nn.recalibrate(layer, [x])
    mean, variance = reference(layer.state_dict(), x)[1][4]["norm_c"]
    np.testing.assert_allclose(layer.norm_c.steps[4].running_mean.value, mean, atol=1e-12)
    np.testing.assert_allclose(layer.norm_c.steps[4].running_var.value, variance * 6 / 5, atol=1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_failed_call_leaves_the_statistics_of_its_step_alone() -> None:
    layer = make()
    layer(batch())
    before = layer.state_dict()
    bad = batch()
    bad[0, 2, 1] = np.nan
    with pytest.raises(OperationError, match=r"norm_x[\s\S]*not finite[\s\S]*test_bn_lstm.py"):
        layer(bad)
    for name, array in layer.state_dict().items():
        if name.startswith(("norm_x", "norm_c")):
            np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: make()(np.ones((5, 1, 3))), ShapeError, ["one value a channel", "larger batch", "test_bn_lstm.py"]),
        (lambda: make()(np.ones((5, 6, 2))), ShapeError, ["BNLSTM", "(L, N, 3)", "float64[5, 6, 2]", "test_bn_lstm.py"]),
        (lambda: make()(np.ones((5, 0, 3))), ShapeError, ["none of them 0", "test_bn_lstm.py"]),
        (lambda: make()(np.ones((5, 6, 3)), (np.ones((6, 4)), np.ones((6, 4)))), ShapeError, ["state h", "(1, 6, 4)", "got (6, 4)"]),
        (lambda: nn.BNLSTM(3, 4, 0), OperationError, ["max_length", "got 0"]),
        (lambda: nn.BNLSTM(3, 4, 5, momentum=3.0), OperationError, ["momentum"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts):
        call()

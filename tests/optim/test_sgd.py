from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import GradientError, OperationError
from autograd_bn.optim import SGD

SETTINGS: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9},
    {"weight_decay": 0.1},
    {"momentum": 0.9, "weight_decay": 0.01},
    {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05},
]


def quadratic(w: Any, a: Any) -> Any:
    return ((w - a) ** 2 * 0.5).sum()


def reference(settings: dict[str, Any], w: Any, a: Any, lr: float, steps: int) -> Any:
    """PyTorch's documented formula."""
    v = None
    for _ in range(steps):
        g = (w - a) + settings.get("weight_decay", 0.0) * w
        mu = settings.get("momentum", 0.0)
        if mu:
            v = g if v is None else mu * v + g
            g = g + mu * v if settings.get("nesterov") else v
        w = w - lr * g
    return w


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_hundred_steps_follow_the_formula(settings: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    start, a = rng.standard_normal(4), rng.standard_normal(4)
    w = ab.tensor(start, requires_grad=True)
    optimizer = SGD([w], lr=0.05, **settings)
    for _ in range(100):
        optimizer.zero_grad()
        quadratic(w, a).backward()
        optimizer.step()
    np.testing.assert_allclose(w.value, reference(settings, start, a, 0.05, 100), atol=1e-12)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_hundred_steps_of_a_network_agree_with_pytorch(settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 6, bias=False), torch.nn.BatchNorm1d(6), torch.nn.Sigmoid(), torch.nn.Linear(6, 3)).double()
    layers = (nn.Linear(4, 6, bias=False, dtype="float64"), nn.BatchNorm1d(6, dtype="float64"), nn.Sigmoid(), nn.Linear(6, 3, dtype="float64"))
    ours = nn.Sequential(*layers)
    ours.load_state_dict(theirs.state_dict())
    a, b = SGD(ours.parameters(), lr=0.1, **settings), torch.optim.SGD(theirs.parameters(), lr=0.1, **settings)
    rng = np.random.default_rng(0)
    for _ in range(100):
        x, y = rng.standard_normal((12, 4)), rng.integers(0, 3, 12)
        a.zero_grad()
        b.zero_grad()
        nn.functional.cross_entropy(ours(x), y).backward()
        torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y)).backward()
        a.step()
        b.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=0, atol=1e-6)


def test_float32_parameters_stay_float32() -> None:
    w = ab.tensor(np.ones(2, "float32"), requires_grad=True)
    optimizer = SGD([w], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)
    for _ in range(2):
        quadratic(w, np.zeros(2, "float32")).backward()
        optimizer.step()
    assert w.dtype == np.float32


def test_a_step_does_not_write_into_saved_values() -> None:
    w = ab.tensor([3.0], requires_grad=True)
    later = (w * w).sum()
    optimizer = SGD([w], lr=0.1)
    quadratic(w, 0.0).backward()
    optimizer.step()
    w.grad = None
    later.backward()
    assert w.grad.tolist() == [6.0]


def test_parameters_without_a_gradient_stay() -> None:
    w, u = ab.tensor([1.0], requires_grad=True), ab.tensor([1.0], requires_grad=True)
    optimizer = SGD([w, u], lr=0.1, weight_decay=0.5)
    quadratic(w, 0.0).backward()
    optimizer.step()
    assert u.tolist() == [1.0]
    assert w.item() == pytest.approx(0.85)


def test_stopping_and_going_on_is_the_same_as_going_on() -> None:
    def run(w: Any, optimizer: SGD, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            quadratic(w, 2.0).backward()
            optimizer.step()

    w = ab.tensor([1.0, 5.0], requires_grad=True)
    first = SGD([w], lr=0.1, momentum=0.9)
    run(w, first, 3)
    u = ab.tensor(w.detach(), requires_grad=True)
    second = SGD([u], lr=1.0)
    second.load_state_dict(first.state_dict())
    run(w, first, 3)
    run(u, second, 3)
    assert w.tolist() == u.tolist()


def test_a_state_that_does_not_fit_is_refused_with_all_that_is_wrong() -> None:
    w = ab.tensor([1.0, 5.0], requires_grad=True)
    optimizer = SGD([w], lr=0.1, momentum=0.5)
    good = optimizer.state_dict()
    (group,) = good["param_groups"]

    def load(**changed: Any) -> None:
        optimizer.load_state_dict({**good, **changed})

    with pytest.raises(OperationError, match="missing: state"):
        optimizer.load_state_dict({"param_groups": [group]})
    with pytest.raises(OperationError, match=r"missing: lr(.|\n)*unexpected: rate(.|\n)*shape \(2,\) has shape \(3,\)"):
        load(param_groups=[{"rate" if k == "lr" else k: v for k, v in group.items()}], state=[{"velocity": np.ones(3)}])
    with pytest.raises(OperationError, match="2 entries for 1 parameters"):
        load(state=[{}, {}])
    with pytest.raises(OperationError, match="unexpected: mean"):
        load(state=[{"mean": np.ones(2)}])
    with pytest.raises(OperationError, match="2 groups, this optimiser has 1"):
        load(param_groups=[group, group])
    with pytest.raises(OperationError, match="momentum"):
        load(param_groups=[{**group, "lr": 7.0, "momentum": 2.0}])
    with pytest.raises(OperationError, match="nesterov"):
        load(param_groups=[{**group, "lr": 7.0, "momentum": 0.0, "nesterov": True}])
    assert optimizer.lr == 0.1
    assert optimizer.state_dict()["state"] == [{}]


def test_bad_parameters_are_refused() -> None:
    w = ab.tensor([1.0], requires_grad=True, name="w")
    with pytest.raises(OperationError, match="got none"):
        SGD([], lr=0.1)
    with pytest.raises(OperationError, match=r"parameter 1 \(w\).*twice, at positions 0 and 1"):
        SGD([w, w], lr=0.1)
    with pytest.raises(OperationError, match=r"pass \[parameter\]"):
        SGD(w, lr=0.1)  # type: ignore[arg-type]
    with pytest.raises(GradientError, match=r"no leaf but the result of mul at .*test_sgd.py"):
        SGD([w * 2.0], lr=0.1)
    with pytest.raises(GradientError, match="requires_grad=True"):
        SGD([ab.tensor([1.0])], lr=0.1)
    with pytest.raises(OperationError, match="takes tensors, got ndarray"):
        SGD([np.ones(2)], lr=0.1)  # type: ignore[list-item]


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"lr": float("nan")}, {"momentum": 1.0}, {"weight_decay": -0.1}, {"nesterov": True}, {"lr": "0.1"}])
def test_bad_settings_are_refused(options: dict[str, Any]) -> None:
    w = ab.tensor([1.0], requires_grad=True)
    with pytest.raises(OperationError, match=next(iter(options))):
        SGD([w], **{"lr": 0.1, **options})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_refused_and_nothing_changes(bad: float) -> None:
    w, u = ab.tensor([1.0], requires_grad=True), ab.tensor([1.0, 2.0], requires_grad=True, name="u")
    optimizer = SGD([w, u], lr=0.1, momentum=0.9)
    quadratic(w, 0.0).backward()
    u.grad = ab.tensor([0.0, bad])
    with pytest.raises(GradientError, match=r"parameter 1 \(u\) of shape \(2,\) has 1 elements of 2"):
        optimizer.step()
    assert w.tolist() == [1.0]
    assert optimizer.state_dict()["state"] == [{}, {}]


@pytest.mark.parametrize("emitter", ["llvm", "numpy"])
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.5}])
def test_a_compiled_first_step_that_was_refused_or_forgotten_is_a_first_step_again(settings: dict[str, Any], emitter: Any) -> None:
    w, u = (ab.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    optimizers = [SGD([p], lr=0.1, **settings) for p in (w, u)]
    begun = optimizers[0].state_dict()
    steps = (optimizers[0].step, ab.jit(optimizers[1].step, emitter=emitter))
    for gradient in ([np.nan, 1.0], [1.0, 2.0], [3.0, 4.0], None, [5.0, 6.0], [7.0, 8.0], [1.0, 1.0]):
        for p, optimizer, step in zip((w, u), optimizers, steps, strict=True):
            if gradient is None:
                optimizer.load_state_dict(begun)
                continue
            p.grad = ab.tensor(gradient)
            if np.isnan(gradient).any():
                with pytest.raises(GradientError, match="NaN"):
                    step()
            else:
                step()
        np.testing.assert_allclose(u.numpy(), w.numpy(), rtol=1e-14)


def test_a_huge_but_finite_gradient_is_taken() -> None:
    w = ab.tensor(np.zeros(2, "float32"), requires_grad=True)
    w.grad = ab.tensor(np.full(2, 3e38, "float32"))
    SGD([w], lr=1e-38).step()
    np.testing.assert_allclose(w.value, -3, rtol=1e-5)


def test_a_step_without_gradients_or_effects_is_refused() -> None:
    w = ab.tensor([1.0], requires_grad=True)
    optimizer = SGD([w], lr=0.1)
    with pytest.raises(GradientError, match=r"backward\(\) first"):
        optimizer.step()
    quadratic(w, 0.0).backward()
    with nn.no_stat_update(), pytest.raises(OperationError, match="no_effects"):
        optimizer.step()

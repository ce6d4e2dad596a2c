"""Every optimiser and schedule beside PyTorch's, over 100 steps in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import optim

torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")

OPTIMISERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"momentum": 0.8, "nesterov": True, "maximize": True, "lr": 1e-4}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.7}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
]


def run(steps: int, make: Any, *, groups: bool = False, clip: Any = None, schedule: Any = None) -> float:
    """The largest difference of any parameter at any of the steps; the third parameter has a gradient only now and then."""
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape) for shape in ((3, 2), (2,), (4,))]
    a = [ab.tensor(x, requires_grad=True) for x in start]
    b = [torch.tensor(x, requires_grad=True) for x in start]

    def grouped(p: list[Any]) -> Any:
        return [{"params": p[:1], "lr": 0.003}, {"params": p[1:], "weight_decay": 0.2}] if groups else p

    ours, theirs = make(optim, grouped(a)), make(torch.optim, grouped(b))
    schedules = [schedule(optim, ours), schedule(torch.optim.lr_scheduler, theirs)] if schedule else []
    worst = 0.0
    for i in range(steps):
        x = rng.standard_normal((5, 3)) * 3
        for p, sin, optimiser in ((a, ab.sin, ours), (b, torch.sin, theirs)):
            optimiser.zero_grad()
            inputs = ab.tensor(x) if p is a else torch.tensor(x)
            loss = ((sin(inputs @ p[0]) + p[1]) ** 2).sum()
            if i % 3 == 1:
                loss = loss + (p[2] ** 2).sum()
            loss.backward()
        if clip:
            assert clip(optim, a) == pytest.approx(clip(torch.nn.utils, b), rel=1e-6)
        ours.step()
        theirs.step()
        for each in schedules:
            each.step()
        worst = max(worst, *[float(np.abs(p.numpy() - q.detach().numpy()).max()) for p, q in zip(a, b, strict=True)])
        assert [g["lr"] for g in ours.param_groups] == pytest.approx([g["lr"] for g in theirs.param_groups], abs=1e-12)
    assert any(np.abs(p.numpy() - x).max() > 1e-3 for p, x in zip(a, start, strict=True))
    return worst


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(("name", "settings"), OPTIMISERS, ids=lambda x: x if isinstance(x, str) else ",".join(x) or "default")
def test_an_optimiser_agrees(name: str, settings: dict[str, Any], groups: bool) -> None:
    assert run(100, lambda module, p: getattr(module, name)(p, **settings), groups=groups) < 1e-6


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_the_defaults_are_pytorchs(name: str) -> None:
    ours, theirs = getattr(optim, name)([ab.tensor(1.0, requires_grad=True)]), getattr(torch.optim, name)([torch.tensor(1.0, requires_grad=True)])
    for setting, value in ours.param_groups[0].items():
        if setting != "params":
            assert value == theirs.param_groups[0][setting], setting


@pytest.mark.parametrize(("name", "settings"), OPTIMISERS, ids=lambda x: x if isinstance(x, str) else ",".join(x) or "default")
def test_parts_of_complex_parameters_are_numbers_of_their_own(name: str, settings: dict[str, Any]) -> None:
    start = np.array([1.0 + 1.0j, 2.0 - 0.5j, -3.0j])
    target = np.array([0.5, 1.0j, 2.0])
    ours, theirs = ab.tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    optimiser, other = getattr(optim, name)([ours], **settings), getattr(torch.optim, name)([theirs], **settings)
    for i in range(50):
        optimiser.zero_grad()
        other.zero_grad()
        (ab.abs(ours - target) ** 2).sum().backward()
        ((theirs - torch.tensor(target)).abs() ** 2).sum().backward()
        optimiser.step()
        other.step()
        if i == 20:
            saved = optimiser.state_dict()
            optimiser = getattr(optim, name)([ours], **settings)
            optimiser.load_state_dict(saved)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-9)


def test_clipping_takes_complex_gradients_by_their_parts() -> None:
    p = ab.tensor(np.complex64([1.0, 2.0]), requires_grad=True)
    p.grad = ab.tensor(np.complex64([3.0 + 4.0j, 12.0j]))
    assert optim.clip_grad_norm([p], 1.0) == pytest.approx(13.0)
    assert p.grad.dtype == np.complex64
    np.testing.assert_allclose(p.grad.numpy(), np.array([3.0 + 4.0j, 12.0j]) / 13.0, rtol=1e-6)
    p.grad = ab.tensor(np.complex64([3.0 + 4.0j, 0.5 - 12.0j]))
    optim.clip_grad_value([p], 3.5)
    np.testing.assert_allclose(p.grad.numpy(), [3.0 + 3.5j, 0.5 - 3.5j])


def norm(module: Any, p: list[Any]) -> float:
    return float(module.clip_grad_norm(p, 2.0) if module is optim else module.clip_grad_norm_(p, 2.0))


def value(module: Any, p: list[Any]) -> float:
    module.clip_grad_value(p, 0.5) if module is optim else module.clip_grad_value_(p, 0.5)
    return 0.0


@pytest.mark.parametrize("clip", [norm, value])
def test_clipping_agrees(clip: Any) -> None:
    assert run(20, lambda module, p: module.SGD(p, lr=0.1, momentum=0.9), clip=clip) < 1e-6


def warmed_cosine(module: Any, optimiser: Any) -> Any:
    parts = [module.LinearLR(optimiser, 0.1, total_iters=10), module.CosineAnnealingLR(optimiser, 60, 1e-4), module.StepLR(optimiser, 7)]
    return module.SequentialLR(optimiser, parts, [10, 80])


@pytest.mark.parametrize(
    "schedule",
    [
        lambda module, o: module.StepLR(o, 13, 0.7),
        lambda module, o: module.CosineAnnealingLR(o, 40, eta_min=1e-4),
        lambda module, o: module.LinearLR(o),
        lambda module, o: module.LinearLR(o, 1.0, 0.2, 50),
        lambda module, o: module.LambdaLR(o, lambda step: 0.9**step + 0.01),
        warmed_cosine,
    ],
    ids=["step", "cosine", "warm-up", "linear", "function", "sequence"],
)
@pytest.mark.parametrize("groups", [False, True])
def test_a_schedule_agrees(schedule: Any, groups: bool) -> None:
    assert run(100, lambda module, p: module.Adam(p, lr=0.01), groups=groups, schedule=schedule) < 1e-6

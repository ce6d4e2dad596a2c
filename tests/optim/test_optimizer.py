"""What holds for every optimiser, without an oracle: states, groups, dtypes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import GradientError, OperationError
from autograd_bn.optim import SGD, Adam, AdamW, CosineAnnealingLR, LambdaLR, LinearLR, Optimizer, RMSprop, SequentialLR, StepLR, clip_grad_norm, clip_grad_value

MAKERS: dict[str, Any] = {
    "sgd": lambda p: SGD(p, 0.1, momentum=0.9),
    "adam": lambda p: Adam(p, 0.1, amsgrad=True),
    "adamw": lambda p: AdamW(p, 0.1),
    "rmsprop": lambda p: RMSprop(p, 0.1, momentum=0.9, centered=True),
}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]


def leaf(*values: float, dtype: str = "float32", name: str | None = None) -> ab.Tensor:
    return ab.tensor(list(values), dtype=dtype, requires_grad=True, name=name)


def steps(p: ab.Tensor, optimizer: Optimizer, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        ((p - 2.0) ** 2).sum().backward()
        optimizer.step()


def test_float32_stays_float32_in_parameters_and_state(make: Any) -> None:
    w = leaf(1.0, -3.0)
    optimizer = make([w])
    steps(w, optimizer, 3)
    assert w.dtype == np.float32
    assert w.requires_grad
    assert w.is_leaf
    for name, array in optimizer.state_dict()["state"][0].items():
        assert array.dtype == (np.float64 if name == "step" else np.float32), name


def test_going_on_from_a_saved_state_is_the_same_bits(make: Any) -> None:
    w = leaf(1.0, 5.0)
    first = make([w])
    steps(w, first, 3)
    u = ab.tensor(w.detach(), requires_grad=True)
    second = make([u])
    second.load_state_dict(first.state_dict())
    steps(w, first, 4)
    steps(u, second, 4)
    assert w.numpy().tobytes() == u.numpy().tobytes()


def test_a_saved_state_does_not_follow_later_steps(make: Any) -> None:
    w = leaf(1.0, 5.0)
    optimizer = make([w])
    steps(w, optimizer, 1)
    saved = optimizer.state_dict()
    before = [array.copy() for array in saved["state"][0].values()]
    steps(w, optimizer, 1)
    for array, old in zip(saved["state"][0].values(), before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(make: Any, bad: float) -> None:
    w, u = leaf(1.0), leaf(1.0, 2.0, name="u")
    optimizer = make([w, u])
    w.grad, u.grad = ab.tensor(np.ones(1, "float32")), ab.tensor(np.array([0, bad], "float32"))
    for function in (optimizer.step, lambda: clip_grad_norm([w, u], 1.0), lambda: clip_grad_value([w, u], 1.0)):
        with pytest.raises(GradientError, match=r"parameter 1 \(u\) of shape \(2,\) has 1 elements of 2"):
            function()
    assert (w.tolist(), u.tolist(), w.grad.tolist()) == ([1.0], [1.0, 2.0], [1.0])
    assert optimizer.state_dict()["state"] == [{}, {}]


def test_messages_name_the_parameters_of_a_module_by_their_paths(make: Any) -> None:
    net = ab.nn.Sequential(ab.nn.Linear(2, 3, rng=0), ab.nn.Linear(3, 1, rng=1))
    net[1].weight.grad = ab.tensor(np.full((1, 3), np.nan, np.float32))
    for params in (net.parameters, net.named_parameters, lambda: [{"params": net.parameters()}], lambda: [{"params": net.named_parameters()}]):
        with pytest.raises(GradientError, match=r"step\(\): the gradient of parameter 2 \(1.weight\) of shape"):
            make(params()).step()
    for clipped in (clip_grad_norm, clip_grad_value):
        with pytest.raises(GradientError, match=r"of parameter 2 \(1.weight\) of shape"):
            clipped(net.parameters(), 1.0)
        for module in (net, net[1]):
            with pytest.raises(OperationError, match=r"got a \w+; pass its parameters\(\)"):
                clipped(module, 1.0)
    with pytest.raises(OperationError, match=r"parameter 4 \(0.weight\) of shape \(3, 2\) is given twice"):
        make([*net.named_parameters(), *net.named_parameters()])


def test_empty_lists_and_duplicates_are_refused(make: Any) -> None:
    w = leaf(1.0, name="w")
    for params, match in (
        ([], "got none"),
        ([w, w], "twice, at positions 0 and 1"),
        ([{"params": [w]}, {"params": [w]}], "twice, at positions 0 and 1"),
        ([{"params": []}], "no parameters"),
        ([{"parms": [w]}], 'with "params"'),
        ([{"params": [w], "speed": 1}], "no setting speed; it has lr"),
        ({"params": [w]}, r"pass \[group\]"),
        ([{"params": [w], "lr": -1.0}], "lr must be"),
    ):
        with pytest.raises(OperationError, match=match):
            make(params)


def test_a_refused_group_is_not_added() -> None:
    w, u = leaf(1.0), leaf(1.0)
    optimizer = SGD([w], 0.1)
    with pytest.raises(OperationError, match="nesterov"):
        optimizer.add_param_group({"params": [u], "nesterov": True})
    assert (len(optimizer.param_groups), len(optimizer.params)) == (1, 1)
    optimizer.add_param_group({"params": [u], "lr": 0.5})
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.5]
    optimizer.lr = 0.25
    assert [g["lr"] for g in optimizer.param_groups] == [0.25, 0.25]


def test_a_setting_that_needs_another_past_begins_with_none() -> None:
    ends = []
    for momentum in (0.0, 0.9):
        w = leaf(1.0, 5.0)
        optimizer = RMSprop([w], 0.1, centered=True)
        steps(w, optimizer, 2)
        optimizer.param_groups[0].update(centered=False, momentum=momentum)
        steps(w, optimizer, 1)
        ends.append(w.tolist())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize(
    ("kind", "setting", "value"), [(SGD, "momentum", 0.9), (Adam, "amsgrad", True), (RMSprop, "centered", True), (RMSprop, "momentum", 0.9)]
)
def test_a_state_that_is_saved_after_a_setting_was_changed_is_taken_up(kind: Any, setting: str, value: Any, on: bool) -> None:
    ends = []
    for saved in (False, True):
        w = leaf(1.0, 5.0)
        optimizer = kind([w], 0.1, **({} if on else {setting: value}))
        steps(w, optimizer, 2)
        optimizer.param_groups[0][setting] = value if on else type(value)()
        if saved:
            state, optimizer = optimizer.state_dict(), kind([w], 0.3)
            optimizer.load_state_dict(state)
        steps(w, optimizer, 2)
        ends.append(w.tolist())
    assert ends[0] == ends[1]


@pytest.mark.parametrize("settings", [{"betas": (1.0, 0.9)}, {"betas": 0.9}, {"eps": -1.0}, {"amsgrad": 1}, {"weight_decay": "0.1"}])
def test_bad_settings_are_refused_at_once_and_later(settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(OperationError, match=name):
        Adam([leaf(1.0)], **settings)
    group = Adam([leaf(1.0)]).param_groups[0]
    before = group[name]
    with pytest.raises(OperationError, match=name):
        group[name] = value
    assert group[name] == before


def test_a_changed_rate_holds_from_the_next_step() -> None:
    w = leaf(1.0, dtype="float64")
    optimizer = SGD([w], 0.1)
    optimizer.param_groups[0]["lr"] = 0.5
    steps(w, optimizer, 1)
    assert w.tolist() == [2.0]
    assert optimizer.param_groups[0].rate.item() == 0.5


def test_a_step_is_not_recorded_and_older_graphs_keep_the_old_values(make: Any) -> None:
    w = leaf(3.0)
    later = (w * w).sum()
    optimizer = make([w])
    steps(w, optimizer, 2)
    w.grad = None
    later.backward()
    assert w.grad.tolist() == [6.0]
    assert all(not value.requires_grad for value in optimizer._state[0].values())


def test_a_norm_that_overflows_float32_is_still_clipped() -> None:
    w = leaf(0.0, 0.0)
    w.grad = ab.tensor(np.full(2, 3e38, "float32"))
    assert clip_grad_norm(w, 1.0) == pytest.approx(3e38 * 2**0.5, rel=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), 0.5**0.5, rtol=1e-5)


def test_a_schedule_goes_on_from_its_state_and_refuses_another() -> None:
    def made() -> Any:
        optimizer = SGD([leaf(1.0)], 0.8)
        parts = [LinearLR(optimizer, 0.25, total_iters=4), CosineAnnealingLR(optimizer, 6)]
        return optimizer, SequentialLR(optimizer, parts, [4])

    (a, first), (b, second) = made(), made()
    assert a.lr == 0.2
    for _ in range(5):
        first.step()
    second.load_state_dict(first.state_dict())
    assert b.lr == a.lr
    second.step()
    first.step()
    assert b.lr == a.lr == pytest.approx(0.8 * (1 + np.cos(np.pi / 3)) / 2)
    for state in ({"steps": 3}, {"steps": 3, "base_lrs": [1.0, 2.0]}, {"steps": -1, "base_lrs": [1.0]}):
        with pytest.raises(OperationError):
            second.load_state_dict(state)
    assert (second.steps, b.lr) == (6, a.lr)


def test_schedules_that_cannot_be_are_refused() -> None:
    optimizer = SGD([leaf(1.0)], 0.8)
    a, b = StepLR(optimizer, np.int64(3)), StepLR(SGD([leaf(1.0)]), 3)
    for make, match in (
        (lambda: StepLR(optimizer, 0), "step_size"),
        (lambda: CosineAnnealingLR(optimizer, 2.5), "T_max"),  # type: ignore[arg-type]
        (lambda: LinearLR([1]), "takes an optimiser, got list"),  # type: ignore[arg-type]
        (lambda: SequentialLR(optimizer, [a, a], []), "2 schedules need 1"),
        (lambda: SequentialLR(optimizer, [a, a, a], [5, 2]), "increasing"),
        (lambda: SequentialLR(optimizer, [a, b], [5]), "made for this optimiser"),
    ):
        with pytest.raises(OperationError, match=match):
            make()


def test_gradients_are_clipped_in_a_compiled_step_as_outside() -> None:
    x = np.random.default_rng(0).standard_normal((8, 3)).astype("float32")
    ends, norms = [], []
    for compiled in (False, True):
        net = ab.nn.Linear(3, 2, rng=0)
        optimizer = SGD(net.parameters(), 0.1)

        def step(x: Any, net: Any = net, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            (net(x) ** 2).sum().backward()
            norm = clip_grad_norm(net.parameters(), 0.5)
            clip_grad_value(net.parameters(), 0.2)
            optimizer.step()
            return norm

        run = ab.jit(step) if compiled else step
        norms.append([float(run(x)) for _ in range(3)])
        ends.append(net.weight.numpy())
    assert norms[0] == pytest.approx(norms[1], rel=1e-6) and norms[0][0] > 0.5
    assert np.allclose(*ends, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compiled", [False, True])
def test_centred_rmsprop_of_a_gradient_that_stays_keeps_to_its_formula(dtype: str, compiled: bool) -> None:
    g = np.random.default_rng(0).standard_normal(200).astype(dtype)
    w = ab.tensor(np.zeros(200, dtype), requires_grad=True)
    optimizer = ab.optim.RMSprop([w], lr=0.01, alpha=0.5, eps=0.1, centered=True)

    def step() -> None:
        optimizer.zero_grad()
        (w * g).sum().backward()
        optimizer.step()

    run = ab.jit(step) if compiled else step
    for _ in range(60):
        run()
    left = 0.5 ** np.arange(1, 61)  # in exact numbers the variance is g²·(1 − αᵗ)·αᵗ, which is soon lost in rounding
    exact = -(0.01 * g[:, None].astype(float) / (np.abs(g[:, None].astype(float)) * np.sqrt((1 - left) * left) + 0.1)).sum(1)
    np.testing.assert_allclose(w.detach().numpy(), exact, rtol=2e-2 if dtype == "float32" else 1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_norm_that_overflows_is_refused_and_changes_no_gradient(compiled: bool) -> None:
    w = ab.tensor(np.ones(2), requires_grad=True)
    clip = ab.jit(lambda: clip_grad_norm([w], 1.0)) if compiled else lambda: clip_grad_norm([w], 1.0)
    w.grad = ab.tensor([3.0, 4.0])
    assert float(clip()) == 5.0
    w.grad = ab.tensor([3e200, -3e200])
    with pytest.raises(GradientError, match="beyond float64"):
        clip()
    assert w.grad.tolist() == [3e200, -3e200]


def test_a_group_that_is_added_later_joins_a_schedule_with_its_own_rate() -> None:
    first, second = (ab.tensor(1.0, requires_grad=True) for _ in range(2))
    optimizer = SGD([first], lr=1.0)
    schedule = StepLR(optimizer, 2, 0.5)
    schedule.step()
    optimizer.add_param_group({"params": [second], "lr": 0.2})
    rates = []
    for _ in range(3):
        schedule.step()
        rates.append([group["lr"] for group in optimizer.param_groups])
    assert rates == [[0.5, 0.1], [0.5, 0.1], [0.25, 0.05]]
    again = StepLR(optimizer, 2, 0.5)
    again.load_state_dict(schedule.state_dict())
    assert again.base_lrs == [1.0, 0.2]


def test_a_rate_that_a_function_cannot_mean_is_refused() -> None:
    optimizer = SGD([ab.tensor(1.0, requires_grad=True)], lr=1.0)
    with pytest.raises(ab.OperationError, match=r"lr_lambda\(steps\) must be a number from 0 up to infinity, got -0\.5"):
        LambdaLR(optimizer, lambda step: -0.5)


def test_a_module_without_parameters_is_told_what_one_is() -> None:
    with pytest.raises(ab.OperationError, match="got none: a parameter is a tensor with requires_grad=True that is an attribute of a module"):
        SGD(ab.nn.ReLU().parameters())

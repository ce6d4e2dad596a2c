"""What a compiled function reads besides tensors that it is given: it may change from call to call, and other threads may be using it."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import OperationError, TraceError
from tests.threads import switching as switching
from tests.threads import together


@pytest.fixture(params=["llvm", "numpy"], autouse=True)
def jit(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Each test with both emitters."""
    return lambda function: ab.jit(function, emitter=request.param)


@ab.custom_vjp
def tripled(x: Any) -> Any:
    return x * 3.0


tripled.defvjp(lambda x: (x * 3.0, None), lambda _, g: (g * 3.0,))

READINGS: dict[str, Callable[[Any], Any]] = {
    "detach": lambda w: w.detach(),
    "stop_gradient": ab.stop_gradient,
    "copy": lambda w: copy.copy(w).detach(),
    "custom rule": lambda w: tripled(w).detach(),
    "vmap": lambda w: ab.vmap(lambda _: w)(np.zeros(2)).detach(),
    "jvp": lambda w: ab.jvp(lambda t: w * t, (1.0,), (1.0,))[1].detach(),
    "checkpoint": lambda w: ab.checkpoint(lambda t: t * w)(2.0).detach(),
    "view": lambda w: w[1:].detach(),
    "gradient": lambda w: ab.grad(lambda t: (t * w).sum())(np.ones(2)).detach(),
}


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("reading", READINGS)
def test_a_tensor_that_is_closed_over_is_read_at_each_call_however_it_is_looked_at(jit: Callable[..., Any], reading: str, requires_grad: bool) -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=requires_grad)
    read = READINGS[reading]
    f = jit(lambda x: x * read(w))
    x = ab.tensor([[2.0], [3.0]])
    for value in ([1.0, 2.0], [5.0, 7.0]):
        ab.assign(w, np.array(value))
        np.testing.assert_array_equal(f(x).numpy(), (x * read(w)).numpy())
    assert f.cache_info().misses == 1


@pytest.mark.parametrize(
    "look",
    [lambda w: float(w), lambda w: w.item(), lambda w: w.numpy(), lambda w: np.asarray(w), lambda w: 2.0 if w else 1.0, lambda w: ab.tensor(w), copy.deepcopy],
)
def test_the_value_of_one_that_is_closed_over_does_not_become_part_of_the_program(jit: Callable[..., Any], look: Callable[[Any], Any]) -> None:
    w = ab.tensor(3.0)
    with pytest.raises(TraceError, match="while a function is traced"):
        jit(lambda x: x * look(w))(ab.tensor([1.0]))


def test_hooks_and_gradients_of_what_is_closed_over_stay_out_of_a_trace(jit: Callable[..., Any]) -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    w.register_hook(lambda g: g * 10.0)

    def step(x: ab.Tensor) -> None:
        w.register_hook(lambda g: g + 1.0)
        (x * w).sum().backward()

    f = jit(step)
    for _ in range(2):
        w.grad = None
        f(ab.tensor([3.0, 4.0]))
        assert w.grad is not None
        np.testing.assert_array_equal(w.grad.numpy(), [31.0, 41.0])
    w.grad = None
    (w * 1.0).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [10.0, 10.0])


class Net(ab.nn.Module):
    """Attributes of every kind."""

    def __init__(self) -> None:
        self.linear = ab.nn.Linear(2, 2, rng=0)
        self.activation: Any = ab.nn.ReLU()
        self.sizes = [1, 2]
        self.options = {"scale": 2.0}
        self.table: Any = np.array([1.0, 2.0])

    def forward(self, x: Any) -> Any:
        return self.activation(self.linear(x)) * len(self.sizes) * self.options["scale"] * self.table


CHANGES: dict[str, Callable[[Net], object]] = {
    "parameter": lambda net: setattr(net.linear, "weight", ab.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)),
    "module": lambda net: setattr(net, "activation", ab.nn.Tanh()),
    "function": lambda net: setattr(net, "activation", ab.sigmoid),
    "list": lambda net: net.sizes.append(3),
    "dict": lambda net: net.options.update(scale=5.0),
    "array": lambda net: setattr(net, "table", np.array([3.0, 4.0])),
    "part": lambda net: setattr(net, "linear", ab.nn.Linear(2, 2, rng=1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_replaces_an_attribute_of_a_module_is_seen(jit: Callable[..., Any], change: str) -> None:
    net = Net()
    x = ab.tensor([[1.0, -2.0]])
    with ab.no_grad():
        f = jit(net)
        np.testing.assert_allclose(f(x).numpy(), net(x).numpy(), rtol=1e-14)
        CHANGES[change](net)
        np.testing.assert_allclose(f(x).numpy(), net(x).numpy(), rtol=1e-14)
        f(x)
    assert f.cache_info().misses == 2


@pytest.mark.parametrize("kind", [ab.optim.Adam, lambda params: ab.optim.SGD(params, lr=0.1, momentum=0.9)])
def test_a_compiled_step_goes_on_from_a_state_that_was_loaded(jit: Callable[..., Any], kind: Callable[..., Any]) -> None:
    runs = []
    for compiled in (False, True):
        layer = ab.nn.Linear(3, 1, rng=0)
        optimizer = kind(layer.parameters())

        def step(x: ab.Tensor, layer: Any = layer, optimizer: Any = optimizer) -> ab.Tensor:
            optimizer.zero_grad()
            loss = (layer(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = jit(lambda x, step=step: step(x)) if compiled else step
        x = ab.tensor(np.arange(6.0).reshape(2, 3) / 5)
        losses = [run(x).item() for _ in range(3)]
        saved, weights = optimizer.state_dict(), layer.state_dict()
        losses += [run(x).item() for _ in range(3)]
        optimizer.load_state_dict(saved)
        layer.load_state_dict(weights)
        losses += [run(x).item() for _ in range(3)]
        runs.append((losses, [state.tolist() for entry in optimizer.state_dict()["state"] for state in entry.values()]))
    np.testing.assert_allclose(runs[1][0], runs[0][0], rtol=1e-5)
    for one, other in zip(runs[1][1], runs[0][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@dataclasses.dataclass
class Config:
    """An argument that is no tensor and may change."""

    scale: float


def test_attributes_of_an_argument_are_looked_at(jit: Callable[..., Any]) -> None:
    f = jit(lambda x, config: x * config.scale)
    config = Config(2.0)
    x = ab.tensor([1.0])
    assert f(x, config).item() == 2.0
    config.scale = 9.0
    assert f(x, config).item() == 9.0
    assert f(x, Config(9.0)).item() == 9.0


@pytest.mark.parametrize("argument", [{1}, deque([1]), bytearray(b"1")])
def test_an_argument_that_may_change_unseen_is_refused(jit: Callable[..., Any], argument: Any) -> None:
    with pytest.raises(OperationError, match=f"got a {type(argument).__name__}: it may change"):
        jit(lambda x, y: x * len(y))(ab.tensor([1.0]), argument)


@pytest.mark.parametrize("number", [0.0, -0.0, float("nan"), complex(0.0, -0.0), complex(-0.0, 0.0), True, 1, 1.0])
def test_a_number_is_an_argument_by_value_to_the_last_bit(jit: Callable[..., Any], number: Any) -> None:
    class Scale:
        factor: Any = 0.0

    def scaled(x: Any, factor: Any, scale: Scale) -> Any:
        return x * factor, x * scale.factor

    run, scale, x = jit(scaled), Scale(), ab.tensor([1.0, -2.0])
    for factor in (0.0, 0j, 1.0, True, number, type(number)(number), number):
        scale.factor = factor
        for found, expected in zip(run(x, factor, scale), scaled(x, factor, scale), strict=True):
            assert found.dtype == expected.dtype and str(found) == str(expected)
    assert run.cache_info().misses <= 5


def test_a_slice_is_an_argument_by_value(jit: Callable[..., Any]) -> None:
    f = jit(lambda x, part: x[part])
    x = ab.tensor([1.0, 2.0, 3.0])
    assert f(x, slice(1, None)).tolist() == [2.0, 3.0]
    assert f(x, slice(0, 1)).tolist() == [1.0]


def test_a_result_that_is_no_number_is_refused(jit: Callable[..., Any]) -> None:
    with pytest.raises(TraceError, match="got a str"):
        jit(lambda x: (x, "loss"))(ab.tensor([1.0]))


def test_options_can_be_given_to_a_decorator() -> None:
    @ab.jit(emitter="numpy")
    def doubled(x: ab.Tensor) -> ab.Tensor:
        return x * 2.0

    assert doubled(ab.tensor([1.0])).item() == 2.0
    assert "def kernel(x0, buffers)" in doubled.source  # straight NumPy calls


def test_a_method_can_be_compiled(jit: Callable[..., Any]) -> None:
    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @jit
        def apply(self, x: ab.Tensor) -> ab.Tensor:
            return x * self.factor

    one, other = Scaled(2.0), Scaled(3.0)
    assert [one.apply(ab.tensor([1.0])).item(), other.apply(ab.tensor([1.0])).item()] == [2.0, 3.0]
    one.factor = 5.0
    assert one.apply(ab.tensor([1.0])).item() == 5.0
    assert "apply" in repr(Scaled.apply)


@pytest.mark.usefixtures("switching")
def test_tensors_can_be_used_by_others_while_a_function_that_reads_them_is_traced(jit: Callable[..., Any]) -> None:
    w = ab.tensor([1.0, 2.0], requires_grad=True)
    count = ab.tensor(0.0)
    x = ab.tensor([3.0, 4.0])
    traced = threading.Event()

    def trace() -> None:
        try:
            for k in range(60):
                jit(lambda x, k=k: (x * w.detach() + count + k).sum())(x)
        finally:
            traced.set()

    def infer() -> None:
        while not traced.is_set():
            assert (w * x).sum().item() == 11.0

    added = 0

    def add() -> None:
        nonlocal added

        def increase() -> None:
            ab.assign(count, count + 1.0)

        compiled = jit(increase)
        while not traced.is_set():
            compiled()
            added += 1

    together(trace, infer, add)
    assert count.item() == added > 0

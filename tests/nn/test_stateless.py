"""functional_call: other parameters, the same module."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import OperationError, ShapeError
from tests.oracles import assert_close, value

RNG = np.random.default_rng(2)
X = RNG.standard_normal((6, 3)).astype(np.float32)


def network() -> ab.nn.Sequential:
    return ab.nn.Sequential(ab.nn.Linear(3, 4, bias=False, rng=0), ab.nn.BatchNorm1d(4), ab.nn.Tanh(), ab.nn.Linear(4, 1, rng=1))


def test_its_gradients_are_those_of_the_module() -> None:
    net = network()
    own = dict(net.named_parameters())
    by_dict = ab.grad(lambda p: (ab.nn.functional_call(net, p, X) ** 2).sum())(own)
    (net(X) ** 2).sum().backward()
    assert set(by_dict) == set(own)
    for name, parameter in own.items():
        assert_close(by_dict[name], parameter.grad, 1e-6)


def test_the_module_keeps_its_parameters_and_moves_its_statistics() -> None:
    net = network()
    before = {name: value(p).copy() for name, p in net.named_parameters()}
    other = {name: p * 2.0 + 1.0 for name, p in before.items()}
    got = ab.nn.functional_call(net, other, X)
    for name, p in net.named_parameters():
        assert np.array_equal(value(p), before[name]) and p.requires_grad
    twin = network()
    twin.load_state_dict({**twin.state_dict(), **other})
    assert_close(got, twin(X), 1e-6)
    for (_, mine), (_, theirs) in zip(net.named_buffers(), twin.named_buffers(), strict=True):
        assert_close(mine, theirs, 1e-6)


def test_what_is_not_named_keeps_its_value_and_gradient() -> None:
    net = ab.nn.Linear(3, 2, rng=0)
    assert_close(ab.nn.functional_call(net, {}, X), net(X))
    weight = ab.tensor(np.ones((2, 3), np.float32), requires_grad=True)
    ab.nn.functional_call(net, {"weight": weight}, X).sum().backward()
    assert weight.grad is not None and net.weight.grad is None
    assert net.bias is not None
    assert_close(net.bias.grad, [6.0, 6.0])


def test_an_ensemble_is_a_map_over_parameters() -> None:
    net = ab.nn.Sequential(ab.nn.Linear(3, 4, rng=0), ab.nn.Tanh(), ab.nn.Linear(4, 1, rng=1))
    stacked = {name: RNG.standard_normal((5, *p.shape)).astype(np.float32) for name, p in net.named_parameters()}
    mapped = ab.vmap(lambda p: ab.nn.functional_call(net, p, X))(stacked)
    assert_close(mapped, np.stack([value(ab.nn.functional_call(net, {k: v[i] for k, v in stacked.items()}, X)) for i in range(5)]), 1e-5)
    one = {name: v[0] for name, v in stacked.items()}
    hessian = ab.hessian(lambda p: (ab.nn.functional_call(net, p, X) ** 2).mean())(one)
    assert hessian["0.weight"]["2.bias"].shape == (4, 3, 1)
    assert_close(hessian["0.weight"]["2.bias"][:, :, 0], value(hessian["2.bias"]["0.weight"])[0], 1e-4)


def test_shared_parameters_and_options() -> None:
    class Twice(ab.nn.Module):
        def __init__(self) -> None:
            self.a = ab.nn.Linear(3, 3, bias=False, rng=0)
            self.b = self.a

        def forward(self, x: Any, scale: float = 1.0) -> Any:
            return self.b(self.a(x)) * scale

    net = Twice()
    w = RNG.standard_normal((3, 3)).astype(np.float32)
    for name in ("a.weight", "b.weight"):
        assert_close(ab.nn.functional_call(net, {name: w}, X, scale=2.0), 2 * X @ w.T @ w.T, 1e-5)
    shared = ab.tensor(w)
    assert ab.nn.functional_call(net, {"a.weight": shared, "b.weight": shared}, X).shape == (6, 3)
    with pytest.raises(OperationError, match=r"a\.weight and b\.weight are one shared parameter"):
        ab.nn.functional_call(net, {"a.weight": w, "b.weight": w * 2}, X)


def test_what_does_not_fit_is_refused() -> None:
    net = ab.nn.Linear(3, 2, rng=0)
    with pytest.raises(OperationError, match="Linear has no parameter 'wieght'; it has weight, bias"):
        ab.nn.functional_call(net, {"wieght": 1.0}, X)
    with pytest.raises(ShapeError, match=r"parameter bias has shape \(2,\), the value \(3,\)"):
        ab.nn.functional_call(net, {"bias": np.ones(3)}, X)


def test_a_module_of_gradients_is_a_tangent_of_the_module() -> None:
    net = network()
    own = dict(net.named_parameters())

    def loss(module: Any) -> Any:
        with ab.no_effects():
            return (module(X) ** 2).sum()

    def by_name(p: Any) -> Any:
        with ab.no_effects():
            return (ab.nn.functional_call(net, p, X) ** 2).sum()

    product = ab.hvp(loss, net, ab.grad(loss)(net))
    expected = ab.hvp(by_name, own, ab.grad(by_name)(own))
    for name, found in product.named_parameters():
        assert_close(found, expected[name], 1e-5)
    assert ab.jvp(loss, (net,), (ab.grad(loss)(net),))[1].item() > 0
    with pytest.raises(OperationError, match="not nested as that of the primals.*it is a Linear of 2 tensors for a Sequential of 5 tensors"):
        ab.hvp(loss, net, ab.nn.Linear(3, 1))


@pytest.mark.parametrize("transform", [ab.grad, lambda f: lambda x: ab.value_and_grad(f)(x)[1], lambda f: lambda x: ab.vjp(f, x)[1](1.0)[0]])
def test_every_parameter_has_a_gradient_of_its_own_where_two_get_the_same(transform: Any) -> None:
    lstm = ab.nn.LSTM(3, 2, rng=0, dtype="float64")
    gradients = transform(lambda module: (module(X[None].astype("float64"))[0] ** 2).sum())(lstm)
    (lstm(X[None].astype("float64"))[0] ** 2).sum().backward()
    assert [name for name, _ in gradients.named_parameters()] == [name for name, _ in lstm.named_parameters()]
    for found, parameter in zip(gradients.parameters(), lstm.parameters(), strict=True):
        assert_close(found, parameter.grad, 1e-12)
    before = gradients.bias_hh_l0.tolist()
    gradients.bias_ih_l0[0] = 7.0
    assert gradients.bias_hh_l0.tolist() == before

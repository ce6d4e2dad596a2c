from __future__ import annotations

import warnings

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError


def test_sequential_chains_indexes_and_counts() -> None:
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh())
    assert len(net) == 2
    assert isinstance(net[-1], nn.Tanh)
    x = np.ones((1, 2))
    np.testing.assert_array_equal(net(x).detach().numpy(), np.tanh(net[0](x).detach().numpy()))


@pytest.mark.parametrize(("part", "hint"), [(nn.ReLU, "instance"), (ab.exp, "Module of its own")])
def test_sequential_takes_modules_only(part: object, hint: str) -> None:
    with pytest.raises(OperationError, match=f"position 1.*{hint}"):
        nn.Sequential(nn.ReLU(), part)  # type: ignore[arg-type]


def test_a_bias_before_batch_norm_is_warned_of_and_has_no_gradient() -> None:
    with pytest.warns(UserWarning, match="bias of layer 0 is redundant.*bias=False"):
        net = nn.Sequential(nn.Linear(2, 3, rng=0, dtype="float64"), nn.BatchNorm1d(3, dtype="float64"))
    rng = np.random.default_rng(0)
    net(rng.standard_normal((5, 2))).backward(rng.standard_normal((5, 3)))
    np.testing.assert_allclose(np.array(net[0].bias.grad), 0, atol=1e-14)  # type: ignore[attr-defined]
    with pytest.warns(UserWarning, match="bias of layer 0, 2 is redundant"):
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    with pytest.warns(UserWarning, match="bias of layer 0 is redundant"):
        nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Conv1d(2, 3, 3), nn.ReLU())
    with pytest.warns(UserWarning, match="bias of layer 0 is redundant: the normalization"):
        nn.Sequential(nn.Conv1d(1, 2, 3), nn.InstanceNorm1d(2))
    with pytest.warns(UserWarning, match="is redundant") as told:
        nn.Sequential(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(2, 3))), nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), nn.BatchNorm1d(2)))
    assert [str(w.message).partition(" is")[0] for w in told] == ["the bias of layer 1", "the bias of layer 0.1.0"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.BatchNorm1d(3))
        nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
        nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3))
        nn.Sequential(nn.Linear(2, 3, bias=False), nn.BatchNorm1d(3), nn.Linear(3, 2), nn.Sigmoid(), nn.BatchNorm1d(2))


def test_a_list_finds_counts_and_grows() -> None:
    parts = nn.ModuleList([nn.Linear(2, 3, rng=0), nn.Tanh()])
    parts.append(nn.Linear(3, 1, rng=1))
    assert [type(part) for part in parts] == [nn.Linear, nn.Tanh, nn.Linear]
    assert (len(parts), parts[-1]) == (3, parts[2])
    assert [name for name, _ in parts.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert repr(nn.ModuleList([nn.Tanh()])) == "ModuleList(\n  (0): Tanh()\n)"
    with pytest.raises(OperationError, match="ModuleList takes modules, got 3 at position 3"):
        parts.append(3)  # type: ignore[arg-type]


def test_a_dict_finds_counts_and_takes_names_in() -> None:
    parts = nn.ModuleDict({"a": nn.Linear(2, 3, rng=0)})
    parts["b"] = nn.Tanh()
    parts["a"] = nn.Linear(2, 1, bias=False, rng=0)
    assert parts.keys() == list(parts) == ["a", "b"]
    assert parts.values() == [parts["a"], parts["b"]]
    assert ("b" in parts, "c" in parts, len(parts)) == (True, False, 2)
    assert list(parts.state_dict()) == ["a.weight"]
    for name in ("forward", "a.b", "", 3, "training"):
        with pytest.raises(OperationError, match="a name is a word without dots"):
            parts[name] = nn.Tanh()  # type: ignore[index]
    with pytest.raises(OperationError, match="ModuleDict takes modules.*under 'c'.*instance"):
        parts["c"] = nn.Tanh  # type: ignore[assignment]
    with pytest.raises(KeyError):
        parts["c"]


def test_they_take_part_in_modes_saving_and_transforms() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            self.layers = nn.ModuleList(nn.Linear(2, 2, rng=i, dtype="float64") for i in range(2))
            self.norms = nn.ModuleDict({"bn": nn.BatchNorm1d(2, dtype="float64")})

        def forward(self, x: ab.Tensor) -> ab.Tensor:
            for layer in self.layers:
                x = layer(x)
            out: ab.Tensor = self.norms["bn"](x)
            return out

    model, x = Heads(), np.random.default_rng(0).standard_normal((4, 2))
    gradient = ab.grad(lambda m: (m(x) ** 3).sum())(model)
    assert gradient.layers[0].weight.shape == (2, 2)
    assert not model.eval().norms["bn"].training
    other = Heads()
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.eval()(x).detach().numpy(), model(x).detach().numpy())


def test_a_slice_is_a_container_of_the_same_parts() -> None:
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1)).eval()
    tail = net[1:]
    assert type(tail) is nn.Sequential and not tail.training
    assert [a is b for a, b in zip(tail, list(net)[1:], strict=True)] == [True, True]
    assert list(tail.state_dict()) == ["2.weight", "2.bias"]  # PyTorch's names
    assert len(net) == 3 and len(net[:0]) == 0
    x = np.ones((1, 2), np.float32)
    np.testing.assert_array_equal(tail(net[:1](x)).detach().numpy(), net(x).detach().numpy())
    assert [type(part) for part in net[::-1]] == [nn.Linear, nn.Tanh, nn.Linear]
    parts = nn.ModuleList(net)[1:]
    assert type(parts) is nn.ModuleList and list(parts.state_dict()) == ["1.weight", "1.bias"]
    parts.append(nn.ReLU())
    assert len(parts) == 3
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        chain = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        chain[:2]
    assert len(told) == 1


def test_a_part_is_replaced_by_its_number() -> None:
    net = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh())
    net[-1] = nn.ReLU()
    assert [type(part) for part in net] == [nn.Linear, nn.ReLU] and len(net) == 2
    with pytest.raises(OperationError, match="Sequential takes modules, got .* at position 0"):
        net[0] = ab.tanh  # type: ignore[assignment]
    with pytest.raises(IndexError):
        net[2] = nn.ReLU()
    parts = nn.ModuleList([nn.ReLU()])
    parts[0] = nn.Linear(1, 1)
    assert list(parts.state_dict()) == ["0.weight", "0.bias"]

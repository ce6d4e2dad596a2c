from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError


class Block(nn.Module):
    """No call of super().__init__: none is needed."""

    def __init__(self) -> None:
        self.first = nn.Linear(2, 3, rng=0)
        self.rest = [nn.Linear(3, 3, rng=1), {"last": nn.Linear(3, 1, bias=False, rng=2)}]
        self.scale = ab.tensor(2.0, requires_grad=True)
        self.constant = ab.tensor(5.0)
        self.register_buffer("count", np.zeros(2))

    def forward(self, x: Any) -> Any:
        return self.rest[1]["last"](self.rest[0](self.first(x))) * self.scale  # type: ignore[index, operator]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3, bias=False, rng=0), nn.BatchNorm1d(3), nn.Sigmoid(), nn.Linear(3, 2, rng=1))


def test_parameters_and_buffers_are_found_with_dotted_names() -> None:
    block = Block()
    assert [n for n, _ in block.named_parameters()] == ["scale", "first.weight", "first.bias", "rest.0.weight", "rest.0.bias", "rest.1.last.weight"]
    assert [n for n, _ in block.named_buffers()] == ["count"]
    assert [n for n, _ in block.named_modules()] == ["", "first", "rest.0", "rest.1.last"]
    assert len(list(block.parameters())) == 6
    assert len(list(block.modules())) == 4
    assert len(list(block.buffers())) == 1


def test_a_shared_parameter_comes_once_but_is_saved_under_both_names() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False, rng=0), nn.Linear(2, 2, bias=False, rng=1))
    net[1].weight = net[0].weight  # type: ignore[attr-defined]
    assert [n for n, _ in net.named_parameters()] == ["0.weight"]
    assert list(net.state_dict()) == ["0.weight", "1.weight"]


def test_a_part_used_twice_is_listed_once() -> None:
    layer = nn.Linear(2, 2, rng=0)
    assert len(list(nn.Sequential(layer, layer).parameters())) == 2
    assert len(list(nn.Sequential(layer, layer).modules())) == 2


def test_train_and_eval_reach_all_parts() -> None:
    net = network()
    assert net.eval() is net
    assert [m.training for m in net.modules()] == [False] * 5
    assert all(m.training for m in net.train().modules())


def test_zero_grad() -> None:
    net = network()
    net(np.random.default_rng(0).standard_normal((4, 2))).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_a_call_opens_a_scope_named_by_the_module() -> None:
    net = network()
    y = net(np.ones((4, 2)))
    assert repr(y.node.scope) == "Sequential/3: Linear/linear"
    block = Block()
    assert repr(block.first(np.ones((1, 2))).node.scope) == "first: Linear/linear"
    assert "test_module.py" in str(y.node.line)


def test_saved_and_loaded_state_is_the_same_and_does_not_alias() -> None:
    a, b = network(), network()
    a(np.random.default_rng(0).standard_normal((4, 2)))
    state = a.state_dict()
    b.load_state_dict(state)
    for value in state.values():
        value += 1
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        np.testing.assert_array_equal(x, y)
        assert not np.array_equal(x, state[name])


def test_a_state_that_does_not_fit_is_refused_whole() -> None:
    net = network()
    before, state = net.state_dict(), net.state_dict()
    state["0.weight"] = state["0.weight"] + 1
    state["1.weight"] = np.ones(4)
    state["3.weight"] = np.ones((2, 3), complex)
    del state["1.running_var"], state["3.bias"]
    state["extra"] = state["another"] = np.ones(1)
    with pytest.raises(OperationError) as caught:
        net.load_state_dict(state)
    for part in [
        "missing: 1.running_var float32[3]",
        "missing: 3.bias float32[2]",
        "unexpected: extra",
        "unexpected: another",
        "wrong shape: 1.weight has shape (3,), the state (4,)",
        "wrong dtype: 3.weight has dtype float32, the state complex128",
        "unchanged",
    ]:
        assert part in str(caught.value)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_two_values_for_a_shared_parameter_are_refused() -> None:
    chain = nn.Sequential(nn.Linear(2, 2, bias=False, rng=0), nn.Linear(2, 2, bias=False, rng=1))
    chain[1].weight = chain[0].weight
    state = chain.state_dict()
    chain.load_state_dict({name: array * 0.0 for name, array in state.items()})
    assert not chain[0].weight.numpy().any()
    with pytest.raises(OperationError, match=r"two values: 0.weight and 1.weight are one shared tensor"):
        chain.load_state_dict({"0.weight": state["0.weight"], "1.weight": state["1.weight"] + 1.0})
    assert not chain[0].weight.numpy().any()


def test_loading_under_no_effects_is_refused() -> None:
    net = network()
    with nn.no_stat_update(), pytest.raises(OperationError, match="no_effects"):
        net.load_state_dict(net.state_dict())


def test_loading_converts_to_the_dtype_of_the_parameter() -> None:
    net = nn.Linear(2, 2, rng=0)
    net.load_state_dict({"weight": np.ones((2, 2)), "bias": [1, 2]})
    assert net.weight.dtype == net.bias.dtype == np.float32  # type: ignore[union-attr]


def test_a_gradient_by_a_module_is_a_module_of_gradients() -> None:
    net, x = network(), np.random.default_rng(0).standard_normal((4, 2))
    gradients = ab.grad(lambda m: (m(x) ** 2).sum())(net)
    (net(x) ** 2).sum().backward()
    named = dict(gradients.named_parameters())
    assert list(named) == [n for n, _ in net.named_parameters()]
    for name, p in net.named_parameters():
        np.testing.assert_allclose(named[name].numpy(), np.array(p.grad), rtol=1e-6)
    assert net[1].num_batches_tracked.item() == 2  # type: ignore[attr-defined]
    assert all(p.node.level == 0 for p in net.parameters())


def test_shared_parameters_stay_shared_under_a_transform() -> None:
    layer = nn.Linear(2, 2, bias=False, rng=0)
    net, x = nn.Sequential(layer, nn.Tanh(), layer), np.ones((1, 2))
    gradients = ab.grad(lambda m: m(x).sum())(net)
    net(x).sum().backward()
    np.testing.assert_allclose(gradients[0].weight.numpy(), np.array(layer.weight.grad), rtol=1e-6)


def test_repr_is_a_tree() -> None:
    assert repr(nn.Sequential(nn.Sequential(nn.ReLU()), nn.Linear(2, 1, rng=0))) == (
        "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n  )\n  (1): Linear(in_features=2, out_features=1, bias=True)\n)"
    )


def test_copies_and_pickles_are_independent() -> None:
    net = network()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        ab.nn.init  # noqa: B018
        for a, b in zip(net.parameters(), other.parameters(), strict=True):
            assert a is not b
            np.testing.assert_array_equal(a.value, b.value)
        other(np.random.default_rng(0).standard_normal((4, 2)))
        assert net[1].num_batches_tracked.item() == 0  # type: ignore[attr-defined]


def test_a_shallow_copy_has_the_same_tensors_and_its_own_attributes() -> None:
    net = nn.BatchNorm1d(2)
    names, buffers = list(net.state_dict()), len(list(net.buffers()))
    twin = copy.copy(net)
    assert [a is b for a, b in zip(net.parameters(), twin.parameters(), strict=True)] == [True, True]
    twin.extra = ab.tensor(1.0, requires_grad=True)  # type: ignore[attr-defined]
    twin.register_buffer("more", np.ones(2))
    del twin.weight
    assert list(net.state_dict()) == names and len(list(net.buffers())) == buffers
    assert set(twin.state_dict()) == {*names, "extra", "more"} - {"weight"}
    twin.eval()
    assert net.training


def test_a_parameter_takes_only_what_can_be_trained() -> None:
    layer = nn.Linear(2, 2, rng=0)
    for value, got in ((layer.weight.detach(), "a constant"), (layer.weight * 2.0, "the result of mul")):
        with pytest.raises(OperationError, match=f"Linear.weight is a parameter and takes a leaf that requires a gradient, got {got}.*ab.assign"):
            layer.weight = value
    assert all(p.is_leaf and p.requires_grad for p in layer.parameters())
    layer.weight = fresh = ab.tensor(np.ones((2, 2)), requires_grad=True)
    assert next(layer.parameters()) is fresh
    frozen = layer.weight.detach()
    del layer.weight
    layer.register_buffer("weight", frozen)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    gradients = ab.grad(lambda m: m(np.ones((1, 2), np.float32)).sum())(nn.Linear(2, 2, rng=0))
    gradients.weight = gradients.weight * 0.5  # gradients are constants, and so may others be
    assert len(list(gradients.parameters())) == 2


def test_a_parameter_is_not_replaced_by_something_else() -> None:
    layer = nn.Linear(2, 2, rng=0)
    with pytest.raises(OperationError, match="weight is a parameter"):
        layer.weight = np.ones((2, 2))  # type: ignore[assignment]
    layer.bias = None
    assert [n for n, _ in layer.named_parameters()] == ["weight"]
    bn = nn.BatchNorm1d(2)
    with pytest.raises(OperationError, match="running_mean is a buffer"):
        bn.running_mean = np.ones(2)  # type: ignore[assignment]


def test_a_buffer_does_not_require_a_gradient() -> None:
    with pytest.raises(OperationError, match="requires a gradient"):
        nn.Module().register_buffer("b", ab.tensor(1.0, requires_grad=True))
    with pytest.raises(OperationError, match="running_mean is a buffer: it takes no tensor that requires a gradient"):
        nn.BatchNorm1d(2).running_mean = ab.tensor([1.0, 2.0], requires_grad=True)


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


def test_a_module_that_contains_itself_says_where() -> None:
    inner, outer = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 2))
    outer.inner = inner
    inner.back = [inner]
    for asked in (lambda: list(outer.parameters()), outer.state_dict, outer.train, lambda: ab.grad(lambda m: m(np.ones(2, np.float32)).sum())(outer)):
        with pytest.raises(OperationError, match=r"Sequential contains itself: its part back\.0 is the module again\. .* weakref\.ref"):
            asked()
    assert "(back.0): (itself)" in repr(outer)
    inner.back = weakref.ref(outer)
    assert list(outer.state_dict()) == ["0.weight", "0.bias", "inner.0.weight", "inner.0.bias"]


def test_what_is_no_state_is_refused_with_the_remedy() -> None:
    layer = nn.Linear(2, 1, rng=0)
    for state, remedy in ((layer, r"got Linear; pass its state_dict\(\)"), ("layer.pt", r"got str; pass what ab\.train\.load_checkpoint\(file\) gives")):
        with pytest.raises(ab.OperationError, match=remedy):
            layer.load_state_dict(state)  # type: ignore[arg-type]
    with pytest.raises(ab.OperationError, match=r"to load a part, complete it: \{\*\*module\.state_dict\(\), \*\*state\}"):
        layer.load_state_dict({"bias": np.zeros(1)})

"""Transforms of modules: whatever holds a parameter holds its stand-in during the call, or is refused."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import OperationError
from autograd_bn.nn import Linear, Module
from tests.oracles import assert_close, value

X = np.random.default_rng(0).standard_normal((4, 2)).astype(np.float32)


class Pair(NamedTuple):
    a: Any
    b: Any


class Names(list[Any]):
    note = "kept"


@dataclasses.dataclass
class Settings:
    tensor: Any
    scale: float = 2.0


class Slotted:
    __slots__ = ("tensor",)

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor


class Example(Module):
    """Two layers; ``hold`` gives what else the module holds, ``use`` says what it computes with it."""

    def __init__(self, hold: Callable[[Any], Any], use: Callable[[Any, Any], Any]) -> None:
        self.first, self.second = Linear(2, 2, rng=0), Linear(2, 1, rng=1)
        self.second.tied = self.first.weight
        self.held = hold(self)
        self._use = use

    def forward(self, x: Any) -> Any:
        return self._use(self, x)


def through_call(module: Any, x: Any) -> Any:
    return module.held(x)


def hidden(module: Any) -> Callable[..., Any]:
    weight, scale = module.first.weight, 3.0

    def inner(x: Any, other: Any = module.second.weight, *, bias: Any = module.first.bias) -> Any:
        return (x @ weight.mT + bias) @ other.mT * scale

    return lambda x: inner(x) + weight.sum()


def linked(module: Any) -> Any:
    node = types.SimpleNamespace(tensor=module.first.weight, root=module)
    node.itself = [node]
    return node


ALIASES: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "OrderedDict": (lambda m: collections.OrderedDict(a=Linear(2, 1, rng=2)), lambda m, x: m.held["a"](x)),
    "defaultdict": (lambda m: collections.defaultdict(list, a=Linear(2, 1, rng=2)), lambda m, x: m.held["a"](x)),
    "namedtuple": (lambda m: Pair(Linear(2, 1, rng=2), m.first), lambda m, x: m.held.b(x) * m.held.a(x)),
    "a list's subclass": (lambda m: Names([Linear(2, 1, rng=2)]), lambda m, x: m.held[0](x) * (m.held.note == "kept")),
    "ModuleList": (lambda m: ab.nn.ModuleList([m.first, Linear(2, 1, rng=2)]), lambda m, x: m.held[1](m.held[0](x))),
    "ModuleDict": (lambda m: ab.nn.ModuleDict({"a": m.first, "b": Linear(2, 1, rng=2)}), lambda m, x: m.held["b"](m.held["a"](x))),
    "nested": (lambda m: [{"a": (Linear(2, 1, rng=2), m.second)}], lambda m, x: m.held[0]["a"][0](x) * m.held[0]["a"][1](x)),
    "tied": (lambda m: None, lambda m, x: m.first(x) @ m.second.tied + m.second(x)),
    "a list of tensors": (lambda m: [m.first.weight], lambda m, x: m.first(x) @ m.held[0]),
    "a set": (lambda m: {m.first.weight}, lambda m, x: x @ next(iter(m.held))),
    "a deque": (lambda m: collections.deque([m.first.weight]), lambda m, x: x @ m.held[0]),
    "a key": (lambda m: {m.first.weight: 2.0}, lambda m, x: x @ m.first.weight * m.held[m.first.weight]),
    "an array of objects": (lambda m: np.array([m.first, None]), lambda m, x: m.held[0](x)),
    "a dataclass": (lambda m: Settings(m.first.weight), lambda m, x: x @ m.held.tensor * m.held.scale),
    "slots": (lambda m: Slotted(m.first.weight), lambda m, x: x @ m.held.tensor),
    "an object": (lambda m: types.SimpleNamespace(layer=m.first), lambda m, x: m.held.layer(x)),
    "a cycle": (linked, lambda m, x: x @ m.held.itself[0].tensor + m.held.root.second(x)),
    "a bound method": (lambda m: m.first.forward, through_call),
    "its own method": (lambda m: types.MethodType(lambda self, x: self.second(self.first(x)), m), through_call),
    "a method of a tensor": (lambda m: m.first.weight.sum, lambda m, x: m.held() * x),
    "partial": (lambda m: functools.partial(ab.matmul, m.first.weight), lambda m, x: m.held(x.T)),
    "a closure": (hidden, through_call),
    "a closure over the module": (lambda m: lambda x: m.second(m.first(x)), through_call),
    "a weak reference": (lambda m: weakref.ref(m.first), lambda m, x: m.held()(x)),
}


def both(module: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each parameter's gradient by the transform and by backward()."""
    gradients = ab.grad(lambda m: (m(ab.tensor(X)) ** 2).sum())(module)
    (module(ab.tensor(X)) ** 2).sum().backward()
    found = dict(gradients.named_parameters())
    for name, p in module.named_parameters():
        yield name, found[name], np.zeros(p.shape) if p.grad is None else value(p.grad)


@pytest.mark.parametrize("case", ALIASES)
def test_a_gradient_by_a_module_is_that_of_backward_whatever_holds_the_parameters(case: str) -> None:
    module = Example(*ALIASES[case])
    before = dict(module.named_parameters())
    some = False
    for _, found, expected in both(module):
        assert_close(found, expected, 1e-5)
        some |= bool(np.any(expected))
    assert some
    assert all(p is before[name] for name, p in module.named_parameters())


@pytest.mark.parametrize("case", ALIASES)
def test_other_parameters_take_the_place_everywhere(case: str) -> None:
    module = Example(*ALIASES[case])
    x = ab.tensor(X)
    others = {name: np.zeros(p.shape, np.float32) for name, p in module.named_parameters()}
    assert not np.any(value(ab.nn.functional_call(module, others, x)))
    assert np.any(value(module(x)))


def test_what_holds_no_parameter_is_shared() -> None:
    class Noting(Module):
        def __init__(self) -> None:
            self.layer = Linear(2, 1, rng=0)
            self.calls: list[int] = []
            self.generator = np.random.default_rng(0)
            self.table = np.ones(1, np.float32)

        def forward(self, x: Any) -> Any:
            self.calls.append(1)
            return self.layer(x) * self.generator.normal() * self.table

    module = Noting()
    state = module.generator.bit_generator.state
    gradients = ab.grad(lambda m: m(X).sum())(module)
    assert module.calls == [1] and module.generator.bit_generator.state != state
    assert gradients.table is module.table and gradients.generator is module.generator


def test_a_cached_property_is_computed_again() -> None:
    class Cached(Module):
        def __init__(self) -> None:
            self.w = ab.tensor([1.0, 2.0], requires_grad=True)

        @functools.cached_property
        def doubled(self) -> Any:
            return self.w * 2.0

        def forward(self, x: Any) -> Any:
            return (x * self.doubled).sum()

    module = Cached()
    assert module.doubled.requires_grad
    assert_close(ab.grad(lambda m: m(3.0))(module).w, [6.0, 6.0])


def test_what_was_computed_from_a_parameter_earlier_raises_where_it_is_used() -> None:
    class Remembering(Module):
        last: Any = None

        def __init__(self, uses: bool) -> None:
            self.w = ab.tensor([1.0, 2.0], requires_grad=True)
            self.uses = uses

        def forward(self, x: Any) -> Any:
            before, self.last = self.last, x * self.w
            return (self.last + before).sum() if self.uses and before is not None else self.last.sum()

    for operation in ("use", "none"):
        module = Remembering(operation == "use")
        module(3.0)
        with pytest.raises(OperationError, match="computed from one of its parameters") if operation == "use" else contextlib.nullcontext():
            assert_close(ab.grad(lambda m: m(3.0))(module).w, [3.0, 3.0])


def a_generator(module: Any) -> Iterator[Any]:
    yield module.first.weight


def unreachable(kind: str) -> Module:
    module = Example(lambda m: None, lambda m, x: m.first(x))
    if kind == "generator":
        module.held = a_generator(module)
        next(module.held)
    elif kind == "builtin":
        module.held = [module.first].index
    elif kind == "cache":
        module.held = functools.lru_cache(module.first.forward)
    return module


@pytest.mark.parametrize("kind", ["generator", "builtin", "cache"])
def test_what_cannot_be_copied_is_refused(kind: str) -> None:
    with pytest.raises(OperationError, match=r"Example holds a \w+ \(attribute held\) that leads to its parameters and cannot be copied"):
        ab.grad(lambda m: m(X).sum())(unreachable(kind))


GLOBAL = ab.tensor([1.0, 2.0], requires_grad=True)


def test_a_method_that_goes_around_self_is_refused() -> None:
    local = ab.tensor([1.0, 2.0], requires_grad=True)

    class Local(Module):
        def __init__(self) -> None:
            self.w = local

        def forward(self, x: Any) -> Any:
            return (x * local).sum()

    class Global(Module):
        def __init__(self) -> None:
            self.w = GLOBAL

        def forward(self, x: Any) -> Any:
            return (x * GLOBAL).sum()

    for kind, name in ((Local, "local"), (Global, "GLOBAL")):
        with pytest.raises(OperationError, match=f"forward uses {name}, a parameter of the {kind.__name__}, directly"):
            ab.grad(lambda m: m(3.0))(kind())


def test_nested_transforms_and_compiled_ones_see_the_aliases_too() -> None:
    module = Example(*ALIASES["a closure"])
    direction = {name: np.ones(p.shape, np.float32) for name, p in module.named_parameters()}

    def loss(p: Any) -> Any:
        return (ab.nn.functional_call(module, p, ab.tensor(X)) ** 2).sum()

    def squared(m: Any) -> Any:
        inner = ab.grad(lambda n: (n(ab.tensor(X)) ** 2).sum())(m)
        return sum((p**2).sum() for p in inner.parameters())

    own = dict(module.named_parameters())
    expected = ab.grad(lambda p: sum((g**2).sum() for g in ab.grad(loss)(p).values()))(own)
    found = dict(ab.grad(squared)(module).named_parameters())
    compiled = dict(ab.jit(ab.no_grad()(ab.grad(squared)))(module).named_parameters())
    for name in direction:
        assert_close(found[name], expected[name], 1e-4)
        assert_close(compiled[name], expected[name], 1e-4)


class Sum(Module):
    def __init__(self) -> None:
        self.a = ab.tensor([1.0, 2.0], requires_grad=True)
        self.b = ab.tensor([3.0, 4.0], requires_grad=True)

    def forward(self, x: Any) -> Any:
        return x * (self.a + self.b)


def squared_loss(m: Any, x: Any) -> Any:
    return (m(x) ** 2).sum()


ONES = np.ones((3, 2))
PARTS_OF_A_SUM: dict[str, Callable[[Any], Any]] = {
    "grad": lambda m: ab.grad(squared_loss)(m, ONES),
    "vmap": lambda m: ab.vmap(ab.grad(squared_loss), in_axes=(None, 0))(m, ONES),
    "hvp": lambda m: ab.hvp(lambda m: squared_loss(m, ONES), m, m),
    "grad of grad": lambda m: ab.grad(lambda m: sum((p**2).sum() for p in ab.grad(squared_loss)(m, ONES).parameters()))(m),
    "tree_map": lambda m: (lambda one: ab.tree_map(lambda p: one, m))(ab.ones(2)),
}


@pytest.mark.parametrize("how", PARTS_OF_A_SUM)
def test_parameters_whose_gradients_are_one_tensor_stay_two_parameters(how: str) -> None:
    found = PARTS_OF_A_SUM[how](Sum())
    assert [name for name, _ in found.named_parameters()] == ["a", "b"]
    np.testing.assert_array_equal(found.a.detach(), found.b.detach())
    if how == "grad of grad":  # of 2·4·9·|a + b|²
        np.testing.assert_allclose(found.a.detach(), 2 * 2 * 4 * 9 * np.array([4.0, 6.0]))


def test_a_module_of_second_derivatives_has_tensors_for_parameters() -> None:
    found = ab.hessian(squared_loss)(Linear(2, 1, rng=0, dtype="float64"), ONES)
    shapes = {"weight.weight": (1, 2, 1, 2), "weight.bias": (1, 2, 1), "bias.weight": (1, 1, 2), "bias.bias": (1, 1)}
    assert {name: p.shape for name, p in found.named_parameters()} == shapes
    twice = ab.tree_map(lambda p: 2 * p, found)
    np.testing.assert_array_equal(twice.weight.bias, 2 * found.weight.bias)

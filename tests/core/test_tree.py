"""Containers: which there are, and how one is matched with another."""

from __future__ import annotations

import dataclasses
import types
from collections import OrderedDict, defaultdict
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import DtypeError, OperationError, RuleError


def product(p: Any) -> Any:
    return p["a"] * p["b"] ** 2


KINDS: list[Any] = [dict, OrderedDict, lambda pairs: defaultdict(list, pairs)]


@pytest.mark.parametrize("kind", KINDS)
def test_mappings_are_containers_and_stay_what_they_are(kind: Any) -> None:
    p = kind([("b", 3.0), ("a", 2.0)])
    gradient = ab.grad(product)(p)
    assert type(gradient) is type(p) and list(gradient) == ["b", "a"]
    assert (gradient["a"].item(), gradient["b"].item()) == (9.0, 12.0)
    if isinstance(gradient, defaultdict):
        assert gradient.default_factory is list
    mapped = ab.vmap(lambda p: kind([("x", product(p))]), in_axes=({"a": 0, "b": None},))(kind([("b", 3.0), ("a", np.array([1.0, 2.0]))]))
    assert type(mapped) is type(p) and mapped["x"].tolist() == [9.0, 18.0]
    step = ab.jit(product)
    assert [step(kind([("b", ab.tensor(3.0)), ("a", ab.tensor(a))])).item() for a in (2.0, 4.0)] == [18.0, 36.0]


@pytest.mark.parametrize("kind", KINDS)
def test_mappings_are_matched_by_key(kind: Any) -> None:
    p = kind([("b", 3.0), ("a", (2.0,))])

    def f(p: Any) -> Any:
        return kind([("x", p["a"][0] * p["b"]), ("y", [p["b"]])])

    tangent = ab.jvp(f, (p,), (kind([("a", (10.0,)), ("b", 1.0)]),))[1]
    assert (tangent["x"].item(), tangent["y"][0].item()) == (32.0, 1.0)
    (gradient,) = ab.vjp(f, p)[1](kind([("y", [100.0]), ("x", 1.0)]))
    assert list(gradient) == ["b", "a"] and (gradient["a"][0].item(), gradient["b"].item()) == (3.0, 102.0)
    hv = ab.hvp(lambda p: p["a"][0] * p["b"], p, kind([("a", (10.0,)), ("b", 1.0)]))
    assert (hv["a"][0].item(), hv["b"].item()) == (1.0, 10.0)


def test_rules_may_return_keys_in_another_order() -> None:
    reverse = ab.custom_vjp(lambda p: p["a"] * p["b"])
    reverse.defvjp(lambda p: (p["a"] * p["b"], p), lambda p, g: ({"b": g * p["a"], "a": g * p["b"]},))
    gradient = ab.grad(reverse)({"a": 2.0, "b": 3.0})
    assert (gradient["a"].item(), gradient["b"].item()) == (3.0, 2.0)
    forward = ab.custom_jvp(lambda x: {"one": x, "two": x * 2.0})
    forward.defjvp(lambda x, t: ({"one": x[0], "two": x[0] * 2.0}, {"two": t[0] * 2.0, "one": t[0]}))
    assert ab.jvp(forward, (1.0,), (1.0,))[1]["two"].item() == 2.0
    forward.defjvp(lambda x, t: ({"one": x[0], "two": x[0] * 2.0}, {"two": t[0], "three": t[0]}))
    with pytest.raises(RuleError, match="it is a dict of 'two', 'three' for one of 'one', 'two'"):
        ab.jvp(forward, (1.0,), (1.0,))


def test_what_is_nested_otherwise_is_told_where_and_how() -> None:
    x = np.ones(1)
    with pytest.raises(
        OperationError, match=r"jvp: .* at \[0\]\['a'\]: it is a list of 1 tensor for no container; a list is a container here, so pass an array"
    ):
        ab.hvp(lambda p: p["a"].sum(), {"a": x}, {"a": [1.0]})
    with pytest.raises(OperationError, match=r"at \[0\]: it is a dict of 'b' for one of 'a'"):
        ab.jvp(lambda p: p["a"], ({"a": x},), ({"b": x},))
    with pytest.raises(OperationError, match=r"the cotangent is not nested as the value at \[1\]: it is a tuple of 2 tensors for a tuple of 3 tensors"):
        ab.vjp(lambda x: [x, (x, x, x)], 1.0)[1]([1.0, (1.0, 1.0)])
    with pytest.raises(OperationError, match=r"the cotangent is not nested as the value: it is a dict of 1 tensor for an? OrderedDict of 1 tensor"):
        ab.vjp(lambda x: OrderedDict(a=x), 1.0)[1]({"a": 1.0})


@dataclasses.dataclass
class Pair:
    a: Any
    b: Any


def test_another_container_is_told_how_to_be_one() -> None:
    for other in (Pair(1.0, 2.0), types.MappingProxyType({"a": 1.0})):
        for transform in (ab.grad(product), ab.vmap(product), ab.jacobian(product), lambda p: ab.vjp(product, p), lambda p: ab.jvp(product, (p,), (p,))):
            with pytest.raises(DtypeError, match=rf"got {type(other).__name__}; .*ab\.register_container"):
                transform(other)


def test_a_container_with_keys_takes_tangents_whose_names_are_the_same() -> None:
    class Named:
        def __init__(self, note: str, **values: Any) -> None:
            self.note, self.values = note, values

    ab.register_container(
        Named,
        lambda x: (list(x.values.values()), (x.note, tuple(x.values))),
        lambda rest, values: Named(rest[0], **dict(zip(rest[1], values, strict=True))),
        lambda rest: rest[1],
    )
    point = Named("point", a=2.0, b=3.0)
    assert ab.jvp(lambda p: p.values["a"] * p.values["b"] ** 2, (point,), (Named("another", b=1.0, a=0.0),))[1].item() == 12.0
    with pytest.raises(OperationError, match="it is a Named of 'a', 'c' for one of 'a', 'b'"):
        ab.jvp(lambda p: p.values["a"], (point,), (Named("another", a=1.0, c=0.0),))


def test_a_map_goes_through_trees_of_one_structure_leaf_by_leaf() -> None:
    tree = {"a": (1.0, [2.0]), "b": 3.0}
    assert ab.tree_map(lambda x, y: x - y, tree, {"b": 1.0, "a": (0.5, [2.0])}) == {"a": (0.5, [0.0]), "b": 2.0}
    assert ab.tree_map(lambda x: x + 1, 1.0) == 2.0
    with pytest.raises(ab.OperationError, match=r"argument 2 of tree_map is not nested as argument 1 at \['a'\]: it is no container for a tuple of 2 tensors"):
        ab.tree_map(lambda x, y: x, tree, {"a": 1.0, "b": 2.0})


def test_a_map_of_modules_is_a_module_of_what_it_gives() -> None:
    layer = ab.nn.Linear(2, 1, rng=0)
    x = np.array([[1.0, 2.0]], "float32")
    moved = ab.tree_map(lambda p, g: p - 0.5 * g, layer, ab.grad(lambda layer: layer(x).sum())(layer))
    assert moved(x).item() == pytest.approx(layer(x).item() - 0.5 * (1.0 + 4.0 + 1.0), rel=1e-6)
    moved(x).sum().backward()
    assert layer.weight.grad is not None

"""Every primitive against oracles: derivatives of both modes and orders, batching, abstract shapes, dtypes, layouts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.constructors import elementwise
from autograd_bn.core.primitive import Primitive, abstract_of, registry
from autograd_bn.testing.registering import sample
from tests.oracles import assert_close, central, directional, gradient, is_real, value
from tests.registries import forgetting

NAMES = sorted(registry)
DIFFERENTIABLE = [name for name in NAMES if registry[name].differentiable]
SHAPES: dict[int, list[tuple[tuple[int, ...], ...]]] = {
    1: [((),), ((3,),), ((2, 3),), ((0, 3),)],
    2: [((), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((0, 3), (3,))],
    3: [((3,), (3,), (3,)), ((2, 1), (3,), ()), ((), (2, 3), (2, 1)), ((0,), (1,), ())],
}
NOT_HOLOMORPHIC = {"conj"}
"""Of which a complex step finds no derivative, though they give complex numbers."""
DTYPES = ["float32", "float64", "int64", "bool"]


class Case(NamedTuple):
    """One call of a primitive."""

    operands: tuple[Any, ...]
    static: dict[str, Any]

    @property
    def real(self) -> list[int]:
        return [i for i, x in enumerate(self.operands) if is_real(x)]


def missing(primitive: Primitive) -> list[str]:
    """What a primitive lacks to be tested and used everywhere."""
    found = []
    static = {"subscripts": ("ij", "jk", "ik"), "index": 0, "path": (), "key": 0}
    node = SimpleNamespace(constants=(1, 2), dtype=np.dtype(float), static=static)
    label = primitive.label(node) if callable(primitive.label) else primitive.label
    if not label.strip():
        found.append("label")
    if primitive.example is None and not (primitive.broadcasts and primitive.domains):
        found.append("example or domains")
    if (primitive.vjp is None) != (primitive.jvp is None):
        found.append("one of vjp and jvp")
    found += [what for what in ("forward", "batch", "abstract") if not callable(getattr(primitive, what))]
    return found


def is_elementwise(primitive: Primitive) -> bool:
    return primitive.example is None


def cases(primitive: Primitive, seed: int = 0) -> list[Case]:
    """Calls sampled from the record of the primitive."""
    rng = np.random.default_rng([seed, *primitive.name.encode()])
    if not is_elementwise(primitive):
        return [Case(tuple(operands), dict(static)) for operands, static in primitive.example(rng)]
    return [Case(tuple(_operand(primitive, i, shape, rng) for i, shape in enumerate(shapes)), {}) for shapes in SHAPES[len(primitive.needs)]]


def _operand(primitive: Primitive, position: int, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    if primitive.name == "where" and position == 0:
        return rng.random(shape) < 0.5
    return sample(rng, primitive.domains[min(position, len(primitive.domains) - 1)], shape)


def bound(primitive: Primitive, case: Case) -> tuple[Callable[..., Any], list[Any], Callable[..., Any]]:
    """The primitive as a function of its real operands alone: for tensors, the operands, and for arrays."""
    real = case.real

    def filled(values: Sequence[Any]) -> list[Any]:
        operands = list(case.operands)
        for i, x in zip(real, values, strict=True):
            operands[i] = x
        return operands

    return (
        lambda *values: primitive(*filled(values), **case.static),
        [case.operands[i] for i in real],
        lambda *values: (np.real if primitive.name in NOT_HOLOMORPHIC else np.asarray)(primitive.forward(*filled(values), **case.static)),
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_missing_from_the_record(name: str) -> None:
    assert missing(registry[name]) == []
    assert cases(registry[name]), "no case to test"


def test_a_primitive_with_missing_pieces_is_found() -> None:
    with forgetting():
        primitive = elementwise("incomplete", np.positive, 1, label=" ")
    primitive.domains = ()
    primitive.jvp = None
    assert missing(primitive) == ["label", "example or domains", "one of vjp and jvp"]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_reverse_mode_matches_the_oracle(name: str, rng: np.random.Generator) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        tensor_function, operands, function = bound(primitive, case)
        out, pullback = ab.vjp(tensor_function, *operands)
        expected = np.asarray(function(*operands))
        assert_close(out, expected, 1e-12)
        g = rng.standard_normal(expected.shape)
        for i, actual in enumerate(pullback(g)):
            assert_close(actual, gradient(function, operands, i, g), what=f"{name}{[np.shape(x) for x in operands]} by {i}")


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_each_operand_alone_gets_the_same_gradient(name: str, rng: np.random.Generator) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        g = rng.standard_normal(np.shape(primitive.forward(*case.operands, **case.static)))
        tensor_function, operands, _ = bound(primitive, case)
        together = ab.vjp(tensor_function, *operands)[1](g)
        for i, both in zip(case.real, together, strict=True):
            leaf = ab.tensor(case.operands[i], requires_grad=True)
            primitive(*(leaf if j == i else x for j, x in enumerate(case.operands)), **case.static).backward(g)
            assert_close(leaf.grad, both, 1e-12)


def _second_by_transforms(function: Callable[..., Any], operands: list[Any], g: Any, weights: list[Any]) -> list[Any]:
    def first(*values: Any) -> Any:
        gradients = ab.vjp(function, *values)[1](g)
        return sum((c * w).sum() for c, w in zip(gradients, weights, strict=True))

    return list(ab.grad(first, argnums=tuple(range(len(operands))))(*operands))


def _second_by_tape(function: Callable[..., Any], operands: list[Any], g: Any, weights: list[Any]) -> list[Any]:
    leaves = [ab.tensor(x, requires_grad=True) for x in operands]
    function(*leaves).backward(g, create_graph=True)
    firsts = [leaf.grad for leaf in leaves]
    total = sum((c * w).sum() for c, w in zip(firsts, weights, strict=True))
    for leaf in leaves:
        leaf.grad = None
    if total.requires_grad:
        total.backward()
    return [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad for leaf in leaves]


def _second_forward_over_reverse(function: Callable[..., Any], operands: list[Any], g: Any, weights: list[Any]) -> list[Any]:
    """The same by symmetry: the Hessian of g·f times the weights."""
    return list(ab.jvp(lambda *values: ab.vjp(function, *values)[1](g), operands, weights)[1])


@pytest.mark.parametrize("way", [_second_by_transforms, _second_by_tape, _second_forward_over_reverse])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_second_order_matches_central_differences(name: str, way: Callable[..., list[Any]], rng: np.random.Generator) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        function, operands, forward = bound(primitive, case)
        g = rng.standard_normal(np.shape(forward(*operands)))
        weights = [rng.standard_normal(np.shape(x)) for x in operands]

        def first(*values: Any, function: Any = function, g: Any = g, weights: Any = weights) -> float:
            gradients = ab.vjp(function, *values)[1](g)
            return float(sum(np.sum(value(c) * w) for c, w in zip(gradients, weights, strict=True)))

        for i, actual in enumerate(way(function, operands, g, weights)):
            expected = gradient(first, operands, i, 1.0, derivative=central)
            assert_close(actual, expected, 1e-5, f"{name}{[np.shape(x) for x in operands]} by {i}")


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_forward_mode_matches_the_oracle_and_is_the_transpose_of_reverse(name: str, rng: np.random.Generator) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        function, operands, forward = bound(primitive, case)
        u = [rng.standard_normal(np.shape(x)) for x in operands]
        out, tangent = ab.jvp(function, operands, u)
        assert_close(out, forward(*operands), 1e-12)
        assert_close(tangent, directional(forward, operands, u))
        v = rng.standard_normal(out.shape)
        back = ab.vjp(function, *operands)[1](v)
        assert_close(np.sum(v * value(tangent)), sum(np.sum(value(c) * d) for c, d in zip(back, u, strict=True)), 1e-10)
        for i in range(len(operands)):
            alone = ab.jvp(_of_one(function, operands, i), (operands[i],), (u[i],))[1]
            assert_close(alone, directional(forward, operands, [u[j] if j == i else None for j in range(len(u))]))


def _of_one(function: Callable[..., Any], operands: Sequence[Any], position: int) -> Callable[[Any], Any]:
    return lambda x: function(*operands[:position], x, *operands[position + 1 :])


def _varied(x: Any, rng: np.random.Generator) -> Any:
    if isinstance(x, np.ndarray) and x.dtype == bool:
        return rng.random(x.shape) < 0.5
    if isinstance(x, np.ndarray) and x.dtype.kind in "iu":
        return rng.permuted(x)
    return x * rng.uniform(0.9, 1.1, np.shape(x))


@pytest.mark.parametrize("name", NAMES)
def test_batching_equals_a_loop(name: str, rng: np.random.Generator) -> None:
    primitive = registry[name]
    size = 3
    for case in cases(primitive):
        count = len(case.operands)
        for flags in itertools.product([True, False], repeat=count):
            if not any(flags):
                continue
            wide = [np.stack([_varied(x, rng) for _ in range(size)]) if b else x for x, b in zip(case.operands, flags, strict=True)]
            rows = [[x[k] if b else x for x, b in zip(wide, flags, strict=True)] for k in range(size)]
            expected = np.stack([np.asarray(primitive.forward(*row, **case.static)) for row in rows])
            axes = tuple(0 if b else None for b in flags)
            mapped = ab.vmap(lambda *xs, case=case: primitive(*xs, **case.static), in_axes=axes)(*wide)
            assert_close(mapped, expected, 1e-12, f"{name} {flags}")
            assert mapped.dtype == expected.dtype


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_batched_gradients_equal_a_loop(name: str, rng: np.random.Generator) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        function, operands, forward = bound(primitive, case)
        g = rng.standard_normal(np.shape(forward(*operands)))
        wide = [np.stack([_varied(x, rng) for _ in range(2)]) for x in operands]

        def pulled(*xs: Any, function: Any = function, g: Any = g) -> Any:
            return ab.vjp(function, *xs)[1](g)

        loops = [pulled(*(x[k] for x in wide)) for k in range(2)]
        for actual, *rows in zip(ab.vmap(pulled)(*wide), *loops, strict=True):
            assert_close(actual, np.stack([value(row) for row in rows]), 1e-12)


def _layouts(x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The same values in Fortran order, as a strided view and, if all rows are made equal, without strides."""
    if not x.ndim:
        return [x, x[()]] * 2
    strided = np.zeros(tuple(2 * n for n in x.shape), x.dtype)[tuple(slice(None, None, 2) for _ in x.shape)]
    strided[...] = x
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    return [np.asfortranarray(x), strided, backwards, np.broadcast_to(x[:1], x.shape) if x.size else x]


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_changes_nothing(name: str, rng: np.random.Generator) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        for operands in zip(*(_layouts(x) for x in case.operands), strict=True):
            other = case._replace(operands=operands)
            whole = case._replace(operands=tuple(np.array(x, order="C") for x in operands))
            out = primitive.forward(*operands, **case.static)
            assert_close(out, primitive.forward(*whole.operands, **case.static), 1e-12)
            assert primitive.abstract([abstract_of(x) for x in operands], case.static) == (np.shape(out), out.dtype)
            if primitive.differentiable:
                g = _layouts(np.asarray(rng.standard_normal(np.shape(out))))[1]
                for a, b in zip(*(ab.vjp(f, *xs)[1](g) for f, xs, _ in (bound(primitive, other), bound(primitive, whole))), strict=True):
                    assert_close(a, b, 1e-12)


def _as_dtype(x: Any, dtype: str) -> Any:
    return x if x.dtype == bool else np.ceil(np.abs(x)).astype(dtype) if dtype in ("int64", "bool") else x.astype(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_abstract_rule_predicts_shape_and_dtype(name: str) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        mixes: list[tuple[Any, ...]] = [
            tuple(_as_dtype(x, d) for x, d in zip(case.operands, dtypes, strict=True)) for dtypes in itertools.product(DTYPES, repeat=len(case.operands))
        ]
        if is_elementwise(primitive) and len(case.operands) > 1:
            mixes += [(*mix[:i], number, *mix[i + 1 :]) for mix in mixes[:: len(DTYPES) + 1] for i in range(len(mix)) for number in (True, 2, 2.5)]
        for operands in mixes:
            described = [abstract_of(x) for x in operands]
            try:
                with np.errstate(all="ignore"):
                    out = primitive.forward(*operands, **case.static)
            except TypeError:
                with pytest.raises(TypeError):
                    primitive.abstract(described, case.static)
                continue
            assert primitive.abstract(described, case.static) == (np.shape(out), out.dtype), [(np.shape(x), type(x)) for x in operands]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_float32_stays_float32_in_both_modes(name: str) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        narrow = case._replace(operands=tuple(_as_dtype(x, "float32") if is_real(x) else x for x in case.operands))
        function, operands, _ = bound(primitive, narrow)
        out, pullback = ab.vjp(function, *operands)
        if "dtype" not in case.static:
            assert out.dtype == np.float32
        assert [c.dtype for c in pullback(np.ones(out.shape, out.dtype))] == [np.float32] * len(operands)
        assert ab.jvp(function, operands, operands)[1].dtype == out.dtype
        for i in narrow.real if is_elementwise(primitive) and len(operands) > 1 else []:
            leaf = ab.tensor(narrow.operands[i], requires_grad=True)
            with_number = primitive(*(leaf if j == i else x if x.dtype == bool else 1.5 for j, x in enumerate(narrow.operands)))
            assert with_number.dtype == np.float32
            with_number.backward(np.ones(with_number.shape, np.float32))
            assert leaf.grad is not None and leaf.grad.dtype == np.float32


@pytest.mark.parametrize("name", NAMES)
def test_operands_and_cotangents_are_not_changed(name: str, rng: np.random.Generator) -> None:
    primitive = registry[name]
    for case in cases(primitive):
        before = [np.array(x) for x in case.operands]
        out = np.asarray(primitive.forward(*case.operands, **case.static))
        if primitive.differentiable:
            leaves = [ab.tensor(x, requires_grad=is_real(x)) for x in case.operands]
            g = rng.standard_normal(out.shape)
            kept = g.copy()
            result = primitive(*leaves, **case.static)
            result.backward(g, create_graph=True)
            result.backward(g)
            assert np.array_equal(g, kept)
            assert all(np.array_equal(value(x), b) for x, b in zip(leaves, before, strict=True))
            ab.jvp(bound(primitive, case)[0], [case.operands[i] for i in case.real], [case.operands[i] for i in case.real])
        assert all(np.array_equal(x, b) for x, b in zip(case.operands, before, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_cost_of_an_operation_follows_from_its_shapes(name: str) -> None:
    primitive = registry[name]
    if primitive.flops is None:
        assert "decompositions" in primitive.forward.__module__, "only a decomposition may have a cost that is not known"
        return
    for case in cases(primitive):
        operands = [abstract_of(x) for x in case.operands]
        out = primitive.abstract(operands, case.static)
        flops = primitive.flops(operands, case.static, out)
        assert isinstance(flops, int)
        if primitive.pointwise:
            assert flops == np.prod(out.shape, dtype=int)
        elif len(operands) == 2 and primitive.broadcasts:  # of ones, each term of a contraction is a 1
            ones = [np.ones(x.shape) for x in operands]
            assert flops == 2 * primitive.forward(*ones, **case.static).sum()
        else:
            assert flops in (0, np.prod(operands[0].shape, dtype=int))


def test_a_contraction_costs_a_product_and_an_addition_an_index() -> None:
    x, y = (ab.tensor(np.ones(shape), requires_grad=True) for shape in ((2, 3, 4), (4, 3, 5)))
    assert max(f or 0 for f in ab.graph(ab.einsum("aij,jib->ab", x, y)).flops()) == 2 * 2 * 3 * 4 * 5
    assert ab.graph(x.sum()).flops()[-1] == ab.graph(x.mean()).flops()[-1] == ab.graph(x.max()).flops()[-1] == 24

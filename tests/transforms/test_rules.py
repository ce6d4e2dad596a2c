"""custom_vjp and custom_jvp: the rule counts, at every level, and what it returns must fit."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import GradientError, OperationError, RuleError
from tests.oracles import assert_close, value
from tests.transforms.modes import by_grad, by_jvp, by_vjp, by_vmap_grad, named

RNG = np.random.default_rng(8)
X = RNG.standard_normal(4)
A = RNG.standard_normal((5, 4))


@ab.custom_vjp
def sine(x: Any) -> Any:
    return ab.sin(x)


sine.defvjp(lambda x: (ab.sin(x), ab.cos(x)), lambda c, g: (g * c,))


@ab.custom_jvp
def cosine(x: Any) -> Any:
    return ab.cos(x)


@cosine.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return cosine(primals[0]), -tangents[0] * ab.sin(primals[0])


@ab.custom_vjp
def step(x: Any) -> Any:
    """Straight through: its derivative is not that of what it does."""
    return ab.floor(x)


step.defvjp(lambda x: (ab.floor(x), None), lambda _, g: (g,))


@ab.custom_jvp
def jumped(x: Any) -> Any:
    return ab.floor(x)


jumped.defjvp(lambda primals, tangents: (ab.floor(primals[0]), tangents[0]))


@ab.custom_vjp
def pair(p: Any, y: Any, name: str) -> Any:
    """Several arguments and results, nested."""
    assert name == "name"
    return {"s": p["a"] * y, "t": (p["b"].sum(), y > 0)}


def _pair_fwd(p: Any, y: Any, name: str) -> Any:
    return pair(p, y, name), {"a": p["a"], "y": y, "n": p["b"].shape}


def _pair_bwd(r: Any, g: Any) -> Any:
    (n,) = r["n"]
    return {"a": g["s"] * r["y"], "b": ab.broadcast_to(g["t"][0], (n,))}, g["s"] * r["a"], None


pair.defvjp(_pair_fwd, _pair_bwd)


@ab.custom_jvp
def both(x: Any, y: Any) -> Any:
    return x * y, [x + y]


both.defjvp(lambda p, t: (both(*p), (t[0] * p[1] + p[0] * t[1], [t[0] + t[1]])))


def by_checkpoint_grad(g: Any) -> Any:
    return ab.grad(ab.checkpoint(g))


REVERSE = [by_grad, by_vjp, by_vmap_grad, by_checkpoint_grad]
MODES = [*REVERSE, by_jvp]


def derived(f: Any, modes: tuple[Callable[..., Any], ...]) -> Any:
    for mode in modes:
        f = mode(f)
    return f(0.7)


@pytest.mark.parametrize("modes", [m for n in (1, 2, 3) for m in itertools.product(REVERSE, repeat=n)], ids=named)
def test_a_reverse_rule_in_every_order(modes: Any) -> None:
    assert_close(derived(lambda x: sine(x * x) * x, modes), derived(lambda x: ab.sin(x * x) * x, modes), 1e-12)


@pytest.mark.parametrize("modes", [m for n in (1, 2, 3) for m in itertools.product(MODES, repeat=n)], ids=named)
def test_a_forward_rule_in_every_order_of_modes(modes: Any) -> None:
    assert_close(derived(lambda x: cosine(x * x) * x, modes), derived(lambda x: ab.cos(x * x) * x, modes), 1e-12)


@pytest.mark.parametrize("f", [step, jumped])
def test_the_rule_counts_at_every_level(f: Any) -> None:
    """d²/dx² of floor(x)², each derivative of floor taken to be 1, is 2: also where the inner level ran the forward."""
    for outer, inner in itertools.product(REVERSE if f is step else MODES, repeat=2):
        assert_close(outer(inner(lambda x: f(x) ** 2))(2.5), 2.0)
    x = ab.tensor(2.5, requires_grad=True)
    (f(x) ** 2).backward(create_graph=True)
    gradient, x.grad = x.grad, None
    assert gradient is not None
    gradient.backward()
    assert_close(gradient, 4.0)
    assert_close(x.grad, 2.0)
    assert_close(ab.grad(lambda x: ab.vmap(lambda y: f(y) * x)(X + 3).sum())(1.0), np.floor(X + 3).sum())
    assert_close(ab.jacobian(ab.vmap(f), mode="reverse")(X), np.eye(4))


def test_several_arguments_and_results_in_containers() -> None:
    def loss(p: Any, y: Any, function: Any) -> Any:
        out = function(p, y, name="name")
        return (out["s"] ** 2).sum() * out["t"][0] + ab.where(out["t"][1], y, 0.0).sum()

    def plain(p: Any, y: Any, name: str) -> Any:
        return {"s": p["a"] * y, "t": (p["b"].sum(), y > 0)}

    p = {"a": X, "b": X[:3]}
    for derive in (lambda f: ab.grad(f, (0, 1))(p, X + 1, pair), lambda f: ab.grad(f, (0, 1))(p, X + 1, plain)):
        found = derive(loss)
        assert_close(found[0]["a"], 2 * X * (X + 1) ** 2 * X[:3].sum(), 1e-12)
        assert_close(found[0]["b"], np.full(3, ((X * (X + 1)) ** 2).sum()), 1e-12)
    batch = {"a": A, "b": A[:, :3]}
    each = ab.vmap(ab.grad(lambda p, y: loss(p, y, pair), (0, 1)), in_axes=(0, None))(batch, X)
    expected = ab.vmap(ab.grad(lambda p, y: loss(p, y, plain), (0, 1)), in_axes=(0, None))(batch, X)
    assert_close(each[0]["a"], expected[0]["a"], 1e-12)
    assert_close(each[0]["b"], expected[0]["b"], 1e-12)
    assert_close(each[1], expected[1], 1e-12)
    whole = ab.grad(lambda p, y: ab.vmap(lambda p, y: loss(p, y, pair), in_axes=(0, None))(p, y).sum(), (0, 1))(batch, X)
    assert_close(whole[0]["b"], expected[0]["b"], 1e-12)
    assert_close(whole[1], value(expected[1]).sum(0), 1e-12)
    second = ab.jacobian(ab.grad(lambda y: loss(p, y, pair)), mode="reverse")(X)
    assert_close(second, ab.hessian(lambda y: loss(p, y, plain))(X), 1e-12)


def test_a_forward_rule_with_several_arguments_and_results() -> None:
    def loss(x: Any, y: Any, function: Any) -> Any:
        u, (v,) = function(x, y)
        return (u * u * v).sum()

    def plain(x: Any, y: Any) -> Any:
        return x * y, [x + y]

    for mode in (by_grad, by_jvp):
        assert_close(mode(lambda s: loss(X * s, s, both))(1.5), mode(lambda s: loss(X * s, s, plain))(1.5), 1e-12)
    hessians = ab.hessian(lambda x, y: loss(x, y, both), (0, 1))(X, X + 1)
    for got, expected in zip(hessians, ab.hessian(lambda x, y: loss(x, y, plain), (0, 1))(X, X + 1), strict=True):
        for block, wanted in zip(got, expected, strict=True):
            assert_close(block, wanted, 1e-12)
    for axes in ((0, None), (None, 0), (0, 0)):
        arguments = [A if axis == 0 else X for axis in axes]
        each = ab.vmap(ab.grad(lambda x, y: loss(x, y, both), (0, 1)), in_axes=axes)(*arguments)
        expected = ab.vmap(ab.grad(lambda x, y: loss(x, y, plain), (0, 1)), in_axes=axes)(*arguments)
        for g, wanted in zip(each, expected, strict=True):
            assert_close(g, wanted, 1e-12)
        summed = ab.grad(lambda x, y, axes=axes: ab.vmap(lambda x, y: loss(x, y, both), in_axes=axes)(x, y).sum(), (0, 1))(*arguments)
        for g, wanted, axis in zip(summed, expected, axes, strict=True):
            assert_close(g, value(wanted) if axis == 0 else value(wanted).sum(0), 1e-12)


def test_the_pullback_gets_what_the_forward_remembered_and_the_forward_runs_once() -> None:
    seen: list[Any] = []

    @ab.custom_vjp
    def f(x: Any) -> Any:
        seen.append("run")
        return x * 2.0

    f.defvjp(lambda x: seen.append("fwd") or (x * 2.0, (x, "text", 7, None)), lambda r, g: seen.append(r[1:]) or (g * 10.0,))  # type: ignore[func-returns-value]
    assert_close(ab.grad(lambda x: f(x))(3.0), 10.0)
    assert seen == ["fwd", ("text", 7, None)]
    seen.clear()
    assert_close(f(3.0), 6.0)
    assert seen == ["run"]
    seen.clear()
    assert_close(ab.vmap(ab.grad(f))(X), np.full(4, 10.0))
    assert seen == ["fwd", ("text", 7, None)]
    seen.clear()
    ab.grad(ab.checkpoint(f))(3.0)
    assert seen == ["fwd", "fwd", ("text", 7, None)]


def test_arguments_that_are_not_differentiated() -> None:
    @functools.partial(ab.custom_vjp, nondiff_argnums=(0, -1))
    def applied(f: Any, x: Any, k: Any) -> Any:
        return f(x) * k

    applied.defvjp(lambda f, x, k: (f(x) * k, x), lambda f, k, x, g: (g * k * 100.0,))
    assert_close(ab.grad(lambda x: applied(ab.sin, x, 3.0))(1.0), 300.0)

    @functools.partial(ab.custom_jvp, nondiff_argnums=(1,))
    def scaled(x: Any, k: Any) -> Any:
        return x * k

    scaled.defjvp(lambda k, p, t: (p[0] * k, t[0] * 100.0))
    assert_close(ab.grad(lambda x: scaled(x, 3.0))(1.0), 100.0)
    with pytest.raises(OperationError, match="nondiff_argnums names argument 3 of a call with 1"):
        _ruled(ab.custom_vjp(ab.sin, nondiff_argnums=(3,)))(1.0)
    with pytest.raises(OperationError, match="nondiff_argnums names an argument twice"):
        _ruled(ab.custom_vjp(ab.sin, nondiff_argnums=(0, -1)))(1.0)


def test_rules_of_methods() -> None:
    class Scale(ab.nn.Module):
        def __init__(self, factor: float) -> None:
            self.factor = ab.tensor(factor, requires_grad=True)

        @ab.custom_vjp
        def pulled(self, x: Any) -> Any:
            return x * self.factor

        pulled.defvjp(lambda self, x: (self.pulled(x), (self, x)), lambda kept, g: (None, g * kept[0].factor * 100.0))

        @functools.partial(ab.custom_jvp, nondiff_argnums=(0,))
        def pushed(self, x: Any) -> Any:
            return x * 2.0

        @pushed.defjvp
        def _(self, primals: Any, tangents: Any) -> Any:
            return self.pushed(*primals), tangents[0] * 100.0

    scale = Scale(3.0)
    assert scale.pulled(2.0).item() == 6.0 and scale.pulled(x=2.0).item() == 6.0
    assert Scale.pulled(scale, 2.0).item() == 6.0 and isinstance(Scale.__dict__["pulled"], type(Scale.pulled))
    assert ab.grad(scale.pulled)(2.0).item() == 300.0
    assert ab.vmap(ab.grad(scale.pulled))(np.ones(2)).tolist() == [300.0, 300.0]
    x = ab.tensor(2.0, requires_grad=True)
    scale.pulled(x).backward()
    assert_close(x.grad, 300.0)
    assert ab.grad(scale.pushed)(2.0).item() == 100.0 and ab.jvp(scale.pushed, (2.0,), (1.0,))[1].item() == 100.0


def _ruled(f: Any) -> Any:
    f.defvjp(lambda x: (x, None), lambda _, g: (g,))
    return f


def test_a_drawing_shows_one_node_of_the_functions_name() -> None:
    x = ab.tensor(X, requires_grad=True, name="x")
    with ab.record():
        y = (sine(x) * 2.0).sum()
        y.backward()
    graph = ab.graph(y)
    assert [node.label for node in graph.nodes] == ["x", "sine", "*", "Σ"]
    assert graph.nodes[1].line is not None and graph.nodes[1].line.file == __file__
    assert_close(graph.nodes[1].cotangents[0], 2 * np.cos(X))  # type: ignore[index]
    assert "sine" in ab.draw(y).source
    with pytest.raises(TypeError, match="sine"):
        pickle.dumps(graph.nodes[1].primitive)
    assert copy.deepcopy(graph.nodes[1].primitive) is graph.nodes[1].primitive
    both(x, X)[0].sum().backward()
    names = [n.primitive.name for n in ab.graph(both(x, X)).nodes if n.primitive]
    assert names.count("both") == 1


def test_closing_over_what_is_differentiated_is_refused() -> None:
    w = ab.tensor(2.0, requires_grad=True)
    closing = _ruled(ab.custom_vjp(lambda x: x * w))
    closing.defvjp(lambda x: (x * w, None), lambda _, g: (g * w,))
    for run in (closing, ab.grad(closing), lambda x: closing(ab.tensor(x, requires_grad=True)), lambda x: ab.vmap(closing)(X)):
        with pytest.raises(GradientError, match="closes over"):
            run(1.0)
    pushed = ab.custom_jvp(lambda x: x * w)
    pushed.defjvp(lambda p, t: (p[0] * w, t[0] * w))
    for run in (pushed, ab.grad(pushed), lambda x: ab.jvp(pushed, (x,), (1.0,))):
        with pytest.raises(GradientError, match="closes over"):
            run(1.0)
    with ab.no_grad():
        assert_close(closing(3.0), 6.0)
        assert_close(ab.grad(closing)(3.0), 2.0)
    with pytest.raises(GradientError, match="closes over"):
        ab.grad(lambda s: _ruled(ab.custom_vjp(lambda x: x * s))(1.0))(2.0)


def test_a_reverse_rule_in_forward_mode_is_refused() -> None:
    for run in (lambda: ab.jvp(sine, (1.0,), (1.0,)), lambda: ab.hessian(lambda x: sine(x).sum())(X), lambda: ab.vmap(lambda x: ab.jvp(sine, (x,), (x,)))(X)):
        with pytest.raises(GradientError, match=r"sine has a reverse rule only.*custom_jvp\n  at .*test_rules"):
            run()
    assert_close(ab.jacobian(ab.grad(lambda x: sine(x).sum()), mode="reverse")(X), np.diag(-np.sin(X)), 1e-12)


def _with_bwd(bwd: Any) -> Any:
    @ab.custom_vjp
    def f(x: Any, y: Any) -> Any:
        return x * y

    f.defvjp(lambda x, y: (x * y, (x, y)), bwd)
    return lambda x: f(x, X).sum()


@pytest.mark.parametrize(
    ("bwd", "message"),
    [
        (lambda r, g: (g,), r"the bwd rule of f returned 1 cotangents for 2 arguments"),
        (lambda r, g: g, r"the bwd rule of f must return a tuple of cotangents, one an argument, got Tensor"),
        (lambda r, g: (g.sum(), g), r"the bwd rule of f: a cotangent of argument 0 has shape \(\), the operand \(4,\)"),
        (lambda r, g: (g, g[:2]), r"a cotangent of argument 1 has shape \(2,\), the operand \(4,\)"),
        (lambda r, g: (g.astype("float32"), g), r"a cotangent of argument 0 has dtype float32, the operand float64"),
        (lambda r, g: ((g, g), g), r"the cotangent of argument 0 is not nested as the argument: it is a tuple of 2 tensors for no container"),
        (lambda r, g: ("g", g), r"is no tensor but a str"),
    ],
)
def test_a_pullback_that_returns_what_does_not_fit(bwd: Any, message: str) -> None:
    f = _with_bwd(bwd)
    for run in (lambda: ab.grad(f)(X), lambda: f(ab.tensor(X, requires_grad=True)).backward(), lambda: ab.vmap(ab.grad(f))(A)):
        with pytest.raises(RuleError, match=message):
            run()


def test_a_pullback_may_give_none_and_numbers() -> None:
    assert_close(ab.grad(_with_bwd(lambda r, g: (None, g)))(X), np.zeros(4))
    scalar = ab.custom_vjp(lambda x: x * 2.0)
    scalar.defvjp(lambda x: (x * 2.0, None), lambda _, g: (7,))
    assert_close(ab.grad(scalar)(np.float32(1.0)), np.float32(7.0))


def test_a_forward_of_a_reverse_rule_that_returns_no_pair() -> None:
    for fwd, got in ((lambda x: x, "a Tensor"), (lambda x: (x, x, x), "3 values")):
        f = ab.custom_vjp(lambda x: x)
        f.defvjp(fwd, lambda r, g: (g,))
        with pytest.raises(RuleError, match=f"must return a pair: the value, and the residuals for bwd; got {got}"):
            ab.grad(f)(1.0)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda p, t: t[0], r"the jvp rule of f must return a pair: the value and its tangent; got a Tensor"),
        (lambda p, t: (p[0], t[0].sum()), r"a tangent has shape \(\), its value \(4,\)"),
        (lambda p, t: (p[0], t[0].astype("float32")), r"a tangent has dtype float32, its value float64"),
        (lambda p, t: (p[0], [t[0]]), r"the tangent is not nested as the value: it is a list of 1 tensor for no container"),
    ],
)
def test_a_pushforward_that_returns_what_does_not_fit(rule: Any, message: str) -> None:
    @ab.custom_jvp
    def f(x: Any) -> Any:
        return x

    f.defjvp(rule)
    for run in (lambda: ab.grad(lambda x: f(x).sum())(X), lambda: ab.jvp(f, (X,), (X,)), lambda: ab.vmap(ab.grad(lambda x: f(x).sum()))(A)):
        with pytest.raises(RuleError, match=message):
            run()


def test_a_pushforward_that_is_not_linear_has_no_transpose() -> None:
    for bent in (lambda t: t * t, lambda t: ab.exp(t), lambda t: ab.maximum(t, 0.0), lambda t: t / (1.0 + t), lambda t: t * t * 2.0):
        f = ab.custom_jvp(lambda x: x)
        f.defjvp(lambda p, t, bent=bent: (p[0], bent(t[0])))
        with pytest.raises(RuleError, match="not linear in the tangents"):
            ab.grad(f)(1.0)
    unused = ab.custom_jvp(lambda x, y: x)
    unused.defjvp(lambda p, t: (p[0], t[0]))
    assert_close(ab.grad(unused, (0, 1))(1.0, 2.0)[1], 0.0)


def test_a_function_without_a_rule_says_so() -> None:
    with pytest.raises(GradientError, match=r"sin has no rule yet.*defvjp\(fwd, bwd\)"):
        ab.custom_vjp(ab.sin)(1.0)
    with pytest.raises(GradientError, match=r"sin has no rule yet.*defjvp\(jvp\)"):
        ab.custom_jvp(ab.sin)(1.0)


def test_a_users_array_may_change_afterwards_and_residuals_are_freed() -> None:
    a = X.copy()
    f = ab.custom_vjp(lambda x, y: x * y)
    f.defvjp(lambda x, y: (x * y, (x, y)), lambda r, g: (g * r[1], g * r[0]))
    x = ab.tensor(X, requires_grad=True)
    out = f(x, a).sum()
    a[:] = 0.0
    out.backward()
    assert_close(x.grad, X)
    with pytest.raises(GradientError, match="freed"):
        out.backward()


@pytest.mark.parametrize("kind", ["tensor", "array", "shared"])
def test_residuals_keep_their_values(kind: str) -> None:
    array = np.array([3.0, 4.0])
    a: Any = ab.tensor(array) if kind == "tensor" else ab.asarray(array) if kind == "shared" else array
    f = ab.custom_vjp(lambda x: x * a)
    f.defvjp(lambda x: (x * a, a), lambda a, g: (g * a,))
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    out = f(x).sum()
    if kind == "tensor":
        a *= 10.0
    array *= 10.0
    out.backward()
    assert_close(x.grad, [3.0, 4.0])


def test_statistics_change_once_where_the_forward_runs_again() -> None:
    total = ab.tensor(0.0)

    def fwd(x: Any) -> Any:
        ab.assign(total, total + 1.0)
        return x * x, x

    f = ab.custom_vjp(lambda x: fwd(x)[0])
    f.defvjp(fwd, lambda x, g: (2.0 * x * g,))
    assert_close(ab.grad(ab.grad(ab.grad(lambda x: f(x) * x)))(3.0), 6.0)
    assert total.item() == 1.0


def test_results_of_several_dtypes_keep_theirs() -> None:
    def f(x: Any) -> Any:
        return x * 2.0, ab.astype(x, "float64") * 3.0, ab.astype(x, "int64")

    ruled = ab.custom_vjp(f)
    ruled.defvjp(lambda x: (f(x), None), lambda _, g: (2.0 * g[0] + 3.0 * ab.astype(g[1], "float32"),))
    x = ab.tensor(X, dtype="float32", requires_grad=True)
    single, double, whole = ruled(x)
    assert (single.dtype, double.dtype, whole.dtype) == (np.float32, np.float64, np.int64)
    assert_close(double, 3 * value(x).astype(float), 0.0)
    ((single * single).sum() + double.sum()).backward()
    assert x.grad is not None and x.grad.dtype == np.float32
    assert_close(x.grad, 8 * value(x) + 3.0, 1e-6)


@pytest.mark.parametrize("f", [sine, cosine])
def test_no_grad_records_nothing(f: Any) -> None:
    x = ab.tensor(X, requires_grad=True)
    with ab.no_grad():
        y = f(x)
        assert_close(ab.grad(lambda s: (f(s) * f(x)).sum())(X), value(ab.grad(lambda s: f(s).sum())(X)) * value(y), 1e-12)
    assert not y.requires_grad
    with pytest.raises(GradientError, match=r"cut by no_grad\(\)"):
        y.sum().backward()


@pytest.mark.parametrize("emitter", ["numpy", "llvm"])
def test_a_pushforward_is_transposed_in_a_trace(emitter: Any) -> None:
    @ab.custom_jvp
    def squashed(x: Any) -> Any:
        return x / (1.0 + ab.abs(x))

    squashed.defjvp(lambda primals, tangents: (squashed(*primals), tangents[0] / (1.0 + ab.abs(primals[0])) ** 2))
    for gradient in (ab.grad(lambda x: (squashed(x) ** 2).sum()), ab.hessian(lambda x: squashed(x).sum())):
        compiled = ab.jit(gradient, emitter=emitter)
        for x in (ab.tensor([0.5, -2.0, 3.0]), ab.tensor([1.0, 4.0, -0.25])):
            np.testing.assert_allclose(compiled(x).numpy(), gradient(x).numpy(), rtol=1e-13)


def test_a_rule_sees_the_defaults_of_its_function_as_a_call_does() -> None:
    def scaled(x: Any, k: float = 2.0, mode: str = "plain", *, sign: int = 1) -> Any:
        return x * k

    reverse = ab.custom_vjp(scaled, nondiff_argnums=(2,))
    reverse.defvjp(lambda x, k, mode: (x * k, (x, k)), lambda mode, kept, g: (g * kept[1], g * kept[0]))
    forward = ab.custom_jvp(scaled, nondiff_argnums=(2,))
    forward.defjvp(lambda mode, xs, ts: (xs[0] * xs[1], ts[0] * xs[1] + ts[1] * xs[0]))
    for f in (reverse, forward):
        assert value(ab.grad(f)(3.0)) == 2.0
        assert value(ab.grad(lambda k, f=f: f(3.0, mode="other", k=k))(5.0)) == 3.0
        with pytest.raises(OperationError, match="positional arguments only, got sign"):
            f(3.0, sign=-1)
        with pytest.raises(TypeError, match=r"^scaled\(\) missing a required argument: 'x'"):
            f()


def test_arrays_that_a_rule_uses_again_and_again_are_not_shared() -> None:
    shown, pulled, pushed = np.zeros(2), np.zeros(2), np.zeros(2)

    def doubled(x: Any) -> Any:
        return np.multiply(value(x), 2.0, out=shown)

    reverse = ab.custom_vjp(doubled)
    reverse.defvjp(lambda x: (doubled(x), None), lambda _, g: (np.multiply(value(g), 2.0, out=pulled),))
    forward = ab.custom_jvp(doubled)
    forward.defjvp(lambda xs, ts: (doubled(xs[0]), np.multiply(value(ts[0]), 2.0, out=pushed)))
    x = ab.tensor([1.0, 3.0], requires_grad=True)
    y, z = reverse(x), reverse(x * 10.0)
    assert_close(y.detach(), [2.0, 6.0])
    (y * y + z).sum().backward()  # 8x and 20
    assert_close(x.grad, [28.0, 44.0])
    first, second = (ab.jvp(forward, (X[:2],), (t,)) for t in (np.ones(2), np.full(2, 5.0)))
    assert_close(first[1], [2.0, 2.0])
    assert_close(second[1], [10.0, 10.0])
    plain = [f(np.full(2, k)) for k in (1.0, 2.0) for f in (reverse, forward)]
    assert [t.tolist() for t in plain] == [[2.0, 2.0]] * 2 + [[4.0, 4.0]] * 2

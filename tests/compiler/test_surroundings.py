"""Variables, attributes and containers that a compiled function reads may change between calls: it does what the function would do."""

from __future__ import annotations

import collections
import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab

Jit = Callable[[Callable[..., Any]], Any]
X = ab.tensor([1.0, -2.0, 3.0])
SCALE = 2.0


@pytest.fixture(params=["llvm", "numpy"], autouse=True)
def jit(request: pytest.FixtureRequest) -> Jit:
    """Each test with both emitters."""
    return lambda function: ab.jit(function, emitter=request.param)


def scaled(x: Any) -> Any:
    return x * SCALE


class Scaled:
    """A callable of a user's that is no module."""

    factor = 5.0

    def __init__(self, scale: Any) -> None:
        self.scale = scale
        self.weight = ab.tensor([1.0, 2.0, 3.0])
        self.losses: list[float] = []

    def __call__(self, x: Any) -> Any:
        return self.scaled(x)

    def scaled(self, x: Any) -> Any:
        return x * self.scale * self.weight * self.double

    @property
    def double(self) -> float:
        return 2 * self.factor


class Slotted:
    """An object without a dict."""

    __slots__ = ("scale",)

    def __init__(self, scale: float) -> None:
        self.scale = scale


class Net(ab.nn.Module):
    """A module with a plain object for its settings."""

    def __init__(self) -> None:
        self.options = types.SimpleNamespace(scale=2.0, more=[1.0])
        self.weight = ab.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def forward(self, x: Any) -> Any:
        return (x * self.weight * self.options.scale * self.options.more[0]).detach()


def variable(jit: Jit) -> Iterator[Any]:
    scale = 2.0
    f = jit(lambda x: x * scale)
    yield f(X)
    scale = 3.0
    yield f(X)
    scale = 3
    yield f(X)


def tensor_variable(jit: Jit) -> Iterator[Any]:
    weight = ab.tensor([1.0, 2.0, 3.0])
    f = jit(lambda x: x * weight)
    yield f(X)
    weight = weight * 2.0
    yield f(X)


def global_variable(jit: Jit) -> Iterator[Any]:
    global SCALE
    f = jit(lambda x: [scaled(row) for row in (x, 2.0 * x)])
    for SCALE in (2.0, 4.0):  # noqa: B007
        yield f(X)
    SCALE = 2.0


def default(jit: Jit) -> Iterator[Any]:
    def scaled(x: Any, scale: float = 2.0, *, more: float = 1.0) -> Any:
        return x * scale * more

    f = jit(scaled)
    yield f(X)
    scaled.__defaults__ = (3.0,)
    yield f(X)
    scaled.__kwdefaults__ = {"more": 5.0}
    yield f(X)


def helper(jit: Jit) -> Iterator[Any]:
    def inner(x: Any) -> Any:
        return x * 2.0

    f = jit(lambda x: inner(x) + 1.0)
    yield f(X)
    inner = scaled  # noqa: F811
    yield f(X)


def container(jit: Jit) -> Iterator[Any]:
    scales: dict[str, Any] = {"a": [2.0], "b": {1}}
    f = jit(lambda x: x * scales["a"][0] * len(scales["b"]))
    yield f(X)
    scales["a"][0] = 7.0
    yield f(X)
    scales["b"].add(2)
    yield f(X)


def appended_inside(jit: Jit) -> Iterator[Any]:
    calls: list[int] = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x * len(calls)

    f = jit(f)
    for _ in range(3):
        yield f(X)


def counted_inside(jit: Jit) -> Iterator[Any]:
    calls = 0

    def f(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return x * calls

    f = jit(f)
    for _ in range(3):
        yield f(X)


def remembered_inside(jit: Jit) -> Iterator[Any]:
    model = Scaled(2.0)

    def f(x: Any) -> Any:
        model.scale = float(x.shape[0])
        return x * 1.0

    f = jit(f)
    for n in (3, 2, 3, 2, 3):
        f(X[:n])
        yield model.scale


def changed(call: Any, model: Any) -> Iterator[Any]:
    for scale in (2.0, 3.0):
        model.scale = scale
        yield call()
    model.weight = ab.tensor([7.0, 7.0, 7.0])
    yield call()
    model.factor = 1.0
    yield call()


def an_object(jit: Jit) -> Iterator[Any]:
    model = Scaled(1.0)
    f = jit(model)
    yield from changed(lambda: f(X), model)


def bound_method(jit: Jit) -> Iterator[Any]:
    model = Scaled(1.0)
    f = jit(model.scaled)
    yield from changed(lambda: f(X), model)


def partial(jit: Jit) -> Iterator[Any]:
    model = Scaled(1.0)
    f = jit(functools.partial(lambda model, x: model(x), model))
    yield from changed(lambda: f(X), model)


def closed_over(jit: Jit) -> Iterator[Any]:
    model = Scaled(1.0)
    f = jit(lambda x: [getattr(model, "scaled")(x), model.scale * x])  # noqa: B009
    yield from changed(lambda: f(X), model)


def argument(jit: Jit) -> Iterator[Any]:
    model = Scaled(1.0)
    f = jit(lambda x, model: model(x))
    yield from changed(lambda: f(X, model), model)
    yield from changed(lambda: f(X, model.scaled), model)


def differentiated(jit: Jit) -> Iterator[Any]:
    model = Scaled(1.0)
    f = jit(ab.grad(lambda x: (model(x) ** 2).sum()))
    yield from changed(lambda: f(X), model)


def decorated(jit: Jit) -> Iterator[Any]:
    class Decorated(Scaled):
        @jit
        def scaled(self, x: Any) -> Any:
            return x * self.scale * self.weight * self.factor

    model = Decorated(1.0)
    yield from changed(lambda: model.scaled(X), model)
    Decorated.factor = 11.0
    yield Decorated(3.0).scaled(X)
    Decorated.factor = 12.0
    yield Decorated(3.0).scaled(X)


def class_method(jit: Jit) -> Iterator[Any]:
    class Decorated:
        scale = 2.0

        @classmethod
        @jit
        def scaled(cls, x: Any) -> Any:
            return x * cls.scale

    yield Decorated.scaled(X)
    Decorated.scale = 5.0
    yield Decorated.scaled(X)


def slots(jit: Jit) -> Iterator[Any]:
    f, options = jit(lambda x, options: x * options.scale), Slotted(2.0)
    yield f(X, options)
    options.scale = 3.0
    yield f(X, options)


def object_in_an_object(jit: Jit) -> Iterator[Any]:
    f = jit(lambda x, options: x * options.inner.scale)
    options = types.SimpleNamespace(inner=types.SimpleNamespace(scale=2.0))
    yield f(X, options)
    options.inner.scale = 3.0
    yield f(X, options)


def object_in_a_module(jit: Jit) -> Iterator[Any]:
    for run in (lambda net: net, lambda net: lambda x: net(x), lambda net: net.forward):
        net = Net()
        f = jit(run(net))
        yield f(X)
        net.options.scale = 3.0
        yield f(X)
        net.options.more[0] = 4.0
        yield f(X)


def modules_in_containers(jit: Jit) -> Iterator[Any]:
    norm = ab.nn.BatchNorm1d(3)
    f = jit(lambda x, *, parts: parts["norm"][0](x).detach())
    x = ab.tensor(np.arange(12.0, dtype="float32").reshape(4, 3) ** 2)
    for training in (True, True, False, True):
        norm.train(training)
        yield f(x, parts={"norm": [norm]})
        yield norm.running_mean.numpy()


def generator_state(jit: Jit) -> Iterator[Any]:
    generator = ab.nn.Generator(3)
    f = jit(lambda x: x + generator.normal(3))
    yield f(X)
    generator.state = ab.nn.Generator(9).state
    yield f(X)
    yield f(X)


def hooks(jit: Jit) -> Iterator[Any]:
    w, factor = ab.tensor([1.0, 2.0, 3.0], requires_grad=True), 10.0

    def step(x: Any, v: Any) -> Any:
        w.grad = v.grad = None
        (x * w * v).sum().backward()
        return w.grad, v.grad

    f = jit(step)
    ones = ab.tensor([1.0, 1.0, 1.0], requires_grad=True)
    yield f(X, ones)
    remove = w.register_hook(lambda g: g * factor)
    yield f(X, ones)
    factor = 100.0
    yield f(X, ones)
    remove()
    yield f(X, ones)
    ones.register_hook(lambda g: -g)
    yield f(X, ones)
    yield f(X, ab.tensor([1.0, 1.0, 1.0], requires_grad=True))


def arrays_written_inside(jit: Jit) -> Iterator[Any]:
    def f(x: Any) -> Any:
        a, out = np.zeros(3), []
        for i in range(3):
            a[:] = 0.0
            a[i] = 1.0
            out.append((x * a, ab.where(a > 0, x, 0.0), ab.where(a.astype(bool), x, a)))
        a[:] = 7.0
        return out, x + a

    f = jit(f)
    for _ in range(2):
        yield f(X)


def keys_that_are_equal(jit: Jit) -> Iterator[Any]:
    f = jit(lambda parts: {key: 2.0 * x for key, x in parts.items()})
    for _ in range(2):
        for key in (1, True, 1.0):
            yield [repr(found) for found in f({key: X})]


def checkpointed(jit: Jit) -> Iterator[Any]:
    count, w = ab.tensor(0.0), ab.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def counted(x: Any) -> Any:
        ab.assign(count, count + 1)
        return x * 2.0

    f = jit(counted)
    f(X)
    for _ in range(2):
        ab.checkpoint(lambda w: (ab.sin(w) * f(X) * f(X)).sum())(w).backward()
        yield count.item()


def kept_gradients(jit: Jit) -> Iterator[Any]:
    w = ab.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def step(x: Any) -> Any:
        w.grad = None
        y = w * x
        y.retain_grad()
        (y * y).sum().backward()
        return y.grad, w.grad

    yield jit(step)(X)


def infinite(jit: Jit) -> Iterator[Any]:
    f = jit(lambda x, limit: ab.minimum(x, limit))
    for limit in (float("inf"), -float("inf"), float("inf"), 2.0):
        yield f(X, limit)
        yield f(X, limit)


def rule(jit: Jit) -> Iterator[Any]:
    limit = [0.1]

    @ab.custom_vjp
    def clipped(x: Any) -> Any:
        return x * 1.0

    clipped.defvjp(lambda x: (x * 1.0, None), lambda _, g: (ab.clip(g, -limit[0], limit[0]),))
    f = jit(ab.grad(lambda x: (clipped(x) ** 2).sum()))
    yield f(X)
    limit[0] = 0.5
    yield f(X)


def attributes_without_names(jit: Jit) -> Iterator[Any]:
    options = types.SimpleNamespace(scale=2.0)
    f = jit(lambda x: x * sum(vars(options).values()))
    g = jit(lambda x: x * (options.more if hasattr(options, "more") else 1.0) * getattr(options, "other", 1.0))
    for name in ("scale", "more", "other"):
        yield f(X), g(X)
        setattr(options, name, 5.0)
    yield f(X), g(X)
    del options.more
    yield f(X), g(X)


def other_containers(jit: Jit) -> Iterator[Any]:
    ordered, own, queue = collections.OrderedDict(a=2.0), collections.UserDict(a=2.0), collections.deque([2.0])
    f = jit(lambda x: x * ordered["a"] * own["a"] * queue[0])
    yield f(X)
    ordered["a"] = 3.0
    yield f(X)
    own["a"] = 5.0
    yield f(X)
    queue[0] = 7.0
    yield f(X)


def method_that_is_replaced(jit: Jit) -> Iterator[Any]:
    class Model:
        def scaled(self, x: Any) -> Any:
            return x * 2.0

    model = Model()
    f = jit(lambda x: model.scaled(x))
    yield f(X)
    Model.scaled = lambda self, x: x * 3.0
    yield f(X)


PROGRAMS = (
    rule, attributes_without_names, other_containers, method_that_is_replaced,
    variable, tensor_variable, global_variable, default, helper, container, appended_inside, counted_inside, remembered_inside, an_object, bound_method,
    partial, closed_over, argument, differentiated, decorated, class_method, slots, object_in_an_object, object_in_a_module, modules_in_containers,
    generator_state, hooks, arrays_written_inside, keys_that_are_equal, checkpointed, kept_gradients, infinite,
)  # fmt: skip


def numbers(x: Any) -> Iterator[Any]:
    """What containers, tensors and arrays hold, one after the other."""
    if isinstance(x, (ab.Tensor, np.ndarray)):
        x = x.tolist()
    if isinstance(x, (list, tuple)):
        for part in x:
            yield from numbers(part)
    else:
        yield x


@pytest.mark.filterwarnings("ignore:.*was compiled 8 times")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_what_changes_outside_is_seen(program: Callable[[Jit], Iterator[Any]], jit: Jit) -> None:
    eager = list(numbers(list(program(lambda function: function))))
    assert list(numbers(list(program(jit)))) == [x if isinstance(x, str) else pytest.approx(x, rel=1e-6) for x in eager]


class Trainer:
    """What a compiled step is a method of, and keeps its own accounts."""

    def __init__(self) -> None:
        self.model = ab.nn.Linear(3, 1, rng=0)
        self.optimizer = ab.optim.SGD(self.model.parameters(), lr=0.1)
        self.losses: list[float] = []
        self.epoch = 0

    def step(self, x: Any) -> Any:
        self.optimizer.zero_grad()
        loss = (self.model(x) ** 2).mean()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def fit(self, step: Any) -> None:
        for self.epoch in range(5):
            self.losses.append(step(ab.ones((2, 3), dtype="float32")).item())


def test_attributes_that_no_code_names_may_change(jit: Jit) -> None:
    trainer = Trainer()
    for step in (jit(trainer.step), jit(lambda x: trainer.step(x))):
        trainer.fit(step)
        assert step.cache_info() == (4, 1, 1, 0)


def test_a_version_that_changes_what_it_depends_on_is_not_kept(jit: Jit) -> None:
    calls: list[int] = []
    f = jit(lambda x: x * (calls.append(1), len(calls))[1])
    f(X)
    f(X)
    assert f.cache_info() == (0, 2, 0, 0)


@pytest.mark.filterwarnings("ignore:.*was compiled 8 times")
def test_versions_that_are_not_wanted_any_more_are_let_go(jit: Jit) -> None:
    scale = 0.0
    f = jit(lambda x: x * scale)
    for scale in map(float, range(20)):
        assert f(X).tolist() == [scale, -2.0 * scale, 3.0 * scale]
    assert f.cache_info() == (0, 20, 8, 0)


def test_what_contains_itself_is_looked_at(jit: Jit) -> None:
    loop: list[Any] = [2.0]
    loop.append(loop)
    f = jit(lambda x: x * loop[1][0])
    for loop[0] in (2.0, 3.0):
        assert f(X).tolist() == [loop[0], -2.0 * loop[0], 3.0 * loop[0]]

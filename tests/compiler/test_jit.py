"""Compiled functions do what the function does: values, gradients, effects, errors."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.compiler.jit import EMITTERS
from autograd_bn.core.errors import GradientError, MutationError, OperationError, ShapeError, TraceError

F = ab.nn.functional


def values(x: Any) -> Any:
    """Arrays of tensors in nested containers."""
    if isinstance(x, ab.Tensor):
        return np.array(x.detach())
    if isinstance(x, dict):
        return {key: values(value) for key, value in x.items()}
    return [values(value) for value in x] if isinstance(x, (list, tuple)) else x


@pytest.fixture(params=EMITTERS, autouse=True)
def emitter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """All tests run with native code, and as where the extra is not installed."""
    monkeypatch.setattr(sys.modules[ab.jit.__module__], "_native", lambda: request.param == "llvm")
    return str(request.param)


def same(one: Any, other: Any, emitter: str) -> None:
    """Equal, dtype and shape included: to the last bit, or in native code up to a few roundings."""
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape
        if emitter == "numpy" or one.dtype.kind != "f":
            np.testing.assert_array_equal(one, other)
        else:
            rounding = 30 * np.finfo(one.dtype).eps
            np.testing.assert_allclose(one, other, rtol=rounding, atol=rounding * np.max(np.abs(other), initial=0, where=np.isfinite(other)))
    elif isinstance(one, float) and emitter != "numpy":
        assert one == pytest.approx(other, rel=1e-5)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key], emitter)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b, emitter)
    else:
        assert one == other


def array(*shape: int, dtype: str = "float64", seed: int = 0) -> ab.Tensor:
    return ab.tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def normalise(x: ab.Tensor, gamma: ab.Tensor, beta: ab.Tensor, seed: ab.Tensor) -> Any:
    y, pullback = ab.vjp(F.batch_norm, x, gamma, beta)
    return y, *pullback(seed)


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "batch_norm": (normalise, (array(6, 3), array(3, seed=1), array(3, seed=2), array(6, 3, seed=3))),
    "batch_norm float32": (normalise, tuple(array(*shape, dtype="float32", seed=i) for i, shape in enumerate([(6, 3), (3,), (3,), (6, 3)]))),
    "grad of grad": (ab.grad(ab.grad(lambda x: ab.sin(x) * x)), (ab.tensor(0.7),)),
    "jvp": (lambda x, t: ab.jvp(lambda z: ab.tanh(z @ z.T).sum(0), (x,), (t,)), (array(3, 2), array(3, 2, seed=1))),
    "vmap": (ab.vmap(ab.grad(lambda row: ab.logsumexp(row**2))), (array(4, 3),)),
    "hessian": (ab.hessian(lambda x: (x**3).sum() * x[0]), (array(3),)),
    "softmax": (ab.grad(lambda x: (ab.softmax(x, axis=1) ** 2).sum()), (array(4, 5),)),
    "containers": (lambda d: {"out": [d["a"] * 2, d["b"][0] + 1.0]}, ({"a": array(2), "b": [array(3)]},)),
    "indices and writes": (lambda x: _written(x), (array(4, 3),)),
    "what is copied out stays": (lambda x: _taken(x), (array(4, 3),)),
    "views that are cut stay cut": (ab.value_and_grad(lambda x: _cut(x)), (array(4),)),
    "linalg": (ab.grad(lambda x: ab.linalg.det(x @ x.T + 2.0 * ab.eye(3))), (array(3, 3),)),
    "einsum": (ab.grad(lambda x: ab.einsum("ij,jk,ik->", x, x, x)), (array(3, 3),)),
    "sorting": (ab.grad(lambda x: (ab.sort(x) * ab.arange(5)).sum() + ab.take(x, ab.tensor([0, 0]), axis=0).sum()), (array(5),)),
    "returned input": (lambda x: (x, x.T, x[0]), (array(2, 3),)),
    "empty": (lambda x: x * 2 + 1, (array(0, 3),)),
    "scalars": (lambda x: (1.0 * x - 0) / 1, (ab.tensor(2, dtype="float32"),)),
    "zeros keep their sign": (lambda x: (x * 0.0 + x * -0.0, ab.negative(-x), ab.atan2(ab.sign(x), -1.0)), (ab.tensor([0.0, -0.0, 1.0]),)),
}


def _written(x: ab.Tensor) -> Any:
    y = x * 1.5
    y[1:, 0] = x[:3, 1]
    row = y[2]
    row += 10.0
    y[y.shape[0] - 1] *= 2
    return ab.grad(lambda z: (z * y).sum())(x), y, row


def _cut(x: ab.Tensor) -> ab.Tensor:
    y = x * 2
    with ab.no_grad():
        view = y[1:]
    other = y.detach()
    y += 1
    y += y * x
    return (y * view.sum() + other.sum() * view.sum()).sum()


def _taken(x: ab.Tensor) -> Any:
    y = x[0] * 1.5
    number, view, element, some = y[1], y[1:2], y[1, ...], ab.take(y, [0, 0, 1])
    total = y.sum()
    before = total[()]
    y[...] = 7.0
    total[...] = 8.0
    return y, number, view, element, some, total, before


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_equals_eager(name: str, emitter: str) -> None:
    function, arguments = FUNCTIONS[name]
    compiled = ab.jit(function)
    expected = values(function(*arguments))
    for _ in range(2):
        same(values(compiled(*arguments)), expected, emitter)
    assert compiled.cache_info() == (1, 1, 1, 0)


def test_other_values_of_the_same_shape_use_the_same_version(emitter: str) -> None:
    f = ab.jit(ab.grad(lambda x: (x**3).sum()))
    f(array(3))
    same(values(f(array(3, seed=5))), 3 * values(array(3, seed=5)) ** 2, emitter)
    assert f.cache_info().misses == 1
    f(array(4))
    f(array(3, dtype="float32"))
    assert f.cache_info() == (1, 3, 3, 0)


OPTIMISERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda parameters: ab.optim.SGD(parameters, lr=0.1),
    "momentum": lambda parameters: ab.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda parameters: ab.optim.Adam(parameters, lr=0.01),
    "AdamW": lambda parameters: ab.optim.AdamW(parameters, lr=0.01, amsgrad=True),
    "RMSprop": lambda parameters: ab.optim.RMSprop(parameters, lr=0.01, momentum=0.5, centered=True),
}


def network(kind: str = "momentum") -> tuple[ab.nn.Module, Any]:
    rng = np.random.default_rng(0)
    model = ab.nn.Sequential(ab.nn.Linear(5, 8, bias=False), ab.nn.BatchNorm1d(8), ab.nn.Sigmoid(), ab.nn.Linear(8, 3))
    model.load_state_dict({key: rng.standard_normal(v.shape) if "num" not in key and "var" not in key else v for key, v in model.state_dict().items()})
    return model, OPTIMISERS[kind](model.parameters())


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_training_step_with_its_optimiser_and_running_statistics(kind: str, emitter: str) -> None:
    results = []
    for compiling in (False, True):
        model, optimizer = network(kind)

        def step(x: ab.Tensor, y: ab.Tensor, model: Any = model, optimizer: Any = optimizer) -> ab.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss  # type: ignore[no-any-return]

        run = ab.jit(step) if compiling else step
        rng = np.random.default_rng(1)
        losses = []
        for k in range(20):
            optimizer.lr = 0.1 / (1 + k)  # a tensor to the compiled step
            losses.append(run(ab.tensor(rng.standard_normal((7, 5)).astype("f4")), ab.tensor(rng.integers(0, 3, 7))).item())
        gradients = [values(p.grad) for p in model.parameters()]
        results.append([losses, values(dict(model.state_dict())), gradients])
        if compiling:
            assert run.cache_info().misses == 1  # that there are neither gradients nor velocities before the first step makes no difference
    same(results[1][0], results[0][0], emitter)
    for key, value in results[0][1].items():
        same(results[1][1][key], value, emitter)
    same(results[1][2], results[0][2], emitter)


def test_what_is_closed_over_is_read_at_each_call() -> None:
    c = ab.tensor([1.0, 2.0])
    f = ab.jit(lambda x: x * c)
    f(ab.tensor(1.0))
    ab.assign(c, ab.tensor([5.0, 6.0]))
    np.testing.assert_array_equal(f(ab.tensor(2.0)).numpy(), [10.0, 12.0])
    assert f.cache_info().misses == 1


def test_a_grad_of_what_is_closed_over_is_no_constant() -> None:
    w = ab.tensor([1.0, 2.0])
    f = ab.jit(lambda: ab.grad(lambda p: (p**2).sum())(w))
    f()
    ab.assign(w, ab.tensor([3.0, 4.0]))
    np.testing.assert_array_equal(f().numpy(), [6.0, 8.0])


def test_tensors_made_inside_are_constants() -> None:
    f = ab.jit(lambda x: x + ab.tensor([1.0, 2.0]) * 3)
    np.testing.assert_array_equal(f(ab.tensor(1.0)).numpy(), [4.0, 7.0])
    assert [node.kind for node in f.lowered.nodes] == ["leaf", "constant", "operation"]


def test_writes_to_arguments_and_closures_are_seen_outside() -> None:
    kept = ab.tensor([0.0, 0.0])
    view = kept[1:]

    def f(x: ab.Tensor) -> None:
        kept[0] = x[0] * 2
        x[1] = 7.0
        view[...] = 3.0

    for run in (f, ab.jit(f)):
        x = ab.tensor([1.0, 2.0])
        run(x)
        np.testing.assert_array_equal(kept.numpy(), [2.0, 3.0])
        np.testing.assert_array_equal(view.numpy(), [3.0])
        np.testing.assert_array_equal(x.numpy(), [1.0, 7.0])
        ab.assign(kept, np.zeros(2))


def test_modes_and_settings_of_modules_are_part_of_the_key(emitter: str) -> None:
    model, _ = network()
    f = ab.jit(lambda x: model(x).detach())
    x = array(6, 5, dtype="float32")
    f(x)
    model.eval()
    with ab.no_grad():
        expected = values(model(x))
    same(values(f(x)), expected, emitter)
    assert f.cache_info().misses == 2


def test_modules_as_arguments(emitter: str) -> None:
    model, _ = network()
    f = ab.jit(lambda m, x: m(x).detach())
    x = array(6, 5, dtype="float32")
    model(x)
    model.eval()
    same(values(f(model, x)), values(model(x)), emitter)
    other, _ = network()
    other(x)
    other.eval()
    other.load_state_dict({key: value * 2 for key, value in other.state_dict().items()})
    same(values(f(other, x)), values(other(x)), emitter)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda x: x if x.sum() > 0 else -x, "a branch"),
        (lambda x: x * float(x[0]), "float"),
        (lambda x: x * x.sum().item(), "item"),
        (lambda x: np.asarray(x), "NumPy array"),
        (lambda x: list(range(x.sum())), "index"),
        (lambda x: x[x > 0], "NumPy array"),
    ],
)
def test_looking_at_a_value_is_refused_with_the_line_and_the_way_out(function: Callable[..., Any], what: str) -> None:
    with pytest.raises(TraceError, match=what) as caught:
        ab.jit(function)(array(3))
    assert "test_jit.py" in str(caught.value) and "ab.where" in str(caught.value)


def test_tensors_are_whole_after_a_failed_trace() -> None:
    w = ab.tensor([1.0], requires_grad=True)
    c = ab.tensor([2.0])

    def f(x: ab.Tensor) -> Any:
        ab.assign(c, c * 2)
        (w * c * x).sum().backward()
        return bool(x.sum())

    with pytest.raises(TraceError):
        ab.jit(f)(ab.tensor([1.0]))
    assert w.grad is None and w.node.level == 0 and c.item() == 2.0 and (w * c).sum().item() == 2.0


def test_a_tensor_that_gets_out_by_another_way_is_refused() -> None:
    kept: list[ab.Tensor] = []
    ab.jit(lambda x: kept.append(x * 2))(array(3))
    with pytest.raises(TraceError, match="another way"):
        kept[0] + 1
    assert "traced float64[3]" in repr(kept[0])


def test_a_result_that_requires_a_gradient_is_refused() -> None:
    w = ab.tensor([1.0], requires_grad=True)
    with pytest.raises(GradientError, match="no_grad"):
        ab.jit(lambda x: w * x)(ab.tensor([1.0]))
    f = ab.jit(lambda x: w * x)
    with ab.no_grad():
        assert not f(ab.tensor([1.0])).requires_grad


def test_inside_transforms_and_under_observers_the_function_runs_as_it_is() -> None:
    f = ab.jit(lambda x: (x**3).sum())
    np.testing.assert_array_equal(ab.grad(f)(ab.tensor([2.0])).numpy(), [12.0])
    np.testing.assert_array_equal(ab.jit(ab.grad(f))(ab.tensor([2.0])).numpy(), [12.0])
    with ab.record():
        f(ab.tensor([2.0]))
    assert f.cache_info().eager == 3 and f.cache_info().misses == 0


def test_nothing_is_committed_when_a_gradient_is_not_finite() -> None:
    w = ab.tensor([1.0], requires_grad=True, name="w")
    optimizer = ab.optim.SGD([w], lr=0.1)

    @ab.jit
    def step(x: ab.Tensor) -> None:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    step(ab.tensor([1.0]))
    before = w.item()
    with pytest.raises(GradientError, match="NaN or infinite"):
        step(ab.tensor([np.inf]))
    assert w.item() == before


def test_labels_out_of_range_are_refused_after_the_trace_too(emitter: str) -> None:
    f = ab.jit(lambda x, y: F.cross_entropy(x, y))
    x = array(3, 4)
    same(values(f(x, ab.tensor([0, 1, 3]))), values(F.cross_entropy(x, ab.tensor([0, 1, 3]))), emitter)
    with pytest.raises(OperationError, match="position 1"):
        f(x, ab.tensor([0, 4, 3]))
    with pytest.raises((ShapeError, OperationError)):
        f(x, ab.tensor([0, 1]))


def test_errors_of_shape_are_those_of_the_function() -> None:
    with pytest.raises(ShapeError, match=r"test_jit\.py"):
        ab.jit(lambda x, y: x + y)(array(3), array(4))


def test_a_write_after_a_reshape_is_refused() -> None:
    def f(x: ab.Tensor) -> ab.Tensor:
        y = x * 2
        flat = y.reshape((-1,))
        y[0] = 1.0
        return flat

    with pytest.raises(TraceError, match="reshape"):
        ab.jit(f)(array(2, 2))


def test_writing_into_a_leaf_is_refused_as_it_is_without() -> None:
    w = ab.tensor([1.0], requires_grad=True)

    def f() -> None:
        w[0] = 2.0

    with pytest.raises(MutationError):
        ab.jit(f)()


def test_one_tensor_passed_and_closed_over_is_refused_where_it_is_changed() -> None:
    c = ab.tensor([1.0])

    def f(x: ab.Tensor) -> None:
        c[0] = x[0] + 1

    compiled = ab.jit(f)
    compiled(ab.tensor([1.0]))
    with pytest.raises(TraceError, match="not both"):
        compiled(c)


def test_compiling_again_and_again_is_told_of() -> None:
    f = ab.jit(lambda x, k: x * k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(7):
            f(array(2), float(k))
    with pytest.warns(UserWarning, match="compiled 8 times"):
        f(array(2), 100.0)


def test_eight_threads_call_the_same_and_different_functions() -> None:
    f = ab.jit(ab.grad(lambda x: (ab.tanh(x) ** 2).sum()))
    wrong: list[Any] = []

    def work(seed: int) -> None:
        own = ab.jit(lambda x: ab.exp(x) + seed)
        for k in range(20):
            x = array(4 + seed % 3, seed=100 * seed + k)
            a = values(x)
            if not np.allclose(values(f(x)), 2 * np.tanh(a) * (1 - np.tanh(a) ** 2), rtol=1e-12):
                wrong.append(seed)
            if not np.allclose(values(own(x)), np.exp(a) + seed, rtol=1e-14):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_what_it_shows(emitter: str) -> None:
    f = ab.jit(normalise)
    with pytest.raises(OperationError, match="call it once"):
        _ = f.graph
    f(*FUNCTIONS["batch_norm"][1])
    assert ("mean(x0, axis=(0,), keepdims=True)" if emitter == "numpy" else "segment0") in f.source
    assert len(f.graph) == 36 and f.nbytes > 0
    assert "operations traced" in f.explain()
    assert f.__name__ == "normalise"


def test_a_trace_saves_values_from_before_a_write(emitter: str) -> None:
    state = ab.tensor([2.0, 3.0])

    def step(x: Any) -> Any:
        c = ab.tensor([5.0, 7.0])
        y = x * state + x * c
        ab.assign(state, state * 10.0)
        c *= x
        (y.sum() + c.sum()).backward()
        return x.grad

    f = ab.jit(step)
    for call in range(2):
        same(values(f(ab.tensor([1.0, 1.0], requires_grad=True))), np.array([12.0 + 18.0 * call, 17.0 + 27.0 * call]), emitter)


def test_what_requires_no_gradient_requires_none_in_a_trace() -> None:
    seen = []

    def step(x: Any, y: Any) -> Any:
        seen.extend([x.requires_grad, (x * 2.0).requires_grad, x.detach().requires_grad, y.requires_grad, (y + 1.0).requires_grad])
        return y

    ab.jit(step)(ab.tensor(1.0, requires_grad=True), ab.tensor(1.0))
    assert seen == [True, True, False, False, False]


@pytest.mark.parametrize("dtype", ["complex128", "int8", "float16"])
def test_flags_are_reduced_from_every_dtype(dtype: str, emitter: str) -> None:
    x = ab.tensor(np.array([[0, 1, 2], [0, 0, 0]], dtype))
    f = ab.jit(lambda x: (ab.any(x, axis=1), ab.all(x, axis=0)))
    same(values(f(x)), [np.array([True, False]), np.array([False, False, False])], emitter)


def test_flags_have_a_largest_and_a_smallest(emitter: str) -> None:
    x = ab.tensor([[False, True, True], [False, False, True]])
    f = ab.jit(lambda x: (ab.max(~x, axis=1), ab.min(~x, axis=1), ab.max(~x, axis=0), ab.min(~x, axis=0)))
    same(values(f(x)), [np.array([True, True]), np.array([False, False]), np.array([True, True, False]), np.array([True, False, False])], emitter)
    same(values(f(ab.ones((2, 3), dtype=bool))), [np.zeros(2, bool), np.zeros(2, bool), np.zeros(3, bool), np.zeros(3, bool)], emitter)


@ab.jit
def doubled(x: ab.Tensor) -> ab.Tensor:
    return 2.0 * x


class Doubling:
    """Has a compiled function of its own."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.run = ab.jit(self.scaled)

    def scaled(self, x: ab.Tensor) -> ab.Tensor:
        return x * self.scale


def test_compiled_functions_are_copied_and_pickled() -> None:
    x = ab.tensor([1.0])
    assert doubled(x).item() == 2.0
    assert copy.copy(doubled) is copy.deepcopy(doubled) is pickle.loads(pickle.dumps(doubled)) is doubled
    one = Doubling(3.0)
    assert one.run(x).item() == 3.0
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        other.scale = 5.0
        assert other.run(x).item() == 5.0 and one.run(x).item() == 3.0

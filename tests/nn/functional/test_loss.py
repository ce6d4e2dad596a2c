from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.nn import functional as F
from tests.messages import refused
from tests.ops.torch_oracle import assert_same, torch_module


def test_cross_entropy_is_the_negative_log_likelihood() -> None:
    rng = np.random.default_rng(0)
    z, labels = ab.tensor(rng.standard_normal((5, 4)), requires_grad=True), rng.integers(0, 4, 5)
    loss = F.cross_entropy(z, labels)
    loss.backward()
    e = np.exp(np.array(z.detach()))
    p = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(loss.item(), -np.log(p[np.arange(5), labels]).mean(), atol=1e-14)
    np.testing.assert_allclose(np.array(z.grad), (p - np.eye(4)[labels]) / 5, atol=1e-14)


def test_cross_entropy_survives_huge_logits() -> None:
    z = ab.tensor(np.array([[1e4, 0.0], [-1e4, 0.0]], "float32"), requires_grad=True)
    loss = F.cross_entropy(z, [1, 1])
    loss.backward()
    assert loss.item() == 5e3
    assert loss.dtype == z.grad.dtype == np.float32
    np.testing.assert_array_equal(np.array(z.grad), [[0.5, -0.5], [0, 0]])


def test_cross_entropy_maps_over_examples() -> None:
    rng = np.random.default_rng(0)
    z, labels = rng.standard_normal((5, 4)), rng.integers(0, 4, 5)

    def one(z: Any, label: Any) -> Any:
        return F.cross_entropy(z.reshape((1, 4)), label.reshape((1,)))

    rows = ab.vmap(ab.grad(one))(z, labels)
    whole = ab.grad(F.cross_entropy)(z, labels)
    np.testing.assert_allclose(rows.numpy() / 5, whole.numpy(), atol=1e-14)


REDUCTIONS = ["mean", "sum", "none"]
LABELS = np.array([0, 3, 2, 0, 1, 3])


def scores(shape: tuple[int, ...] = (6, 4), seed: int = 0, scale: float = 1.0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape) * scale


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, 3, -100])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_and_nll_loss_are_pytorchs(reduction: Any, smoothing: float, ignored: int | None, weighted: bool, scale: float) -> None:
    torch = torch_module()
    z, weight = scores(scale=scale), np.random.default_rng(5).uniform(0.2, 3.0, 4) if weighted else None
    labels = np.where(LABELS == 2, -100, LABELS) if ignored == -100 else LABELS
    ours: dict[str, Any] = {"reduction": reduction, "ignore_index": ignored, "weight": weight}
    theirs = ours | {"ignore_index": -100 if ignored is None else ignored, "weight": None if weight is None else torch.tensor(weight)}
    y, peer = torch.tensor(labels), torch.nn.functional
    if not smoothing:
        assert_same(lambda z: F.nll_loss(F.log_softmax(z), labels, **ours), lambda z: peer.nll_loss(z.log_softmax(-1), y, **theirs), [z])
    ours["label_smoothing"] = theirs["label_smoothing"] = smoothing
    assert_same(lambda z: F.cross_entropy(z, labels, **ours), lambda z: peer.cross_entropy(z, y, **theirs), [z])
    if scale == 1:
        compiled = ab.jit(lambda z, y: F.cross_entropy(z, y, **ours))
        np.testing.assert_allclose(compiled(z, labels), F.cross_entropy(z, labels, **ours).numpy(), rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_is_pytorchs(reduction: Any, weighted: bool) -> None:
    torch = torch_module()
    weight = np.array([0.5, 2.0, 1.0]) if weighted else None
    peer = torch.tensor(weight) if weighted else None
    z = np.array([[0.0, 800.0, -800.0], [50.0, -50.0, 1.5]])
    assert_same(
        lambda z, t: F.binary_cross_entropy_with_logits(z, t, pos_weight=weight, reduction=reduction),
        lambda z, t: torch.nn.functional.binary_cross_entropy_with_logits(z, t, pos_weight=peer, reduction=reduction),
        [z, np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.3]])],
    )


def test_binary_cross_entropy_keeps_small_results_and_a_slope_at_zero() -> None:
    losses = F.binary_cross_entropy_with_logits([50.0, -50.0], [1.0, 0.0], reduction="none").numpy()
    np.testing.assert_allclose(losses, np.exp(-50.0), rtol=1e-12)
    assert ab.grad(lambda z: F.binary_cross_entropy_with_logits(z, np.array(1.0)))(0.0).item() == -0.5


REGRESSION: list[tuple[str, dict[str, float]]] = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.4}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 2.5}),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("name", "options"), REGRESSION, ids=str)
def test_a_loss_of_differences_is_pytorchs(name: str, options: dict[str, float], reduction: Any, dtype: str) -> None:
    torch = torch_module()
    x, y = scores(scale=2.0).astype(dtype), scores(seed=1).astype(dtype)
    x[0] = y[0]
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    assert_same(
        lambda x, y: ours(x, y, reduction=reduction, **options),
        lambda x, y: theirs(x, y, reduction=reduction, **options),
        [x, y],
        1e-12 if dtype == "float64" else 1e-6,
    )


@pytest.mark.parametrize(("loss", "curvature"), [(lambda x, y: F.huber_loss(x, y, delta=0.5), 1.0), (lambda x, y: F.smooth_l1_loss(x, y, beta=0.5), 2.0)])
def test_a_huber_loss_has_its_curvature_where_nothing_differs_its_slope_at_infinity_and_takes_the_size_of_what_is_complex(loss: Any, curvature: float) -> None:
    gradient = ab.grad(loss)
    assert [ab.grad(gradient)(x, 1.0).item() for x in (1.0, 1.25, 0.75, 3.0, -np.inf)] == [curvature, curvature, curvature, 0.0, 0.0]
    assert ab.grad(gradient, argnums=1)(1.0, 1.0).item() == -curvature
    assert loss(3.0 + 4.0j, 0.0).item() == loss(5.0, 0.0).item()
    slope = curvature / 2
    for by in (gradient, lambda x, y: ab.jvp(lambda x: loss(x, y), (x,), (1.0,))[1], ab.jit(gradient)):
        assert [by(np.array(x), 0.0).item() for x in (np.inf, -np.inf, 1e307)] == [slope, -slope, slope]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"ignore_index": 3}, {"label_smoothing": 0.2}], ids=str)
def test_labels_may_be_arguments_of_a_compiled_function(options: dict[str, Any], reduction: Any) -> None:
    def gradient(z: Any, labels: Any) -> Any:
        return ab.grad(lambda z: (F.cross_entropy(z, labels, reduction=reduction, **options) * np.arange(1.0, 7.0)).sum())(z)

    np.testing.assert_allclose(ab.jit(gradient)(scores(), LABELS).numpy(), gradient(scores(), LABELS).numpy(), rtol=1e-12, atol=1e-15)
    with pytest.raises(OperationError, match="from 0 to 3, the one at position 2 is not"):
        ab.jit(gradient)(scores(), np.where(LABELS == 2, 7, LABELS))


def test_the_module_of_a_loss_has_its_settings() -> None:
    z, x, y = scores(), scores(seed=1), scores(seed=2)
    pairs: list[tuple[nn.Module, Any]] = [
        (nn.CrossEntropyLoss(ignore_index=3, label_smoothing=0.1), F.cross_entropy(z, LABELS, ignore_index=3, label_smoothing=0.1)),
        (nn.NLLLoss(reduction="sum"), F.nll_loss(z, LABELS, reduction="sum")),
    ]
    for module, expected in pairs:
        np.testing.assert_array_equal(module(z, LABELS).numpy(), expected.numpy())
    more: list[tuple[nn.Module, Any]] = [
        (nn.MSELoss(reduction="none"), F.mse_loss(x, y, reduction="none")),
        (nn.L1Loss(), F.l1_loss(x, y)),
        (nn.HuberLoss(delta=0.5), F.huber_loss(x, y, delta=0.5)),
        (nn.SmoothL1Loss(beta=0.5), F.smooth_l1_loss(x, y, beta=0.5)),
        (nn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0, 3.0, 4.0]), F.binary_cross_entropy_with_logits(x, y, pos_weight=[1.0, 2.0, 3.0, 4.0])),
    ]
    for module, expected in more:
        np.testing.assert_array_equal(module(x, y).numpy(), expected.numpy())
    assert repr(nn.CrossEntropyLoss(ignore_index=-1)) == "CrossEntropyLoss(ignore_index=-1, reduction='mean', label_smoothing=0.0)"
    assert repr(nn.L1Loss()) == "L1Loss(reduction='mean')"


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda x: F.cross_entropy(x, [0, 1, 2, 3, 4, 1]), OperationError, ["from 0 to 3", "got 4 at position 4"]),
        (lambda x: F.cross_entropy(x, [0, 1, 2, 3, -1, 1]), OperationError, ["from 0 to 3", "got -1 at position 4"]),
        (lambda x: F.cross_entropy(x, np.zeros(6)), DtypeError, ["float64", "astype('int64')"]),
        (lambda x: F.cross_entropy(x, [0, 1]), ShapeError, ["(6,)", "got (2,)"]),
        (lambda x: F.cross_entropy(x, np.eye(6, 4, dtype=int)), ShapeError, ["argmax(1)"]),
        (lambda x: F.cross_entropy(x[0], [0]), ShapeError, ["(N, K)", "(4,)"]),
        (lambda x: F.cross_entropy(x[:0], np.zeros(0, int)), OperationError, ["empty"]),
        (lambda x: F.cross_entropy(x, [0, 1, 2, 3, -100, 1]), OperationError, ["from 0 to 3", "got -100 at position 4"]),
        (lambda x: F.cross_entropy(x, [0, 1, 2, 3, 5, 1], ignore_index=-1), OperationError, ["from 0 to 3", "got 5 at position 4"]),
        (lambda x: F.cross_entropy(x, [2] * 6, ignore_index=2), OperationError, ["every label is 2", "nothing to average"]),
        (lambda x: F.cross_entropy(x, [2] * 6, label_smoothing=1.5), OperationError, ["label_smoothing", "got 1.5"]),
        (lambda x: F.cross_entropy(x, [2] * 6, reduction="average"), OperationError, ["'mean', 'sum' or 'none'", "got 'average'"]),
        (lambda x: F.nll_loss(x, [0] * 5 + [4]), OperationError, ["nll_loss", "got 4 at position 5"]),
        (lambda x: F.binary_cross_entropy_with_logits(x, x[0]), ShapeError, ["(6, 4)", "(4,)"]),
        (lambda x: F.l1_loss(x, x[0]), ShapeError, ["l1_loss", "(6, 4)", "(4,)"]),
        (lambda x: F.huber_loss(x, x, delta=0.0), OperationError, ["delta", "positive", "got 0.0"]),
        (lambda x: F.smooth_l1_loss(x, x, beta=-1.0), OperationError, ["beta", "positive"]),
        (lambda x: F.mse_loss(x, x[:1]), ShapeError, ["(6, 4)", "(1, 4)"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts, "test_loss.py") as caught:
        call(np.random.default_rng(0).standard_normal((6, 4)))
    assert isinstance(caught.value, TypeError if kind is DtypeError else ValueError)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss])
def test_differences_of_integers_do_not_wrap_around(loss: Any, dtype: str) -> None:
    x, y = (np.array(a).astype(dtype) for a in ([0, 100, 1], [100, 0, 0]))
    for reduction in ("mean", "sum", "none"):
        expected = loss(x.astype(float), y.astype(float), reduction=reduction).numpy()
        found = loss(x, y, reduction=reduction)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found.numpy(), expected)


def test_float16_scores_of_many_classes_and_examples() -> None:
    scores = np.zeros((2, 70_000), np.float16)
    loss = F.cross_entropy(ab.tensor(scores), [0, 1])
    assert loss.dtype == np.float16 and loss.item() == np.float16(np.log(70_000))
    rows = np.zeros((70_000, 2), np.float16)
    labels = np.where(np.arange(70_000) % 2, 5, 1)
    assert F.cross_entropy(ab.tensor(rows), labels, ignore_index=5).item() == np.float16(np.log(2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_have_the_dtype_of_the_scores_also_where_labels_are_ignored(dtype: str) -> None:
    scores = np.zeros((3, 2), dtype)
    for loss in (F.cross_entropy, F.nll_loss, lambda *args, **settings: ab.jit(lambda z, y: F.cross_entropy(z, y, **settings))(*args)):
        assert loss(ab.tensor(scores), np.array([0, 1, 5]), ignore_index=5).dtype == dtype
        assert loss(ab.tensor(scores), np.array([0, 1, 5]), ignore_index=5, weight=np.ones(2)).dtype == dtype


def test_a_complex_squared_difference_is_refused() -> None:
    z = np.array([1 + 1j, 2 - 1j])
    with pytest.raises(DtypeError, match="mse_loss.*: a loss is real"):
        F.mse_loss(ab.tensor(z), z * 2)
    with pytest.raises(DtypeError, match="cross_entropy.*: logits must be real"):
        F.cross_entropy(ab.tensor(z.reshape(1, 2)), [0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_with_probabilities_is_pytorchs(reduction: Any, label_smoothing: float, weighted: bool) -> None:
    torch = torch_module()
    rng = np.random.default_rng(6)
    z, w, t = rng.standard_normal((5, 3)), rng.uniform(0.2, 3.0, 3), rng.dirichlet(np.ones(3), 5)
    settings: dict[str, Any] = {"reduction": reduction, "label_smoothing": label_smoothing}
    ours, theirs = dict(settings, weight=w if weighted else None), dict(settings, weight=torch.tensor(w) if weighted else None)
    assert_same(lambda x, y: F.cross_entropy(x, y, **ours), lambda x, y: torch.nn.functional.cross_entropy(x, y, **theirs), [z, t])
    assert F.cross_entropy(z.astype(np.float32), t, **ours).dtype == np.float32


def test_gradients_flow_to_the_weights_and_examples_map() -> None:
    rng = np.random.default_rng(7)
    z, w, t = rng.standard_normal((5, 3)), rng.uniform(0.2, 3.0, 3), rng.dirichlet(np.ones(3), 5)
    labels = rng.integers(0, 3, 5)
    ab.testing.check_gradients(lambda z, w: F.cross_entropy(z, labels, weight=w, label_smoothing=0.1), z, w)
    ab.testing.check_gradients(lambda z, w, t: F.cross_entropy(z, t, weight=w), z, w, t)
    for one, many in ((t, t[:, None]), (labels, labels[:, None])):
        mapped = ab.vmap(lambda z, y: F.cross_entropy(z, y, weight=w, reduction="sum"))(z[:, None], many)
        np.testing.assert_allclose(mapped.numpy(), F.cross_entropy(z, one, weight=w, reduction="none").numpy(), rtol=1e-12)


def test_weights_and_probabilities_that_do_not_fit_are_refused() -> None:
    z = np.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"cross_entropy\(logits .*\): weight has one real factor a class, shape \(3,\)"):
        F.cross_entropy(z, [0, 1], weight=np.ones(2))
    with pytest.raises(ShapeError, match=r"nll_loss.*weight has one real factor"):
        F.nll_loss(z, [0, 1], weight=np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"probabilities must have the shape of the logits, \(2, 3\), got \(2, 2\)"):
        F.cross_entropy(z, np.ones((2, 2)))
    with pytest.raises(OperationError, match="ignore_index is a label, but these are probabilities"):
        F.cross_entropy(z, np.ones((2, 3)), ignore_index=1)


def test_the_modules_take_weights_as_buffers() -> None:
    z, w = np.array([[0.5, 1.0, -1.0], [0.0, 2.0, 1.0]]), np.array([1.0, 2.0, 3.0])
    loss = nn.CrossEntropyLoss(weight=w, reduction="sum")
    assert list(loss.state_dict()) == ["weight"] and list(loss.parameters()) == []
    assert loss(z, [0, 2]).item() == F.cross_entropy(z, [0, 2], weight=w, reduction="sum").item()
    assert nn.NLLLoss(weight=w)(z, [0, 2]).item() == F.nll_loss(z, [0, 2], weight=w).item()


@pytest.mark.parametrize("settings", [{}, {"weight": True}, {"label_smoothing": 0.1}, {"weight": True, "label_smoothing": 0.2}, {"ignore_index": 1}], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(4,), (2, 4, 3), (2, 4, 3, 5)])
def test_scores_of_one_example_and_of_many_places_are_pytorchs(shape: tuple[int, ...], reduction: Any, settings: dict[str, Any]) -> None:
    torch = torch_module()
    rng = np.random.default_rng(0)
    places = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    labels, weight = rng.integers(0, 4, places), rng.uniform(0.5, 2.0, 4)
    if len(shape) == 1:
        labels = np.array(2)
    shares = rng.dirichlet(np.ones(4), places)
    ours = {**settings, "reduction": reduction} | ({"weight": weight} if "weight" in settings else {})
    theirs = ours | ({"weight": torch.tensor(weight)} if "weight" in settings else {})
    for target in (labels, np.moveaxis(shares, -1, 1) if len(shape) > 1 else shares):
        if target is labels or "ignore_index" not in settings:
            assert_same(
                lambda z, y=target: F.cross_entropy(z, y, **ours),
                lambda z, y=target: torch.nn.functional.cross_entropy(z, torch.tensor(y), **theirs),
                [scores(shape)],
            )
    if "label_smoothing" not in settings:
        assert_same(lambda z: F.nll_loss(z, labels, **ours), lambda z: torch.nn.functional.nll_loss(z, torch.tensor(labels), **theirs), [scores(shape)])


def test_scores_of_many_places_map_and_compile_and_labels_must_fit_them() -> None:
    z, y = scores((2, 4, 3)), np.array([[0, 1, 2], [3, 0, 1]])
    whole = F.cross_entropy(z, y)
    assert ab.jit(lambda z, y: F.cross_entropy(z, y))(ab.tensor(z), ab.tensor(y)).item() == pytest.approx(whole.item(), rel=1e-14)
    each = ab.vmap(F.cross_entropy)(np.moveaxis(z, 1, 2).reshape(6, 4), y.reshape(6))
    assert each.numpy().mean() == pytest.approx(whole.item(), rel=1e-14)
    for labels, words in ((y[:, :2], r"of shape \(2, 3\), or as probabilities \(2, 4, 3\), got \(2, 2\)"), (y * 1.0, "of integers")):
        with pytest.raises(ShapeError, match=rf"labels must be {words}"):
            F.cross_entropy(z, labels)
    with pytest.raises(ShapeError, match=r"labels must be of shape \(2, 3\), got \(2, 2\)"):
        F.nll_loss(z, y[:, :2])
    with pytest.raises(OperationError, match="the batch is empty"):
        F.cross_entropy(z[:0], y[:0])


def test_only_the_mean_of_nothing_is_refused() -> None:
    empty, none, ignored = np.zeros((0, 3)), np.zeros(0, int), np.array([1, 1])
    for loss in (F.cross_entropy, F.nll_loss):
        for z, y, options in ((empty, none, {}), (scores((2, 3)), ignored, {"ignore_index": 1})):
            assert loss(z, y, reduction="sum", **options).item() == 0.0
            assert loss(z, y, reduction="none", **options).tolist() == [0.0] * len(y)
            gradient = ab.grad(lambda z, f=loss, y=y, o=options: f(z, y, reduction="sum", **o))(z)
            assert gradient.shape == z.shape and not np.any(gradient.numpy())
            with pytest.raises(OperationError, match="nothing to average"):
                loss(z, y, **options)
    assert F.cross_entropy(empty, empty, reduction="sum").item() == 0.0
    with pytest.raises(OperationError, match="nothing to average"):
        F.cross_entropy(empty, empty)


@pytest.mark.parametrize("loss", [F.huber_loss, F.smooth_l1_loss])
def test_the_second_derivative_of_a_parabola_is_1_where_the_two_are_equal_too(loss: Any) -> None:
    difference = np.array([0.0, 0.3, -0.3, 5.0, -5.0])
    slope = ab.grad(lambda x: loss(x, np.zeros(5), reduction="sum"))
    np.testing.assert_allclose(ab.grad(lambda x: slope(x).sum())(difference).numpy(), [1.0, 1.0, 1.0, 0.0, 0.0])

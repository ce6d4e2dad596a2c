"""Losses, activations and normalisations compiled, values and gradients, beside PyTorch; batch norm of data far from zero beside float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[peers]'")
pytest.importorskip("llvmlite")

F, T = ab.nn.functional, torch.nn.functional
RNG = np.random.default_rng(11)
X, Y, W, B = RNG.normal(0.2, 1.5, (12, 7)), RNG.normal(0, 1, (12, 7)), RNG.normal(0.5, 1, 7), RNG.normal(0, 1, 7)
LABELS = RNG.integers(0, 7, 12)
IMAGES, C, D = RNG.normal(0.3, 1, (4, 6, 5, 3)), RNG.normal(0.5, 1, 6), RNG.normal(0, 1, 6)
Q, K, V = (RNG.normal(0, 1, (2, 3, 5, 4)) for _ in range(3))
CLASSES = np.where(LABELS == 3, -100, LABELS)

Case = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]
CASES: dict[str, Case] = {
    **{
        f"mse_loss {how}": (lambda x, y, how=how: F.mse_loss(x, y, reduction=how), lambda x, y, how=how: T.mse_loss(x, y, reduction=how), (X, Y))
        for how in ("mean", "sum", "none")
    },
    "l1_loss": (F.l1_loss, T.l1_loss, (X, Y)),
    "huber_loss": (lambda x, y: F.huber_loss(x, y, delta=0.7), lambda x, y: T.huber_loss(x, y, delta=0.7), (X, Y)),
    "smooth_l1_loss": (lambda x, y: F.smooth_l1_loss(x, y, beta=0.7), lambda x, y: T.smooth_l1_loss(x, y, beta=0.7), (X, Y)),
    "bce": (F.binary_cross_entropy_with_logits, T.binary_cross_entropy_with_logits, (X * 9, 1 / (1 + np.exp(-Y)))),
    "cross_entropy": (F.cross_entropy, T.cross_entropy, (X * 5, LABELS)),
    "cross_entropy smoothed": (lambda x, y: F.cross_entropy(x, y, label_smoothing=0.2), lambda x, y: T.cross_entropy(x, y, label_smoothing=0.2), (X, LABELS)),
    "cross_entropy with labels to ignore": (lambda x, y: F.cross_entropy(x, y, ignore_index=-100), T.cross_entropy, (X, CLASSES)),
    "nll_loss": (lambda x, y: F.nll_loss(F.log_softmax(x, 1), y), lambda x, y: T.nll_loss(T.log_softmax(x, 1), y), (X * 30, LABELS)),
    "relu": (F.relu, T.relu, (X,)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), lambda x: T.leaky_relu(x, 0.2), (X,)),
    "elu": (F.elu, T.elu, (X,)),
    "gelu": (F.gelu, T.gelu, (X,)),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), lambda x: T.gelu(x, approximate="tanh"), (X,)),
    "silu": (F.silu, T.silu, (X,)),
    "softplus": (F.softplus, T.softplus, (X * 3,)),
    "softmax": (lambda x: F.softmax(x, 0), lambda x: T.softmax(x, 0), (X * 20,)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), lambda x: T.log_softmax(x, 1), (X * 20,)),
    "batch_norm": (F.batch_norm, lambda x, w, b: T.batch_norm(x, None, None, w, b, training=True), (X, W, B)),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (7,), w, b), lambda x, w, b: T.layer_norm(x, (7,), w, b), (X, W, B)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (7,), w, 1e-5), lambda x, w: T.rms_norm(x, (7,), w, 1e-5), (X, W)),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), lambda x, w, b: T.group_norm(x, 2, w, b), (IMAGES, C, D)),
    "instance_norm": (lambda x, w, b: F.instance_norm(x, w, b), lambda x, w, b: T.instance_norm(x, weight=w, bias=b), (IMAGES, C, D)),
    "attention": (F.scaled_dot_product_attention, T.scaled_dot_product_attention, (Q, K, V)),
    "causal attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda q, k, v: T.scaled_dot_product_attention(q, k, v, is_causal=True),
        (Q, K, V),
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), lambda x: T.max_pool2d(x, 2), (IMAGES,)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), lambda x: T.avg_pool2d(x, 2), (IMAGES,)),
    "conv2d": (F.conv2d, T.conv2d, (IMAGES, RNG.normal(0, 1, (4, 6, 3, 2)), RNG.normal(0, 1, 4))),
    "embedding": (lambda w, i: F.embedding(i, w), lambda w, i: T.embedding(i, w), (X, LABELS)),
}


def seed(xp: Any, value: Any) -> Any:
    """A cotangent from the value, which moves no more than that does, however large it is."""
    return xp.cos(3 * value / (1 + xp.abs(value)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_pytorch(name: str, dtype: str) -> None:
    ours, theirs, given = CASES[name]
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in given]
    places = [k for k, x in enumerate(arrays) if x.dtype.kind == "f"]

    def both(*xs: Any) -> Any:
        def of(*live: Any) -> Any:
            filled = list(xs)
            for k, x in zip(places, live, strict=True):
                filled[k] = x
            return ours(*filled)

        value, pullback = ab.vjp(of, *(xs[k] for k in places))
        return value, *pullback(seed(ab, value.detach()))

    found = [x.numpy() for x in ab.jit(both)(*map(ab.tensor, arrays))]
    leaves = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    value = theirs(*leaves)
    value.backward(seed(torch, value.detach()))
    expected = [value.detach().numpy(), *(leaves[k].grad.numpy() for k in places)]
    eps = float(np.finfo(dtype).eps)
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=100 * eps, atol=100 * eps * max(1.0, float(np.max(np.abs(y)))))


@pytest.mark.parametrize("shape", [(60, 100), (1000, 7), (5000, 7)], ids=str)
def test_batch_norm_of_float32_far_from_zero_is_as_near_to_float64_as_pytorchs(shape: tuple[int, ...]) -> None:
    """Of data with mean 1000 and deviation 1, float32 holds 14 bits of the deviation. Which of two sums is luckier is open: four times the error is allowed."""
    rng = np.random.default_rng(3)
    given = [(rng.standard_normal(shape) + 1000), rng.normal(1, 0.3, shape[1]), rng.normal(0, 1, shape[1]), rng.standard_normal(shape)]
    single = [x.astype("float32") for x in given]

    def both(x: Any, w: Any, b: Any, seed: Any) -> Any:
        value, pullback = ab.vjp(F.batch_norm, x, w, b)
        return value, *pullback(seed)

    exact = [y.numpy() for y in both(*(ab.tensor(x.astype("float64")) for x in single))]
    found = [y.numpy() for y in ab.jit(both)(*map(ab.tensor, single))]
    leaves = [torch.tensor(x, requires_grad=True) for x in single[:3]]
    value = T.batch_norm(leaves[0], None, None, *leaves[1:], training=True)
    value.backward(torch.tensor(single[3]))
    peers = [value.detach().numpy(), *(x.grad.numpy() for x in leaves)]
    for ours, theirs, right in zip(found, peers, exact, strict=True):
        assert np.max(np.abs(ours - right)) <= 4 * np.max(np.abs(theirs - right))

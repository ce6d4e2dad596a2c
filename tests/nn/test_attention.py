"""Attention beside PyTorch's: values and gradients, masks of both kinds, and queries that may see nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import DtypeError, OperationError, ShapeError
from autograd_bn.nn import functional as F
from tests.messages import refused
from tests.nn.torch_modules import assert_same_module
from tests.ops.torch_oracle import assert_same, torch_module

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
SEEN = RNG.random((4, 5)) < 0.6
SEEN[:, 0] = True


def operands(*first: int, length: int = 4, keys: int = 5, features: int = 3, values: int = 2) -> list[Array]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal((*first, n, e)) for n, e in ((length, features), (keys, features), (keys, values))]


@pytest.mark.parametrize("first", [(), (2,), (2, 3)])
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}], ids=str)
def test_it_is_pytorchs(first: tuple[int, ...], options: dict[str, Any]) -> None:
    torch = torch_module()
    assert_same(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, **options),
        operands(*first),
    )


@pytest.mark.parametrize("mask", [SEEN, RNG.standard_normal((4, 5)), np.stack([SEEN, ~SEEN | SEEN]), np.where(SEEN, 0.0, -np.inf)], ids=lambda m: str(m.dtype))
def test_masks_are_pytorchs(mask: Array) -> None:
    torch = torch_module()
    assert_same(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, torch.tensor(mask)),
        operands(2),
    )


@pytest.mark.parametrize("added", [False, True])
def test_a_query_that_may_see_nothing_gets_nothing_and_no_gradient(added: bool) -> None:
    mask: Any = SEEN.copy()
    mask[2] = False
    if added:
        mask = np.where(mask, 0.0, -np.inf)
        torch = torch_module()
        peer = torch.nn.functional.scaled_dot_product_attention
        assert_same(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask), lambda q, k, v: peer(q, k, v, torch.tensor(mask)), operands())
    q, k, v = (ab.tensor(x, requires_grad=True) for x in operands())
    out = F.scaled_dot_product_attention(q, k, v, mask)
    (out**2).sum().backward()
    assert not out.detach().numpy()[2].any()
    assert not np.array(q.grad)[2].any()
    assert np.array(q.grad)[1].any()
    assert all(np.isfinite(np.array(x.grad)).all() for x in (q, k, v))


def test_weights_add_up_and_dropout_takes_some_of_them() -> None:
    q, k, _ = operands(3, length=40, keys=50)
    eye = np.broadcast_to(np.eye(50), (3, 50, 50))
    out, weights = F.scaled_dot_product_attention(q, k, eye, return_weights=True)
    np.testing.assert_allclose(weights.numpy().sum(-1), 1)
    np.testing.assert_allclose(out.numpy(), weights.numpy())
    dropped = F.scaled_dot_product_attention(q, k, eye, None, 0.25, rng=nn.Generator(0)).numpy()
    assert abs((dropped == 0).mean() - 0.25) < 0.03
    np.testing.assert_allclose(dropped[dropped > 0], weights.numpy()[dropped > 0] / 0.75)


def test_it_compiles_and_maps() -> None:
    q, k, v = operands(2)

    def loss(q: Any, k: Any, v: Any) -> Any:
        return (F.scaled_dot_product_attention(q, k, v, is_causal=True) ** 2).sum()

    gradient = ab.grad(loss)(q, k, v).numpy()
    np.testing.assert_allclose(ab.jit(ab.grad(loss))(q, k, v).numpy(), gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(ab.vmap(ab.grad(loss))(q, k, v).numpy(), gradient, rtol=1e-12, atol=1e-15)


class Theirs:
    """What makes PyTorch's layer return two tensors for keyword arguments that are fixed."""

    def __new__(cls, layer: Any, **options: Any) -> Any:
        torch = torch_module()

        class Wrapped(torch.nn.Module):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, *inputs: Any) -> Any:
                return self.layer(*inputs, **{name: x if x is None else torch.tensor(x) for name, x in options.items()})

        return Wrapped()


class Ours(nn.Module):
    """The same of ours."""

    def __init__(self, layer: nn.Module, **options: Any) -> None:
        self.layer = layer
        self.options = options

    def forward(self, *inputs: Any) -> Any:
        return self.layer(*inputs, **self.options)


PADDING = np.array([[False, False, True, False, True], [False] * 5])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attn_mask": ~SEEN},
        {"key_padding_mask": PADDING},
        {"attn_mask": ~SEEN, "key_padding_mask": PADDING},
        {"key_padding_mask": np.where(PADDING, -np.inf, 0.3 * np.arange(5))},
        {"key_padding_mask": np.where(PADDING, -2.0, 0.5), "attn_mask": RNG.standard_normal((4, 5))},
        {"attn_mask": np.stack([~SEEN, SEEN & ~SEEN, ~SEEN, SEEN & ~SEEN])},
        {"attn_mask": RNG.standard_normal((4, 4, 5)), "key_padding_mask": np.where(PADDING, -1.0, 0.0)},
    ],
    ids=lambda o: ",".join(f"{name}:{x.dtype}{x.ndim}" for name, x in o.items()),
)
def test_the_layer_is_pytorchs(options: dict[str, Any], batch_first: bool, bias: bool) -> None:
    torch = torch_module()
    settings = {"bias": bias, "batch_first": batch_first}
    ours = nn.MultiheadAttention(6, 2, **settings, rng=0, dtype="float64")
    theirs = torch.nn.MultiheadAttention(6, 2, **settings, dtype=torch.float64)
    rng = np.random.default_rng(2)
    inputs = [rng.standard_normal((2, n, 6) if batch_first else (n, 2, 6)) for n in (4, 5, 5)]
    assert_same_module(Ours(ours, **options), Theirs(theirs, **options), inputs)


def test_the_layer_drops_in_training_alone_and_says_what_it_is() -> None:
    layer, x = nn.MultiheadAttention(6, 2, dropout=0.5, rng=0), RNG.standard_normal((4, 3, 6)).astype("float32")
    out, weights = layer(x, x, x)
    assert weights is not None
    assert out.dtype == weights.dtype == np.float32
    assert (layer(x, x, x)[0].detach().numpy() != out.detach().numpy()).any()
    layer.eval()
    assert (layer(x, x, x, need_weights=False)[0].detach().numpy() == layer(x, x, x)[0].detach().numpy()).all()
    assert layer(x, x, x, need_weights=False)[1] is None
    assert layer.random_state.tolist()[1] == 2  # type: ignore[attr-defined]
    assert repr(layer).splitlines()[1] == "  6, 2, dropout=0.5, batch_first=False"


def attended(**masks: Any) -> Any:
    x = np.ones((4, 3, 6))
    return nn.MultiheadAttention(6, 2, rng=0)(x, x, x, **masks)


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: F.scaled_dot_product_attention(np.ones((4, 3)), np.ones((5, 2)), np.ones((5, 2))), ShapeError, ["query float64[4, 3]", "3 features, a key 2"]),
        (lambda: F.scaled_dot_product_attention(np.ones((4, 3)), np.ones((5, 3)), np.ones((4, 3))), ShapeError, ["5 keys and 4 values"]),
        (lambda: F.scaled_dot_product_attention(np.ones(3), np.ones((5, 3)), np.ones((5, 3))), ShapeError, ["axis of positions"]),
        (lambda: F.scaled_dot_product_attention(*operands(), np.ones((5, 4), bool)), ShapeError, ["bool[5, 4]", "(…, 4, 5)"]),
        (lambda: F.scaled_dot_product_attention(*operands(), SEEN, is_causal=True), OperationError, ["is_causal", "tril"]),
        (lambda: F.scaled_dot_product_attention(*operands(), None, 0.5), OperationError, ["nn.Generator(seed)"]),
        (
            lambda: nn.MultiheadAttention(6, 2)(np.ones((4, 3, 6)), np.ones((4, 3, 5)), np.ones((4, 3, 6))),
            ShapeError,
            ["a key of shape (L, N, 6)", "[4, 3, 5]"],
        ),
        (lambda: F.scaled_dot_product_attention(*operands(), SEEN.astype(int)), DtypeError, ["attn_mask int64[4, 5]", "astype(bool)"]),
        (lambda: attended(key_padding_mask=np.ones((3, 4), int)), DtypeError, ["key_padding_mask int64[3, 4]", "of booleans"]),
        (lambda: attended(key_padding_mask=np.ones((4, 3), bool)), ShapeError, ["key_padding_mask bool[4, 3]", "(N, S)", "N = 3"]),
        (lambda: attended(attn_mask=np.ones((3, 4, 4), bool)), ShapeError, ["attn_mask bool[3, 4, 4]", "(N·num_heads, L, S)"]),
        (lambda: attended(attn_mask=np.ones((4, 4)), key_padding_mask=np.ones((3, 4), bool)), OperationError, ["do not go together"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts, "test_attention.py"):
        call()


def test_settings_are_checked() -> None:
    with pytest.raises(OperationError, match="6 features do not make 4 heads"):
        nn.MultiheadAttention(6, 4)
    with pytest.raises(OperationError, match="from 0 to 1, got 2"):
        nn.MultiheadAttention(6, 2, dropout=2.0)

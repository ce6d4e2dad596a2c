"""RNN, LSTM and GRU, layers and cells, beside PyTorch's on random sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn import nn
from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.nn.gates import steps
from tests.messages import refused
from tests.nn.torch_modules import assert_same_module
from tests.ops.torch_oracle import torch_module

Array = np.ndarray[Any, Any]
KINDS = ["RNN", "LSTM", "GRU"]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "batch_first": True},
    {"bidirectional": True, "bias": False},
    {"num_layers": 3, "bidirectional": True, "batch_first": True},
]


class Flat(nn.Module):
    """A layer whose state is flat among the arguments and results, so that an oracle can compare all of them."""

    def __init__(self, layer: nn.Module, pair: bool) -> None:
        self.layer = layer
        self.pair = pair

    def forward(self, x: Any, *state: Any) -> Any:
        return _flat(self.layer(x, _state(state, self.pair)))


def _state(state: tuple[Any, ...], pair: bool) -> Any:
    return (state if pair else state[0]) if state else None


def _flat(out: Any) -> list[Any]:
    return [out] if not isinstance(out, tuple) else [x for part in out for x in _flat(part)]


def flat_pair(name: str, *sizes: int, dtype: str = "float64", **settings: Any) -> tuple[Flat, Any]:
    torch = torch_module()
    pair = name.startswith("LSTM")
    ours = Flat(getattr(nn, name)(*sizes, **settings, rng=0, dtype=dtype), pair)

    class Theirs(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = getattr(torch.nn, name)(*sizes, **settings, dtype=getattr(torch, dtype))

        def forward(self, x: Any, *state: Any) -> Any:
            return _flat(self.layer(x, _state(state, pair)))

    return ours, Theirs()


def arrays(*shapes: tuple[int, ...], dtype: str = "float64") -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: ",".join(s) or "default")
@pytest.mark.parametrize("name", KINDS)
def test_a_layer_is_pytorchs(name: str, settings: dict[str, Any], given: bool) -> None:
    rng = np.random.default_rng([len(settings), given])
    length, n, features, hidden = (int(k) for k in rng.integers(1, 6, 4))
    count = settings.get("num_layers", 1) * (1 + settings.get("bidirectional", False))
    x = (n, length, features) if settings.get("batch_first") else (length, n, features)
    states = [(count, n, hidden)] * ((2 if name == "LSTM" else 1) * given)
    assert_same_module(*flat_pair(name, features, hidden, **settings), arrays(x, *states))


@pytest.mark.parametrize("name", KINDS)
def test_one_example_needs_no_axis_of_its_own(name: str) -> None:
    assert_same_module(*flat_pair(name, 3, 4, num_layers=2), arrays((5, 3), *[(2, 4)] * (2 if name == "LSTM" else 1)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_a_cell_is_pytorchs(name: str, shape: tuple[int, ...], bias: bool) -> None:
    states = [(*shape[:-1], 4)] * (2 if name == "LSTMCell" else 1)
    for inputs in (arrays(shape), arrays(shape, *states)):
        assert_same_module(*flat_pair(name, 3, 4, bias=bias), inputs)


def test_relu_is_the_other_nonlinearity() -> None:
    assert_same_module(*flat_pair("RNN", 3, 4, nonlinearity="relu"), arrays((5, 2, 3)))
    assert_same_module(*flat_pair("RNNCell", 3, 4, nonlinearity="relu"), arrays((2, 3)))
    for make in (nn.RNN, nn.RNNCell):
        with pytest.raises(OperationError, match="'tanh' or 'relu', got 'sigmoid'"):
            make(3, 4, nonlinearity="sigmoid")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KINDS)
def test_float32_in_float32_out(name: str) -> None:
    assert_same_module(*flat_pair(name, 3, 4, dtype="float32"), arrays((5, 2, 3), dtype="float32"), 1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_is_its_cell_in_a_loop(name: str) -> None:
    layer, cell = getattr(nn, name)(3, 4, rng=0, dtype="float64"), getattr(nn, f"{name}Cell")(3, 4, rng=1, dtype="float64")
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    (x,) = arrays((5, 2, 3))
    state, outputs = None, []
    for row in x:
        state = cell(row, state)
        outputs.append(_flat(state)[0])
    np.testing.assert_allclose(ab.stack(outputs).detach().numpy(), layer(x)[0].detach().numpy(), atol=1e-14)


def test_dropout_is_between_the_layers_and_in_training_alone() -> None:
    layer, plain = (nn.GRU(3, 4, num_layers=2, dropout=p, rng=0, dtype="float64") for p in (0.5, 0.0))
    plain.load_state_dict({key: value for key, value in layer.state_dict().items() if "random" not in key})
    (x,) = arrays((5, 2, 3))
    outputs, last = layer(x)
    dropped, kept = outputs.detach().numpy(), plain(x)[0].detach().numpy()
    assert (dropped != kept).all()
    np.testing.assert_array_equal(last[0].detach().numpy(), plain(x)[1][0].detach().numpy())
    np.testing.assert_array_equal(layer.eval()(x)[0].detach().numpy(), kept)
    assert layer.dropout is not None
    assert layer.dropout.random_state.tolist()[1] == 1


@pytest.mark.parametrize("name", KINDS)
def test_a_compiled_step_maps_and_differentiates_as_an_eager_one(name: str) -> None:
    layer = getattr(nn, name)(3, 4, num_layers=2, rng=0, dtype="float64")
    (x,) = arrays((5, 2, 3))

    def loss(x: Any) -> Any:
        return (layer(x)[0] ** 2).sum()

    gradient = ab.grad(loss)(x).numpy()
    rounding = np.finfo(float).eps * np.abs(gradient).max()  # one of the largest element: small ones are differences of large ones
    np.testing.assert_allclose(ab.jit(lambda x: ab.grad(loss)(x).detach())(ab.tensor(x)).numpy(), gradient, rtol=1e-12, atol=rounding)
    np.testing.assert_allclose(ab.vmap(ab.grad(loss), in_axes=1, out_axes=1)(x).numpy(), gradient, rtol=1e-10)
    direction = np.random.default_rng(1).standard_normal(x.shape)
    np.testing.assert_allclose(ab.jvp(loss, (x,), (direction,))[1].item(), (gradient * direction).sum(), rtol=1e-10)


def test_steps_cost_a_copy_a_halving_and_not_a_step() -> None:
    x = ab.tensor(np.arange(21.0).reshape(7, 3), requires_grad=True)
    parts = steps(x)
    np.testing.assert_array_equal([p.detach().numpy() for p in parts], x.detach().numpy())
    ab.stack(parts[::-1]).backward(np.arange(21.0).reshape(7, 3))
    np.testing.assert_array_equal(np.array(x.grad), np.arange(21.0).reshape(7, 3)[::-1])
    whole = [node for node in ab.graph(*parts).nodes if node.primitive is not None and node.inputs == (0,)]
    assert len(whole) == 2


@pytest.mark.parametrize(
    ("call", "kind", "parts"),
    [
        (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 2))), ShapeError, ["LSTM", "(L, N, 3) or (L, 3)", "float64[5, 2, 2]"]),
        (lambda: nn.GRU(3, 4, batch_first=True)(np.ones((5, 2, 2))), ShapeError, ["GRU", "(N, L, 3)"]),
        (lambda: nn.RNN(3, 4)(np.ones(3)), ShapeError, ["RNN", "float64[3]"]),
        (lambda: nn.RNN(3, 4)(np.ones((0, 2, 3))), ShapeError, ["of a step or more", "float64[0, 2, 3]"]),
        (lambda: nn.RNN(3, 4)(np.ones((5, 2, 3)), np.ones((1, 3, 4))), ShapeError, ["state h", "(1, 2, 4)", "got (1, 3, 4)"]),
        (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3)), np.ones((1, 2, 4))), OperationError, ["(h, c)", "pair"]),
        (lambda: nn.LSTM(3, 4)(np.ones((5, 2, 3)), (np.ones((1, 2, 4)), np.ones((2, 4)))), ShapeError, ["state c", "got (2, 4)"]),
        (lambda: nn.GRUCell(3, 4)(np.ones((2, 2))), ShapeError, ["GRUCell", "(N, 3) or (3,)"]),
        (lambda: nn.GRUCell(3, 4)(np.ones((2, 3)), np.ones((3, 4))), ShapeError, ["state h", "(2, 4)", "got (3, 4)"]),
    ],
)
def test_an_error_says_what_is_wrong_and_what_to_do(call: Any, kind: type[Exception], parts: list[str]) -> None:
    with refused(kind, *parts, "test_recurrent.py"):
        call()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: nn.LSTM(0, 4), "both sizes must be positive"),
        (lambda: nn.GRU(3, 4, num_layers=0), "num_layers must be a positive integer"),
        (lambda: nn.GRU(3, 4, dropout=0.5), "dropout is between layers"),
        (lambda: nn.LSTMCell(3, -1), "both sizes must be positive"),
    ],
)
def test_settings_are_checked(make: Any, part: str) -> None:
    with pytest.raises(OperationError, match=part):
        make()


def test_print_shows_what_pytorch_shows() -> None:
    assert repr(nn.LSTM(3, 4, num_layers=2, batch_first=True)) == "LSTM(3, 4, num_layers=2, batch_first=True)"
    assert repr(nn.GRUCell(3, 4, bias=False)) == "GRUCell(3, 4, bias=False)"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_an_empty_batch_has_empty_outputs(kind: str, settings: dict[str, Any]) -> None:
    layer = getattr(nn, kind)(2, 3, **settings)
    out, state = layer(np.zeros((0, 4, 2) if settings.get("batch_first") else (4, 0, 2), np.float32))
    width = 6 if settings.get("bidirectional") else 3
    assert out.shape == ((0, 4, width) if settings.get("batch_first") else (4, 0, width))
    assert (state[0] if kind == "LSTM" else state).shape[1:] == (0, 3)
    out.sum().backward()
    assert all(not np.any(np.array(p.grad)) for p in layer.parameters() if p.grad is not None)

"""The networks of the experiments, and the data that they are trained on."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.effects import assign
from autograd_bn.core.errors import OperationError
from autograd_bn.data import Dataset, digits, mnist, split
from autograd_bn.nn import BatchNorm1d, Linear, Module, ReLU, Sequential, Sigmoid, Tanh
from autograd_bn.nn.init import generator, normal

ACTIVATIONS: dict[str, type[Module] | None] = {"sigmoid": Sigmoid, "tanh": Tanh, "relu": ReLU, "linear": None}
HIDDEN = (100, 100, 100)
CLASSES = 10


def perceptron(
    widths: Sequence[int],
    activation: str,
    *,
    norm: Callable[[int], Module] | None,
    std: float | Callable[[int], float],
    seed: int,
    after: Callable[[], Module] | None = None,
    dtype: Any = np.float32,
) -> Sequential:
    """Affine layers with Gaussian weights, each but the last followed by a normalisation, a nonlinearity and ``after``.

    The weights depend on the seed alone, so that they are the same with any normalisation and with none. Before a normalisation there is no
    bias, which it would subtract again; other biases start at 0. ``std`` is a number, or a function of the number of inputs.
    """
    rng = generator(seed)
    parts: list[Module] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        hidden = i < len(widths) - 2
        normalised = hidden and norm is not None
        layer = Linear(n_in, n_out, bias=not normalised, rng=0, dtype=dtype)
        assign(layer.weight, normal((n_out, n_in), rng, std=std(n_in) if callable(std) else std, dtype=dtype))
        if layer.bias is not None:
            assign(layer.bias, np.zeros(n_out))
        parts.append(layer)
        if hidden:
            kind = ACTIVATIONS[activation]
            parts += [norm(n_out)] if norm is not None else []
            parts += [kind()] if kind is not None else []
            parts += [after()] if after is not None else []
    return Sequential(*parts)


def paper_norm(width: int) -> BatchNorm1d:
    """Batch norm as the published reproductions of the paper's network have it: ε = 0.001, running statistics at 0.99 of the old value."""
    return BatchNorm1d(width, eps=1e-3, momentum=0.01)


def papers_network(inputs: int, activation: str, *, bn: bool, std: float, seed: int) -> Sequential:
    """The network of the paper's first experiment: three hidden layers of 100 units, ten classes."""
    return perceptron((inputs, *HIDDEN, CLASSES), activation, norm=paper_norm if bn else None, std=std, seed=seed)


@functools.cache
def data(name: str) -> tuple[Dataset, Dataset]:
    """Flat images and labels to train and to test on.

    "mnist" has 55,000 and 10,000, the first 5,000 of the training file being left out, as in the published reproductions; "digits" the
    small ones that come with the package. Raises OperationError for another name, or where MNIST cannot be had.
    """
    if name == "mnist":
        train, test = (Dataset(part.images.reshape(len(part.images), -1), part.labels) for part in mnist())
        return Dataset(train.images[5000:], train.labels[5000:]), test
    if name == "digits":
        images, labels = digits()
        return split(Dataset(images.reshape(len(images), -1), labels), generator(0))
    raise OperationError(f"data: there is 'mnist' and 'digits', got {name!r}")


def subset(examples: Dataset, count: int, seed: int) -> Dataset:
    """Some examples, drawn at random without repetition."""
    chosen = generator(seed).permutation(len(examples.labels))[:count]
    return Dataset(examples.images[chosen], examples.labels[chosen])

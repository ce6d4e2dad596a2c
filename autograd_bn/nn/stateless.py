"""functional_call: a module as a function of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy.typing as npt

from autograd_bn.core.errors import OperationError, ShapeError
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.nn.module import Module
from autograd_bn.nn.substitution import substituted

_Module = TypeVar("_Module", bound=Module)


def functional_call(module: Module, parameters: Mapping[str, Tensor | npt.ArrayLike], *args: Any, **kwargs: Any) -> Any:
    """What a module computes with other values of its parameters; the module itself keeps its own.

    Parameters
    ----------
    module
        Any module. Its buffers are used as they are: in training mode batch norm changes its running statistics.
    parameters
        Tensors or arrays by dotted name, as in ``named_parameters``; a shared one under any of its names. What is
        not named keeps its value.
    args, kwargs
        What the module is called with.

    Gradients flow to the values that were given, so this is how to map over, or differentiate by, parameters in a dict.

    Raises OperationError for names that are no parameters, or two values for a shared one; ShapeError for a value of another shape.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> layer = ab.nn.Linear(2, 1, bias=False)
    >>> x = ab.tensor([[1.0, 2.0]])
    >>> ab.nn.functional_call(layer, {"weight": ab.tensor([[3.0, 4.0]])}, x)
    tensor([[11.]])
    >>> loss = lambda p: ab.nn.functional_call(layer, p, x).sum()
    >>> ab.grad(loss)({"weight": ab.tensor([[3.0, 4.0]])})
    {'weight': tensor([[1., 2.]])}
    """
    return _with(module, parameters)(*args, **kwargs)


def _with(module: _Module, parameters: Mapping[str, Tensor | npt.ArrayLike]) -> _Module:
    own = dict(module._tensors("_parameters"))
    unknown = [name for name in parameters if name not in own]
    if unknown:
        raise OperationError(f"functional_call: {type(module).__name__} has no parameter {', '.join(map(repr, unknown))}; it has {', '.join(own) or 'none'}")
    replaced: dict[int, tuple[str, Tensor, Tensor]] = {}
    for name, value in parameters.items():
        old, new = own[name], asarray(value)
        if new.shape != old.shape:
            raise ShapeError(f"functional_call: parameter {name} has shape {old.shape}, the value {new.shape}; they must be equal")
        first, _, chosen = replaced.setdefault(id(old), (name, old, new))
        if new is not chosen:
            raise OperationError(f"functional_call: {first} and {name} are one shared parameter, but were given two values")
    return substituted(module, [(old, new) for _, old, new in replaced.values()])

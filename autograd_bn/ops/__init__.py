"""All primitives by family, and the methods and operators of Tensor that call them."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_bn.core.dispatch import apply, serve_ufunc
from autograd_bn.core.errors import DtypeError
from autograd_bn.core.methods import Methods
from autograd_bn.core.operators import binary_operator, reflected_operator
from autograd_bn.core.primitive import Primitive, close_registry, registry
from autograd_bn.core.tensor import Tensor, plain
from autograd_bn.core.tree import flatten
from autograd_bn.ops import arithmetic, circular, comparison, creation, error_function, exponential, indexing, linalg, reduction, rounding, shape, writing
from autograd_bn.ops.reduction import Axis

OPERATORS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "pow": "pow",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "matmul": "matmul",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
"""Python's binary operators and their primitives."""

SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "matmul": "@", "floordiv": "//", "mod": "%", "and": "&", "or": "|", "xor": "^"}
"""Those that have a reflected form and one in place."""

METHODS = {
    "sum": reduction.sum,
    "mean": reduction.mean,
    "max": reduction.max,
    "min": reduction.min,
    "reshape": shape.reshape,
    "flatten": shape.flatten,
    "permute_dims": shape.permute_dims,
    "squeeze": shape.squeeze,
    "astype": shape.astype,
    "exp": exponential.exp,
    "log": exponential.log,
    "sqrt": exponential.sqrt,
    "sin": exponential.sin,
    "cos": exponential.cos,
    "tanh": exponential.tanh,
    "abs": arithmetic.abs,
    "clip": rounding.clip,
    "round": rounding.round,
    "__pos__": arithmetic.positive,
    "__invert__": comparison.bitwise_invert,
    "__neg__": arithmetic.negative,
    "__abs__": arithmetic.abs,
    "__getitem__": indexing.getitem,
    "__setitem__": writing.setitem,
}
"""Functions that are also methods."""


def method(function: Any) -> Any:
    """NumPy's methods take the axis by position; otherwise the function itself serves."""
    if "axis" not in (function.__kwdefaults__ or ()):
        return function

    def reduced(self: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return function(self, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]

    reduced.__name__, reduced.__doc__ = function.__name__, function.__doc__
    reduced.__qualname__ = f"Tensor.{function.__name__}"
    return reduced


def _reflected(primitive: Primitive) -> Any:
    """The method for ``number ∘ tensor``, recorded where there is a derivative."""
    if primitive.differentiable:
        return reflected_operator(primitive)
    return lambda self, other: NotImplemented if other is None or type(other) is str else apply(primitive, (other, self))


def _transpose(self: Tensor) -> Tensor:
    """All axes in reverse order."""
    return shape.permute_dims(self, tuple(range(self.ndim))[::-1])


for _name, _primitive in OPERATORS.items():
    setattr(Methods, f"__{_name}__", binary_operator(registry[_primitive]))
    if _name in SYMBOLS:
        setattr(Methods, f"__r{_name}__", _reflected(registry[_primitive]))
        setattr(Methods, f"__i{_name}__", writing.updating(getattr(Methods, f"__{_name}__"), f"{SYMBOLS[_name]}="))
for _name, _function in METHODS.items():
    setattr(Methods, _name, method(_function))
for _name, _function in {"T": _transpose, "mT": shape.matrix_transpose}.items():
    setattr(Methods, _name, property(_function))


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **bounds: Any) -> Tensor:
    """NumPy's two spellings of the bounds."""
    return rounding.clip(x, **{"min": a_min, "max": a_max, **bounds})


_BY_NUMPY_NAME: dict[str, Any] = {
    "sum": reduction.sum,
    "mean": reduction.mean,
    "max": reduction.max,
    "amax": reduction.max,
    "min": reduction.min,
    "amin": reduction.min,
    "reshape": shape.reshape,
    "concatenate": lambda arrays, axis=0: shape.concat(arrays, axis=axis),
    "stack": lambda arrays, axis=0: shape.stack(arrays, axis=axis),
    "where": arithmetic.where,
    "squeeze": shape.squeeze,
    "expand_dims": lambda x, axis: shape.expand_dims(x, axis=axis),
    "broadcast_to": shape.broadcast_to,
    "transpose": lambda x, axes=None: _transpose(x) if axes is None else shape.permute_dims(x, axes),
    "clip": _clip,
    "round": rounding.round,
    "around": rounding.round,
    "zeros_like": creation.zeros_like,
    "ones_like": creation.ones_like,
    "shape": lambda x: x.shape,
    "ndim": lambda x: x.ndim,
    "size": lambda x: x.size,
}


def _array_function(self: Tensor, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's functions on tensors: ours of the same name, else a clear refusal."""
    ours = _BY_NUMPY_NAME.get(func.__name__)
    name = f"{func.__module__}.{func.__name__}".replace("numpy", "np")
    if ours is None:
        leaves, structure = flatten((args, kwargs))
        if not any(isinstance(x, Tensor) and x.node.level >= 0 for x in leaves):
            args, kwargs = structure.unflatten(plain(x) for x in leaves)
            return func(*args, **kwargs)
        raise DtypeError(f"{name} has no recorded counterpart for tensors; use the functions of autograd_bn, or .detach().numpy() for the values alone")
    if func.__name__ in ("sum", "mean", "max", "amax", "min", "amin") and len(args) == 2:
        kwargs["axis"] = args[1]
        args = args[:1]
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    try:
        return ours(*args, **kwargs)
    except TypeError as error:
        raise DtypeError(f"{name} with these arguments has no recorded counterpart for tensors: {error}") from error


Tensor.__array_function__ = _array_function  # type: ignore[attr-defined]
for _primitive_of in registry.values():
    serve_ufunc(_primitive_of.forward, _primitive_of)
close_registry()

__all__ = ["METHODS", "OPERATORS", "apply", "circular", "comparison", "error_function", "linalg"]

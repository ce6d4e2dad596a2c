"""All primitives by family, and the methods and operators of Tensor that call them."""

from __future__ import annotations

import inspect
from typing import Any

from autograd_bn.core.dispatch import serve_ufunc
from autograd_bn.core.methods import Methods
from autograd_bn.core.operators import binary_operator, reflected_operator
from autograd_bn.core.primitive import close_registry, registry
from autograd_bn.core.tensor import Tensor
from autograd_bn.ops import (  # noqa: F401 - some for their primitives alone
    arithmetic,
    circular,
    comparison,
    complex_numbers,
    creation,
    decompositions,
    diagonals,
    einsum,
    error_function,
    exponential,
    indexing,
    matmul,
    nan_statistics,
    numpy_functions,
    products,
    random,
    rearranging,
    reduction,
    rounding,
    scans,
    searching,
    shape,
    sorting,
    stacking,
    statistics,
    windows,
    writing,
)
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
    "prod": statistics.prod,
    "var": statistics.var,
    "std": statistics.std,
    "any": reduction.any,
    "all": reduction.all,
    "argmax": reduction.argmax,
    "argmin": reduction.argmin,
    "argsort": sorting.argsort,
    "take": sorting.take,
    "cumsum": scans.cumulative_sum,
    "cumprod": scans.cumulative_prod,
    "repeat": rearranging.repeat,
    "swapaxes": rearranging.swapaxes,
    "diagonal": diagonals.diagonal,
    "trace": diagonals.trace,
    "reshape": shape.reshape,
    "flatten": shape.flatten,
    "permute_dims": shape.permute_dims,
    "squeeze": shape.squeeze,
    "astype": shape.astype,
    "exp": exponential.exp,
    "log": exponential.log,
    "sqrt": exponential.sqrt,
    "sin": circular.sin,
    "cos": circular.cos,
    "tanh": circular.tanh,
    "abs": arithmetic.abs,
    "conj": complex_numbers.conj,
    "clip": rounding.clip,
    "round": rounding.round,
    "__round__": rounding.round,
    "__divmod__": rounding.quotient_and_rest,
    "__rdivmod__": rounding.reflected_quotient_and_rest,
    "__pos__": arithmetic.positive,
    "__invert__": comparison.bitwise_invert,
    "__neg__": arithmetic.negative,
    "__abs__": arithmetic.abs,
    "__getitem__": indexing.getitem,
    "__setitem__": writing.setitem,
}
"""Functions that are also methods."""


def method(function: Any) -> Any:
    """NumPy's methods take the axis and keepdims by position; otherwise the function itself serves."""
    taken = getattr(function, "__wrapped__", function).__kwdefaults__ or ()
    if "axis" not in taken or "keepdims" not in taken:
        return function

    def reduced(self: Tensor, axis: Axis = None, keepdims: bool = False, **options: Any) -> Tensor:
        if options:
            return function(self, axis=axis, keepdims=keepdims, **options)  # type: ignore[no-any-return]
        return function(self, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]

    reduced.__name__, reduced.__doc__ = function.__name__, function.__doc__
    reduced.__qualname__ = f"Tensor.{function.__name__}"
    shown = inspect.signature(function)
    x, *others = shown.parameters.values()
    first = [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in others if p.name in ("axis", "keepdims")]
    named = [p for p in others if p.name not in ("axis", "keepdims")]
    reduced.__signature__ = shown.replace(parameters=[x.replace(name="self"), *first, *named])  # type: ignore[attr-defined]
    return reduced


for _name, _primitive in OPERATORS.items():
    setattr(Methods, f"__{_name}__", binary_operator(registry[_primitive]))
    if _name in SYMBOLS:
        setattr(Methods, f"__r{_name}__", reflected_operator(registry[_primitive]))
        setattr(Methods, f"__i{_name}__", writing.updating(getattr(Methods, f"__{_name}__"), f"{SYMBOLS[_name]}="))
for _name, _function in METHODS.items():
    setattr(Methods, _name, method(_function))
for _name, _function in {"T": shape.transpose, "mT": shape.matrix_transpose, "real": complex_numbers.real, "imag": complex_numbers.imag}.items():
    setattr(Methods, _name, property(_function))
for _primitive_of in registry.values():
    serve_ufunc(_primitive_of.forward, _primitive_of)
close_registry()

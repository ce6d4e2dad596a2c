"""The arguments of a function with a rule of its own: which are tensors, and how a call is put together again."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from inspect import Signature
from types import MethodType
from typing import Any

import numpy as np

from autograd_bn.core.errors import OperationError, RuleError, ShapeError
from autograd_bn.core.tensor import Tensor, asarray
from autograd_bn.core.tree import Structure, flatten, matched
from autograd_bn.transforms.argnums import Argnums, argument_numbers, positions


class Ruled:
    """A function that gets a rule of its own; as a method the instance is its first argument."""

    def __init__(self, function: Callable[..., Any], nondiff_argnums: Argnums) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._signature = _signature(function)
        self._static, _ = argument_numbers(nondiff_argnums, "nondiff_argnums")
        self._name = getattr(function, "__name__", type(function).__name__)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the function."""
        raise NotImplementedError

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
        """Those of one call, with defaults for what is not given."""
        return Arguments(self._function, self._name, self._static, _completed(self._signature, self._name, args, kwargs))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)


class Arguments:
    """One call's function and arguments: the tensors in them in order, the rest as it is."""

    def __init__(self, function: Callable[..., Any], name: str, static: Sequence[int], args: Sequence[Any]) -> None:
        self.function = function
        self.static = {i: args[i] for i in positions(static, len(args), f"{name}: nondiff_argnums")}
        self.count = len(args)
        self.structures: list[Structure] = []
        self._others: list[list[Any]] = []
        self.tensors: list[Tensor] = []
        for i, arg in enumerate(args):
            if i in self.static:
                continue
            leaves, structure = flatten(arg)
            self.structures.append(structure)
            self._others.append([None if _numeric(x) else x for x in leaves])
            self.tensors += [asarray(x) for x in leaves if _numeric(x)]

    def nested(self, xs: Sequence[Any]) -> list[Any]:
        """The differentiable arguments, with other tensors."""
        given = iter(xs)
        return [s.unflatten(next(given) if x is None else x for x in others) for s, others in zip(self.structures, self._others, strict=True)]

    def all(self, xs: Sequence[Any]) -> list[Any]:
        """Every argument, with other tensors."""
        given = iter(self.nested(xs))
        return [self.static[i] if i in self.static else next(given) for i in range(self.count)]

    def run(self, xs: Sequence[Any]) -> tuple[list[Tensor], Structure]:
        """The function's results for other tensors, and how to nest them."""
        leaves, structure = flatten(self.function(*self.all(xs)))
        return [own(y) for y in leaves], structure

    def leading(self) -> list[Any]:
        """The arguments that are not differentiated, which rules get first."""
        return [self.static[i] for i in sorted(self.static)]

    def cotangents(self, returned: Any, xs: Sequence[Tensor], rule: str) -> list[Tensor | None]:
        """What a rule returned, an entry a tensor. Raises RuleError where it does not fit."""
        if not isinstance(returned, (tuple, list)):
            raise RuleError(f"{rule} must return a tuple of cotangents, one an argument, got {type(returned).__name__}")
        if len(returned) != len(self.structures):
            raise RuleError(f"{rule} returned {len(returned)} cotangents for {len(self.structures)} arguments")
        given = iter(xs)
        found: list[Tensor | None] = []
        for i, (part, structure, others) in enumerate(zip(returned, self.structures, self._others, strict=True)):
            leaves = [None] * len(others) if part is None else matched(part, structure, f"{rule}: the cotangent of argument {i}", "the argument", RuleError)
            for c, other in zip(leaves, others, strict=True):
                if other is None:
                    x = next(given)
                    found.append(None if c is None or x.dtype.kind not in "fc" else like(c, x, f"{rule}: a cotangent of argument {i}", "the operand"))
        return found


def _signature(function: Callable[..., Any]) -> Signature | None:
    """What a function takes; None for one that does not say."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _completed(signature: Signature | None, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[Any]:
    """The arguments of a call by position, with defaults for those that are not given."""
    if signature is None:
        if kwargs:
            raise OperationError(f"{name} has a rule of its own and no signature, so it takes positional arguments only, got {', '.join(kwargs)}")
        return args
    if not kwargs and len(args) >= len(signature.parameters):
        return args
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}() {error}") from None
    if bound.kwargs:
        raise OperationError(f"{name} has a rule of its own, so it takes positional arguments only, got {', '.join(bound.kwargs)}")
    bound.apply_defaults()
    return bound.args


def pair(returned: Any, rule: str, what: str) -> tuple[Any, Any]:
    """The two things that a rule must return; a RuleError for anything else."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        got = f"{len(returned)} values" if isinstance(returned, tuple) else f"a {type(returned).__name__}"
        raise RuleError(f"{rule} must return a pair: {what}; got {got}")
    return returned


def own(value: Any) -> Tensor:
    """A value that a function or a rule returned, as a tensor. An array of the user's is copied: a rule may write into it when it is called again."""
    y = asarray(value)
    return Tensor(y.value.copy()) if y.node.foreign else y


def _numeric(x: Any) -> bool:
    return isinstance(x, (Tensor, np.ndarray, np.generic, int, float, complex))


def like(value: Any, x: Tensor, what: str, whose: str) -> Tensor:
    """A value that a rule returned, or a RuleError where its shape or dtype is not that of what it belongs to."""
    if type(value) in (int, float) and not x.shape:
        return Tensor(np.asarray(value, x.dtype))
    try:
        y = own(value)
    except (ShapeError, TypeError, ValueError) as error:
        raise RuleError(f"{what} is no tensor but a {type(value).__name__}") from error
    if y.shape != x.shape:
        raise RuleError(f"{what} has shape {y.shape}, {whose} {x.shape}; they must be equal")
    if y.dtype != x.dtype:
        raise RuleError(f"{what} has dtype {y.dtype}, {whose} {x.dtype}, of shape {x.shape}; they must be equal")
    return y

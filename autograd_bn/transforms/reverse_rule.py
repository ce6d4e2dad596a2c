"""custom_vjp: a function with a pullback of the user's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, NoReturn

from autograd_bn.core.complex_values import conjugated
from autograd_bn.core.errors import GradientError, RuleError
from autograd_bn.core.levels import close_level, open_level
from autograd_bn.core.lines import caller_line
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor, asarray, snapshot
from autograd_bn.core.tree import Structure, flatten
from autograd_bn.transforms.arguments import Argnums, Arguments, integers, signature_of
from autograd_bn.transforms.calls import Results, call, gathered, opened

Forward = Callable[[list[Tensor]], tuple[list[Tensor], Structure, list[Any], Any]]
"""Gives the results and how to nest them, and the residuals and how to nest those."""
Backward = Callable[[list[Any], Any, list[Tensor], Structure, list[Tensor]], Sequence[Tensor | None]]


class CustomVJP:
    """What `custom_vjp` gives: the function, which wants its rule by ``defvjp``."""

    def __init__(self, function: Callable[..., Any], nondiff_argnums: Argnums) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._signature = signature_of(function)
        self._static, _ = integers(nondiff_argnums, "nondiff_argnums")
        self._rule: tuple[Callable[..., Any], Callable[..., Any]] | None = None
        self._name = getattr(function, "__name__", type(function).__name__)

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set the rule.

        Parameters
        ----------
        fwd
            Takes the function's arguments, those by default too; returns its value and residuals: whatever ``bwd`` needs, in containers.
        bwd
            Takes the ``nondiff_argnums``, the residuals, and the cotangent of the value in its structure; returns a tuple of one cotangent
            an argument, None for zeros.
        """
        self._rule = fwd, bwd

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """As a method: the instance is the first argument."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the function."""
        if self._rule is None:
            raise GradientError(f"custom_vjp: {self._name} has no rule yet; give it one by {self._name}.defvjp(fwd, bwd)\n  at {caller_line(2)}")
        fwd, bwd = self._rule
        arguments = Arguments(self._signature, self._name, self._static, args, kwargs)

        def run(xs: list[Tensor]) -> Results:
            leaves, structure = flatten(self._function(*arguments.all(xs)))
            return [asarray(y) for y in leaves], structure

        def forward(xs: list[Tensor]) -> tuple[list[Tensor], Structure, list[Any], Any]:
            returned = fwd(*arguments.all(xs))
            if not isinstance(returned, tuple) or len(returned) != 2:
                got = f"{len(returned)} values" if isinstance(returned, tuple) else f"a {type(returned).__name__}"
                raise RuleError(f"the fwd rule of {self._name} must return a pair: the value, and the residuals for bwd; got {got}")
            leaves, structure = flatten(returned[0])
            residuals, nesting = flatten(returned[1])
            return [asarray(y) for y in leaves], structure, residuals, nesting

        def backward(residuals: list[Any], nesting: Any, xs: list[Tensor], structure: Structure, gs: list[Tensor]) -> Sequence[Tensor | None]:
            returned = bwd(*arguments.leading(), nesting.unflatten(residuals), structure.unflatten(conjugated(g) for g in gs))
            return [None if c is None else conjugated(c) for c in arguments.cotangents(returned, xs, f"the bwd rule of {self._name}")]

        outs, structure = call(_Pulled(self._name, run, forward, backward), arguments.tensors)
        return structure.unflatten(outs)


class _Pulled:
    """`calls.Rules` of a pullback."""

    def __init__(self, name: str, run: Callable[[list[Tensor]], Results], forward: Forward, backward: Backward) -> None:
        self.name = name
        self.run = run
        self._forward = forward
        self._backward = backward

    def remember(self, xs: list[Tensor]) -> tuple[list[Tensor], Structure, Any]:
        outs, structure, residuals, nesting = self._forward(xs)
        return outs, structure, ([snapshot(r) for r in residuals], nesting)

    def pull(self, kept: Any, xs: list[Tensor], structure: Structure, gs: list[Tensor]) -> Sequence[Tensor | None]:
        residuals, nesting = kept
        return self._backward(residuals, nesting, xs, structure, gs)

    def push(self, xs: list[Tensor], ts: list[Tensor]) -> NoReturn:
        raise GradientError(
            f"{self.name} has a reverse rule only (custom_vjp), so forward mode (jvp, hvp, hessian) cannot pass it; "
            "use reverse mode over reverse, such as ab.jacobian(ab.grad(f), mode='reverse'), or give it a rule for both by ab.custom_jvp"
            f"\n  at {caller_line(3)}"
        )

    def mapped(self, flags: Sequence[bool], size: int) -> _Pulled:
        def run(xs: list[Tensor]) -> Results:
            level = open_level()
            try:
                outs, structure = self.run(opened(xs, flags, level, size))
                return [gathered(y, level, size) for y in outs], structure
            finally:
                close_level(level)

        def forward(xs: list[Tensor]) -> tuple[list[Tensor], Structure, list[Any], Any]:
            level = open_level()
            try:
                outs, structure, residuals, nesting = self._forward(opened(xs, flags, level, size))
                batched = [isinstance(r, Tensor) and r.node.level == level for r in residuals]
                lowered = [gathered(r, level, size) if b else r for r, b in zip(residuals, batched, strict=True)]
                return [gathered(y, level, size) for y in outs], structure, lowered, (batched, nesting)
            finally:
                close_level(level)

        def backward(residuals: list[Any], nesting: Any, xs: list[Tensor], structure: Structure, gs: list[Tensor]) -> Sequence[Tensor | None]:
            level = open_level()
            try:
                batched, inner = nesting
                raised = opened(residuals, batched, level, size)
                found = self._backward(raised, inner, opened(xs, flags, level, size), structure, opened(gs, [True] * len(gs), level, size))
                out: list[Tensor | None] = []
                for c, flag in zip(found, flags, strict=True):
                    whole = None if c is None else gathered(c, level, size)
                    out.append(whole if whole is None or flag else asarray(raw.sum(whole, axis=(0,), keepdims=False)))
                return out
            finally:
                close_level(level)

        return _Pulled(self.name, run, forward, backward)


def custom_vjp(function: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> CustomVJP:
    """A function whose reverse-mode derivative is a rule of yours, set by ``defvjp(fwd, bwd)``.

    The rule holds at every level: in ``backward()`` and ``grad``, nested and under ``vmap``. Higher orders differentiate ``bwd``, so write it
    in differentiable operations. A drawing shows one node with the function's name.

    Parameters
    ----------
    function
        Takes and returns tensors, in nested containers. It must not close over tensors that are differentiated.
    nondiff_argnums
        The positions of arguments that are no tensors to differentiate by, such as functions and settings. Strings and the like need not be named.
        Of a method, argument 0 is the instance.

    Raises RuleError where a rule returns what does not fit in number, shape or dtype, and GradientError in forward mode, for which ``custom_jvp``
    serves, and where a differentiated tensor is closed over.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> @ab.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (ab.minimum(g, 1.0),))
    >>> ab.grad(lambda x: clipped(x) * 5.0)(2.0)
    tensor(1.)
    """
    return CustomVJP(function, nondiff_argnums)

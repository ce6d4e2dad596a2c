"""custom_vjp: a function with a pullback of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from autograd_bn.core.complex_values import conjugated
from autograd_bn.core.errors import GradientError
from autograd_bn.core.levels import OpenLevel
from autograd_bn.core.lines import caller_line
from autograd_bn.core.primitive import raw
from autograd_bn.core.tensor import Tensor, asarray, snapshot
from autograd_bn.core.tree import Structure, flatten
from autograd_bn.transforms.arguments import Ruled, own, pair
from autograd_bn.transforms.calls import Results, call, gathered, opened, over_batch

Forward = Callable[[list[Tensor]], tuple[list[Tensor], Structure, list[Any], Any]]
"""Gives the results and how to nest them, and the residuals and how to nest those."""
Backward = Callable[[list[Any], Any, list[Tensor], Structure, list[Tensor]], Sequence[Tensor | None]]


class CustomVJP(Ruled):
    """What `custom_vjp` gives: the function, which wants its rule by ``defvjp``."""

    _rule: tuple[Callable[..., Any], Callable[..., Any]] | None = None

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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the function."""
        if self._rule is None:
            raise GradientError(f"custom_vjp: {self._name} has no rule yet; give it one by {self._name}.defvjp(fwd, bwd)\n  at {caller_line(2)}")
        fwd, bwd = self._rule
        arguments = self._arguments(args, kwargs)

        def forward(xs: list[Tensor]) -> tuple[list[Tensor], Structure, list[Any], Any]:
            value, kept = pair(fwd(*arguments.all(xs)), f"the fwd rule of {self._name}", "the value, and the residuals for bwd")
            leaves, structure = flatten(value)
            residuals, nesting = flatten(kept)
            return [own(y) for y in leaves], structure, residuals, nesting

        def backward(residuals: list[Any], nesting: Any, xs: list[Tensor], structure: Structure, gs: list[Tensor]) -> Sequence[Tensor | None]:
            returned = bwd(*arguments.leading(), nesting.unflatten(residuals), structure.unflatten(conjugated(g) for g in gs))
            return [None if c is None else conjugated(c) for c in arguments.cotangents(returned, xs, f"the bwd rule of {self._name}")]

        outs, structure = call(_Pulled(self._name, arguments.run, forward, backward), arguments.tensors)
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
        def forward(xs: list[Tensor]) -> tuple[list[Tensor], Structure, list[Any], Any]:
            with OpenLevel() as level:
                outs, structure, residuals, nesting = self._forward(opened(xs, flags, level, size))
                batched = [isinstance(r, Tensor) and r.node.level == level for r in residuals]
                lowered = [gathered(r, level, size) if b else r for r, b in zip(residuals, batched, strict=True)]
                return [gathered(y, level, size) for y in outs], structure, lowered, (batched, nesting)

        def backward(residuals: list[Any], nesting: Any, xs: list[Tensor], structure: Structure, gs: list[Tensor]) -> Sequence[Tensor | None]:
            with OpenLevel() as level:
                batched, inner = nesting
                raised = opened(residuals, batched, level, size)
                found = self._backward(raised, inner, opened(xs, flags, level, size), structure, opened(gs, [True] * len(gs), level, size))
                out: list[Tensor | None] = []
                for c, flag in zip(found, flags, strict=True):
                    whole = None if c is None else gathered(c, level, size)
                    out.append(whole if whole is None or flag else asarray(raw.sum(whole, axis=(0,), keepdims=False)))
                return out

        return _Pulled(self.name, over_batch(self.run, flags, size), forward, backward)


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

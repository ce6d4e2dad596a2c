"""custom_jvp: a function with a pushforward of the user's, which is transposed for reverse mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.errors import GradientError, RuleError
from autograd_bn.core.levels import OpenLevel
from autograd_bn.core.lines import caller_line
from autograd_bn.core.node import Node, ancestors
from autograd_bn.core.sweep import sweep
from autograd_bn.core.tensor import Tensor, leaf, owned, tensor_of
from autograd_bn.core.tracing import lifted
from autograd_bn.core.tree import Structure, flatten, matched
from autograd_bn.transforms.arguments import Ruled, like, own, pair
from autograd_bn.transforms.calls import Results, call, gathered, opened, over_batch

Tangent = Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], Structure, list[Tensor]]]


class CustomJVP(Ruled):
    """What `custom_jvp` gives: the function, which wants its rule by ``defjvp``."""

    _rule: Callable[..., Any] | None = None

    def defjvp(self, jvp: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; gives it back, so that it serves as a decorator.

        Parameters
        ----------
        jvp
            Takes the ``nondiff_argnums``, the tuple of arguments, those by default too, and the tuple of their tangents; returns the value and
            its tangent, which must be linear in the tangents.
        """
        self._rule = jvp
        return jvp

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the function."""
        rule = self._rule
        if rule is None:
            raise GradientError(f"custom_jvp: {self._name} has no rule yet; give it one by {self._name}.defjvp(jvp)\n  at {caller_line(2)}")
        arguments = self._arguments(args, kwargs)
        what = f"the jvp rule of {self._name}"

        def tangent(xs: list[Tensor], ts: list[Tensor]) -> tuple[list[Tensor], Structure, list[Tensor]]:
            returned = rule(*arguments.leading(), tuple(arguments.nested(xs)), tuple(arguments.nested(ts)))
            value, direction = pair(returned, what, "the value and its tangent")
            leaves, structure = flatten(value)
            outs = [own(y) for y in leaves]
            found = matched(direction, structure, f"{what}: the tangent", "the value", RuleError)
            return outs, structure, [like(t, y, f"{what}: a tangent", "its value") if y.dtype.kind in "fc" else y for t, y in zip(found, outs, strict=True)]

        outs, structure = call(_Pushed(self._name, arguments.run, tangent), arguments.tensors)
        return structure.unflatten(outs)


class _Pushed:
    """`calls.Rules` of a pushforward."""

    def __init__(self, name: str, run: Callable[[list[Tensor]], Results], tangent: Tangent) -> None:
        self.name = name
        self.run = run
        self.push = tangent

    def remember(self, xs: list[Tensor]) -> tuple[list[Tensor], Structure, Any]:
        return *self.run(xs), ()

    def pull(self, kept: Any, xs: list[Tensor], structure: Structure, gs: list[Tensor]) -> Sequence[Tensor | None]:
        """The transpose: the pushforward is recorded at the operands, from tangents of zero, and swept."""
        with OpenLevel() as level:
            zeros = [lifted(Tensor(np.zeros(x.shape, x.dtype))) for x in xs]
            ts = [leaf(z if z.node.level >= 0 else z.value, level) if z.dtype.kind in "fc" else z for z in zeros]
            _, _, tangents = self.push(xs, ts)
            roots = [(t.node, owned(g)) for t, g in zip(tangents, gs, strict=True) if type(t.node) is Node and t.node.level == level]
            self._check_linear([node for node, _ in roots])
            found = sweep(roots, free=True)
            return [None if (c := found.get(t.node)) is None else tensor_of(c) for t in ts]

    def _check_linear(self, roots: list[Node]) -> None:
        """Refuse a rule that multiplies tangents with each other, or bends them: an operation then saved what depends on them."""
        for node in ancestors(roots):
            if node.saved is not None and any(x is not None and type(p) is Node for x, p in zip(node.saved, (*node.parents, node), strict=False)):
                raise RuleError(f"the jvp rule of {self.name} is not linear in the tangents, so it has no transpose: see {node.title}\n  at {node.line}")

    def mapped(self, flags: Sequence[bool], size: int) -> _Pushed:
        def tangent(xs: list[Tensor], ts: list[Tensor]) -> tuple[list[Tensor], Structure, list[Tensor]]:
            with OpenLevel() as level:
                outs, structure, found = self.push(opened(xs, flags, level, size), opened(ts, flags, level, size))
                return [gathered(y, level, size) for y in outs], structure, [gathered(t, level, size) for t in found]

        return _Pushed(self.name, over_batch(self.run, flags, size), tangent)


def custom_jvp(function: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> CustomJVP:
    """A function whose derivative is a rule of yours, set by ``defjvp(jvp)``, in both modes.

    Reverse mode transposes the rule, so its tangent must be linear in the tangents that it is given. The rule holds at every level, under
    ``vmap`` too; higher orders differentiate it. A drawing shows one node with the function's name.

    Parameters
    ----------
    function
        Takes and returns tensors, in nested containers. It must not close over tensors that are differentiated.
    nondiff_argnums
        The positions of arguments that are no tensors to differentiate by, such as functions and settings. Strings and the like need not be named.
        Of a method, argument 0 is the instance.

    Raises RuleError where the rule returns what does not fit in number, shape or dtype, or what is not linear, and GradientError where a
    differentiated tensor is closed over.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> @ab.custom_jvp
    ... def log1pexp(x):
    ...     return ab.log(1.0 + ab.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t * ab.sigmoid(x)
    >>> ab.grad(log1pexp)(0.0), ab.jvp(log1pexp, (0.0,), (2.0,))[1]
    (tensor(0.5), tensor(1.))
    """
    return CustomJVP(function, nondiff_argnums)

"""The constructors of primitives. Each derives every rule of a family from the one line that makes a member different."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from autograd_bn.core.axes import kept_shape, reduced_shape
from autograd_bn.core.elsewhere import strange, unexpected
from autograd_bn.core.errors import RuleError
from autograd_bn.core.operators import Binary, Unary, binary_function, unary_function
from autograd_bn.core.partials import Partial, parameters, rules
from autograd_bn.core.primitive import REAL, Abstract, Domain, Primitive, broadcast_shapes, raw
from autograd_bn.core.state import open_scope, resume

Static = Mapping[str, Any]


def elementwise(
    name: str,
    ufunc: Callable[..., Any],
    *partials: Partial,
    operands: tuple[str, ...] | None = None,
    label: Any = None,
    code: str | None = None,
    domain: Domain | tuple[Domain, ...] = REAL,
    example: Callable[..., Any] | None = None,
) -> Primitive:
    """A function applied element by element to broadcast operands.

    A partial is the derivative by one operand: a number, None (no derivative), or a function whose parameter names say
    what it needs: an operand's (``x``, ``y``), ``out``, and, where the product itself is cheaper or more
    accurate than its factor, ``g``, which then stands for the cotangent (or tangent) that it multiplies.

    Parameters
    ----------
    name
        What the graph calls it; not that of an operation of the engine.
    ufunc
        The function on arrays.
    partials
        One an operand.
    operands
        What partials and ``code`` call the operands; x, y, z unless given.
    label
        What drawings show; the name unless given.
    code
        An expression in the operands for compiled code, such as ``"x * sigmoid(x)"``. Without it ``jit`` calls ``ufunc``.
    domain
        Where operands may be sampled in tests: a `Domain`, or one an operand.
    example
        A function of a random generator, to a list of ``(operands, static)`` for tests, where a domain does not tell.

    Returns the Primitive: a function that gives arrays for arrays, and tensors for tensors.

    Raises OperationError for a partial that is none of these, and for the name of an operation of the engine.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> distance = ab.primitives.elementwise(
    ...     "distance",
    ...     np.hypot,
    ...     lambda x, out: x / out,
    ...     lambda y, out: y / out,
    ... )
    >>> ab.grad(distance)(3.0, 4.0)
    tensor(0.6)
    """
    names = operands if operands is not None else ("x", "y", "z")[: len(partials)]
    vjp, pulls, needs = rules(name, names, partials)
    domains = domain if isinstance(domain[0], Domain) else (domain,)

    def abstract(operands: Sequence[Abstract], static: Static) -> Abstract:
        shape = broadcast_shapes(*(x.shape for x in operands))
        samples = [x.dtype(1) if isinstance(x.dtype, type) else np.ones(1, x.dtype) for x in operands]
        with np.errstate(all="ignore"):
            return Abstract(shape, np.asarray(ufunc(*samples)).dtype)

    def batch(operands: Sequence[Any], batched: Sequence[bool], static: Static) -> Any:
        rank = max(len(getattr(x, "shape", ())) - b for x, b in zip(operands, batched, strict=True))
        aligned = [
            raw.reshape(x, shape=x.shape[:1] + (1,) * (rank + 1 - len(x.shape)) + x.shape[1:]) if b else x for x, b in zip(operands, batched, strict=True)
        ]
        return primitive(*aligned)

    differentiable = any(p is not None for p in partials)
    primitive = Primitive(
        name,
        ufunc,
        vjp=vjp if differentiable else None,
        jvp=_summed(pulls) if differentiable else None,
        batch=batch,
        abstract=abstract,
        label=label,
        needs=needs,
        broadcasts=True,
        pointwise=True,
        code=code,
        operands=names,
        flops=one_an_element,
        domains=domains,
        example=example,
    )
    return primitive


def unary(name: str, ufunc: Callable[..., Any], partial: Partial, doc: str = "", *, public: str | None = None, **options: Any) -> Unary:
    """A function of one operand, element by element. See `elementwise` for the partial and the options.

    Returns a function of a tensor, an array or a number that gives a tensor. Its ``primitive`` is the Primitive, ``doc`` its docstring.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> cube = ab.primitives.unary("cube", lambda x: x**3, lambda x: 3 * x**2, label="x³")
    >>> cube(2.0), ab.grad(cube)(2.0), ab.grad(ab.grad(cube))(2.0)
    (tensor(8.), tensor(12.), tensor(12.))
    """
    primitive = elementwise(name, ufunc, partial, **options)
    return cast(Unary, _published(unary_function(primitive), primitive, doc, public))


def binary(name: str, ufunc: Callable[..., Any], first: Partial, second: Partial, doc: str = "", *, public: str | None = None, **options: Any) -> Binary:
    """A function of two operands that are broadcast, element by element. See `unary`.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> over = ab.primitives.binary(
    ...     "over",
    ...     lambda x, y: x / y,
    ...     lambda y: 1 / y,
    ...     lambda y, out: -out / y,
    ... )
    >>> ab.grad(over, argnums=(0, 1))(6.0, 2.0)
    (tensor(0.5), tensor(-1.5))
    """
    primitive = elementwise(name, ufunc, first, second, **options)
    return cast(Binary, _published(binary_function(primitive), primitive, doc, public))


def _published(function: Any, primitive: Primitive, doc: str, public: str | None) -> Any:
    function.__name__ = function.__qualname__ = public or primitive.name
    function.__doc__ = doc
    function.__module__ = sys._getframe(2).f_globals["__name__"]
    function.primitive = primitive
    return function


def _summed(pulls: tuple[Callable[..., Any] | None, ...]) -> Callable[..., Any]:
    """The JVP of an elementwise function: the sum of the tangents times the partials."""

    def jvp(tangents: Sequence[Any], operands: Sequence[Any], out: Any, static: Static) -> Any:
        total = None
        for pull, t in zip(pulls, tangents, strict=True):
            if pull is not None and t is not None:
                term = pull(t, *operands, out)
                total = term if total is None else total + term
        if total is not None and total.shape != out.shape:
            total = raw.broadcast_to(total, shape=out.shape)
        return total

    return jvp


def linear(
    name: str,
    forward: Callable[..., Any],
    *,
    transpose: Callable[..., Any],
    batch: Callable[..., Any],
    shape: Callable[..., tuple[int, ...]] | None = None,
    variadic: bool = False,
    label: Any = None,
    aliases: bool = False,
    spreads: bool = False,
    adds: bool = False,
    code: str | None = None,
    example: Callable[..., Any] | None = None,
) -> Primitive:
    """A linear map: its JVP is itself, its VJP its transpose.

    ``transpose(g, x, **static)`` maps a cotangent back; of ``x`` only shape and dtype may be read.
    ``batch(x, **static)`` maps over axis 0. With ``variadic`` both take and give sequences.
    ``shape(x, **static)`` is the result's shape, found by running ``forward`` on a value without memory unless given.
    One that ``adds`` up elements costs an operation each; the others only move them.

    Returns the Primitive, which takes what is static by name.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> from autograd_bn.primitives import raw
    >>> mirror = ab.primitives.linear(
    ...     "mirror",
    ...     lambda x, axis: np.flip(x, axis),
    ...     transpose=lambda g, x, axis: raw.mirror(g, axis=axis),
    ...     batch=lambda x, axis: raw.mirror(x, axis=axis + 1),
    ... )
    >>> mirror(ab.tensor([1.0, 2.0, 3.0]), axis=0)
    tensor([3., 2., 1.])
    """

    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Static) -> Sequence[Any]:
        return (transpose(g, parents[0], **static),)

    def variadic_vjp(g: Any, saved: Any, parents: Sequence[Any], static: Static) -> Sequence[Any]:
        cotangents: Sequence[Any] = transpose(g, parents, **static)
        if len(cotangents) != len(parents):
            raise RuleError(f"the transpose of {name} returned {len(cotangents)} cotangents for {len(parents)} operands")
        return cotangents

    def jvp(tangents: Sequence[Any], operands: Sequence[Any], out: Any, static: Static) -> Any:
        given = [np.zeros(x.shape, x.dtype) if t is None else t for t, x in zip(tangents, operands, strict=True)]
        return primitive(*given, **static)

    def abstract(operands: Sequence[Abstract], static: Static) -> Abstract:
        samples = [np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in operands]
        if shape is None:
            out = forward(*samples, **static)
            return Abstract(out.shape, out.dtype)
        small = [np.zeros((1,) * len(x.shape), x.dtype) for x in operands]
        return Abstract(shape(*operands, **static), forward(*small, **static).dtype)

    def batched(operands: Sequence[Any], flags: Sequence[bool], static: Static) -> Any:
        if not variadic:
            return batch(operands[0], **static)
        return batch(*all_batched(operands, flags), **static)

    primitive = Primitive(
        name,
        forward,
        vjp=variadic_vjp if variadic else vjp,
        jvp=jvp,
        batch=batched,
        abstract=abstract,
        label=label,
        aliases=aliases,
        spreads=spreads,
        code=code,
        flops=one_an_operand if adds else none,
        example=example,
    )
    return primitive


def reduction(
    name: str,
    forward: Callable[..., Any],
    weight: Callable[..., Any],
    *,
    label: Any = None,
    code: str | None = None,
    domain: Domain = REAL,
    example: Callable[..., Any] | None = None,
) -> Primitive:
    """A function of all elements along some axes whose derivative by each element is a ``weight``.

    ``forward(x, axis, keepdims)`` reduces over a tuple of non-negative axes. The weight's parameter names say what
    it needs: ``x``, ``out`` (with the reduced axes kept), ``axis``, and, where the product is cheaper than the weight itself, ``g``, which
    stands for the cotangent (with the reduced axes kept) or the tangent that it multiplies.

    Returns the Primitive, which takes ``axis``, as `normalized_axes` gives it, and ``keepdims`` by name.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> energy = ab.primitives.reduction(
    ...     "energy",
    ...     lambda x, axis, keepdims: (x * x).sum(axis, keepdims=keepdims),
    ...     lambda x: 2 * x,
    ... )
    >>> ab.grad(lambda x: energy(x, axis=(0,), keepdims=False))(ab.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    positional, keywords = parameters(weight, ("x", "out", "axis", "g"), f"{name}: the weight")
    wanted = positional + keywords

    def product(g: Any, x: Any, out: Any, axis: tuple[int, ...], keepdims: bool, shape: tuple[int, ...]) -> Any:
        kept = out if keepdims or out is None else raw.reshape(out, shape=kept_shape(shape, axis))
        given = {"g": g, "x": x, "out": kept, "axis": axis}
        found = weight(*[given[k] for k in positional], **{k: given[k] for k in keywords})
        return found if "g" in wanted else g * found

    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Static) -> Sequence[Any]:
        x, out = saved
        shape = parents[0].shape
        if not static["keepdims"]:
            g = raw.reshape(g, shape=kept_shape(shape, static["axis"]))
        return (product(g, x, out, static["axis"], static["keepdims"], shape),)

    def jvp(tangents: Sequence[Any], operands: Sequence[Any], out: Any, static: Static) -> Any:
        (x,) = operands
        return raw.sum(product(tangents[0], x, out, static["axis"], static["keepdims"], x.shape), **static)

    def abstract(operands: Sequence[Abstract], static: Static) -> Abstract:
        (x,) = operands
        out = forward(np.ones((1,) * len(x.shape), x.dtype), **static)
        return Abstract(reduced_shape(x.shape, **static), out.dtype)

    def batch(operands: Sequence[Any], batched: Sequence[bool], static: Static) -> Any:
        return primitive(operands[0], axis=tuple(a + 1 for a in static["axis"]), keepdims=static["keepdims"])

    needs = frozenset({"x": 0, "out": -1}[w] for w in wanted if w not in ("axis", "g"))
    primitive = Primitive(
        name,
        forward,
        vjp=vjp,
        jvp=jvp,
        batch=batch,
        abstract=abstract,
        label=label,
        needs=(needs,),
        code=code,
        flops=one_an_operand,
        domains=(domain,),
        example=example,
    )
    return primitive


def discrete(
    name: str,
    forward: Callable[..., Any],
    *,
    batch: Callable[..., Any],
    shape: Callable[..., tuple[int, ...]],
    label: Any = None,
    code: str | None = None,
    example: Callable[..., Any] | None = None,
) -> Primitive:
    """A function to integers, booleans or steps, through which no gradient flows.

    ``batch(x, **static)`` maps over axis 0; ``shape(x, **static)`` is the result's shape.
    """

    def abstract(operands: Sequence[Abstract], static: Static) -> Abstract:
        (x,) = operands
        small = np.ones((1,) * len(x.shape), x.dtype)
        return Abstract(shape(x, **static), np.asarray(forward(small, **static)).dtype)

    def batched(operands: Sequence[Any], flags: Sequence[bool], static: Static) -> Any:
        return batch(operands[0], **static)

    return Primitive(name, forward, batch=batched, abstract=abstract, label=label, code=code, flops=none, example=example)


def gathering(
    name: str,
    forward: Callable[..., Any],
    *,
    transpose: Callable[..., Any],
    batch: Callable[..., Any],
    label: Any = None,
    example: Callable[..., Any] | None = None,
) -> Primitive:
    """A map that is linear in its first operand, at the places that its second operand, of integers, names.

    ``transpose(g, x, places, **static)`` maps a cotangent back; of ``x`` only shape and dtype may be read.
    ``batch(x, places, **static)`` maps over axis 0 of both.
    """

    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Static) -> Sequence[Any]:
        return (transpose(g, parents[0], saved[1], **static), None)

    def jvp(tangents: Sequence[Any], operands: Sequence[Any], out: Any, static: Static) -> Any:
        return None if tangents[0] is None else primitive(tangents[0], operands[1], **static)

    def abstract(operands: Sequence[Abstract], static: Static) -> Abstract:
        out = forward(*(np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in operands), **static)
        return Abstract(out.shape, out.dtype)

    def batched(operands: Sequence[Any], flags: Sequence[bool], static: Static) -> Any:
        return batch(*all_batched(operands, flags), **static)

    needs = (frozenset({1}), frozenset[int]())
    primitive = Primitive(name, forward, vjp=vjp, jvp=jvp, batch=batched, abstract=abstract, label=label, needs=needs, flops=none, example=example)
    return primitive


def all_batched(operands: Sequence[Any], flags: Sequence[bool]) -> list[Any]:
    """Operands of which some have a batch on axis 0, all with it: the others are repeated."""
    size = next(x.shape[0] for x, b in zip(operands, flags, strict=True) if b)
    return [x if b else raw.broadcast_to(x, shape=(size, *x.shape)) for x, b in zip(operands, flags, strict=True)]


def one_an_element(operands: Sequence[Abstract], static: Static, out: Abstract) -> int:
    """As many floating-point operations as the result has elements."""
    return math.prod(out.shape)


def one_an_operand(operands: Sequence[Abstract], static: Static, out: Abstract) -> int:
    """As many floating-point operations as the operand has elements."""
    return math.prod(operands[0].shape)


def none(operands: Sequence[Abstract], static: Static, out: Abstract) -> int:
    """No floating-point operations: elements are moved, compared or counted."""
    return 0


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def composite(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A function of primitives, with no rule of its own; its name is a scope, which a drawing shows as a cluster.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> @ab.composite
    ... def square(x):
    ...     return x * x
    >>> ab.graph(square(ab.tensor(3.0, requires_grad=True))).nodes[-1].scope
    square
    """
    name = function.__name__

    @functools.wraps(function)
    def scoped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        opened = open_scope(name)
        try:
            return function(*args, **kwargs)
        except TypeError:
            if strange(function, kwargs):
                raise unexpected(function, kwargs) from None
            raise
        finally:
            resume(opened.outer)

    return scoped

"""The record of a primitive: everything that eager execution, both modes, drawing, testing and compilation read."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd_bn.core.errors import OperationError, ShapeError

if TYPE_CHECKING:
    from autograd_bn.core.graph import GraphNode


class Abstract(NamedTuple):
    """The shape and dtype of a value that need not exist. A weak Python number has its type as its dtype."""

    shape: tuple[int, ...]
    dtype: Any


class Domain(NamedTuple):
    """Where an operand may be sampled: an interval, and points (kinks, poles) to keep away from by ``margin``."""

    low: float = -2.0
    high: float = 2.0
    avoid: tuple[float, ...] = ()
    margin: float = 0.1


REAL = Domain()
POSITIVE = Domain(0.2, 3.0)
NONZERO = Domain(avoid=(0.0,))


class Primitive:
    """An operation with its rules, which a constructor derives: `elementwise`, `linear`, `contraction`, `reduction`, `gathering`, `discrete`.

    Called, it gives an array for arrays, and a tensor, recorded where a gradient is required, if there is one among the operands. What is
    static is passed by name.

    Attributes
    ----------
    name, label
        What code and drawings call it. A label may be a function of the drawn node.
    forward
        Arrays and static parameters to an array.
    keeps
        Whether a rule of one operand needs the operand, and the result.
    vjp
        ``(g, saved, parents, static)`` to one cotangent an operand, None where none flows.
    jvp
        ``(tangents, operands, out, static)`` to the tangent of the result; a tangent may be None.
    batch
        ``(operands, batched, static)`` to the result with the batch on axis 0.
    abstract
        ``(operands, static)``, all Abstract, to the Abstract of the result.
    needs
        For each operand, which positions of (operands…, result) its cotangent needs; one entry serves any number.
    broadcasts
        Whether operands are broadcast, so that a cotangent may have to be summed to its operand's shape.
    pointwise
        Whether element is mapped to element: the rule then takes a cotangent that is not yet repeated to the
        result's shape, and may return one.
    spreads
        Whether the rule may return a cotangent that is not yet repeated to the operand's shape.
    aliases
        Whether the result may share the memory of the operand.
    code
        Scalar code for fusion, if there is any: an expression in ``operands``; of a reduction, how it combines two elements.
    operands
        The names of the operands in ``code``.
    flops
        ``(operands, static, out)``, all Abstract, to the number of floating-point operations of one run; None if it is not known.
    domains
        An operand's Domain each (the last serves the rest).

    One that is made with ``register=False`` is known to nobody but its nodes, and its name need not be its own.
    """

    __slots__ = (
        "_kept",
        "abstract",
        "aliases",
        "batch",
        "broadcasts",
        "code",
        "differentiable",
        "domains",
        "example",
        "flops",
        "forward",
        "jvp",
        "keeps",
        "label",
        "name",
        "needs",
        "operands",
        "pointwise",
        "spreads",
        "vjp",
    )

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        *,
        vjp: Callable[..., Sequence[Any]] | None = None,
        jvp: Callable[..., Any] | None = None,
        batch: Callable[..., Any],
        abstract: Callable[..., Abstract],
        label: str | Callable[[GraphNode], str] | None = None,
        needs: tuple[frozenset[int], ...] = (frozenset(),),
        broadcasts: bool = False,
        pointwise: bool = False,
        spreads: bool = False,
        aliases: bool = False,
        code: str | None = None,
        operands: tuple[str, ...] = ("x", "y"),
        flops: Callable[..., int] | None = None,
        domains: tuple[Domain, ...] = (REAL,),
        example: Callable[..., list[tuple[tuple[Any, ...], dict[str, Any]]]] | None = None,
        register: bool = True,
    ) -> None:
        if code is not None and _own:  # somebody else's
            _check_code(name, code, operands)
        self.name = name
        self.forward = forward
        self.vjp = vjp
        self.jvp = jvp
        self.batch = batch
        self.abstract = abstract
        self.label = label if label is not None else name
        self.needs = needs
        self.broadcasts = broadcasts
        self.pointwise = pointwise
        self.spreads = spreads
        self.aliases = aliases
        self.code = code
        self.operands = operands
        self.flops = flops
        self.domains = domains
        self.example = example
        self.differentiable = vjp is not None
        self._kept: dict[tuple[int, int], tuple[bool, ...]] = {}
        self.keeps = self.kept(1, 1)
        if not register:
            return
        if name in _own:
            raise OperationError(f"a primitive named {name!r} belongs to autograd_bn; give yours another name")
        registry[name] = self
        setattr(raw, name, self)

    def kept(self, mask: int, count: int) -> tuple[bool, ...]:
        """Which of the ``count`` operands and the result to save, when the operands in ``mask`` need a cotangent."""
        key = (mask, count)
        found = self._kept.get(key)
        if found is None:
            last = len(self.needs) - 1
            wanted: set[int] = set()
            for i in range(count):
                if mask >> i & 1:
                    wanted |= self.needs[min(i, last)]
            found = self._kept[key] = (*(i in wanted for i in range(count)), -1 in wanted)
        return found

    def __call__(self, *operands: Any, **static: Any) -> Any:
        """The raw operation: arrays give an array, and any tensor among them a recorded tensor."""
        for x in operands:
            if isinstance(x, Traced):
                return apply(self, operands, static)
        return self.forward(*operands, **static)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __copy__(self) -> Primitive:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Primitive:
        return self

    def __reduce__(self) -> str | tuple[Any, ...]:
        if registry.get(self.name) is not self:
            raise TypeError(f"{self!r} is a function of its own, in no registry: it cannot be pickled")
        return (registry.__getitem__, (self.name,))


def _check_code(name: str, code: str, operands: tuple[str, ...]) -> None:
    """Raise OperationError unless scalar code is one expression in the operands."""
    try:
        parts = list(ast.walk(ast.parse(code, mode="eval")))
    except (SyntaxError, TypeError, ValueError) as error:
        raise OperationError(f"{name}: code={code!r} is no expression such as 'x * sigmoid(x)': {getattr(error, 'msg', error)}") from None
    functions = {part.func for part in parts if isinstance(part, ast.Call)}
    strange = [part.id for part in parts if isinstance(part, ast.Name) and part not in functions and part.id not in (*operands, "inf")]
    if strange:
        raise OperationError(f"{name}: code={code!r} names {strange[0]!r}, which is no operand: these are {', '.join(operands)}")


class Traced:
    """Base of Tensor, so that this module can tell one without importing it."""

    __slots__ = ()


registry: dict[str, Primitive] = {}
"""Every primitive by name. A user's may be defined again, as a notebook's cell is run again."""

_own: set[str] = set()


def close_registry() -> None:
    """Keep the names that are there for this package."""
    _own.update(registry)


class _Raw(SimpleNamespace):
    """The raw operations by name: ``raw.exp(x)``. The rules are written in them; every primitive adds itself."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Primitive: ...


raw = _Raw()


def apply(primitive: Primitive, operands: Sequence[Any], static: dict[str, Any]) -> Any:
    """Run and, where a gradient is required, record; replaced by `dispatch` when it is imported."""
    raise NotImplementedError


def abstract_of(x: Any) -> Abstract:
    """The shape and dtype of an operand."""
    if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic):
        return Abstract((), np.dtype(bool) if isinstance(x, bool) else type(x))
    return Abstract(x.shape, x.dtype)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape, or a ShapeError that names the axis."""
    rank = max((len(s) for s in shapes), default=0)
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    out = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        wide = {n for n in sizes if n != 1}
        if len(wide) > 1:
            listed = " and ".join(map(str, shapes))
            raise ShapeError(
                f"shapes {listed} do not broadcast: axis {axis - rank} has sizes {' and '.join(str(s[axis]) for s in padded)}, which must be equal or 1"
            )
        out.append(wide.pop() if wide else 1)
    return tuple(out)

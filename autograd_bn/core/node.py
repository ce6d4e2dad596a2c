"""The second half of a tensor: how its value came to be. `fast` is all that the fast path reads (see `state`)."""

from __future__ import annotations

import itertools
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd_bn.core.errors import GradientError
from autograd_bn.core.lines import Line
from autograd_bn.core.state import NESTED, Scope, located

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np

    from autograd_bn.core.primitive import Primitive

NO_STATIC: Mapping[str, Any] = {}
next_age = itertools.count().__next__
"""The age of the next node."""


class Origin(NamedTuple):
    """A node, of which order the sweep was that came to it, 1 for a first derivative, and which sweep, by a number of its own."""

    node: Node
    order: int
    sweep: int


class Extra:
    """What only some nodes have: a name, a gradient, hooks, what ``record()`` keeps, and ``anomaly_mode()``'s checksums of what is saved.

    Of ``record()``: ``value``, ``cotangents``, ``seconds``, and by operand the values of ``constants``, and those that are ``seeds``, with the
    node that they are the cotangents of. Of what a backward pass recorded: the node whose rule made it (``origin``), the node whose ``cotangent`` it is, or
    which ``part`` of it (0 for the whole), and the ``order`` of the derivative.
    """

    __slots__ = (
        "checksums",
        "constants",
        "cotangent",
        "cotangents",
        "gradient",
        "hooks",
        "name",
        "order",
        "origin",
        "part",
        "retain",
        "seconds",
        "seeds",
        "value",
    )

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.value: Any = None
        self.gradient: Any = None
        self.retain = False
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.cotangents: list[Any] | None = None
        self.constants: dict[int, Any] = {}
        self.seeds: dict[int, Origin] = {}
        self.checksums: list[int | None] = []
        self.seconds = 0.0
        self.origin: Origin | None = None
        self.cotangent: Origin | None = None
        self.part = 0
        self.order = 0


class Node:
    """One recorded operation, or a leaf (``primitive`` is None), on the tape of one level.

    ``parents`` has an entry an operand: a Node on the same tape, else what is known of a constant (a number
    or a Constant). ``saved`` has the values of the operands and of the result that the rule needs, None elsewhere;
    it is None itself once the sweep has freed it. ``age`` counts the nodes that were made before. Nothing here refers to a Tensor of the same level.
    """

    __slots__ = ("age", "code", "dtype", "extra", "fast", "level", "offset", "parents", "primitive", "saved", "scope", "shape", "static")
    foreign = False

    age: int
    primitive: Primitive | None
    parents: tuple[Any, ...]
    saved: tuple[Any, ...] | None
    static: Mapping[str, Any]
    level: int
    fast: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scope: Scope | None
    code: CodeType
    offset: int
    extra: Extra | None

    @property
    def line(self) -> Line:
        """Where the operation was written; inside the package, where its composite was called."""
        return located(Line(self.code, self.offset), self.scope)

    @property
    def title(self) -> str:
        """The operation's name, for messages."""
        return self.primitive.name if self.primitive is not None else "leaf"

    def extras(self) -> Extra:
        """The extras, made when first asked for."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Node:
        raise GradientError("a recorded graph cannot be copied; copy x.detach(), or run the function again on a copy of its inputs")

    __copy__ = __reduce__ = __deepcopy__  # type: ignore[assignment]


def ancestors(roots: Iterable[Node]) -> Iterator[Node]:
    """The nodes that some depend on, and these themselves, each once."""
    stack = list(dict.fromkeys(roots))
    seen = set(stack)
    while stack:
        node = stack.pop()
        yield node
        for parent in node.parents:
            if type(parent) is Node and parent not in seen:
                seen.add(parent)
                stack.append(parent)


def same_place(one: Node, other: Node) -> bool:
    """Whether the same call of the user's made both, the first an operation: no variable holds its value."""
    return one.offset == other.offset and one.code is other.code and one.scope is other.scope and one.primitive is not None


class Constant:
    """A value that no gradient flows through. ``reason`` and ``line`` say where a graph was cut, if one was.

    ``foreign`` memory may be changed by somebody else, so a rule that keeps it copies it first.
    """

    __slots__ = ("dtype", "foreign", "line", "name", "reason", "shape")
    fast = level = -1

    def __init__(
        self,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        name: str | None = None,
        foreign: bool = False,
        reason: str | None = None,
        line: Line | None = None,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.name = name
        self.foreign = foreign
        self.reason = reason
        self.line = line


CONSTANT = Constant()
FOREIGN = Constant(foreign=True)


class Dual:
    """Forward mode: the value's tangent at one level."""

    __slots__ = ("level", "tangent")
    fast = NESTED
    foreign = False

    def __init__(self, level: int, tangent: Any) -> None:
        self.level = level
        self.tangent = tangent


DIFFERENTIATED: tuple[type, ...] = (Node, Dual)
"""The nodes of a value that is differentiated, in one mode or the other: what `no_grad` ends."""


class Batch:
    """``vmap``: the value's first axis holds ``size`` examples at one level."""

    __slots__ = ("level", "size")
    fast = NESTED
    foreign = False

    def __init__(self, level: int, size: int) -> None:
        self.level = level
        self.size = size

"""The one graph: an immutable list of operations, built from a record. Drawings and compilers read only it."""

from __future__ import annotations

import dis
import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Literal, NamedTuple

import numpy as np

from autograd_bn.core.allocation import read_only
from autograd_bn.core.arrays import Array
from autograd_bn.core.backward_scopes import BackwardScopes
from autograd_bn.core.digits import subscript, superscript
from autograd_bn.core.display import mimebundle
from autograd_bn.core.errors import GradientError, OperationError
from autograd_bn.core.graph_text import graph_text, node_text, one_line
from autograd_bn.core.lines import ENGINE, Line
from autograd_bn.core.node import CONSTANT, FOREIGN, NO_STATIC, Batch, Constant, Extra, Node, Origin, same_place
from autograd_bn.core.primitive import Abstract, Primitive
from autograd_bn.core.state import Scope
from autograd_bn.core.tensor import Tensor, array_of, each_level, why_constant
from autograd_bn.core.tree import flatten

Kind = Literal["leaf", "constant", "operation"]
_NOTHING = Extra()
"""What is kept of a node of which nothing is."""


class Edge(NamedTuple):
    """A value's way from the node that made it to one operand of a node that uses it."""

    source: int
    target: int
    operand: int


@dataclass(frozen=True, slots=True, eq=False)
class GraphNode:
    """One value of a graph and the operation, if any, that made it.

    Attributes
    ----------
    index
        Its place in ``Graph.nodes``; operands come before results.
    kind
        ``"operation"``, ``"leaf"`` (a gradient flows to it) or ``"constant"`` (none does).
    primitive, static
        The operation and its parameters; None and empty for the other kinds.
    inputs
        The index of each operand that is a node. Plain numbers are not.
    constants
        An entry an operand: the plain number, or None where the operand is a node.
    shape, dtype
        Of the value; None where a constant's is not known.
    name
        The name it was given, or the variable that its value was first stored in.
    scope, line
        The composite or module that it is part of, and where it was written.
    value, gradient, cotangents
        What ``ab.record()`` kept, as read-only arrays: the value, the whole gradient of the result, and for each entry
        of ``inputs`` what flowed back along that edge. None before, and without, a backward pass.
    seconds
        What ``ab.record()`` measured of NumPy's work, in the operation and in its rule.
    order
        0, or 1 for what a backward pass recorded inside ``ab.record()``, 2 for what a second one did, that of a derivative, and so on.
    cut
        For a constant: what ended the graph here (``detach()``, ``no_grad()``), if anything did.
    """

    index: int
    kind: Kind
    primitive: Primitive | None = None
    inputs: tuple[int, ...] = ()
    static: Mapping[str, Any] = field(default_factory=lambda: NO_STATIC)
    shape: tuple[int, ...] | None = None
    dtype: np.dtype[Any] | None = None
    name: str | None = None
    scope: Scope | None = None
    line: Line | None = None
    constants: tuple[Any, ...] = ()
    value: Array | None = field(default=None, repr=False)
    cotangents: tuple[Array | None, ...] | None = field(default=None, repr=False)
    gradient: Array | None = field(default=None, repr=False)
    seconds: float | None = field(default=None, repr=False)
    order: int = 0
    cut: str | None = None

    @property
    def label(self) -> str:
        """What a drawing shows: the operation's symbol, or the leaf's name."""
        if self.primitive is None:
            return self.name if self.name is not None else self.kind
        label = self.primitive.label
        return label(self) if callable(label) else str(label)

    @property
    def operands(self) -> tuple[int, ...]:
        """The operand position of each entry of ``inputs``."""
        return tuple(i for i, number in enumerate(self.constants) if number is None)

    def __str__(self) -> str:
        return node_text(self)


class Graph:
    """An immutable list of operations in the order of their running, and which of them are the results.

    It holds arrays, strings and numbers only, so it stays as it is whatever happens to the tensors that it was made from.
    """

    __slots__ = ("nodes", "outputs")

    nodes: tuple[GraphNode, ...]
    outputs: tuple[int, ...]

    def __init__(self, nodes: tuple[GraphNode, ...], outputs: tuple[int, ...]) -> None:
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "outputs", outputs)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Graph is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Graph is immutable: {name} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return (Graph, (self.nodes, self.outputs))

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge, in the order of the nodes that it leads to: (source index, target index, operand position)."""
        return tuple(Edge(source, node.index, operand) for node in self.nodes for source, operand in zip(node.inputs, node.operands, strict=True))

    def flops(self) -> tuple[int | None, ...]:
        """The floating-point operations of each node: an addition, a product and a function of an element count one each.

        None where an operation's cost is not known, or the shape that it follows from.

        Examples
        --------
        >>> import autograd_bn as ab
        >>> x = ab.tensor([[1.0, 2.0]] * 3, requires_grad=True)
        >>> ab.graph(ab.tanh(x @ x.T)).flops()
        (0, 0, 36, 9)
        """
        return tuple(self._flops(node) for node in self.nodes)

    def _flops(self, node: GraphNode) -> int | None:
        if node.primitive is None:
            return 0
        sources = iter(node.inputs)
        operands = [self.nodes[next(sources)] if number is None else None for number in node.constants]
        shapes = [() if x is None else x.shape for x in operands]
        rule = node.primitive.flops
        if rule is None or node.shape is None or (None in shapes and not node.primitive.pointwise):
            return None
        return rule([Abstract(shape or (), None) for shape in shapes], node.static, Abstract(node.shape, node.dtype))

    def summary(self) -> str:
        """What the graph consists of, in a few lines.

        Examples
        --------
        >>> import autograd_bn as ab
        >>> x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
        >>> print(ab.graph((x * x).sum()).summary())
        3 nodes: 1 leaf, 2 operations; 3 edges
        operations: mul, sum
        leaves: x (2,)
        """
        used = Counter(node.primitive.name for node in self.nodes if node.primitive is not None)
        leaves = [f"{one_line(node.label)} {node.shape}" for node in self.nodes if node.kind == "leaf"]
        lines = [f"{self._counted()}; {_plural(sum(len(node.inputs) for node in self.nodes), 'edge', 'edges')}"]
        if used:
            lines.append("operations: " + ", ".join(name if count == 1 else f"{name} ×{count}" for name, count in used.items()))
        if leaves:
            shown = leaves if len(leaves) <= 20 else [*leaves[:20], f"and {len(leaves) - 20} more"]
            lines.append("leaves: " + ", ".join(shown))
        return "\n".join(lines)

    def _counted(self) -> str:
        kinds = Counter(node.kind for node in self.nodes)
        words: list[tuple[Kind, str]] = [("leaf", "leaves"), ("constant", "constants"), ("operation", "operations")]
        return f"{_plural(len(self.nodes), 'node', 'nodes')}: " + ", ".join(_plural(kinds[one], one, many) for one, many in words if kinds[one])

    _repr_mimebundle_ = mimebundle

    def __repr__(self) -> str:
        return f"<Graph of {self._counted()}>"

    def __str__(self) -> str:
        return graph_text(self)


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def graph(*outputs: Any) -> Graph:
    """The graph that was recorded for some results, from their leaves on.

    Parameters
    ----------
    outputs
        Tensors, or containers of them.

    Raises
    ------
    GradientError
        If nothing was recorded for any of them; it says where the graph was cut.
    OperationError
        If something among them is not a tensor, or nothing is.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> x = ab.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> y = (x * 3.0).sum()
    >>> g = ab.graph(y)
    >>> [node.label for node in g.nodes]
    ['x', '*', 'Σ']
    >>> g.edges
    (Edge(source=0, target=1, operand=0), Edge(source=1, target=2, operand=0))
    """
    tensors, _ = flatten(outputs)
    if not tensors:
        raise OperationError("a graph is taken of tensors, got none")
    for x in tensors:
        if not isinstance(x, Tensor):
            run = "; of a function or a module, ab.draw(f, x) and ab.explore(f, x) show it" if callable(x) else ""
            raise OperationError(f"a graph is taken of tensors, got {type(x).__name__}{run}")
    roots = [_root(x) for x in tensors]
    if not any(root.__class__ is Node for root in roots):
        reason = why_constant(roots[0])
        raise GradientError(
            f"there is no graph: no operation was recorded, the tensor does not require a gradient{reason}; make a leaf with requires_grad=True"
        )
    builder = _Builder([root for root in roots if root.__class__ is Node])
    found = tuple(builder.index[root] if root.__class__ is Node else builder.constant(root) for root in roots)
    return Graph(tuple(builder.nodes), found)


def _root(x: Tensor) -> Any:
    """The record of a tensor: a Node or a Constant; under duals and batches, that of what they wrap."""
    return next((level.node for level in each_level(x) if type(level.node) in (Node, Constant)), CONSTANT)


def _order(roots: list[Node]) -> list[Node]:
    """Every node that the roots depend on, operands first, each once, in time linear in the edges."""
    order: dict[Node, None] = {}
    opened: set[Node] = set()
    stack = list(reversed(roots))
    while stack:
        node = stack[-1]
        if node in opened:
            stack.pop()
            order[node] = None
        else:
            opened.add(node)
            stack.extend(parent for parent in reversed(node.parents) if parent.__class__ is Node and parent not in opened)
    return list(order)


class _Builder:
    """Turns recorded nodes into graph nodes."""

    def __init__(self, roots: list[Node]) -> None:
        self.nodes: list[GraphNode] = []
        self.index: dict[Node | Constant, int] = {}
        self._backward = BackwardScopes()
        order = _order(roots)
        self._inner = {parent for node in order for parent in node.parents if parent.__class__ is Node and same_place(parent, node)}
        for node in order:
            self._add(node)

    def constant(self, constant: Constant, value: Any = None, seed: Origin | None = None) -> int:
        """The index of a constant: one node an object, but the anonymous ones stand for any number of values."""
        shared: Any = constant if constant is not CONSTANT and constant is not FOREIGN else None if seed is None else id(value)
        if shared is not None and shared in self.index:
            return self.index[shared]
        index = len(self.nodes)
        if shared is not None:
            self.index[shared] = index
        name, scope, order = constant.name, None, 0
        if seed is not None:
            name, scope, order = self._differential(seed, 0), self._backward.mirrored(seed), seed.order
        array = _array(value)
        dtype = np.dtype(constant.dtype) if constant.dtype is not None else None if array is None else array.dtype
        shape = constant.shape if constant.shape is not None or array is None else array.shape
        self.nodes.append(
            GraphNode(index, "constant", shape=shape, dtype=dtype, name=name, scope=scope, line=constant.line, value=array, order=order, cut=constant.reason)
        )
        return index

    def _add(self, node: Node) -> None:
        extra = _NOTHING if node.extra is None else node.extra
        inputs: list[int] = []
        constants: list[Any] = []
        nodes: list[int] = []
        for operand, parent in enumerate(node.parents):
            if isinstance(parent, (bool, int, float, complex)):
                constants.append(parent)
                continue
            if isinstance(parent, Node):
                inputs.append(self.index[parent])
            else:
                known = parent if isinstance(parent, Constant) else CONSTANT
                inputs.append(self.constant(known, extra.constants.get(operand), extra.seeds.get(operand)))
            nodes.append(operand)
            constants.append(None)
        kept = extra.cotangents
        self.index[node] = index = len(self.nodes)
        self.nodes.append(
            GraphNode(
                index,
                "leaf" if node.primitive is None else "operation",
                node.primitive,
                tuple(inputs),
                node.static,
                node.shape,
                node.dtype,
                self._name(node),
                self._backward.scope(node),
                self._backward.line(node),
                tuple(constants),
                _array(extra.value),
                None if kept is None else tuple(_array(kept[i]) for i in nodes),
                _array(extra.gradient),
                None if extra.value is None or node.primitive is None else extra.seconds,
                0 if extra.origin is None else extra.origin.order,
            )
        )

    def _name(self, node: Node) -> str | None:
        """The name that it was given, else that of the value whose gradient it is, else of a variable."""
        extra = _NOTHING if node.extra is None else node.extra
        if extra.name is not None:
            return extra.name
        if extra.cotangent is not None and self._name(extra.cotangent.node) is not None:
            return self._differential(extra.cotangent, extra.part)
        return self._variable(node)

    def _differential(self, origin: Origin, part: int) -> str:
        """``dx`` of x, or ``dx₁``, one of several; ``d²x`` in a second derivative; ``d`` of what has no name."""
        power = "" if origin.order == 1 else superscript(origin.order)
        return f"d{power}{self._name(origin.node) or ''}{subscript(part) if part else ''}"  # as deep as the order

    def _variable(self, node: Node) -> str | None:
        """The variable that the value was first stored in.

        One call may record several operations of the engine; of those only the last, which no other uses, is what was stored.
        """
        code = node.code
        if node in self._inner or code.co_filename.startswith(ENGINE) or (node.primitive is None and node.level != 0):
            return None
        return _stores(code).get(node.offset)


def variable(line: Line) -> str | None:
    """The variable that the value of an operation on a line of the user's program was stored in."""
    return None if line.file.startswith(ENGINE) else _stores(line.code).get(line.offset)


@functools.lru_cache(maxsize=1024)
def _stores(code: CodeType) -> dict[int, str]:
    """For each instruction whose result goes straight into a variable, by offset, the variable's name.

    While a Python function runs, its caller's offset may point into the cache after the call, so that serves too.
    """
    found: dict[int, str] = {}
    before = 0
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name.startswith("STORE_") and name not in ("STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE"):
            argument = instruction.argval
            variable = str(argument[0] if isinstance(argument, tuple) else argument)
            if variable.isidentifier():  # others are a rewriting tool's
                found.update(dict.fromkeys(range(before, instruction.offset, 2), variable))
        before = instruction.offset
    return found


def _array(x: Any) -> Array | None:
    """A read-only view of a recorded value, whatever levels lie above it; None for a batch, which has no single value."""
    return None if x is None or any(type(level.node) is Batch for level in each_level(x)) else read_only(array_of(x))

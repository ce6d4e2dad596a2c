"""A graph as text for a terminal: a line a node, scopes indented."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autograd_bn.core.graph import Graph, GraphNode
    from autograd_bn.core.state import Scope

_WIDEST = 56
"""Where the column of shapes begins at the latest."""
_LONGEST = 60


def node_text(node: GraphNode) -> str:
    """One node in one line."""
    scope = [f"in {one_line(str(node.scope))}"] if node.scope is not None else []
    return f"%{node.index} = {'  '.join([_made(node), *_notes(node), *scope])}"


def graph_text(graph: Graph) -> str:
    """Every node in a line: first what no operation made, then the operations in the order of their running, under the names of their scopes."""
    sources = [node for node in graph.nodes if node.primitive is None and node.scope is None]
    others = [node for node in graph.nodes if node.primitive is not None or node.scope is not None]
    paths: dict[Scope | None, tuple[Scope, ...]] = {None: ()}
    for node in others:
        if node.scope is not None and node.scope not in paths:
            paths[node.scope] = node.scope.path()
    number = len(f"%{len(graph.nodes) - 1}")
    rows = [("  " * len(paths[node.scope]) + f"{f'%{node.index}':{number}} = {_made(node)}", _notes(node)) for node in (*sources, *others)]
    width = min(_WIDEST, max((len(made) for made, _ in rows), default=0))
    shapes = max((len(notes[0]) for _, notes in rows if len(notes) > 1), default=0)
    lines: list[str] = []
    before: tuple[Scope, ...] = ()
    for node, (made, (shape, *notes)) in zip((*sources, *others), rows, strict=True):
        path = paths[node.scope]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(before, path, strict=False)))
        lines += [f"{'  ' * depth}{one_line(scope.name)}:" for depth, scope in enumerate(path[same:], same)]
        before = path
        lines.append("  ".join([f"{made:{width}}", f"{shape:{shapes}}", *notes]).rstrip())
    lines.append(f"return {', '.join(f'%{i}' for i in graph.outputs)}")
    return "\n".join(lines)


def one_line(text: str) -> str:
    """A name as it is, if it is short and has no strange characters."""
    return text if text.isprintable() and len(text) <= _LONGEST else _short(repr(text))


def _made(node: GraphNode) -> str:
    """The operation and its operands."""
    if node.primitive is None:
        return node.kind
    sources = iter(node.inputs)
    listed = [f"%{next(sources)}" if number is None else repr(number) for number in node.constants]
    listed += [f"{key}={_value(value)}" for key, value in node.static.items()]
    return f"{node.primitive.name}({', '.join(listed)})"


def _notes(node: GraphNode) -> Sequence[str]:
    """The shape and dtype, and if there are any the name and what cut the graph."""
    shape = "?" if node.shape is None else str(node.shape)
    notes = [f"{shape} {node.dtype if node.dtype is not None else '?'}"]
    if node.name is not None:
        notes.append(one_line(node.name))
    if node.cut is not None:
        notes.append(f"cut by {node.cut.strip(',')}")
    return notes


def _value(value: Any) -> str:
    return _short(" ".join(repr(value).split()))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

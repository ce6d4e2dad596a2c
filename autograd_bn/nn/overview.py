"""What a network consists of, as a table: layers, shapes, parameters and floating-point operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.graph import graph
from autograd_bn.core.node import Node
from autograd_bn.core.state import Scope, current, enable_grad, no_effects
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.core.tree import flatten
from autograd_bn.nn.module import Module
from autograd_bn.nn.substitution import substituted


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One module, with all of its parts.

    Attributes
    ----------
    name, kind
        The dotted name ("" of the network itself) and the class.
    calls
        How often it ran.
    shapes
        Of its results, the last time.
    parameters
        How many numbers are trained in it; what is shared with a module above is counted in both.
    flops
        The floating-point operations of all calls, forward.
    """

    name: str
    kind: str
    calls: int
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    flops: int


class Summary:
    """What `summary` found: ``rows`` as data, ``str()`` as a table.

    Attributes
    ----------
    rows
        A `SummaryRow` a module that ran, in the order of their first calls; the first is the network.
    unknown
        Operations whose cost is not known, and so not counted.
    """

    def __init__(self, rows: list[SummaryRow], unknown: tuple[str, ...], nbytes: int, depth: int) -> None:
        self.rows = rows
        self.unknown = unknown
        self._nbytes = nbytes
        self._depth = depth

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return self.rows[0].parameters

    @property
    def flops(self) -> int:
        """The floating-point operations of one forward pass."""
        return self.rows[0].flops

    def __str__(self) -> str:
        table = [("layer", "output", "parameters", "FLOPs")]
        for row in self.rows:
            level = row.name.count(".") + 1 if row.name else 0
            if level <= self._depth:
                title = f"{row.name.rsplit('.', 1)[-1]}: {row.kind}" if row.name else row.kind
                times = f" ×{row.calls}" if row.calls > 1 else ""
                table.append((f"{'  ' * level}{title}{times}", ", ".join(map(str, row.shapes)), f"{row.parameters:,}", f"{row.flops:,}"))
        widths = [max(len(line[i]) for line in table) for i in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in table]
        lines.append(f"{self.parameters:,} parameters of {self._nbytes:,} bytes; {self.flops:,} floating-point operations forward")
        if self.unknown:
            lines.append(f"not counted, because their cost is not known: {', '.join(self.unknown)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Summary of {len(self.rows)} modules>"


def summary(model: Module, *inputs: Any, depth: int = 3) -> Summary:
    """Run a network once on some inputs and tell what it consists of.

    It runs in evaluation mode on a copy, without effects: the network, its modes, statistics and gradients stay as they are. The operations are those
    of the recorded graph, each counted by its primitive: an addition, a product, a comparison and a function of an element count one, a
    matrix product 2·rows·inner·columns; moving elements is free.

    Parameters
    ----------
    model
        A module.
    inputs
        What it is called with.
    depth
        How many levels of parts the table shows; each row includes its parts.

    Returns a `Summary`, which prints as a table.

    Raises OperationError for a model that is no module.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> network = ab.nn.Sequential(ab.nn.Linear(3, 4), ab.nn.ReLU(), ab.nn.Linear(4, 2))
    >>> print(ab.nn.summary(network, ab.zeros((10, 3))))
    layer        output   parameters  FLOPs
    Sequential   (10, 2)          26    500
      0: Linear  (10, 4)          16    280
      1: ReLU    (10, 4)           0     40
      2: Linear  (10, 2)          10    180
    26 parameters of 104 bytes; 500 floating-point operations forward
    """
    if not isinstance(model, Module):
        raise OperationError(f"summary takes a module and what it is called with, got {type(model).__name__}")
    # All parameters, buffers and inputs become leaves, so that every operation is recorded, also of layers that are not trained.
    copy = substituted(model, [(p, _as_leaf(p)) for p in model.parameters()])
    copy.eval()
    calls = _Calls()
    for name, part in copy.named_modules():
        part.__dict__["_warned"] = True  # evaluating without statistics is no mistake here
        part.__dict__.update({buffer: _as_leaf(getattr(part, buffer)) for buffer in part._buffers})
        part.__dict__["forward"] = calls.watched(name, part, part.forward)
    with enable_grad(), no_effects():
        out = copy(*map(_as_leaf, inputs))
    counted, unknown = calls.flops(out)
    rows = [
        SummaryRow(name, type(part).__name__, len(calls.scopes[name]), calls.shapes[name], sum(p.value.size for p in part.parameters()), counted[name])
        for name, part in sorted(copy.named_modules(), key=lambda entry: calls.order(entry[0]))
        if name in calls.scopes
    ]
    return Summary(rows, unknown, sum(p.value.nbytes for p in copy.parameters()), depth)


def _as_leaf(x: Any) -> Any:
    """Arrays and tensors of floats, in tuples too, as leaves that require a gradient."""
    if isinstance(x, tuple):
        return tuple(map(_as_leaf, x))
    return tensor(asarray(x).detach(), requires_grad=True) if isinstance(x, (Tensor, np.ndarray)) and x.dtype.kind == "f" else x


class _Calls:
    """What each module of a network did when it ran."""

    def __init__(self) -> None:
        self.scopes: dict[str, list[Scope]] = {}
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def order(self, name: str) -> int:
        """When a module first ran."""
        return list(self.scopes).index(name) if name in self.scopes else len(self.scopes)

    def watched(self, name: str, part: Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The module's forward, which takes notes."""

        def noting(*args: Any, **kwargs: Any) -> Any:
            scope = current().scope
            assert scope is not None
            self.scopes.setdefault(name, []).append(scope)
            out = forward(*args, **kwargs)
            self.shapes[name] = tuple(x.shape for x in flatten(out)[0] if isinstance(x, Tensor))
            return out

        return noting

    def flops(self, out: Any) -> tuple[dict[str, int], tuple[str, ...]]:
        """The floating-point operations of each module, and the operations of which they are not known."""
        owners = {scope: name for name, scopes in self.scopes.items() for scope in scopes}
        counted = dict.fromkeys(self.scopes, 0)
        unknown: dict[str, None] = {}
        results = [x for x in flatten(out)[0] if isinstance(x, Tensor) and type(x.node) is Node]
        if results:
            recorded = graph(results)
            for node, flops in zip(recorded.nodes, recorded.flops(), strict=True):
                if flops is None and node.primitive is not None:
                    unknown[node.primitive.name] = None
                for name in {owners[scope] for scope in (() if node.scope is None else node.scope.path()) if scope in owners}:
                    counted[name] += flops or 0
        return counted, tuple(unknown)

"""A plan as straight NumPy calls: one line an operation, results written into buffers that are kept."""

from __future__ import annotations

import functools
import keyword
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from autograd_bn.compiler.passes.rewrite import operand_list
from autograd_bn.compiler.plan import Emitted, Plan, planned
from autograd_bn.core.graph import Graph, GraphNode

Kernel = Callable[..., tuple[Any, ...]]


class Writer:
    """Writes operations as calls; ``target`` says which buffer a result goes into."""

    def __init__(self, graph: Graph, target: Mapping[int, int] = MappingProxyType({})) -> None:
        self.target = target
        self.space: dict[str, Any] = {}
        self.names: dict[int, str] = {}
        self.inputs: list[str] = []
        for node in graph.nodes:
            if node.kind == "leaf":
                self.names[node.index] = f"x{len(self.inputs)}"
                self.inputs.append(f"x{len(self.inputs)}")
            elif node.kind == "constant":
                self.names[node.index] = self.held("c", node.value)
            else:
                self.names[node.index] = f"v{node.index}"

    def held(self, prefix: str, value: Any) -> str:
        """A name for a value that cannot be written out."""
        name = f"{prefix}{sum(key.startswith(prefix) for key in self.space)}"
        self.space[name] = value
        return name

    def written(self, value: Any) -> str:
        """A static parameter or number as source."""
        if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and np.isfinite(value)):
            return repr(value)
        if isinstance(value, complex) and np.isfinite(value):  # -0j is an expression with another value
            return f"complex({value.real!r}, {value.imag!r})"
        if type(value) is tuple:
            return f"({', '.join(map(self.written, value))}{',' if len(value) == 1 else ''})"
        if isinstance(value, slice):
            return f"slice({self.written(value.start)}, {self.written(value.stop)}, {self.written(value.step)})"
        if isinstance(value, np.dtype):
            self.space["dtype"] = np.dtype
            return f"dtype({value.str!r})"
        return self.held("k", value)

    def line(self, node: GraphNode) -> str:
        """One operation."""
        primitive = node.primitive
        assert primitive is not None
        function = f"{primitive.name}_" if keyword.iskeyword(primitive.name) else primitive.name
        self.space[function] = primitive.forward
        arguments = [self.written(number) if i is None else self.names[i] for i, number in operand_list(node)]
        if node.index in self.target:
            buffer = f"b{self.target[node.index]}"
            arguments.append(f"out={buffer}" if function in ("maximum", "minimum") else buffer)  # NumPy deprecates theirs by position
        arguments += [f"{key}={self.written(value)}" for key, value in node.static.items()]
        return f"{self.names[node.index]} = {function}({', '.join(arguments)})"


def emit(graph: Graph) -> Emitted:
    """A graph as a Python function; each thread has its own buffers."""
    plan = planned(graph)
    source, kernel = written(plan)
    local = threading.local()

    @functools.cache
    def strange() -> Kernel:
        """For inputs in another order than C: NumPy's results are in others too."""
        return written(planned(graph, buffers=False))[1]

    def run(*values: Any) -> tuple[Any, ...]:
        if not all(value.flags.c_contiguous for value in values):
            return strange()(*values, ())
        buffers = getattr(local, "buffers", None)
        if buffers is None:
            buffers = local.buffers = [np.empty(buffer.shape, buffer.dtype) for buffer in plan.buffers]
        return kernel(*values, buffers)

    inside = sum(node.index in plan.target for node in graph.nodes)
    kept = f"{inside} results go into {len(plan.buffers)} buffers of {plan.nbytes:,} bytes in all"
    return Emitted(run, lambda: source, plan.nbytes, plan.peak, lambda: kept)


def written(plan: Plan) -> tuple[str, Kernel]:
    """The source of a function of the inputs and the buffers, and that function."""
    graph = plan.graph
    writer = Writer(graph, plan.target)
    body = [f"{''.join(f'b{i}, ' for i in range(len(plan.buffers)))}= buffers"] if plan.buffers else []
    where = None
    for node in graph.nodes:
        if node.kind != "operation":
            continue
        place = f"{node.line.file}:{node.line.number}" if node.line is not None else None
        if place != where:
            where = place
            if node.line is not None and not node.line.inside:
                body.append(f"# {place}: {node.line.text}")
        body.append(f"{writer.line(node):<56}  # {node.dtype}{list(node.shape or ())}{f' {node.name}' if node.name else ''}")
        if node.index in plan.dropped:
            body.append(f"del {', '.join(writer.names[i] for i in plan.dropped[node.index])}")
    results = [f"{writer.names[i]}.copy()" if i in plan.copied else writer.names[i] for i in graph.outputs]
    body.append(f"return ({''.join(f'{name}, ' for name in results)})")
    source = "\n".join([f"def kernel({', '.join([*writer.inputs, 'buffers'])}):", *(f"    {text}" for text in body), ""])
    space = writer.space | {"__name__": __name__}
    exec(compile(source, "<ab.jit>", "exec"), space)  # noqa: S102 - the source is made of the names above
    kernel: Kernel = space["kernel"]
    return source, kernel

"""A program as plain data: a list of steps that runs on any namespace and prints as Python."""

from __future__ import annotations

import contextlib
import importlib
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.primitive import raw
from autograd_bn.core.state import no_grad, scope
from autograd_bn.core.tensor import tensor

__all__ = ["Program", "Step"]

UPDATES: dict[str, Callable[[Any, Any], Any]] = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
}


PUBLIC = importlib.import_module("autograd_bn")
"""The namespace that users see."""


class Step(NamedTuple):
    """One line of a program.

    Attributes
    ----------
    name
        A function of the namespace (``exp``, ``linalg.inv``), ``raw.`` and the name of a primitive, or one of the forms of
        the language: ``getitem``, ``setitem``, ``update``, ``constant``, ``detach``, ``affine``.
    operands
        Numbers of values: the inputs come first, then the result of each step. A write has its target first, and no result of its own.
    static
        Whatever is not a value: axes, keys, shapes.
    under
        ``"no_grad"``, the name of a scope, or nothing.
    item
        Which of several results to take.
    """

    name: str
    operands: tuple[int, ...]
    static: dict[str, Any] = {}  # noqa: RUF012 - never written into
    under: str = ""
    item: int | None = None

    @property
    def writes(self) -> bool:
        """Whether it changes its first operand in place."""
        return self.name in ("setitem", "update")


class Namespace(Protocol):
    """Where a program runs: functions by name, blocks, and values from arrays."""

    def function(self, name: str) -> Callable[..., Any]:
        """The function of a step's name; LookupError if there is none."""

    def under(self, name: str) -> contextlib.AbstractContextManager[Any]:
        """The block that a step stands in."""

    def constant(self, array: Array) -> Any:
        """A value that no gradient is asked of."""


def perform(step: Step, xp: Namespace, operands: Sequence[Any]) -> Any:
    """Run one step on the values of its operands."""
    name, static = step.name, step.static
    with xp.under(step.under) if step.under else contextlib.nullcontext():
        if name == "getitem":
            return operands[0][static["key"]]
        if name == "setitem":
            operands[0][static["key"]] = operands[1]
            return None
        if name == "update":
            UPDATES[static["operator"]](operands[0], operands[1])
            return None
        if name == "constant":
            return xp.constant(static["array"])
        if name == "affine":
            return operands[0] * static["scale"] + static["shift"]
        if name == "einsum":
            return xp.function(name)(static["subscripts"], *operands)
        function = xp.function(name)
        out = function(list(operands), **static) if name in JOINS else function(*operands, *static.get("positional", ()), **_named(static))
        return out if step.item is None else out[step.item]


JOINS = ("concat", "stack")


def _named(static: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in static.items() if key != "positional"}


class Autograd:
    """The package as a namespace of programs."""

    def function(self, name: str) -> Callable[..., Any]:
        """A public function by its dotted name, or a raw operation."""
        if name == "detach":
            return lambda x: x.detach()
        if name.startswith("raw."):
            return getattr(raw, name.removeprefix("raw."))  # type: ignore[no-any-return]
        return operator.attrgetter(name)(PUBLIC)  # type: ignore[no-any-return]

    def under(self, name: str) -> contextlib.AbstractContextManager[Any]:
        """``no_grad`` or a scope."""
        return no_grad() if name == "no_grad" else scope(name)

    def constant(self, array: Array) -> Any:
        """A tensor that owns a copy."""
        return tensor(array)


AUTOGRAD = Autograd()


class Program(NamedTuple):
    """Inputs, steps, and the values that the loss is made of.

    ``print(program)`` shows runnable Python.
    """

    inputs: tuple[Array, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def run(self, xp: Namespace, inputs: Sequence[Any]) -> list[Any]:
        """All values: the inputs, then one a step (None for a write)."""
        values = list(inputs)
        for step in self.steps:
            values.append(perform(step, xp, [values[i] for i in step.operands]))
        return values

    def loss(self, values: Sequence[Any], weigh: Callable[[Array], Any] = np.asarray) -> Any:
        """The weighted sum of the outputs."""
        total: Any = 0.0
        for i in self.outputs:
            total = total + (values[i] * weigh(weights(i, tuple(values[i].shape)))).sum()
        return total

    def __str__(self) -> str:
        return source(self)


def without(program: Program, dropped: int, bypass: bool = False) -> Program:
    """The program without a step and all that is made of its result; or, to bypass it, with its first operand in place of its result."""
    count = len(program.inputs)
    places: dict[int, int] = {i: i for i in range(count)}
    steps: list[Step] = []
    for i, step in enumerate(program.steps):
        if not all(j in places for j in step.operands):
            continue
        if i != dropped:
            places[count + i] = count + len(steps)
            steps.append(step._replace(operands=tuple(places[j] for j in step.operands)))
        elif bypass and step.operands and not step.writes:
            places[count + i] = places[step.operands[0]]
    return Program(program.inputs, tuple(steps), tuple(sorted({places[i] for i in program.outputs if i in places})))


def smaller(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The smallest program found, by leaving steps and outputs out, that fails too."""
    count = len(program.inputs)

    def tried(candidate: Program) -> bool:
        try:
            return fails(candidate)
        except (ValueError, TypeError, IndexError, KeyError, np.linalg.LinAlgError):  # its shapes do not fit any more
            return False

    for i, step in enumerate(program.steps):
        first = Program(program.inputs, program.steps[: i + 1], (step.operands[0] if step.writes else count + i,))
        if tried(first):
            program = first
            break
    before = None
    while before != (len(program.steps), len(program.outputs)):
        before = len(program.steps), len(program.outputs)
        for i in reversed(range(len(program.steps))):
            for bypass in (False, True):
                if i < len(program.steps) and tried(fewer := without(program, i, bypass)):
                    program = fewer
        for i in program.outputs:
            fewer = program._replace(outputs=tuple(j for j in program.outputs if j != i))
            if tried(fewer):
                program = fewer
    return program


def weights(number: int, shape: tuple[int, ...]) -> Array:
    """What the elements of an output are weighted by: irregular, so that no mistake cancels."""
    return np.cos(np.arange(int(np.prod(shape))) + number).reshape(shape)


def source(program: Program, gradients: Sequence[Any] | None = None) -> str:
    """The program as Python that can be pasted into a file; with expected gradients, it checks them."""
    count = len(program.inputs)
    lines = ["import numpy as np", "import autograd_bn as ab"]
    if any(step.name.startswith("raw.") for step in program.steps):
        lines.append("from autograd_bn.core.primitive import raw")
    if any("primitive" in _literal(step.static) for step in program.steps):
        lines.append("from autograd_bn.core.primitive import registry")
    lines.append("")
    lines += [f"x{i} = ab.tensor({_literal(x)}, requires_grad=True, name='x{i}')" for i, x in enumerate(program.inputs)]
    names = [f"x{i}" if i < count else f"v{i}" for i in range(count + len(program.steps))]
    under = ""
    for i, step in enumerate(program.steps):
        if step.under != under and step.under:
            lines.append("with ab.no_grad():" if step.under == "no_grad" else f"with ab.scope({step.under!r}):")
        under = step.under
        lines.append("    " * bool(under) + _line(step, names[count + i], [names[j] for j in step.operands]))
    lines += ["", "def weighted(v, number):", "    return (v * np.cos(np.arange(v.size) + number).reshape(v.shape)).sum()", ""]
    lines.append("loss = " + (" + ".join(f"weighted({names[i]}, {i})" for i in program.outputs) or "ab.asarray(0.0)"))
    if gradients is not None:
        lines += ["if loss.requires_grad:", "    loss.backward()"]
        lines += [
            f"np.testing.assert_allclose(0.0 if x{i}.grad is None else x{i}.grad, {_literal(g)}, rtol=1e-5, atol=1e-6, err_msg='the gradient by x{i}')"
            for i, g in enumerate(gradients)
        ]
    return "\n".join(lines) + "\n"


def _line(step: Step, name: str, operands: list[str]) -> str:
    static = step.static
    if step.name == "getitem":
        return f"{name} = {operands[0]}[{_key(static['key'])}]"
    if step.name == "setitem":
        return f"{operands[0]}[{_key(static['key'])}] = {operands[1]}"
    if step.name == "update":
        return f"{operands[0]} {static['operator']} {operands[1]}"
    if step.name == "constant":
        return f"{name} = ab.tensor({_literal(static['array'])})"
    if step.name == "affine":
        return f"{name} = {operands[0]} * {_literal(static['scale'])} + {_literal(static['shift'])}"
    if step.name == "detach":
        return f"{name} = {operands[0]}.detach()"
    if step.name == "einsum":
        return f"{name} = ab.einsum({static['subscripts']!r}, {', '.join(operands)})"
    arguments = [f"[{', '.join(operands)}]"] if step.name in JOINS else list(operands)
    arguments += [_literal(x) for x in static.get("positional", ())]
    arguments += [f"{key}={_literal(value)}" for key, value in _named(static).items()]
    called = step.name if step.name.startswith("raw.") else f"ab.{step.name}"
    return f"{name} = {called}({', '.join(arguments)})" + ("" if step.item is None else f"[{step.item}]")


def _literal(x: Any) -> str:
    """Static data as an expression."""
    if isinstance(x, np.ndarray):
        text = repr(x.tolist())
        if x.dtype != np.asarray(x.tolist()).dtype:
            return f"np.array({text}, {str(x.dtype)!r})"
        return text if x.dtype.kind == "f" and x.size else f"np.array({text}).reshape({x.shape})"
    if isinstance(x, np.generic):
        return repr(x.item())
    if isinstance(x, np.dtype):
        return f"np.dtype({str(x)!r})"
    if isinstance(x, tuple):
        return "(" + "".join(_literal(y) + ", " for y in x).rstrip() + ")" if len(x) != 1 else f"({_literal(x[0])},)"
    if isinstance(x, list):
        return "[" + ", ".join(_literal(y) for y in x) + "]"
    if isinstance(x, dict):
        return "{" + ", ".join(f"{key!r}: {_literal(y)}" for key, y in x.items()) + "}"
    if hasattr(x, "forward") and hasattr(x, "vjp"):
        return f"registry[{x.name!r}]"  # a primitive in the path of a write
    return repr(x)


def _key(key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    texts = []
    for part in parts:
        if isinstance(part, slice):
            ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
            texts.append(":".join(ends) + ("" if part.step is None else f":{part.step}"))
        else:
            texts.append("..." if part is Ellipsis else repr(part))
    return ", ".join(texts) + ("," if isinstance(key, tuple) and len(key) == 1 else "") if texts else "()"

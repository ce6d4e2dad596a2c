"""The short way into a compiled version: one Python function that takes arguments apart, runs the native code and puts the results together.

It is written for the structure of the arguments that the version was made for, and looks only at what the native code does not look at itself (which checks
shapes and dtypes). Where anything is otherwise it gives `MISS`, and the long way is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autograd_bn.compiler.plan import Lines
from autograd_bn.compiler.trace import Program
from autograd_bn.core.node import Constant, Node
from autograd_bn.core.sweep import accumulating
from autograd_bn.core.tensor import Tensor
from autograd_bn.core.tree import LEAF, Structure
from autograd_bn.core.views import replay

MISS = object()
_MISSED = "return MISS"


class _Writer:
    """Writes the function; ``known`` gives the names that it uses their values."""

    def __init__(self, space: dict[str, Any]) -> None:
        self.space = {
            **space,
            "__name__": __name__,
            "MISS": MISS,
            "Tensor": Tensor,
            "Constant": Constant,
            "ndarray": np.ndarray,
            "asarray": np.asarray,
            "replay": replay,
            "memory_of": memory_of,
        }
        self.lines: list[str] = []
        self.leaves: list[str] = []

    def known(self, value: Any) -> str:
        """A name for a value."""
        name = f"known{len(self.space)}"
        self.space[name] = value
        return name

    def miss(self, condition: str) -> None:
        """Go the long way if a condition holds."""
        self.lines.append(f"if {condition}: {_MISSED}")

    def taken_apart(self, structure: Structure, name: str) -> bool:
        """Give the leaves of a container names; whether that can be written here."""
        if structure is LEAF or structure.kind is None:
            self.leaves.append(name)
            return True
        kind, children = structure.kind, structure.children
        if kind is type(None):
            self.miss(f"{name} is not None")
            return True
        if kind not in (tuple, list, dict):
            return False
        parts = [f"{name}_{k}" for k in range(len(children))]
        self.miss(f"type({name}) is not {kind.__name__} or len({name}) != {len(children)}")
        if kind is dict:
            if any(type(key) is not str for key in structure.rest):  # 1, 1.0 and True are equal
                return False
            self.miss(f"list({name}) != {self.known(list(structure.rest))}")
        if parts:
            self.lines.append(f"{', '.join(parts)}, = {name}{'.values()' if kind is dict else ''}")
        return all(self.taken_apart(child, part) for child, part in zip(children, parts, strict=True))

    def leaf(self, name: str, value: Any) -> bool:
        """Check a leaf; whether that can be written here. ``value`` is the one that the version was made with."""
        if type(value) is Tensor:  # all are looked at together
            return type(value.node) is Constant
        if type(value) is np.ndarray:
            self.miss(f"type({name}) is not ndarray")
            return True
        if type(value) in (bool, int, str) or (type(value) is float and value != 0 and value == value):
            self.miss(f"type({name}) is not {type(value).__name__} or {name} != {self.known(value)}")
            return True
        self.miss(f"{name} is not {self.known(value)}")
        return not isinstance(value, (Tensor, np.generic, float, complex))

    def values(self, tensors: Sequence[str]) -> dict[str, str]:
        """Take the arrays out of tensors; their names."""
        arrays = {name: f"value{k}" for k, name in enumerate(tensors)}
        if arrays:
            self.lines.append(f"values = values_of({', '.join(arrays)})")
            self.miss("values is None")
            self.lines.append(f"{', '.join(arrays.values())}, = values")
        return arrays

    def give(self, structure: Structure, arrays: Sequence[str]) -> None:
        """Return a container of tensors of the arrays."""
        names = [f"result{k}" for k in range(len(arrays))]
        whole = self.put_together(structure, iter(names))
        made = f"tensors_of({', '.join(arrays)})"
        if whole == f"({''.join(f'{name}, ' for name in names)})" and names:
            self.lines.append(f"return {made}")
            return
        if names:
            self.lines.append(f"{', '.join(names)}, = {made}")
        self.lines.append(f"return {whole}")

    def put_together(self, structure: Structure, leaves: Iterator[str]) -> str:
        """A container of results as an expression."""
        if structure is LEAF or structure.kind is None:
            return next(leaves)
        if structure.kind is type(None):
            return "None"
        if structure.kind in (tuple, list):
            parts = [self.put_together(child, leaves) for child in structure.children]
            return f"({''.join(f'{part}, ' for part in parts)})" if structure.kind is tuple else f"[{', '.join(parts)}]"
        if structure.kind is dict:
            parts = [self.put_together(child, leaves) for child in structure.children]
            return f"{{{', '.join(f'{key!r}: {part}' for key, part in zip(structure.rest, parts, strict=True))}}}"
        count = structure.leaf_count()
        return f"{self.known(structure)}.unflatten([{', '.join(next(leaves) for _ in range(count))}])"


def memory_of(x: Any) -> Any:
    """The tensor that an argument is a view of, or the argument itself."""
    return x.base if isinstance(x, Tensor) and x.base is not None else x


def changed_arguments(program: Program) -> list[int]:
    """The places of the arguments that a program changes, themselves or their gradients."""
    return sorted({source.position for source in (*program.writes, *program.cleared) if source.tensor is None})


def changed_outside(program: Program) -> set[int]:
    """The identities of the tensors that a program closes over and changes, themselves or their gradients."""
    return {id(source.tensor) for source in (*program.writes, *program.cleared) if source.tensor is not None}


def shortened(
    program: Program,
    lines: Lines,
    structure: Structure,
    leaves: Sequence[Any],
    commit: Callable[..., None],
    unchanged: Callable[[], bool],
    undone: Callable[[], bool] | None,
) -> Callable[[tuple[Any, ...]], Any] | None:
    """The function of the positional arguments; None where they are of a kind that it is not written for.

    ``leaves`` are those that the version was made with. ``unchanged`` says whether all else is as it was; what the guards can say at less cost is asked
    first, and then ``undone``, whether no hook and no gradient has come or gone, if that can be.
    """
    arguments, keywords = structure.children
    if keywords.children:
        return None
    writer = _Writer(lines.space)
    if not writer.taken_apart(arguments, "args") or not all(writer.leaf(name, value) for name, value in zip(writer.leaves, leaves, strict=True)):
        return None
    tensors = [name for name, value in zip(writer.leaves, leaves, strict=True) if isinstance(value, (Tensor, np.ndarray))]
    arrays = writer.values([name for name, value in zip(writer.leaves, leaves, strict=True) if type(value) is Tensor])
    same = [guard.same(writer.known) for guard in program.guards] + ([f"{writer.known(undone)}()"] if undone else [])
    if same:
        changed = f"not ({' and '.join(same)}) and not {writer.known(unchanged)}()"
        gone = "(LookupError, AttributeError, ValueError)"  # what is raised where a variable has gone
        writer.lines += ["try:", f"    if {changed}: {_MISSED}", f"except {gone}: {_MISSED}"]
    closed = {id(source.tensor) for source in program.inputs if source.tensor is not None}
    outside = changed_outside(program)
    for name in tensors if outside else ():
        writer.miss(f"id(memory_of({name})) in {writer.known(outside)}")
    for k in changed_arguments(program):
        writer.miss(f"id({tensors[k]}) in {writer.known(closed)}")
        writer.miss(f"memory_of({tensors[k]}) is not {tensors[k]}")
        for name in tensors[:k] + tensors[k + 1 :]:
            writer.miss(f"memory_of({name}) is {tensors[k]}")
    given = (node for node in program.graph.nodes if node.kind == "leaf")
    for name, source, node in zip(lines.inputs, program.inputs, given, strict=True):
        owner = tensors[source.position] if source.tensor is None else writer.known(source.tensor)
        if source.gradient:
            writer.lines.append(f"extra = {owner}.node.extra")
            writer.miss("extra is None or extra.gradient is None")
            writer.lines.append(f"{name} = extra.gradient.value")
        else:
            if source.tensor is not None and type(source.tensor.node) is Constant:
                writer.miss(f"{owner}.node.__class__ is not Constant")
            writer.lines.append(f"{name} = {arrays.get(owner, owner) if source.tensor is None else f'{owner}.value'}")
        if name not in lines.checked:
            writer.miss(f"{name}.shape != {node.shape!r} or {name}.dtype != {writer.known(node.dtype)}")
    # What fails fails again the long way, with an error that says where; nothing is changed yet.
    writer.lines += ["try:", *(f"    {line}" for line in lines.body), f"except Exception: {_MISSED}"]
    results = lines.results
    flags = [results[i] for check in program.checks for i in check.flags]
    if flags:
        writer.miss(f"not ({' and '.join(flags)})")
    for source, value in (*zip(program.writes, results[program.results :], strict=False), *((source, None) for source in program.cleared)):
        if source.tensor is None or (type(source.tensor.node) is not Node and not source.gradient):
            writer.lines.append(f"{writer.known(commit)}({writer.known(source)}, ({', '.join(tensors)}{',' if tensors else ''}), {value})")
            continue
        owner = writer.known(source.tensor)
        if source.gradient:
            writer.lines.append(f"{owner}.node.extras().gradient = {value if value is None else f'Tensor({value})'}")
        else:
            writer.lines += [f"{owner}.value = {value}", f"if {owner}.views: replay({owner})"]
    writer.give(program.structure, results[: program.results])
    if program.accumulates:
        writer.lines = [f"with {writer.known(accumulating)}.lock:", *(f"    {line}" for line in writer.lines)]
    text = "\n".join(["def short(args):", *(f"    {line}" for line in writer.lines), ""])
    exec(compile(text, "<ab.jit>", "exec"), writer.space)  # noqa: S102 - the source is made of the names above
    short: Callable[[tuple[Any, ...]], Any] = writer.space["short"]
    return short

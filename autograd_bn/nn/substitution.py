"""A module in which other values stand for its parameters: whatever holds one of them is copied, all else is shared."""

from __future__ import annotations

import copy
import dis
import functools
import gc
import weakref
from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, NoReturn, TypeVar

import numpy as np

from autograd_bn.core.errors import OperationError
from autograd_bn.core.node import Node, ancestors
from autograd_bn.core.tensor import Tensor, each_level
from autograd_bn.nn.module import Module

_Module = TypeVar("_Module", bound=Module)

_ATOMS = frozenset({int, float, complex, bool, str, bytes, type(None), type(Ellipsis), range, slice, np.dtype, np.float32, np.float64, np.int64})
_OWN = frozenset({"_parameters", "_buffers", "_label", "training"})
_PACKAGE = __name__.partition(".")[0]


def substituted(module: _Module, replaced: Iterable[tuple[Tensor, Any]]) -> _Module:
    """A copy of a module in which the second of each pair takes the place of the first, wherever it is held.

    Parts, containers, objects, bound methods and closures that lead to a parameter or a part are copied; buffers, arrays, generators of
    random numbers and everything else are shared, since their changes are meant for the original. What was computed from a
    parameter earlier raises when it is used.

    Raises OperationError where something leads to a parameter in a way that cannot be copied.
    """
    return _Copy(module, [(old, new) for old, new in _apart(replaced) if new is not old]).made()  # type: ignore[no-any-return]


def _apart(replaced: Iterable[tuple[Tensor, Any]]) -> Iterator[tuple[Tensor, Any]]:
    """One object for each: a tensor that takes two places, as the gradient of a and b in a + b does, would be one shared parameter."""
    used: set[int] = set()
    for old, new in replaced:
        yield old, copy.copy(new) if isinstance(new, Tensor) and id(new) in used else new
        used.add(id(new))


class _Copy:
    def __init__(self, module: Module, replaced: list[tuple[Tensor, Any]]) -> None:
        self.module = module
        self.nodes = {node for old, _ in replaced for node in _nodes(old)}
        self.parts = {id(part): part for part in module.modules()}
        self.memo: dict[int, Any] = {id(old): new for old, new in replaced}
        self.targets = {*self.memo, *self.parts}
        self.found: dict[int, Any] = {id(module): module}
        self.users: dict[int, list[Any]] = {}
        self.classes: set[type] = set()
        self._find()

    # Finding what leads to a parameter or part

    def _find(self) -> None:
        stack: list[Any] = [self.module]
        while stack:
            user = stack.pop()
            for x in self._held(user):
                if type(x) in _ATOMS or isinstance(x, (type, ModuleType, CodeType)):
                    continue
                self.users.setdefault(id(x), []).append(user)
                if id(x) not in self.found:
                    self.found[id(x)] = x
                    stack.append(x)

    def _held(self, x: Any) -> Iterable[Any]:
        """What an object refers to."""
        if isinstance(x, Tensor):
            if id(x) not in self.memo and self.nodes and not self.nodes.isdisjoint(ancestors(_nodes(x))):
                self.memo[id(x)] = Stale(type(self.module).__name__)
                self.targets.add(id(x))
            return ()
        if isinstance(x, np.ndarray):
            return x.ravel().tolist() if x.dtype.hasobject else ()
        if isinstance(x, Module):
            self._check_class(type(x))
            return [value for name, value in x.__dict__.items() if name not in _OWN]
        if isinstance(x, FunctionType):
            self._check(x, _globals(x))
            return (*(x.__closure__ or ()), *(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values(), *x.__dict__.values())
        if isinstance(x, weakref.ref):
            return (x(),)
        return gc.get_referents(x)

    def _check_class(self, kind: type) -> None:
        """Refuse methods that use a parameter or part which they do not take from ``self``."""
        if kind in self.classes:
            return
        self.classes.add(kind)
        for base in kind.__mro__:
            if base is not object and base.__module__.partition(".")[0] != _PACKAGE:
                for name, x in vars(base).items():
                    function = getattr(x, "fget", None) or getattr(x, "func", None) or getattr(x, "__func__", x)
                    if isinstance(function, FunctionType) and name != "__init__":
                        self._check(function, _globals(function))
                        self._check(function, zip(function.__code__.co_freevars, map(_content, function.__closure__ or ()), strict=True))

    def _check(self, function: FunctionType, used: Iterable[tuple[str, Any]]) -> None:
        for name, x in used:
            if id(x) in self.targets:
                raise OperationError(
                    f"{function.__qualname__} uses {name}, a {'parameter' if isinstance(x, Tensor) else 'part'} of the {type(self.module).__name__}, directly: "
                    "a transform would take it for a constant. Reach it through an attribute of self"
                )

    # Copying it

    def made(self) -> Any:
        holders: dict[int, Any] = {}
        stack = [self.found[key] for key in self.targets if key in self.found]
        while stack:
            x = stack.pop()
            if id(x) not in holders:
                holders[id(x)] = x
                stack += self.users.get(id(x), ())
        memo = {key: x for key, x in self.found.items() if key not in holders}
        memo |= self.memo
        modules = [x for x in holders.values() if isinstance(x, Module)]
        for x in modules:
            memo[id(x)] = object.__new__(type(x))
        cells = [x for x in holders.values() if isinstance(x, CellType)]
        for x in cells:
            memo[id(x)] = CellType()
        functions = [x for x in holders.values() if isinstance(x, FunctionType)]
        for x in functions:
            memo[id(x)] = FunctionType(x.__code__, x.__globals__, x.__name__, closure=x.__closure__ and tuple(memo[id(cell)] for cell in x.__closure__))
        for x in holders.values():
            if isinstance(x, weakref.ref) and isinstance(x(), Module):
                memo[id(x)] = weakref.ref(memo[id(x())])
        for x in cells:
            memo[id(x)].cell_contents = self._copied(x.cell_contents, memo)
        for x in functions:
            for name in ("__defaults__", "__kwdefaults__", "__dict__"):
                setattr(memo[id(x)], name, self._copied(getattr(x, name), memo))
        for x in modules:
            made = {name: self._copied(value, memo) for name, value in x.__dict__.items() if name not in _OWN and not self._recomputed(x, name, value)}
            parameters = {name: None for name in x._parameters if not isinstance(made.get(name), Module)}  # a module of second derivatives holds modules
            memo[id(x)].__dict__.update(training=x.training, _parameters=parameters, _buffers=dict(x._buffers), _label=x._label, **made)
        for x in holders.values():
            if type(x) is not dict and memo.get(id(x), x) is x:
                self._refuse(x)
        return memo[id(self.module)]

    def _copied(self, x: Any, memo: dict[int, Any]) -> Any:
        if type(x) in _ATOMS:
            return x
        if id(x) in memo:
            return memo[id(x)]
        try:
            return copy.deepcopy(x, memo)
        except (TypeError, copy.Error) as error:
            self._refuse(x, error)

    def _recomputed(self, module: Any, name: str, value: Any) -> bool:
        """Whether an attribute is the result of a cached_property, which is computed again if it came of a parameter."""
        return type(self.memo.get(id(value))) is Stale and isinstance(getattr(type(module), name, None), functools.cached_property)

    def _refuse(self, x: Any, error: BaseException | None = None) -> NoReturn:
        kind, names = type(x).__name__, []
        while self.users.get(id(x)):
            user = self.users[id(x)][0]
            names += [name for name, value in getattr(user, "__dict__", {}).items() if value is x][:1] if isinstance(user, Module) else []
            if user is self.module:
                break
            x = user
        where = f" (attribute {'.'.join(reversed(names))})" if names else ""
        raise OperationError(
            f"{type(self.module).__name__} holds a {kind}{where} that leads to its parameters and cannot be copied, so a transform cannot put others in their "
            "place; make it in forward, or hold the tensors and modules themselves"
        ) from error


class Stale:
    """Stands for what was computed from a parameter before other values took its place."""

    __slots__ = ("_owner",)
    __array_ufunc__ = None

    def __init__(self, owner: str) -> None:
        self._owner = owner

    def _raise(self, *_: Any, **__: Any) -> NoReturn:
        raise OperationError(
            f"the {self._owner} holds a tensor that was computed from one of its parameters before the transform, which would take it for a constant; "
            "compute it in forward, or keep it as x.detach()"
        )

    __array__ = __getattr__ = __getitem__ = __iter__ = __bool__ = _raise
    __neg__ = __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = __pow__ = _raise
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rmatmul__ = __rpow__ = _raise


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _globals(function: FunctionType) -> Iterator[tuple[str, Any]]:
    return ((name, function.__globals__.get(name)) for name in _global_names(function.__code__))


@functools.lru_cache(1024)
def _global_names(code: CodeType) -> tuple[str, ...]:
    return tuple({i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"})


def _nodes(x: Any) -> Iterator[Node]:
    """The recorded nodes of a tensor, at its level and those below."""
    return (level.node for level in each_level(x) if type(level.node) is Node)

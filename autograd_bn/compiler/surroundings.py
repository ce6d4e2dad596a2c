"""What a compiled function depends on besides its tensors: variables and attributes that its code names. They are looked at before each call.

From the function on, all that it can reach is followed, as far as it is the user's own: variables outside and defaults, functions that are called, objects and
their methods. Of an object those attributes count that some code among it names, so that the losses that a training loop keeps in the same object do not.
Random numbers of NumPy's or Python's would be the same in each call, so that what draws them while it is traced is refused.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import random
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from types import CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

from autograd_bn.compiler.passes.common import by_value
from autograd_bn.core.tensor import Tensor

WORDS = (bool, int, float, complex, str, bytes, type(None))
CONTAINERS = (list, tuple, dict, set, frozenset, deque)
LONG = 1000
"""From how many items on a container counts as one thing: whether it is the same, and as long."""
TENSORS = ("_parameters", "_buffers")
"""What a module calls its tensors; they are attributes, too."""
PARTS = {*sys.stdlib_module_names, "autograd_bn", "numpy"}
"""Packages that are never part of the user's program."""
ASKING = {"hasattr", "getattr"}
"""Where code has one of these, words in it may be names of attributes."""
WHOLE = {"vars", "__dict__", "asdict"}
"""Where code has one of these, all attributes count."""
MISSING = object()


class Itself:
    """Equal to what holds the same object."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def setting(x: Any, around: tuple[int, ...] = ()) -> Any:
    """What is equal while a value counts as the same: numbers, flags and words by value, and so what containers hold; anything else is itself or another."""
    kind = type(x)
    if kind in WORDS:
        return kind, by_value(x)
    if not isinstance(x, CONTAINERS) or id(x) in around:
        return Itself(x)
    if len(x) > LONG:
        return Itself(x), len(x)
    around = (*around, id(x))
    if isinstance(x, dict):
        return kind, [(setting(key, around), setting(part, around)) for key, part in x.items()]
    if isinstance(x, (set, frozenset)):
        return kind, {(type(part), by_value(part)) for part in x}
    return kind, [setting(part, around) for part in x]


class Guard:
    """Values that a program was made for: those that ``read`` gives, and what an object says itself (``told``).

    ``places`` are where they are, if that can be said: an expression of an owner, and the owner.
    """

    __slots__ = ("_fixed", "_known", "_places", "_read", "_seen", "_told", "_was_told")

    def __init__(
        self,
        read: Callable[[], Collection[Any]],
        told: Callable[[], Any] | None = None,
        fixed: Iterable[Any] = (),
        places: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._read = read
        self._told = told
        self._places = places
        self._fixed = {id(x) for x in fixed}
        self._known = self._settings(read())
        self._was_told = None if told is None else told()
        self._seen: tuple[list[Any], list[int]] = ([MISSING], [])
        """The values that were looked at last, and which of them are containers; in one tuple, as other threads look, too."""

    def holds(self) -> bool:
        """Whether they are as they were."""
        values = self._read()
        seen, containers = self._seen
        if len(values) != len(seen) or not all(map(operator.is_, values, seen)):
            if self._settings(values) != self._known:
                return False
            changing = [] if self._told else [i for i, x in enumerate(values) if isinstance(x, CONTAINERS) and id(x) not in self._fixed]
            self._seen = (list(values), changing)
        else:  # a container that is the same may still hold something else
            for i in containers:
                if setting(seen[i]) != self._known[i]:
                    return False
        return self._told is None or bool(self._told() == self._was_told)

    def same(self, known: Callable[[Any], str]) -> str:
        """As an expression, that all is as it was, where at little cost that can be said: the same objects are there, and none is a container.

        ``known`` gives an object a name.
        """
        found: list[Any] = []
        if self._places and self.holds():
            with contextlib.suppress(LookupError, AttributeError, ValueError):  # one has gone
                found = [eval(place.format("owner"), {"owner": owner}) for place, owner in self._places]  # noqa: S307 - made below
        seen = set(map(id, self._seen[0]))
        if not found or any(id(x) not in seen or isinstance(x, CONTAINERS) for x in found):
            return f"{known(self.holds)}()"
        return " and ".join(f"{place.format(known(owner))} is {known(x)}" for (place, owner), x in zip(self._places, found, strict=True))

    def _settings(self, values: Collection[Any]) -> list[Any]:
        if self._told is not None:
            return [setting(x) for x in values if isinstance(x, WORDS)]
        return [None if id(x) in self._fixed else setting(x) for x in values]


def is_owner(x: Any) -> bool:
    """Whether it is an object all of whose attributes count."""
    return hasattr(x, "traced_settings") or (hasattr(x, "__dict__") and not callable(x) and not isinstance(x, (dict, list, set)))


class Surroundings:
    """What can be reached from a function, and the guards of what counts among it, as it is when it is found."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.guards: list[Guard] = []
        self._own = _package(function)
        self._found: dict[int, Any] = {}
        self._states: list[tuple[Callable[[], Any], Any]] = []
        for state in (np.random.get_state, random.getstate):
            self._states.append((lambda state=state: repr(state()), repr(state())))  # type: ignore[misc]
        self._whole: set[int] = set()
        self._names = {"forward", "data", "maps"}
        self._words: set[str] = set()
        self._attributes: list[_Attributes] = []
        self.reach(function)

    def reach(self, *things: Any) -> None:
        """Follow what can be reached from something. More names make more attributes count, which lead to more names."""
        self._visit_all(things)
        while True:
            named, found = len(self._names), len(self._attributes)
            for part in self._attributes[:]:
                self._visit_all(part.newly_named(self._names, self._words, self.guards))
            if (named, found) == (len(self._names), len(self._attributes)):
                return

    def depend(self, owner: Any) -> None:
        """All attributes of an object count."""
        if id(owner) not in self._whole:
            self._whole.add(id(owner))
            attributes = vars(owner)
            fixed = [attributes[name] for name in TENSORS if name in attributes]
            self.guards.append(Guard(attributes.values, getattr(owner, "traced_settings", None), fixed))
        self.reach(owner)

    def drawn(self) -> bool:
        """Whether random numbers of NumPy's or Python's, or items of an iterator, were drawn since."""
        return any(state() != before for state, before in self._states)

    def _visit_all(self, things: Iterable[Any]) -> None:
        for x in things:
            if not isinstance(x, (*WORDS, Tensor, np.ndarray, np.generic)) and id(x) not in self._found:
                self._found[id(x)] = x
                self._visit(x)

    def _visit(self, x: Any) -> None:
        parts: Iterable[Any] = ()
        if isinstance(x, FunctionType):
            parts = self._function(x)
        elif isinstance(x, MethodType):
            parts = x.__func__, x.__self__
        elif isinstance(x, functools.partial):
            parts = x.func, *x.args, *x.keywords.values()
        elif isinstance(x, CONTAINERS):
            parts = () if len(x) > LONG else x.values() if isinstance(x, dict) else x
        elif isinstance(x, (property, functools.cached_property)):
            parts = (x.fget if isinstance(x, property) else x.func,)
        elif isinstance(x, (classmethod, staticmethod)):
            parts = (x.__func__,)
        elif isinstance(x, ModuleType):
            if not self._is_library(x.__name__):
                self._attributes.append(_Attributes(x))
        elif isinstance(x, type):
            if not self._is_library(x.__module__):
                self._attributes.append(_Attributes(x))
                parts = x.__mro__[1:]
        elif isinstance(x, (np.random.Generator, Iterator)):
            self._states.append((lambda: _state(x), _state(x)))
        elif hasattr(x, "__dict__") or hasattr(x, "__slots__"):
            parts = self._object(x)
        self._visit_all(parts)

    def _object(self, x: Any) -> Iterable[Any]:
        kind = type(x)
        if not kind.__module__.startswith("autograd_bn."):
            self._attributes.append(_Attributes(x))
            return (kind,)
        if hasattr(x, "_parameters"):
            self.depend(x)
        functions = (FunctionType, MethodType, functools.partial, tuple)
        return [part for part in getattr(x, "__dict__", {}).values() if isinstance(part, functions)] if callable(x) else ()

    def _function(self, x: FunctionType) -> Iterable[Any]:
        cells = x.__closure__ or ()
        inside = [*map(_content, cells), x.__defaults__, x.__kwdefaults__]
        if self._is_library(x.__module__):
            return inside
        variables = x.__globals__
        names = {name for code in _codes(x.__code__) for name in code.co_names}
        self._names |= names
        if not names.isdisjoint(ASKING):
            self._words |= {word for code in _codes(x.__code__) for word in code.co_consts if isinstance(word, str) and word.isidentifier()}
        used = [name for name in names if name in variables]
        kept = [name for name in used if _may_change(variables[name])]
        held = [cell for cell in cells if _may_change(_content(cell))]
        variable = _reader(operator.itemgetter, kept, variables, KeyError)
        defaults = bool(x.__defaults__ or x.__kwdefaults__)

        def read() -> list[Any]:
            values = [_content(cell) for cell in held]
            values += variable()
            if defaults:
                values += (*(x.__defaults__ or ()), *(x.__kwdefaults__ or {}).values())
            return values

        if held or kept or defaults:
            places = [("{}.cell_contents", cell) for cell in held] + [(f"{{}}[{name!r}]", variables) for name in kept]
            self.guards.append(Guard(read, places=() if defaults else places))
        return [*inside, *map(variables.get, used)]

    def _is_library(self, module: str | None) -> bool:
        """Whether what a module defines is no part of the user's program."""
        top = (module or "").partition(".")[0]
        return top in PARTS or (top != self._own and _is_installed(top))


class _Attributes:
    """An object, class or module, and which of its attributes are known to count."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._looked = 0
        self._known: set[str] = set()

    def newly_named(self, names: set[str], words: set[str], guards: list[Guard]) -> list[Any]:
        """The values of the attributes that are named by now, and were not before; of ``words``, whether they are there may count."""
        if self._looked == len(names) + len(words):
            return []
        self._looked = len(names) + len(words)
        owner, is_class = self._owner, isinstance(self._owner, type)
        available = _available(owner)
        every = not names.isdisjoint(WHOLE)
        new = {name: x for name, x in available.items() if name not in self._known and (every or name in {*names, *words} or _is_special(name, x))}
        absent = set() if is_class else words - set(available) - self._known
        self._known |= {*new, *absent}
        kept = [name for name, x in new.items() if _may_change(x)]
        if not is_class and every and hasattr(owner, "__dict__"):
            guards.append(Guard(vars(owner).values))
            return list(new.values())
        get, source, missing = (operator.itemgetter, vars(owner), KeyError) if is_class else (operator.attrgetter, owner, AttributeError)
        parts = [part for part in (kept, *([name] for name in absent)) if part]
        places = [] if is_class else [(f"{{}}.{name}", owner) for name in kept]
        guards += [Guard(_reader(get, part, source, missing), places=places if part is kept else ()) for part in parts]
        return list(new.values())


def _available(owner: Any) -> dict[str, Any]:
    """The attributes of an object, those in slots and the plain ones of its class among them."""
    found = dict(getattr(owner, "__dict__", ()))
    if not isinstance(owner, (type, ModuleType)):
        for kind in type(owner).__mro__:
            for name, value in vars(kind).items():
                plain = isinstance(value, MemberDescriptorType) or not hasattr(type(value), "__get__")
                if plain and not name.startswith("__"):
                    found.setdefault(name, getattr(owner, name, MISSING))
    return {name: value for name, value in found.items() if name not in TENSORS}


def _is_special(name: str, x: Any) -> bool:
    """Whether it is a method that is called without being named."""
    return isinstance(x, FunctionType) and name.startswith("__") and name not in ("__init__", "__new__", "__init_subclass__")


def _may_change(x: Any) -> bool:
    """Whether a variable is looked at that has this value: not where it is an import, a class or a function of a library."""
    if isinstance(x, FunctionType):
        return bool(x.__closure__) or not _is_installed(_package(x))
    return not isinstance(x, (ModuleType, type)) and (not callable(x) or hasattr(x, "__dict__"))


def _reader(getter: Callable[..., Any], names: list[str], owner: Any, missing: type[Exception]) -> Callable[[], Collection[Any]]:
    """What gives the values under some names; nothing where one has gone."""
    if not names:
        return tuple
    get = getter(*names, names[0])  # of two names or more it gives a tuple

    def read() -> Collection[Any]:
        try:
            return get(owner)  # type: ignore[no-any-return]
        except missing:
            return ()

    return read


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it has no value yet
        return MISSING


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of those that it makes."""
    yield code
    for x in code.co_consts:
        if isinstance(x, CodeType):
            yield from _codes(x)


def _state(x: Any) -> Any:
    """What changes when a generator or an iterator gives something."""
    if isinstance(x, np.random.Generator):
        return repr(x.bit_generator.state)
    frame = getattr(x, "gi_frame", None)
    return operator.length_hint(x, -1), None if frame is None else (frame.f_lasti, [id(value) for value in frame.f_locals.values()])


def _package(function: Any) -> str:
    """The package that a function, or the class of what is called, is defined in."""
    return (getattr(function, "__module__", None) or "").partition(".")[0]


@functools.cache
def _is_installed(package: str) -> bool:
    """Whether a package is Python's, this one, or installed beside it."""
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return package in PARTS or "site-packages" in file or "dist-packages" in file

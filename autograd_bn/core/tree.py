"""Nested containers as a flat list of leaves and a structure to rebuild them."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from autograd_bn.core.errors import OperationError
from autograd_bn.core.tensor import Tensor


class Container(NamedTuple):
    """How to take a container apart into (children, what else it needs) and put it together again; of one with keys, how to find them in what it needs."""

    flatten: Callable[[Any], tuple[Sequence[Any], Any]]
    unflatten: Callable[[Any, Sequence[Any]], Any]
    keys: Callable[[Any], Sequence[Any]] | None = None


_containers: dict[type, Container] = {}


def register_container(
    kind: type,
    flatten: Callable[[Any], tuple[Sequence[Any], Any]],
    unflatten: Callable[[Any, Sequence[Any]], Any],
    keys: Callable[[Any], Sequence[Any]] | None = None,
) -> None:
    """Let transforms look inside a type of container.

    ``flatten(x)`` gives its children and whatever else is needed; ``unflatten(rest, children)`` makes a new one. With ``keys(rest)``, a name for each
    child, tangents and cotangents fit where the names are the same, whatever the rest.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> class Pair:
    ...     def __init__(self, a, b): self.a, self.b = a, b
    >>> taken_apart = lambda p: ((p.a, p.b), None)
    >>> ab.register_container(Pair, taken_apart, lambda _, children: Pair(*children))
    >>> ab.grad(lambda p: p.a * p.b)(Pair(2.0, 3.0)).a
    tensor(3.)
    """
    _containers[kind] = Container(flatten, unflatten, keys)


register_container(list, lambda x: (x, None), lambda _, children: list(children))
register_container(tuple, lambda x: (x, None), lambda _, children: tuple(children))
register_container(type(None), lambda _: ((), None), lambda _, __: None)
_containers[dict] = Container(lambda x: (list(x.values()), list(x)), lambda keys, children: dict(zip(keys, children, strict=True)), lambda keys: keys)
_containers[OrderedDict] = _containers[dict]._replace(unflatten=lambda keys, children: OrderedDict(zip(keys, children, strict=True)))
_containers[defaultdict] = Container(
    lambda x: (list(x.values()), (x.default_factory, tuple(x))),
    lambda rest, children: defaultdict(rest[0], zip(rest[1], children, strict=True)),
    lambda rest: rest[1],
)


class Structure(NamedTuple):
    """The shape of a nested container; ``kind`` is None for a leaf."""

    kind: type | None
    rest: Any
    children: tuple[Structure, ...]
    flat: bool = False
    """A tuple of leaves."""

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """Put leaves back into containers of this structure."""
        if self.flat:
            return tuple(leaves)
        return next(iter(leaves)) if self is LEAF else self._take(iter(leaves))

    def leaf_count(self) -> int:
        """The number of leaves."""
        return 1 if self.kind is None else sum([child.leaf_count() for child in self.children])

    def keys(self) -> Sequence[Any] | None:
        """The keys of the children, if it is a mapping."""
        container = None if self.kind is None else _containers.get(self.kind)
        return None if container is None or container.keys is None else container.keys(self.rest)

    def describe(self) -> str:
        """What it is, for a message."""
        count = self.leaf_count()
        return "no container" if self.kind is None else f"a {self.kind.__name__} of {count} tensor{'' if count == 1 else 's'}"

    def _take(self, leaves: Iterator[Any]) -> Any:
        children = [next(leaves) if child is LEAF else child._take(leaves) for child in self.children]
        kind = self.kind
        if kind is tuple:
            return tuple(children)
        if kind is list:
            return children
        assert kind is not None
        if issubclass(kind, tuple):
            return kind(*children)
        return _containers[kind].unflatten(self.rest, children)


LEAF = Structure(None, None, ())


def flatten(tree: Any, whole: type | tuple[()] = ()) -> tuple[list[Any], Structure]:
    """The leaves of nested containers in order, and their structure; containers of type ``whole`` are leaves."""
    if type(tree) is Tensor:
        return [tree], LEAF
    if type(tree) is tuple:
        for x in tree:
            if type(x) is not Tensor:
                break
        else:
            return list(tree), _flat(tuple, len(tree))
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, whole)


@functools.cache
def _flat(kind: type, count: int) -> Structure:
    return Structure(kind, None, (LEAF,) * count, kind is tuple)


def _flatten(tree: Any, leaves: list[Any], whole: type | tuple[()]) -> Structure:
    kind = type(tree)
    container = _containers.get(kind)
    if container is not None and not isinstance(tree, whole):
        children, rest = container.flatten(tree)
    elif isinstance(tree, tuple):
        children, rest = tree, None
    else:
        leaves.append(tree)
        return LEAF
    structures = tuple([_flatten(child, leaves, whole) for child in children])
    if rest is None and structures.count(LEAF) == len(structures):
        return _flat(kind, len(structures))  # type: ignore[arg-type]
    return Structure(kind, rest, structures)


def matched(tree: Any, structure: Structure, what: str, whose: str, error: type[Exception] = OperationError) -> list[Any]:
    """The leaves of a tree that must have a given structure, but for the order of keys. Raises an error if it has another."""
    leaves, found = flatten(tree)
    if found is structure or found == structure:
        return leaves
    leaves = []
    _match(tree, structure, leaves, "", f"{what} is not nested as {whose}", error)
    return leaves


def tree_map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """A container like ``tree``, with the results of a function of each leaf, and of those at the same place in the others.

    Containers are nested tuples, lists, dicts and Modules, whose leaves are their parameters: of Modules it makes a copy with other parameters.

    Raises OperationError where another is not nested as ``tree`` is.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> p = {"w": ab.tensor([1.0, -1.0]), "b": 0.5}
    >>> slopes = ab.grad(lambda p: (p["w"] ** 2).sum() * p["b"])(p)
    >>> ab.tree_map(lambda x, g: x - 0.1 * g, p, slopes)
    {'w': tensor([ 0.9, -0.9]), 'b': tensor(0.3)}
    """
    leaves, structure = flatten(tree)
    more = [matched(other, structure, f"argument {i} of tree_map", "argument 1") for i, other in enumerate(others, 2)]
    return structure.unflatten([function(*same) for same in zip(leaves, *more, strict=True)])


def _match(tree: Any, structure: Structure, leaves: list[Any], path: str, problem: str, error: type[Exception]) -> None:
    here, found = flatten(tree)
    if found == structure:
        leaves += here
        return
    kind, keys, theirs = structure.kind, structure.keys(), found.keys()
    parts: Sequence[Any] | None = None
    if found.kind is kind is not None:
        if keys is not None and theirs is not None:
            if set(keys) == set(theirs):
                named = dict(zip(theirs, _containers[kind].flatten(tree)[0], strict=True))
                parts = [named[key] for key in keys]
        elif found.rest == structure.rest and len(found.children) == len(structure.children):
            parts = tree if isinstance(tree, tuple) else _containers[kind].flatten(tree)[0]
    if parts is None:
        wanted, given = structure.describe(), found.describe()
        if wanted == given and keys is not None and theirs is not None:
            wanted, given = f"one of {', '.join(map(repr, keys))}", f"a {kind.__name__} of {', '.join(map(repr, theirs))}"  # type: ignore[union-attr]
        elif wanted == given:
            given += " that is made otherwise"
        remedy = "; a list is a container here, so pass an array for a tensor" if kind is None and found.kind is list else ""
        raise error(f"{problem}{f' at {path}' if path else ''}: it is {given} for {wanted}{remedy}")
    for key, part, child in zip(range(len(parts)) if keys is None else keys, parts, structure.children, strict=True):
        _match(part, child, leaves, f"{path}[{key!r}]", problem, error)

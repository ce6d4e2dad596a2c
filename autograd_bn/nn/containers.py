"""Modules that hold others: a chain, a list, a dict."""

from __future__ import annotations

import copy
import itertools
import operator
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from autograd_bn.core.errors import OperationError
from autograd_bn.nn.convolution import Convolution
from autograd_bn.nn.instance_norm import InstanceNorm1d
from autograd_bn.nn.layers import Linear
from autograd_bn.nn.module import Module
from autograd_bn.nn.normalization import BatchNorm


class _Numbered(Module):
    """Parts in order, found by their numbers."""

    def __iter__(self) -> Iterator[Module]:
        return (part for _, part in self.named_children())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, i: int) -> Module: ...

    @overload
    def __getitem__(self, i: slice) -> Self: ...

    def __getitem__(self, i: int | slice) -> Module:
        named = list(self.named_children())
        if not isinstance(i, slice):
            return named[i][1]
        chosen = copy.copy(self)
        for name, _ in named:
            delattr(chosen, name)
        for name, part in self._renamed(named[i]):
            setattr(chosen, name, part)
        return chosen

    def __setitem__(self, i: int, part: Module) -> None:
        name = [name for name, _ in self.named_children()][operator.index(i)]
        setattr(self, name, _checked(self, part, f"at position {i}"))

    def _renamed(self, named: list[tuple[str, Module]]) -> list[tuple[str, Module]]:
        """The names that parts have in a slice: their own, as in PyTorch."""
        return named


class Sequential(_Numbered):
    """A chain: each part takes what the one before returned. A slice is a chain of the same parts.

    Warns of an affine layer or convolution with a bias right before batch norm or instance norm, also where one of them ends or begins a chain inside:
    the mean that is subtracted takes the bias with it. In a ``forward`` of your own nothing is warned of.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> linear = ab.nn.Linear(2, 3, bias=False)
    >>> ab.nn.Sequential(linear, ab.nn.BatchNorm1d(3), ab.nn.Sigmoid())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=False)
      (1): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
      (2): Sigmoid()
    )
    """

    def __init__(self, *parts: Module) -> None:
        for i, part in enumerate(parts):
            setattr(self, str(i), _checked(self, part, f"at position {i}"))
        self._warn_of_biases()

    def _warn_of_biases(self) -> None:
        redundant = [
            name
            for (name, part), (following, after) in itertools.pairwise(self._chain())
            if isinstance(part, (Linear, Convolution)) and part.bias is not None and isinstance(after, (BatchNorm, InstanceNorm1d))
            if name.partition(".")[0] != following.partition(".")[0]  # a chain inside has said what is its own
        ]
        if redundant:
            warnings.warn(
                f"the bias of layer {', '.join(redundant)} is redundant: the normalization after it subtracts it again, so its gradient is 0; use bias=False",
                stacklevel=3,
            )

    def _chain(self) -> Iterator[tuple[str, Module]]:
        """The parts by name, those of chains inside in their place."""
        for name, part in self.named_children():
            if type(part) is Sequential:
                yield from ((f"{name}.{inner}", module) for inner, module in part._chain())
            else:
                yield name, part

    def forward(self, x: Any) -> Any:
        """Through all parts in order."""
        for part in self:
            x = part(x)
        return x


class ModuleList(_Numbered):
    """A list of modules, which are its parts under their numbers, as in PyTorch. A plain list as an attribute does as well.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> layers = ab.nn.ModuleList(ab.nn.Linear(2, 2, bias=False) for _ in range(2))
    >>> layers.append(ab.nn.Tanh())
    >>> len(layers), list(layers.state_dict())
    (3, ['0.weight', '1.weight'])
    """

    def __init__(self, parts: Iterable[Module] = ()) -> None:
        for part in parts:
            self.append(part)

    def append(self, part: Module) -> None:
        """Add one at the end. Raises OperationError for what is no module."""
        number = len(self)
        setattr(self, str(number), _checked(self, part, f"at position {number}"))

    def _renamed(self, named: list[tuple[str, Module]]) -> list[tuple[str, Module]]:
        return [(str(i), part) for i, (_, part) in enumerate(named)]


class ModuleDict(Module):
    """Modules by name, as in PyTorch. A plain dict as an attribute does as well.

    Raises OperationError for what is no module, or a name that is not free.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> words, tags = ab.nn.Linear(2, 3), ab.nn.Linear(2, 4)
    >>> heads = ab.nn.ModuleDict({"words": words, "tags": tags})
    >>> heads["tags"](ab.ones(2)).shape, list(heads.keys())
    ((4,), ['words', 'tags'])
    """

    def __init__(self, parts: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        for name, part in dict(parts).items():
            self[name] = part

    def __setitem__(self, name: str, part: Module) -> None:
        if not isinstance(name, str) or not name or "." in name or (hasattr(self, name) and name not in self):
            raise OperationError(f"ModuleDict: a name is a word without dots that no attribute of modules has, got {name!r}")
        setattr(self, name, _checked(self, part, f"under {name!r}"))

    def __getitem__(self, name: str) -> Module:
        return dict(self.items())[name]

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def items(self) -> list[tuple[str, Module]]:
        """The names and modules in order."""
        return list(self.named_children())

    def keys(self) -> list[str]:
        """The names in order."""
        return [name for name, _ in self.items()]

    def values(self) -> list[Module]:
        """The modules in order."""
        return [part for _, part in self.items()]


def _checked(container: Module, part: object, where: str) -> Module:
    if not isinstance(part, Module):
        if isinstance(part, type):
            hint = "; pass an instance, as in ReLU()"
        elif isinstance(part, (list, tuple)):
            hint = "; pass them one by one, as in Sequential(*modules)"
        else:
            hint = "; a function can be wrapped in a Module of its own"
        raise OperationError(f"{type(container).__name__} takes modules, got {part!r} {where}{hint}")
    return part

"""The base of layers: a plain Python object whose tensors can be found, saved, loaded and differentiated."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Never, Self

import numpy as np
import numpy.typing as npt

from autograd_bn.core.arrays import Array
from autograd_bn.core.display import mimebundle
from autograd_bn.core.effects import assign
from autograd_bn.core.elsewhere import keywords, missing, unexpected
from autograd_bn.core.errors import OperationError
from autograd_bn.core.state import current, open_scope, resume
from autograd_bn.core.tensor import Tensor, plain, tensor
from autograd_bn.core.tracing import tracing
from autograd_bn.core.tree import register_container


class Module:
    """A part of a network. A subclass makes its tensors and parts in ``__init__`` and says in ``forward`` what it computes.

    An attribute that is a leaf tensor with ``requires_grad=True`` is a parameter; one that is a Module, or a list, tuple
    or dict of Modules, is a part; ``register_buffer`` adds state that is saved but not trained. Calling the
    module opens a scope, which drawings show as a cluster. Transforms look inside: ``ab.grad(loss)(module)`` is a module
    of gradients.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> class Scale(ab.nn.Module):
    ...     def __init__(self):
    ...         self.factor = ab.tensor(2.0, requires_grad=True)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    >>> Scale()(ab.tensor(3.0)).item()
    6.0
    """

    training: bool
    _parameters: dict[str, None]
    _buffers: dict[str, None]
    _label: str
    _repr_settings: ClassVar[tuple[str, ...]] = ()
    """The attributes that ``repr`` shows."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102 - as in object
        # Here rather than in __init__, so that a subclass need not call it.
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError(f"{cls.__name__}() takes no arguments")
        module = object.__new__(cls)
        module.__dict__.update(training=True, _parameters={}, _buffers={}, _label=cls.__name__)
        return module

    # What a class without an ``__init__`` of its own takes: nothing.
    __new__.__signature__ = inspect.Signature([inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY)])  # type: ignore[attr-defined]

    if not TYPE_CHECKING:  # to a type checker it would be every attribute

        def __getattr__(self, name: str) -> Any:
            raise missing("Module", f"{type(self).__name__!r} object", name, self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register_container(cls, _flatten, _unflatten, _names)

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, Tensor):
            trained = value.requires_grad and value.is_leaf
            if name in self._buffers:
                if trained:
                    raise OperationError(f"{type(self).__name__}.{name} is a buffer: it takes no tensor that requires a gradient; assign tensor.detach()")
            elif trained:
                self._parameters[name] = None
            elif name in self._parameters and (old := self.__dict__[name]).requires_grad and old.is_leaf:
                made = "a constant" if value.is_leaf else f"the result of {value.node.title}"
                raise OperationError(
                    f"{type(self).__name__}.{name} is a parameter and takes a leaf that requires a gradient, got {made}. For new values use "
                    f"ab.assign(module.{name}, values), or ab.functional_call to let gradients flow to what they are made from; to freeze it, leave it out of "
                    f"the optimiser's list, or del module.{name} and module.register_buffer({name!r}, values)"
                )
        elif name in self._parameters:
            if value is not None:
                raise OperationError(f"{type(self).__name__}.{name} is a parameter: assign a tensor or None to it, or new values with ab.assign, got {value!r}")
            del self._parameters[name]
        elif name in self._buffers and value is not None:
            raise OperationError(f"{type(self).__name__}.{name} is a buffer: assign a tensor or None to it, or new values with ab.assign, got {value!r}")
        else:
            for key, part in _parts(name, value):
                part._named(key)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._parameters.pop(name, None)
        self._buffers.pop(name, None)

    def __copy__(self) -> Self:
        """A module with the same tensors and parts, to which others can be assigned without a change of this one."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__, _parameters=dict(self._parameters), _buffers=dict(self._buffers))
        return copied

    def register_buffer(self, name: str, value: Tensor | npt.ArrayLike | None) -> None:
        """Add state that ``state_dict`` saves and no optimiser trains, such as running statistics.

        Change it with ``ab.assign``. Raises OperationError for a tensor that requires a gradient.
        """
        if value is not None and not isinstance(value, Tensor):
            value = tensor(value)
        if value is not None and value.requires_grad:
            raise OperationError(f"buffer {name!r} requires a gradient; a parameter is simply assigned: self.{name} = tensor")
        self._parameters.pop(name, None)
        self._buffers[name] = None
        object.__setattr__(self, name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. A subclass defines it; callers call the module itself."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, in a scope of the module's name."""
        trace = tracing()
        if trace is not None:
            trace.depends(self)
        opened = open_scope(self._label)
        try:
            return self.forward(*args, **kwargs)
        finally:
            resume(opened.outer)

    # Finding

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct parts with their names, ``layers.0`` for one in a container."""
        for name, value in self.__dict__.items():
            yield from _parts(name, value)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The module and all parts of parts, each once, with their dotted names."""
        seen: set[int] = set()
        for name, module in self._walk(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """The module and all parts of parts, each once."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """What is trained, with dotted names; a shared parameter comes once, under its first name."""
        yield from _once(self._tensors("_parameters"))

    def parameters(self) -> Iterator[Tensor]:
        """What is trained."""
        return Parameters(self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """State that is not trained, with dotted names."""
        yield from _once(self._tensors("_buffers"))

    def buffers(self) -> Iterator[Tensor]:
        """State that is not trained."""
        for _, buffer in self.named_buffers():
            yield buffer

    def _walk(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """All parts with all their names, one that is used twice under both. Raises OperationError for a module that is a part of itself."""
        stack: list[tuple[str, Module, bool]] = [(prefix, self, False)]
        around: dict[int, str] = {}
        while stack:
            name, module, left = stack.pop()
            if left:
                del around[id(module)]
                continue
            if id(module) in around:
                whole = around[id(module)]
                raise OperationError(
                    f"{type(module).__name__} contains itself: its part {name.removeprefix(whole and f'{whole}.')} is the module again. "
                    "For a way back to what contains a module keep a weakref.ref, which makes no part"
                )
            yield name, module
            parts = [(f"{name}.{key}" if name else key, part, False) for key, part in module.named_children()]
            if parts:
                around[id(module)] = name
                stack.append((name, module, True))
                stack.extend(reversed(parts))

    def _tensors(self, *kinds: str) -> Iterator[tuple[str, Tensor]]:
        """All tensors of some kinds with all their names."""
        for prefix, module in self._walk():
            for name in (name for kind in kinds for name in module.__dict__[kind]):
                value = getattr(module, name)
                if value is not None:
                    yield f"{prefix}.{name}" if prefix else name, value

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Go into training mode (batch statistics), with all parts; gives the module itself."""
        for module in self.modules():
            module.__dict__["training"] = bool(mode)
        return self

    def eval(self) -> Self:
        """Go into evaluation mode (running statistics), with all parts; gives the module itself."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    # Saving

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by dotted name, in PyTorch's naming.

        Examples
        --------
        >>> import autograd_bn as ab
        >>> list(ab.nn.Sequential(ab.nn.Linear(2, 3), ab.nn.ReLU()).state_dict())
        ['0.weight', '0.bias']
        """
        return {name: np.array(plain(value)) for name, value in self._tensors("_parameters", "_buffers")}

    @keywords
    def load_state_dict(self, state: Mapping[str, npt.ArrayLike | Tensor], **elsewhere: Never) -> None:
        """Take the values of all parameters and buffers from a mapping by dotted name.

        Raises OperationError that lists every missing, unexpected and ill-fitting entry, and two values for a shared one; the module is then unchanged.
        """
        if elsewhere:
            raise unexpected(self.load_state_dict, elsewhere)
        if not isinstance(state, Mapping):
            remedy = "its state_dict()" if isinstance(state, Module) else "what ab.train.load_checkpoint(file) gives"
            raise OperationError(f"load_state_dict takes a mapping from names to arrays, got {type(state).__name__}; pass {remedy}")
        own = dict(self._tensors("_parameters", "_buffers"))
        problems = [f"missing: {name} {value.dtype}{list(value.shape)}" for name, value in own.items() if name not in state]
        problems += [f"unexpected: {name}" for name in state if name not in own]
        arrays: dict[str, Array] = {}
        shared: dict[int, str] = {}
        for name, target in own.items():
            if name not in state:
                continue
            array = np.asarray(plain(state[name]))
            if array.shape != target.shape:
                problems.append(f"wrong shape: {name} has shape {target.shape}, the state {array.shape}")
            elif not np.can_cast(array.dtype, target.dtype, "same_kind"):
                problems.append(f"wrong dtype: {name} has dtype {target.dtype}, the state {array.dtype}")
            arrays[name] = array
            first = shared.setdefault(id(target), name)
            if first != name and not np.array_equal(arrays[first], array, equal_nan=array.dtype.kind in "fc"):
                problems.append(f"two values: {first} and {name} are one shared tensor, of which the state has two")
        if problems:
            if own and isinstance(state.get("model"), Mapping) and "model" not in own:
                problems.append('it is the checkpoint of a whole run; load its part state["model"]')
            elif problems[-1].startswith("missing"):
                problems.append("to load a part, complete it: {**module.state_dict(), **state}")
            raise OperationError(f"load_state_dict: the state does not fit this {type(self).__name__}, which is unchanged\n  " + "\n  ".join(problems))
        if not current().effects:
            raise OperationError("load_state_dict inside no_effects() would change nothing; move it out")
        for name, array in arrays.items():
            assign(own[name], array)

    # Showing

    def _named(self, name: str) -> None:
        """Take the name that a parent gives, unless another did before."""
        if self._label == type(self).__name__:
            self.__dict__["_label"] = f"{name}: {self._label}"

    def extra_repr(self) -> str:
        """What ``repr`` shows in the parentheses besides the parts."""
        settings = {name: getattr(self, name) for name in self._repr_settings}
        return ", ".join(f"{name}={value!r}" if isinstance(value, str) else f"{name}={value}" for name, value in settings.items())

    _repr_mimebundle_ = mimebundle

    @reprlib.recursive_repr("(itself)")
    def __repr__(self) -> str:
        extra = self.extra_repr()
        parts = [f"({name}): {part!r}".replace("\n", "\n  ") for name, part in self.named_children()]
        if not parts:
            return f"{type(self).__name__}({extra})"
        lines = ([extra] if extra else []) + parts
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


class Parameters(Iterator[Tensor]):
    """The parameters of a module one by one; messages take the names that are still to come from ``named``."""

    def __init__(self, named: Iterator[tuple[str, Tensor]]) -> None:
        self.named = named

    def __next__(self) -> Tensor:
        return next(self.named)[1]


def _parts(name: str, value: object) -> Iterator[tuple[str, Module]]:
    """The modules in an attribute with their names."""
    if isinstance(value, Module):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from _parts(f"{name}.{i}", part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _parts(f"{name}.{key}", part)


def _once(named: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    seen: set[int] = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _flatten(module: Module) -> tuple[Sequence[Tensor], Module]:
    return list(module.parameters()), module


def _names(module: Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def _unflatten(module: Module, parameters: Sequence[Any]) -> Module:
    """A copy with other parameters, which shares the buffers: their changes are effects and meant for the original."""
    from autograd_bn.nn.substitution import substituted

    return substituted(module, zip(module.parameters(), parameters, strict=True))


register_container(Module, _flatten, _unflatten, _names)

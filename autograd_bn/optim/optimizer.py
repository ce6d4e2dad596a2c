"""What all optimisers share: groups of parameters, the checks, and the order check, then compute, then commit."""

from __future__ import annotations

import functools
import math
from collections import UserDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Never, TypeAlias

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.effects import assign, require_finite
from autograd_bn.core.elsewhere import keywords, unexpected
from autograd_bn.core.errors import GradientError, OperationError, TraceError
from autograd_bn.core.node import Node
from autograd_bn.core.state import current, no_grad, user_line
from autograd_bn.core.tensor import Tensor, plain, tensor
from autograd_bn.core.tracing import tracing
from autograd_bn.nn.module import Module, Parameters
from autograd_bn.ops.complex_numbers import imag, real
from autograd_bn.ops.shape import stack

Named: TypeAlias = "Iterable[Tensor] | Iterable[tuple[str, Tensor]]"
Params: TypeAlias = "Named | Iterable[Mapping[str, Any]]"
State: TypeAlias = dict[str, Tensor]


class ParamGroup(UserDict[str, Any]):
    """Parameters (under ``"params"``) and the settings that hold for them; every setting may be changed between steps.

    The learning rate is kept in a 0-d float64 tensor, ``rate``, so that a program that reads it sees each change.
    ``base_lr`` is what it was when the first schedule took the group over.
    """

    base_lr: float | None = None

    def __init__(self, kind: str, settings: Mapping[str, Any], params: list[Tensor]) -> None:
        self.kind = kind
        self.rate = tensor(0.0, name="lr")
        super().__init__(settings, params=params)

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self and name == "params":
            raise OperationError(f"{self.kind}: the parameters of a group stay; add another with add_param_group")
        value = value if name == "params" else checked(name, value)
        if name in self:
            outside_traces(f"setting {name!r}")
        if name == "lr":
            assign(self.rate, value)
        super().__setitem__(name, value)


class Update(NamedTuple):
    """What a step makes of one parameter: its new value, and what to remember of it."""

    value: Tensor
    state: State


class Optimizer:
    """Base of optimisers: a subclass defines ``_updated``, the formula for one parameter, and ``_remembered``, the names of what that keeps of it.

    Parameters
    ----------
    params
        Leaf tensors that require a gradient, as from ``module.parameters()``, or with their names, as from ``module.named_parameters()``, which
        messages then have; or dicts, each with ``"params"`` and the settings that differ for these.
    settings
        Those that hold where a group says nothing.

    Attributes
    ----------
    param_groups
        A mapping a group: ``optimizer.param_groups[0]["lr"] = 0.01``.
    params
        All parameters in order.

    A step replaces the parameters' arrays, so that a graph recorded before it keeps the old values; nothing is recorded. The real and the
    imaginary part of a complex parameter are numbers of their own, as in PyTorch, and what is remembered of them has a last axis for the two.

    Raises OperationError where there is no parameter, one comes twice or a setting is out of range, GradientError for a
    parameter that is no leaf or requires no gradient.
    """

    _forgotten = 0
    """How many tensors are remembered no more: programs that know them are of no use."""

    def __init__(self, params: Params, **settings: Any) -> None:
        if isinstance(params, Tensor):
            raise OperationError("an optimiser takes a list of parameters, got one tensor; pass [parameter]")
        if isinstance(params, Module):
            raise OperationError(f"an optimiser takes a list of parameters, got a {type(params).__name__}; pass its parameters()")
        if isinstance(params, Mapping):
            raise OperationError("an optimiser takes a list of groups, got one mapping; pass [group]")
        self.params: list[Tensor] = []
        self._names: list[str] = []
        self.param_groups: list[ParamGroup] = []
        self._state: list[State] = []
        self._defaults = dict(ParamGroup(type(self).__name__, settings, []))
        del self._defaults["params"]
        given: list[Any] = list(params.named if isinstance(params, Parameters) else params)
        if not given:
            raise OperationError(
                "an optimiser needs parameters, got none: a parameter is a tensor with requires_grad=True that is an attribute of a module; "
                "parameters() is a generator, which can be used once"
            )
        if not isinstance(given[0], Mapping):
            given = [{"params": given}]
        for group in given:
            self.add_param_group(group)

    def __repr__(self) -> str:
        groups = []
        for group in self.param_groups:
            settings = ", ".join(f"{name}={value!r}" for name, value in group.items() if name != "params")
            groups.append(f"{len(group['params'])} parameters, {settings}")
        return f"{type(self).__name__}({'; '.join(groups)})"

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Optimise further parameters. ``group`` has ``"params"`` and the settings that differ. Raises as the constructor does."""
        if not isinstance(group, Mapping) or "params" not in group:
            raise OperationError(f'a group of parameters is a mapping with "params", as in {{"params": [w], "lr": 0.1}}, got {type(group).__name__}')
        unknown = sorted(set(group) - set(self._defaults) - {"params"})
        if unknown:
            raise OperationError(f"{type(self).__name__} has no setting {', '.join(unknown)}; it has {', '.join(self._defaults)}")
        names, new = listed(group["params"])
        if not new:
            raise OperationError("a group has no parameters; parameters() is a generator, which can be used once")
        for i, (name, p) in enumerate(zip(names, new, strict=True)):
            self._check(i + len(self.params), p, name, [*self.params, *new[:i]])
        settings = {**self._defaults, **{name: value for name, value in group.items() if name != "params"}}
        made = ParamGroup(type(self).__name__, settings, new)
        self._check_group(made)
        self.param_groups.append(made)
        self.params += new
        self._names += names
        self._state += [{} for _ in new]

    @staticmethod
    def _check(i: int, p: Tensor, name: str, before: list[Tensor]) -> None:
        if not isinstance(p, Tensor):
            raise OperationError(f"an optimiser takes tensors, got {type(p).__name__} at position {i}")
        for j, other in enumerate(before):
            if other is p:
                raise OperationError(f"{described(i, p, name)} is given twice, at positions {j} and {i}: it would be updated twice a step")
        if not p.is_leaf:
            raise GradientError(
                f"{described(i, p, name)} is no leaf but the result of {p.node.title} at {p.node.line}; optimise the tensors that it was made from"
            )
        if p.node.__class__ is not Node:
            raise GradientError(f"{described(i, p, name)} does not require a gradient; make it with requires_grad=True")

    def _check_group(self, group: ParamGroup) -> None:
        """Raise OperationError for settings that do not go together."""

    @property
    def lr(self) -> float:
        """The learning rate of the first group; setting it sets that of all groups."""
        return float(self.param_groups[0]["lr"])

    @lr.setter
    def lr(self, rate: float) -> None:
        for group in self.param_groups:
            group["lr"] = rate

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises GradientError where no parameter has one, or one is NaN or infinite; nothing is then changed.
        """
        if not current().effects:
            raise OperationError("step() inside no_effects() would change nothing; move it out")
        check_finite("step()", self._names, self.params)
        self._begin()
        trace = tracing()
        if trace is not None:
            trace.depends(self)
        with no_grad():
            updates: list[Update | None] = []
            for group in self.param_groups:
                rates: dict[Any, Tensor] = {}
                for p in group["params"]:
                    g = p.grad
                    if g is None:
                        updates.append(None)
                        continue
                    p, g = real_parts(p), real_parts(g)
                    rate = rates.get(p.dtype)
                    if rate is None:
                        rate = rates[p.dtype] = as_dtype(group.rate, p.dtype)
                    updates.append(self._updated(p, -g if group.get("maximize") else g, rate, self._state[len(updates)], group))
            for i, (p, update) in enumerate(zip(self.params, updates, strict=True)):
                if update is not None:
                    assign(p, of_parts(update.value, p.dtype))
                    for name, value in update.state.items():  # the tensors stay the same ones, as a compiled step knows them
                        assign(self._state[i][name], value)

    def _begin(self) -> None:
        """Remember something of each parameter that gets its first update, so that a compiled first step is as all others are."""
        places = iter(self._state)
        for group in self.param_groups:
            first = self._at_first(group)
            for p, state in zip(group["params"], places, strict=False):
                if not state.keys() >= first.keys() and p.grad is not None:
                    for name in sorted(first.keys() - state.keys()):
                        state[name] = tensor(_filled(name, p, first[name]))

    def traced_settings(self) -> tuple[Any, ...]:
        """What a compiled step depends on besides tensors: the settings but the learning rate, and what is remembered of which parameter, since when."""
        groups = [{name: value for name, value in group.items() if name not in ("params", "lr")} for group in self.param_groups]
        return groups, [list(state) for state in self._state], self._forgotten

    def _updated(self, p: Tensor, g: Tensor, lr: Tensor, state: State, group: ParamGroup) -> Update:
        """The new value and state of a real parameter with gradient g; ``lr`` has its dtype. Neither is written into."""
        raise NotImplementedError

    @keywords
    def zero_grad(self, **elsewhere: Never) -> None:
        """Forget the gradients of all parameters."""
        if elsewhere:
            raise unexpected(self.zero_grad, elsewhere)
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Settings by group and arrays by parameter, copied, so that training can go on later as if it had not stopped.

        ``{"state": [{name: array}, …], "param_groups": [{setting: value, "params": [0, 1, …]}, …]}``
        """
        groups: list[dict[str, Any]] = []
        states: list[dict[str, Array]] = []
        for group in self.param_groups:
            start = len(states)
            states += [self._kept(group, p, state) for p, state in zip(group["params"], self._state[start:], strict=False)]
            groups.append({**group, "params": list(range(start, len(states)))})
        return {"state": states, "param_groups": groups}

    def _kept(self, group: ParamGroup, p: Tensor, state: State) -> dict[str, Array]:
        """What is remembered of a parameter that the settings need, which may have changed since its last update."""
        names = self._remembered(group)
        missing = {name: value for name, value in self._at_first(group).items() if name not in state} if state else {}
        kept = {name: np.array(plain(value)) for name, value in state.items() if name in names}
        return kept | {name: _filled(name, p, value) for name, value in missing.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state_dict`` gave. Raises OperationError that lists all that does not fit; nothing is then changed."""
        problems = unmatched("", {"state", "param_groups"}, state)
        if not problems:
            if len(state["param_groups"]) != len(self.param_groups):
                problems.append(f"param_groups: {len(state['param_groups'])} groups, this optimiser has {len(self.param_groups)}")
            elif len(state["state"]) != len(self.params):
                problems.append(f"state: {len(state['state'])} entries for {len(self.params)} parameters")
        if not problems:
            own = self.state_dict()["param_groups"]
            for i, (group, new) in enumerate(zip(own, state["param_groups"], strict=True)):
                problems += unmatched(f"group {i}: ", group, new)
                if new.get("params", group["params"]) != group["params"]:
                    problems.append(f"group {i}: other parameters")
            for i, (p, path, arrays) in enumerate(zip(self.params, self._names, state["state"], strict=True)):
                problems += unmatched(f"{described(i, p, path)}: ", self._remembered_of(i, state), arrays) if arrays else []
                problems += [
                    f"wrong shape: {name} of {described(i, p, path)} has shape {np.shape(plain(array))}"
                    for name, array in arrays.items()
                    if np.shape(plain(array)) != (() if name == "step" else real_parts(p.detach()).shape)
                ]
        if problems:
            raise OperationError(f"load_state_dict: the state does not fit this {type(self).__name__}, which is unchanged\n  " + "\n  ".join(problems))
        settings = [{name: checked(name, value) for name, value in new.items() if name != "params"} for new in state["param_groups"]]
        for group, values in zip(self.param_groups, settings, strict=True):
            self._check_group(ParamGroup(type(self).__name__, values, group["params"]))
        for group, values in zip(self.param_groups, settings, strict=True):
            group.update(values)
        for p, own, arrays in zip(self.params, self._state, state["state"], strict=True):
            for name in set(own) - set(arrays):
                del own[name]
                self._forgotten += 1
            for name, array in arrays.items():
                if name in own:  # the same tensor, as a compiled step knows it
                    assign(own[name], array)
                else:
                    own[name] = tensor(array, dtype=None if name == "step" else real_parts(p.detach()).dtype)

    def _remembered_of(self, i: int, state: Mapping[str, Any]) -> set[str]:
        """What is remembered of parameter i once it has been updated, with the settings of the state."""
        return next(self._remembered(group) for group in state["param_groups"] if i in group.get("params", ()))

    def _remembered(self, group: Mapping[str, Any]) -> set[str]:
        """The names in the state of a parameter of a group."""
        raise NotImplementedError

    def _at_first(self, group: Mapping[str, Any]) -> dict[str, float]:
        """What it is before the first update."""
        return dict.fromkeys(self._remembered(group), 0.0)


def listed(params: Named | Tensor) -> tuple[list[str], list[Tensor]]:
    """The names that are known of parameters ("" for none), and the parameters."""
    if isinstance(params, Module):
        raise OperationError(f"parameters are wanted, got a {type(params).__name__}; pass its parameters()")
    given: list[Any] = [params] if isinstance(params, Tensor) else list(params.named if isinstance(params, Parameters) else params)
    named = [p if isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) else ("", p) for p in given]
    return [name for name, _ in named], [p for _, p in named]


def outside_traces(what: str) -> None:
    """Raise TraceError while a function is traced."""
    if tracing() is not None:
        raise TraceError(
            f"{what} of an optimiser in a compiled function would happen only while it is traced; do it between the calls, which look at all settings"
            f"\n  at {user_line()}"
        )


def described(i: int, p: Tensor, name: str) -> str:
    """A parameter for a message: by its place in a module, or else by the tensor's own name."""
    name = name or p.name or ""
    return f"parameter {i}{f' ({name})' if name else ''} of shape {p.shape}"


def _filled(name: str, p: Tensor, value: float) -> Array:
    """What is remembered of a parameter under a name, with one value everywhere."""
    if name == "step":
        return np.full((), value)
    parts = real_parts(p.detach())
    return np.full(parts.shape, value, parts.dtype)


def as_dtype(x: Tensor, dtype: Any) -> Tensor:
    """A 0-d tensor in a parameter's dtype: unlike a Python number it would otherwise decide the result's."""
    return x if x.dtype == dtype else x.astype(dtype)


def real_parts(x: Tensor) -> Tensor:
    """The real and imaginary parts of complex numbers along a new last axis; real ones as they are."""
    return stack([real(x), imag(x)], axis=-1) if x.dtype.kind == "c" else x


def of_parts(x: Tensor, dtype: Any) -> Tensor:
    """The numbers of a dtype from their `real_parts`."""
    return x[..., 0] + 1j * x[..., 1] if dtype.kind == "c" else x


def check_finite(what: str, names: Iterable[str], params: Iterable[Tensor]) -> None:
    """Raise GradientError where no parameter has a gradient, or one is NaN or infinite."""
    found = False
    for i, (name, p) in enumerate(zip(names, params, strict=True)):
        g = p.grad
        if g is None:
            continue
        found = True
        require_finite((g,), functools.partial(_refuse, f"{what}: the gradient of {described(i, p, name)}"))
    if not found:
        raise GradientError(f"{what}: no parameter has a gradient; call backward() first, of a loss that depends on them")


def _refuse(what: str, array: Array) -> None:
    wrong = int((~np.isfinite(array)).sum())
    if wrong:
        raise GradientError(
            f"{what} has {wrong} elements of {array.size} that are NaN or infinite; no parameter is changed. "
            "Lower the learning rate, clip the gradients, or find the first such operation with ab.anomaly_mode()"
        )


def unmatched(where: str, expected: Iterable[str], found: Any) -> list[str]:
    """What is missing and what is unexpected in a mapping."""
    if not isinstance(found, Mapping):
        return [f"{where}a mapping is wanted, got {type(found).__name__}"]
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    return [f"{where}missing: {name}" for name in missing] + [f"{where}unexpected: {name}" for name in extra]


FLAGS = {"nesterov", "maximize", "amsgrad", "centered"}
BELOW_ONE = {"momentum", "alpha"}


def checked(name: str, value: Any) -> Any:
    """A setting in its range: flags are booleans, ``betas`` two numbers below 1, all else numbers that are not negative. Raises OperationError."""
    if name in FLAGS:
        if not isinstance(value, (bool, np.bool_)):
            raise OperationError(f"{name} must be True or False, got {value!r}")
        return bool(value)
    if name == "betas":
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise OperationError(f"betas must be two numbers, got {value!r}")
        return tuple(number("betas", beta, 1) for beta in value)
    return number(name, value, 1 if name in BELOW_ONE else math.inf)


def number(name: str, value: Any, high: float = math.inf) -> float:
    """A number from 0 up to ``high``. Raises OperationError."""
    value = value.item() if isinstance(value, Tensor) and value.size == 1 else value
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)) or not 0 <= value < high:
        raise OperationError(f"{name} must be a number from 0 up to {'infinity' if high == math.inf else f'{high} (not included)'}, got {value!r}")
    return float(value)

"""PyTorch as a namespace of programs: the functions of a step's name, in PyTorch's words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_bn.testing.program import Program, Step

RENAMED = {
    "bitwise_invert": "bitwise_not",
    "diagonal": "diagonal",
    "matrix_transpose": "adjoint",
    "minimum": "minimum",
    "not_equal": "ne",
    "equal": "eq",
    "pow": "pow",
}


def _axes(name: str) -> Any:
    return lambda torch: (
        lambda x, axis=None, keepdims=False: (
            getattr(torch, name)(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims) if x.ndim else getattr(torch, name)(x[None], dim=0)
        )
    )


def _whole(name: str) -> Any:
    """A reduction that takes one axis, or none without ``keepdims``."""

    def made(torch: Any) -> Any:
        def reduced(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            if axis is None:
                out = getattr(torch, name)(x.reshape(-1), dim=0)
                return out.reshape((1,) * x.ndim) if keepdims else out
            return getattr(torch, name)(x, dim=axis, keepdim=keepdims)

        return reduced

    return made


def _spread(name: str) -> Any:
    return lambda torch: (
        lambda x, axis=None, correction=0, keepdims=False: getattr(torch, name)(
            x, dim=tuple(range(x.ndim)) if axis is None else axis, correction=correction, keepdim=keepdims
        )
    )


def _median(torch: Any) -> Any:
    def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        rows = x.reshape(-1) if axis is None else x.movedim(axis, -1)
        rows = rows.sort(-1).values
        n = rows.shape[-1]
        out = (rows[..., (n - 1) // 2] + rows[..., n // 2]) / 2
        if not keepdims:
            return out
        return out.reshape((1,) * x.ndim) if axis is None else out.unsqueeze(axis)

    return median


def _batch_norm(torch: Any) -> Any:
    def batch_norm(x: Any, gamma: Any, beta: Any, eps: float) -> Any:
        # Contiguous: its kernel on CPUs reads past the end of an expanded weight (seen in 2.13.0).
        return torch.nn.functional.batch_norm(x, None, None, gamma.contiguous(), beta.contiguous(), True, 0.0, eps)

    return batch_norm


def _pad(torch: Any) -> Any:
    return lambda x, widths: torch.nn.functional.pad(x, [n for pair in reversed(widths) for n in pair])


MADE: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "any": _whole("any"),
    "argmax": _whole("argmax"),
    "argmin": _whole("argmin"),
    "argsort": lambda torch: lambda x, axis: torch.argsort(x, dim=axis),
    "batch_norm": _batch_norm,
    "broadcast_to": lambda torch: torch.broadcast_to,
    "clip": lambda torch: torch.clip,
    "conj": lambda torch: lambda x: torch.conj(x).clone(),  # of real numbers it gives the tensor itself, as real does
    "concat": lambda torch: lambda xs, axis: torch.cat(xs, dim=axis),
    "count_nonzero": lambda torch: (
        lambda x, axis=None, keepdims=False: torch.sum(x != 0) if axis is None and not keepdims else _whole("sum")(torch)(x != 0, axis, keepdims)
    ),
    "cumulative_prod": lambda torch: lambda x, axis: torch.cumprod(x, axis),
    "cumulative_sum": lambda torch: lambda x, axis: torch.cumsum(x, axis),
    "detach": lambda torch: lambda x: x.detach().clone(),
    "diag": lambda torch: lambda x: torch.diagonal(x) if x.ndim == 2 else torch.diag(x),
    "diagonal": lambda torch: torch.diagonal,
    "diff": lambda torch: lambda x, axis: torch.diff(x, dim=axis),
    "expand_dims": lambda torch: lambda x, axis: torch.unsqueeze(x, axis),
    "flip": lambda torch: lambda x, axis: torch.flip(x, (axis,)),
    "linalg.eigvalsh": lambda torch: torch.linalg.eigvalsh,
    "linalg.svd": lambda torch: lambda x: torch.linalg.svd(x, full_matrices=False),
    "linalg.vector_norm": lambda torch: lambda x, axis=None, keepdims=False: torch.linalg.vector_norm(x, dim=axis, keepdim=keepdims),
    "log_softmax": lambda torch: lambda x, axis: torch.log_softmax(x, axis),
    "logsumexp": _axes("logsumexp"),
    "matrix_transpose": lambda torch: lambda x: x.mT,
    "max": _axes("amax"),
    "mean": _axes("mean"),
    "median": _median,
    "min": _axes("amin"),
    "moveaxis": lambda torch: torch.moveaxis,
    "outer": lambda torch: torch.outer,
    "pad": _pad,
    "permute_dims": lambda torch: torch.permute,
    "prod": lambda torch: lambda x, axis=None, keepdims=False: _whole("prod")(torch)(x, axis, keepdims),
    "real": lambda torch: lambda x: torch.real(x).clone(),
    "repeat": lambda torch: lambda x, n, axis: torch.repeat_interleave(x, n, dim=axis),
    "roll": lambda torch: lambda x, n, axis: torch.roll(x, n, axis),
    "softmax": lambda torch: lambda x, axis: torch.softmax(x, axis),
    "softplus": lambda torch: torch.nn.functional.softplus,
    "sort": lambda torch: lambda x, axis: torch.sort(x, dim=axis).values,
    "split": lambda torch: lambda x, cuts, axis: torch.tensor_split(x, cuts, dim=axis),
    "squeeze": lambda torch: torch.squeeze,
    "stack": lambda torch: lambda xs, axis: torch.stack(xs, dim=axis),
    "std": _spread("std"),
    "sum": _axes("sum"),
    "swapaxes": lambda torch: torch.swapaxes,
    "take": lambda torch: lambda x, places, axis: torch.index_select(x, axis, torch.tensor(places)),
    "take_along_axis": lambda torch: lambda x, places, axis: torch.take_along_dim(x, places, dim=axis),
    "tensordot": lambda torch: lambda x, y, axes: torch.tensordot(x, y, dims=axes),
    "tile": lambda torch: torch.tile,
    "trace": lambda torch: torch.trace,
    "tril": lambda torch: lambda x, k: torch.tril(x, k),
    "triu": lambda torch: lambda x, k: torch.triu(x, k),
    "unstack": lambda torch: lambda x, axis: torch.unbind(x, axis),
    "var": _spread("var"),
    "vecdot": lambda torch: torch.linalg.vecdot,
}


class Torch:
    """PyTorch as it answers in a program; LookupError for what it does not have."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def function(self, name: str) -> Callable[..., Any]:
        if name in MADE:
            return MADE[name](self.torch)
        if name.startswith("raw."):
            raise LookupError(name)
        found: Any = self.torch
        for part in RENAMED.get(name, name).split("."):
            found = getattr(found, part, None)
            if found is None:
                raise LookupError(name)
        return found  # type: ignore[no-any-return]

    def under(self, name: str) -> contextlib.AbstractContextManager[Any]:
        return self.torch.no_grad() if name == "no_grad" else contextlib.nullcontext()

    def constant(self, array: np.ndarray[Any, Any]) -> Any:
        return self.torch.tensor(array)


def _with_arrays(step: Step) -> Step:
    """The lists of a key as arrays: of nested lists PyTorch makes several keys, as NumPy once did."""
    if "key" not in step.static:
        return step
    parts = step.static["key"]
    if isinstance(parts, tuple):
        key: Any = tuple(np.array(part) if isinstance(part, list) else part for part in parts)
    else:
        key = np.array(parts) if isinstance(parts, list) else parts
    return step._replace(static={**step.static, "key": key})


def _undefined(step: Step, values: list[Any]) -> bool:
    """Whether it writes twice into one place: in NumPy and here the last value stays, in PyTorch it is undefined."""
    if step.name != "setitem":
        return False
    shape = tuple(values[step.operands[0]].shape)
    places = np.arange(int(np.prod(shape))).reshape(shape)[step.static["key"]]
    return np.unique(places).size < places.size


def answer(torch: Any, program: Program) -> tuple[str, Any]:
    """What PyTorch makes of a program: ``("accepted", gradients)``, ``("rejected", why)``, ``("undefined", why)``, or ``("absent", name)``."""
    xp = Torch(torch)
    program = program._replace(steps=tuple(map(_with_arrays, program.steps)))
    for step in program.steps:
        if step.name not in ("getitem", "setitem", "update", "constant", "affine", "einsum"):
            try:
                xp.function(step.name)
            except LookupError as error:
                return "absent", str(error)
    leaves = [torch.tensor(x, requires_grad=True) for x in program.inputs]
    try:
        values = program.run(xp, leaves)
        if any(_undefined(step, values) for step in program.steps):
            return "undefined", "it writes into one place twice"
        loss = program.loss(values, torch.from_numpy)
        if torch.is_tensor(loss) and loss.requires_grad:
            loss.backward()
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return "rejected", f"{type(error).__name__}: {error}".splitlines()[0]
    return "accepted", [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in leaves]

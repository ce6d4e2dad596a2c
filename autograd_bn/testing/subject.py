"""The function under test as the checks see it: a list of real arrays in, a list of real arrays out."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.dispatch import describe
from autograd_bn.core.errors import AutogradError, OperationError
from autograd_bn.core.node import Node, ancestors
from autograd_bn.core.state import no_effects, no_grad
from autograd_bn.core.tensor import Tensor, array_of, asarray, tensor
from autograd_bn.core.tree import flatten
from autograd_bn.testing.complex_parts import in_parts, is_complex
from autograd_bn.testing.reference import COMPLEX_STEP, Line, Slope, central_slope, complex_slope, finds_nothing, largest, one_sided
from autograd_bn.transforms import jvp, vjp

OUTSIDE = (AutogradError, ArithmeticError, np.linalg.LinAlgError)
"""What a function raises outside of its domain."""


@dataclass(frozen=True)
class Options:
    """What `check_gradients` and every single check take besides the function and its arguments.

    Attributes
    ----------
    reference
        The same function in NumPy, to compare values with and to find derivatives of, instead of the function's own forward pass.
    seed
        Of the random cotangents and tangents, and of the choice of elements.
    elements
        At most so many elements of all inputs are compared one by one; what is left out, along random directions.
    rtol
        The relative tolerance, instead of that of the dtype and the method.
    name
        What the report calls the function.
    """

    reference: Callable[..., Any] | None = None
    seed: int = 0
    elements: int = 256
    rtol: float | None = None
    name: str | None = None


class Subject:
    """A function at one point, its real inputs apart from the rest."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], options: Options) -> None:
        self.name = options.name or str(getattr(function, "__name__", type(function).__name__))
        whole, _ = flatten(tuple(args))
        labels = _labels(function, args)
        parts = in_parts(function, args)
        if parts is not None:
            if options.reference is not None:
                reference = in_parts(options.reference, [array_of(x) for x in args], plain=True)
                options = replace(options, reference=options.reference if reference is None else reference[0])
            function, args = parts
            named = {True: (", real part", ", imaginary part"), False: ("",)}
            labels = [f"{label}{part}" for label, x in zip(labels, whole, strict=True) for part in named[is_complex(x)]]
        self.function = function
        self.options = options
        self._leaves, self._structure = flatten(tuple(args))
        self.positions = [i for i, x in enumerate(self._leaves) if _kind(x) == "f"]
        if not self.positions:
            raise OperationError(f"{self.name} was given no array of floating dtype to differentiate by; pass floats, such as np.array([1.0, 2.0])")
        self.inputs: list[Array] = [np.array(array_of(self._leaves[i])) for i in self.positions]
        self.labels = [labels[i] for i in self.positions]
        self.rng = np.random.default_rng(options.seed)
        self.outputs = self.values(self.inputs)
        if not self.outputs:
            raise OperationError(f"{self.name} returned no tensor of floating dtype, so it has no derivative")
        self.cotangents = [self.normal(y) for y in self.outputs]
        self.tangents = [self.normal(x) for x in self.inputs]
        self.kinks: list[str] = []

    def undefined(self) -> list[str]:
        """What to think of first where a result is not finite."""
        if not all(np.isfinite(x).all() for x in self.inputs):
            return []
        places = ((k, y, np.argwhere(~np.isfinite(y))) for k, y in enumerate(self.outputs))
        return [
            f"result {k} is {y[tuple(at[0])]} at {at[0].tolist()}, where nothing can be said of a derivative: choose a point inside the domain of {self.name}"
            for k, y, at in places
            if len(at)
        ]

    def called(self, i: int) -> str:
        """An input for a finding: which argument it is, its dtype and shape."""
        return f"{self.labels[i]}, {describe(self.inputs[i])}"

    def normal(self, like: Array) -> Array:
        """Random numbers of an array's shape and dtype, none of them near 0."""
        x = self.rng.uniform(0.5, 1.5, like.shape) * self.rng.choice([-1.0, 1.0], like.shape)
        return np.asarray(x, like.dtype)

    def __call__(self, *inputs: Any) -> Any:
        """The function of its real inputs: its real results, as a tuple of tensors."""
        return tuple(self._run(self.function, inputs))

    def _run(self, function: Callable[..., Any], inputs: Sequence[Any], plain: bool = False) -> list[Any]:
        leaves = list(self._leaves)
        for i, x in zip(self.positions, inputs, strict=True):
            leaves[i] = x
        if plain:
            leaves = [array_of(x) for x in leaves]
        results, _ = flatten(function(*self._structure.unflatten(leaves)))
        kinds = "fc" if any(_kind(x) == "c" for x in inputs) else "f"
        return [y if plain else asarray(y) for y in results if _kind(y) and _kind(y) in kinds]

    def values(self, inputs: Sequence[Array]) -> list[Array]:
        """The results for arrays; nothing is recorded, and no state changes."""
        with no_grad(), no_effects():
            return [np.array(array_of(y)) for y in self._run(self.function, [Tensor(np.asarray(x)) for x in inputs])]

    def reference_values(self, inputs: Sequence[Array]) -> list[Array]:
        """The results of the reference, which is the function's own forward pass unless another was given."""
        reference = self.options.reference
        return self.values(inputs) if reference is None else [np.array(y) for y in self._run(reference, inputs, plain=True)]

    def pull(self, cotangents: Sequence[Array] | None = None, inputs: Sequence[Array] | None = None) -> list[Array]:
        """The cotangents of the inputs."""
        with no_effects():
            _, pullback = vjp(self, *(self.inputs if inputs is None else inputs))
            return [array_of(c) for c in pullback(tuple(self.cotangents if cotangents is None else cotangents))]

    def push(self, inputs: Sequence[Array] | None = None) -> list[Array]:
        """The tangents of the results."""
        with no_effects():
            return [array_of(t) for t in jvp(self, self.inputs if inputs is None else inputs, self.tangents)[1]]

    def pulled_values(self) -> list[Array]:
        """The results where reverse mode asks for them."""
        with no_effects():
            return [array_of(y) for y in vjp(self, *self.inputs)[0]]

    def pushed_values(self) -> list[Array]:
        """The results where forward mode asks for them."""
        with no_effects():
            return [array_of(y) for y in jvp(self, self.inputs, self.tangents)[0]]

    @functools.cached_property
    def pulled(self) -> list[Array]:
        """`pull`, once."""
        return self.pull()

    @functools.cached_property
    def pulled_noise(self) -> list[float]:
        """How far rounding may carry each cotangent: how uneven it is along inputs that differ by few roundings."""
        return self._uneven(lambda inputs: self.pull(inputs=inputs), len(self.inputs))

    @functools.cached_property
    def pushed_noise(self) -> list[float]:
        """The same for each tangent of the results."""
        return self._uneven(self.push, len(self.outputs))

    def _uneven(self, derivative: Callable[[list[Array]], list[Array]], count: int) -> list[float]:
        digits = float(np.finfo(self.dtype).eps)
        rng = np.random.default_rng(self.options.seed)
        ways = [rng.choice([-1.0, 1.0], x.shape) for x in self.inputs]
        spread = [0.0] * count
        for side in (digits, -digits):  # of a kink at the point itself, one side at a time is smooth
            try:
                found = [derivative([np.asarray(x * (1 + k * side * w), x.dtype) for x, w in zip(self.inputs, ways, strict=True)]) for k in (1, 2, 3, 4)]
            except OUTSIDE:
                continue
            spread = [max(s, largest(np.ptp(np.stack(same).astype(float), axis=0))) for s, same in zip(spread, zip(*found, strict=True), strict=True)]
        return [8 * s for s in spread]

    @functools.cached_property
    def wide(self) -> list[Array]:
        """The inputs in double precision, at which references are found."""
        return [x.astype(np.float64) for x in self.inputs]

    def line(self, directions: Sequence[Array | None]) -> Line:
        """The reference's results, as one flat array, along a direction through the inputs."""

        def at(t: Any) -> Array:
            moved = [x if d is None else x + t * d for x, d in zip(self.wide, directions, strict=True)]
            try:
                results = self.reference_values(moved)
            except OUTSIDE:
                if isinstance(t, complex):
                    raise
                results = [np.full(y.shape, np.nan) for y in self.outputs]  # outside of the domain
            return np.concatenate([np.ravel(y) for y in results]) if len(results) != 1 else np.ravel(results[0])

        return at

    @functools.cached_property
    def size(self) -> float:
        """That of the smallest element of the inputs, so that none leaves its own neighbourhood along a direction; where some are 0, at most 1."""
        sizes = np.abs(np.concatenate([np.ravel(x) for x in self.wide]))
        if not sizes.any() or not np.isfinite(sizes).all():
            return 1.0
        return float(np.min(sizes[sizes > 0], initial=np.inf if sizes.all() else 1.0))

    @functools.cached_property
    def analytic(self) -> bool:
        """Whether a complex step finds the function's derivative: it says what central differences say along a random direction."""
        line = self.line([t.astype(float) for t in self.tangents])
        found = complex_slope(line)
        if found is None:
            return False
        check = central_slope(line, self.size, self.coarse)
        if found.shape != check.value.shape:
            return False
        with np.errstate(all="ignore"):
            rounding = 1e-12 if self.coarse else 1e5 * self._left(np.float64)  # of what cancels, in a difference over a step of 1e-5
            close = np.abs(found - check.value) <= 1e-6 * largest(check.value) + 10 * np.nan_to_num(check.error) + rounding
        close |= ~np.isfinite(check.value) | finds_nothing(check, line(0.0), self.size)
        return bool(close.all())

    def slope(self, directions: Sequence[Array | None], size: float | None = None) -> Slope:
        """The derivative of the results along a direction, without any rule; ``size`` is that of what moves, that of the inputs unless given."""
        line = self.line(directions)
        size = self.size if size is None else size
        if self.analytic:
            found = complex_slope(line)
            if found is not None:
                if not self._finite.all():
                    found = np.where(self._finite, found, np.nan)
                return Slope(found, np.zeros_like(found), COMPLEX_STEP)
        return central_slope(line, size, self.coarse)

    def slope_is_kinked(self, directions: Sequence[Array | None], a: float, size: float | None = None) -> bool:
        """Whether the one-sided slopes differ, and a number lies between them; ``size`` is that of what moves, that of the inputs unless given."""
        left, right = one_sided(self.line(directions), self.size if size is None else size, self.coarse)
        if not (np.isfinite(left).all() and np.isfinite(right).all()):
            return False
        low, high = (pick(self.weights * left, self.weights * right) for pick in (np.minimum, np.maximum))
        room = (1e-2 if self.coarse else 1e-4) * float(np.sum(np.maximum(np.abs(low), np.abs(high)))) + 1e-9
        return float(np.sum(high - low)) > 10 * room and float(low.sum()) - room <= a <= float(high.sum()) + room

    @functools.cached_property
    def _finite(self) -> Array:
        return np.asarray(np.isfinite(np.concatenate([np.ravel(y) for y in self.outputs])))

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The coarsest dtype that takes part."""
        return self._coarsest(self.inputs)

    @functools.cached_property
    def coarse(self) -> bool:
        """Whether some of it is computed in single precision or less, though the inputs are in double precision."""
        return self.options.reference is None and bool(np.finfo(self._coarsest(self.wide)).eps > 1e-10)

    def _coarsest(self, inputs: Sequence[Array]) -> np.dtype[Any]:
        with no_effects():
            leaves = [tensor(x, requires_grad=True) for x in inputs]
            roots = [y.node for y in self(*leaves)]
        nodes = (*roots, *ancestors(node for node in roots if isinstance(node, Node)))
        found = {x.dtype for x in (*inputs, *nodes) if x.dtype is not None and x.dtype.kind == "f"}
        return max(found, key=lambda d: float(np.finfo(d).eps))

    @functools.cached_property
    def weights(self) -> Array:
        """The cotangents as one flat array, in double precision."""
        return np.concatenate([np.ravel(g).astype(np.float64) for g in self.cotangents])

    @functools.cached_property
    def rounding(self) -> float:
        """How large the derivative by a number of size 1 may be by rounding alone, in units of the relative tolerance."""
        total = sum(float(np.sum(np.abs(np.asarray(g, float) * y))) for g, y in zip(self.cotangents, self.outputs, strict=True))
        return total if np.isfinite(total) else 0.0

    @functools.cached_property
    def residue(self) -> float:
        """What rounding may leave of a derivative along the tangents where all that is added up cancels."""
        return self._left(self.dtype)

    def _left(self, dtype: Any) -> float:
        return 64 * float(np.finfo(dtype).eps) * max(largest(t) for t in self.tangents) * largest(self.weights)

    def scale(self, i: int) -> float:
        """`rounding` for one of the inputs."""
        x = np.abs(self.inputs[i][np.isfinite(self.inputs[i])])
        return self.rounding / max(1.0, float(np.max(x, initial=0.0)))

    def unit(self, i: int, index: tuple[int, ...]) -> list[Array | None]:
        """The direction of one element of one input."""
        directions: list[Array | None] = [None] * len(self.inputs)
        one = np.zeros(self.inputs[i].shape)
        one[index] = 1.0
        directions[i] = one
        return directions


def _kind(x: Any) -> str:
    """The kind of dtype of what may be differentiated by: real "f", complex "c"; empty for all else."""
    if isinstance(x, (Tensor, np.ndarray, np.generic)):
        return x.dtype.kind if x.dtype.kind in "fc" else ""
    return "f" if type(x) is float else "c" if type(x) is complex else ""


def _labels(function: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    try:
        names = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        names = []
    found = []
    for i, arg in enumerate(args):
        leaves, _ = flatten(arg)
        known = f" ({names[i].name})" if i < len(names) and names[i].kind is not inspect.Parameter.VAR_POSITIONAL else ""
        for k, leaf in enumerate(leaves):
            name = leaf.name if isinstance(leaf, Tensor) and leaf.name else ""
            inside = "" if leaf is arg else f", leaf {k}" + (f" ({name})" if name else "")
            found.append(f"argument {i}{known}{inside}")
    return found

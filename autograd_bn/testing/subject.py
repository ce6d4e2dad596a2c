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
from autograd_bn.testing.differences import Reach, central_slope, one_sided, quotients
from autograd_bn.testing.reference import COMPLEX_STEP, Line, Slope, complex_slope, largest
from autograd_bn.testing.rounding import BETWEEN, deviations, noise
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
        self.cotangents = [np.where(np.isnan(y), 0, self.normal(y)).astype(y.dtype) for y in self.outputs]  # of NaN nothing can be said
        self.tangents = self.directions()
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

    def directions(self) -> list[Array]:
        """A random direction through the inputs, each element of it as large as what it moves, so that small ones count beside large ones."""
        return [self.normal(x) * np.where((x != 0) & np.isfinite(x), np.minimum(np.abs(x), np.finfo(x.dtype).max / 2), x.dtype.type(1)) for x in self.inputs]

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
    def pulled_noise(self) -> list[Array]:
        """How far rounding may carry each element of the cotangents, beside those of another way to compute them."""
        return self._noise(lambda inputs: self.pull(inputs=inputs), self.inputs)

    @functools.cached_property
    def pushed_noise(self) -> list[Array]:
        """The same of the tangents of the results."""
        return self._noise(self.push, self.outputs)

    def _noise(self, derivative: Callable[[list[Array]], list[Array]], like: Sequence[Array]) -> list[Array]:
        spread = deviations(lambda inputs: _flat(derivative(inputs)), self.inputs, float(np.finfo(self.dtype).eps), OUTSIDE)
        parts = np.split(BETWEEN * np.broadcast_to(spread, sum(y.size for y in like)), np.cumsum([y.size for y in like])[:-1])
        return [s.reshape(y.shape) for s, y in zip(parts, like, strict=True)]

    @functools.cached_property
    def values_noise(self) -> Array:
        """How far rounding may carry the reference's results."""
        return noise(lambda inputs: _flat(self.reference_values(inputs)), self.wide, self.digits, OUTSIDE)

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
            return _flat(results)

        return at

    def magnitude(self, i: int, index: tuple[int, ...]) -> float:
        """The size of one element of one input; 1 where it is 0."""
        size = abs(float(self.inputs[i][index]))
        return size if size and np.isfinite(size) else 1.0

    def reach(self, size: float = 1.0) -> Reach:
        """Of a direction through the inputs, or through one element of a size."""
        return Reach(size, self.digits, lambda: self.values_noise)

    @functools.cached_property
    def analytic(self) -> bool:
        """Whether a complex step finds the function's derivative: it says what central differences say along a random direction, at some step."""
        return any(self._confirmed(self.line([np.asarray(d, float) for d in ways])) for ways in (self.tangents, [self.normal(x) for x in self.wide]))

    def _confirmed(self, line: Line) -> bool:
        found = complex_slope(line)
        if found is None:
            return False
        with np.errstate(all="ignore"):
            settled = central_slope(line, self.reach())
            if found.value.shape != settled.value.shape:
                return False
            near = max(largest(found.value), largest(settled.value))
            agrees = ~(np.abs(found.value - settled.value) > 1e-6 * near + found.error + settled.error)
            if not agrees.all():  # differences may settle on what is true of small steps alone
                for step in quotients(line, self.reach()):
                    agrees |= (step.error <= 1e-3 * near) & (np.abs(found.value - step.value) <= 1e-3 * near + step.error)
        return bool(agrees.all())

    def slope(self, directions: Sequence[Array | None], size: float = 1.0) -> Slope:
        """The derivative of the results along a direction, without any rule; ``size`` is that of what moves, beside the direction."""
        line = self.line(directions)
        if self.analytic:
            found = complex_slope(line, size)
            if found is not None:
                return found if self.finite.all() else found._replace(value=np.where(self.finite, found.value, np.nan))
        return central_slope(line, self.reach(size))

    def contradicted(self, slope: Slope, directions: Sequence[Array | None], size: float = 1.0) -> Slope:
        """A slope, or that by central differences where these are sure that it is another one, as at a branch point."""
        if slope.method != COMPLEX_STEP:
            return slope
        check = central_slope(self.line(directions), self.reach(size))
        apart = np.abs(check.value - slope.value) > slope.error + 10 * check.error + 1e-3 * np.abs(slope.value)
        return check if np.any(apart & (self.weights != 0)) else slope

    def slope_is_kinked(self, directions: Sequence[Array | None], a: float, size: float = 1.0) -> bool:
        """Whether the one-sided slopes differ, and a number lies between them; ``size`` is that of what moves, beside the direction."""
        left, right = one_sided(self.line(directions), self.reach(size))
        if not (np.isfinite(left.value).all() and np.isfinite(right.value).all()):
            return False
        low, high = (pick(self.weights * left.value, self.weights * right.value) for pick in (np.minimum, np.maximum))
        room = (1e-2 if self.coarse else 1e-4) * float(np.sum(np.maximum(np.abs(low), np.abs(high))))
        room += float(np.sum(np.abs(self.weights) * (left.error + right.error)))
        return float(np.sum(high - low)) > 10 * room and float(low.sum()) - room <= a <= float(high.sum()) + room

    @functools.cached_property
    def finite(self) -> Array:
        """Which of the results are, as one flat array."""
        return np.asarray(np.isfinite(np.concatenate([np.ravel(y) for y in self.outputs])))

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The coarsest dtype that takes part."""
        return self._coarsest(self.inputs)

    @functools.cached_property
    def coarse(self) -> bool:
        """Whether some of it is computed in single precision or less, though the inputs are in double precision."""
        return self.digits > 1e-10

    @functools.cached_property
    def digits(self) -> float:
        """The precision in which the reference is computed."""
        return float(np.finfo(np.float64 if self.options.reference is not None else self._coarsest(self.wide)).eps)

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

    def unit(self, i: int, index: tuple[int, ...]) -> list[Array | None]:
        """The direction of one element of one input."""
        directions: list[Array | None] = [None] * len(self.inputs)
        one = np.zeros(self.inputs[i].shape)
        one[index] = 1.0
        directions[i] = one
        return directions


def _flat(results: Sequence[Array]) -> Array:
    return np.ravel(results[0]) if len(results) == 1 else np.concatenate([np.ravel(y) for y in results])


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

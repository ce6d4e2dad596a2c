"""Hypothesis strategies for tensors, keys, the operands of primitives, and whole programs.

Needs Hypothesis, the extra ``testing``.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from autograd_bn.core.arrays import Array
from autograd_bn.core.extras import extra
from autograd_bn.core.primitive import Domain, Primitive, registry
from autograd_bn.core.tensor import Tensor, asarray, tensor
from autograd_bn.testing.program import Program
from autograd_bn.testing.program_moves import ROW, SHAPES, build, random_inputs

with extra("testing", f"{__name__} needs Hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as st_numpy

__all__ = ["LAYOUTS", "arrays", "axes", "basic_indices", "broadcastable", "integer_indices", "masks", "operands", "programs", "shapes", "tensors"]

LAYOUTS = ("C", "F", "strided", "reversed", "broadcast")
"""How an array may lie in memory; ``broadcast`` repeats its first axis with a stride of zero."""


def shapes(max_dims: int = 3, max_side: int = 4, min_side: int = 0, min_dims: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes, from () up unless ``min_dims`` asks for more axes, with empty ones if ``min_side`` is 0.

    Examples
    --------
    >>> from autograd_bn.testing import strategies
    >>> all(0 <= n <= 4 for n in strategies.shapes().example())  # doctest: +SKIP
    True
    """
    return st_numpy.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


@st.composite
def arrays(
    draw: st.DrawFn,
    dtype: npt.DTypeLike = "float64",
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]] | None = None,
    *,
    domain: Domain | None = None,
    layouts: Sequence[str] = LAYOUTS,
) -> Array:
    """Arrays of any layout.

    Parameters
    ----------
    dtype
        Their element type.
    shape
        A shape or a strategy of shapes; `shapes()` unless given.
    domain
        Where floats may lie: between its ends, and away from its kinks and poles; between −2 and 2 unless given.
    layouts
        Which of `LAYOUTS` to choose from.
    """
    size = draw(shapes()) if shape is None else draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    kind = np.dtype(dtype)
    layout = draw(st.sampled_from(tuple(layouts)))
    whole = (1, *size[1:]) if layout == "broadcast" and size and size[0] else size
    values = draw(st_numpy.arrays(kind, whole, elements=_elements(kind, domain or Domain())))
    return laid_out(values, size, layout)


def _elements(dtype: np.dtype[Any], domain: Domain) -> st.SearchStrategy[Any]:
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        return st.integers(0 if dtype.kind == "u" else -4, 4)
    ends = [domain.low, *sorted(p for p in domain.avoid if domain.low < p < domain.high), domain.high]
    parts = []
    for k, (low, high) in enumerate(itertools.pairwise(ends)):
        low, high = low + domain.margin * (k > 0), high - domain.margin * (k + 2 < len(ends))
        if low <= high:
            start = min(max(low, 0.0), high)  # what is nearest to 0 is the simplest
            places = st.integers(
                math.ceil((low - start) * 64), math.floor((high - start) * 64)
            )  # short numbers, exact in every float dtype that has room for them
            parts.append((abs(start), places.map(functools.partial(_beyond, start))))
    real = st.one_of([part for _, part in sorted(parts, key=lambda each: each[0])])
    if dtype.kind == "c":
        return st.builds(lambda x, y: dtype.type(complex(x, y)), real, real)
    return real.map(dtype.type)


def _beyond(start: float, count: int) -> float:
    return start + count / 64


def laid_out(values: Array, shape: tuple[int, ...], layout: str) -> Array:
    """The same values in another layout."""
    if layout == "broadcast":
        return np.broadcast_to(values, shape)
    if layout == "F":
        return np.asfortranarray(values) if values.ndim else values
    if layout == "strided" and values.ndim:
        wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
        wide[..., ::2] = values
        return wide[..., ::2]
    if layout == "reversed":
        everywhere = (slice(None, None, -1),) * values.ndim
        return np.array(values[everywhere])[everywhere] if values.ndim else values
    return values


def tensors(
    dtype: npt.DTypeLike = "float64",
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]] | None = None,
    *,
    requires_grad: bool = True,
    domain: Domain | None = None,
    layouts: Sequence[str] = LAYOUTS,
) -> st.SearchStrategy[Tensor]:
    """Tensors of any layout, which require a gradient where their dtype can.

    The parameters are those of `arrays`. A tensor that requires a gradient owns a copy, in the layout of the array where that has
    no stride of zero; one that does not shares the array.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from autograd_bn.testing.strategies import tensors
    >>> @settings(max_examples=20, database=None)
    ... @given(tensors())
    ... def test_exp(x):
    ...     y = ab.exp(x)
    ...     y.backward(ab.ones_like(y))
    ...     assert (x.grad == y).all()
    >>> import autograd_bn as ab
    >>> test_exp()
    """

    def made(x: Array) -> Tensor:
        return tensor(x, requires_grad=True) if requires_grad and x.dtype.kind == "f" else asarray(x)

    return arrays(dtype, shape, domain=domain, layouts=layouts).map(made)


@st.composite
def broadcastable(draw: st.DrawFn, count: int = 2, dtype: npt.DTypeLike = "float64", *, requires_grad: bool = True, max_dims: int = 3) -> tuple[Tensor, ...]:
    """Tensors whose shapes broadcast with one another."""
    found = draw(st_numpy.mutually_broadcastable_shapes(num_shapes=count, max_dims=max_dims, max_side=4, min_side=0))
    return tuple(draw(tensors(dtype, shape, requires_grad=requires_grad)) for shape in found.input_shapes)


def axes(ndim: int, *, min_size: int = 0) -> st.SearchStrategy[int | tuple[int, ...] | None]:
    """What a reduction over ``ndim`` axes takes: None, one axis, or several, counted from either end."""
    if not ndim:
        return st.sampled_from((None, ())) if not min_size else st.none()
    return st.one_of(
        st.none(),
        st.integers(-ndim, ndim - 1),
        st.lists(st.integers(0, ndim - 1), unique=True, min_size=min_size, max_size=ndim).flatmap(
            lambda places: st.tuples(*(st.sampled_from((n, n - ndim)) for n in places))
        ),
    )


def basic_indices(shape: tuple[int, ...], *, new_axes: bool = True) -> st.SearchStrategy[Any]:
    """Keys of numbers, slices of any step, ellipsis and new axes."""
    if new_axes:
        return st_numpy.basic_indices(shape, allow_newaxis=True, max_dims=len(shape) + 2)
    return st_numpy.basic_indices(shape)


def integer_indices(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[Array, ...]]:
    """Keys of integer arrays, one an axis; none of the axes may be empty."""
    return st_numpy.integer_array_indices(shape, result_shape=st_numpy.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))


def masks(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    """Keys of booleans of a shape."""
    return st_numpy.arrays(bool, shape)


class Call(NamedTuple):
    """One call of a primitive."""

    operands: tuple[Any, ...]
    static: dict[str, Any]


@st.composite
def operands(draw: st.DrawFn, primitive: Primitive | str, *, dtype: npt.DTypeLike = "float64", min_side: int = 0) -> Call:
    """Calls of a primitive within its domain, away from its kinks, poles and ties, as its record says.

    Of an elementwise primitive the operands are of any shapes that broadcast, and of any layout; of another its record's
    examples, moved by a little, in any layout.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from autograd_bn.testing.strategies import operands
    >>> @settings(max_examples=20, database=None)
    ... @given(operands("log"))
    ... def test_log(call):
    ...     assert (call.operands[0] > 0).all()
    >>> test_log()
    """
    made = registry[primitive] if isinstance(primitive, str) else primitive
    layouts = st.sampled_from([layout for layout in LAYOUTS if layout != "broadcast"])
    if made.example is not None:
        given, static = draw(st.sampled_from(made.example(np.random.default_rng(draw(st.integers(0, 1000))))))
        return Call(tuple(laid_out(np.asarray(x), np.shape(x), draw(layouts)) for x in given), dict(static))
    count = len(made.needs)
    found = draw(st_numpy.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3, min_side=min_side))
    drawn = []
    for i, shape in enumerate(found.input_shapes):
        if made.name == "where" and i == 0:
            drawn.append(draw(arrays(bool, shape)))
            continue
        drawn.append(draw(arrays(dtype, shape, domain=made.domains[min(i, len(made.domains) - 1)])))
    if not made.differentiable or count != 2:
        return Call(tuple(drawn), {})
    if made.name in ("maximum", "minimum"):  # away from ties: the numbers are multiples of 1/64, or halfway between two
        drawn[1] = drawn[1] + np.asarray(1 / 128, dtype)
    return Call(tuple(drawn), {})


def programs(*, max_steps: int = 12, inputs: int = 3) -> st.SearchStrategy[Program]:
    """Random programs over the whole registry, valid by construction, that shrink to the smallest graph.

    They have values that are used more than once, dead branches, views, writes in place through views, masks and integer arrays, scopes,
    ``no_grad`` blocks, ``detach``, linear algebra of well-conditioned matrices and batch norm; values stay bounded and away from kinks.

    Parameters
    ----------
    max_steps
        At most so many rows, each of one step or a few.
    inputs
        At most so many inputs.

    Examples
    --------
    >>> from hypothesis import given, settings
    >>> from autograd_bn.testing import strategies
    >>> from autograd_bn.testing.program_oracle import assert_right
    >>> @settings(max_examples=5, database=None, deadline=None)
    ... @given(strategies.programs(max_steps=4))
    ... def test_gradients(program):
    ...     assert_right(program)
    >>> test_gradients()
    """
    row = st.tuples(*(st.integers(0, 255) for _ in range(ROW)))
    return st.builds(
        lambda chosen, seed, rows: build(random_inputs(np.random.default_rng(seed), chosen), rows),
        st.lists(st.sampled_from(SHAPES), min_size=1, max_size=inputs),
        st.integers(0, 1000),
        st.lists(row, min_size=1, max_size=max_steps),
    )

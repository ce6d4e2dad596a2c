"""From small numbers to programs: each row of numbers becomes a few steps that fit the values so far, or none.

Any rows make a valid program, so that leaving rows out, or making their numbers smaller, makes a smaller program. Which
steps depends on the first numbers of a row; each function below, a move, adds those of one kind.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.primitive import Domain, registry
from autograd_bn.testing.program import PUBLIC, UPDATES, Program
from autograd_bn.testing.program_builder import Builder, UnfitError

ROW = 8
"""How many numbers a row has, each from 0 to 255."""
SHAPES: tuple[tuple[int, ...], ...] = ((3,), (2, 3), (), (1,), (2, 1), (1, 3), (2, 2), (4,), (3, 3), (2, 1, 3))
RENAMED = {"sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative"}
"""Primitives whose function has another name."""


def _elementwise(b: Builder) -> None:
    name = b.choose(b.elementwise)
    primitive = registry[name]
    count = len(primitive.needs)
    first = b.operand()
    operands = [first]
    operands += [b.operand(lambda x: _fits(b.value(first).shape, x.shape)) for _ in range(count - 1)]
    if name == "where":
        mask = b.choose([i for i, x in enumerate(b.run.values) if x is not None and x.dtype.kind == "b" and _fits(x.shape, b.value(first).shape)] or [None])
        operands[0] = b.add("constant", array=_mask(b, b.value(first).shape)) if mask is None else mask
    else:
        operands = [b.within(i, primitive.domains[min(k, len(primitive.domains) - 1)]) for k, i in enumerate(operands)]
    public = RENAMED.get(name, name)
    b.add(public if public in PUBLIC.__all__ else f"raw.{name}", *operands)


def _fits(x: tuple[int, ...], y: tuple[int, ...]) -> bool:
    return all(m == n or m == 1 or n == 1 for m, n in zip(x[::-1], y[::-1], strict=False))


def _mask(b: Builder, shape: tuple[int, ...]) -> Array:
    bits = b.pick(256) + 256 * b.pick(256)
    return np.array([bits >> (k % 16) & 1 for k in range(int(np.prod(shape)))], dtype=bool).reshape(shape)


def _reduction(b: Builder) -> None:
    i = b.operand()
    x = b.value(i)
    name = b.choose(
        ("sum", "mean", "max", "min", "logsumexp", "linalg.vector_norm", "prod", "var", "std", "median", "any", "count_nonzero", "argmax", "argmin")
    )
    static: dict[str, Any] = {"axis": b.axis(x) if x.ndim and b.pick(3) else None}
    if name in ("var", "std"):
        static["correction"] = b.pick(2)
        if (x.size if static["axis"] is None else x.shape[static["axis"]]) < 2:
            raise UnfitError
    if b.pick(2) and not name.startswith("arg"):
        static["keepdims"] = True
    b.add(name, i, **static)


def _shape(b: Builder) -> None:
    i = b.operand()
    x = b.value(i)
    kind = b.pick(8)
    if kind == 0:
        n = x.size
        b.add(
            "reshape",
            i,
            positional=(b.choose([(n,), (-1, 1), (1, n), *([(2, n // 2), (n // 2, 2)] if n and n % 2 == 0 else []), *([(3, n // 3)] if n % 3 == 0 else [])]),),
        )
    elif kind == 1:
        b.add("permute_dims", i, positional=(tuple(np.roll(range(x.ndim), b.pick(3)).tolist())[:: b.choose((1, -1))],))
    elif kind == 2:
        b.add("matrix_transpose", i)
    elif kind == 3:
        b.add("expand_dims", i, axis=b.pick(2 * x.ndim + 2) - x.ndim - 1)
    elif kind == 4:
        b.add("squeeze", i)
    elif kind == 5:
        b.add("broadcast_to", i, positional=((2, *x.shape) if b.pick(2) else tuple(3 if n == 1 else n for n in x.shape),))
    elif kind == 6:
        b.add("swapaxes", i, positional=(b.axis(x), b.axis(x)))
    else:
        b.add("moveaxis", i, positional=(b.axis(x), b.axis(x)))


def key(b: Builder, shape: tuple[int, ...], basic: bool = False) -> Any:
    """A key that fits a shape: numbers, slices, new axes, an ellipsis; unless ``basic``, integers in a list, or a mask."""
    kind = b.pick(8)
    if not basic and shape and kind == 0:
        return [b.pick(2 * shape[0]) - shape[0] for _ in range(1 + b.pick(3))] if shape[0] else []
    if not basic and kind == 1:
        return _mask(b, shape).tolist()
    if not basic and len(shape) > 1 and kind == 2 and all(shape):
        count = 1 + b.pick(3)
        return tuple([b.pick(n) for _ in range(count)] for n in shape[:2])
    parts: list[Any] = []
    for n in shape:
        sort = b.pick(5)
        if sort == 0:
            parts.append(slice(None))
        elif sort == 1 and n:
            parts.append(b.pick(2 * n) - n)
        elif sort == 2:
            parts.append(slice(None, None, b.choose((-1, 2))))
        elif sort == 3:
            parts.append(slice(b.pick(n + 1), None))
        else:
            break
    if len(parts) < len(shape) and b.pick(2):
        parts.append(Ellipsis)
    return tuple(parts) if len(parts) != 1 else parts[0]


def _getitem(b: Builder) -> None:
    i = b.operand()
    b.add("getitem", i, key=key(b, b.value(i).shape))


def _view(b: Builder) -> None:
    i = b.operand(lambda x: x.ndim > 0)
    b.add("getitem", i, key=key(b, b.value(i).shape, basic=True))


def _rearranging(b: Builder) -> None:
    kind = b.pick(13)
    i = b.operand(lambda x: x.ndim > 0)
    x = b.value(i)
    axis = b.axis(x)
    if kind == 0:
        b.add("flip", i, axis=axis)
    elif kind == 1:
        b.add("roll", i, positional=(b.choose((1, -1, 2)),), axis=axis)
    elif kind == 2:
        b.add("repeat", i, positional=(1 + b.pick(2),), axis=axis)
    elif kind == 3:
        b.add("tile", i, positional=(tuple(1 + b.pick(2) for _ in x.shape),))
    elif kind == 4:
        b.add("pad", i, positional=(tuple((b.pick(2), b.pick(2)) for _ in x.shape),))
    elif kind == 5:
        b.add("concat", i, b.operand(lambda y: y.ndim == x.ndim and np.delete(y.shape, axis).tolist() == np.delete(x.shape, axis).tolist()), axis=axis)
    elif kind == 6:
        b.add("stack", i, b.operand(lambda y: y.shape == x.shape), axis=axis)
    elif kind == 7:
        b.add("split", i, positional=([b.pick(x.shape[axis] + 1)],), axis=axis, item=b.pick(2))
    elif kind == 8:
        b.add("unstack", i, axis=axis, item=b.pick(max(1, x.shape[axis])))
    elif kind == 9:
        b.add(b.choose(("tril", "triu")), b.operand(lambda y: y.ndim > 1), k=b.pick(3) - 1)
    elif kind == 10:
        b.add("diag", i)
    elif kind == 11:
        b.add(b.choose(("trace", "diagonal")), i)
    else:
        b.add("diff", i, axis=axis)


def _ordering(b: Builder) -> None:
    i = b.operand(lambda x: x.ndim > 0 and x.size > 0)
    x = b.value(i)
    axis = b.axis(x)
    n = x.shape[axis]
    kind = b.pick(7)
    if kind == 0:
        b.add("sort", i, axis=axis)
    elif kind == 1:
        b.add("take_along_axis", i, b.add("argsort", i, axis=axis), axis=axis)
    elif kind == 2:
        b.add("take", i, positional=([b.pick(n) for _ in range(3)],), axis=axis)
    elif kind == 3:
        shape = (*x.shape[: axis % x.ndim], 2, *x.shape[axis % x.ndim + 1 :])
        places = np.array([b.pick(n) for _ in range(int(np.prod(shape)))]).reshape(shape)
        b.add("take_along_axis", i, b.add("constant", array=places), axis=axis)
    elif kind == 4:
        b.add("cumulative_sum", i, axis=axis)
    elif kind == 5:
        b.add("cumulative_prod", i, axis=axis)
    else:
        b.add(b.choose(("softmax", "log_softmax")), i, axis=axis)


def _contraction(b: Builder) -> None:
    i = b.operand(lambda x: x.ndim in (1, 2))
    x = b.value(i)
    kind = b.pick(6)
    if kind < 2:
        j = b.operand(lambda y: y.ndim in (1, 2) and (y.shape[0] if y.ndim == 1 else y.shape[-2]) == x.shape[-1])
        b.add("matmul", i, j)
    elif kind == 2:
        b.add("outer", *(k if b.value(k).ndim == 1 else b.add("reshape", k, positional=((-1,),)) for k in (i, b.operand(lambda y: y.ndim in (1, 2)))))
    elif kind == 3:
        b.add("vecdot", i, b.operand(lambda y: y.shape == x.shape))
    elif kind == 4:
        b.add("tensordot", i, b.operand(lambda y: y.ndim > 0 and y.shape[0] == x.shape[-1]), axes=1)
    elif x.ndim == 2:
        j = b.operand(lambda y: y.shape == x.shape)
        b.add("einsum", i, j, subscripts=b.choose(("ij,ij->i", "ij,ij->ij", "ij,kj->ik", "ij,ik->jk", "ij,ij->")))
    else:
        b.add("einsum", i, b.operand(lambda y: y.ndim == 2), subscripts="i,jk->kj")


def _linalg(b: Builder) -> None:
    """Of a symmetric matrix with eigenvalues apart, which has all the decompositions."""
    i = b.operand(lambda x: x.ndim == 2 and 1 <= x.shape[0] <= 3 and x.shape[1] <= 3)
    if np.max(np.abs(b.value(i)), initial=0.0) > 1:
        i = b.add("tanh", i)
    gram = b.add("matmul", i, b.add("matrix_transpose", i))
    n = b.value(gram).shape[0]
    spd = b.add("add", gram, b.add("constant", array=np.diag(np.arange(1.0, n + 1))))
    kind = b.pick(9)
    if kind == 0:
        b.add("linalg.inv", spd)
    elif kind == 1:
        b.add("linalg.det", spd)
    elif kind == 2:
        b.add("linalg.slogdet", spd, item=1)
    elif kind == 3:
        b.add("linalg.solve", spd, i)
    elif kind == 4:
        b.add("linalg.cholesky", spd)
    elif kind == 5:
        b.add("linalg.eigvalsh", spd)
    elif kind == 6:
        b.add("linalg.svdvals", spd)
    else:  # vectors are known but for their sign
        vectors = b.add("linalg.eigh", spd, item=1) if kind == 7 else b.add("linalg.svd", spd, item=0)
        b.add("square", vectors)


def _batch_norm(b: Builder) -> None:
    i = b.operand(lambda x: x.ndim == 2 and x.shape[0] > 1)
    channels = b.value(i).shape[1]
    gamma, beta = (b.operand(lambda x: x.shape in ((channels,), ())) for _ in range(2))
    gamma, beta = (j if b.value(j).ndim else b.add("broadcast_to", j, positional=((channels,),)) for j in (gamma, beta))
    b.add("batch_norm", i, gamma, beta, eps=0.1)


def _example(b: Builder) -> None:
    """Any other primitive of the registry, on its own example moved by a value of the program."""
    name = b.choose(b.others)
    cases = registry[name].example(np.random.default_rng(b.pick(8)))  # type: ignore[misc]
    operands, static = b.choose(cases)
    if any(np.asarray(x).dtype.kind == "c" for x in operands):
        raise UnfitError
    by = b.add("affine", b.add("tanh", b.add("mean", b.operand(lambda x: x.size > 0))), scale=0.1, shift=0.0)
    placed = [b.add("constant", array=np.asarray(x)) for x in operands]
    b.add(f"raw.{name}", *(b.add("add", i, by) if b.value(i).dtype.kind == "f" else i for i in placed), **static)


def _detach(b: Builder) -> None:
    b.add("detach", b.operand())


def _constant(b: Builder) -> None:
    shape = b.choose(SHAPES)
    b.add("constant", array=np.round(np.sin(np.arange(int(np.prod(shape))) + b.pick(64)), 2).reshape(shape))


def _target(b: Builder) -> int:
    """What to write into: hardly ever what must be refused."""

    def allowed(i: int) -> bool:
        owner = b.run.owner[i]
        leaf = owner < len(b.inputs)
        if 0 in b.value(i).strides and b.value(i).size > 1:
            return False
        return leaf or not b.run.recorded.get(owner, False) if b.under == "no_grad" else not leaf

    found = [i for i in b.floats() if allowed(i)]
    if not b.pick(24):
        return b.operand()
    if found:
        return b.choose(found)  # type: ignore[no-any-return]
    return b.add("affine", b.operand(), scale=1.5, shift=0.0)


def _setitem(b: Builder) -> None:
    target = _target(b)
    where = key(b, b.value(target).shape)
    region = np.shape(b.value(target)[where])
    value = b.operand(lambda x: x.ndim <= len(region) and all(m in (1, n) for m, n in zip(x.shape[::-1], region[::-1], strict=False)))
    b.add("setitem", target, value, key=where)


def _update(b: Builder) -> None:
    target = _target(b)
    shape = b.value(target).shape
    symbol = b.choose(tuple(UPDATES))
    value = b.operand(lambda x: np.broadcast_shapes(x.shape, shape) == shape if _fits(x.shape, shape) else False)
    if symbol == "/=":
        value = b.within(value, Domain(0.5, 3.0))
    b.add("update", target, value, operator=symbol)


MOVES: tuple[Callable[[Builder], None], ...] = (
    *(_elementwise,) * 9,
    *(_setitem,) * 5,
    *(_update,) * 4,
    *(_view,) * 4,
    *(_reduction,) * 4,
    *(_shape,) * 4,
    *(_rearranging,) * 3,
    *(_ordering,) * 3,
    *(_contraction,) * 3,
    *(_getitem,) * 2,
    _linalg,
    _linalg,
    _batch_norm,
    _batch_norm,
    _example,
    _detach,
    _constant,
)


def build(inputs: Sequence[Array], rows: Sequence[Sequence[int]]) -> Program:
    """The program of some rows of numbers on given inputs."""
    builder = Builder(inputs)
    ends = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for numbers in rows:
            before = len(builder.run.values)
            builder.row(numbers, MOVES)
            if len(builder.run.values) > before and numbers[-1] % 4:  # one in four is a dead branch, unless it is used later
                ends.append(len(builder.run.values) - 1)
    last = len(builder.run.values) - 1
    floats = set(builder.floats())
    written = {step.operands[0] for step in builder.steps if step.writes}
    outputs = sorted(({*ends, last} | written) & floats) or sorted(floats)[-1:]
    return Program(builder.inputs, tuple(builder.steps), tuple(outputs))


def random_inputs(rng: np.random.Generator, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Arrays of short, distinct numbers between -2 and 2."""
    count = sum(int(np.prod(shape)) for shape in shapes)
    numbers = rng.permutation(400)[:count] / 100 - 2.005
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(numbers, ends[:-1]), shapes, strict=True)]


def random_program(rng: np.random.Generator, steps: int = 10) -> Program:
    """A program of up to ``steps`` rows, from a generator alone."""
    shapes = [SHAPES[k] for k in rng.integers(len(SHAPES), size=rng.integers(1, 4))]
    return build(random_inputs(rng, shapes), rng.integers(256, size=(rng.integers(1, steps + 1), ROW)).tolist())

"""Inverses, determinants and factors of real matrices on the last two axes.

The rules are those of M. Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation (2008); I. Murray, Differentiation of the Cholesky decomposition (arXiv 1602.07527); J. Townsend,
Differentiating the singular value decomposition (2016). They are written in raw operations, so that they have
derivatives themselves. A primitive has one result: eigenvectors and singular vectors are rows under their values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from autograd_bn.core.constructors import all_batched, composite, discrete
from autograd_bn.core.dispatch import apply
from autograd_bn.core.effects import require_finite
from autograd_bn.core.errors import GradientError, OperationError, ShapeError
from autograd_bn.core.node import Node
from autograd_bn.core.primitive import Abstract, Primitive, broadcast_shapes, raw
from autograd_bn.core.tensor import Tensor, array_of, asarray, each_level
from autograd_bn.core.tracing import Symbol
from autograd_bn.ops.indexing import getitem
from autograd_bn.ops.shape import broadcast_to, matrix_transpose


def _matrices(
    name: str, forward: Callable[..., Any], pull: Callable[..., Any], push: Callable[..., Any], *, label: str, example: Callable[..., Any]
) -> Primitive:
    """A function of the matrices on the last two axes: ``pull(g, x, out)`` is its VJP, ``push(t, x, out)`` its JVP."""

    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Mapping[str, Any]) -> Sequence[Any]:
        return (pull(g, *saved),)

    def jvp(tangents: Sequence[Any], operands: Sequence[Any], out: Any, static: Mapping[str, Any]) -> Any:
        return push(tangents[0], operands[0], out)

    def abstract(operands: Sequence[Abstract], static: Mapping[str, Any]) -> Abstract:
        (x,) = operands
        out = forward(np.zeros((0, *x.shape[-2:]), x.dtype))
        return Abstract((*x.shape[:-2], *out.shape[1:]), out.dtype)

    def batch(operands: Sequence[Any], batched: Sequence[bool], static: Mapping[str, Any]) -> Any:
        return primitive(operands[0])

    primitive = Primitive(name, forward, vjp=vjp, jvp=jvp, batch=batch, abstract=abstract, label=label, needs=(frozenset({0, -1}),), example=example)
    return primitive


def _flipped(x: Any) -> Any:
    rank = len(x.shape)
    return raw.permute_dims(x, axes=(*range(rank - 2), rank - 1, rank - 2))


def _numbers(x: Any, real: bool = False) -> Any:
    if x.dtype.kind == "b" or (real and x.dtype.kind == "c"):
        raise TypeError(f"it takes {'real ' if real else ''}numbers, got dtype {x.dtype}")
    return x


def _symmetric(x: Any) -> Any:
    return (x + _flipped(x)) / 2


def _regular(function: Callable[..., Any], *operands: Any) -> Any:
    try:
        return function(*operands)
    except np.linalg.LinAlgError as error:
        raise OperationError(f"{error} (shapes {' and '.join(str(x.shape) for x in operands)})") from None


def _spaced(rng: Any, rows: int = 3, columns: int = 3) -> Any:
    """Matrices whose eigenvalues and singular values are positive and far apart."""
    return np.stack([np.eye(rows, columns) * (np.arange(columns) * 1.5 + 2) + 0.2 * rng.standard_normal((rows, columns)) for _ in range(2)])


def _example(rng: Any) -> Any:
    return [((_spaced(rng),), {})]


_inv = _matrices(
    "inv",
    lambda x: _regular(np.linalg.inv, _numbers(x)),
    lambda g, x, out: -(_flipped(out) @ g @ _flipped(out)),
    lambda t, x, out: -(out @ t @ out),
    label="x⁻¹",
    example=_example,
)


def _wide(x: Any) -> Any:
    return raw.reshape(x, shape=(*x.shape, 1, 1))


def _inner(x: Any, y: Any) -> Any:
    rank = len(x.shape)
    return raw.sum(x * y, axis=(rank - 2, rank - 1), keepdims=False)


MINORS = 1 << 24
"""How many numbers the minors may have by which determinants of singular matrices are differentiated: for a matrix of n rows that is n⁴."""
EXACT = 8
"""Up to how many rows these are differentiated again in place of det·x⁻ᵀ, whose derivative loses the digits of a nearly singular matrix."""


def _cofactors(x: Any, out: Any) -> Any:
    """The derivative of the determinant: det·x⁻ᵀ, or where a matrix is singular the determinants without one row and column each, signed."""
    n, found, plain = x.shape[-1], array_of(out), array_of(x)
    if not isinstance(found, (np.ndarray, np.generic)) or plain.size * n * n > MINORS or (np.all(found) and (x is plain or n > EXACT)):
        return _wide(out) * _flipped(raw.inv(x))
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], np.intp).reshape(n, n - 1)
    minors = raw.getitem(x, index=(Ellipsis, others[:, None, :, None], others[None, :, None, :]))
    return raw.det(minors) * (-1.0 + 2.0 * (np.add.outer(np.arange(n), np.arange(n)) % 2 == 0)).astype(x.dtype)


_det = _matrices(
    "det",
    lambda x: np.linalg.det(_numbers(x)),
    lambda g, x, out: _wide(g) * _cofactors(x, out),
    lambda t, x, out: _inner(_cofactors(x, out), t),
    label="det",
    example=_example,
)

_logabsdet = _matrices(
    "logabsdet",
    lambda x: np.linalg.slogdet(_numbers(x, real=True))[1],
    lambda g, x, out: _wide(g) * _flipped(raw.inv(x)),
    lambda t, x, out: _inner(_flipped(raw.inv(x)), t),
    label="log|det|",
    example=_example,
)

_signdet = discrete(
    "signdet",
    lambda x: np.linalg.slogdet(_numbers(x, real=True))[0],
    batch=lambda x: raw.signdet(x),
    shape=lambda x: x.shape[:-2],
    label="sign det",
    example=_example,
)


def _solve_rules() -> Primitive:
    def vjp(g: Any, saved: Any, parents: Sequence[Any], static: Mapping[str, Any]) -> Sequence[Any]:
        x, _, out = saved
        back = raw.solve(_flipped(x), g)
        return (-(back @ _flipped(out)) if type(parents[0]) is Node else None, back)

    def jvp(tangents: Sequence[Any], operands: Sequence[Any], out: Any, static: Mapping[str, Any]) -> Any:
        t, u = tangents
        right = u if t is None else -(t @ out) if u is None else u - t @ out
        return raw.solve(operands[0], right)

    def abstract(operands: Sequence[Abstract], static: Mapping[str, Any]) -> Abstract:
        x, y = operands
        return Abstract(y.shape, forward(np.zeros((0, 1, 1), x.dtype), np.zeros((0, 1, 1), y.dtype)).dtype)

    def batch(operands: Sequence[Any], batched: Sequence[bool], static: Mapping[str, Any]) -> Any:
        return raw.solve(*all_batched(operands, batched))

    def forward(x: Any, y: Any) -> Any:
        return _regular(np.linalg.solve, _numbers(x), _numbers(y))

    return Primitive(
        "solve",
        forward,
        vjp=vjp,
        jvp=jvp,
        batch=batch,
        abstract=abstract,
        label="x⁻¹y",
        needs=(frozenset({0, -1}), frozenset({0})),
        example=lambda rng: [((_spaced(rng), rng.standard_normal((2, 3, 2))), {})],
    )


_solve = _solve_rules()


def _lower(x: Any, diagonal: float) -> Any:
    """The lower triangle, its diagonal times a number."""
    n = x.shape[-1]
    return x * (np.tri(n, n, -1) + diagonal * np.eye(n)).astype(x.dtype)


def _cholesky_pull(g: Any, x: Any, out: Any) -> Any:
    inner = _lower(_flipped(out) @ _lower(g, 1.0), 0.5)
    return _symmetric(raw.solve(_flipped(out), _flipped(raw.solve(_flipped(out), _flipped(inner)))))


_cholesky = _matrices(
    "cholesky",
    lambda x: _regular(np.linalg.cholesky, _symmetric(_numbers(x, real=True))),
    _cholesky_pull,
    lambda t, x, out: out @ _lower(raw.solve(out, _flipped(raw.solve(out, _symmetric(t)))), 0.5),
    label="cholesky",
    example=_example,
)


def _rows(x: Any, start: int, stop: int) -> Any:
    return raw.getitem(x, index=(Ellipsis, slice(start, stop), slice(None)))


def _stacked(*parts: Any) -> Any:
    return raw.concat(*parts, axis=len(parts[0].shape) - 2, sizes=tuple(x.shape[-2] for x in parts))


def _under(x: Any) -> Any:
    """What is under whatever levels lie above a value: an array, of a batch that of all examples, or the tensor that stands for it in a trace."""
    return next((level for level in each_level(x) if type(level.node) is Symbol), array_of(x))


def _anywhere(*flags: Any) -> Any:
    """Whether there is a true one."""
    return functools.reduce(raw.logical_or, (raw.any(x, axis=tuple(range(len(x.shape))), keepdims=False) for x in flags))


def _reciprocal(x: Any, scale: Any, used: Sequence[Any] | None, what: str) -> Any:
    """1/x, refused where x vanishes beside ``scale`` (in a compiled function after the run) unless nothing depends on it: the ``used`` are all 0, if given."""
    near = np.finfo(x.dtype).eps * x.shape[-1]

    def gone(x: Any, scale: Any) -> Any:
        rank = len(scale.shape)
        return raw.less_equal(raw.abs(x), raw.max(raw.abs(scale), axis=(rank - 2, rank - 1), keepdims=True) * near)

    def refuse(*_: Any) -> NoReturn:
        raise GradientError(f"{what}: such vectors have no derivative; take that of the values alone, or make the matrix generic")

    if 0 in x.shape:
        return 1 / x
    found = _anywhere(gone(_under(x), _under(scale)))
    depends = True if used is None else _anywhere(*(raw.not_equal(_under(g), 0) for g in used))
    if isinstance(found, Tensor):
        require_finite([raw.where(raw.logical_and(found, depends), np.nan, 0.0)], refuse)
    elif not found:
        return 1 / x
    elif depends:
        refuse()
    vanishes = gone(x, scale)
    return raw.where(vanishes, 0.0, 1 / raw.where(vanishes, 1.0, x))


def _gaps(w: Any, used: Sequence[Any] | None, what: str) -> Any:
    """1/(wⱼ − wᵢ), and 0 on the diagonal, from a row of values."""
    same = np.eye(w.shape[-1], dtype=bool)
    gaps = raw.where(same, raw.astype(raw.equal(w, w), dtype=w.dtype), w - _flipped(w))
    return raw.where(same, 0.0, _reciprocal(gaps, w, used, what))


def _eye(x: Any) -> Any:
    return np.eye(x.shape[-1], dtype=x.dtype)


def _eigh_forward(x: Any) -> Any:
    w, v = np.linalg.eigh(_symmetric(_numbers(x, real=True)))
    return np.concatenate([w[..., None, :], v], -2)


_EQUAL = "two eigenvalues are equal"


def _eigh_pull(g: Any, x: Any, out: Any) -> Any:
    n = x.shape[-1]
    w, v, gw, gv = _rows(out, 0, 1), _rows(out, 1, n + 1), _rows(g, 0, 1), _rows(g, 1, n + 1)
    inner = _eye(x) * gw + _gaps(w, (gv,), _EQUAL) * (_flipped(v) @ gv)
    return _symmetric(v @ inner @ _flipped(v))


def _eigh_push(t: Any, x: Any, out: Any) -> Any:
    n = x.shape[-1]
    w, v = _rows(out, 0, 1), _rows(out, 1, n + 1)
    inner = _flipped(v) @ _symmetric(t) @ v
    dw = raw.sum(_eye(x) * inner, axis=(len(x.shape) - 2,), keepdims=True)
    return _stacked(dw, v @ (_gaps(w, None, _EQUAL) * inner))


_eigh = _matrices("eigh", _eigh_forward, _eigh_pull, _eigh_push, label="eigh", example=_example)


def _svd_forward(x: Any) -> Any:
    u, s, vh = np.linalg.svd(_numbers(x, real=True), full_matrices=False)
    return np.concatenate([u, s[..., None, :], np.swapaxes(vh, -1, -2)], -2)


_ALIKE, _NOUGHT = "two singular values are equal", "a singular value is 0"


def _svd_parts(out: Any, m: int, n: int) -> tuple[Any, Any, Any]:
    return _rows(out, 0, m), _rows(out, m, m + 1), _rows(out, m + 1, m + 1 + n)


def _svd_pull(g: Any, x: Any, out: Any) -> Any:
    m, n = x.shape[-2:]
    (u, s, v), (gu, gs, gv) = _svd_parts(out, m, n), _svd_parts(g, m, n)
    used = (gu, gv)
    gaps = _gaps(s * s, used, _ALIKE)
    j, k = _flipped(u) @ gu, _flipped(v) @ gv
    inner = _eye(s) * gs + gaps * (j - _flipped(j)) * s + _flipped(s) * (gaps * (k - _flipped(k)))
    total = u @ inner @ _flipped(v)
    if m > n:
        total = total + ((gu - u @ j) * _reciprocal(s, s, used, _NOUGHT)) @ _flipped(v)
    if n > m:
        total = total + u @ _flipped((gv - v @ k) * _reciprocal(s, s, used, _NOUGHT))
    return total


def _svd_push(t: Any, x: Any, out: Any) -> Any:
    m, n = x.shape[-2:]
    u, s, v = _svd_parts(out, m, n)
    gaps = _gaps(s * s, None, _ALIKE)
    p = _flipped(u) @ t @ v
    ds = raw.sum(_eye(s) * p, axis=(len(x.shape) - 2,), keepdims=True)
    du = u @ (gaps * (p * s + _flipped(p * s)))
    dv = v @ (gaps * (_flipped(s) * p + _flipped(_flipped(s) * p)))
    if m > n:
        du = du + (t @ v - u @ p) * _reciprocal(s, s, None, _NOUGHT)
    if n > m:
        dv = dv + (_flipped(t) @ u - v @ _flipped(p)) * _reciprocal(s, s, None, _NOUGHT)
    return _stacked(du, ds, dv)


_svd = _matrices(
    "svd", _svd_forward, _svd_pull, _svd_push, label="svd", example=lambda rng: [((_spaced(rng, *shape),), {}) for shape in ((3, 3), (4, 3), (3, 4))]
)


def _checked(name: str, x: Any, square: bool = True) -> Tensor:
    out = asarray(x)
    if out.ndim < 2 or (square and out.shape[-1] != out.shape[-2]):
        raise ShapeError(f"{name} takes {'square ' if square else ''}matrices on the last two axes, got shape {out.shape}")
    return out


def inv(x: Any, /) -> Tensor:
    """The inverses of square matrices. Raises OperationError for a singular one.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.inv(ab.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return apply(_inv, (_checked("inv", x),))


def det(x: Any, /) -> Tensor:
    """The determinants of square matrices. The derivative at a singular one is refused with OperationError in compiled functions, and of more than 64 rows,
    or where as many numbers come together in a batch.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.det(ab.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor(8.)
    """
    return apply(_det, (_checked("det", x),))


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


def slogdet(x: Any, /) -> SlogdetResult:
    """The signs of determinants, and the logarithms of their sizes, which do not overflow.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.slogdet(ab.tensor([[-1.0, 0.0], [0.0, 1.0]]))
    SlogdetResult(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    x = _checked("slogdet", x)
    return SlogdetResult(apply(_signdet, (x,)), apply(_logabsdet, (x,)))


@composite
def solve(x1: Any, x2: Any, /) -> Tensor:
    """The y of x1 @ y = x2; x2 is a vector or has matrices on its last two axes, and other axes are broadcast.

    Raises OperationError for a singular matrix, ShapeError for shapes that do not fit.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.solve(ab.tensor([[2.0, 0.0], [0.0, 4.0]]), ab.tensor([1.0, 1.0]))
    tensor([0.5 , 0.25])
    """
    x, y = _checked("solve", x1), asarray(x2)
    vector = y.ndim == 1
    if vector:
        y = y.reshape((-1, 1))
    if y.ndim < 2 or y.shape[-2] != x.shape[-1]:
        raise ShapeError(f"solve of shapes {x.shape} and {np.shape(x2)}: {x.shape[-1]} equations need as many rows on the right")
    lead = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = apply(_solve, (broadcast_to(x, (*lead, *x.shape[-2:])), broadcast_to(y, (*lead, *y.shape[-2:]))))
    return out.reshape(out.shape[:-1]) if vector else out


def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """The triangular L with L @ L.mT = x, of symmetric positive definite matrices; ``upper`` gives L.mT.

    Of an unsymmetric matrix the symmetric part is taken. Raises OperationError where that is not positive definite.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.cholesky(ab.tensor([[4.0, 0.0], [0.0, 9.0]]))
    tensor([[2., 0.],
            [0., 3.]])
    """
    out = apply(_cholesky, (_checked("cholesky", x),))
    return matrix_transpose(out) if upper else out


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and the eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@composite
def eigh(x: Any, /) -> EighResult:
    """The eigenvalues and eigenvectors of symmetric matrices; of an unsymmetric one the symmetric part is taken.

    The sign of a vector is arbitrary: only functions that do not depend on it have a meaningful gradient. Where
    eigenvalues are equal, a gradient through the vectors is refused with GradientError.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.eigh(ab.tensor([[3.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 3.])
    """
    out = apply(_eigh, (_checked("eigh", x),))
    return EighResult(getitem(out, (Ellipsis, 0, slice(None))), getitem(out, (Ellipsis, slice(1, None), slice(None))))


def eigvalsh(x: Any, /) -> Tensor:
    """The eigenvalues of symmetric matrices in ascending order (see `eigh`).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.eigvalsh(ab.tensor([[3.0, 0.0], [0.0, 1.0]]))
    tensor([1., 3.])
    """
    return eigh(x).eigenvalues


class SVDResult(NamedTuple):
    """Left vectors as columns, values in descending order, right vectors as rows."""

    U: Tensor
    S: Tensor
    Vh: Tensor


@composite
def svd(x: Any, /, *, full_matrices: bool = False) -> SVDResult:
    """The singular vectors and values of matrices: x = U @ diag(S) @ Vh, reduced.

    The vectors' signs are arbitrary: only functions that do not depend on them have a meaningful gradient. Where values
    are equal, a gradient through the vectors is refused with GradientError; so are full matrices.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.svd(ab.tensor([[3.0, 0.0], [0.0, 1.0]])).S
    tensor([3., 1.])
    """
    x = _checked("svd", x, square=False)
    m, n = x.shape[-2:]
    if full_matrices and m != n:
        raise OperationError(
            f"svd of shape {x.shape} with full_matrices=True: the vectors beyond the {min(m, n)} values are not determined; pass full_matrices=False"
        )
    out = apply(_svd, (x,))
    u, s, v = (getitem(out, (Ellipsis, rows, slice(None))) for rows in (slice(0, m), m, slice(m + 1, None)))
    return SVDResult(u, s, matrix_transpose(v))


def svdvals(x: Any, /) -> Tensor:
    """The singular values of matrices in descending order (see `svd`).

    Examples
    --------
    >>> import autograd_bn as ab
    >>> ab.linalg.svdvals(ab.tensor([[3.0, 0.0], [0.0, 1.0]]))
    tensor([3., 1.])
    """
    return svd(x).S

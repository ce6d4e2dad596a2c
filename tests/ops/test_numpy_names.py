"""Functions that NumPy has and the array API standard has not: values as NumPy's, called there or here, and gradients against references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from tests.oracles import value

rng = np.random.default_rng(3)
M, N, V, W = rng.standard_normal((3, 4)), rng.standard_normal((2, 4)), rng.standard_normal(4), rng.standard_normal(4)
HOLES = np.where(rng.random((3, 4)) < 0.3, np.nan, M)
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("dot", (M, N.T), {}),
    ("dot", (V, W), {}),
    ("dot", (M, V), {}),
    ("dot", (2.0, V), {}),
    ("dot", (rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4, 3))), {}),
    ("inner", (M, N), {}),
    ("inner", (V, W), {}),
    ("inner", (V, 3.0), {}),
    ("vdot", (M, M[::-1] + 1.0), {}),
    ("kron", (M, N), {}),
    ("kron", (V, M), {}),
    ("kron", (2.0, M), {}),
    ("cross", (M[:, :3], N[0, :3]), {}),
    ("cross", (M, M[::-1] * 2.0), {"axis": 0}),
    ("average", (M,), {}),
    ("average", (M,), {"axis": 0, "weights": np.array([1.0, 2.0, 0.5])}),
    ("average", (M,), {"axis": (0, 1), "weights": np.abs(M)}),
    ("average", (M,), {"axis": -1, "weights": V + 3.0, "keepdims": True}),
    ("ptp", (M,), {}),
    ("ptp", (M,), {"axis": 1, "keepdims": True}),
    ("vstack", ([M, V, N],), {}),
    ("hstack", ([V, W],), {}),
    ("hstack", ([M, M],), {}),
    ("hstack", ([1.0, V],), {}),
    ("dstack", ([M, M + 1.0],), {}),
    ("dstack", ([V, W],), {}),
    ("column_stack", ([V, N.T, W],), {}),
    ("broadcast_arrays", (M, V), {}),
    ("flipud", (M,), {}),
    ("fliplr", (M,), {}),
    *[("rot90", (M,), {"k": k}) for k in (0, 1, 2, 3, -1)],
    ("rot90", (rng.standard_normal((2, 3, 4)),), {"axes": (2, 0)}),
    ("atleast_1d", (2.0,), {}),
    ("atleast_2d", (V,), {}),
    ("ravel", (M,), {}),
    ("exp2", (V,), {}),
    ("cbrt", (V,), {}),
    ("degrees", (V,), {}),
    ("radians", (V,), {}),
    ("rad2deg", (V,), {}),
    ("deg2rad", (V,), {}),
    ("nan_to_num", (np.array([1.0, np.nan, np.inf, -np.inf]),), {}),
    ("nan_to_num", (np.array([1.0, np.nan, np.inf, -np.inf]),), {"nan": 7.0, "posinf": 8.0, "neginf": 0.0}),
    ("nan_to_num", (np.array([1.0, np.nan, np.inf, -np.inf]),), {"nan": np.inf, "posinf": -np.inf, "neginf": np.inf}),
    ("nan_to_num", (np.array([1.0, np.nan, np.inf, -np.inf], np.float16),), {}),
    ("nan_to_num", (np.array([1.0, np.nan, np.inf, -np.inf], np.longdouble),), {}),
    ("nanvar", (HOLES,), {"axis": 1, "correction": 1}),
    ("full_like", (M, 2.5), {}),
]
OF_MISSING = ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin")
CASES += [(name, (x,), options) for name in OF_MISSING for x in (M, HOLES) for options in ({}, {"axis": 0}, {"axis": 1, "keepdims": True})]
by_name = pytest.mark.parametrize(("name", "args", "options"), CASES, ids=lambda x: x if isinstance(x, str) else "")


def arrays(x: Any) -> list[np.ndarray[Any, Any]]:
    return [value(y) for y in (x if isinstance(x, (list, tuple)) else [x])]


@by_name
def test_it_is_numpys_and_so_is_numpys_of_tensors(name: str, args: Any, options: Any) -> None:
    expected = arrays(getattr(np, name)(*args, **options))
    tensors = [[ab.tensor(x, requires_grad=True) for x in a] if isinstance(a, list) else ab.tensor(a, requires_grad=True) if np.ndim(a) else a for a in args]
    found = [getattr(ab, name)(*args, **options)]
    if any(isinstance(t, (list, ab.Tensor)) for t in tensors) and name not in ("degrees", "radians", "rad2deg", "deg2rad"):  # products here, no ufuncs
        found.append(getattr(np, name)(*tensors, **options))
        assert isinstance(found[1][0] if isinstance(found[1], (list, tuple)) else found[1], ab.Tensor)
    for one in found:
        for a, b in zip(arrays(one), expected, strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-13)


@by_name
def test_gradients_are_right_in_every_mode(name: str, args: Any, options: Any) -> None:
    if name == "full_like":
        assert not getattr(ab, name)(ab.tensor(args[0], requires_grad=True), *args[1:]).requires_grad
        return
    if name == "nan_to_num" and np.isinf(options.get("nan", 0.0)):
        # From one infinity to another there is no slope to compare with: 1 where the element stays, 0 where it was replaced.
        assert value(ab.vjp(lambda x: ab.nan_to_num(x, **options), *args)[1](np.ones(4))[0]).tolist() == [1.0, 0.0, 0.0, 0.0]
        assert value(ab.jvp(lambda x: ab.nan_to_num(x, **options), args, (np.ones(4),))[1]).tolist() == [1.0, 0.0, 0.0, 0.0]
        return
    mapped = all(isinstance(a, np.ndarray) and a.ndim == args[0].ndim and np.all(np.isfinite(a)) for a in args)
    also = ("vmap", "jit") if mapped else ("jit",)
    report = ab.testing.check_gradients(lambda *xs: getattr(ab, name)(*xs, **options), *args, also=also, name=name)
    assert "vjp" in report.passed


def test_an_average_of_small_integers_does_not_wrap_around() -> None:
    x, weights = np.full(3, 200, np.uint8), np.array([200, 100, 100], np.uint8)
    assert value(ab.average(x, weights=weights)) == np.average(x, weights=weights) == 200.0


def test_what_is_missing_gets_no_gradient() -> None:
    for name in OF_MISSING:
        gradient = value(ab.grad(lambda x, name=name: getattr(ab, name)(x))(HOLES))
        assert np.all(gradient[np.isnan(HOLES)] == 0.0), name


def test_where_all_is_missing_the_result_is_nan() -> None:
    x = np.array([[np.nan, np.nan], [1.0, 2.0]])
    with np.errstate(invalid="ignore"):
        for name in ("nanmean", "nanvar", "nanmax", "nanmin"):
            assert np.isnan(value(getattr(ab, name)(x, axis=1))).tolist() == [True, False], name


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ab.ShapeError, match="weights have that shape or that of one axis, got \\(3,\\)"):
        ab.average(M, axis=1, weights=[1.0, 2.0, 3.0])
    with pytest.raises(ab.ShapeError, match="three elements, got 4 along axis -1"):
        ab.cross(M, M)
    with pytest.raises(ab.ShapeError, match="are one"):
        ab.rot90(M, axes=(1, -1))
    with pytest.raises(ab.ShapeError, match="axis 0 does not exist"):
        ab.rot90(1.0)
    for name in ("nan_to_num", "nanvar", "nanstd"):
        with pytest.raises(ab.DtypeError, match=f"{name} of complex numbers"):
            getattr(ab, name)(np.array([1.0 + 2.0j, np.nan]))

"""Names of other libraries: what an AttributeError says must exist, and what it is said for must not."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.elsewhere import INSTEAD

OWNERS = {
    "autograd_bn": ab,
    "Tensor": ab.tensor([1.0]),
    "Module": ab.nn.ReLU(),
    "linalg": ab.linalg,
    "nn": ab.nn,
    "nn.functional": ab.nn.functional,
    "nn.init": ab.nn.init,
    "optim": ab.optim,
    "data": ab.data,
}
ENTRIES = [(owner, name, instead) for owner, names in INSTEAD.items() for name, instead in names.items()]


@pytest.mark.parametrize(("owner", "name", "instead"), ENTRIES)
def test_each_name_is_not_here_and_what_is_named_instead_is(owner: str, name: str, instead: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(OWNERS[owner], name)
    assert str(error.value).endswith(f"has no attribute {name!r}; instead: {instead}")
    for path in re.findall(r"\bab\.([\w.]*\w)", instead):
        functools.reduce(getattr, path.split("."), ab)
    for function in re.findall(r"\bnp\.(\w+)", instead):
        getattr(np, function)
    for attribute in re.findall(r"\bx\.(\w+)", instead):
        getattr(ab.tensor([[1.0]]), attribute)


def differentiable(function: Any) -> bool:
    """Whether a function of NumPy's gives floats that move smoothly with what it is given."""
    rng = np.random.default_rng(0)
    matrix, vector = rng.uniform(0.5, 1.5, (3, 3)), rng.uniform(0.5, 1.5, 3)
    calls: list[Any] = [
        lambda h: (matrix + h,),
        lambda h: (vector + h,),
        lambda h: (vector + h, vector[::-1]),
        lambda h: (matrix + h, matrix.T),
        lambda h: ([matrix + h, matrix],),
        lambda h: ([vector + h, vector],),
        lambda h: (vector, np.sort(vector), vector + h),
        lambda h: (matrix + h, 0.5),
    ]
    for call in calls:
        with contextlib.suppress(Exception), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = [function(*call(h)) for h in (0.0, 1e-6, 2e-6)]
            flat = [np.concatenate([np.ravel(x) for x in (r if isinstance(r, (tuple, list)) else (r,))]) for r in results]
            first, second = flat[1] - flat[0], flat[2] - flat[1]
            if flat[0].dtype.kind == "f" and np.all(np.isfinite(first)) and np.abs(first).max() > 1e-9 and np.allclose(first, second, 1e-2, 1e-10):
                return True
    return False


NOT_OF_TENSORS = {
    *("asanyarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray", "asmatrix", "bmat", "from_dlpack", "frombuffer", "ix_", "mintypecode"),
    *(
        "frexp",
        "modf",
        "nextafter",
        "i0",
        "real_if_close",
        "require",
        "trim_zeros",
        "poly",
        "polyadd",
        "polyder",
        "polydiv",
        "polyint",
        "polymul",
        "polysub",
        "row_stack",
    ),
    *("histogram2d", "histogram_bin_edges", "histogramdd", "setdiff1d", "setxor1d", "union1d"),
    "trapz",  # the name of trapezoid before NumPy 2
    *("unique_all", "unique_counts", "unique_inverse", "unique_values"),
}
"""What nobody differentiates; a sentence that names NumPy's does for these."""


def test_each_differentiable_function_of_numpys_is_here_or_has_a_remedy() -> None:
    files = {name for name in dir(np) if "save" in name or name in ("test", "show_config", "show_runtime", "info", "fromfile", "fromstring")}
    functions = {name for name in dir(np) if not name.startswith("_") and callable(getattr(np, name)) and not isinstance(getattr(np, name), type)} - files
    found = {name for name in functions - set(ab.__all__) if differentiable(getattr(np, name))}
    assert found <= INSTEAD["autograd_bn"].keys() | NOT_OF_TENSORS
    assert {"nanquantile", "trapezoid", "polyval"} <= found  # so that the search finds something


def test_what_numpy_alone_has_is_left_to_numpy() -> None:
    for name, instead in (("float32", "np.float32"), ("pi", "np.pi"), ("bincount", "np.bincount of x.detach(), through which no gradient flows")):
        with pytest.raises(AttributeError, match=f"'{name}'; instead: {re.escape(instead)}$"):
            getattr(ab, name)


def test_each_part_of_the_table_has_names() -> None:
    assert set(INSTEAD) == set(OWNERS) and all(INSTEAD.values())


def test_modules_of_ones_own_are_told_too_and_travel_as_ever() -> None:
    class Block(ab.nn.Module):
        pass

    with pytest.raises(AttributeError, match=r"^'Block' object has no attribute 'cuda'; instead: leave it out"):
        Block().cuda()
    assert not hasattr(Block(), "size") and ab.nn.Sequential(ab.nn.ReLU(), ab.nn.Tanh())[1].training
    assert pickle.loads(pickle.dumps(copy.deepcopy(ab.nn.Linear(2, 1, rng=0)))).weight.shape == (1, 2)


def test_methods_that_write_in_place_are_told_how_tensors_are_written() -> None:
    with pytest.raises(AttributeError, match=r"'mul_'; instead: .*ab\.assign"):
        ab.tensor([1.0]).mul_(2.0)  # type: ignore[attr-defined]


def test_other_names_are_left_to_pythons_own_suggestions() -> None:
    for owner in OWNERS.values():
        with pytest.raises(AttributeError, match="has no attribute 'reshap'$") as error:
            owner.reshap  # type: ignore[attr-defined]  # noqa: B018
        assert error.value.name == "reshap" and error.value.obj is owner


DISTANCES = "ab.linalg.vector_norm(x[:, None] - y, axis=-1)"


def test_what_is_a_function_here_or_a_method_of_arrays_alone_is_told() -> None:
    x = ab.tensor([1.0])
    for name, instead in (("sort", "ab.sort"), ("kron", "ab.kron"), ("tobytes", "x.detach().numpy().tobytes"), ("cdist", DISTANCES)):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; instead: {re.escape(instead)}$"):
            getattr(x, name)
    with pytest.raises(AttributeError, match=r"instead: ab\.tensor\(data\)"):
        repr(ab.Tensor([1.0]))


def test_tensors_are_copied_and_pickled_as_ever() -> None:
    x = ab.tensor([1.0, 2.0])
    for made in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert made.tolist() == [1.0, 2.0]
    assert not hasattr(x, "__cuda_array_interface__")


X = np.ones((1, 2))
WORDS: list[tuple[Any, dict[str, Any], str]] = [
    *[
        (lambda x, name=name, **given: getattr(x, name)(**given), {"dim": 1}, "axis=1")
        for name in ("sum", "mean", "max", "min", "prod", "var", "std", "any", "all")
    ],
    *[(lambda x, name=name, **given: getattr(x, name)(**given), {"dim": 1}, "axis=1") for name in ("argmax", "argmin", "argsort", "cumsum", "cumprod")],
    (lambda x, **given: x.squeeze(**given), {"dim": 0}, "axis=0"),
    (lambda x, **given: x.flatten(**given), {"start_dim": 1}, "start_axis=1"),
    (lambda x, **given: x.mean(axis=0, **given), {"keepdim": True}, "keepdims=True"),
    (lambda x, **given: x.std(**given), {"unbiased": False}, "correction=0"),
    (lambda x, **given: ab.var(x, **given), {"ddof": 1}, "correction=1"),
    *[
        (lambda x, f=f, **given: f(x, **given), {"dim": -1}, "axis=-1")
        for f in (ab.sum, ab.mean, ab.max, ab.min, ab.any, ab.all, ab.argmax, ab.argmin, ab.logsumexp)
    ],
    *[
        (lambda x, f=f, **given: f(x, **given), {"dim": -1}, "axis=-1")
        for f in (ab.softmax, ab.log_softmax, ab.sort, ab.argsort, ab.median, ab.cumsum, ab.unstack)
    ],
    *[(lambda x, f=f, **given: f([x, x], **given), {"dim": 0}, "axis=0") for f in (ab.concat, ab.stack)],
    (lambda x, **given: ab.take(x, [0], **given), {"dim": 0}, "axis=0"),
    (lambda x, **given: ab.take_along_axis(x, [[0]], **given), {"dim": 0}, "axis=0"),
    (lambda x, **given: ab.split(x, 2, **given), {"dim": 1}, "axis=1"),
    (lambda x, **given: ab.flip(x, **given), {"dims": (0,)}, "axis=(0,)"),
    (lambda x, **given: ab.triu(x, **given), {"diagonal": 1}, "k=1"),
    (lambda x, **given: ab.vmap(ab.sin, **given)(x), {"in_dims": 1}, "in_axes=1"),
]


@pytest.mark.parametrize(("call", "given", "instead"), WORDS)
def test_a_keyword_of_another_library_is_told_what_it_is_called_here(call: Any, given: dict[str, Any], instead: str) -> None:
    (word,) = given
    x = ab.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match=rf"\(\) got an unexpected keyword argument '{word}'; instead: {re.escape(instead)}$"):
        call(x, **given)
    call(x, **eval(f"dict({instead})"))


LAYER = ab.nn.Linear(2, 2, rng=0)


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda: ab.optim.SGD(LAYER.parameters()).zero_grad(set_to_none=True), "set_to_none'; instead: leave it out, as gradients become None"),
        (lambda: LAYER.load_state_dict({}, strict=False), "strict'; instead: a whole state, {**module.state_dict(), **state}"),
        (lambda: ab.jit(ab.sin, static_argnums=0), "static_argnums'; instead: leave it out, as Python's numbers and strings are static"),
        (lambda: ab.zeros(2, 3), "zeros() takes 1 positional argument but 2 were given; instead: ab.zeros((2, 3))"),
        (lambda: ab.ones((2, 3), np.float32), "ones() takes 1 positional argument but 2 were given; instead: ab.ones((2, 3), dtype='float32')"),
        (lambda: ab.no_grad(lambda x: x), "no_grad() takes no arguments; instead: @ab.no_grad(), with parentheses, as a decorator"),
    ],
)
def test_a_call_as_in_another_library_is_told_how_it_is_written_here(call: Any, instead: str) -> None:
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value).endswith(instead)


def test_a_keyword_whose_value_is_an_array_is_told_without_it() -> None:
    with pytest.raises(TypeError, match=r"batch_norm\(\) got an unexpected keyword argument 'weight'; instead: gamma$"):
        ab.batch_norm(np.ones((3, 2)), weight=np.ones(2), bias=np.zeros(2))


def test_keywords_that_nobody_has_are_refused_in_pythons_words() -> None:
    x = ab.tensor(X)
    for call in (x.sum, x.var, lambda **given: ab.sum(x, **given), lambda **given: ab.softmax(x, **given), lambda **given: ab.concat([x], **given)):
        with pytest.raises(TypeError, match=r"\w\(\) got an unexpected keyword argument 'size'$"):
            call(size=1)


def test_errors_inside_of_a_composite_are_its_own() -> None:
    @ab.composite
    def faulty(x: Any, axis: int = 0) -> Any:
        raise TypeError("its own")

    with pytest.raises(TypeError, match="its own"):
        faulty(1.0, axis=1)


def test_signatures_show_what_there_is() -> None:
    for function in (ab.sum, ab.concat, ab.Tensor.sum, ab.Tensor.var, ab.vmap, ab.zeros, ab.no_grad, ab.nn.Module.load_state_dict):
        assert "Never" not in str(inspect.signature(function))

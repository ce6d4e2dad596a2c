"""Complex numbers through every primitive that takes them, against differences along the real and the imaginary axis, and PyTorch's convention."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.primitive import registry
from tests.core.test_registry import DIFFERENTIABLE, Case, cases
from tests.oracles import assert_close, value

STEP = 1e-6


def complex_cases(name: str) -> list[Case]:
    """The primitive's cases with complex operands, all of them and each alone; none where it takes no complex numbers."""
    primitive = registry[name]
    rng = np.random.default_rng([3, *name.encode()])
    found = []
    for case in cases(primitive):
        if "dtype" in case.static:
            case = case._replace(static={**case.static, "dtype": np.dtype(complex)})
        for turned in itertools.product([True, False], repeat=len(case.real)):
            if not any(turned):
                continue
            operands = list(case.operands)
            for i, turn in zip(case.real, turned, strict=True):
                if turn:
                    operands[i] = operands[i] + 0.3j * rng.standard_normal(np.shape(operands[i]))
            try:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("error", np.exceptions.ComplexWarning)
                    primitive.forward(*operands, **case.static)
            except (TypeError, ab.AutogradError, np.exceptions.ComplexWarning):
                continue
            found.append(case._replace(operands=tuple(operands)))
    return found


def differentiated(case: Case) -> list[int]:
    return [i for i, x in enumerate(case.operands) if np.asarray(x).dtype.kind in "fc"]


def bound(name: str, case: Case) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """The primitive by its floating operands: for tensors, for arrays, and the operands."""
    places = differentiated(case)

    def filled(values: Sequence[Any]) -> list[Any]:
        operands = list(case.operands)
        for i, x in zip(places, values, strict=True):
            operands[i] = x
        return operands

    primitive = registry[name]
    return (
        lambda *xs: primitive(*filled(xs), **case.static),
        lambda *xs: np.asarray(primitive.forward(*filled(xs), **case.static)),
        [case.operands[i] for i in places],
    )


def gradient(loss: Callable[..., float], operands: Sequence[Any], position: int) -> Any:
    """∂L/∂Re z + i·∂L/∂Im z by central differences; of a real operand the first alone."""
    z = np.asarray(operands[position])
    out = np.zeros(z.shape, z.dtype)
    for index in np.ndindex(z.shape):
        for unit in (1, 1j) if z.dtype.kind == "c" else (1,):
            moved = [np.array(x) for x in operands]
            moved[position][index] += STEP * unit
            above = loss(*moved)
            moved[position][index] -= 2 * STEP * unit
            out[index] += unit * (above - loss(*moved)) / (2 * STEP)
    return out


def normal(rng: np.random.Generator, like: Any) -> Any:
    like = np.asarray(like)
    real = rng.standard_normal(like.shape)
    return real + 1j * rng.standard_normal(like.shape) if like.dtype.kind == "c" else real


TAKERS = [name for name in DIFFERENTIABLE if complex_cases(name)]


def test_most_primitives_take_complex_numbers() -> None:
    refused = set(DIFFERENTIABLE) - set(TAKERS)
    assert refused == {"atan2", "cbrt", "cholesky", "eigh", "erf", "hypot", "logabsdet", "logaddexp", "relu", "remainder", "svd"}


@pytest.mark.parametrize("name", TAKERS)
def test_reverse_mode_gives_the_slopes_along_both_axes(name: str) -> None:
    rng = np.random.default_rng(1)
    for case in complex_cases(name):
        function, forward, operands = bound(name, case)
        out, pullback = ab.vjp(function, *operands)
        v = normal(rng, out.detach().numpy())

        def loss(*xs: Any, forward: Any = forward, v: Any = v) -> float:
            return float(np.sum((np.conj(v) * forward(*xs)).real))

        for i, actual in enumerate(pullback(v)):
            assert actual.dtype == np.asarray(operands[i]).dtype
            assert_close(actual, gradient(loss, operands, i), what=f"{name} by {i}")


@pytest.mark.parametrize("name", TAKERS)
def test_forward_mode_gives_the_slope_along_a_direction(name: str) -> None:
    rng = np.random.default_rng(2)
    for case in complex_cases(name):
        function, forward, operands = bound(name, case)
        u = [normal(rng, x) for x in operands]
        out, tangent = ab.jvp(function, operands, u)
        above, below = (forward(*(x + s * STEP * d for x, d in zip(operands, u, strict=True))) for s in (1, -1))
        assert tangent.dtype == out.dtype
        assert_close(tangent, (above - below) / (2 * STEP), what=name)


@pytest.mark.parametrize("name", TAKERS)
def test_second_order_in_both_orders_of_the_modes(name: str) -> None:
    rng = np.random.default_rng(3)
    for case in complex_cases(name):
        function, _, operands = bound(name, case)
        v = normal(rng, ab.vjp(function, *operands)[0].detach().numpy())
        weights = [normal(rng, x) for x in operands]

        def first(*xs: Any, function: Any = function, v: Any = v, weights: Any = weights) -> Any:
            gradients = ab.vjp(function, *xs)[1](v)
            return sum((ab.real(c * np.conj(w))).sum() for c, w in zip(gradients, weights, strict=True))

        over_reverse = ab.grad(first, argnums=tuple(range(len(operands))))(*operands)
        over_forward = ab.jvp(lambda *xs, function=function, v=v: ab.vjp(function, *xs)[1](v), operands, weights)[1]
        for i, (a, b) in enumerate(zip(over_reverse, over_forward, strict=True)):
            expected = gradient(lambda *xs, first=first: float(value(first(*xs))), operands, i)
            assert_close(a, expected, 1e-5, f"{name} by {i}, reverse over reverse")
            assert_close(b, expected, 1e-5, f"{name} by {i}, forward over reverse")


@pytest.mark.parametrize("name", TAKERS)
def test_batches_are_those_of_a_loop(name: str) -> None:
    rng = np.random.default_rng(4)
    for case in complex_cases(name):
        function, _, operands = bound(name, case)
        wide = [np.stack([x, x * 1.05]) for x in map(np.asarray, operands)]
        v = normal(rng, ab.vjp(function, *operands)[0].detach().numpy())

        def pulled(*xs: Any, function: Any = function, v: Any = v) -> Any:
            out, pullback = ab.vjp(function, *xs)
            return (out, *pullback(v))

        loops = [pulled(*(x[k] for x in wide)) for k in range(2)]
        for actual, *rows in zip(ab.vmap(pulled)(*wide), *loops, strict=True):
            assert_close(actual, np.stack([value(row) for row in rows]), 1e-12)


@pytest.mark.parametrize("name", TAKERS)
def test_single_precision_stays(name: str) -> None:
    for case in complex_cases(name):
        if "dtype" in case.static:
            continue
        narrow = tuple(x.astype({"c": "complex64", "f": "float32"}.get(x.dtype.kind, x.dtype)) for x in map(np.asarray, case.operands))
        function, _, operands = bound(name, case._replace(operands=narrow))
        out, pullback = ab.vjp(function, *operands)
        assert out.dtype in (np.complex64, np.float32)
        assert [c.dtype for c in pullback(np.ones(out.shape, out.dtype))] == [x.dtype for x in operands]


def test_the_gradient_points_uphill_as_in_pytorch() -> None:
    z = ab.tensor([1.0 + 2.0j, -0.5 + 0.25j], requires_grad=True)
    (ab.abs(z) ** 2).sum().backward()
    assert_close(z.grad, 2 * z.detach().numpy())
    w = ab.tensor([1.0 + 2.0j], requires_grad=True)
    ab.real(w * (3.0 - 1.0j)).sum().backward()
    assert_close(w.grad, [3.0 + 1.0j])


COMPOSITIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "modulus of a product": lambda xp, z, w: xp.abs(z @ w).sum(),
    "phase": lambda xp, z, w: xp.angle(z * w.T).sum(),
    "conjugate and parts": lambda xp, z, w: (xp.real(z * xp.conj(z)) + xp.imag(xp.exp(z))).sum(),
    "holomorphic, squared": lambda xp, z, w: (xp.abs(xp.tanh(z) * xp.log(w.T) / xp.sqrt(z)) ** 2).sum(),
    "real base, complex exponent": lambda xp, z, w: xp.real(xp.abs(z) ** w.T).sum(),
    "solve": lambda xp, z, w: xp.abs(xp.linalg.solve(z @ w, z[:, :2])).sum(),
    "inverse and determinant": lambda xp, z, w: xp.real(xp.linalg.inv(z @ w)).sum() + xp.abs(xp.linalg.det(z @ w)),
    "parts of parts": lambda xp, z, w: (xp.imag(z)[0] * xp.real(w)[:, 0]).sum(),
}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_compositions_have_pytorchs_gradients(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[peers]'")
    rng = np.random.default_rng(5)
    z, w = (rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in ((2, 3), (3, 2)))
    function = COMPOSITIONS[name]
    ours = [ab.tensor(x, requires_grad=True) for x in (z, w)]
    theirs = [torch.tensor(x, requires_grad=True) for x in (z, w)]
    loss, expected = function(ab, *ours), function(torch, *theirs)
    assert_close(loss, expected.detach().numpy(), 1e-12)
    loss.backward()
    expected.backward()
    for a, b in zip(ours, theirs, strict=True):
        assert_close(0.0 * a.detach() if a.grad is None else a.grad, np.zeros(b.shape) if b.grad is None else b.grad.resolve_conj().numpy(), 1e-10)


def test_a_complex_result_needs_a_seed_and_takes_one() -> None:
    z = ab.tensor(1.0 + 2.0j, requires_grad=True)
    with pytest.raises(ab.GradientError, match=r"backward\(\) of a complex number needs a seed.*ab\.real"):
        (z * z).backward()
    with pytest.raises(ab.DtypeError, match=r"grad needs a real value, got complex128"):
        ab.grad(lambda z: z * z)(1.0 + 2.0j)
    (z * z).backward(1.0)
    assert_close(z.grad, np.conj(2 * (1.0 + 2.0j)))


def test_jacobians_of_complex_numbers_are_refused() -> None:
    with pytest.raises(ab.DtypeError, match=r"jacobian needs a real floating dtype, got complex128; differentiate by the real and the imaginary part"):
        ab.jacobian(ab.exp)(np.array([1.0 + 1.0j]))


def test_hooks_records_and_retained_gradients_are_those_of_grad() -> None:
    seen = []
    with ab.record():
        z = ab.tensor([1.0 + 2.0j], requires_grad=True)
        w = z * (2.0 - 1.0j)
        w.retain_grad()
        w.register_hook(seen.append)
        loss = ab.real(w * w).sum()
        loss.backward()
    expected = np.conj(2 * w.detach().numpy())
    assert_close(w.grad, expected)
    assert_close(seen[0], expected)
    assert_close(z.grad, expected * (2.0 + 1.0j))
    node = next(n for n in ab.graph(loss).nodes if n.name == "w")
    assert_close(node.cotangents[0], z.grad)


def test_a_hooks_replacement_is_a_gradient() -> None:
    z = ab.tensor([1.0 + 2.0j], requires_grad=True)
    w = z * 1.0
    w.register_hook(lambda g: ab.tensor([1.0 + 1.0j]))
    ab.abs(w).sum().backward()
    assert_close(z.grad, [1.0 + 1.0j])


def test_rules_of_ones_own_speak_of_gradients() -> None:
    @ab.custom_vjp
    def times(z: Any) -> Any:
        return z * (2.0 - 1.0j)

    times.defvjp(lambda z: (times(z), None), lambda _, g: (g * (2.0 + 1.0j),))  # the adjoint, as PyTorch's rules are written

    @ab.custom_jvp
    def also(z: Any) -> Any:
        return z * (2.0 - 1.0j)

    also.defjvp(lambda primals, tangents: (also(*primals), tangents[0] * (2.0 - 1.0j)))
    z = np.array([0.5 + 1.0j, -1.0j])
    plain = ab.grad(lambda z: ab.abs(z * (2.0 - 1.0j)).sum())(z)
    for function in (times, also):
        assert_close(ab.grad(lambda z, function=function: ab.abs(function(z)).sum())(z), plain.numpy())


def test_complex_numbers_survive_a_checkpoint_and_a_second_derivative() -> None:
    z = np.array([0.5 + 1.0j, 1.0 - 1.0j])

    def loss(z: Any) -> Any:
        return ab.abs(ab.exp(z) * z).sum()

    assert_close(ab.grad(ab.checkpoint(loss))(z), ab.grad(loss)(z).numpy(), 1e-12)
    leaf = ab.tensor(z, requires_grad=True)
    loss(leaf).backward(create_graph=True)
    first = leaf.grad
    leaf.grad = None
    ab.real(first * (1.0 - 2.0j)).sum().backward()
    assert_close(leaf.grad, ab.hvp(loss, z, np.full(2, 1.0 + 2.0j)).numpy(), 1e-10)


def test_the_kit_checks_functions_of_complex_numbers_by_their_parts() -> None:
    z = np.array([1.0 + 2.0j, -0.5 + 0.25j])
    for function, given in ((lambda z: ab.exp(z) * ab.conj(z), z), (lambda x: ab.exp(1j * x), z.real.copy()), (lambda z: ab.abs(z).sum(), z)):
        assert ab.testing.check_gradients(function, given, also=("vmap", "checkpoint")).ok
    assert "values" in ab.testing.check_gradients(lambda z: ab.abs(z), z, reference=lambda z: np.abs(z)).passed

    @ab.custom_vjp
    def square(z: Any) -> Any:
        return z * z

    square.defvjp(lambda z: (z * z, z), lambda z, g: (g * 2 * z,))  # the conjugate is missing
    with pytest.raises(AssertionError, match=r"argument 0 \(z\), real part[\s\S]*perhaps .*square"):
        ab.testing.check_gradients(lambda z: square(z), z)


def test_casts_that_lose_the_imaginary_part_are_refused() -> None:
    z = ab.tensor([1.0 + 2.0j], requires_grad=True)
    with pytest.raises(ab.DtypeError, match=r"astype: complex128 to float64 would drop the imaginary part; take ab\.real\(x\)"):
        z.astype("float64")
    x = ab.tensor([1.0, 2.0], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ab.abs(x.astype("complex128") * (3.0 + 4.0j)).sum().backward()
    assert_close(x.grad, [5.0, 5.0])


def test_the_sign_of_complex_numbers_is_refused_because_it_is_no_step() -> None:
    with pytest.raises(ab.DtypeError, match=r"sign of complex numbers is not defined here; divide them by ab\.abs\(x\)"):
        ab.sign(ab.tensor([1.0 + 2.0j], requires_grad=True))


def test_numpys_functions_and_attributes_of_complex_tensors_are_recorded() -> None:
    z = ab.tensor([1.0 + 2.0j], requires_grad=True)
    for y in (z.real, np.real(z), z.imag, np.imag(z), z.conj(), np.conj(z), np.abs(z), np.angle(z)):
        assert y.requires_grad
    assert_close(np.angle(z, deg=True), np.angle([1.0 + 2.0j], deg=True))
    assert (z.real.numpy(), z.imag.numpy()) == ([1.0], [2.0])

"""Derivatives of derivatives: transforms nest, in any order and both modes.

python examples/higher_order.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_bn as ab

Function = Callable[[Any], Any]


def rosenbrock(p: ab.Tensor) -> Any:
    """A banana-shaped valley whose lowest point is (1, 1)."""
    x, y = p[0], p[1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def hessian_product(p: ab.Tensor, v: ab.Tensor) -> Any:
    """The Hessian times a vector, forward over reverse: no matrix is formed."""
    return ab.jvp(ab.grad(rosenbrock), (p,), (v,))[1]


def hessian(p: ab.Tensor) -> Any:
    """All columns at once, one product an axis."""
    return ab.vmap(hessian_product, in_axes=(None, 0), out_axes=1)(p, ab.eye(p.size))


def newton(p: ab.Tensor, steps: int) -> ab.Tensor:
    """Newton's method: each step goes to the bottom of the parabola that fits here."""
    for step in range(steps):
        value, slope = ab.value_and_grad(rosenbrock)(p)
        print(f"step {step}: f = {value.item():.3g} at ({p[0].item():.4f}, {p[1].item():.4f})")
        p = p - np.linalg.solve(hessian(p).numpy(), slope.numpy())
    return p


def main() -> None:
    print("derivatives of sin at 1:", [f"{derivative(ab.sin, n)(1.0).item():.4f}" for n in range(5)])
    p = newton(ab.tensor([-1.2, 1.0]), 7)
    print(f"lowest point: ({p[0].item():.4f}, {p[1].item():.4f})")


def derivative(f: Function, order: int) -> Function:
    """The derivative of some order."""
    for _ in range(order):
        f = ab.grad(f)
    return f


if __name__ == "__main__":
    main()

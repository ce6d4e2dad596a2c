"""The derivative of a function of a number, by each of the ways there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd_bn as ab

Scalar = Callable[[Any], Any]


def by_grad(f: Scalar) -> Scalar:
    return ab.grad(f)


def by_vjp(f: Scalar) -> Scalar:
    return lambda x: ab.vjp(f, x)[1](1.0)[0]


def by_jvp(f: Scalar) -> Scalar:
    return lambda x: ab.jvp(f, (x,), (1.0,))[1]


def by_vmap_grad(f: Scalar) -> Scalar:
    return lambda x: ab.vmap(ab.grad(f))(ab.reshape(x, (1,))).sum()


MODES = [by_grad, by_vjp, by_jvp, by_vmap_grad]


def named(modes: tuple[Any, ...]) -> str:
    return "-".join(mode.__name__.removeprefix("by_") for mode in modes)

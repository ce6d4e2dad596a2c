"""Random programs through the transforms: each agrees with differences, or with another that was found in another mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import AutogradError
from autograd_bn.testing.program import AUTOGRAD, Program
from autograd_bn.testing.program_oracle import judge
from tests.fuzz import program_of
from tests.oracles import assert_close, value

Function = Callable[..., Any]


def function_of(program: Program) -> Function:
    """The loss as a function of the inputs."""
    return lambda *xs: ab.asarray(program.loss(program.run(AUTOGRAD, xs)))


def right_programs(count: int, seed: int, cut: bool = True) -> list[tuple[Program, list[Any]]]:
    """Programs that are right under ``backward()``, with their gradients by differences; without ``detach`` and ``no_grad`` unless ``cut``."""
    found = []
    for i in range(count):
        program = program_of(seed, i)
        if not cut and any(step.name == "detach" or step.under == "no_grad" for step in program.steps):
            continue
        outcome = judge(program)
        if outcome.kind == "right" and outcome.gradients is not None:
            found.append((program, outcome.gradients))
    assert len(found) > count // 3
    return found


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def test_grad_and_jvp_agree_with_differences() -> None:
    done = 0
    for program, expected in right_programs(80, 11):
        function, positions = function_of(program), tuple(range(len(program.inputs)))
        try:
            found = ab.grad(function, positions)(*program.inputs)
            directions = [np.cos(np.arange(x.size, dtype=float)).reshape(x.shape) for x in program.inputs]
            slope = None
            if not any(step.under == "no_grad" for step in program.steps):  # which stops the reverse tape alone
                slope = ab.jvp(function, program.inputs, directions)[1]
        except AutogradError:
            continue
        for gradient, wanted in zip(found, expected, strict=True):
            assert_close(gradient, wanted, 1e-5, str(program))
        if slope is not None:
            assert_close(slope, sum(np.sum(value(g) * d) for g, d in zip(found, directions, strict=True)), 1e-9, str(program))
        done += 1
    assert done > 50


def test_mapped_gradients_are_those_of_each() -> None:
    done = 0
    for program, _ in right_programs(40, 12, cut=False):
        positions = tuple(range(len(program.inputs)))
        gradients = ab.grad(function_of(program), positions)
        try:
            apart = [gradients(*(x * scale for x in program.inputs)) for scale in (1.0, 0.999)]
            mapped = ab.vmap(gradients)(*(np.stack([x, x * 0.999]) for x in program.inputs))
        except AutogradError:
            continue
        for i in positions:
            assert_close(mapped[i], np.stack([value(found[i]) for found in apart]), 1e-8, str(program))
        done += 1
    assert done > 10


def test_hessian_products_agree_between_modes() -> None:
    done = 0
    for program, _ in right_programs(40, 13, cut=False):
        positions = tuple(range(len(program.inputs)))
        gradients = ab.grad(function_of(program), positions)
        directions = [np.sin(1.0 + np.arange(x.size, dtype=float)).reshape(x.shape) for x in program.inputs]

        def along(*xs: Any, gradients: Function = gradients, directions: list[Any] = directions) -> Any:
            return sum((g * d).sum() for g, d in zip(gradients(*xs), directions, strict=True))

        try:
            reverse = ab.grad(along, positions)(*program.inputs)
            forward = ab.jvp(gradients, program.inputs, directions)[1]
        except AutogradError:
            continue
        for one, other in zip(forward, reverse, strict=True):
            assert_close(one, other, 1e-8, str(program))
        done += 1
    assert done > 10

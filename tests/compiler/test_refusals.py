"""What a compiled function would do only while it is traced is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import TraceError

Jit = Callable[[Callable[..., Any]], Any]
X = ab.tensor([1.0, -2.0, 3.0])


@pytest.fixture(params=["llvm", "numpy"], autouse=True)
def jit(request: pytest.FixtureRequest) -> Jit:
    """Each test with both emitters."""
    return lambda function: ab.jit(function, emitter=request.param)


def _caught(x: Any) -> Any:
    try:
        return x * float(x.sum())
    except Exception:  # noqa: BLE001 - as a program may
        return x


def _caught_branch(x: Any) -> Any:
    try:
        return x if x.sum() > 0 else -x
    except ab.TraceError:
        return x


def _shared(x: Any) -> Any:
    a = np.zeros(3)
    t = ab.asarray(a)
    y = x * t
    a[0] = 1.0
    return y + x * t


def _taking(items: Any) -> Callable[..., Any]:
    return lambda x: x * next(items)


def _drawing() -> Callable[..., Any]:
    rng = np.random.default_rng(0)
    return lambda x: x + rng.standard_normal(3)


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (_caught, "caught this error"),
        (_caught_branch, "caught this error"),
        (_shared, r"ab\.tensor"),
        (_drawing(), r"ab\.nn\.Generator"),
        (_taking(iter([2.0, 3.0])), "of an iterator"),
        (_taking(x for x in (2.0, 3.0)), "of an iterator"),
        (lambda x: x + np.random.standard_normal(3), r"ab\.nn\.Generator"),
    ],
)
def test_what_would_happen_only_while_it_is_traced_is_refused(function: Callable[..., Any], match: str, jit: Jit) -> None:
    with pytest.raises(TraceError, match=match):
        jit(function)(X)


def test_containers_among_the_arguments_are_not_changed(jit: Jit) -> None:
    with pytest.raises(TraceError, match="return what is new"):
        jit(lambda x, parts: parts.append(x))(X, [X])
    with pytest.raises(TraceError, match="return what is new"):
        jit(lambda x, parts: parts.update(y=x))(X, {})
    with pytest.raises(TraceError, match=r"ab\.nn\.Generator"):
        jit(lambda x, rng: x * rng.random())(X, np.random.default_rng(0))


@pytest.mark.parametrize("change", ["lr", "momentum", "schedule"])
def test_settings_of_an_optimiser_are_not_changed_inside(change: str, jit: Jit) -> None:
    w = ab.tensor([1.0], requires_grad=True)
    optimizer = ab.optim.SGD([w], lr=0.1, momentum=0.5)
    schedule = ab.optim.StepLR(optimizer, 1)

    def step() -> None:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        if change == "schedule":
            schedule.step()
        else:
            optimizer.param_groups[0][change] *= 0.5

    with pytest.raises(TraceError, match="between the calls"):
        jit(step)()
    assert schedule.steps == 0 and optimizer.lr == 0.1 and w.item() == 1.0

"""The stateful test of tensors, and that it can fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from autograd_bn.core import views
from autograd_bn.core.primitive import registry
from autograd_bn.testing.stateful import TensorMachine

steady = settings(max_examples=6, stateful_step_count=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
fast = settings(steady, max_examples=60, phases=[Phase.generate])


def test_whatever_is_done_in_whatever_order_is_right_or_refused() -> None:
    run_state_machine_as_test(TensorMachine, settings=steady)


def test_a_broken_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = registry["mul"].vjp
    assert right is not None

    def wrong(g: Any, *args: Any) -> Sequence[Any]:
        return [None if x is None else x * 1.5 for x in right(g, *args)]

    monkeypatch.setattr(registry["mul"], "vjp", wrong)
    with pytest.raises(AssertionError, match="gradient by x|DESIRED"):
        run_state_machine_as_test(TensorMachine, settings=fast)


def test_views_that_do_not_follow_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "views_of", lambda base: iter(()))
    with pytest.raises(AssertionError, match="the value"):
        run_state_machine_as_test(TensorMachine, settings=fast)

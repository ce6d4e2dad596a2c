"""Random programs as PyTorch runs them: the oracle agrees with it, and we refuse hardly any that it accepts."""

from __future__ import annotations

import pytest

from tests.fuzz import fuzz


def test_the_oracle_agrees_with_pytorch_and_few_that_it_accepts_are_refused() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install '.[peers]'")
    report = fuzz(150, 5, torch)
    assert report.peer["accepted"] > 75, report
    assert sum(report.needless.values()) <= 0.05 * report.peer["accepted"], report
    assert report.peer["differs"] <= 1, report

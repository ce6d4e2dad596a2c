"""A sample of the mutants; `python -m tests.mutants` judges all of them."""

from __future__ import annotations

from tests.mutants import study


def test_a_sample_of_mutants_is_killed_and_named() -> None:
    total, _, survivors = study(sample=120)
    assert survivors == []
    assert total["killed"] > 40
    assert total["named"] >= 0.75 * total["killed"]

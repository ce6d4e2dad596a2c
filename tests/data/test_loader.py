from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from autograd_bn.core.errors import OperationError
from autograd_bn.data import Loader


def loader(count: int = 23, batch_size: int = 5, **options: Any) -> Loader:
    return Loader((np.arange(float(count)), np.arange(count)), batch_size, **{"seed": 7, **options})


def epoch(source: Loader) -> list[list[int]]:
    return [y.tolist() for _, y in source]


@pytest.mark.parametrize("drop_last", [False, True])
def test_an_epoch_covers_the_data_once_and_the_next_has_another_order(drop_last: bool) -> None:
    source = loader(drop_last=drop_last)
    first, second = epoch(source), epoch(source)
    for batches in (first, second):
        assert [len(b) for b in batches] == [5] * 4 + ([] if drop_last else [3])
        assert len(batches) == len(source)
        seen = [y for batch in batches for y in batch]
        assert len(set(seen)) == len(seen) == (20 if drop_last else 23)
    assert first != second
    assert (source.epoch, source.position) == (2, 0)
    assert all((x == y).all() for x, y in source)


def test_the_seed_decides_the_order() -> None:
    assert epoch(loader()) == epoch(loader())
    assert epoch(loader()) != epoch(loader(seed=8))
    assert epoch(loader(seed=None)) != epoch(loader(seed=None))
    assert epoch(loader(shuffle=False))[0] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("taken", [0, 1, 4, 5, 7, 12])
def test_a_saved_position_goes_on_with_the_same_batches(taken: int) -> None:
    def stream(source: Loader, count: int) -> list[list[int]]:
        found: list[list[int]] = []
        while len(found) < count:
            for _, y in source:
                found.append(y.tolist())
                if len(found) == count:
                    break
        return found

    whole = stream(loader(), 15)
    first = loader()
    assert stream(first, taken) == whole[:taken]
    state = json.loads(json.dumps(first.state_dict()))
    second = loader(seed=99)
    second.load_state_dict(state)
    assert stream(second, 15 - taken) == whole[taken:]
    assert stream(first, 15 - taken) == whole[taken:]


def test_a_state_of_other_data_is_refused_and_nothing_changes() -> None:
    source = loader()
    good = source.state_dict()
    for state, match in (
        ({**good, "count": 24, "batch_size": 6, "epoch": 3}, r"count is 23 here, 24 there(.|\n)*batch_size is 5 here"),
        ({**good, "position": 6}, "cannot be"),
        ({**good, "epoch": -1}, "cannot be"),
        ({**good, "epoch": "1"}, "cannot be"),
        ({"seed": 1}, "has seed, epoch"),
    ):
        with pytest.raises(OperationError, match=match):
            source.load_state_dict(state)
    assert source.state_dict() == good


def test_bad_arguments_are_refused() -> None:
    for make, match in (
        (lambda: Loader((np.ones(5), np.ones(4)), 2), "lengths 5, 4"),
        (lambda: Loader(np.ones((5, 2)), 2), r"a tuple of arrays, such as \(inputs, targets\), or \(inputs,\); got ndarray"),  # type: ignore[arg-type]
        (lambda: Loader((np.ones(5), np.float64(1)), 2), "lengths"),
        (lambda: loader(batch_size=0), "batch size"),
        (lambda: loader(batch_size=2.5), "batch size"),
        (lambda: loader(seed=-1), "seed"),
        (lambda: loader(count=4, drop_last=True), "larger than the 4 examples.*without drop_last"),
        (lambda: loader(count=0), "larger than the 0 examples"),
    ):
        with pytest.raises(OperationError, match=match):
            make()

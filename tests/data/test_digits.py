from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import autograd_bn.data
from autograd_bn.core.errors import OperationError
from autograd_bn.data import Dataset, batches, digits, split


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def test_the_digits_are_the_data_set() -> None:
    images, labels = digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert int((images * 16).sum()) == 561718


def test_the_digits_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn, the oracle here, is not installed")
    theirs = datasets.load_digits()
    images, labels = digits()
    np.testing.assert_array_equal(images * 16, theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)


def test_the_source_is_attributed() -> None:
    text = (Path(autograd_bn.data.__file__).parent / "DIGITS.txt").read_text()
    for part in ("Alpaydin", "10.24432/C50P49", "CC BY 4.0"):
        assert part in text


def test_a_split_is_a_partition_that_a_seed_decides() -> None:
    data = Dataset(np.arange(50.0), np.arange(50))
    train, test = split(data, rng(), test=0.3)
    assert (len(train.labels), len(test.labels)) == (35, 15)
    assert sorted([*train.labels, *test.labels]) == list(range(50))
    assert (train.images == train.labels).all()
    assert (test.images == test.labels).all()
    assert split(data, rng())[1].labels.tolist() == split(data, rng())[1].labels.tolist()
    assert split(data, rng())[1].labels.tolist() != split(data, rng(1))[1].labels.tolist()


@pytest.mark.parametrize("test", [0.0, 1.0, -1, 2, 0.001])
def test_a_split_with_an_empty_part_is_refused(test: float) -> None:
    with pytest.raises(OperationError, match="part empty"):
        split(Dataset(np.arange(5), np.arange(5)), rng(), test=test)


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_cover_the_data_once(drop_last: bool) -> None:
    x, y = np.arange(23.0), np.arange(23)
    got = list(batches(x, y, 5, rng(), drop_last=drop_last))
    assert [len(b) for _, b in got] == [5] * 4 + ([] if drop_last else [3])
    seen = np.concatenate([b for _, b in got])
    assert len(set(seen)) == len(seen) == (20 if drop_last else 23)
    assert (np.concatenate([a for a, _ in got]) == seen).all()
    assert seen.tolist() != sorted(seen)
    assert next(b.tolist() for _, b in batches(x, y, 5)) == [0, 1, 2, 3, 4]


def test_bad_batches_are_refused_at_once() -> None:
    with pytest.raises(OperationError, match="5 images but 4 labels"):
        batches(np.ones(5), np.ones(4), 2)
    for size in (0, -1, 2.5):
        with pytest.raises(OperationError, match="batch size"):
            batches(np.ones(5), np.ones(5), size)  # type: ignore[arg-type]

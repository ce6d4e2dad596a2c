from __future__ import annotations

import gzip
import hashlib
import io
import struct
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd_bn.core.cache_folder import cache_folder
from autograd_bn.core.errors import OperationError
from autograd_bn.data import mnist, read_idx
from autograd_bn.data.idx import FILES
from tests.mnist import idx, needs_mnist, written


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no folder given."""
    monkeypatch.delenv("AUTOGRAD_BN_DATA", raising=False)
    monkeypatch.delenv("AUTOGRAD_BN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@needs_mnist
def test_mnist_is_mnist() -> None:
    train, test = mnist(download=False)
    assert (train.images.shape, test.images.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert (train.images.dtype, train.labels.dtype) == (np.float32, np.int64)
    assert (train.images.min(), train.images.max()) == (0, 1)
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize("packed", [True, False])
def test_other_data_in_the_same_files_are_found_in_each_place_in_order(packed: bool, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> int:
        return len(mnist(download=False)[0].images)

    written(cache_folder() / "mnist", packed=packed, train=5)
    assert found() == 5
    written(alone / "data" / "mnist", packed=packed, train=6)
    monkeypatch.setenv("AUTOGRAD_BN_DATA", str(alone / "data"))
    assert found() == 6
    written(alone / "data", packed=packed, train=7)
    assert found() == 7
    assert len(mnist(written(alone / "given", packed=packed, train=8))[0].images) == 8


def test_nothing_found_names_all_remedies(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(address: str, timeout: float) -> Any:
        assert address.startswith("https://")
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(OperationError) as told:
        mnist()
    for part in ("no network", "AUTOGRAD_BN_DATA", str(cache_folder() / "mnist"), "mnist(path=...)", "ab.data.digits()", "t10k-labels-idx1-ubyte.gz"):
        assert part in str(told.value)
    with pytest.raises(OperationError, match="switched off"):
        mnist(download=False)
    with pytest.raises(OperationError, match="does not have all four files"):
        mnist(alone)


def test_a_download_is_checked_before_it_is_kept(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(alone / "mirror")
    monkeypatch.setattr(urllib.request, "urlopen", lambda address, timeout: io.BytesIO((source / address.rsplit("/", 1)[1]).read_bytes()))
    with pytest.raises(OperationError, match="came with SHA-256"):
        mnist()
    assert list((cache_folder() / "mnist").iterdir()) == []

    for name in FILES:
        monkeypatch.setitem(FILES, name, hashlib.sha256(gzip.decompress((source / f"{name}.gz").read_bytes())).hexdigest())
    assert len(mnist()[0].images) == 6
    monkeypatch.setattr(urllib.request, "urlopen", None)
    assert len(mnist()[0].images) == 6
    assert {path.name for path in (cache_folder() / "mnist").iterdir()} == {f"{name}.gz" for name in FILES}


def test_images_and_labels_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match=r"train files .* images of shape \(6, 4, 4\) and labels of shape \(2,\)"):
        mnist(written(tmp_path, labels=2))


@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (0xB, "i2"), (0xC, "i4"), (0xD, "f4"), (0xE, "f8")])
def test_every_element_type_is_read(code: int, dtype: str, tmp_path: Path) -> None:
    array = np.arange(-6, 6).reshape(2, 3, 2).astype(dtype)
    (tmp_path / "a").write_bytes(idx(array, code))
    found = read_idx(tmp_path / "a")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    good = idx(np.arange(60, dtype=np.uint8).reshape(5, 12))
    packed = gzip.compress(good, mtime=0)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 8
    cases = {
        b"": "no IDX file",
        b"PK\x03\x04 a zip": "no IDX file",
        good[:7]: "ends in its header",
        good[:-1]: "ends after 59",
        good + b"!": "has more than 60",
        struct.pack(">HBB2I", 0, 8, 2, 1 << 31, 1 << 31): "more than",
        packed[:-9]: "damaged",
        bytes(flipped): "damaged",
    }
    for content, match in cases.items():
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(OperationError, match=match):
            read_idx(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "b")

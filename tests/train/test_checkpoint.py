from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_bn as ab
from autograd_bn.core.errors import OperationError
from autograd_bn.train.checkpoint import CheckpointError, _signed, load_checkpoint, remove_leftovers, save_checkpoint

pytest.importorskip("safetensors", reason="safetensors is not installed")

STATE: dict[str, Any] = {
    "step": 12,
    "model": {"0.weight": np.arange(12, dtype="float32").reshape(3, 4), "count": np.array(7), "none": None, "π": np.array([np.pi, np.nan, -np.inf])},
    "history": {"loss": [1.5, float("inf")], "empty": [], "big": 1 << 90, "text": "a/b .. ✓"},
    "list": [{"a": np.array([True, False])}, {}],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, STATE)
    return path


def same(a: Any, b: Any) -> None:
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b
        assert type(a) is type(b)


def test_a_state_comes_back_bit_for_bit(file: Path) -> None:
    same(STATE, load_checkpoint(file))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8", ">f4", ">i8"])
def test_every_dtype_and_layout_comes_back(dtype: str, tmp_path: Path) -> None:
    a = (np.arange(24).reshape(2, 3, 4) % 2).astype(dtype) if dtype == "?" else np.arange(24).reshape(2, 3, 4).astype(dtype)
    layouts = {"c": a, "f": np.asfortranarray(a), "t": a.T, "s": a[:, ::2, ::-1], "b": np.broadcast_to(a[0, 0], (5, 4)), "e": a[:0], "0": a[1, 1, 1]}
    save_checkpoint(tmp_path / "a", {"x": layouts, "tensor": ab.tensor(a.astype("f8"), requires_grad=True).T})
    found = load_checkpoint(tmp_path / "a")
    for name, array in layouts.items():
        assert found["x"][name].dtype == np.dtype(dtype).newbyteorder("<"), name
        assert found["x"][name].shape == np.shape(array), name
        assert found["x"][name].flags.writeable
        np.testing.assert_array_equal(found["x"][name], array)
    np.testing.assert_array_equal(found["tensor"], a.T.astype("f8"))


def test_other_readers_of_the_format_can_open_it(file: Path) -> None:
    from safetensors.numpy import load_file

    np.testing.assert_array_equal(load_file(file)["model:0.weight"], STATE["model"]["0.weight"])


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array(1j), np.array([None]), {1: 2}, {"a/b": 1}, {"..": 1}, {"$array": "x"}, {1, 2}, object(), b"x"])
def test_what_cannot_be_saved_is_refused_and_the_old_file_stays(bad: Any, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(OperationError, match="save_checkpoint: outer"):
        save_checkpoint(file, {"outer": bad})
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 1


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_while_writing_leaves_the_old_file(call: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    before = file.read_bytes()
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(file, {"a": 1})
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 1


def test_the_file_and_then_its_folder_are_flushed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    flush, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file"), flush(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    save_checkpoint(file, {"a": 1})
    assert calls == ["file", "replace", "folder"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_checkpoint_can_be_read_by_whom_any_other_new_file_can(file: Path) -> None:
    (file.parent / "other").touch()
    assert file.stat().st_mode == (file.parent / "other").stat().st_mode


def test_leftovers_of_this_checkpoint_alone_are_removed(file: Path) -> None:
    for name in (".a.safetensors.1234.part", ".b.safetensors.1234.part", "a.safetensors.part"):
        (file.parent / name).touch()
    remove_leftovers(file)
    assert {path.name for path in file.parent.iterdir()} == {"a.safetensors", ".b.safetensors.1234.part", "a.safetensors.part"}


# Broken files


def refused(path: Path, content: bytes, match: str = "checkpoint|damaged|version") -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=match):
        load_checkpoint(path)


def test_a_flip_of_any_byte_of_the_header_is_refused(file: Path) -> None:
    good = file.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    rng = random.Random(0)
    for at in range(header):
        broken = bytearray(good)
        broken[at] ^= 1 << rng.randrange(8)
        refused(file, bytes(broken))


def test_a_flip_of_any_bit_of_the_data_is_refused(file: Path) -> None:
    good = file.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    for at in range(8 * header, 8 * len(good), 7):
        broken = bytearray(good)
        broken[at // 8] ^= 1 << at % 8
        refused(file, bytes(broken), "damaged")


def test_a_truncated_or_longer_file_is_refused(file: Path) -> None:
    good = file.read_bytes()
    for length in [*range(0, len(good), 5), len(good) - 1]:
        refused(file, good[:length])
    refused(file, good + b"\0", "damaged")
    refused(file, b"\0" + good)


def crafted(tensors: dict[str, Any], data: bytes, **metadata: Any) -> bytes:
    """A file whose digest is right, whatever else it says."""
    told = {"format": "autograd_bn.checkpoint", "version": "1", "digest": "0" * 64, "state": "{}"} | metadata
    header = json.dumps({"__metadata__": told, **tensors}, separators=(",", ":")).encode()
    return _signed(len(header).to_bytes(8, "little") + header + data)


def test_foreign_and_crafted_files_are_refused_with_the_reason(file: Path) -> None:
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    used = json.dumps({"a": {"$array": "a"}})
    file.write_bytes(crafted({"a": one}, b"\0\0\0\0", state=used))
    assert load_checkpoint(file)["a"].tolist() == [0.0]
    from safetensors.numpy import save

    nested = "[" * 5000 + "]" * 5000
    corpus = {
        pickle.dumps({"a": np.ones(3)}): "no checkpoint",
        b"": "0 bytes in all",
        b"\x93NUMPY" + b"x" * 100: "no checkpoint",
        b"PK\x03\x04" + b"x" * 100: "no checkpoint",
        save({"a": np.ones(3)}): "not written by save_checkpoint",
        save({"a": np.ones(3)}, {"format": "pt"}): "not written by save_checkpoint",
        (1 << 62).to_bytes(8, "little") + b"{}": "header has 4611686018427387904 bytes",
        (20 << 20).to_bytes(8, "little") + b" " * (20 << 20): "larger than",
        crafted({"a": one}, b"\0\0\0\0", state=used, version="2"): "newer autograd_bn; upgrade",
        crafted({"a": one}, b"\0\0\0\0", state=used, version="-1"): "no such version",
        crafted({"../a": one}, b"\0\0\0\0", state=used.replace('"a"}', '"../a"}')): "entry of '../a'",
        crafted({"/etc/a": one}, b"\0\0\0\0", state=used): "entry of '/etc/a'",
        crafted({"a": one | {"dtype": "O"}}, b"\0\0\0\0", state=used): "entry of 'a'",
        crafted({"a": one | {"shape": [-1]}}, b"\0\0\0\0", state=used): "entry of 'a'",
        crafted({"a": one | {"shape": [2]}}, b"\0\0\0\0", state=used): "entry of 'a'",
        crafted({"a": one | {"shape": [1 << 40, 1 << 40, 0], "data_offsets": [0, 4]}}, b"\0\0\0\0", state=used): "entry of 'a'",
        crafted({"a": one, "b": one}, b"\0\0\0\0", state=used): "overlap",
        crafted({"a": one}, b"\0" * 8, state=used): "should have 4 bytes",
        crafted({"a": one}, b"\0\0\0\0"): "does not name its arrays",
        crafted({"a": one}, b"\0\0\0\0", state=json.dumps([{"$array": "a"}] * 2)): "used twice",
        crafted({"a": one}, b"\0\0\0\0", state=json.dumps({"a": {"$array": "b"}})): "cannot be put together",
        crafted({}, b"", state=nested): "cannot be put together",
        crafted({}, b"", state="3"): "does not name",
        crafted({}, b"", state=3): "metadata",
        crafted({}, b"", more="x"): "metadata",
    }
    for content, match in corpus.items():
        refused(file, content, match)


def test_a_refused_file_is_not_read_into_memory(file: Path) -> None:
    """A sparse file of 8 GB that says its header is as long costs nothing."""
    with file.open("wb") as sparse:
        sparse.write((8 << 30).to_bytes(8, "little"))
        sparse.truncate((8 << 30) + 100)
    with pytest.raises(CheckpointError, match="larger than"):
        load_checkpoint(file)

"""Checkpoint files: one safetensors file whose header and data a digest covers, written whole or not at all, never a pickle.

The arrays of a nested state are the file's tensors; the rest of it is JSON in the file's metadata, where {"$array": name}
stands for an array. The SHA-256 is that of the whole file with its own 64 digits as zeros.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from autograd_bn.core.arrays import Array
from autograd_bn.core.errors import OperationError
from autograd_bn.core.extras import extra
from autograd_bn.core.tensor import Tensor, plain

FORMAT = "autograd_bn.checkpoint"
VERSION = 1
LARGEST_HEADER = 16 << 20
DEEPEST = 100
ARRAY = "$array"
BLANK = "0" * 64
DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4", "F32": "<f4"}
DTYPES |= {"U64": "<u8", "I64": "<i8", "F64": "<f8"}


class CheckpointError(OperationError):
    """A checkpoint file that was refused; nothing was taken from it."""


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a nested state into one file, whole or not at all.

    The bytes go to a new file in the same folder, which is flushed to the disk and then takes the name in one step; at no
    moment is there a half-written file under ``path``.

    Parameters
    ----------
    path
        By custom with the suffix .safetensors: any reader of that format can open it.
    state
        Dicts with strings as keys, lists and tuples (which become lists), numbers, strings, booleans, None, and arrays or
        tensors of booleans, integers or real numbers, of any memory layout.

    Raises OperationError for anything else in the state, ImportError without safetensors (``pip install "autograd_bn[train]"``),
    OSError where the file cannot be written.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> state = {"step": 3, "weights": {"w": np.arange(3.0)}}
    >>> ab.train.save_checkpoint("run.safetensors", state)
    >>> ab.train.load_checkpoint("run.safetensors")
    {'step': 3, 'weights': {'w': array([0., 1., 2.])}}
    """
    arrays: dict[str, Array] = {}
    tree = json.dumps(_lowered(state, "", arrays), allow_nan=True)
    content = _signed(_packed(arrays, {"format": FORMAT, "version": str(VERSION), "digest": BLANK, "state": tree}))
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what a process that was killed while it wrote this checkpoint left beside it."""
    path = Path(path)
    for file in path.parent.iterdir() if path.parent.is_dir() else ():
        if file.name.startswith(f".{path.name}.") and file.name.endswith(".part"):
            file.unlink(missing_ok=True)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote, after checking that every bit is as it was.

    Raises CheckpointError, with the reason, for a file that is no such file, truncated, changed in a single bit, or of a
    newer version; FileNotFoundError where there is none. A file that is refused is never executed, and costs no more memory
    than its own size.

    Examples
    --------
    >>> import numpy as np, autograd_bn as ab
    >>> ab.train.save_checkpoint("run.safetensors", {"step": 3, "w": np.ones(2)})
    >>> with open("run.safetensors", "r+b") as file:
    ...     _ = file.seek(-1, 2), file.write(b"!")
    >>> ab.train.load_checkpoint("run.safetensors")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    autograd_bn.train.checkpoint.CheckpointError: run.safetensors was damaged: ...
    """
    path = Path(path)
    with path.open("rb") as file:
        header, start = _header(path, file)
        metadata = _metadata(path, header)
        spans = _spans(path, header, file.seek(0, os.SEEK_END) - start)
        file.seek(0)
        content = file.read()
    if _digest(content, metadata["digest"]) != metadata["digest"]:
        raise CheckpointError(f"{path} was damaged: its content does not have the SHA-256 that it was written with; take an older checkpoint")
    data = memoryview(content)[start:]
    arrays = {name: np.array(np.frombuffer(data[begin:end], dtype).reshape(shape)) for name, (dtype, shape, begin, end) in spans.items()}
    used: set[str] = set()
    try:
        state = _raised(json.loads(metadata["state"]), arrays, used, 0)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is no checkpoint: its state cannot be put together: {error!r}") from error
    if used != set(arrays) or not isinstance(state, dict):
        raise CheckpointError(f"{path} is no checkpoint: its state does not name its arrays once each")
    return state


# Writing


def _lowered(x: Any, place: str, arrays: dict[str, Array]) -> Any:
    """The JSON of a state; its arrays go into ``arrays`` under their place."""
    if isinstance(x, Tensor):
        x = plain(x)
    if isinstance(x, (np.ndarray, np.generic)):
        if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
            raise OperationError(f"save_checkpoint: {place or 'the state'} has dtype {x.dtype}; booleans, integers and real numbers up to 64 bits can be saved")
        # safetensors writes the memory as it lies, so it must be C-contiguous and little-endian.
        arrays[place] = np.array(x, dtype=x.dtype.newbyteorder("<"), order="C")
        return {ARRAY: place}
    if isinstance(x, Mapping):
        for key in x:
            if not isinstance(key, str) or key == ARRAY or _unsafe(key):
                raise OperationError(f"save_checkpoint: {place or 'the state'} has the key {key!r}; keys are strings without slashes and '..'")
        return {key: _lowered(value, f"{place}:{key}" if place else key, arrays) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [_lowered(value, f"{place}:{i}", arrays) for i, value in enumerate(x)]
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    raise OperationError(f"save_checkpoint: {place or 'the state'} is a {type(x).__name__}, which cannot be saved; save its state_dict()")


def _packed(arrays: dict[str, Array], metadata: dict[str, str]) -> bytes:
    with extra("train", "checkpoints need safetensors"):
        from safetensors.numpy import save
    return save(arrays, metadata)


def _signed(content: bytes) -> bytes:
    """The file with its digest in place of the zeros."""
    blank = f'"digest":"{BLANK}"'.encode()
    at = content.find(blank, 0, 8 + int.from_bytes(content[:8], "little"))
    assert at >= 0
    at += len(blank) - len(BLANK) - 1
    return content[:at] + hashlib.sha256(content).hexdigest().encode() + content[at + len(BLANK) :]


def _flush_folder(folder: Path) -> None:
    """Make the new name last; Windows has no way to, and needs none."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# Reading


def _header(path: Path, file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The header, and where the data begin."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise CheckpointError(f"{path} is no checkpoint: it says that its header has {length} bytes, of {size} bytes in all")
    if length > LARGEST_HEADER:
        raise CheckpointError(f"{path} is no checkpoint: a header of {length} bytes is larger than {LARGEST_HEADER}")
    try:
        header = json.loads(file.read(length).decode())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no checkpoint: its header is no JSON") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} is no checkpoint: its header is no object")
    return header, 8 + length


def _metadata(path: Path, header: dict[str, Any]) -> dict[str, str]:
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint: it was not written by save_checkpoint")
    version = metadata.get("version")
    if version != str(VERSION):
        newer = isinstance(version, str) and version.isascii() and version.isdigit() and len(version) < 9 and int(version) > VERSION
        remedy = "it is from a newer autograd_bn; upgrade to read it" if newer else "there is no such version"
        raise CheckpointError(f"{path} has format version {version!r}, this autograd_bn reads {VERSION}: {remedy}")
    if set(metadata) != {"format", "version", "digest", "state"} or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path} is no checkpoint: its metadata are not those of one")
    return metadata


def _spans(path: Path, header: dict[str, Any], size: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...], int, int]]:
    """The dtype, shape and bytes of each array, which must fill the data without gap or overlap."""
    spans = {}
    for name, entry in header.items():
        try:
            dtype, shape, (begin, end) = np.dtype(DTYPES[entry["dtype"]]), tuple(entry["shape"]), entry["data_offsets"]
            count = dtype.itemsize
            for n in (*shape, begin, end):
                if type(n) is not int or n < 0:
                    raise ValueError(n)
            for n in shape:
                count *= n
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is no checkpoint: the entry of {name!r} is wrong") from error
        if _unsafe(name) or end - begin != count:
            raise CheckpointError(f"{path} is no checkpoint: the entry of {name!r} is wrong")
        spans[name] = dtype, shape, begin, end
    at = 0
    for _, _, begin, end in sorted(spans.values(), key=lambda span: span[2:]):
        if begin != at:
            raise CheckpointError(f"{path} is no checkpoint: its arrays overlap or leave a gap")
        at = end
    if at != size:
        raise CheckpointError(f"{path} was damaged: it should have {at} bytes of data, it has {size}; take an older checkpoint")
    return spans


def _digest(content: bytes, written: str) -> str:
    """The SHA-256 of a file with its digest blanked; empty where that is not in its place."""
    at = content.find(f'"digest":"{written}"'.encode())
    if len(written) != len(BLANK) or at < 0:
        return ""
    at += len('"digest":"')
    digest = hashlib.sha256(memoryview(content)[:at])
    digest.update(BLANK.encode())
    digest.update(memoryview(content)[at + len(BLANK) :])
    return digest.hexdigest()


def _raised(x: Any, arrays: dict[str, Array], used: set[str], depth: int) -> Any:
    """The state of a JSON and its arrays."""
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST}")
    if isinstance(x, dict):
        if ARRAY in x:
            (name,) = x.values()
            if name in used:
                raise ValueError(f"{name} is used twice")
            used.add(name)
            return arrays[name]
        return {key: _raised(value, arrays, used, depth + 1) for key, value in x.items()}
    return [_raised(value, arrays, used, depth + 1) for value in x] if isinstance(x, list) else x


def _unsafe(name: str) -> bool:
    return "/" in name or "\\" in name or ".." in name or "\0" in name

"""Compiled code kept on the disk between runs: files by the SHA-256 of their key, in a folder of the user's own.

Each file is a magic word, the SHA-256 of its key and payload, and the payload. One that was changed in a bit, truncated or
written for another key is removed and counts as absent. What is read will run as machine code, so nothing is read from or written into a folder that
belongs to, or can be written by, anyone else; the digest is against damage, not against an attacker. A file gets its name when it is complete. Where the
folder cannot be used, there is no cache, and `trouble` says why.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
import time
from pathlib import Path

from autograd_bn.core.cache_folder import cache_folder

MAGIC = b"autograd_bn code 1\n"
DIGEST = hashlib.sha256().digest_size
LIMIT = 256 << 20
"""How many bytes all files may have; those that were not used for longest go."""
LEFT = 3600.0
"""From how many seconds on an unfinished file is that of a writer who was killed."""


def load(key: bytes) -> bytes | None:
    """What was stored under a key; None if there is nothing, or not any more what was stored."""
    try:
        path = _folder() / _name(key)
        content = path.read_bytes()
        payload = content[len(MAGIC) + DIGEST :]
        if content[: len(MAGIC) + DIGEST] != _head(key, payload):
            path.unlink(missing_ok=True)
            return None
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return payload


def store(key: bytes, payload: bytes) -> None:
    """Keep a payload under a key, in place of an earlier one. Does nothing where it cannot be written, or is larger than all files may be."""
    content = _head(key, payload) + payload
    if len(content) > LIMIT:
        return
    try:
        folder = _folder()
        part = folder / f"{secrets.token_hex(16)}.part"
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb") as file:
                file.write(content)
            os.replace(part, folder / _name(key))
        finally:
            part.unlink(missing_ok=True)
        _trim(folder)
    except OSError:
        return


def trouble() -> str | None:
    """Why nothing is kept, in one line; None if all is well."""
    try:
        folder = _folder()
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written")
    except OSError as error:
        return f"compiled code is not kept on the disk: {error}"
    return None


def _folder() -> Path:
    """The folder, made if need be; a PermissionError where it is not ours alone to write into."""
    try:
        folder = cache_folder() / "code"
    except RuntimeError as error:
        raise OSError("there is no home directory; name a folder in AUTOGRAD_BN_CACHE") from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32":  # where access is not in the mode, and a user's folder is the user's
        found = folder.stat()
        if found.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user; remove it, or name a folder of your own in AUTOGRAD_BN_CACHE")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"others can write into {folder}; chmod go-w it, or name a folder of your own in AUTOGRAD_BN_CACHE")
    return folder


def _name(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def _head(key: bytes, payload: bytes) -> bytes:
    return MAGIC + hashlib.sha256(len(key).to_bytes(8, "little") + key + payload).digest()


def _trim(folder: Path) -> None:
    """Remove what killed writers left, and the least recently used files until the rest is within the limit."""
    files = []
    for path in folder.iterdir():
        found = path.stat()  # where another process trims too, this may end here; there is a next time
        if path.suffix != ".part":
            files.append((found.st_mtime_ns, found.st_size, path))
        elif found.st_mtime < time.time() - LEFT:
            path.unlink(missing_ok=True)
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= size

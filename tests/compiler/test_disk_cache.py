"""disk_cache: what comes back is what was stored, or nothing; whatever happens to files, folders and other processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from autograd_bn.compiler import disk_cache
from autograd_bn.compiler.disk_cache import DIGEST, MAGIC, load, store, trouble

KEY, PAYLOAD = b"a plan, versions and a CPU", bytes(range(256)) * 8

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files go; not there yet."""
    monkeypatch.setenv("AUTOGRAD_BN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "code"


@pytest.fixture
def file(folder: Path) -> Path:
    """A file that was stored."""
    store(KEY, PAYLOAD)
    (found,) = folder.iterdir()
    return found


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_stored_comes_back(folder: Path) -> None:
    assert load(KEY) is None
    store(KEY, PAYLOAD)
    store(KEY + b"2", b"")
    assert load(KEY) == PAYLOAD
    assert load(KEY + b"2") == b""
    assert load(KEY + b"3") is None
    store(KEY, b"later")
    assert load(KEY) == b"later"
    assert len(names(folder)) == 2
    assert trouble() is None


def test_a_change_of_any_byte_of_the_head_is_seen(file: Path) -> None:
    content = file.read_bytes()
    for place in range(len(MAGIC) + DIGEST):
        for bit in (0, 7):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            file.write_bytes(changed)
            assert load(KEY) is None, place
            assert not file.exists()
    file.write_bytes(content)
    assert load(KEY) == PAYLOAD


def test_a_change_of_the_payload_is_seen(file: Path) -> None:
    content = file.read_bytes()
    for place in range(len(MAGIC) + DIGEST, len(content), 31):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        assert load(KEY) is None, place
        assert not file.exists()


def test_a_truncated_or_longer_file_is_seen(file: Path) -> None:
    content = file.read_bytes()
    for length in [*range(len(MAGIC) + DIGEST + 2), len(content) // 2, len(content) - 1]:
        file.write_bytes(content[:length])
        assert load(KEY) is None, length
        assert not file.exists()
    file.write_bytes(content + b"\0")
    assert load(KEY) is None


def test_a_file_of_another_key_is_not_taken(file: Path, folder: Path) -> None:
    store(b"another", b"its payload")
    (other,) = (path for path in folder.iterdir() if path != file)
    os.replace(other, file)
    assert load(KEY) is None
    assert load(b"another") is None


def test_key_and_payload_do_not_run_into_each_other(folder: Path) -> None:
    store(b"ab", b"c")
    (path,) = folder.iterdir()
    store(b"a", b"bc")
    (other,) = (p for p in folder.iterdir() if p != path)
    assert path.read_bytes()[: len(MAGIC) + DIGEST] != other.read_bytes()[: len(MAGIC) + DIGEST]


@posix
def test_folder_and_files_are_private(file: Path, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_folder_that_others_can_write_into_is_not_used(file: Path, folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert load(KEY) is None
    store(b"another", b"payload")
    assert names(folder) == {file.name}
    assert (
        trouble() == f"compiled code is not kept on the disk: others can write into {folder}; chmod go-w it, or name a folder of your own in AUTOGRAD_BN_CACHE"
    )
    folder.chmod(0o755)
    assert load(KEY) == PAYLOAD


@posix
def test_a_folder_of_someone_else_is_not_used(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert load(KEY) is None
    store(b"another", b"payload")
    assert names(folder) == {file.name}
    assert "belongs to another user" in str(trouble())


def test_without_a_folder_there_is_no_cache(folder: Path) -> None:
    folder.parent.write_text("a file in its place")
    store(KEY, PAYLOAD)
    assert load(KEY) is None
    assert str(trouble()).startswith("compiled code is not kept on the disk: ")


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    for name in ("AUTOGRAD_BN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    store(KEY, PAYLOAD)
    assert load(KEY) is None
    assert trouble() == "compiled code is not kept on the disk: there is no home directory; name a folder in AUTOGRAD_BN_CACHE"


def test_a_folder_that_cannot_be_written_serves_what_it_has(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(os, "open", refused)
    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(os, "access", lambda *_: False)
    store(b"another", b"payload")
    assert names(folder) == {file.name}
    assert load(KEY) == PAYLOAD
    assert trouble() == f"compiled code is not kept on the disk: {folder} cannot be written"


def test_a_full_disk_leaves_nothing_half_written(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    store(KEY, b"later")
    assert names(folder) == {file.name}
    assert load(KEY) == PAYLOAD


def test_what_was_not_used_for_longest_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(MAGIC) + DIGEST + 100
    monkeypatch.setattr(disk_cache, "LIMIT", 3 * size)
    for age, key in ((40, b"a"), (30, b"b"), (20, b"c")):
        before = names(folder) if folder.exists() else set()
        store(key, bytes(100))
        (name,) = names(folder) - before
        past = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (past, past))
    assert load(b"a") == bytes(100)  # used now
    store(b"d", bytes(100))
    assert [load(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    store(b"e", bytes(3 * size))
    assert load(b"e") is None
    assert load(b"d") is not None


def test_what_killed_writers_left_is_removed_after_a_while(file: Path, folder: Path) -> None:
    old, new = folder / "old.part", folder / "new.part"
    for path in (old, new):
        path.write_bytes(b"half")
    past = file.stat().st_mtime - 2 * disk_cache.LEFT
    os.utime(old, (past, past))
    store(b"another", b"payload")
    assert not old.exists()
    assert new.exists()


WRITER = """
import sys
from pathlib import Path
from autograd_bn.compiler import disk_cache
disk_cache.LIMIT = 600_000  # so that they remove each other's files, too
me, found = int(sys.argv[1]), 0
for turn in range(60):
    for key in range(4):
        wanted = bytes([key]) * 100_000
        disk_cache.store(b"%d" % key, wanted if (turn + me) % 5 else wanted[:-1])
        got = disk_cache.load(b"%d" % key)
        assert got in (None, wanted, wanted[:-1]), (key, len(got))
        found += got is not None
    if me == 0:
        for path in (disk_cache.cache_folder() / "code").glob("*[0-9a-f]"):
            try:
                with path.open("r+b") as file:
                    file.seek(1000 + turn)
                    file.write(b"damage")
            except FileNotFoundError:
                pass
print(found)
"""


def test_processes_that_write_and_damage_the_same_files_get_what_was_stored_or_nothing(folder: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(me)], stdout=subprocess.PIPE, text=True) for me in range(3)]
    found = [writer.communicate(timeout=600)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 3
    assert all(int(count) > 100 for count in found)
    assert not list(folder.glob("*.part"))

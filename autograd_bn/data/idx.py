"""MNIST, and any other data in the same four IDX files."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import tempfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from autograd_bn.core.allocation import native
from autograd_bn.core.arrays import Array
from autograd_bn.core.cache_folder import cache_folder
from autograd_bn.core.errors import OperationError
from autograd_bn.data.dataset import Dataset

FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""The four files of MNIST with the SHA-256 of their unpacked bytes."""
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
FOLDER = "AUTOGRAD_BN_DATA"
LARGEST = 1 << 32
DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def mnist(path: str | os.PathLike[str] | None = None, *, download: bool = True) -> tuple[Dataset, Dataset]:
    """The 70,000 handwritten digits of 28×28 pixels of LeCun, Cortes and Burges (1998), or other data in the same four files.

    Looked for in ``path``, if it is given, and nowhere else; else in the folder that the environment variable AUTOGRAD_BN_DATA names (or
    its subfolder mnist), then in the cache (the user's, or the folder that AUTOGRAD_BN_CACHE names), and then downloaded by HTTPS into the
    cache, where the SHA-256 is checked.

    Parameters
    ----------
    path
        A folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each packed
        (.gz) or not.
    download
        Whether to download what is found nowhere.

    Returns
    -------
    train, test
        Images, bytes as float32 from 0 to 1, of shape (60000, 28, 28) and (10000, 28, 28), and int64 labels.

    Raises OperationError where there are no such files, with all remedies, or one is damaged.

    Examples
    --------
    >>> import autograd_bn as ab
    >>> train, test = ab.data.mnist()  # doctest: +SKIP
    >>> train.images.shape  # doctest: +SKIP
    (60000, 28, 28)
    """
    folder = located(path, download)
    parts = []
    for prefix in ("train", "t10k"):
        images, labels = (read_idx(_file(folder, f"{prefix}-{rest}")) for rest in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels):
            raise OperationError(f"mnist: the {prefix} files in {folder} hold images of shape {images.shape} and labels of shape {labels.shape}")
        pixels = images.astype(np.float32)
        if images.dtype == np.uint8:
            pixels /= 255
        parts.append(Dataset(pixels, labels.astype(np.int64)))
    return parts[0], parts[1]


def read_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an IDX file, packed by gzip (.gz) or not.

    The format: two zero bytes, a code of the element type, the number of axes, the length of each as a big-endian 32-bit integer, the elements.

    Raises OperationError for a file that is not in this format, too short or too long, or damaged; no more is read than it should hold.

    Examples
    --------
    >>> import pathlib, autograd_bn as ab
    >>> content = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])
    >>> _ = pathlib.Path("labels.idx").write_bytes(content)
    >>> ab.data.read_idx("labels.idx")
    array([7, 8, 9], dtype=uint8)
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as stream:
                return _parsed(path, stream)  # type: ignore[arg-type]
    except (EOFError, gzip.BadGzipFile, ValueError, zlib.error) as error:
        if isinstance(error, OperationError):
            raise
        raise OperationError(f"read_idx: {path} is damaged: {error}") from error


def _parsed(path: Path, stream: IO[bytes]) -> Array:
    magic = stream.read(4)
    if len(magic) != 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or not magic[3]:
        raise OperationError(f"read_idx: {path} is no IDX file: it begins with {magic!r}")
    lengths = stream.read(4 * magic[3])
    if len(lengths) != 4 * magic[3]:
        raise OperationError(f"read_idx: {path} ends in its header")
    shape = tuple(int(n) for n in np.frombuffer(lengths, ">u4"))
    dtype = np.dtype(DTYPES[magic[2]])
    size = math.prod(shape) * dtype.itemsize
    if size > LARGEST:
        raise OperationError(f"read_idx: {path} says that it holds an array of shape {shape}, {size} bytes, more than {LARGEST}")
    buffer = bytearray()
    while len(buffer) <= size and (chunk := stream.read(min(1 << 20, size + 1 - len(buffer)))):
        buffer += chunk
    if len(buffer) != size:
        raise OperationError(
            f"read_idx: {path} should hold {size} bytes for shape {shape}, but {'ends after ' if len(buffer) < size else 'has more than '}"
            f"{min(len(buffer), size)}"
        )
    return np.frombuffer(buffer, dtype).reshape(shape).astype(native(dtype))


def _file(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() else folder / name


def _complete(folder: Path) -> bool:
    return all(_file(folder, name).is_file() for name in FILES)


def located(path: str | os.PathLike[str] | None, download: bool) -> Path:
    """Where the four files are, after a download if need be."""
    names = ", ".join(f"{name}.gz" for name in FILES)
    if path is not None:
        if not _complete(Path(path)):
            raise OperationError(f"mnist: {path} does not have all four files: {names} (or without .gz); leave path out to look elsewhere and to download them")
        return Path(path)
    given, kept = os.environ.get(FOLDER), cache_folder() / "mnist"
    for folder in [*([Path(given), Path(given) / "mnist"] if given else []), kept]:
        if _complete(folder):
            return folder
    reasons = []
    if download:
        for mirror in MIRRORS:
            try:
                _download(mirror, kept)
            except (OSError, OperationError) as error:
                reasons.append(f"{mirror}: {error}")
            else:
                return kept
    told = "\n  ".join(reasons or ["the download was switched off"])
    raise OperationError(
        f"mnist: the four files were found neither in the folder of {FOLDER} ({given or 'not set'}) nor in the cache, and could not be downloaded:\n  {told}\n"
        f"Remedies: connect to the internet and call again; or put {names} (or without .gz) into {kept}, or into a folder that {FOLDER} names, or pass it: "
        "mnist(path=...); or use ab.data.digits(), which comes with the package"
    )


def _download(mirror: str, folder: Path) -> None:
    """Fetch the files that are missing; each is checked before it gets its name."""
    from urllib.request import urlopen

    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in FILES.items():
        target = folder / f"{name}.gz"
        if _file(folder, name).is_file():
            continue
        with urlopen(mirror + target.name, timeout=30) as response:  # noqa: S310 - the mirrors are HTTPS
            packed = response.read(64 << 20)
        try:
            with gzip.open(io.BytesIO(packed)) as stream:
                found = hashlib.sha256(stream.read(64 << 20)).hexdigest()
        except (EOFError, zlib.error) as error:
            raise OperationError(f"{target.name} came damaged: {error}") from error
        if found != digest:
            raise OperationError(f"{target.name} came with SHA-256 {found}, not {digest}: it was changed on the way or is another file")
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            part.write(packed)
        os.replace(part.name, target)

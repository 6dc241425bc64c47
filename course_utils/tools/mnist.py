"""MNIST, which only full-size runs need: from a folder of yours, the cache, or a mirror.

What is inside a file is compared with its hash, wherever it comes from; data/README.md says who
made it, and its licence.
"""

import gzip
import hashlib
import io
import os
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
import torch

from course_utils.data import Labelled

# SHA-256 of the bytes inside: the .gz wrapper around them differs from mirror to mirror.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://sagemaker-sample-files.s3.amazonaws.com/datasets/image/MNIST/",
)


class Mnist(NamedTuple):
    """MNIST as it is usually parted: 60,000 digits to train on, 10,000 to test on."""

    train: Labelled
    test: Labelled


def mnist() -> Mnist:
    """Return MNIST: x (60000, 784) and (10000, 784) in [0, 1], y with the digits.

    The four IDX files are read from the folder named by the environment variable COURSE_DATA,
    plain or .gz; without it from the cache, which is filled from the first mirror that answers.
    What is inside is compared with MNIST_SHA256, wherever it comes from.

    Raises NotADirectoryError or FileNotFoundError if COURSE_DATA names no folder or it lacks a
    file, ValueError if a file is damaged or not MNIST's, ConnectionError if a file cannot be
    fetched, OSError if the cache cannot be written.
    """
    folder = os.environ.get("COURSE_DATA")
    files = {
        name: _course_data(Path(folder).expanduser(), name) if folder else _cached(name)
        for name in MNIST_SHA256
    }
    return Mnist(_labelled(files, "train"), _labelled(files, "t10k"))


def mnist_cache() -> Path:
    """Return the folder of the user's cache where fetched MNIST files are kept."""
    return Path(pooch.os_cache("course-utils")) / "mnist"


def _labelled(files: dict[str, bytes], part: str) -> Labelled:
    """Return the images and labels of one part, from the contents of its IDX files."""
    x, y = (_array(files[f"{part}-{kind}-ubyte"]) for kind in ("images-idx3", "labels-idx1"))
    x = torch.from_numpy(x.reshape(len(x), -1).astype(np.float32)).div_(255)
    return Labelled(x, torch.from_numpy(y.astype(np.int64)))


def _array(content: bytes) -> np.ndarray:
    """Return the array in a verified IDX file of bytes: magic number, sizes, then the entries."""
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _verified(raw: bytes, name: str, origin: str) -> bytes:
    """Return the bytes of MNIST's file name, unpacked from raw; ValueError if it is not that."""
    try:
        content = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{origin} is a damaged or truncated .gz file ({error}): fetch it again"
        ) from error
    magic = bytes([0, 0, 8, int(name[name.index("idx") + 3])])
    if content[:4] != magic:
        raise ValueError(
            f"{origin} is no IDX file: it begins with {content[:4].hex(' ')}, not {magic.hex(' ')}"
        )
    if hashlib.sha256(content).hexdigest() != MNIST_SHA256[name]:
        raise ValueError(f"{origin} is not MNIST's {name}: its SHA-256 differs; fetch it again")
    return content


def _course_data(folder: Path, name: str) -> bytes:
    """Return the verified content of an MNIST file in the reader's own folder."""
    if not folder.is_dir():
        raise NotADirectoryError(f"COURSE_DATA is {folder}, which is not a folder")
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return _verified(path.read_bytes(), name, str(path))
    raise FileNotFoundError(f"COURSE_DATA is {folder}, which lacks {name} or {name}.gz")


def _cached(name: str) -> bytes:
    """Return the verified content of an MNIST file in the cache, fetched if need be."""
    path = mnist_cache() / name
    try:
        return _verified(path.read_bytes(), name, str(path))
    except (OSError, ValueError):  # not there yet, or damaged since
        content = _fetched(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as beside:  # goes, whatever happens
            part = Path(beside) / name
            part.write_bytes(content)
            os.replace(part, path)
    except OSError as error:
        raise OSError(
            f"MNIST cannot be kept in {path.parent} ({error}): make that folder writable, "
            "or set COURSE_DATA to a folder with the four IDX files"
        ) from error
    return content


def _fetched(name: str) -> bytes:
    """Return the verified content of an MNIST file from the first mirror that has it."""
    failures = []
    for mirror in MNIST_MIRRORS:
        url, answer = f"{mirror}{name}.gz", io.BytesIO()
        try:
            pooch.HTTPDownloader(progressbar=True, timeout=30)(url, answer, None)
            return _verified(answer.getvalue(), name, url)
        except (OSError, ValueError) as error:  # every error of requests is an OSError
            failures.append(f"{url}: {error}")
    raise ConnectionError(
        f"MNIST could not be fetched from any of {len(failures)} mirrors; without a network, set "
        f"COURSE_DATA to a folder with the files {', '.join(MNIST_SHA256)}, plain or .gz\n"
        + "\n".join(failures)
    )

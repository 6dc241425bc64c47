"""Every way in which MNIST can fail to come has its own sentence, and nothing half-read is kept."""

import gzip
import hashlib
import os
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils.tools import mnist

DATASHEET = Path(__file__).parents[1] / "data" / "README.md"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# MNIST: small files of the same form, a server on this machine, no network


def idx(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">i4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def tiny(rng, monkeypatch, tmp_path):
    """Contents of four small IDX files, which the loader takes for MNIST's; an empty cache."""
    contents = {}
    for part, count in (("train", 6), ("t10k", 4)):
        pixels = rng.integers(256, size=(count, 5, 3), dtype=np.uint8)
        contents[f"{part}-images-idx3-ubyte"] = idx(pixels)
        contents[f"{part}-labels-idx1-ubyte"] = idx(np.arange(count, dtype=np.uint8))
    monkeypatch.setattr(mnist, "MNIST_SHA256", {name: sha256(c) for name, c in contents.items()})
    monkeypatch.setattr(mnist, "mnist_cache", lambda: tmp_path / "cache" / "mnist")
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", ())
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return contents


@pytest.fixture
def folder(tiny, tmp_path, monkeypatch):
    """A folder with the small files, packed, which COURSE_DATA names."""
    folder = tmp_path / "my data"
    folder.mkdir()
    for name, content in tiny.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setenv("COURSE_DATA", str(folder))
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(folder, monkeypatch):
    """The address of a mirror on this machine that serves folder; COURSE_DATA is not set."""
    monkeypatch.delenv("COURSE_DATA")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def silent():
    """The address of a mirror at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}/"


def assert_tiny(mnist, tiny):
    pixels = np.frombuffer(tiny["train-images-idx3-ubyte"], np.uint8, offset=16)
    expected = torch.from_numpy(pixels.astype(np.float32)).reshape(6, 15) / 255
    assert torch.equal(mnist.train.x, expected)
    assert mnist.train.y.tolist() == [0, 1, 2, 3, 4, 5]
    assert mnist.test.x.shape == (4, 15)
    assert mnist.test.y.tolist() == [0, 1, 2, 3]


def files_in_cache():
    return sorted(path.name for path in mnist.mnist_cache().rglob("*"))


def test_mnist_reads_packed_and_plain_files_of_the_readers_folder(folder, tiny):
    assert_tiny(mnist.mnist(), tiny)
    for name, content in tiny.items():
        (folder / f"{name}.gz").unlink()
        (folder / name).write_bytes(content)
    assert_tiny(mnist.mnist(), tiny)
    assert files_in_cache() == []


def test_course_data_that_is_no_folder_is_named(folder, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(folder / "nowhere"))
    with pytest.raises(NotADirectoryError, match="nowhere, which is not a folder"):
        mnist.mnist()


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte or"):
        mnist.mnist()


def broken(content: bytes, how: str) -> bytes:
    """Return the packed content of an IDX file, spoilt."""
    match how:
        case "truncated":
            return gzip.compress(content)[:-12]
        case "scrambled":
            packed = gzip.compress(content)
            return packed[:12] + bytes(len(packed) - 12)
        case "page":
            return b"<html>404 Not Found</html>"
        case "other digits":
            return gzip.compress(content[:-1] + bytes([content[-1] ^ 1]))


BREAKAGES = {
    "truncated": "damaged or truncated .gz",
    "scrambled": "damaged or truncated .gz",
    "page": "no IDX file: it begins with 3c 68 74 6d, not 00 00 08 03",
    "other digits": "its SHA-256 differs",
}


@pytest.mark.parametrize("how", BREAKAGES)
def test_a_broken_file_is_named_with_what_is_wrong(how, folder, tiny):
    name = "train-images-idx3-ubyte"
    (folder / f"{name}.gz").write_bytes(broken(tiny[name], how))
    with pytest.raises(ValueError, match=BREAKAGES[how]) as error:
        mnist.mnist()
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_mnist_is_fetched_once_and_then_read_from_the_cache(mirror, silent, tiny, monkeypatch):
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (mirror,))
    assert_tiny(mnist.mnist(), tiny)
    assert files_in_cache() == sorted(tiny)
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (silent,))
    assert_tiny(mnist.mnist(), tiny)


def test_the_next_mirror_is_asked_when_one_is_silent_or_lacks_a_file(
    mirror, silent, tiny, monkeypatch
):
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (silent, mirror + "elsewhere/", mirror))
    assert_tiny(mnist.mnist(), tiny)


def test_a_damaged_file_in_the_cache_is_fetched_again(mirror, tiny, monkeypatch):
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (mirror,))
    mnist.mnist()
    (mnist.mnist_cache() / "train-images-idx3-ubyte").write_bytes(b"half")
    assert_tiny(mnist.mnist(), tiny)


@pytest.mark.parametrize("how", BREAKAGES)
def test_a_broken_answer_is_never_kept(how, folder, mirror, tiny, monkeypatch):
    name = "train-images-idx3-ubyte"
    (folder / f"{name}.gz").write_bytes(broken(tiny[name], how))
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (mirror,))
    with pytest.raises(ConnectionError, match=BREAKAGES[how]):
        mnist.mnist()
    assert files_in_cache() == []


def test_without_network_the_reader_learns_about_course_data(silent, tiny, monkeypatch):
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (silent, silent))
    with pytest.raises(ConnectionError, match="any of 2 mirrors; without a network, set COURSE_DA"):
        mnist.mnist()
    assert files_in_cache() == []


def test_a_cache_that_cannot_be_made_is_named(mirror, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (mirror,))
    with pytest.raises(OSError, match=r"cannot be kept in .*make that folder writable, or set"):
        mnist.mnist()


def test_a_write_that_fails_leaves_no_file_behind(mirror, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mnist, "MNIST_MIRRORS", (mirror,))
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left on device"):
        mnist.mnist()
    assert files_in_cache() == []


@pytest.mark.skipif(not os.environ.get("COURSE_DATA"), reason="COURSE_DATA is not set: no MNIST")
def test_the_real_mnist_has_its_known_counts():
    train, test = mnist.mnist()
    assert train.x.shape == (60_000, 784)
    assert test.x.shape == (10_000, 784)
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert test.y.bincount().tolist() == counts
    assert train.x.mean() == pytest.approx(0.1307, abs=1e-4)


def test_mnist_files_and_mirrors_are_those_of_the_datasheet():
    sheet = DATASHEET.read_text(encoding="utf-8")
    for name, digest in mnist.MNIST_SHA256.items():
        assert any(name in line and digest in line for line in sheet.splitlines())
    for mirror in mnist.MNIST_MIRRORS:
        assert mirror in sheet

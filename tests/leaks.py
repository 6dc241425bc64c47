"""Which files that can be read hold a secret line? Run in the sandbox: `leaks.py ROOT FOLDER`.

FOLDER holds `forms`, the lines in each spelling, and `proofs`, the hashes that distributors gave of
their files. A file with its hash holds nothing of ours, nor does what Python compiled of it, nor a
file last changed before the course was begun, by the time that no program sets. All others are
searched, and so is what is packed in them. What is found is printed, a path a line.
"""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import MAGIC_NUMBER, source_from_cache
from pathlib import Path

BEGUN = 1767225600  # 2026-01-01, in seconds
OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
PACKED_ERRORS = (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile)
PACKED_ERRORS += (lzma.LZMAError, ValueError)


def files(root: str) -> Iterator[str]:
    """Yield the readable files below a folder that were changed since the course was begun."""
    left = [root]
    while left:
        try:
            entries = list(os.scandir(left.pop()))
        except PermissionError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                left += [entry.path] if entry.path != "/proc" else []
                continue
            status = entry.stat(follow_symlinks=False)
            is_new = stat.S_ISREG(status.st_mode) and status.st_ctime >= BEGUN
            if is_new and os.access(entry.path, os.R_OK):
                yield entry.path


def is_proven(path: str, proof: list[str]) -> bool:
    """Return whether a file has the hash, by this algorithm, that its distributor gave."""
    with open(path, "rb") as file:
        algorithm, digest = proof
        return hashlib.file_digest(file, algorithm).hexdigest() == digest


def is_compiled(path: str, proven: set[str]) -> bool:
    """Return whether a file is what Python made of one that is proven, by its time and size."""
    if not path.endswith(".pyc"):
        return False
    try:
        source = source_from_cache(path)
    except ValueError:
        return False
    if source not in proven:
        return False
    with open(path, "rb") as file:
        magic, flags, time, size = struct.unpack("<4sIII", file.read(16).ljust(16))
    status = os.stat(source)
    mine = MAGIC_NUMBER, 0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF
    return (magic, flags, time, size) == mine


def unpacked(path: str) -> bytes:
    """Return what is packed in a file; nothing if it is no ZIP and not compressed."""
    with open(path, "rb") as file:
        head = file.read(5)
    try:
        if head.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(path) as archive:
                return b"\n".join(map(archive.read, archive.namelist()))
        for start, opener in OPENERS.items():
            if head.startswith(start):
                with opener(path) as file:
                    return file.read()
    except PACKED_ERRORS:
        pass  # it only looks like one
    return b""


def found(paths: list[str], forms: Path) -> list[str]:
    """Return which of these files hold one of the forms."""
    command = ["xargs", "-0", "-P", "2", "-n", "1000", "grep", "-Fl", "-f", str(forms), "--"]
    names = b"\0".join(map(os.fsencode, paths))
    run = subprocess.run(
        command, input=names, check=False, stdout=subprocess.PIPE, env=os.environ | {"LC_ALL": "C"}
    )
    return [os.fsdecode(line) for line in run.stdout.splitlines()]


def to_search(paths: list[str], proofs: dict[str, list[str]]) -> list[str]:
    """Return the files that may hold something of ours."""
    with ThreadPoolExecutor(2) as pool:
        holds = pool.map(lambda path: path in proofs and is_proven(path, proofs[path]), paths)
        proven = {path for path, holds_it in zip(paths, holds, strict=True) if holds_it}
    return [path for path in paths if path not in proven and not is_compiled(path, proven)]


def main(root: str, folder: Path) -> None:
    """Print what is found; on stderr how much was looked at."""
    paths = [path for path in files(root) if os.path.dirname(path) != str(folder)]
    searched = to_search(paths, json.loads((folder / "proofs").read_text("utf-8")))
    scratch, inside = folder / "unpacked", {}
    scratch.mkdir()
    for path in searched:
        if content := unpacked(path):
            place = scratch / str(len(inside))
            place.write_bytes(content)
            inside[str(place)] = path
    names = found([*searched, *inside], folder / "forms")
    print(*sorted({inside.get(name, name) for name in names}), sep="\n")
    print(f"{len(paths)} files, {len(searched)} searched, {len(inside)} packed", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

"""What commands write into somebody's folder, and renew later: one rule for all of them.

A file is ours if it is, byte for byte, one that a command of the course wrote there, as
FOLDER/.course.json remembers. Whatever else lies there, a link or a file that was changed since, is
somebody's own: it is neither replaced nor removed, and nothing is written through a link.

`deliver` is for files that people work on, as `student` and `homework` write them:

* a file nobody touched is replaced by the new version;
* a notebook that was only run is moved into FOLDER/replaced first;
* a file that was changed is left alone, and the new version is put beside it, once;
* one that was deleted comes back.

`overwrite` is for pages that belong together, as `book`, `slides` and `launch` make them: all of
them are written, or, if one in their place is not ours, none.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from course_utils.tools.files import NOTEBOOKS, PACKAGE, ROOT, write

MANIFEST = ".course.json"
COURSE = (NOTEBOOKS, PACKAGE, ROOT / "data", ROOT / "tests")  # where nothing is delivered to
CURE = "move it away, or name another folder"


class Delivered(NamedTuple):
    """What somebody got of one file, as sha256 in hex: a line of the manifest."""

    whole: str | None = None  # the bytes of the file
    cells: str | None = None  # the sources of its cells, without outputs
    offered: str | None = None  # the bytes of a newer version: put beside, or being written


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sources(content: bytes) -> str | None:
    """Sha256 of what was written in the cells; None if ``content`` is not a notebook."""
    try:
        cells = [
            [cell["cell_type"], "".join(cell["source"]), cell.get("attachments")]
            for cell in json.loads(content)["cells"]
        ]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return sha(json.dumps(cells, sort_keys=True).encode())


# Places


def resolved(folder: Path) -> Path:
    """Return a folder to write into as an absolute path without links; it need not be there.

    Raises ValueError if a file is in its place.
    """
    folder = folder.expanduser().resolve()
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ValueError(f"{place} is a file; name a folder.")
    return folder


def outside(folder: Path, *own: Path) -> Path:
    """Return a folder as `resolved` does. ValueError, too, if it is in the course or in own."""
    folder = resolved(folder)
    above = [place for place in (folder, *folder.parents) if place.exists()]
    ours = [place for place in (*COURSE, *own) if place.exists()]
    if folder == ROOT or any(place.samefile(one) for place in above for one in ours):
        raise ValueError(f"{folder} is where the course itself lives; name a folder outside it.")
    return folder


def place(folder: Path, name: str) -> Path:
    """Return where a file lies in a folder.

    Raises ValueError if a link or a file is on the way to it.
    """
    path = folder / name
    for parent in path.relative_to(folder).parents:
        above = folder / parent
        if above != folder and above.is_symlink():
            raise ValueError(f"{above} is a link, and nothing is written through one: {CURE}.")
        if above.exists() and not above.is_dir():
            raise ValueError(f"{above} is a file where a folder belongs: {CURE}.")
    return path


def content(path: Path) -> bytes | None:
    """Return what a file holds; None if there is none, but a folder or a link, say."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def is_ours(path: Path, *versions: str | None) -> bool:
    """Return whether a file holds one of these versions, given as sha256."""
    held = content(path)
    return held is not None and sha(held) in versions


def free(path: Path) -> Path:
    """``path``, or the first of "NAME 2", "NAME 3", … that is not taken."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem} {number}{path.suffix}")
    return free


def files_in(folder: Path, below: str = "") -> dict[str, bytes]:
    """Return all files of a folder by their path in it, or, with it, below another one."""
    return {
        PurePosixPath(below, path.relative_to(folder).as_posix()).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# The manifest


def remembered(folder: Path) -> dict[str, Delivered]:
    """Return what was delivered into a folder before, by path in it, with slashes.

    Raises ValueError if the manifest cannot be read. What it names outside of the folder is not
    believed.
    """
    manifest = folder / MANIFEST
    if not os.path.lexists(manifest):
        return {}
    try:
        files = json.loads(content(manifest) or b"")["files"]
        found = {name: Delivered(**entry) for name, entry in files.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ValueError(f"{manifest} is not the course's list of what it wrote: {CURE}.") from None
    windows = {name: PureWindowsPath(name) for name in found}  # knows both kinds of slashes
    return {
        n: e for n, e in found.items() if not windows[n].anchor and ".." not in windows[n].parts
    }


def remember(folder: Path, files: dict[str, Delivered]) -> None:
    """Write the manifest of a folder."""
    entries = {name: entry._asdict() for name, entry in files.items()}
    write(folder / MANIFEST, (json.dumps({"files": entries}, indent=1) + "\n").encode())


# Files that people work on


def set_aside(folder: Path, name: str) -> str:
    """Move a file into the folder "replaced" and return its new path in the folder."""
    path = folder / name
    digest = sha(path.read_bytes())[:8] if content(path) is not None else "link"
    new = PurePosixPath("replaced", name).with_name(f"{path.stem}.{digest}{path.suffix}")
    aside = free(place(folder, str(new)))
    aside.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, aside)
    return aside.relative_to(folder).as_posix()


def put_beside(folder: Path, name: str, course: bytes) -> str:
    """Put the course's new version beside a file and return its path in the folder."""
    path = place(folder, name)
    new = path.with_name(f"{path.stem} (update {sha(course)[:8]}){path.suffix}")
    if content(new) != course:
        new = free(new)
        new.parent.mkdir(parents=True, exist_ok=True)
        write(new, course)
    return new.relative_to(folder).as_posix()


def bring(
    folder: Path, name: str, course: bytes, old: Delivered, aside: str = ""
) -> tuple[Delivered, str]:
    """Bring one file up to date.

    Args:
        folder: somebody's folder.
        name: the file's path in it, with slashes.
        course: what the course holds now.
        old: what they got before.
        aside: the folder in theirs where new versions of what they changed go; "" for beside it.

    Returns:
        What they have got now, and a line that says what was done ("" if nothing).
    """
    path, new = place(folder, name), Delivered(sha(course), sources(course))
    if not os.path.lexists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, course)
        return new, f"came back: {name}" if old.whole else f"copied: {name}"
    if is_ours(path, new.whole):
        return new, ""
    if is_ours(path, old.whole, old.offered):
        write(path, course)
        return new, f"updated: {name}"
    if new.whole == old.whole:  # the course has nothing new
        return old, ""
    if old.cells is not None and sources(content(path) or b"") == old.cells:
        now = set_aside(folder, name)
        write(path, course)
        return new, f"updated: {name} (the one you ran is now {now})"
    if new.whole == old.offered:
        return old, ""
    beside = put_beside(folder, str(PurePosixPath(aside, name)), course)
    return old._replace(offered=new.whole), f'yours kept: {name} (new version: "{beside}")'


def deliver(contents: dict[str, bytes], folder: Path, aside: str = "") -> dict[str, str]:
    """Bring files up to date in a folder that is there; return what was done, by name of the file.

    contents: by path in the folder, with slashes; aside: see `bring`. A manifest that cannot be
    read is set aside and counts as none, so that all is taken for somebody's own; the key "" says
    so. Raises ValueError, before anything is written, if a link or a file is in the way; OSError if
    the folder cannot be written: nothing is lost, and a later run completes.
    """
    for name in contents:
        place(folder, name)
    lines = {}
    try:
        files = remembered(folder)
    except ValueError:
        files, now = {}, set_aside(folder, MANIFEST)
        lines[""] = (
            f"{MANIFEST} could not be read (it is now {now}): every file in the folder is taken"
            " for your own work and left as it is"
        )
    delivered = dict(files)
    for name, course in contents.items():
        old = files.get(name, Delivered())
        delivered[name], lines[name] = bring(folder, name, course, old, aside)
    if delivered != files:
        remember(folder, delivered)
    return {name: line for name, line in lines.items() if line}


# Pages that belong together


def check_ours(folder: Path, names: Collection[str]) -> None:
    """Raise ValueError if one of these files, by their paths in a folder, is somebody's own."""
    old = remembered(folder)
    for name in names:
        _ours(folder, name, old.get(name, Delivered()))


def overwrite(contents: dict[str, bytes], folder: Path, gone: Collection[str] = ()) -> None:
    """Write files into a folder, which is made if it is not there, over nothing but what is ours.

    contents: by path in the folder, with slashes; gone: files of an earlier call that shall go.
    Raises ValueError, before anything is written, if something of somebody's is in the way; OSError
    if the folder cannot be written: what an interrupted call wrote is known as ours.
    """
    old, new = remembered(folder), {name: sha(course) for name, course in contents.items()}
    gone = set(gone) & old.keys() - new.keys()
    during = dict(old)
    for name in (*contents, *gone):
        held = _ours(folder, name, old.get(name, Delivered()), new.get(name))
        during[name] = Delivered(whole=held, offered=new.get(name))
    folder.mkdir(parents=True, exist_ok=True)
    remember(folder, during)
    for name, course in contents.items():
        if during[name].whole != new[name]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name, course)
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    kept = {name: entry for name, entry in old.items() if name not in gone}
    remember(folder, kept | {name: Delivered(whole=digest) for name, digest in new.items()})


def _ours(folder: Path, name: str, old: Delivered, new: str | None = None) -> str | None:
    """Return the sha256 of a file that may be overwritten; None if there is none yet.

    Raises ValueError if it is somebody's own.
    """
    path = place(folder, name)
    if not os.path.lexists(path):
        return None
    if not is_ours(path, old.whole, old.offered, new):
        raise ValueError(
            f"{folder} holds a {name} that this command did not write, or that was changed since:"
            f" {CURE}."
        )
    return sha(path.read_bytes())

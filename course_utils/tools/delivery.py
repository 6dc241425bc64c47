"""What a command writes into somebody's folder, and renews later, without touching their work.

* a file nobody touched is replaced by the new version;
* a notebook that was only run is moved into a folder "replaced" first;
* a file that was changed is left alone, and the new version is put beside it, once;
* one that was deleted comes back.

FOLDER/.course.json remembers what was delivered.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from course_utils.tools.files import write

MANIFEST = ".course.json"


class Delivered(NamedTuple):
    """What somebody got of one file, as sha256 in hex: a line of the manifest."""

    whole: str | None = None  # the bytes of the file
    cells: str | None = None  # the sources of its cells, without outputs
    offered: str | None = None  # the bytes of a newer version, put beside the student's work


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


def free(path: Path) -> Path:
    """``path``, or the first of "NAME 2", "NAME 3", … that is not taken."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem} {number}{path.suffix}")
    return free


def set_aside(path: Path, digest: str) -> str:
    """Move ``path`` into the folder "replaced" beside it and return its new place."""
    folder = path.parent / "replaced"
    folder.mkdir(exist_ok=True)
    place = free(folder / f"{path.stem}.{digest[:8]}{path.suffix}")
    os.replace(path, place)
    return f"replaced/{place.name}"


def put_beside(path: Path, content: bytes, aside: Path | None) -> str:
    """Put the course's new version beside ``path``, or into another folder; return its name."""
    if aside is not None:
        aside.mkdir(parents=True, exist_ok=True)
        path = aside / path.name
    place = path.with_name(f"{path.stem} (update {sha(content)[:8]}){path.suffix}")
    if not (place.is_file() and place.read_bytes() == content):
        place = free(place)
        write(place, content)
    return place.name


def bring(
    path: Path, course: bytes, old: Delivered, aside: Path | None = None
) -> tuple[Delivered, str]:
    """Bring one file up to date.

    Args:
        path: its place in somebody's folder.
        course: what the course holds now.
        old: what they got before.
        aside: where a new version goes if they changed theirs; None for beside it.

    Returns:
        What they have got now, and a line that says what was done ("" if nothing).
    """
    new = Delivered(sha(course), sources(course))
    if not os.path.lexists(path):
        write(path, course)
        return new, f"came back: {path.name}" if old.whole else f"copied: {path.name}"
    mine = path.read_bytes()
    if sha(mine) == new.whole:
        return new, ""
    if sha(mine) == old.whole:
        write(path, course)
        return new, f"updated: {path.name}"
    if new.whole == old.whole:  # the course has nothing new
        return old, ""
    if old.cells is not None and sources(mine) == old.cells:
        place = set_aside(path, sha(mine))
        write(path, course)
        return new, f"updated: {path.name} (the one you ran is now {place})"
    if new.whole == old.offered:
        return old, ""
    beside = put_beside(path, course, aside)
    return old._replace(offered=new.whole), f'yours kept: {path.name} (new version: "{beside}")'


def remembered(manifest: Path) -> tuple[dict[str, Delivered], str]:
    """What was delivered before, by file name; and a line if the manifest cannot be read.

    An unreadable manifest is set aside and counts as none: then whatever stands in the folder is
    taken for the student's own work.
    """
    if not os.path.lexists(manifest):
        return {}, ""
    content = manifest.read_bytes()
    try:
        files = json.loads(content)["files"]
        return {name: Delivered(**entry) for name, entry in files.items()}, ""
    except (ValueError, LookupError, TypeError, AttributeError):
        place = set_aside(manifest, sha(content))
    return {}, (
        f"{manifest.name} could not be read (it is now {place}): "
        "every notebook in the folder is taken for your own work and left as it is"
    )


def deliver(contents: dict[str, bytes], folder: Path, aside: Path | None = None) -> dict[str, str]:
    """Bring files up to date in a folder that is there; return what was done, by name of the file.

    contents: by path in the folder, with slashes; aside: see `bring`. The key "" is a complaint
    about the manifest. Raises OSError if the folder cannot be written; nothing is lost, and a later
    run completes.
    """
    files, complaint = remembered(folder / MANIFEST)
    delivered, lines = dict(files), {"": complaint}
    for name, content in contents.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        delivered[name], lines[name] = bring(place, content, files.get(name, Delivered()), aside)
    if delivered != files:
        entries = {name: entry._asdict() for name, entry in delivered.items()}
        write(folder / MANIFEST, (json.dumps({"files": entries}, indent=1) + "\n").encode())
    return {name: line for name, line in lines.items() if line}

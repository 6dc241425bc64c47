"""A student's own copy of the course, and its updates: `course.py student FOLDER`.

The first run copies the notebooks into FOLDER; each later run brings what is new in the course.
Whatever the student wrote stays:

* a notebook nobody touched is replaced by the new version;
* one that was only run is moved into FOLDER/replaced first;
* one the student changed is left alone, and the new version is put beside it, once;
* one the student deleted comes back.

FOLDER/.course.json remembers what was delivered.
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from course_utils.data import shared
from course_utils.tools.files import ROOT, write

MANIFEST = ".course.json"


class Delivered(NamedTuple):
    """What the student got of one notebook, as sha256 in hex: a line of the manifest."""

    whole: str | None = None  # the bytes of the file
    cells: str | None = None  # the sources of its cells, without outputs
    offered: str | None = None  # the bytes of a newer version, put beside the student's work


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sources(content: bytes) -> str | None:
    """Sha256 of what was written in the cells; None if ``content`` is not a notebook."""
    try:
        cells = [
            [cell["cell_type"], "".join(cell["source"]), cell.get("attachments")]
            for cell in json.loads(content)["cells"]
        ]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return _sha(json.dumps(cells, sort_keys=True).encode())


def _free(path: Path) -> Path:
    """``path``, or the first of "NAME 2", "NAME 3", … that is not taken."""
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem} {number}{path.suffix}")
    return free


def _set_aside(path: Path, digest: str) -> str:
    """Move ``path`` into the folder "replaced" beside it and return its new place."""
    folder = path.parent / "replaced"
    folder.mkdir(exist_ok=True)
    place = _free(folder / f"{path.stem}.{digest[:8]}{path.suffix}")
    os.replace(path, place)
    return f"replaced/{place.name}"


def _put_beside(path: Path, content: bytes) -> str:
    """Put the course's new version beside the student's ``path`` and return its name."""
    place = path.with_name(f"{path.stem} (update {_sha(content)[:8]}){path.suffix}")
    if not (place.is_file() and place.read_bytes() == content):
        place = _free(place)
        write(place, content)
    return place.name


def _bring(path: Path, course: bytes, old: Delivered) -> tuple[Delivered, str]:
    """Bring one notebook up to date.

    Args:
        path: its place in the student's folder.
        course: what the course holds now.
        old: what the student got before.

    Returns:
        What the student has got now, and a line that says what was done ("" if nothing).
    """
    new = Delivered(_sha(course), _sources(course))
    if not os.path.lexists(path):
        write(path, course)
        return new, f"came back: {path.name}" if old.whole else f"copied: {path.name}"
    mine = path.read_bytes()
    if _sha(mine) == new.whole:
        return new, ""
    if _sha(mine) == old.whole:
        write(path, course)
        return new, f"updated: {path.name}"
    if new.whole == old.whole:  # the course has nothing new
        return old, ""
    if old.cells is not None and _sources(mine) == old.cells:
        place = _set_aside(path, _sha(mine))
        write(path, course)
        return new, f"updated: {path.name} (the one you ran is now {place})"
    if new.whole == old.offered:
        return old, ""
    beside = _put_beside(path, course)
    return old._replace(offered=new.whole), f'yours kept: {path.name} (new version: "{beside}")'


def _remembered(manifest: Path) -> tuple[dict[str, Delivered], str]:
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
        place = _set_aside(manifest, _sha(content))
    return {}, (
        f"{manifest.name} could not be read (it is now {place}): "
        "every notebook in the folder is taken for your own work and left as it is"
    )


def _check_folder(folder: Path, source: Path) -> None:
    """Raise ValueError if ``folder`` cannot be a student's folder."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder.")
    if any(place.exists() and place.samefile(source) for place in (folder, *folder.parents)):
        raise ValueError(f"{folder} is where the course itself lives; name a folder outside it.")


def deliver(source: Path, folder: Path) -> list[str]:
    """Copy the notebooks of the course into a student's folder, or bring their updates.

    Args:
        source: the course's notebooks; only the ``*.ipynb`` right in it are delivered, so nothing
            of ``homework/``, which holds solutions.
        folder: the student's folder; made if it is not there.

    Returns:
        A line for each file that changed, so an empty list if there was nothing new.

    Raises:
        ValueError: if ``folder`` is a file or lies in ``source``, or ``source`` has no notebook.
        OSError: if ``folder`` cannot be written; nothing is lost, and a later run completes.
    """
    folder = folder.expanduser().resolve()
    notebooks = sorted(source.glob("*.ipynb"))
    if not notebooks:
        raise ValueError(f"There is no notebook of the course in {source}; install it again.")
    _check_folder(folder, source)
    folder.mkdir(parents=True, exist_ok=True)
    files, complaint = _remembered(folder / MANIFEST)
    delivered, lines = dict(files), [complaint]
    for notebook in notebooks:
        name = notebook.name
        old = files.get(name, Delivered())
        delivered[name], line = _bring(folder / name, notebook.read_bytes(), old)
        lines.append(line)
    if delivered != files:
        entries = {name: entry._asdict() for name, entry in delivered.items()}
        write(folder / MANIFEST, (json.dumps({"files": entries}, indent=1) + "\n").encode())
    return [line for line in lines if line]


def _start_command(folder: str) -> str:
    """What to type, from anywhere, to open ``folder``: to course.py, where there is one."""
    course = ROOT / "course.py"
    python = "py" if os.name == "nt" else "python3"
    by_course, by_package = [python, str(course), "lab"], [sys.executable, "-m", "jupyterlab"]
    command = [*(by_course if course.is_file() else by_package), os.path.abspath(folder)]
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def main(arguments: list[str] | None = None, source: Path | None = None) -> int:
    """Run the command; return 0, or 2 after one sentence about what went wrong.

    Args:
        arguments: of the command line, default ``sys.argv[1:]``.
        source: the course's notebooks, default those of the installed course.
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.tools.student",
        description="Make your own copy of the course's notebooks, or bring it up to date.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="your folder, made if it is not there")
    folder = parser.parse_args(arguments).folder
    try:
        lines = deliver(source or shared("notebooks"), Path(folder))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        cure = "free some space or name a folder you can write to, then run this again"
        print(f"{where}{error.strerror or error}; {cure}. Nothing is lost.", file=sys.stderr)
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(*lines or ["nothing new"], sep="\n")
    print(f"Start with: {_start_command(folder)}")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # old Windows consoles
    sys.exit(main())

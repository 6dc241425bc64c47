"""What a class handed in: whose each file is, and which file of each student counts.

A folder of submissions is what a learning management system hands out (see `downloads`), or holds,
for each student, a folder of any depth or a file `STUDENT.ipynb`. Nothing in it is ever changed.
Which file counts is decided by what is in it, then by time.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from course_utils.grading.answers import ASSIGNED, DEFINED, asked
from course_utils.grading.cells import Cell, UnreadableError, cells_of, mark, parsed
from course_utils.grading.downloads import LARGEST, Owner, is_junk, owner, time_of

ARCHIVES = {".zip", ".gz", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"}
CHARACTERISTIC = 20  # characters of a given cell by which a homework is known


class Submission(NamedTuple):
    """One student's work: the file that counts and what the lecturer should know."""

    student: str
    path: Path | None  # None if nothing that was handed in can count
    time: datetime | None  # when it was handed in
    notes: tuple[str, ...] = ()


class Class(NamedTuple):
    """What was found in a folder: one submission a student, and what is nobody's."""

    submissions: list[Submission]
    ignored: list[str]


class File(NamedTuple):
    """A file that a student handed in."""

    path: Path
    time: datetime
    attempt: int
    refusal: str  # why it cannot count, or nothing


def submissions(folder: Path, homework: str, masters: dict[str, NotebookNode]) -> Class:
    """Return the submissions to one homework, one for each student, in order of their names.

    masters holds the released notebooks of all homeworks of the course, by name: a file counts if
    it holds cells of this one. Raises ValueError if folder is not a folder or nothing is in it.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder, nor a ZIP file: name the one that holds what was handed in."
        )
    entries, ignored = parted(folder)
    within = lone_folder(entries, homework, masters)
    if within:
        ignored.append(f"the folder {within.name}, whose entries were taken for students")
        entries, more = parted(within)
        ignored += more
    by_student: dict[str, list[tuple[Path, Owner]]] = {}
    for entry in entries:
        told = owner(entry.name, entry.is_dir() and not entry.is_symlink())
        if told.homework in ("", homework):
            by_student.setdefault(told.student, []).append((entry, told))
    if not by_student:
        raise ValueError(f"{folder} is empty: nothing was handed in.")
    found = [last(name, places, homework, masters) for name, places in by_student.items()]
    return Class(found, ignored)


def parted(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the entries of a folder that are somebody's, and the names of those that are not."""
    entries = sorted(folder.iterdir())
    return [e for e in entries if not is_junk(e.name)], [e.name for e in entries if is_junk(e.name)]


def lone_folder(entries: list[Path], homework: str, masters: dict) -> Path | None:
    """Return the one folder in which a whole class lies, as after unpacking; None if it is not so.

    A class it is if two of its entries have names of a download, or if two notebooks of this
    homework in it have names of their own, and not the homework's.
    """
    if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
        return None
    inside, _ = parted(entries[0])
    downloads = [e for e in inside if owner(e.name, e.is_dir()).student != Owner(e.name).student]
    downloads = [e for e in downloads if e.is_dir() or e.name.count("_") > 1]
    named = [
        e
        for e in inside
        if e.is_file()
        and not re.match(r"(?i)hw\d", e.name)
        and e.stem not in {m.metadata.get("name") for m in masters.values()}
        and not refusal(e)
        and known(e, masters)[0] == homework
    ]
    return entries[0] if len(downloads) > 1 or len(named) > 1 else None


def last(
    student: str, places: list[tuple[Path, Owner]], homework: str, masters: dict
) -> Submission:
    """Return the submission of a student that counts, out of all files handed in."""
    files, notes = [], []
    for place, told in places:
        if not told.counts:
            if told.student and not place.name.endswith(".txt"):
                notes.append(f"{place.name} was typed into a form: look at it yourself.")
            continue
        notes += ["It was handed in late, as its name says."] if told.late else []
        files += [examined(path, told) for path in handed_in(place, homework)]
    good = []
    for file in files:
        of, why = ("", file.refusal) if file.refusal else known(file.path, masters)
        if of == homework:
            good.append(file)
            if other(file.path.name, homework):
                notes.append(
                    f"{file.path.name} is named after another homework, and is {homework}."
                )
        else:
            notes.append(why or f"{file.path.name} is a notebook of {of}, not of {homework}.")
    good.sort(key=lambda file: (file.time, file.attempt, file.path.as_posix()))
    if not good:
        time = max((file.time for file in files), default=None)
        return Submission(student, None, time, tuple(notes or ["The folder is empty."]))
    if len(good) > 1:
        notes.append(
            f"{len(good)} notebooks were handed in; the last, {good[-1].path.name}, counts."
        )
    return Submission(student, good[-1].path, good[-1].time, tuple(notes))


def handed_in(place: Path, homework: str) -> Iterator[Path]:
    """Yield the files of a student that may be of a homework; links, too, but not followed."""
    if place.is_symlink() or not place.is_dir():
        yield place
        return
    for folder, folders, files in os.walk(place):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = [name for name in folders if not is_junk(name) and not other(name, homework)]
        yield from (Path(folder) / name for name in [*files, *links] if not is_junk(name))


def other(name: str, homework: str) -> bool:
    """Tell if a folder is named after another homework, as in nbgrader's own layout."""
    found = re.match(r"(?i)(hw\d+)(?!\d)", name)
    return bool(found) and found[1].lower() != homework


def examined(path: Path, told: Owner) -> File:
    """Return what is known of a file before it is opened."""
    stamp = path.parent / "timestamp.txt"
    time = None
    if stamp.is_file() and not stamp.is_symlink():
        time = time_of(stamp.read_text("utf-8", "replace")[:100])
    time = time or told.time or datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    return File(path, time, told.attempt, refusal(path))


def refusal(file: Path) -> str:
    """Say why a file cannot count, or nothing."""
    status = file.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"{file.name} is a link to another place, which is not followed."
    if not stat.S_ISREG(status.st_mode):
        return f"{file.name} is not an ordinary file."
    if file.suffix.lower() in ARCHIVES:
        return f"{file.name} is an archive, which is not opened: ask for the notebook itself."
    if status.st_size > LARGEST:
        return (
            f"{file.name} is too large: {status.st_size / 1e6:.0f} MB, at most {LARGEST / 1e6:.0f}."
        )
    if status.st_size == 0:
        return f"{file.name} is empty."
    try:
        with file.open("rb"):
            return ""
    except OSError as error:
        return f"{file.name} cannot be read: {error.strerror}."


def known(path: Path, masters: dict[str, NotebookNode]) -> tuple[str, str]:
    """Return of which homework a file is; or "", and why it is of none."""
    try:
        of = homework_of(path, masters)
    except UnreadableError as error:
        if ".ipynb" in path.name.lower():
            return "", f"{path.name}: {error}"
        return "", f"{path.name} is not a notebook (.ipynb)."
    return of, "" if of else f"{path.name} holds no cell of any homework."


def homework_of(path: Path, masters: dict[str, NotebookNode]) -> str:
    """Return the homework of which a notebook holds most, or "". UnreadableError if it is none."""
    cells = cells_of(path.read_bytes())
    points = {name: shared(cells, master) for name, master in masters.items()}
    best = max(points, key=points.get)
    return best if points[best] else ""


def shared(cells: list[Cell], master: NotebookNode) -> int:
    """Return how many given cells and definitions of a homework a notebook holds."""
    texts = {cell.source.strip() for cell in cells}
    names = {n for c in cells for n in (*DEFINED.findall(c.source), *ASSIGNED.findall(c.source))}
    count = 0
    for cell in master.cells:
        if mark(cell).get("solution"):
            count += bool(names.intersection(asked(cell)))
        elif len(cell.source.strip()) >= CHARACTERISTIC:
            count += cell.source.strip() in texts
    return count


def content_of(path: Path) -> bytes:
    """Return what is graded of a notebook: its cells, without the outputs."""
    return json.dumps(parsed(path.read_bytes())).encode()

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
from course_utils.grading.roster import Person, Roster, roster

ARCHIVES = {".zip", ".gz", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"}
TIMELESS = ("canvas", "moodle")  # what they hand out has the time of the download
MANY_PEOPLE = "files that a system gives to several people"
NOTHING = "Nothing was handed in."
CHARACTERISTIC = 20  # characters of a given cell by which a homework is known


class Submission(NamedTuple):
    """One student's work: the file that counts and what the lecturer should know."""

    student: str
    path: Path | None  # None if nothing that was handed in can count
    time: datetime | None  # when it was handed in
    notes: tuple[str, ...] = ()
    name: str = ""  # of the person, by which the system that handed it out knows them
    number: str = ""  # see downloads.Owner
    system: str = ""


def is_absent(submission: Submission) -> bool:
    """Tell if this stands for somebody who handed in nothing."""
    return submission.notes == (NOTHING,)


class Class(NamedTuple):
    """What was handed in: one submission a person, and the names of what is nobody's."""

    submissions: list[Submission]
    ignored: list[str]


class File(NamedTuple):
    """A file that a student handed in."""

    path: Path
    time: datetime  # by which files are put in order
    handed_in: datetime | None  # None where a system gives all files the time of the download
    attempt: int
    refusal: str  # why it cannot count, or nothing


def submissions(
    folder: Path, homework: str, masters: dict[str, NotebookNode], people: list[Person] = ()
) -> Class:
    """Return the submissions to one homework, one for each student, in order of their names.

    masters holds the released notebooks of all homeworks of the course, by name: a file counts if
    it holds cells of this one. people are those on the roster: who of them handed in nothing has a
    submission without a file. Raises ValueError if folder is not a folder or nothing is in it.
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
    told = [(entry, owner(entry.name, is_folder(entry))) for entry in entries]
    told = [(entry, by) for entry, by in told if by.homework in ("", homework)]
    if not told:
        raise ValueError(f"{folder} is empty: nothing was handed in.")
    found = []
    for student, (places, note) in by_person(told, roster(list(people))).items():
        one = last(student, places, homework, masters)
        found.append(one._replace(notes=(*note, *one.notes)))
    there = {one.student for one in found}
    found += [Submission(p.id, None, None, (NOTHING,)) for p in people if p.id not in there]
    return Class(sorted(found, key=lambda one: one.student), ignored)


def is_folder(entry: Path) -> bool:
    """Tell if an entry is a folder, and no link to one."""
    return entry.is_dir() and not entry.is_symlink()


def by_person(
    told: list[tuple[Path, Owner]], known: Roster
) -> dict[str, tuple[list[tuple[Path, Owner]], tuple[str, ...]]]:
    """Return the entries of each person, by the id that counts all term, and notes on who it is.

    Two people of one name, whom Moodle tells apart by a number that is another each time, stay two.
    """
    numbers: dict[str, set[str]] = {}
    for _, by in told:
        numbers.setdefault(by.student, set()).update({by.number} - {""})
    found: dict[str, tuple[list[tuple[Path, Owner]], tuple[str, ...]]] = {}
    for entry, by in told:
        person, note = known.named(by.name, by.number)
        notes = (note,) if note and known.people else ()
        student = person.id if person else by.student
        if not person and len(numbers[by.student]) > 1:
            student = f"{by.student}_{by.number}"
            notes = (*notes, f"{len(numbers[by.student])} people here have the name {by.name}.")
        found.setdefault(student, ([], notes))[0].append((entry, by))
    return found


def parted(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the entries of a folder that are somebody's, and the names of those that are not."""
    entries = sorted(folder.iterdir())
    return [e for e in entries if not is_junk(e.name)], [e.name for e in entries if is_junk(e.name)]


def lone_folder(entries: list[Path], homework: str, masters: dict) -> Path | None:
    """Return the one folder in which a whole class lies, as after unpacking; None if it is not so.

    A class it is if two of its entries have names of a download, or if two notebooks of this
    homework in it have names of their own, and not the homework's.
    """
    if len(entries) != 1 or not is_folder(entries[0]):
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
        and known(e, masters, homework)[0] == homework
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
        of, why = ("", file.refusal) if file.refusal else known(file.path, masters, homework)
        if of == homework:
            good.append(file)
            if other(file.path.name, homework):
                notes.append(
                    f"{file.path.name} is named after another homework, and is {homework}."
                )
        else:
            notes.append(why or f"{file.path.name} is a notebook of {of}, not of {homework}.")
    good.sort(key=lambda file: (file.time, file.attempt, file.path.as_posix()))
    by = places[-1][1]
    people = {told.student for f in files if (told := owner(f.path.name, is_folder=False)).system}
    if len(people) > 1 and not by.system:
        notes.insert(0, f"It holds {MANY_PEOPLE}: {', '.join(sorted(people))}.")
    if not good:
        time = max((file.handed_in for file in files if file.handed_in), default=None)
        notes = notes or ["The folder is empty."]
        return Submission(student, None, time, tuple(notes), by.name, by.number, by.system)
    if len(good) > 1:
        notes.append(
            f"{len(good)} notebooks were handed in; the last, {good[-1].path.name}, counts."
        )
    counts = good[-1]
    return Submission(
        student, counts.path, counts.handed_in, tuple(notes), by.name, by.number, by.system
    )


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
    written = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    stamped = time or told.time or (None if told.system in TIMELESS else written)
    return File(path, stamped or written, stamped, told.attempt, refusal(path))


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


def known(path: Path, masters: dict[str, NotebookNode], graded: str = "") -> tuple[str, str]:
    """Return of which homework a file is; or "", and why it is of none.

    graded is the homework that is expected: one answer to it is enough. A chapter may define one of
    another homework's functions, and is not taken for it.
    """
    try:
        of = homework_of(path, masters, graded)
    except UnreadableError as error:
        if ".ipynb" in path.name.lower():
            return "", f"{path.name}: {error}"
        return "", f"{path.name} is not a notebook (.ipynb)."
    return of, "" if of else f"{path.name} holds no cell of any homework."


def homework_of(path: Path, masters: dict[str, NotebookNode], graded: str) -> str:
    """Return the homework of which a notebook holds most, or "". UnreadableError if it is none."""
    cells = cells_of(path.read_bytes())
    found = {name: shared(cells, master) for name, master in masters.items()}
    best = max(found, key=lambda name: found[name].given + found[name].answers)
    given, answers, asked_for = found[best]
    enough = given or 2 * answers > asked_for or (answers and best == graded)
    return best if enough else ""


class Shared(NamedTuple):
    """What a notebook holds of a homework: given cells, answers, and of how many answers."""

    given: int
    answers: int
    asked: int


def shared(cells: list[Cell], master: NotebookNode) -> Shared:
    """Return how many given cells and answers of a homework a notebook holds."""
    texts = {cell.source.strip() for cell in cells}
    names = {n for c in cells for n in (*DEFINED.findall(c.source), *ASSIGNED.findall(c.source))}
    code = [c for c in master.cells if c.cell_type == "code" and mark(c).get("solution")]
    given = [cell.source.strip() for cell in master.cells if not mark(cell).get("solution")]
    held = [text for text in given if len(text) >= CHARACTERISTIC and text in texts]
    return Shared(len(held), sum(bool(names & set(asked(cell))) for cell in code), len(code))


def content_of(path: Path) -> bytes:
    """Return what is graded of a notebook: its cells, without the outputs."""
    return json.dumps(parsed(path.read_bytes())).encode()

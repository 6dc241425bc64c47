"""What a class handed in: which file of each student counts, and the answers in it.

A folder of submissions holds, for each student, a folder (nbgrader's `STUDENT/HOMEWORK/*.ipynb`, or
any other depth) or a file `STUDENT.ipynb`. Nothing in it is ever changed.
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

LARGEST = 20_000_000  # bytes of a notebook that is read
LONGEST = 100_000  # characters of one answer
DEFINED = re.compile(r"^def (\w+)\(", re.MULTILINE)
ARCHIVES = {".zip", ".gz", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"}


class UnreadableError(ValueError):
    """A file that is no notebook; the text says why, in a lecturer's words."""


class Submission(NamedTuple):
    """One student's work: the file that counts and what the lecturer should know."""

    student: str
    path: Path | None  # None if nothing that was handed in can count
    time: datetime | None  # when it was handed in
    notes: tuple[str, ...] = ()


class Answers(NamedTuple):
    """What a student wrote, by the id of the master's cell."""

    sources: dict[str, str]
    notes: list[str]


def mark(cell: NotebookNode) -> dict:
    """Return what nbgrader knows of a cell of the master: grade, solution, points."""
    return cell.metadata.get("nbgrader", {})


def submissions(folder: Path, homework: str) -> list[Submission]:
    """Return the submissions to one homework, one for each student, in order of their names.

    The last notebook in time counts: by nbgrader's `timestamp.txt` beside it, else by the file's
    own time. Raises ValueError if folder is not a folder or nothing was handed in.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: name the one that holds what was handed in.")
    entries = [e for e in sorted(folder.iterdir()) if not e.name.startswith(".")]
    names = {e: e.name if e.is_dir() and not e.is_symlink() else e.stem for e in entries}
    by_student: dict[str, list[Path]] = {}
    for entry, name in names.items():
        by_student.setdefault(name, []).append(entry)
    found = [last(student, places, homework) for student, places in by_student.items()]
    if not found:
        raise ValueError(f"{folder} is empty: nothing was handed in.")
    return found


def last(student: str, places: list[Path], homework: str) -> Submission:
    """Return the submission of a student that counts, out of all files handed in."""
    files = [file for place in places for file in handed_in(place, homework)]
    notes = [note for file in files if (note := refusal(file))]
    good = sorted((f for f in files if not refusal(f)), key=lambda f: (when(f), f.as_posix()))
    if not good:
        notes = notes or ["The folder is empty."]
        return Submission(student, None, when(files[-1]) if files else None, tuple(notes))
    if len(good) > 1:
        notes.append(f"{len(good)} notebooks were handed in; the last, {good[-1].name}, counts.")
    return Submission(student, good[-1], when(good[-1]), tuple(notes))


def handed_in(place: Path, homework: str) -> Iterator[Path]:
    """Yield the files of a student that belong to a homework, links among them, not followed."""
    if place.is_symlink() or not place.is_dir():
        yield place
        return
    for folder, folders, files in os.walk(place):
        folders[:] = [d for d in folders if not d.startswith(".") and not other(d, homework)]
        for name in [*files, *(d for d in folders if (Path(folder) / d).is_symlink())]:
            if not name.startswith(".") and name != "timestamp.txt" and not other(name, homework):
                yield Path(folder) / name


def other(name: str, homework: str) -> bool:
    """Tell if a file or folder is named after another homework."""
    found = re.match(r"(hw\d+)(?!\d)", name)
    return bool(found) and found[1] != homework


def refusal(file: Path) -> str:
    """Say why a file cannot count, or nothing."""
    status = file.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"{file.name} is a link to another place, which is not followed."
    if not stat.S_ISREG(status.st_mode):
        return f"{file.name} is not an ordinary file."
    if file.suffix.lower() in ARCHIVES:
        return f"{file.name} is an archive, which is not opened: ask for the notebook itself."
    if file.suffix != ".ipynb":
        return f"{file.name} is not a notebook (.ipynb)."
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


def when(file: Path) -> datetime:
    """Return when a file was handed in."""
    stamp = file.parent / "timestamp.txt"
    if stamp.is_file() and not stamp.is_symlink():
        text = stamp.read_text("utf-8", "replace")[:100].strip()
        try:
            time = datetime.fromisoformat(text.replace(" UTC", "+00:00"))
            return time if time.tzinfo else time.replace(tzinfo=UTC)
        except ValueError:
            pass
    return datetime.fromtimestamp(file.lstat().st_mtime, UTC)


def cells_of(content: bytes) -> list[dict]:
    """Return the cells of a notebook of any format, each with source, cell_type, id and metadata.

    Raises UnreadableError if content is not a notebook.
    """
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadableError("The file is not a notebook: it is not text in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"The file is no whole notebook: its JSON breaks at line {error.lineno}, as after an"
            " upload that was cut off or an edit by hand."
        ) from None
    except RecursionError:
        raise UnreadableError(
            "The file is not a notebook: its JSON is nested without end."
        ) from None
    sheets = [notebook]
    if isinstance(notebook, dict) and isinstance(notebook.get("worksheets"), list):
        sheets = notebook["worksheets"]  # format 3
    cells = [s["cells"] for s in sheets if isinstance(s, dict) and isinstance(s.get("cells"), list)]
    if not cells:
        raise UnreadableError("The file is JSON, but not a notebook: it has no cells.")
    return [_cell(cell) for group in cells for cell in group if isinstance(cell, dict)]


def _cell(cell: dict) -> dict:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    metadata = cell.get("metadata")
    claimed = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return {
        "source": text.encode("utf-8", "replace").decode().replace("\0", ""),
        "cell_type": cell.get("cell_type"),
        "id": cell.get("id"),
        "grade_id": claimed.get("grade_id") if isinstance(claimed, dict) else None,
    }


def answers(content: bytes, master: NotebookNode) -> Answers:
    """Return the student's answers to the master's solution cells.

    A cell is found by its id; where that is lost, by nbgrader's name for it; where that is lost,
    too, by the function that it defines. Of several the first that is not the empty stub counts.
    Raises UnreadableError if content is not a notebook.
    """
    cells = cells_of(content)
    found, notes = {}, []
    for wanted in master.cells:
        if mark(wanted).get("solution"):
            source, note = _answer(wanted, cells)
            notes += [note] if note else []
            if source is not None:
                found[wanted.id] = source
    return Answers(found, notes)


def _answer(wanted: NotebookNode, cells: list[dict]) -> tuple[str | None, str]:
    kind = [c for c in cells if c["cell_type"] == wanted.cell_type]
    names = DEFINED.findall(wanted.source)
    ways = {
        "": [c for c in kind if c["id"] == wanted.id],
        "its id was lost; it was found by nbgrader's name": [
            c for c in kind if c["grade_id"] == wanted.id
        ],
        "its id was lost; it was found by the function it defines": [
            c for c in kind if names and names[-1] in DEFINED.findall(c["source"])
        ],
    }
    for note, claimed in ways.items():
        written = [c["source"] for c in claimed if c["source"].strip() != wanted.source.strip()]
        if not written:
            continue
        if len(written[0]) > LONGEST:
            return None, f"{wanted.id}: an answer of more than {LONGEST} characters is not run."
        if len(set(written)) > 1:
            note = f"{len(written)} cells claim to be this answer; the first counts"
        return written[0], f"{wanted.id}: {note}." if note else ""
    if any(ways.values()):
        return wanted.source, ""
    return None, f"{wanted.id}: the answer's cell is missing; it counts as not written."

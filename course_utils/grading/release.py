"""The lecturer's folder, in nbgrader's form: source/, release/, settings and gradebook."""

import contextlib
import hashlib
import os
import re
import sqlite3
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from course_utils.grading import roster
from course_utils.grading.cells import mark
from course_utils.grading.forms import SETTINGS, quiet, settings, with_expected_figures
from course_utils.tools.delivery import CURE, deliver, files_in, outside, place
from course_utils.tools.files import NOTEBOOKS, PACKAGE
from course_utils.tools.notebooks import fault, read

HOMEWORK = NOTEBOOKS / "homework"
SOLVED = re.compile(r"(?m)^ *### BEGIN SOLUTION")
DEFAULT = Path("build") / "homework"


def sources() -> dict[str, Path]:
    """Return the instructor's notebooks by the name of the homework: hw1, hw2, …

    Raises FileNotFoundError where there are none: they are in the repository, not in the package.
    """
    found = {path.stem.split("_")[0]: path for path in sorted(HOMEWORK.glob("hw*.ipynb"))}
    if not found:
        raise FileNotFoundError(
            f"There is no homework in {HOMEWORK}: its sources are in the course's repository, and"
            " the installed package does not hold them. Run this from a clone."
        )
    return found


def check(source: NotebookNode, name: str) -> None:
    """Raise ValueError if a notebook cannot be graded without running a student's code outside.

    A graded cell and a given one run in the grader's own process, an answer in the sandbox alone.
    """
    for cell in source.cells:
        if SOLVED.search(cell.source) and not mark(cell).get("solution"):
            raise ValueError(
                f"{name}: the cell {cell.id} holds a solution and is not marked as an answer, so"
                " students would see it. Let it be an autograded answer."
            )
        if cell.cell_type == "code" and mark(cell).get("solution"):
            given = "given" in cell.metadata.get("tags", [])
            if given or mark(cell).get("grade"):
                kind = "tagged `given`" if given else "graded itself (a manually graded answer)"
                raise ValueError(
                    f"{name}: the cell {cell.id} is an answer and {kind}, so a student's code would"
                    " run outside of the sandbox. Let the answer be an autograded answer, and put"
                    " its test into a cell below."
                )


def renew(course: Path) -> list[str]:
    """Make or renew a course folder; return a line for each file that changed.

    What a lecturer changed stays: an edited source is what is released, an edited release is what
    students get, and the course's new version of either is put into updates/.

    Raises FileNotFoundError without sources; ValueError, before anything is written, if something
    of somebody's is in the way; RuntimeError with nbgrader's words if it fails.
    """
    homework, course = sources(), outside(course)
    contents = {"nbgrader_config.py": SETTINGS.encode()}
    for name, path in homework.items():
        notebook = read(path)
        check(notebook, path.name)
        text = nbformat.writes(with_expected_figures(notebook)) + "\n"
        contents[f"source/{name}/{path.name}"] = text.encode()
    check_folder(course, homework)
    course.mkdir(parents=True, exist_ok=True)
    roster.template(course)
    done = deliver(contents, course, aside="updates")
    return [*done.values(), *deliver(released(course, homework), course, aside="updates").values()]


def check_folder(course: Path, homework: dict[str, Path]) -> None:
    """Raise ValueError if a folder holds what nbgrader would spoil, or what would spoil its work.

    That is a gradebook.db of another program, a second notebook of a homework, a release/ that
    leads elsewhere, or settings that do not run.
    """
    for name, path in homework.items():
        place(course, f"release/{name}/{path.name}")
        for other in (course / "source" / name).glob("*.ipynb"):
            if other.name != path.name:
                raise ValueError(f"{other} is not the course's notebook of {name}: {CURE}.")
    if os.path.lexists(course / "nbgrader_config.py"):
        settings(course)
    gradebook = course / "gradebook.db"
    if os.path.lexists(gradebook) and not is_gradebook(gradebook):
        raise ValueError(f"{gradebook} is no gradebook of nbgrader: {CURE}.")


def is_gradebook(path: Path) -> bool:
    """Return whether a file is a database of nbgrader's, or one that is still empty."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master")}
    except sqlite3.DatabaseError:
        return False
    return not tables or {"assignment", "grade"} <= tables


def released(course: Path, homework: dict[str, Path]) -> dict[str, bytes]:
    """Return what students get, by its path in the course folder: what nbgrader makes of source/.

    It enters the cells into the gradebook. Raises RuntimeError with nbgrader's words if it fails.
    """
    from nbgrader.apps import NbGraderAPI  # slow to import, and not where there are no sources

    config = settings(course)
    with tempfile.TemporaryDirectory(dir=course, prefix=".course-") as draft:
        config.CourseDirectory.release_directory = Path(draft).name
        api = NbGraderAPI(config=config)
        for name, path in homework.items():
            check(read(course / "source" / name / path.name), path.name)
            with quiet():
                result = api.generate_assignment(name, force=True)
            if not result["success"]:
                said = f"{result.get('log')}\n{result.get('error')}"
                reasons = re.findall(r"(?m)^\w+(?:Error|Exception): (?!Please see).+$", said)
                why = " ".join(dict.fromkeys(reasons)) or said[-2000:]
                raise RuntimeError(f"nbgrader could not release {name}: {why}")
        return files_in(Path(draft), "release")


def master(course: Path, homework: str) -> NotebookNode:
    """Return what answers are put into: the released notebook with its hidden tests.

    Raises ValueError if the course folder does not hold this homework, whole, or see `check`.
    """
    sheets = sheets_of(course, homework)
    return with_tests(sheets.released, sheets.source, sheets.name)


class Sheets(NamedTuple):
    """The notebooks of a homework in a course folder, the same for all students."""

    name: str  # of the file, without its ending
    source: NotebookNode
    released: NotebookNode


def sheets_of(course: Path, homework: str) -> Sheets:
    """Return source and release of a homework.

    Raises ValueError if the course folder does not hold this homework, or see `check`.
    """
    found = sorted((course / "source" / homework).glob("*.ipynb"))
    released = [course / "release" / homework / path.name for path in found]
    if len(found) != 1 or not released[0].is_file():
        raise ValueError(
            f"{course} holds no homework {homework}: make it with `python3 course.py homework"
            f" {course}`, or name another folder with --course."
        )
    source, common = (_read(p, p.stat().st_mtime_ns) for p in (found[0], released[0]))
    check(source, found[0].name)
    return Sheets(found[0].stem, nbformat.from_dict(source), nbformat.from_dict(common))


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int) -> NotebookNode:
    return read(path)  # of a class, each student's variant needs it


def with_tests(released: NotebookNode, source: NotebookNode, name: str) -> NotebookNode:
    """Return a released notebook with the hidden tests of its source, and its name."""
    tests = {c.id: c.source for c in source.cells if mark(c).get("grade")}
    for cell in released.cells:
        if cell.cell_type == "code" and cell.id in tests:
            cell.source = tests[cell.id]
    released.metadata["name"] = name
    return released


def masters(course: Path, homework: str) -> dict[str, NotebookNode]:
    """Return the released notebooks of a course by homework, by which a file is recognised.

    Raises ValueError if the course folder does not hold this homework.
    """
    found = {homework: master(course, homework)}
    for path in sorted((course / "release").glob("*/*.ipynb")):
        if not fault(path):
            found.setdefault(path.parent.name, read(path))
    return found


def checks_of_the_course() -> str:
    """Return a hash of the course's code that decides grades: what tests import, and the judge."""
    digest = hashlib.sha256()
    for pattern in ("*.py", "built/*.py", "exercises/*.py", "grading/*.py"):
        for path in sorted(PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()

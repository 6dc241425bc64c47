"""The lecturer's folder, in nbgrader's form: `python -m course_utils.grading.release`.

It holds source/ (with solutions and hidden tests), release/ (what students get: give them nothing
else), nbgrader's settings and its gradebook. A second run renews what has changed in the course;
grades and whatever else lies in the folder stay.
"""

import argparse
import contextlib
import csv
import hashlib
import logging
import os
import re
import sqlite3
import sys
import tempfile
import unicodedata
import warnings
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, writes_json
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course_utils.grading import roster
from course_utils.grading.cells import mark
from course_utils.grading.variants import SEEN, TAG, varied
from course_utils.tools.delivery import CURE, deliver, files_in, outside, place
from course_utils.tools.files import NOTEBOOKS, PACKAGE, ending
from course_utils.tools.notebooks import read
from course_utils.tools.outputs import form_of

LONGEST = 120  # bytes in the name of a student's folder
UNSAFE = re.compile(r"[^\w @+,=.-]|^[. ]|[. ]$")  # in such a name, on any system
HOMEWORK = NOTEBOOKS / "homework"
DEFAULT = Path("build") / "homework"
SETTINGS = '''"""Settings of nbgrader for this course; yours to change."""

from nbconvert.preprocessors import TagRemovePreprocessor

c = get_config()  # noqa: F821 - nbgrader hands it in
c.CourseDirectory.course_id = "learned-sparse-coding"
c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("put your code here, in place of this line")'
}
c.ClearSolutions.text_stub = "*Your answer, in place of this line.*"
c.IncludeHeaderFooter.header = ""
c.TagRemovePreprocessor.enabled = True  # what draws variants is for instructors alone
c.TagRemovePreprocessor.remove_cell_tags = {"variant"}
c.GenerateAssignment.preprocessors.prepend([TagRemovePreprocessor])
'''


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


def settings(course: Path) -> Config:
    """Return nbgrader's settings of a course folder, whose own may be older than variants are.

    Raises ValueError if they are no Python that runs.
    """
    try:
        config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    except Exception as error:  # whatever a lecturer wrote there
        told = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{course / 'nbgrader_config.py'} does not run, mend it: {told}"
        ) from error
    config.CourseDirectory.root = str(course.resolve())
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {TAG}
    config.GenerateAssignment.preprocessors.prepend([TagRemovePreprocessor])
    return config


@contextlib.contextmanager
def quiet():
    """Let nbgrader work: its log and its library's warnings about itself stay off the screen.

    For a new gradebook it runs the program `alembic`, which lies beside this Python.
    """
    log, path = logging.getLogger("traitlets"), os.environ.get("PATH", "")
    level = log.level
    log.setLevel(logging.CRITICAL)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
        os.environ["PATH"] = path


def with_expected_figures(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook with the stored picture of each cell tagged `expected` below it.

    nbgrader clears the outputs of what it releases; a picture in the text stays.
    """
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if "expected" in cell.metadata.get("tags", []):
            cells += [_expected(cell, output) for output in cell.outputs if form_of(output)]
    return nbformat.from_dict({**notebook, "cells": cells})


def _expected(cell: NotebookNode, output: NotebookNode) -> NotebookNode:
    alt = output.data["text/plain"].replace("[", "(").replace("]", ")").replace("\n", " ")
    form = form_of(output)
    name = "seen.svg" if form == "image/svg+xml" else "seen.png"
    text = f"{SEEN}\n\n![{alt}](attachment:{name})"
    below = new_markdown_cell(text, id=f"{cell.id}-expected")
    below.attachments = {name: {form: attached(output.data[form], form)}}
    plain = {"grade": False, "locked": True, "solution": False, "task": False}
    below.metadata.nbgrader = {**plain, "grade_id": below.id, "schema_version": 3}
    return below


def attached(drawn: str, form: str) -> str:
    """Return the data of a figure as an attachment holds it: SVG, too, as base64."""
    return b64encode(drawn.encode()).decode() if form == "image/svg+xml" else drawn


def check(source: NotebookNode, name: str) -> None:
    """Raise ValueError if a notebook cannot be graded without running a student's code outside.

    A graded cell and a given one run in the grader's own process, an answer in the sandbox alone.
    """
    for cell in source.cells:
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
                told = str(result.get("log") or result.get("error"))[-2000:]
                raise RuntimeError(f"nbgrader could not release {name}: {told}")
        return files_in(Path(draft), "release")


def master(course: Path, homework: str) -> NotebookNode:
    """Return what answers are put into: the released notebook with its hidden tests.

    Raises ValueError if the course folder does not hold this homework, or see `check`.
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
    return nbformat.read(path, as_version=4)  # of a class, each student's variant needs it


def with_tests(released: NotebookNode, source: NotebookNode, name: str) -> NotebookNode:
    """Return a released notebook with the hidden tests of its source, and its name."""
    tests = {c.id: c.source for c in source.cells if mark(c).get("grade")}
    for cell in released.cells:
        if cell.cell_type == "code" and cell.id in tests:
            cell.source = tests[cell.id]
    released.metadata["name"] = name
    return released


# A variant for each student


def release_each(course: Path, homework: str, students: Sequence[str]) -> list[Path]:
    """Write a notebook for each student, its numbers drawn for them; return where they lie.

    That is COURSE/variants/HOMEWORK/STUDENT. One that a lecturer has changed stays, and the new one
    is put beside it. Raises ValueError if the course folder does not hold this homework, if its
    variants cannot be drawn, or if a student is named twice.
    """
    twice = [name for name, count in Counter(map(folder_of, students)).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is in the list of students twice: name each once.")
    sheets, of_release = sheets_of(course, homework), steps(course)
    contents = {}
    for student in students:
        own = varied(sheets.source, homework, student)
        text = writes_json(as_released(own, sheets, of_release)) + "\n"
        contents[f"{homework}/{folder_of(student)}/{sheets.name}.ipynb"] = text.encode()
    place = course / "variants"
    place.mkdir(exist_ok=True)
    deliver(contents, place)
    return [place / path for path in contents]


def source_text(course: Path, homework: str) -> str:
    """Return all of a homework's source, its function `variant` too."""
    return nbformat.writes(sheets_of(course, homework).source)


def is_varied(course: Path, homework: str) -> bool:
    """Tell if each student got a notebook of their own, so that it is graded by their numbers."""
    return (course / "variants" / homework).is_dir()


def master_of(course: Path, homework: str, student: str) -> NotebookNode:
    """Return what this student's answers are put into: the student's variant with its hidden tests.

    Raises ValueError if the course folder does not hold this homework, or its variants cannot be
    drawn; see `check` and `variants.varied`.
    """
    sheets = sheets_of(course, homework)
    own = varied(sheets.source, homework, student)
    tests = nbformat.from_dict(own)
    return with_tests(as_released(own, sheets, steps(course)), tests, sheets.name)


def steps(course: Path) -> list:
    """Return what nbgrader does to a source when it releases it, without its gradebook."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import SaveCells

    config = settings(course)
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    return [kind(config=config) for kind in converter.preprocessors if kind is not SaveCells]


def as_released(own: NotebookNode, sheets: Sheets, of_release: list) -> NotebookNode:
    """Return a student's source as it is released: the common release with the cells that differ.

    of_release are the `steps`.
    """
    common = {cell.id: cell.source for cell in sheets.source.cells}
    part = {**own, "cells": [cell for cell in own.cells if cell.source != common[cell.id]]}
    notebook, resources = nbformat.from_dict(part), {}
    with quiet():
        for step in of_release:
            notebook, resources = step(notebook, resources)
    new = {cell.id: cell for cell in notebook.cells}
    cells = [new.get(cell.id, cell) for cell in sheets.released.cells]
    return nbformat.from_dict({**sheets.released, "cells": cells})


def folder_of(student: str) -> str:
    """Return the name of a student's folder: the id, and %XX for what a file's name may not hold.

    A long one is cut, and ends with a hash.
    """
    name = UNSAFE.sub(_percent, unicodedata.normalize("NFC", student))
    if len(name.encode()) <= LONGEST:
        return name
    return f"{name[: LONGEST // 6]}-{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def _percent(found: re.Match) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))


def masters(course: Path, homework: str) -> dict[str, NotebookNode]:
    """Return the released notebooks of a course by homework, by which a file is recognised.

    Raises ValueError if the course folder does not hold this homework.
    """
    found = {homework: master(course, homework)}
    for path in sorted((course / "release").glob("*/*.ipynb")):
        found.setdefault(path.parent.name, nbformat.read(path, as_version=4))
    return found


def checks_of_the_course() -> str:
    """Return a hash of the course's code that decides grades: what tests import, and the judge."""
    digest = hashlib.sha256()
    for pattern in ("*.py", "built/*.py", "grading/*.py"):
        for path in sorted(PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def ids(path: Path) -> list[str]:
    """Return the students of a list: the column `id` of a CSV file.

    Raises ValueError if there is none, or nobody in it.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = [(row.get("id") or "").strip() for row in csv.DictReader(file)]
    if not any(found):
        raise ValueError(f"{path} names no students: it needs a column `id`, and a line for each.")
    return [student for student in found if student]


@ending(OSError, RuntimeError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence about what went wrong."""
    parser = argparse.ArgumentParser(prog="course.py homework", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT, metavar="FOLDER")
    parser.add_argument(
        "--variants", metavar="HOMEWORK", help="write one notebook for each student"
    )
    parser.add_argument("--students", type=Path, metavar="FILE", help="a CSV file with a column id")
    wanted = parser.parse_args(arguments)
    if (wanted.variants is None) != (wanted.students is None):
        parser.error("--variants and --students need each other")
    course = wanted.folder
    print(*renew(course) or ["nothing new"], sep="\n")
    if wanted.variants:
        written = release_each(course, wanted.variants, ids(wanted.students))
        place = course / "variants" / wanted.variants
        print(f"Give each student the notebook of their own: {len(written)} lie in {place}.")
        return 0
    print(f"Give students what is in {course / 'release'}; source/ holds the solutions.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The lecturer's folder, in nbgrader's form: `python -m course_utils.grading.release`.

It holds source/ (with solutions and hidden tests), release/ (what students get: give them nothing
else), nbgrader's settings and its gradebook. A second run renews what has changed in the course;
grades and whatever else lies in the folder stay.
"""

import argparse
import contextlib
import hashlib
import logging
import os
import sys
import tempfile
import warnings
from base64 import b64encode
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course_utils.grading.cells import mark
from course_utils.tools.delivery import deliver
from course_utils.tools.files import NOTEBOOKS, PACKAGE, ending, write
from course_utils.tools.outputs import form_of

HOMEWORK = NOTEBOOKS / "homework"
DEFAULT = Path("build") / "homework"
SETTINGS = '''"""Settings of nbgrader for this course; yours to change."""

c = get_config()  # noqa: F821 - nbgrader hands it in
c.CourseDirectory.course_id = "learned-sparse-coding"
c.ClearSolutions.code_stub = {
    "python": 'raise NotImplementedError("put your code here, in place of this line")'
}
c.ClearSolutions.text_stub = "*Your answer, in place of this line.*"
c.IncludeHeaderFooter.header = ""
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
    """Return nbgrader's settings of a course folder."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course.resolve())
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
    text = f"**What you should see** when your answers are right:\n\n![{alt}](attachment:{name})"
    below = new_markdown_cell(text, id=f"{cell.id}-expected")
    below.attachments = {name: {form: attached(output.data[form], form)}}
    plain = {"grade": False, "locked": True, "solution": False, "task": False}
    below.metadata.nbgrader = {**plain, "grade_id": below.id, "schema_version": 3}
    return below


def attached(drawn: str, form: str) -> str:
    """Return the data of a figure as an attachment holds it: SVG, too, as base64."""
    return b64encode(drawn.encode()).decode() if form == "image/svg+xml" else drawn


def as_released(path: Path) -> NotebookNode:
    """Return an instructor's notebook as students get it: no solution, no hidden test.

    Raises RuntimeError with nbgrader's words if its regions do not end.
    """
    from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        write(Path(folder) / "nbgrader_config.py", SETTINGS)
        config = settings(Path(folder))
    notebook = with_expected_figures(nbformat.read(path, as_version=4))
    with quiet():
        for step in (ClearSolutions, ClearHiddenTests):
            notebook, _ = step(config=config).preprocess(notebook, {})
    return notebook


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
    """Make or renew a course folder; return a line for each homework that changed.

    What a lecturer changed in source/ stays, and is what is released; the course's new version is
    put into updates/.

    Raises FileNotFoundError without sources, RuntimeError with nbgrader's words if it fails.
    """
    homework = sources()
    from nbgrader.apps import NbGraderAPI  # slow to import, and not where there are no sources

    course.mkdir(parents=True, exist_ok=True)
    if not (course / "nbgrader_config.py").exists():
        write(course / "nbgrader_config.py", SETTINGS)
    contents = {}
    for name, path in homework.items():
        notebook = nbformat.read(path, as_version=4)
        check(notebook, path.name)
        text = nbformat.writes(with_expected_figures(notebook)) + "\n"
        contents[f"source/{name}/{path.name}"] = text.encode()
    done = deliver(contents, course, aside=course / "updates")
    lines = [line for line in done.values() if line.startswith("yours kept")]
    api = NbGraderAPI(config=settings(course))
    for name, path in homework.items():
        place = course / "source" / name / path.name
        released = course / "release" / name / path.name
        if released.is_file() and released.stat().st_mtime >= place.stat().st_mtime:
            continue
        check(nbformat.read(place, as_version=4), path.name)
        with quiet():
            result = api.generate_assignment(name, force=True)
        if not result["success"]:
            raise RuntimeError(f"nbgrader could not release {name}: {result['log'][-2000:]}")
        lines.append(f"{name}: {released}")
    return lines


def instructors(course: Path, homework: str) -> NotebookNode:
    """Return the instructor's notebook of a homework, with solutions and hidden tests.

    Raises ValueError if the course folder does not hold this homework.
    """
    found = sorted((course / "source" / homework).glob("*.ipynb"))
    if len(found) != 1 or not (course / "release" / homework / found[0].name).is_file():
        raise ValueError(
            f"{course} holds no homework {homework}: make it with `python3 course.py homework"
            f" {course}`, or name another folder with --course."
        )
    notebook = nbformat.read(found[0], as_version=4)
    check(notebook, found[0].name)
    notebook.metadata["name"] = found[0].stem
    return notebook


def master(course: Path, homework: str) -> NotebookNode:
    """Return what answers are put into: the released notebook with its hidden tests.

    Raises ValueError if the course folder does not hold this homework, or see `check`.
    """
    source = instructors(course, homework)
    released = course / "release" / homework / f"{source.metadata['name']}.ipynb"
    notebook = nbformat.read(released, as_version=4)
    tests = {c.id: c.source for c in source.cells if mark(c).get("grade")}
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.id in tests:
            cell.source = tests[cell.id]
    notebook.metadata["name"] = source.metadata["name"]
    return notebook


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


@ending(OSError, RuntimeError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence about what went wrong."""
    parser = argparse.ArgumentParser(prog="course.py homework", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT, metavar="FOLDER")
    course = parser.parse_args(arguments).folder
    print(*renew(course) or ["nothing new"], sep="\n")
    print(f"Give students what is in {course / 'release'}; source/ holds the solutions.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The forms of a homework's notebook: as its author writes it, and as nbgrader gives it out."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from base64 import b64encode
from pathlib import Path

import nbformat
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course_utils.grading.variants import SEEN, TAG
from course_utils.tools.files import write
from course_utils.tools.outputs import form_of

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


def steps(course: Path) -> list:
    """Return what nbgrader does to a source when it releases it, without its gradebook."""
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.preprocessors import SaveCells

    config = settings(course)
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    return [kind(config=config) for kind in converter.preprocessors if kind is not SaveCells]


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


def student_form(path: Path) -> NotebookNode:
    """Return an instructor's notebook as students get it: no solution, no hidden test.

    Raises RuntimeError with nbgrader's words if its regions do not end.
    """
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        write(Path(folder) / "nbgrader_config.py", SETTINGS)
        of_release = steps(Path(folder))
    return cleared(with_expected_figures(nbformat.read(path, as_version=4)), of_release)


def cleared(notebook: NotebookNode, of_release: list) -> NotebookNode:
    """Return a source, or some of its cells, as students get them; of_release are the `steps`."""
    resources: dict = {}
    with quiet():
        for step in of_release:
            notebook, resources = step(notebook, resources)
    return notebook

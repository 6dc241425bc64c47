"""A homework with numbers of their own for each student: released, and judged by them."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import writes_json

from course_utils.grading.forms import cleared, steps
from course_utils.grading.release import Sheets, sheets_of, with_tests
from course_utils.grading.variants import varied
from course_utils.tools.delivery import deliver

LONGEST = 120  # bytes in the name of a student's folder
ALONE = Lock()  # a drawing keeps what is printed to itself, for the whole process
UNSAFE = re.compile(r"[^\w @+,=.-]|^[. ]|[. ]$")  # in such a name, on any system


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


def is_varied(course: Path, homework: str) -> bool:
    """Tell if each student got a notebook of their own, so that it is graded by their numbers."""
    return (course / "variants" / homework).is_dir()


def own_source(course: Path, homework: str, student: str) -> NotebookNode:
    """Return the source of a homework with a student's numbers, solutions and hidden tests too.

    Raises ValueError if the course folder does not hold this homework, or its variants cannot be
    drawn; see `variants.varied`.
    """
    with ALONE:
        return varied(sheets_of(course, homework).source, homework, student)


def master_of(course: Path, homework: str, own: NotebookNode) -> NotebookNode:
    """Return what a student's answers are put into: that student's `own_source` as it is released,
    with its hidden tests."""
    sheets = sheets_of(course, homework)
    tests = nbformat.from_dict(own)
    return with_tests(as_released(own, sheets, steps(course)), tests, sheets.name)


def as_released(own: NotebookNode, sheets: Sheets, of_release: list) -> NotebookNode:
    """Return a student's source as it is released: the common release with the cells that differ.

    of_release are the `steps`.
    """
    common = {cell.id: cell.source for cell in sheets.source.cells}
    part = {**own, "cells": [cell for cell in own.cells if cell.source != common[cell.id]]}
    notebook = cleared(nbformat.from_dict(part), of_release)
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

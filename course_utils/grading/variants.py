"""A homework with numbers of its own for each student, drawn from the homework and who it is for.

The source of a homework may hold code cells tagged `variant`, for instructors alone, with

    def variant(rng: np.random.Generator) -> dict[str, dict[str, object]]

It returns values by cell and by name: each takes the place of what that cell assigns to that name
at its top. All else follows: the results that `known` shows to students are computed anew from the
answers in the source and from the mistakes that `require` knows in the hidden tests, and a task is
drawn again until each of its mistakes is told from the right answer.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection

import nbformat
import numpy as np
from nbformat import NotebookNode

from course_utils.grading.cells import cells_of
from course_utils.grading.literals import assigned, rounded, tabulated
from course_utils.grading.trial import (
    Trial,
    given_and_answers,
    recorded,
    run,
    tasks_of,
    trials,
)

TAG = "variant"
TRIES = 200  # draws of a task, before its author is told that it cannot be drawn
SEEN = "**What you should see** when your answers are right:"
SEEN_OF_ALL = (
    "**What you should see** when your answers are right, drawn with the numbers of the common"
    " version; with your numbers it looks much the same, and its numbers are others:"
)

Values = dict[str, dict[str, object]]
Draw = Callable[[np.random.Generator], Values]


def seed(homework: str, student: str) -> int:
    """Return the number that a student's homework is drawn from; the same on every machine."""
    whom = unicodedata.normalize("NFC", student)
    text = f"{homework}\n{whom}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:16], "big")


def is_variant(cell: NotebookNode) -> bool:
    """Tell if a cell is the author's, which no release and no student's notebook holds."""
    return TAG in cell.metadata.get("tags", [])


def varied(source: NotebookNode, homework: str, student: str) -> NotebookNode:
    """Return the source of a homework, solutions and hidden tests too, with a student's numbers.

    It has no outputs, and no cell tagged `variant`; its first text cell says whose it is.

    Raises ValueError, with a sentence for the author, if the source has no function `variant`, if
    that fails or names what no cell assigns, or if its draws do not tell mistakes apart.
    """
    draw, tasks = drawing(source, homework), tasks_of(source)
    rng = np.random.default_rng(seed(homework, student))
    values = drawn(draw, rng, homework)
    tried: dict[str, Trial] = {}
    doubtful = set(tasks.values())
    for _ in range(TRIES):
        notebook = replaced(source, values, homework)
        tried |= trials(notebook, doubtful, homework)
        doubtful = {task for task in doubtful if tried[task].doubt}
        if not doubtful:
            return addressed(followed(notebook, tried.values()), student)
        again = drawn(draw, rng, homework)
        values |= {cell: new for cell, new in again.items() if tasks.get(cell) in doubtful}
    task = min(doubtful)
    raise ValueError(
        f"{homework}: no numbers for {task} in {TRIES} draws of variant(rng); of the last,"
        f" {tried[task].doubt}."
    )


def drawing(source: NotebookNode, homework: str) -> Draw:
    """Return the function `variant` of a source; it may use what given cells and answers define."""
    cells = [cell for cell in source.cells if is_variant(cell)]
    if not cells:
        raise ValueError(
            f"{homework} has no cell tagged `variant`: give its source one, with a function"
            " variant(rng), or release one notebook for all."
        )
    namespace: dict = {"__name__": "homework"}
    for cell in [*given_and_answers(source), *cells]:
        run(cell, namespace, [], homework)
    if "variant" not in namespace:
        raise ValueError(f"{homework}: no cell tagged `variant` defines a function variant(rng).")
    return namespace["variant"]


def drawn(draw: Draw, rng: np.random.Generator, homework: str) -> Values:
    """Return what the author's function draws. Raises ValueError if that is no draw of values."""
    try:
        values = draw(rng)
    except Exception as error:
        raise ValueError(
            f"{homework}: the function variant raised {type(error).__name__}: {error}."
        ) from error
    nested = isinstance(values, dict) and all(isinstance(v, dict) for v in values.values())
    if not nested:
        raise ValueError(
            f"{homework}: the function variant must return a dictionary for each cell, by its id,"
            ' such as {"task1-hidden": {"seed": 7}}.'
        )
    return values


def replaced(source: NotebookNode, values: Values, homework: str) -> NotebookNode:
    """Return a copy of the source, without outputs, in which values are assigned."""
    kept = [cell for cell in source.cells if not is_variant(cell)]
    unknown = set(values) - {cell.id for cell in kept if cell.cell_type == "code"}
    if unknown:
        raise ValueError(f"{homework} has no code cell {unknown.pop()}, which variant(rng) names.")
    cells = []
    for cell in kept:
        empty = {"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}
        text = cell.source
        if cell.id in values:
            text = assigned(text, values[cell.id], f"{homework}, cell {cell.id}")
        cells.append({**cell, **empty, "source": text})
    return nbformat.from_dict({**source, "cells": cells})


def followed(notebook: NotebookNode, tried: Collection[Trial]) -> NotebookNode:
    """Return the notebook in which the results that students are shown are those of its cases."""
    tables: dict[str, list] = {}
    for check, made in ((c, m) for t in tried for c, m in zip(t.checks, t.made, strict=True)):
        if check.solution is None:
            wrong = {why: rounded(recorded(values)) for why, values in made.wrong.items()}
            tables.setdefault(check.cell, []).append((rounded(recorded(made.right)), wrong))
    for cell in notebook.cells:
        if cell.id in tables:
            cell.source = tabulated(cell.source, tables[cell.id])
    return notebook


def title_line(student: str) -> str:
    """Return the line of a student's notebook that says whose it is, in Markdown."""
    whom = re.sub(r"([\\`*_{}\[\]()#!|~$<>&])", r"\\\1", " ".join(student.split()))
    return f"**This notebook is for {whom}.** Its numbers are drawn for this name."


def whose(content: bytes, student: str) -> str:
    """Say that what a student handed in was made for somebody else, or for nobody; "" if not.

    Raises UnreadableError if content is no notebook.
    """
    texts = "\n".join(cell.source for cell in cells_of(content) if cell.kind != "code")
    if title_line(student) in texts:
        return ""
    other = re.search(r"\*\*This notebook is for (.+?)\.\*\* Its numbers", texts)
    if other:
        name = re.sub(r"\\(.)", r"\1", other[1])
        return f"It is the notebook of {name}; it was graded by this student's own numbers."
    return "No line in it says whose notebook it is; it was graded by this student's own numbers."


def addressed(notebook: NotebookNode, student: str) -> NotebookNode:
    """Return the notebook with a line that says whose it is; pictures are said to be of all."""
    title = next(cell for cell in notebook.cells if cell.cell_type == "markdown")
    title.source += f"\n\n{title_line(student)}"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(SEEN, SEEN_OF_ALL)
    return notebook

"""Run the checks of a homework as its grader will: `python -m course_utils.grading.check FILE`.

For whoever hands in: your answers are looked for as the grader looks for them, they run in the same
sandbox where there is one, and the checks you can see judge them. Hidden tests are not needed and
not run. FILE is not changed.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.grading import pages, release, sandbox
from course_utils.grading.cells import mark, parsed
from course_utils.grading.collect import content_of, known, refusal
from course_utils.grading.forms import student_form
from course_utils.grading.judge import Job, Limits, Verdict, judge
from course_utils.tools.files import ending

WHILE = "    While its cell ran: {}: {} (only given cells and answers are run)"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="course.py check", description=__doc__)
    made.add_argument("file", type=Path, metavar="FILE", help="the notebook you will hand in")
    made.add_argument(
        "--released",
        type=Path,
        metavar="ORIGINAL",
        help="the same homework as you got it; needed where the course's repository is not",
    )
    return made


@ending(OSError, RuntimeError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if every check passes, 1 if not; 2, and a sentence, if it cannot."""
    wanted = parser().parse_args(arguments)
    if not wanted.file.exists():
        raise ValueError(f"There is no {wanted.file}: name the notebook that you will hand in.")
    why = refusal(wanted.file.resolve())
    if why:
        raise ValueError(why)
    originals = original(wanted) if wanted.released else of_the_repository()
    homework, why = known(wanted.file, originals)
    if not homework:
        raise ValueError(why)
    master = visible(originals[homework])
    job = Job(nbformat.writes(master), content_of(wanted.file), Limits(), has_sandbox())
    verdict = judge(job)
    sheet = nbformat.reads(verdict.notebook, as_version=4)
    print(*report(master, sheet, verdict), not_checked(originals[homework]), sep="\n")
    return int(any(failed(cell) for cell in sheet.cells))


def original(wanted: argparse.Namespace) -> dict[str, NotebookNode]:
    """Return the homework as it was given, from the file named. Raises ValueError if it is none."""
    path = wanted.released
    if path.resolve() == wanted.file.resolve():
        raise ValueError(f"--released names {path} itself: name the notebook as you got it.")
    try:
        parsed(path.read_bytes())
        notebook = nbformat.read(path, as_version=4)
    except ValueError as error:
        raise ValueError(f"--released {path}: {error}") from None
    if not any(mark(cell).get("solution") for cell in notebook.cells):
        raise ValueError(f"{path} is not a homework as it was given: it has no cells for answers.")
    return {path.stem: notebook}


def of_the_repository() -> dict[str, NotebookNode]:
    """Return the homeworks as students get them, made from the course's own sources.

    Raises ValueError where they are not, as in the installed package.
    """
    try:
        sources = release.sources()
    except FileNotFoundError:
        raise ValueError(
            "The homework itself is not in the installed course, so name the notebook as you got"
            " it, too (fetch it once more if need be): --released ORIGINAL.ipynb"
        ) from None
    return {name: student_form(path) for name, path in sources.items()}


def visible(notebook: NotebookNode) -> NotebookNode:
    """Return a released notebook without the graded cells whose tests are hidden."""
    cells = [cell for cell in notebook.cells if not is_hidden(cell)]
    return nbformat.from_dict({**notebook, "cells": cells})


def is_hidden(cell: NotebookNode) -> bool:
    """Tell if nothing but comments is left of a graded cell."""
    lines = (line.strip() for line in cell.source.splitlines())
    tests = cell.cell_type == "code" and mark(cell).get("grade")
    return bool(tests) and all(not line or line.startswith("#") for line in lines)


def has_sandbox() -> bool:
    """Tell if the code can run in the sandbox; say so if not."""
    try:
        sandbox.check()
    except sandbox.UnavailableError:
        print("There is no sandbox here, so your code runs as any of your notebooks does.")
        return False
    return True


# What is said


def report(master: NotebookNode, sheet: NotebookNode, verdict: Verdict) -> Iterator[str]:
    """Yield the lines of the report: for each task what was found, and what its checks say.

    Args:
        master: the homework as it was given.
        sheet: the same with the answers that were found, and with outputs.
        verdict: what the grader would note.
    """
    told: dict[str, list[str]] = {}
    for note in verdict.notes:
        told.setdefault(note.partition(": ")[0], []).append(note)
    ids = {cell.id for cell in master.cells}
    yield from (note for ident, notes in told.items() if ident not in ids for note in notes)
    title = ""
    for given, cell in zip(master.cells, sheet.cells, strict=True):
        heading = pages.TITLE.search(given.source) if given.cell_type == "markdown" else None
        if mark(given).get("solution"):
            yield title
            yield f"  {answer(given, cell)}"
            yield from (f"    {note}" for note in told.get(cell.id, ()))
            errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
            yield from (WHILE.format(o.ename, o.evalue) for o in errors)
        elif given.cell_type == "code" and mark(given).get("grade"):
            yield f"  {cell.id}: {pages.said(cell)}"
        elif heading:
            title = heading[1]


def answer(given: NotebookNode, cell: NotebookNode) -> str:
    """Say what was found of an answer."""
    if cell.source.strip() == given.source.strip():
        return f"{given.id}: nothing of yours was found"
    if given.cell_type == "code":
        return f"{given.id}: found, {len(cell.source.splitlines())} lines"
    pictures = len(cell.get("attachments", {}))
    more = f", {pictures} picture{'s' * (pictures != 1)}" if pictures else ""
    words = re.findall(r"\w+", cell.source)
    return f"{given.id}: found, {len(words)} words{more}"


def failed(cell: NotebookNode) -> bool:
    """Tell if a check says no."""
    tests = cell.cell_type == "code" and mark(cell).get("grade")
    return bool(tests) and any(output.output_type == "error" for output in cell.outputs)


def not_checked(notebook: NotebookNode) -> str:
    """Say what only the grader will judge."""
    hidden = sum(mark(cell).get("points", 0) for cell in notebook.cells if is_hidden(cell))
    by_hand = [c for c in notebook.cells if c.cell_type == "markdown" and mark(c).get("grade")]
    written = sum(mark(cell)["points"] for cell in by_hand)
    return (
        f"Not checked here: hidden tests on fresh data ({hidden:g} points) and what you wrote in"
        f" words ({written:g} points)."
    )


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # old Windows consoles
    sys.exit(main())

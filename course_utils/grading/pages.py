"""Feedback for each student, a report and a table of grades for the lecturer.

The pages need no network and no script; whatever a student wrote is shown as text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from jinja2 import Environment, PackageLoader
from nbformat import NotebookNode

from course_utils.grading.cells import mark
from course_utils.grading.collect import NOTHING
from course_utils.grading.exports import as_csv, plain
from course_utils.grading.gradebook import Grade, Record
from course_utils.grading.roster import Person
from course_utils.tools.files import write

TITLE = re.compile(r"^#{1,2} (.+)$", re.MULTILINE)
KINDS = {"check": "the check you could see", "hidden": "hidden tests on fresh data"}
ALIKE = "alike.html"  # beside the report, which links to it
COLUMNS = [
    "student",
    "name",
    "section",
    "handed in",
    "hours late",
    "tests",
    "written",
    "total",
    "of",
    "note",
]


def templates() -> Environment:
    """Return the pages' templates; what is filled in is escaped."""
    pages = Environment(loader=PackageLoader("course_utils.grading", "."), autoescape=True)
    pages.globals["points"] = lambda value: f"{value:g}"
    return pages


def feedback(
    pages: Environment, notebook: NotebookNode, grade: Grade, notes: list[str], name: str
) -> str:
    """Return the page that a student gets: points, what the tests said, answers, comments.

    It shows no line of a hidden test. name is that of the roster, or "".
    """
    title = TITLE.search(notebook.cells[0].source)[1]
    tasks = [t for t in _tasks(notebook, grade) if t["tests"] or t["answers"]]
    page = pages.get_template("feedback.html.j2")
    return page.render(title=title, grade=grade, notes=notes, tasks=tasks, name=name)


def _tasks(notebook: NotebookNode, grade: Grade) -> list[dict]:
    tasks: list[dict] = []
    for cell in notebook.cells:
        heading = TITLE.search(cell.source) if cell.cell_type == "markdown" else None
        if heading and not mark(cell).get("solution"):
            parts = {"tests": [], "answers": [], "got": 0, "most": 0}
            tasks.append({"title": heading[1], "id": cell.id, **parts})
        elif tasks:
            _enter(tasks[-1], cell, grade)
    return tasks


def _enter(task: dict, cell: NotebookNode, grade: Grade) -> None:
    """Put what a student should see of a cell into its task."""
    if mark(cell).get("grade"):
        got, most = grade.cells[cell.id]
        task["got"] = None if got is None or task["got"] is None else task["got"] + got
        task["most"] += most
        if cell.cell_type == "code":
            kind = KINDS.get(cell.id.rpartition("-")[2], "a test")
            test = {"kind": kind, "got": got, "most": most, "said": said(cell)}
            task["tests"].append(test)
    if mark(cell).get("solution"):
        comment = grade.comments.get(cell.id, "")
        errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
        raised = [f"{o.ename}: {o.evalue}" for o in errors]
        attached = cell.get("attachments", {})
        pictures = [(name, *pair) for name, forms in attached.items() for pair in forms.items()]
        shown = {"source": cell.source, "said": raised, "comment": comment, "pictures": pictures}
        task["answers"].append(shown)


def said(cell: NotebookNode) -> str:
    """Return what a graded cell said: its complaint, or what it printed."""
    errors = [o.evalue for o in cell.outputs if o.output_type == "error"]
    printed = [o.text for o in cell.outputs if o.output_type == "stream"]
    return " ".join(errors or printed).strip() or "✓"


def report(
    pages: Environment,
    notebooks: dict[str, NotebookNode],
    grades: Sequence[Grade],
    records: dict,
    absent: Sequence[str],
    names: dict[str, str],
    links: dict[str, str],
) -> str:
    """Return the lecturer's page: whom to look at, and which task went how.

    notebooks are the graded notebooks by student; grades and records are of the same students, and
    absent are those who handed in nothing; names are those of the roster, by id, and
    links lead to the feedback pages.
    """
    texts: dict[str, Counter] = {}
    full: Counter = Counter()
    title = ""
    for grade in grades:
        notebook = notebooks[grade.student]
        title = TITLE.search(notebook.cells[0].source)[1]
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.id in grade.cells:
                got, most = grade.cells[cell.id]
                full[cell.id] += got == most
                texts.setdefault(cell.id, Counter()).update([said(cell)] * (got != most))
    most = grades[0].cells
    tests = [
        {"id": i, "most": most[i][1], "full": full[i], "said": counted.most_common(4)}
        for i, counted in texts.items()
    ]
    troubles = [(g.student, g.total, r.notes) for g in grades if (r := records[g.student]).notes]
    return pages.get_template("report.html.j2").render(
        title=title,
        grades=grades,
        median=median(g.tests for g in grades),
        tests_most=sum(t["most"] for t in tests),
        open=sum(g.written is None for g in grades),
        csv="grades.csv",
        alike=ALIKE,
        troubles=troubles,
        absent=absent,
        names=names,
        links=links,
        tests=tests,
    )


def table(
    grades: Sequence[Grade],
    records: dict[str, Record],
    absent: Sequence[str],
    people: Sequence[Person],
) -> str:
    """Return the grades as CSV, a student a line; `written` is empty until a person graded it.

    absent are those of the roster who handed in nothing. A text that a spreadsheet would take for a
    formula gets an apostrophe in front.
    """
    known = {person.id: person for person in people}
    lines = [COLUMNS]
    for g in grades:
        written = "" if g.written is None else f"{g.written:g}"
        numbers = [f"{g.tests:g}", written, f"{g.total:g}", f"{g.most:g}"]
        late = f"{g.hours_late:.1f}" if g.hours_late > 0 else ""
        note = " ".join(records[g.student].notes)
        lines.append([*_who(g.student, known), g.handed_in, late, *numbers, plain(note)])
    most = f"{grades[0].most:g}" if grades else ""
    lines += [[*_who(student, known), "", "", "", "", "", most, NOTHING] for student in absent]
    return as_csv(lines)


def _who(student: str, known: dict[str, Person]) -> list[str]:
    """The first cells of a student's line."""
    person = known.get(student, Person(student))
    return [plain(person.id), plain(person.name), plain(person.section)]


def store(place: Path, page: str) -> None:
    """Write a page, its folder made if need be."""
    place.parent.mkdir(parents=True, exist_ok=True)
    write(place, page)

"""Results into nbgrader's folders and database, grades out of them."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from course_utils.grading.cells import mark
from course_utils.grading.collect import Submission
from course_utils.grading.forms import quiet, settings
from course_utils.grading.roster import Person
from course_utils.tools.files import write


class Record(NamedTuple):
    """What is remembered of one graded submission."""

    student: str
    key: str  # of what was handed in, the tests and the limits: the same key, the same grade
    notes: list[str]
    seconds: float


class Grade(NamedTuple):
    """A student's points, as nbgrader's database holds them now."""

    student: str
    handed_in: str
    hours_late: float
    tests: float
    written: float | None  # None until a person has graded it
    total: float
    most: float
    cells: dict[str, tuple[float | None, float]]  # points and their maximum, by cell
    comments: dict[str, str]


def key(content: bytes | None, *rest: object) -> str:
    """Return a hash of all that decides a grade."""
    digest = hashlib.sha256(content or b"nothing")
    digest.update(repr(rest).encode("utf-8", "replace"))
    return digest.hexdigest()


def _place(course: Path, homework: str, student: str) -> Path:
    name = hashlib.sha256(student.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return course / "records" / homework / f"{name}.json"


def recorded(course: Path, homework: str, student: str) -> Record | None:
    """Return what is remembered of a student's homework; None if it has to be graded."""
    return _record(_place(course, homework, student))


def _record(place: Path) -> Record | None:
    try:
        return Record(**json.loads(place.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def records(course: Path, homework: str) -> list[Record]:
    """Return what is remembered of all who handed in a homework, in order of their names."""
    found = map(_record, (course / "records" / homework).glob("*.json"))
    return sorted(filter(None, found), key=lambda record: record.student)


def autograded(course: Path, homework: str, student: str, name: str) -> Path:
    """Return the place of a graded notebook, as nbgrader has it."""
    return course / "autograded" / student / homework / f"{name}.ipynb"


def kept(new: NotebookNode, old: NotebookNode) -> set[str]:
    """Return the ids of cells whose answers are as they were: a text, or, for a test, all code."""
    texts = {cell.id: cell.source for cell in old.cells}
    same = {cell.id for cell in new.cells if texts.get(cell.id) == cell.source}
    code = {c.id for c in new.cells if c.cell_type == "code" and mark(c).get("solution")}
    words = {c.id for c in new.cells if c.cell_type == "markdown"}
    tests = {c.id for c in new.cells if c.cell_type == "code"} - code
    return (same & words) | (tests if code <= same else set())


class Book:
    """nbgrader's gradebook of one homework in a course folder, open."""

    def __init__(self, course: Path, homework: str, name: str, due: datetime | None) -> None:
        from nbgrader.api import Gradebook
        from nbgrader.coursedir import CourseDirectory

        self.course, self.homework, self.name = course, homework, name
        directory = CourseDirectory(config=settings(course))
        self.url = directory.db_url
        with quiet():
            self.gradebook = Gradebook(self.url, directory.course_id)
            if due is not None:
                day = due.astimezone(UTC).replace(tzinfo=None)
                self.gradebook.update_or_create_assignment(homework, duedate=day)

    def enrol(self, people: list[Person]) -> None:
        """Enter who is on the roster, so that nbgrader, too, lists who handed in nothing."""
        with quiet():
            for person in people:
                first, _, last = person.name.rpartition(" ")
                known = {"first_name": first, "last_name": last, "email": person.email}
                known = {name: value or None for name, value in known.items()}
                self.gradebook.update_or_create_student(person.id, **known)

    def close(self) -> None:
        """Close the database."""
        self.gradebook.close()

    def enter(self, submission: Submission, notebook: NotebookNode, record: Record) -> None:
        """Store a graded submission: the notebook, its points, and last the record."""
        place = autograded(self.course, self.homework, submission.student, self.name)
        before = nbformat.read(place, as_version=4) if place.is_file() else None
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, nbformat.writes(notebook) + "\n")
        time = submission.time.astimezone(UTC).replace(tzinfo=None) if submission.time else None
        if time:
            write(place.parent / "timestamp.txt", f"{time:%Y-%m-%d %H:%M:%S} UTC\n")
        with quiet():
            self.gradebook.update_or_create_student(submission.student)
            self.gradebook.update_or_create_submission(
                self.homework, submission.student, timestamp=time
            )
            self.save_points(submission.student, notebook, before)
        where = _place(self.course, self.homework, submission.student)
        where.parent.mkdir(parents=True, exist_ok=True)
        write(where, json.dumps(record._asdict(), indent=1) + "\n")

    def save_points(
        self, student: str, notebook: NotebookNode, before: NotebookNode | None
    ) -> None:
        """Let nbgrader read the points off a notebook's outputs.

        nbgrader asks again for all points that a person gave; those for an answer that is as it was
        in the notebook of before stay.
        """
        from nbgrader.preprocessors import SaveAutoGrades

        unchanged = kept(notebook, before) if before else set()
        where = {"student": student, "assignment": self.homework, "notebook": self.name}
        given = {g.cell.name for g in self.by_hand(student)} & unchanged
        SaveAutoGrades().preprocess(notebook, {"nbgrader": where | {"db_url": self.url}})
        self.gradebook.db.expire_all()
        for grade in self.by_hand(student, again=True):
            if grade.cell.name in given:
                grade.needs_manual_grade = False
        self.gradebook.db.commit()

    def by_hand(self, student: str, *, again: bool = False) -> list:
        """Return nbgrader's grades of a student for which a person gave points; or, again, those of
        them that a person is to look at once more."""
        (sheet,) = self.gradebook.find_submission(self.homework, student).notebooks
        given = [grade for grade in sheet.grades if grade.manual_score is not None]
        return [grade for grade in given if bool(grade.needs_manual_grade) == again]

    def grade(self, student: str) -> Grade:
        """Return a student's points and comments as they are now."""
        with quiet():
            self.gradebook.db.expire_all()
            whole = self.gradebook.find_submission(self.homework, student)
            (sheet,) = whole.notebooks
            cells, comments, written = {}, {}, []
            for grade in sheet.grades:
                by_hand = grade.cell.cell_type == "markdown"
                open_ = by_hand and grade.needs_manual_grade  # untouched: nbgrader gives 0
                cells[grade.cell.name] = (None if open_ else grade.score, grade.max_score)
                written += [None if open_ else grade.score] if by_hand else []
            for comment in sheet.comments:
                comments[comment.cell.name] = comment.manual_comment or ""
            tests = sum(g.score for g in sheet.grades if g.cell.cell_type == "code")
            by_hand = None if None in written else sum(written)
            stamp = f"{whole.timestamp:%Y-%m-%d %H:%M:%S} UTC" if whole.timestamp else ""
            late = whole.total_seconds_late / 3600
        total = tests + (by_hand or 0)
        most = sum(most for _, most in cells.values())
        return Grade(student, stamp, late, tests, by_hand, total, most, cells, comments)

"""What comes of grading: feedback, report, and tables for the lecturer and for other systems."""

import os
from pathlib import Path
from statistics import median
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

from course_utils.grading import alike, exports, pages
from course_utils.grading.collect import Class, Submission, is_absent
from course_utils.grading.exports import Row, Worksheet
from course_utils.grading.gradebook import Book, Grade, Record, autograded, recorded, records
from course_utils.grading.release import master, sheets_of
from course_utils.grading.roster import Person


def publish(
    book: Book, handed_in: Class, people: list[Person], export: Path, sheet: Worksheet | None
) -> None:
    """Write all that comes of a graded homework into the course's folder, and say where.

    export is the class as its system wrote it (see `roster.read`), whose form Canvas's table takes;
    sheet is Moodle's worksheet of this homework, or None.
    """
    known = to_show(book, handed_in, people)
    grades = [book.grade(student) for student in known]
    absent = [s.student for s in handed_in.submissions if is_absent(s) and s.student not in known]
    results = book.course / "results" / book.homework
    feedback = {s: feedback_of(book, s) for s in known}
    names = {person.id: person.name for person in people}
    templates = pages.templates()
    sheets: dict[str, NotebookNode] = {}
    for grade in grades:
        graded = sheets[grade.student] = nbformat.read(notebook_of(book, grade.student), 4)
        notes, name = known[grade.student].notes, names.get(grade.student, "")
        page = pages.feedback(templates, graded, grade, notes, name)
        pages.store(feedback[grade.student], page)
    pages.store(results / "grades.csv", pages.table(grades, known, absent, people))
    links = {s: quote(os.path.relpath(place, results)) for s, place in feedback.items()}
    report = pages.report(templates, sheets, grades, known, absent, names, links)
    pages.store(results / "report.html", report)
    course, homework = book.course, book.homework
    title = next(iter(sheets.values())).cells[0].source.partition("\n")[0].lstrip("# ")
    found = alike.look(sheets, master(course, homework), sheets_of(course, homework).source)
    pages.store(results / pages.ALIKE, alike.page(templates, title, found, names))
    rows = exported(grades, absent, handed_in, people, sheet is not None)
    write_canvas(book, grades[0].most, rows, export)
    if any(row.moodle for row in rows):
        write_moodle(book, grades[0].most, rows, feedback, sheet)
    print(f"Students: {len(grades)}, with a median of {median(g.total for g in grades):g} points.")
    once_more = [s for s in known if book.by_hand(s, again=True)]
    if once_more:
        print(
            f"Points given by hand wait to be confirmed, because the answer has changed, of"
            f" {len(once_more)}: {', '.join(once_more)}."
        )
    if absent:
        print(f"{len(absent)} of the roster handed in nothing.")
    print(f"Grades and report: {results}. Feedback: {book.course / 'feedback'}.")


def notebook_of(book: Book, student: str) -> Path:
    """Return the place of a student's graded notebook."""
    return autograded(book.course, book.homework, student, book.name)


def feedback_of(book: Book, student: str) -> Path:
    """Return the place of a student's feedback page, as nbgrader has it."""
    return book.course / "feedback" / student / book.homework / f"{book.name}.html"


def to_show(book: Book, handed_in: Class, people: list[Person]) -> dict[str, Record]:
    """Return what is remembered of all whose row is shown: those who are in the folder now, and
    those of the roster who were graded before."""
    now = [s.student for s in handed_in.submissions if not is_absent(s)]
    on_roster = {person.id for person in people}
    before = {record.student for record in records(book.course, book.homework)} - {*now}
    names = sorted({*now, *(before & on_roster)})
    if ghosts := sorted(before - on_roster) if people else []:
        print(
            f"Graded before, and neither here nor on the roster: {', '.join(ghosts)}. Their rows"
            " are left out; feedback/, autograded/ and the gradebook still hold them."
        )
    return {name: recorded(book.course, book.homework, name) for name in names}


def exported(
    grades: list[Grade],
    absent: list[str],
    handed_in: Class,
    people: list[Person],
    is_numbered: bool,
) -> list[Row]:
    """Return what other systems are told of each person; is_numbered if people have the numbers of
    Moodle's worksheet, and not of Canvas."""
    known = {person.id: person for person in people}
    files = {s.student: s for s in handed_in.submissions}
    by_student: dict[str, Grade | None] = {g.student: g for g in grades} | dict.fromkeys(absent)
    rows = []
    for student, grade in by_student.items():
        file = files.get(student, Submission(student, None, None))
        person = known.get(student, Person(student, file.name))
        numbers = {"moodle" if is_numbered else "canvas": person.number}
        numbers |= {file.system: file.number} if file.number else {}
        comments = " ".join(filter(None, grade.comments.values())) if grade else ""
        rows.append(Row(person, grade.total if grade else None, comments, **numbers))
    return rows


def write_canvas(book: Book, most: float, rows: list[Row], export: Path) -> None:
    """Write the grades as Canvas takes them."""
    gradebook = export if export.is_file() and exports.from_canvas(export) else None
    title = f"Homework {book.homework.removeprefix('hw')}"
    text = exports.canvas(title, most, rows, gradebook)
    pages.store(book.course / "results" / book.homework / "canvas.csv", text)


def write_moodle(
    book: Book, most: float, rows: list[Row], feedback: dict[str, Path], sheet: Worksheet | None
) -> None:
    """Write the grades as Moodle takes them, and the feedback in one ZIP."""
    place = book.course / "results" / book.homework
    text, factor = exports.filled(sheet, most, rows) if sheet else (exports.moodle(most, rows), 1)
    if factor != 1:
        print(f"Moodle's maximum is {most * factor:g}, ours {most:g}: points are scaled for it.")
    pages.store(place / "moodle.csv", text)
    exports.feedback_zip(place / "moodle-feedback.zip", feedback, rows)


def over_the_term(course: Path, people: list[Person]) -> str:
    """Return the table of all homeworks that were graded, a person a line."""
    homeworks, ids = {}, [person.id for person in people]
    for folder in sorted((course / "records").glob("*")):
        totals, most = {}, 0.0
        (notebook,) = (course / "source" / folder.name).glob("*.ipynb")
        book = Book(course, folder.name, notebook.stem, None)
        for record in records(course, folder.name):
            if not people or record.student in ids:
                grade = book.grade(record.student)
                totals[record.student], most = grade.total, grade.most
        book.close()
        homeworks[folder.name] = (most, totals)
    known = people or [Person(s) for s in sorted({s for _, t in homeworks.values() for s in t})]
    return exports.term(homeworks, known)

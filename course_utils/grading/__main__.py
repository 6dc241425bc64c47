"""Grade a whole class: `python -m course_utils.grading HOMEWORK SUBMISSIONS`.

Each submission is judged by itself, in a process and a sandbox of its own. A run that was
interrupted goes on where it was; one that was complete grades what has changed. Submissions are
never changed. What comes of it lies in the course's folder, in nbgrader's form.
"""

import argparse
import os
import sys
from datetime import datetime
from pathlib import Path
from statistics import median

import nbformat
from filelock import FileLock, Timeout
from nbformat import NotebookNode

from course_utils.grading import alike, gradebook, pages, processes, sandbox
from course_utils.grading.collect import Class, Submission, content_of, submissions
from course_utils.grading.downloads import opened
from course_utils.grading.gradebook import Book, Record, autograded, recorded
from course_utils.grading.judge import Job, Limits, Verdict, judge
from course_utils.grading.release import (
    DEFAULT,
    checks_of_the_course,
    instructors,
    master,
    masters,
    renew,
)
from course_utils.training import progress

NO_SANDBOX = (
    "Without --scheduler you may grade without a sandbox, if you trust every student's"
    " code with your files and your network: add --without-sandbox."
)


WARNING = (
    "Without a sandbox: every student's code runs with your rights, on your files and your network."
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    bounds = Limits()
    parser = argparse.ArgumentParser(prog="course.py grade", description=__doc__)
    parser.add_argument("homework", help="hw1 to hw6")
    parser.add_argument("submissions", type=Path, help="what was handed in: a folder, or its ZIP")
    parser.add_argument("--course", type=Path, default=DEFAULT, metavar="FOLDER")
    parser.add_argument("--due", type=datetime.fromisoformat, help="2026-12-01T23:59, local time")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="at a time, here")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="grade on this Dask cluster")
    parser.add_argument("--cell-seconds", type=float, default=bounds.cell)
    parser.add_argument("--total-seconds", type=float, default=bounds.total)
    parser.add_argument("--memory", type=int, default=bounds.memory, help="MB for a submission")
    parser.add_argument("--without-sandbox", action="store_true", help="you trust them all")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0; 1 if some work is left; 2, and a sentence, if it stopped."""
    wanted = parser().parse_args(arguments)
    try:
        if wanted.without_sandbox:
            print(WARNING, file=sys.stderr)
        elif not wanted.scheduler:
            sandbox.check()
        if not (wanted.course / "source" / wanted.homework).is_dir():
            renew(wanted.course)
        lock = FileLock(wanted.course / "grading.lock", timeout=0)
        with lock, opened(wanted.submissions) as folder:
            known = masters(wanted.course, wanted.homework)
            return grade(wanted, submissions(folder, wanted.homework, known))
    except sandbox.UnavailableError as missing:
        print(f"{missing}\n{NO_SANDBOX}", file=sys.stderr)
    except Timeout:
        print(f"Another grading is at work in {wanted.course}: let it end first.", file=sys.stderr)
    except (OSError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
    return 2


def grade(wanted: argparse.Namespace, handed_in: Class) -> int:
    """Grade what has not been graded, then write grades, feedback and report."""
    notebook = master(wanted.course, wanted.homework)
    text = nbformat.writes(notebook)
    found = {s.student: s for s in handed_in.submissions}
    limits = Limits(wanted.cell_seconds, wanted.total_seconds, wanted.memory)
    book = Book(wanted.course, wanted.homework, notebook.metadata["name"], wanted.due)

    def job(submission: Submission) -> Job:
        content = content_of(submission.path) if submission.path else None
        return Job(text, content, limits, not wanted.without_sandbox)

    def key(submission: Submission) -> str:
        # All that decides a grade: a corrected time and a mended check reach what is stored.
        rest = (text, checks, limits, submission.time, submission.notes)
        return gradebook.key(job(submission).content, *rest)

    checks = checks_of_the_course()
    todo, keys = {}, {student: key(submission) for student, submission in found.items()}
    for student, submission in found.items():
        old = recorded(wanted.course, wanted.homework, student)
        if old is None or old.key != keys[student]:
            todo[student] = lambda submission=submission: job(submission)
    print(f"{len(found)} submissions, {len(found) - len(todo)} of them graded before.")
    if handed_in.ignored:
        print(f"Nobody's work, and left out: {', '.join(handed_in.ignored)}.")
    if wanted.scheduler:
        outcomes = processes.run_on_cluster(todo, wanted.scheduler)
    else:
        outcomes = processes.run_locally(todo, wanted.workers)
    lost = []
    for student, outcome in progress(outcomes, len(todo)):
        submission = found[student]
        if isinstance(outcome, sandbox.UnavailableError):
            raise outcome
        if not isinstance(outcome, Verdict):
            lost.append(student)
            outcome = nothing(text, f"It could not be graded: {outcome}. Run the command again.")
        record = Record(
            student,
            "" if student in lost else keys[student],
            [*submission.notes, *outcome.notes],
            round(outcome.seconds, 2),
        )
        book.enter(submission, nbformat.reads(outcome.notebook, as_version=4), record)
    publish(wanted, book, list(found))
    book.close()
    return int(bool(lost))


def nothing(text: str, reason: str) -> Verdict:
    """Return the verdict on a submission that cannot be judged."""
    empty = judge(Job(text, None, Limits(), True))
    return empty._replace(notes=[reason])


def publish(wanted: argparse.Namespace, book: Book, students: list[str]) -> None:
    """Write feedback pages, the report and the table of grades."""
    records = {s: recorded(wanted.course, wanted.homework, s) for s in students}
    grades = [book.grade(student) for student in students]
    places = {s: autograded(wanted.course, wanted.homework, s, book.name) for s in students}
    templates = pages.templates()
    sheets: dict[str, NotebookNode] = {}
    for g in grades:
        sheet = sheets[g.student] = nbformat.read(places[g.student], as_version=4)
        place = wanted.course / "feedback" / g.student / wanted.homework / f"{book.name}.html"
        pages.store(place, pages.feedback(templates, sheet, g, records[g.student].notes))
    results = wanted.course / "results" / wanted.homework
    pages.store(results / "grades.csv", pages.table(grades, records))
    pages.store(results / "report.html", pages.report(templates, places, grades, records))
    found = alike.look(
        sheets, master(wanted.course, wanted.homework), instructors(wanted.course, wanted.homework)
    )
    pages.store(results / pages.ALIKE, alike.page(templates, book.name, found))
    print(f"{len(grades)} students, median {median(g.total for g in grades):g} points.")
    print(f"Grades and report: {results}. Feedback: {wanted.course / 'feedback'}.")


if __name__ == "__main__":
    sys.exit(main())

"""Grade a whole class: `python -m course_utils.grading HOMEWORK SUBMISSIONS`.

Each submission is judged by itself, in a process and a sandbox of its own. A run that was
interrupted goes on where it was; one that was complete grades what has changed. Submissions are
never changed. What comes of it lies in the course's folder, in nbgrader's form.
"""

import argparse
import os
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

import nbformat
from filelock import FileLock, Timeout

from course_utils.grading import exports, pages, processes, roster, sandbox
from course_utils.grading.collect import MANY_PEOPLE, Class, is_absent, submissions
from course_utils.grading.downloads import is_junk, opened
from course_utils.grading.each import is_varied
from course_utils.grading.gradebook import Book, Record, recorded
from course_utils.grading.judge import Job, Limits, Verdict, judge
from course_utils.grading.masters import Tests, prove, tests, with_owners
from course_utils.grading.publish import over_the_term, publish
from course_utils.grading.release import DEFAULT, masters, renew, sheets_of
from course_utils.grading.roster import Person
from course_utils.training import progress

NO_SANDBOX = (
    "Without --scheduler you may grade without a sandbox, if you trust every student's"
    " code with your files and your network: add --without-sandbox."
)
NO_ROSTER = (
    "No roster: who handed in nothing is not listed. Put the class into {} ({}), or what Canvas or"
    " Moodle exports in its place."
)


WARNING = (
    "Without a sandbox: every student's code runs with your rights, on your files and your network."
)


def time_due(text: str) -> datetime:
    """Return the time that a command line names. Raises argparse.ArgumentTypeError."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"write it like 2026-12-01T23:59, not {text}") from None


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    bounds = Limits()
    parser = argparse.ArgumentParser(prog="course.py grade", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("homework", nargs="?", help="hw1 to hw6")
    which.add_argument("--all", action="store_true", help="every homework that was handed in")
    parser.add_argument("submissions", type=Path, help="what was handed in: a folder, or its ZIP")
    parser.add_argument("--course", type=Path, default=DEFAULT, metavar="FOLDER")
    parser.add_argument("--due", type=time_due, help="2026-12-01T23:59, this machine's time")
    parser.add_argument("--roster", type=Path, metavar="CSV", help="in place of roster.csv")
    parser.add_argument("--worksheet", type=Path, metavar="CSV", help="Moodle's, to be filled in")
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
        check_places(wanted.submissions, wanted.course)
        if not (wanted.course / "source" / (wanted.homework or "")).is_dir():
            renew(wanted.course)
        with FileLock(wanted.course / "grading.lock", timeout=0):
            return grade_each(wanted)
    except sandbox.UnavailableError as missing:
        print(f"{missing}\n{NO_SANDBOX}", file=sys.stderr)
    except Timeout:
        print(f"Another grading is at work in {wanted.course}: let it end first.", file=sys.stderr)
    except (OSError, ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
    return 2


def check_places(handed_in: Path, course: Path) -> None:
    """Raise ValueError, before anything is made, if a folder that a command line names is wrong."""
    if not handed_in.exists():
        raise ValueError(f"There is no {handed_in.resolve()}: name the folder or ZIP handed in.")
    if course != DEFAULT and not course.is_dir():
        raise ValueError(
            f"There is no course in {course.resolve()}: make it with `python3 course.py homework"
            f" {course}`, or name another with --course."
        )


def grade_each(wanted: argparse.Namespace) -> int:
    """Grade one homework, or all that were handed in, then write the table over the term."""
    if wanted.course == DEFAULT:
        print(f"Without --course: the class in {DEFAULT.resolve()}.")
    people = roster.of_course(wanted.course, wanted.roster)
    if not people:
        columns = ",".join(roster.COLUMNS)
        print(NO_ROSTER.format(wanted.course / roster.NAME, columns))
    left = 0
    for homework, place in places(wanted).items():
        if wanted.all:
            print(f"\n{homework}")
        with opened(place) as folder:
            left |= grade(wanted, homework, folder, people)
    pages.store(wanted.course / "results" / "term.csv", over_the_term(wanted.course, people))
    return left


def places(wanted: argparse.Namespace) -> dict[str, Path]:
    """Return where each homework lies that is to be graded. ValueError if there is none."""
    if not wanted.all:
        return {wanted.homework: wanted.submissions}
    if wanted.due or wanted.worksheet:
        raise ValueError("--due and --worksheet are of one homework: grade it by its name.")
    names = sorted(path.name for path in (wanted.course / "source").iterdir())
    inside = sorted(wanted.submissions.iterdir()) if wanted.submissions.is_dir() else []
    found = {p.name.lower().removesuffix(".zip"): p for p in inside if not is_junk(p.name)}
    others = [place.name for name, place in found.items() if name not in names]
    found = {name: place for name, place in found.items() if name in names}
    if found and others:
        print(f"No homework of this course, and left out: {', '.join(others)}.")
    if not found:
        raise ValueError(
            f"{wanted.submissions} holds no homework: put what was handed in into folders or ZIP"
            " files there that are named hw1, hw2, …"
        )
    return found


def grade(wanted: argparse.Namespace, homework: str, folder: Path, people: list[Person]) -> int:
    """Grade what has not been graded, then write grades, feedback and report."""
    sheet = exports.worksheet(wanted.worksheet) if wanted.worksheet else None
    people = exports.numbered(people, sheet) if sheet else people
    known = masters(wanted.course, homework)
    handed_in = submissions(folder, homework, known, people)
    if sheet:
        handed_in = with_lateness(handed_in, exports.lateness(sheet))
    if is_varied(wanted.course, homework):
        handed_in = with_owners(handed_in)
    prove(sheets_of(wanted.course, homework).source, homework)
    notebook = known[homework]
    book = Book(wanted.course, homework, notebook.metadata["name"], wanted.due)
    book.enrol(people)
    tell(handed_in, wanted.due)
    limits = Limits(wanted.cell_seconds, wanted.total_seconds, wanted.memory)
    by = tests(wanted.course, homework, notebook, limits, not wanted.without_sandbox)
    lost = judged(wanted, book, by, handed_in)
    publish(book, handed_in, people, wanted.roster or wanted.course / roster.NAME, sheet)
    book.close()
    return int(bool(lost))


def with_lateness(handed_in: Class, late: dict[str, str]) -> Class:
    """Return a class with a note on each submission whose number is among those who were late."""
    found = [
        s._replace(notes=(f"Moodle says: {late[s.number]}.", *s.notes)) if s.number in late else s
        for s in handed_in.submissions
    ]
    return handed_in._replace(submissions=found)


def tell(handed_in: Class, due: datetime | None) -> None:
    """Say on the screen what a lecturer would not look for in a table."""
    there = [one for one in handed_in.submissions if not is_absent(one)]
    timeless = sum(one.time is None for one in there)
    if due and timeless:
        print(f"{timeless} of {len(there)} have no time of handing in: --due judges none of them.")
    for one in there:
        if any(MANY_PEOPLE in note for note in one.notes):
            print(f"{one.student}: is this a class, and not a student? {one.notes[0]}")


def judged(wanted: argparse.Namespace, book: Book, by: Tests, handed_in: Class) -> list[str]:
    """Judge what is new or has changed, and store it; return whose work could not be judged."""
    found = {s.student: s for s in handed_in.submissions if not is_absent(s)}
    keys = {student: by.key(submission) for student, submission in found.items()}
    todo = {}
    for student, submission in found.items():
        old = recorded(wanted.course, book.homework, student)
        if old is None or old.key != keys[student]:
            todo[student] = partial(by.job, submission)
    print(f"Submissions: {len(found)}, of which {len(found) - len(todo)} were graded before.")
    if handed_in.ignored:
        print(f"Nobody's work, and left out: {', '.join(handed_in.ignored)}.")
    if wanted.scheduler:
        outcomes = processes.run_on_cluster(todo, wanted.scheduler)
    else:
        outcomes = processes.run_locally(todo, wanted.workers)
    lost = []
    for student, outcome in progress(outcomes, len(todo)):
        if isinstance(outcome, sandbox.UnavailableError):
            raise outcome
        if not isinstance(outcome, Verdict):
            lost.append(student)
            reason = f"It could not be graded: {outcome}. Run the command again."
            outcome = nothing(by.master, reason)
        key, notes = "" if student in lost else keys[student], found[student].notes
        record = Record(student, key, [*notes, *outcome.notes], round(outcome.seconds, 2))
        book.enter(found[student], nbformat.reads(outcome.notebook, as_version=4), record)
    return lost


def nothing(text: str, reason: str) -> Verdict:
    """Return the verdict on a submission that cannot be judged."""
    empty = judge(Job(text, None, Limits(), True))
    return empty._replace(notes=[reason])


if __name__ == "__main__":
    sys.exit(main())

"""By what a class is judged: one notebook with hidden tests for all, or one for each student."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from course_utils.grading import gradebook
from course_utils.grading.collect import Class, Submission, content_of
from course_utils.grading.each import is_varied, master_of, own_source
from course_utils.grading.judge import Job, Limits
from course_utils.grading.release import checks_of_the_course, sheets_of
from course_utils.grading.trial import given_and_answers, graded_parts
from course_utils.grading.variants import whose


class Tests(NamedTuple):
    """All that decides a grade beside what was handed in."""

    course: Path
    homework: str
    master: str  # the notebook of all
    source: str  # from which each student's own is drawn; "" if one is for all
    checks: str  # a hash of the course's own code
    limits: Limits
    sandboxed: bool
    author: tuple[tuple[str, str], ...]  # the author's answers with what they need

    def job(self, submission: Submission) -> Job:
        """Return all that judging a submission needs."""
        text, author = self.master, self.author
        if self.source:
            own = own_source(self.course, self.homework, submission.student)
            author = of_the_author(own)
            text = nbformat.writes(master_of(self.course, self.homework, own))
        return Job(text, content(submission), self.limits, self.sandboxed, author)

    def key(self, submission: Submission) -> str:
        """Return a hash of all that decides a grade: a corrected time and a mended check reach what
        is stored."""
        whom = (submission.student, self.source) if self.source else ""
        rest = (self.master, whom, self.checks, self.limits, submission.time, submission.notes)
        rest += (self.author,)
        return gradebook.key(content(submission), *rest)


def tests(
    course: Path, homework: str, notebook: NotebookNode, limits: Limits, sandboxed: bool
) -> Tests:
    """Return by what a homework is judged; notebook is its `master`."""
    source = sheets_of(course, homework).source
    varied = nbformat.writes(source) if is_varied(course, homework) else ""
    text, checks = nbformat.writes(notebook), checks_of_the_course()
    author = of_the_author(source)
    return Tests(course, homework, text, varied, checks, limits, sandboxed, author)


def of_the_author(source: NotebookNode) -> tuple[tuple[str, str], ...]:
    """Return id and code of a source's given cells and of its answers."""
    return tuple((cell.id, cell.source) for cell in given_and_answers(source))


def prove(source: NotebookNode, homework: str) -> None:
    """Raise ValueError if a homework's own answers do not pass its own tests: then a test is at
    fault, and no student may pay for it."""
    namespace: dict = {"__name__": "homework"}
    for cell in graded_parts(source):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, cell.id, "exec"), namespace)  # noqa: S102 - the author's
        except Exception as error:
            raise ValueError(
                f"{homework}: nothing was graded, for {cell.id} fails with the answers in source/:"
                f" {type(error).__name__}: {error}. Mend it there, and run this again."
            ) from error


def content(submission: Submission) -> bytes | None:
    """Return what is graded of a submission; None if nothing can count."""
    return content_of(submission.path) if submission.path else None


def with_owners(handed_in: Class) -> Class:
    """Return a class with a note on each notebook that was made for somebody else."""
    found = []
    for one in handed_in.submissions:
        note = whose(one.path.read_bytes(), one.student) if one.path else ""
        found.append(one._replace(notes=(*filter(None, [note]), *one.notes)))
    return handed_in._replace(submissions=found)

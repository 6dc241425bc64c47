"""A class that hands in the tiny homework, for the tests of grading."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from course_utils.grading import release, sandbox
from homework import tiny

BOUNDS = ["--cell-seconds", "5", "--total-seconds", "60", "--memory", "1500", "--workers", "2"]
RIGHT = tiny.ANSWERS["task1"]


def no_sandbox() -> str:
    try:
        sandbox.check()
    except sandbox.UnavailableError as missing:
        return str(missing)
    return ""


needs_sandbox = pytest.mark.skipif(bool(no_sandbox()), reason=no_sandbox() or "it is there")


def released(course: Path) -> NotebookNode:
    return nbformat.read(course / "release" / "hw1" / f"{tiny.NAME}.ipynb", as_version=4)


def grades(course: Path) -> dict[str, dict]:
    with (course / "results" / "hw1" / "grades.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"].removeprefix("'"): row for row in csv.DictReader(file)}


def start(course: Path, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "course_utils.grading", "hw1", str(folder)]
    command += ["--course", str(course), *BOUNDS]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, start_new_session=True, **quiet)


def records(course: Path) -> int:
    return len(list((course / "records").rglob("*.json")))


def a_course(course: Path, fresh: Path) -> Path:
    """A fresh copy of a course, released, of which nothing has been graded."""
    ours = ("records", "autograded", "results", "feedback", "gradebook.db", "grading.lock")
    shutil.copytree(course, fresh, ignore=shutil.ignore_patterns(*ours))
    shutil.rmtree(fresh / "release")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "HOMEWORK", course.parent / "homework")
        release.renew(fresh)
    return fresh


def a_class(course: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """A fresh copy of a course and a class of good and wrong submissions."""
    fresh = a_course(course, folder / "course")
    submitted = folder / "submitted"
    submitted.mkdir(parents=True)
    for number in range(count):
        answer = RIGHT if number % 3 else "def double(x):\n    return x"
        notebook = tiny.filled(released(fresh), task1=answer)
        nbformat.write(notebook, submitted / f"student-{number:03d}.ipynb")
    return fresh, submitted


def right(number: int) -> str:
    return "6" if number % 3 else "3"

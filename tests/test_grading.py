"""A class of hostile, broken and good submissions is graded in one run; each gets what it earned.

The homework is tests/homework/tiny.py: two tasks of three points each for tests, and a written
answer of two. In most kinds task 1 holds the trouble and task 2 is right, which earns 3.
"""

import contextlib
import gc
import json
import os
import re
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from homework import tiny
from homework.classroom import (
    BOUNDS,
    RIGHT,
    a_class,
    grades,
    needs_sandbox,
    no_sandbox,
    records,
    released,
    right,
    start,
)
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

if sys.platform != "linux":
    pytest.skip("the sandbox needs Linux", allow_module_level=True)

from course_utils.grading import collect, processes, release, sandbox
from course_utils.grading import homework as homework_command
from course_utils.grading.__main__ import main
from course_utils.grading.answers import answers
from course_utils.grading.judge import judge

HERE = Path(__file__).parent
SECONDS = 180


def test_the_sandbox_is_there():
    missing = no_sandbox()
    if missing and not os.environ.get("CI"):
        pytest.skip(missing)
    assert not missing


# What students hand in: the code of task 1, and what is earned


NESTED = """import os, time
os.chdir(os.environ["MPLCONFIGDIR"])
for _ in range({deep}):
    os.mkdir("d")
    os.chdir("d")
time.sleep(1)
"""
HOG = """def double(x):
    for _ in range(8):
        if not os.fork():
            hog = b"x" * 600_000_000
            time.sleep(60)
    time.sleep(60)
"""
CODE = {  # kind: (task 1, points of six, a part of what the lecturer or the student is told)
    "loop": ("def double(x):\n    while True:\n        pass", 3, "ran longer than"),
    "loop-in-cell": ("while True:\n    pass", 3, "ran longer than"),
    "loop-that-catches": (
        (
            "def double(x):\n    while True:\n        try:\n            while True: pass\n"
            "        except BaseException: pass"
        ),
        3,
        "ran longer than",
    ),
    "loop-in-an-import": (
        "open('forever.py', 'w').write('while True: pass')\nimport forever\n" + RIGHT,
        3,
        "ran longer than",
    ),
    "sleep": ("import time\ndef double(x):\n    time.sleep(1e6)", 3, "ran longer than"),
    "fork-bomb": ("import os\nwhile True:\n    os.fork()", 3, "processes"),
    "fork-bomb-in-function": (
        "import os\ndef double(x):\n    while True:\n        os.fork()",
        3,
        "processes",
    ),
    "memory-hog": (
        "def double(x):\n    return bytearray(10**10)",
        3,
        "MemoryError",
    ),
    "memory-of-children": (
        (
            "import os, time\ndef double(x):\n    for _ in range(8):\n        if not os.fork():\n"
            "            hog = b'x' * 600_000_000\n            time.sleep(60)\n    time.sleep(60)"
        ),
        3,
        "MB of memory",
    ),
    "endless-output": ("while True:\n    print('x' * 10_000)", 3, "stopped"),
    "one-big-output": ("print('x' * 300_000_000)\n" + RIGHT, None, ""),
    "big-files": (
        "for i in range(100):\n    open(f'/tmp/{i}', 'wb').write(b'x' * 10**7)\n" + RIGHT,
        3,
        "No space left",
    ),
    "big-files-beside-the-kernel": (
        "import os\nplace = os.environ['MPLCONFIGDIR']\nfor i in range(1000):\n"
        "    open(f'{place}/{i}', 'wb').write(b'x' * 10**6)\n" + RIGHT,
        3,
        "it wrote more than",
    ),
    "many-folders-deep-and-a-memory-hog": (NESTED.format(deep=1200) + HOG, 3, "more than 30 deep"),
    "folders-too-deep-for-a-path": (NESTED.format(deep=9000) + HOG, 3, "more than 30 deep"),
    "a-folder-that-nobody-may-read": (
        "import os\nos.makedirs(os.environ['MPLCONFIGDIR'] + '/a/b')\n"
        "os.chmod(os.environ['MPLCONFIGDIR'] + '/a', 0)\n" + RIGHT,
        None,
        "",
    ),
    "os-exit": ("import os\ndef double(x):\n    os._exit(0)", 3, "ended the kernel"),
    "os-exit-in-cell": ("import os\nos._exit(0)", 3, "ended the kernel"),
    "kernel-kill": (
        "import os\ndef double(x):\n    os.kill(os.getpid(), 9)",
        3,
        "ended the kernel",
    ),
    "segfault": ("import ctypes\ndef double(x):\n    ctypes.string_at(0)", 3, "ended the kernel"),
    "kill-everybody": ("import os\nos.kill(-1, 9)\n" + RIGHT, None, ""),
    "sys-exit": ("import sys\ndef double(x):\n    sys.exit(0)", 3, "SystemExit"),
    "delete-files": (
        "import shutil\nfor place in ('/home', '/etc', '/data', '/dev'):\n"
        "    shutil.rmtree(place, ignore_errors=True)\n" + RIGHT,
        6,
        "",
    ),
    "read-solutions": (
        (
            "import pathlib\ndef double(x):\n"
            "    return [p.read_text() for p in pathlib.Path('COURSE').rglob('*.ipynb')][0]"
        ),
        3,
        "IndexError",
    ),
    "read-another": ("def double(x):\n    return open('ANOTHER').read()", 3, "FileNotFoundError"),
    "read-the-tests": (
        (
            "import gc, inspect\ndef double(x):\n    seen = str(inspect.stack()) + str(globals())\n"
            "    return 2 * x if 'SECRET' + '1 =' in seen else x"
        ),
        3,
        "this is x itself",
    ),
    "network": (
        "import socket\ndef double(x):\n    socket.create_connection(('127.0.0.1', PORT), 2)",
        3,
        "",
    ),
    "write-outside": ("def double(x):\n    open('OUTSIDE', 'w').write('x')", 3, ""),
    "absolute-path": ("data = open('/Users/anna/data.csv').read()\n" + RIGHT, 3, "NameError"),
    "replace-torch": (
        (
            "import torch, numpy\ntorch.allclose = numpy.allclose = lambda *a, **k: True\n"
            "torch.Tensor.equal = lambda *a: True\ntorch.Tensor.__add__ = lambda a, b: a\n"
            "def double(x):\n    return x"
        ),
        3,
        "this is x itself",
    ),
    "replace-checks": (
        (
            "import course_utils.checks as checks\nchecks._verdict = lambda *a: '✓'\n"
            "known = require = lambda *a: None\ndef double(x):\n    return x"
        ),
        3,
        "this is x itself",
    ),
    "replace-ipython": (
        (
            "shell = get_ipython()\nshell.run_cell = lambda *a, **k: None\n"
            "shell.showtraceback = lambda *a, **k: None\ndef double(x):\n    return x"
        ),
        3,
        "",
    ),
    "forge-answers": (
        "import course_utils.grading.inside as inside\n"
        'inside.answer = lambda f, p: \'["value", ["plain", true], ["tuple", []]]\'\n' + RIGHT,
        0,
        "not a tensor",
    ),
    "forge-nonsense": (
        "import course_utils.grading.inside as inside\ninside.answer = lambda f, p: '{' * 10**5\n"
        + RIGHT,
        0,
        "cannot be read",
    ),
    "equal-to-all": (
        (
            "class Yes:\n    def __getattr__(self, name): return self\n"
            "    def __call__(self, *a): return True\n    def __eq__(self, other): return True\n"
            "def double(x):\n    return Yes()"
        ),
        3,
        "a Yes, not a tensor",
    ),
    "in-place": ("def double(x):\n    return x.mul_(2)", 3, "changed its inputs"),
    "nothing-returned": ("def double(x):\n    2 * x", 3, "is the `return` missing"),
    "a-huge-result": (
        "import torch\ndef double(x):\n    return torch.zeros(10**8)",
        3,
        "is not taken",
    ),
    "syntax-error": ("def double(x)\n    return 2 * x", 3, "NameError"),
    "input": ("n = input('name?')\n" + RIGHT, 3, "NameError"),
    "widgets": (
        "import ipywidgets\nslider = ipywidgets.IntSlider()\ndisplay(slider)\n" + RIGHT,
        6,
        "",
    ),
    "html-and-script": (
        "from IPython.display import HTML, display\ndisplay(HTML('<script>alert(1)</script>'))\n"
        + RIGHT,
        6,
        "",
    ),
    "thread-that-stays": (
        "import threading\ndef spin():\n    while True: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\n" + RIGHT,
        6,
        "",
    ),
    "shell": ("!rm -rf / ~ 2>/dev/null\n" + RIGHT, 6, ""),
    "not-written": ("", 3, "missing"),
    "surrogate": ("mark = '\\ud800'\n" + RIGHT, 6, ""),
    "a-very-long-answer": ("#" * 200_000 + "\n" + RIGHT, 3, "characters is not run"),
}


# What is wrong with the file


def _edit(change: Callable[[NotebookNode], object]) -> Callable:
    def make(notebook: NotebookNode, place: Path) -> None:
        change(notebook)
        place.write_text(json.dumps(notebook), "utf-8")

    return make


def _raw(content: bytes, suffix: str = ".ipynb") -> Callable:
    return lambda _, place: place.with_suffix(suffix).write_bytes(content)


def _without_tests(notebook: NotebookNode) -> None:
    notebook.cells = [c for c in notebook.cells if not c.metadata.nbgrader.grade]


def _tests_that_pass(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.metadata.nbgrader.grade and cell.cell_type == "code":
            cell.source = "pass"
        if cell.id == "task1":
            cell.source = "def double(x):\n    return x"


def _twice(notebook: NotebookNode) -> None:
    notebook.cells += json.loads(json.dumps(notebook.cells))


def _second_answer(notebook: NotebookNode) -> None:
    copy = nbformat.from_dict(json.loads(json.dumps(notebook.cells[3])))
    copy.update(id="another", source="def double(x):\n    return x")
    notebook.cells.insert(3, copy)


def _rich(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if "points" in cell.metadata.nbgrader:
            cell.metadata.nbgrader.points = 1000


def _bare(*fields: str) -> Callable[[NotebookNode], None]:
    def change(notebook: NotebookNode) -> None:
        for cell in notebook.cells:
            for field in fields:
                cell.pop(field, None)

    return change


def _old(notebook: NotebookNode) -> None:
    cells = [
        {"cell_type": c.cell_type, "input": c.source, "source": c.source} for c in notebook.cells
    ]
    notebook.clear()
    notebook.update(nbformat=3, nbformat_minor=0, metadata={}, worksheets=[{"cells": cells}])


def _long(notebook: NotebookNode) -> None:
    notebook.cells += [new_code_cell("while True: pass") for _ in range(10_000)]


def _link(_: NotebookNode, place: Path) -> None:
    place.symlink_to("/etc/passwd")


def _huge(_: NotebookNode, place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(70_000_000)


def _zip_bomb(_: NotebookNode, place: Path) -> None:
    shutil.make_archive(str(place.with_suffix("")), "zip", HERE / "homework", "__init__.py")


def _folder_link(_: NotebookNode, place: Path) -> None:
    place.with_suffix("").symlink_to("/")


COLLECTED = {  # kind: (how the file is made, a part of the note); what was written is the same
    "tests-deleted": (_edit(_without_tests), "written: the answer's cell is missing"),
    "cells-doubled": (_edit(_twice), ""),
    "answer-copied": (_edit(_second_answer), "2 cells define it; the last counts"),
    "points-changed": (_edit(_rich), ""),
    "metadata-lost": (_edit(_bare("metadata")), ""),
    "ids-lost": (_edit(_bare("id")), "its id was lost"),
    "format-99": (_edit(lambda n: n.update(nbformat=99)), ""),
    "other-kernel": (_edit(lambda n: n.metadata.update(kernelspec={"name": "julia"})), ""),
    "ten-thousand-cells": (_edit(_long), ""),
}
ALL_LOST = _edit(_bare("id", "metadata", "outputs", "execution_count"))
FILES = {  # kind: (how the file is made, points, a part of what the lecturer is told)
    "=cmd()": (_edit(_tests_that_pass), 3, "this is x itself"),
    "Zoë Ångström 数": (ALL_LOST, 6, "its id was lost"),
    "format-3": (_edit(_old), 6, "its id was lost"),
    "truncated": (_raw(b'{"cells": [{"cell_type": "co'), 0, "JSON breaks at line 1"),
    "a-script": (_raw(b"print('hello')\n"), 0, "JSON breaks at line 1"),
    "a-list": (_raw(b"[1, 2]"), 0, "no cells"),
    "cells-of-nonsense": (_raw(b'{"cells": [1, null, {"source": 3}, []]}'), 0, "no cell of any"),
    "nested-without-end": (_raw(b"[" * 1_000_000), 0, "nested"),
    "not-utf-8": (_raw(b"\xff\xfe{}"), 0, "UTF-8"),
    "a-pdf": (_raw(b"%PDF-1.7", ".pdf"), 0, "is not a notebook"),
    "empty-file": (_raw(b""), 0, "is empty"),
    "a-link": (_link, 0, "is a link"),
    "a-link-to-all": (_folder_link, 0, "is a link"),
    "huge": (_huge, 0, "too large"),
    "zip-bomb": (_zip_bomb, 0, "is an archive"),
    "empty-folder": (lambda _, place: place.with_suffix("").mkdir(), 0, "folder is empty"),
    "a-pipe": (lambda _, place: os.mkfifo(place), 0, "not an ordinary file"),
}
GOOD = ["anna", "berta", "carl"]
POINTS = (
    {kind: points for kind, (_, points, _) in (CODE | FILES).items()}
    | dict.fromkeys(GOOD, 6)
    | {"untouched": 0, "late-and-twice": 6}
)


@pytest.fixture(scope="module")
def handed_in(course, tmp_path_factory) -> Path:
    """The folder of submissions."""
    folder = tmp_path_factory.mktemp("submitted")
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = {
            "COURSE": str(course),
            "ANOTHER": str(folder / "anna.ipynb"),
            "OUTSIDE": str(course / "written-by-a-student"),
            "PORT": str(server.getsockname()[1]),
        }
        for kind, (code, _, _) in CODE.items():
            for word, value in words.items():
                code = code.replace(word, value)
            notebook = tiny.filled(released(course), task1=code)
            if not code:
                notebook.cells = [c for c in notebook.cells if c.id != "task1"]
            (folder / f"{kind}.ipynb").write_text(json.dumps(notebook), "utf-8")
    for kind, (make, _, _) in FILES.items():
        make(tiny.filled(released(course)), folder / f"{kind}.ipynb")
    for name in GOOD:
        nbformat.write(tiny.filled(released(course)), folder / f"{name}.ipynb")
    nbformat.write(released(course), folder / "untouched.ipynb")
    for day, notebook in [(1, released(course)), (3, tiny.filled(released(course)))]:
        place = folder / "late-and-twice" / "hw1" / f"try-{day}"
        place.mkdir(parents=True)
        nbformat.write(notebook, place / "mine.ipynb")
        (place / "timestamp.txt").write_text(f"2026-01-0{day} 12:00:00 UTC")
    return folder


def contents(folder: Path) -> dict[str, object]:
    """All that is in a folder, with times."""
    return {
        str(p.relative_to(folder)): (p.lstat().st_mtime_ns, p.lstat().st_size, p.lstat().st_mode)
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def graded(course, handed_in) -> dict[str, dict]:
    """The table of grades of the whole class."""
    before = contents(handed_in)
    arguments = ["hw1", str(handed_in), "--course", str(course), "--due", "2026-01-02T12:00"]
    assert main([*arguments, *BOUNDS]) == 0
    assert contents(handed_in) == before, "a submission was changed"
    return grades(course)


def feedback(course: Path, student: str) -> str:
    return (course / "feedback" / student / "hw1" / f"{tiny.NAME}.html").read_text("utf-8")


def told(course: Path, graded: dict, student: str) -> str:
    return graded[student]["note"] + feedback(course, student)


@needs_sandbox
@pytest.mark.slow
def test_every_submission_has_a_grade_and_nothing_else_has(graded):
    assert set(graded) == set(POINTS)


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize("kind", POINTS)
def test_a_submission_gets_what_it_earned(graded, kind):
    earned = float(graded[kind]["tests"])
    assert earned == POINTS[kind] if POINTS[kind] is not None else earned in (0, 3, 6)


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize("kind", CODE | FILES)
def test_what_went_wrong_is_said(course, graded, kind):
    text = (CODE | FILES)[kind][2]
    assert text in told(course, graded, kind).replace("&#39;", "'")


@needs_sandbox
@pytest.mark.slow
def test_nothing_was_written_outside_and_nothing_leaked(course, graded):
    assert not (course / "written-by-a-student").exists()
    for student in graded:
        page = feedback(course, student)
        assert "the secret of task" not in page
        assert "<script" not in page
        notebook = (course / "autograded" / student / "hw1" / f"{tiny.NAME}.ipynb").read_text()
        assert "text/html" not in notebook


@needs_sandbox
@pytest.mark.slow
def test_the_last_in_time_counts_and_lateness_is_told(graded):
    row = graded["late-and-twice"]
    assert row["handed in"] == "2026-01-03 12:00:00 UTC"
    assert 20 < float(row["hours late"]) < 40  # due at noon, local time
    assert "2 notebooks were handed in" in row["note"]


@needs_sandbox
@pytest.mark.slow
def test_a_complete_run_is_not_repeated(course, handed_in, graded, monkeypatch):
    monkeypatch.setattr(processes, "in_a_fork", lambda *_: pytest.fail("graded again"))
    assert main(["hw1", str(handed_in), "--course", str(course), *BOUNDS]) == 0
    assert {s: row["tests"] for s, row in grades(course).items()} == {
        s: row["tests"] for s, row in graded.items()
    }


@needs_sandbox
@pytest.mark.slow
def test_a_correction_reaches_a_grade_that_is_stored(course, tmp_path, monkeypatch):
    """A time, a test of the lecturer's, and a check of the course: each is graded anew."""
    fresh, submitted = a_class(course, tmp_path, 2)
    place = submitted / "anna"
    place.mkdir()
    (submitted / "student-001.ipynb").rename(place / "hw1.ipynb")
    (place / "timestamp.txt").write_text("2026-01-03 12:00:00 UTC")
    command = ["hw1", str(submitted), "--course", str(fresh), "--due", "2026-01-02T12:00", *BOUNDS]
    assert main(command) == 0
    assert grades(fresh)["anna"]["hours late"]
    (place / "timestamp.txt").write_text("2026-01-01 12:00:00 Europe/Berlin")
    assert main(command) == 0
    assert grades(fresh)["anna"]["handed in"] == "2026-01-01 11:00:00 UTC"
    assert not grades(fresh)["anna"]["hours late"]
    asked, judged = [], processes.in_a_fork
    monkeypatch.setattr(processes, "in_a_fork", lambda load: asked.append(1) or judged(load))
    source = fresh / "source" / "hw1" / f"{tiny.NAME}.ipynb"
    source.write_text(source.read_text("utf-8").replace("[[2.0, 4.0]]", "[[2.0, 4.00]]"), "utf-8")
    assert main(command) == 0
    assert len(asked) == 2
    monkeypatch.setattr("course_utils.grading.masters.checks_of_the_course", lambda: "mended")
    assert main(command) == 0
    assert len(asked) == 4
    assert main(command) == 0
    assert len(asked) == 4


@needs_sandbox
@pytest.mark.slow
def test_points_given_by_hand_enter_grades_and_feedback(course, handed_in, graded):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course}/gradebook.db", "learned-sparse-coding") as book:
        grade = book.find_grade("written", tiny.NAME, "hw1", "anna")
        grade.manual_score, grade.needs_manual_grade = 1.5, False
        book.find_comment("written", tiny.NAME, "hw1", "anna").manual_comment = "Why <so>?"
        book.db.commit()
    assert main(["hw1", str(handed_in), "--course", str(course), *BOUNDS]) == 0
    assert grades(course)["anna"]["total"] == "7.5"
    assert grades(course)["berta"]["written"] == ""
    assert grades(course)["untouched"]["written"] == "0"
    assert "Why &lt;so&gt;?" in feedback(course, "anna")


@pytest.mark.parametrize("broken", ["2 * y", "2 * x)", "3 * x"])
def test_a_test_that_refuses_the_author_s_own_answer_costs_nobody(
    course, tmp_path, monkeypatch, capsys, broken
):
    monkeypatch.setattr(sandbox, "check", lambda: None)
    fresh, submitted = a_class(course, tmp_path, 1)
    source = fresh / "source" / "hw1" / f"{tiny.NAME}.ipynb"
    text = source.read_text("utf-8")
    source.write_text(text.replace("lambda x: x + x", f"lambda x: {broken}"), "utf-8")
    assert main(["hw1", str(submitted), "--course", str(fresh), *BOUNDS]) == 2
    assert "nothing was graded, for task1-hidden fails" in capsys.readouterr().err
    assert not (fresh / "results").exists()


@needs_sandbox
@pytest.mark.slow
def test_points_given_by_hand_stay_as_long_as_the_answer_does(course, tmp_path, capsys):
    from nbgrader.api import Gradebook

    fresh, submitted = a_class(course, tmp_path, 2)
    command = ["hw1", str(submitted), "--course", str(fresh), *BOUNDS]
    assert main(command) == 0
    with Gradebook(f"sqlite:///{fresh}/gradebook.db", "learned-sparse-coding") as book:
        for student in ("student-000", "student-001"):
            grade = book.find_grade("written", tiny.NAME, "hw1", student)
            grade.manual_score, grade.needs_manual_grade = 1.5, False
        book.db.commit()
    os.utime(submitted / "student-000.ipynb", (1_700_000_000, 1_700_000_000))
    nbformat.write(
        tiny.filled(released(fresh), written="On second thoughts."), submitted / "student-001.ipynb"
    )
    capsys.readouterr()
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "of which 0 were graded before" in said
    assert "to be confirmed, because the answer has changed, of 1: student-001." in said
    assert grades(fresh)["student-000"]["written"] == "1.5"
    assert grades(fresh)["student-001"]["written"] == ""


@pytest.mark.parametrize("kind", COLLECTED)
def test_a_file_that_is_odd_alone_yields_the_answers_that_are_in_it(course, tmp_path, kind):
    """More than these answers and notes no judge gets of a file: then it is worth the same."""
    make, said = COLLECTED[kind]
    make(tiny.filled(released(course)), tmp_path / "odd.ipynb")
    (submission,) = collect.submissions(tmp_path, "hw1", {"hw1": released(course)}).submissions
    master = release.master(course, "hw1")
    sources, _, notes = answers(collect.content_of(submission.path), master)
    lost = {"written"} if kind == "tests-deleted" else set()  # a person grades it: a test, too
    expected = {i: text.strip() for i, text in tiny.ANSWERS.items() if i not in lost}
    assert {i: text.strip() for i, text in sources.items()} == expected
    assert said in " ".join(notes)


# The release


def test_the_release_holds_no_line_of_a_solution_or_hidden_test(course):
    text = (course / "release" / "hw1" / f"{tiny.NAME}.ipynb").read_text("utf-8")
    for secret in ("2 * x", "clamp", "SECRET", "secret", "x + x", "you squared", "has to be so"):
        assert secret not in text
    assert "put your code here" in text


def test_a_second_release_changes_nothing(course, monkeypatch):
    monkeypatch.setattr(release, "HOMEWORK", course.parent / "homework")
    before = contents(course / "release")
    assert release.renew(course) == []
    assert contents(course / "release") == before


def test_the_expected_picture_is_in_the_release(course):
    cell = next(c for c in released(course).cells if c.id == "task2-figure-expected")
    assert "Two ones, as a picture" in cell.source
    assert cell.attachments == {"seen.png": {"image/png": "iVBORw0KGgo="}}


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """A function that renews a class with a version of the homework, known by its title."""

    def renewed(title: str, folder: Path = tmp_path / "class") -> list[str]:
        notebook = tiny.source()
        notebook.cells[0].source = f"# {title}"
        home = tmp_path / title
        home.mkdir(exist_ok=True)
        nbformat.write(notebook, home / f"{tiny.NAME}.ipynb")
        monkeypatch.setattr(release, "HOMEWORK", home)
        return release.renew(folder)

    return renewed


def titles(folder: Path) -> dict[str, str]:
    """The title of each notebook in a folder, by its path there."""
    found = {}
    for path in folder.rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        found[path.relative_to(folder).as_posix().replace(tiny.NAME, "NAME")] = cells[0].source
    return {re.sub(r"[0-9a-f]{8}", "HASH", name): title for name, title in found.items()}


def retitled(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "# Mine"
    nbformat.write(notebook, path)


def test_an_edited_source_stays_and_is_what_is_released(tmp_path, versions):
    versions("One")
    folder = tmp_path / "class"
    retitled(folder / "source" / "hw1" / f"{tiny.NAME}.ipynb")
    lines = versions("Two")
    assert titles(folder) == {
        "source/hw1/NAME.ipynb": "# Mine",
        "release/hw1/NAME.ipynb": "# Mine",
        "updates/source/hw1/NAME (update HASH).ipynb": "# Two",
    }
    assert [line.split(":")[0] for line in lines] == ["yours kept", "updated"]
    assert versions("Two") == []


def test_an_edited_release_stays_and_the_new_one_is_put_into_updates(tmp_path, versions):
    versions("One")
    folder = tmp_path / "class"
    retitled(folder / "release" / "hw1" / f"{tiny.NAME}.ipynb")
    versions("Two")
    assert titles(folder) == {
        "source/hw1/NAME.ipynb": "# Two",
        "release/hw1/NAME.ipynb": "# Mine",
        "updates/release/hw1/NAME (update HASH).ipynb": "# Two",
    }
    assert versions("Two") == []


def test_a_source_that_was_only_run_is_not_set_aside_where_nbgrader_looks(tmp_path, versions):
    versions("One")
    folder = tmp_path / "class"
    place = folder / "source" / "hw1" / f"{tiny.NAME}.ipynb"
    notebook = nbformat.read(place, as_version=4)
    notebook.cells[1].execution_count = 1
    nbformat.write(notebook, place)
    versions("Two")
    assert titles(folder) == {
        "source/hw1/NAME.ipynb": "# Two",
        "release/hw1/NAME.ipynb": "# Two",
        "replaced/source/hw1/NAME.HASH.ipynb": "# One",
    }


def a_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table recipes (name)")


def written(path: Path) -> None:
    path.write_text("my own")


THEIRS = {  # what lies in a folder before: its name, how it comes there, what is said of it
    "a second notebook": ("source/hw1/other.ipynb", written, "is not the course's notebook of hw1"),
    "a text": ("gradebook.db", written, "is no gradebook of nbgrader"),
    "a database of recipes": ("gradebook.db", a_database, "is no gradebook of nbgrader"),
    "a link to nowhere": (
        "gradebook.db",
        lambda path: path.symlink_to("nowhere"),
        "is no gradebook of nbgrader",
    ),
    "settings that do not run": ("nbgrader_config.py", written, "does not run, mend it: Syntax"),
    "a release elsewhere": (
        "release",
        lambda path: path.symlink_to(path.parents[1]),
        "release is a link, and nothing is written through one",
    ),
}


@pytest.mark.parametrize("kind", THEIRS)
def test_a_folder_of_somebody_else_is_refused_as_it_is(tmp_path, versions, kind):
    name, put, said = THEIRS[kind]
    place = tmp_path / "theirs" / name
    place.parent.mkdir(parents=True)
    put(place)
    before = None if place.is_symlink() else place.read_bytes()
    with pytest.raises(ValueError, match=said):
        versions("One", tmp_path / "theirs")
    left = [path for path in (tmp_path / "theirs").rglob("*") if not path.is_dir()]
    assert left == ([] if kind == "a release elsewhere" else [place])
    assert place.is_symlink() or place.read_bytes() == before


def test_a_damaged_notebook_of_the_lecturer_s_is_named_or_costs_nothing(tmp_path, versions):
    versions("One")
    folder = tmp_path / "class"
    (folder / "release" / "notes").mkdir()
    (folder / "release" / "notes" / "notes.ipynb").write_text("cut off")
    assert list(release.masters(folder, "hw1")) == ["hw1"]
    place = folder / "source" / "hw1" / f"{tiny.NAME}.ipynb"
    place.write_text("cut off")
    for broken in (lambda: versions("Two"), lambda: release.master(folder, "hw1")):
        with pytest.raises(ValueError, match=f"{tiny.NAME}.ipynb is no whole notebook"):
            broken()
    assert place.read_text() == "cut off"


def test_a_handout_of_the_lecturer_s_beside_a_release_stays(tmp_path, versions):
    handout = tmp_path / "class" / "release" / "hw1" / "handout.pdf"
    handout.parent.mkdir(parents=True)
    handout.write_text("my own")
    versions("One")
    versions("Two")
    assert handout.read_text() == "my own"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tags": ["given"]}, "task1 is an answer and tagged `given`"),
        ({"nbgrader": {"grade": True, "points": 3}}, "task1 is an answer and graded itself"),
        (
            {"nbgrader": {"solution": False}},
            "task1 holds a solution and is not marked",
        ),
    ],
)
def test_a_homework_whose_answers_would_run_outside_is_refused(
    course, tmp_path, monkeypatch, capsys, change, said
):
    source = tiny.source()
    answer = next(cell for cell in source.cells if cell.id == "task1")
    answer.metadata.update({k: v for k, v in change.items() if k != "nbgrader"})
    answer.metadata.nbgrader.update(change.get("nbgrader", {}))
    nbformat.write(source, tmp_path / f"{tiny.NAME}.ipynb")
    monkeypatch.setattr(release, "HOMEWORK", tmp_path)
    assert homework_command.main([str(tmp_path / "class")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "class" / "release").exists()
    fresh = tmp_path / "fresh"
    shutil.copytree(course, fresh)
    shutil.copy(tmp_path / f"{tiny.NAME}.ipynb", fresh / "source" / "hw1")
    with pytest.raises(ValueError, match=said):
        release.master(fresh, "hw1")


# Killed half way


@needs_sandbox
@pytest.mark.slow
def test_a_grader_that_is_killed_goes_on_where_it_was(course, tmp_path):
    fresh, submitted = a_class(course, tmp_path, 8)
    grader = start(fresh, submitted)
    deadline = time.monotonic() + 120
    while records(fresh) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(grader.pid, 9)
    grader.wait()
    assert 2 <= records(fresh) < 8
    assert main(["hw1", str(submitted), "--course", str(fresh), *BOUNDS]) == 0
    found = grades(fresh)
    assert [found[f"student-{n:03d}"]["tests"] for n in range(8)] == [right(n) for n in range(8)]


def judging(grader):
    """A process of a grader that judges in a sandbox just now, or None."""
    for process in grader.children(recursive=True):
        above = process.parent()
        judges = above and above.name() != "bwrap" and above.pid != grader.pid
        if process.name() == "bwrap" and judges:
            return above
    return None


@needs_sandbox
@pytest.mark.slow
def test_a_killed_worker_costs_nothing(course, tmp_path):
    import psutil

    fresh, submitted = a_class(course, tmp_path, 6)
    grader = start(fresh, submitted)
    killed = 0
    deadline = time.monotonic() + 120
    most = processes.TRIES - 1  # so that all may hit one submission, which is then still graded
    while killed < most and grader.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
        with contextlib.suppress(psutil.NoSuchProcess):  # one that ends while we look
            if judge := judging(psutil.Process(grader.pid)):
                judge.kill()
                killed += 1
    assert grader.wait(300) == 0
    assert killed
    found = grades(fresh)
    assert [found[f"student-{n:03d}"]["tests"] for n in range(6)] == [right(n) for n in range(6)]


@needs_sandbox
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_kernel_that_does_not_start_is_no_fault_of_the_student(course, tmp_path, monkeypatch):
    fresh, submitted = a_class(course, tmp_path, 1)
    command = ["hw1", str(submitted), "--course", str(fresh), *BOUNDS]
    with monkeypatch.context() as patch:
        broken = sandbox.spec(sandbox.NAME) | {"argv": ["false", "{connection_file}"]}
        patch.setattr(sandbox, "spec", lambda _: broken)
        patch.setattr(processes, "in_a_fork", lambda load: judge(load()))
        assert main(command) == 1
        gc.collect()  # jupyter_client leaves open sockets of a kernel that never answered
    assert "could not be graded: its kernel did not start" in grades(fresh)["student-000"]["note"]
    assert main(command) == 0
    assert grades(fresh)["student-000"]["tests"] == right(0)


@needs_sandbox
@pytest.mark.slow
def test_two_gradings_do_not_meet(course, tmp_path, handed_in, capsys):
    import fcntl

    with (course / "grading.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(["hw1", str(handed_in), "--course", str(course), *BOUNDS]) == 2
    assert "Another grading is at work" in capsys.readouterr().err


# What the command refuses


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hw1", "no/such/folder"], "name the folder or ZIP handed in"),
        (["hw1", "README.md"], "is not a folder"),
        (["hw7", "."], "holds no homework hw7"),
    ],
)
def test_bad_arguments_get_one_sentence(course, arguments, said, capsys, monkeypatch):
    monkeypatch.setattr(sandbox, "check", lambda: None)
    monkeypatch.setattr(release, "HOMEWORK", course.parent / "homework")
    assert main([*arguments, "--course", str(course)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stderr", "cure"),
    [
        ("bwrap: setting up uid map: Permission denied", "apparmor"),
        ("bwrap: Creating new namespace failed: Operation not permitted", "seccomp=unconfined"),
        ("bwrap: No permissions to create a new namespace", "unprivileged_userns_clone"),
        ("something new", "bubblewrap does not start"),
    ],
)
def test_a_system_that_forbids_the_sandbox_is_told_the_cure(stderr, cure, monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\necho '{stderr}' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.check.cache_clear()
    with pytest.raises(sandbox.UnavailableError, match=cure):
        sandbox.check()


def test_without_bubblewrap_the_command_refuses(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    sandbox.check.cache_clear()
    assert main(["hw1", str(tmp_path), "--course", str(course)]) == 2
    said = capsys.readouterr().err
    assert "apt install bubblewrap" in said
    assert "--without-sandbox" in said
    sandbox.check.cache_clear()

"""The sandboxed kernel is a kernel like any other: for nbclient, nbval, nbgrader and Dask."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

if sys.platform != "linux":
    pytest.skip("the sandbox needs Linux", allow_module_level=True)

from homework import tiny
from homework.classroom import (
    BOUNDS,
    a_class,
    grades,
    needs_sandbox,
    right,
)
from nbclient import NotebookClient

from course_utils.grading import release, sandbox
from course_utils.grading.__main__ import main
from course_utils.tools.files import NOTEBOOKS

pytestmark = needs_sandbox
TELLS = "import os\nprint(sorted(os.listdir('/home')), os.path.exists('/var'))"
TOLD = "['student'] False\n"


def code_of(folder: Path, pattern: str) -> set[str]:
    """The lines of code, without their indents, of all notebooks that fit."""
    found = set()
    for path in folder.glob(pattern):
        cells = nbformat.read(path, as_version=4).cells
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        found |= {line.strip() for source in code for line in source.splitlines()}
    return found


@pytest.mark.slow
def test_no_line_of_a_solution_or_hidden_test_can_be_read_in_the_sandbox(tmp_path):
    """All that can be read there is searched, but what is older than the course. Lines that the
    chapters have, too, are no secret."""
    release.renew(tmp_path / "class")
    known = code_of(tmp_path / "class" / "release", "*/*.ipynb") | code_of(NOTEBOOKS, "*.ipynb")
    secret = {line for line in code_of(release.HOMEWORK, "*.ipynb") - known if len(line) >= 25}
    assert len(secret) > 300
    private = tmp_path / "private"
    private.mkdir()
    (private / "secret").write_text("\n".join(sorted(secret)) + "\n", "utf-8")
    (private / "copy").write_text(max(secret), "utf-8")  # so that the search is seen to find
    search = "find / -path /proc -prune -o -type f -newermt 2026-01-01 ! -name secret -print0"
    search += f" | xargs -0 grep -Fl -f {private}/secret"
    command = [*sandbox.walls(private, sandbox.MB), "--", "sh", "-c", search]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.stdout.splitlines() == [str(private / "copy")]


@pytest.fixture
def known(tmp_path, monkeypatch) -> Path:
    """A place where the kernel is installed, and Jupyter looks for it."""
    place = tmp_path / "kernels" / sandbox.NAME
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(sandbox.spec(sandbox.NAME)))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return tmp_path


def test_nbclient_runs_it_by_name(known):
    notebook = new_notebook(cells=[new_code_cell(TELLS)])
    NotebookClient(notebook, kernel_name=sandbox.NAME).execute()
    assert notebook.cells[0].outputs[0].text == TOLD


def test_a_cell_that_is_interrupted_leaves_the_kernel_alive(known):
    notebook = new_notebook(cells=[new_code_cell("while True: pass"), new_code_cell("print(1)")])
    client = NotebookClient(
        notebook,
        kernel_name=sandbox.NAME,
        timeout=2,
        interrupt_on_timeout=True,
        allow_errors=True,
    )
    client.execute()
    assert notebook.cells[0].outputs[0].ename == "KeyboardInterrupt"
    assert notebook.cells[1].outputs[0].text == "1\n"


def test_nbval_runs_it_by_name(known, tmp_path):
    cell = new_code_cell(TELLS, execution_count=1)
    cell.outputs = [new_output("stream", name="stdout", text=TOLD)]
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["--nbval", "--nbval-kernel-name", sandbox.NAME, "a.ipynb"]
    run = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert "1 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.slow
def test_nbgrader_runs_it_by_name(known, course, tmp_path):
    fresh, submitted = a_class(course, tmp_path / "class", 2)
    for file in submitted.iterdir():
        place = fresh / "submitted" / file.stem / "hw1" / f"{tiny.NAME}.ipynb"
        place.parent.mkdir(parents=True)
        shutil.copy(file, place)
    command = [sys.executable, "-m", "nbgrader", "autograde", "hw1", "--log-level=WARN"]
    command += [f"--ExecutePreprocessor.kernel_name={sandbox.NAME}"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        command,
        check=False,
        cwd=fresh,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
    )
    assert run.returncode == 0, run.stderr
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{fresh}/gradebook.db", "learned-sparse-coding") as book:
        scores = [book.find_submission("hw1", f"student-{n:03d}").score for n in range(2)]
    assert scores == [float(right(0)), float(right(1))]


@pytest.mark.slow
def test_workers_of_dask_grade_in_the_sandbox(course, tmp_path, two_workers):
    """What a killed worker costs, tests/test_reproduce.py shows: both share `on_cluster`."""
    fresh, submitted = a_class(course, tmp_path / "class", 2)
    address, _ = two_workers
    command = ["hw1", str(submitted), "--course", str(fresh), "--scheduler", address]
    assert main([*command, *BOUNDS]) == 0
    found = grades(fresh)
    assert [found[f"student-{n:03d}"]["tests"] for n in range(2)] == [right(n) for n in range(2)]


def test_a_scheduler_that_does_not_answer_is_named(course, tmp_path, capsys, monkeypatch):
    fresh, submitted = a_class(course, tmp_path / "class", 1)
    monkeypatch.setattr("distributed.Client.__init__", _no_answer)
    address = "tcp://127.0.0.1:9"
    assert main(["hw1", str(submitted), "--course", str(fresh), "--scheduler", address]) == 2
    assert "no answer" in capsys.readouterr().err


def _no_answer(*_, **__):
    raise OSError("no answer from tcp://127.0.0.1:9")

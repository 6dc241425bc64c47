"""The sandboxed kernel is a kernel like any other: for nbclient, nbval, nbgrader and Dask."""

import csv
import gzip
import hashlib
import json
import os
import py_compile
import shutil
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64decode
from importlib.util import cache_from_source
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


def proofs() -> dict[str, list[str]]:
    """Algorithm and hash, by path, of files whose distributor gave one: packages, and Debian's."""
    found = {}
    for place in sandbox.visible():
        for folder in ("", "site-packages/", "lib/python*/site-packages/"):
            for record in place.glob(f"{folder}*.dist-info/RECORD"):
                if not record.parent.name.startswith("course_utils-"):
                    found |= recorded(record)
    for sums in Path("/var/lib/dpkg/info").glob("*.md5sums"):
        pairs = [line.split(maxsplit=1) for line in sums.read_text("utf-8").splitlines()]
        found |= {f"/{name}": ["md5", digest] for digest, name in pairs}
        # /lib is a link to /usr/lib
        found |= {f"/usr/{name}": ["md5", digest] for digest, name in pairs}
    return found


def recorded(record: Path) -> dict[str, list[str]]:
    """What a package's list of its files says of them."""
    found = {}
    for name, told, _ in csv.reader(record.read_text("utf-8").splitlines()):
        algorithm, _, digest = told.partition("=")
        if digest:
            path = os.path.normpath(record.parents[1] / name)
            found[path] = [algorithm, urlsafe_b64decode(f"{digest}==").hex()]
    return found


def prepared(folder: Path, secret: set[str], known: dict[str, list[str]]) -> list[str]:
    """Put into a folder what `leaks` needs; return the command that searches from a root on."""
    spellings = (str, lambda line: json.dumps(line)[1:-1])
    spellings += (lambda line: json.dumps(line, ensure_ascii=False)[1:-1],)
    forms = {spelled(line) for line in secret for spelled in spellings}
    (folder / "forms").write_text("\n".join(sorted(forms)) + "\n", "utf-8")
    (folder / "proofs").write_text(json.dumps(known), "utf-8")
    shutil.copy(Path(__file__).with_name("leaks.py"), folder)
    return [sys.executable, str(folder / "leaks.py")]


LINE = 'secret = "so that it has a quote"'


def plant(folder: Path, line: str) -> set[Path]:
    """Put a line into a folder in all ways in which it may come there; where it is now."""
    folder.mkdir()
    (folder / "plain.py").write_text(f"if True:\n    {line}\n", "utf-8")
    nbformat.write(new_notebook(cells=[new_code_cell(line)]), folder / "a.ipynb")
    (folder / "source.py").write_text(f"text = {line!r}\n", "utf-8")
    py_compile.compile(str(folder / "source.py"), str(folder / "compiled.pyc"))
    (folder / "a.py.gz").write_bytes(gzip.compress(line.encode()))
    with zipfile.ZipFile(folder / "a.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("hw.ipynb", (folder / "a.ipynb").read_text("utf-8"))
    (folder / "source.py").unlink()
    return set(folder.iterdir())


def searched(command: list[str]) -> set[Path]:
    """What a search finds."""
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return {Path(line) for line in run.stdout.splitlines() if line}


def test_a_search_finds_a_line_however_it_is_packed_and_only_proof_excludes_a_file(tmp_path):
    folder, root = tmp_path / "search", tmp_path / "root"
    folder.mkdir()
    expected = plant(root, LINE)
    text = f"text = {LINE!r}\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    names = {name: root / f"{name}.py" for name in ("proven", "changed", "recompiled")}
    for name, path in names.items():
        path.write_text(text if name == "proven" else f"{text}\n")
        py_compile.compile(str(path))
    names["recompiled"].write_text(text)  # so that it is proven, and not what was made of it
    expected |= {names["changed"]}
    expected |= {Path(cache_from_source(str(names[n]))) for n in ("changed", "recompiled")}
    (root / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    (root / "other.py").write_text("nothing = 0")
    known = {str(path): ["sha256", digest] for path in names.values()}
    command = prepared(folder, {LINE}, known)
    assert searched([*command, str(root), str(folder)]) == expected


@pytest.mark.slow
def test_no_line_of_a_solution_or_hidden_test_can_be_read_in_the_sandbox(tmp_path):
    """All that can be read there is searched, but what is proven to be somebody else's. Lines that
    the chapters have, too, are no secret."""
    release.renew(tmp_path / "class")
    known = code_of(tmp_path / "class" / "release", "*/*.ipynb") | code_of(NOTEBOOKS, "*.ipynb")
    secret = {line for line in code_of(release.HOMEWORK, "*.ipynb") - known if len(line) >= 25}
    assert len(secret) > 300
    private = tmp_path / "private"
    private.mkdir()
    planted = plant(private / "planted", max(secret))  # so that the search is seen to find
    command = [*prepared(private, secret, proofs()), "/", str(private)]
    assert searched([*sandbox.walls(private, sandbox.MB), "--", *command]) == planted


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

"""The settings of the tests themselves: what runs by default, in what order, and what is said."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import notebook_of

ROOT = Path(__file__).resolve().parents[1]
QUICK = "import pytest\n\ndef test_one():\n    pass\n"
LONG = """import os
import pytest
SECONDS = 60

def test_two():
    assert os.environ["OMP_NUM_THREADS"] == "1"

@pytest.mark.slow
def test_three():
    pass

def test_four():
    pytest.skip("a hammer is missing")
"""


@pytest.fixture
def project(tmp_path):
    """A folder with the settings of this one, two modules of tests and two notebooks."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a_quick.py").write_text(QUICK, "utf-8")
    (tmp_path / "tests" / "test_b_long.py").write_text(LONG, "utf-8")
    (tmp_path / "notebooks").mkdir()
    for name, seconds in [("01_short", 5), ("02_long", 90)]:
        notebook = notebook_of("1 + 1")
        notebook.cells[1].metadata.tags = ["nbval-ignore-output"]
        notebook.metadata.course = {"seconds": seconds}
        nbformat.write(notebook, tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    """What pytest prints there."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    found = subprocess.run(command, check=False, cwd=project, capture_output=True, text=True)
    return found.stdout + found.stderr


SAID = "1 slow, deselected: `python3 course.py test --all` runs them"


@pytest.mark.parametrize("workers", [2, 0])
def test_by_default_what_is_slow_is_left_out_and_all_that_did_not_run_is_named(
    project, workers, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    said = run(project, "-n", str(workers))
    assert "4 passed, 1 skipped" in said
    assert SAID in said
    assert "1 skipped: a hammer is missing" in said
    assert "notebooks: 2, code cells: 2," in said


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["--all"], 5),
        (["-m", "slow"], 1),
        (["-k", "three"], 1),
        (["tests/test_b_long.py"], 2),
        (["tests/test_b_long.py::test_three"], 1),
    ],
)
def test_whoever_asks_for_what_is_slow_gets_it(project, arguments, passed, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    said = run(project, "-n", "0", *arguments)
    assert f"{passed} passed" in said
    assert "course.py test --all" not in said


def test_long_files_come_first_and_each_stays_whole(project):
    said = run(project, "--collect-only", "-q", "--all")
    files = [line.split("::")[0] for line in said.splitlines() if "::" in line]
    assert list(dict.fromkeys(files)) == [
        "notebooks/02_long.ipynb",
        "tests/test_b_long.py",
        "notebooks/01_short.ipynb",
        "tests/test_a_quick.py",
    ]
    assert files == sorted(files, key=list(dict.fromkeys(files)).index)


def test_each_worker_computes_on_one_thread_unless_told_otherwise(project, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert "4 passed" in run(project, "-n", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "assert '3' == '1'" in run(project, "-n", "2")


def test_a_single_file_needs_no_worker_and_memory_bounds_how_many_there_are(
    pytestconfig, monkeypatch
):
    (ours,) = (p for p in pytestconfig.pluginmanager.get_plugins() if is_ours(p))
    workers = ours.pytest_xdist_auto_num_workers
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)

    def with_memory(gigabytes, *args):
        class Memory:
            available = gigabytes * 1e9

        monkeypatch.setattr("psutil.virtual_memory", Memory)
        config = type("Config", (), {"args": list(args)})
        return workers(config)

    assert with_memory(100, "tests", "notebooks") == 16
    assert with_memory(8, "tests", "notebooks") == 3
    assert with_memory(1, "tests", "notebooks") == 0
    assert with_memory(100, f"{__file__}::test_long_files_come_first_and_each_stays_whole") == 0


def is_ours(plugin: object) -> bool:
    return getattr(plugin, "__file__", "") == str(ROOT / "conftest.py")


def test_without_git_what_needs_it_is_skipped_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    test = str(Path(__file__).with_name("test_prose.py"))
    said = run(ROOT, "-n", "0", test)
    assert "1 skipped" in said
    assert "git, or a clone, is missing" in said
    monkeypatch.setenv("CI", "true")
    assert "1 error" in run(ROOT, "-n", "0", test)

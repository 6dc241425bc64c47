"""The settings of the tests themselves: what runs by default, in what order, and what is said."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import nbformat
import pytest
from making import notebook_of

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
    (tmp_path / "notebooks" / "homework").mkdir(parents=True)
    for name, seconds in [("01_short", 5), ("02_long", 90), ("homework/hw1", 1)]:
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


@pytest.mark.slow
def test_two_workers_leave_out_what_is_slow_and_what_did_not_run_is_named(project, monkeypatch):
    for name in ("OMP_NUM_THREADS", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    said = run(project, "-n", "2")
    assert "4 passed, 1 skipped" in said
    assert "2 slow, deselected: `python3 course.py test --all` runs them" in said
    assert "1 skipped: a hammer is missing" in said
    assert "notebooks: 2, code cells: 2," in said


def test_all_is_all_and_long_files_come_first_and_each_stays_whole(project):
    said = run(project, "--collect-only", "-q", "--all")
    files = [line.split("::")[0] for line in said.splitlines() if "::" in line]
    order = ["notebooks/02_long.ipynb", "tests/test_b_long.py"]
    order += ["notebooks/01_short.ipynb", "notebooks/homework/hw1.ipynb", "tests/test_a_quick.py"]
    assert len(files) == 7
    assert list(dict.fromkeys(files)) == order
    assert files == sorted(files, key=order.index)


def test_a_damaged_notebook_stops_nothing_at_collection(project):
    odd = notebook_of("1 + 1")
    odd.metadata.course = {"seconds": "long"}
    nbformat.write(odd, project / "notebooks" / "03_odd.ipynb")
    (project / "notebooks" / "04_empty.ipynb").touch()
    (project / "notebooks" / "05_folder.ipynb").mkdir()
    (project / "notebooks" / "06_link.ipynb").symlink_to("nowhere")
    said = run(project, "--collect-only", "-q", "--all")
    assert "9 tests collected" in said
    for name in ("03_odd", "04_empty"):
        assert f"notebooks/{name}.ipynb::the file" in said


@pytest.mark.slow
def test_a_file_that_is_not_there_is_named(project):
    assert "file or directory not found: tests/test_nothing.py" in run(
        project, "-n", "2", "tests/test_nothing.py"
    )


@pytest.fixture
def ours(pytestconfig):
    """The module of settings, as pytest has loaded it."""
    plugins = pytestconfig.pluginmanager.get_plugins()
    (found,) = (p for p in plugins if getattr(p, "__file__", "") == str(ROOT / "conftest.py"))
    return found


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({}, ["quick"]),
        ({"all": True}, ["slow", "quick"]),
        ({"markexpr": "slow"}, ["slow", "quick"]),
        ({"keyword": "three"}, ["slow", "quick"]),
        ({"named": True}, ["slow", "quick"]),
    ],
)
def test_whoever_asks_for_what_is_slow_gets_it(ours, pytestconfig, asked, left):
    source = pytestconfig.ArgsSource
    config = Mock(option=Mock(all=False, markexpr="", keyword=""), ArgsSource=source, stash={})
    config.args_source = source.ARGS if asked.pop("named", False) else source.TESTPATHS
    config.option.configure_mock(**asked)
    marks = {"slow": lambda mark: mark == "slow", "quick": lambda _: None}
    items = [
        SimpleNamespace(name=name, parent=None, get_closest_marker=marked)
        for name, marked in marks.items()
    ]
    ours.pytest_collection_modifyitems(config, items)
    assert [item.name for item in items] == left


def test_each_worker_computes_on_one_thread_whatever_one_process_shall(ours, monkeypatch):
    """course.py sets half the cores, for one process; there are as many workers as cores."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    ours.pytest_xdist_setupnodes()
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "1")


@pytest.mark.parametrize(
    ("gigabytes", "named", "workers"),
    [
        (100, ["tests", "notebooks"], 16),
        (8, ["tests", "notebooks"], 3),
        (1, ["tests", "notebooks"], 0),
        (100, [f"{__file__}::test_a"], 0),
        (100, [__file__, "tests"], 16),
    ],
)
def test_workers_are_bounded_by_memory_and_a_single_file_needs_none(
    ours, monkeypatch, gigabytes, named, workers
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr("psutil.virtual_memory", lambda: Mock(available=gigabytes * 1e9))
    assert ours.pytest_xdist_auto_num_workers(Mock(args=named)) == workers


@pytest.mark.parametrize("in_ci", [False, True])
def test_without_git_what_needs_it_is_skipped_by_name_and_fails_in_ci(tmp_path, monkeypatch, in_ci):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "true" if in_ci else "")
    with pytest.raises(OSError if in_ci else pytest.skip.Exception, match="git, or a clone, is"):
        runpy.run_path(str(ROOT / "tests" / "test_prose.py"))

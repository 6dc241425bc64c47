"""Grading where Linux is not: a sentence, or `--without-sandbox`, and no traceback of an import."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from homework.classroom import BOUNDS, a_class, grades, right
from jupyter_core.utils import run_sync

from course_utils.grading import inside, processes, release, sandbox
from course_utils.grading.__main__ import WARNING, main
from course_utils.grading.judge import Limits, Room
from course_utils.grading.lending import Lender

# What Python reads first: the course then finds no module and no process of POSIX alone.
HIDING = """
import builtins
import multiprocessing.reduction

real = builtins.__import__


def hiding(name, globals=None, *rest, **named):
    ours = str((globals or {}).get("__package__")).startswith("course_utils")
    if ours and name in {"fcntl", "resource", "pwd", "grp", "termios"}:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, *rest, **named)


builtins.__import__ = hiding
multiprocessing.reduction.HAVE_SEND_HANDLE = False
"""


@pytest.fixture
def elsewhere(tmp_path) -> dict[str, str]:
    """The variables of a process that has no bubblewrap and none of POSIX's own modules."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(HIDING, "utf-8")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("chmod", "rm"):
        (tools / name).symlink_to(shutil.which(name))
    return os.environ | {"PYTHONPATH": str(tmp_path / "first"), "PATH": str(tools)}


def grade(course: Path, submitted: Path, env: dict, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "course_utils.grading", "hw1", str(submitted)]
    command += ["--course", str(course), *BOUNDS, *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env)


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_what_the_sandbox_needs_is_said_before_anything_is_done(
    course, tmp_path, monkeypatch, capsys, system
):
    monkeypatch.setattr(sandbox.sys, "platform", system)
    sandbox.check.cache_clear()
    assert main(["hw1", str(tmp_path), "--course", str(tmp_path / "class")]) == 2
    sandbox.check.cache_clear()
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("The sandbox needs Linux, for bubblewrap: grade on a Linux machine")
    assert "--without-sandbox" in said[1]
    assert not (tmp_path / "class").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows is itself what is imitated here")
def test_without_posix_modules_the_command_says_what_it_needs(course, tmp_path, elsewhere):
    run = grade(course, tmp_path, elsewhere)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert len(run.stderr.splitlines()) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows is itself what is imitated here")
def test_without_posix_modules_a_class_is_graded_without_a_sandbox(course, tmp_path, elsewhere):
    fresh, submitted = a_class(course, tmp_path / "class", 3)
    run = grade(fresh, submitted, elsewhere, "--without-sandbox")
    assert run.returncode == 0, run.stderr
    assert WARNING in run.stderr
    found = grades(fresh)
    assert [found[f"student-{n:03d}"]["tests"] for n in range(3)] == [right(n) for n in range(3)]
    results = fresh / "results" / "hw1"
    assert 'href="alike.html"' in (results / "report.html").read_text("utf-8")
    assert "a place to look, not a verdict" in (results / "alike.html").read_text("utf-8")


def test_without_a_sandbox_there_is_a_warning(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(release, "HOMEWORK", course.parent / "homework")
    nowhere = str(tmp_path / "nowhere")
    assert main(["hw1", nowhere, "--course", str(course), "--without-sandbox"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == WARNING


def test_where_there_is_no_fork_server_processes_start_anew(monkeypatch):
    monkeypatch.setattr(processes, "get_all_start_methods", lambda: ["spawn"])
    assert processes.fresh_processes().get_start_method() == "spawn"


def test_without_resource_the_kernel_starts_all_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    inside.limit(1, 1)


def test_a_kernel_that_talks_over_tcp_runs_code(monkeypatch):
    monkeypatch.setattr(sandbox, "TRANSPORT", "tcp")
    room = Room(Limits(), False, time.monotonic() + 60, Lender(()))
    try:
        assert room.manager.transport == "tcp"
        assert room.run("print(1)")[0].text == "1\n"
    finally:
        room.close()
    assert not run_sync(room.manager.is_alive)(), "a closed room's kernel goes on"
    assert not room.manager.provisioner.private.exists()


def test_without_walls_the_kernel_itself_is_bounded():
    watched = sandbox.Watched(memory=1)
    watched.private = Path("nowhere")
    assert "MB of memory" in watched.excess(psutil.Process().pid)

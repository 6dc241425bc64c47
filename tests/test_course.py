"""course.py on a folder of its own: pip is played by a small module, everything else is real.

`python -m venv --without-pip` makes the environments, so that each takes a tenth of a second.
"""

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SIZES = re.compile(r"first time takes minutes.*GB", re.DOTALL)

PIP = """
import os, sys, time
with open("pip.log", "a", encoding="utf-8") as log:
    print(*sys.argv[1:], file=log)
time.sleep(float(os.environ.get("PIP_TAKES", 0)))
sys.stderr.write(os.environ.get("PIP_SAYS", ""))
sys.exit("PIP_SAYS" in os.environ)
"""
VENV = """
import os, subprocess, sys
if "VENV_SAYS" in os.environ:
    sys.exit(os.environ["VENV_SAYS"])
make = [sys.executable, "-I", "-m", "venv", "--without-pip"]
sys.exit(subprocess.call(make + sys.argv[1:]))
"""
DOCTOR = """
import sys
print("doctor", sys.prefix, sys.argv[1:])
sys.exit(7)
"""


@pytest.fixture
def folder(tmp_path):
    """A checkout with nothing but course.py, what it reads, and a doctor that exits with 7."""
    home = tmp_path / "a course"
    for name, text in {
        "course_utils/doctor.py": DOCTOR,
        "tools/pip/__init__.py": "",
        "tools/pip/__main__.py": PIP,
        "tools/venv/__init__.py": "",
        "tools/venv/__main__.py": VENV,
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text, encoding="utf-8")
    for name in ("course.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, home / name)
    return home


def environment(folder, **more):
    """Return the variables under which pip and venv are the small ones."""
    return {**os.environ, "PYTHONPATH": str(folder / "tools"), **more}


def course(folder, *arguments, **more):
    """Run course.py in another folder than its own; return exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, str(folder / "course.py"), *arguments],
        cwd=folder.parent,
        env=environment(folder, **more),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def pip_calls(folder):
    log = folder / "pip.log"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


@pytest.fixture
def module():
    """course.py as a module of its own."""
    spec = importlib.util.spec_from_file_location("course_under_test", ROOT / "course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_argument_or_with_help_each_task_has_its_line(folder, module):
    code, out, err = course(folder)
    assert (code, err) == (0, "")
    assert (code, out, err) == course(folder, "help")
    for name, (what, _) in module.TASKS.items():
        assert re.search(rf"(?m)^  {name} +{re.escape(what)}$", out)
    assert not (folder / ".venv").exists()


def test_an_unknown_task_is_one_sentence_and_exit_2(folder):
    code, out, err = course(folder, "tset")
    assert (code, out) == (2, "")
    assert "'tset'" in err
    assert "test" in err
    assert len(err.splitlines()) == 1


def test_every_task_is_a_module_that_is_there(module):
    for _, line in module.TASKS.values():
        assert importlib.util.find_spec(line.split()[0]), line


def test_the_notebook_that_lab_opens_is_there(module):
    assert (ROOT / module.START.removeprefix("/lab/tree/")).is_file()


def test_first_run_installs_and_later_runs_only_run(folder):
    code, out, err = course(folder, "doctor", "-x", "two words")
    assert (code, err) == (7, "")
    assert SIZES.search(out)
    assert f"doctor {folder / '.venv'} ['-x', 'two words']" in out
    assert pip_calls(folder) == [
        "install --disable-pip-version-check -c constraints.txt -e .[test]"
    ]

    start = time.perf_counter()
    code, out, err = course(folder, "doctor")
    assert time.perf_counter() - start < 5
    assert (code, err) == (7, "")
    assert out == f"doctor {folder / '.venv'} []\n"
    assert len(pip_calls(folder)) == 1


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_pip_is_called_again_when_what_is_asked_for_has_changed(folder, name):
    course(folder, "doctor")
    (folder / ".venv" / "mine").touch()
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert course(folder, "doctor", PIP_SAYS="ConnectionError")[0] == 1
    assert course(folder, "doctor")[0] == 7
    assert len(pip_calls(folder)) == 3
    assert (folder / ".venv" / "mine").exists(), "an update must not clear the environment"


def test_a_moved_checkout_is_installed_again(folder):
    course(folder, "doctor")
    moved = folder.rename(folder.with_name("elsewhere"))
    assert course(moved, "doctor")[0] == 7
    assert len(pip_calls(moved)) == 2


def unfinished(venv):
    (venv / "course-stamp").write_text("unfinished", encoding="utf-8")


def without_python(venv):
    for python in [*venv.glob("bin/python*"), *venv.glob("Scripts/python*")]:
        python.unlink()


def empty(venv):
    shutil.rmtree(venv)
    venv.mkdir()


@pytest.mark.parametrize("damage", [unfinished, without_python, empty])
def test_a_half_made_or_broken_environment_is_said_and_made_anew(folder, damage):
    course(folder, "doctor")
    (folder / ".venv" / "left over").touch()
    damage(folder / ".venv")
    code, out, _ = course(folder, "doctor")
    assert code == 7
    assert "half-made or broken: making it anew" in out
    assert not (folder / ".venv" / "left over").exists()
    assert course(folder, "doctor")[1].startswith("doctor")


def test_an_environment_without_pip_is_made_anew(folder):
    course(folder, "doctor")
    shutil.rmtree(folder / "tools" / "pip")
    code, out, err = course(folder, "doctor")
    assert code == 1
    assert "making it anew" in out
    assert "for the reason above" in err


def test_a_set_up_that_failed_is_made_anew_next_time(folder):
    assert course(folder, "doctor", PIP_SAYS="what a pity")[0] == 1
    code, out, _ = course(folder, "doctor")
    assert code == 7
    assert "making it anew" in out


def test_a_working_environment_of_the_users_own_is_filled_not_cleared(folder):
    make = [sys.executable, "-I", "-m", "venv", "--without-pip", str(folder / ".venv")]
    subprocess.run(make, check=True)
    (folder / ".venv" / "mine").touch()
    assert course(folder, "doctor")[0] == 7
    assert (folder / ".venv" / "mine").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_environment_is_never_deleted(folder, kind):
    thing = folder / ".venv"
    if kind == "folder":
        thing.mkdir()
        thing = thing / "thesis.txt"
    thing.write_text("years of work", encoding="utf-8")
    code, _, err = course(folder, "doctor")
    assert code == 1
    assert "is no environment of Python: move it away" in err
    assert thing.read_text(encoding="utf-8") == "years of work"
    assert pip_calls(folder) == []


OFFLINE = """WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by
'NewConnectionError("HTTPSConnection: Failed to establish a new connection: [Errno -3]
Temporary failure in name resolution")': /simple/hatchling/
ERROR: No matching distribution found for hatchling>=1.25
"""


@pytest.mark.parametrize(
    ("says", "cure"),
    [
        (
            "ERROR: Could not install: [Errno 28] No space left on device",
            "disk is full",
        ),
        ("OSError: [WinError 112] There is not enough space on the disk", "disk is full"),
        (OFFLINE, "No network: pip did not reach its package index; connect"),
        ("ProxyError('Cannot connect to proxy.')", "proxy"),
        ("ERROR: [Errno 13] Permission denied: '/opt/course/.venv/lib'", "cannot be written"),
        ("[Errno 30] Read-only file system: '/media/course/.venv'", "cannot be written"),
        ("ERROR: ResolutionImpossible", "for the reason above"),
    ],
)
@pytest.mark.parametrize("tool", ["PIP_SAYS", "VENV_SAYS"])
def test_a_failed_step_is_shown_and_told_in_one_sentence_with_its_cure(folder, tool, says, cure):
    code, _, err = course(folder, "doctor", **{tool: says + "\n"})
    assert code == 1
    assert says in err, "the tool's own words are shown"
    last = err.splitlines()[-1]
    assert cure in last
    assert last.endswith("run this again.")


def test_a_stamp_that_cannot_be_written_is_told_in_one_sentence(folder):
    course(folder, "doctor")
    (folder / ".venv" / "course-stamp").unlink()
    (folder / ".venv" / "course-stamp").mkdir()
    code, _, err = course(folder, "doctor")
    assert code == 1
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


def test_a_nearly_full_disk_is_seen_even_where_venv_hides_what_went_wrong(module, monkeypatch):
    usage = shutil.disk_usage(ROOT)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    assert "disk is full" in module.explain("Error: Command 'ensurepip' returned exit status 1.")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=10**10))
    assert "disk is full" not in module.explain("Error: Command 'ensurepip' returned 1.")


@pytest.mark.parametrize(("version", "age"), [((3, 8), "old"), ((3, 10), "old"), ((3, 14), "new")])
def test_a_python_too_old_or_too_new_is_told_what_is_needed(module, version, age):
    with pytest.raises(SystemExit, match=rf"Python 3\.\d+ is too {age}: .*3\.11, 3\.12 or 3\.13"):
        module.check_python(version)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_the_supported_pythons_pass(module, version):
    module.check_python(version)


def test_the_versions_named_are_those_of_the_package(module):
    asked = re.search(r'requires-python = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    (old, new) = (".".join(map(str, v)) for v in (module.OLDEST, module.TOO_NEW))
    assert asked.group(1) == f">={old},<{new}"
    named = re.findall(r"3\.\d+", module.NEEDS.replace(str(ROOT), ""))
    assert named == [f"3.{minor}" for minor in range(module.OLDEST[1], module.TOO_NEW[1])]


def test_debian_without_its_venv_package_is_told_which_one(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match=r"sudo apt install python3\.11-venv"):
        module.check_python((3, 11))


def test_old_pythons_can_read_the_file():
    source = (ROOT / "course.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    f_strings = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.JoinedStr)]
    first = min(node.lineno for node in f_strings)
    annotated = [n.lineno for n in ast.walk(ast.parse(source)) if isinstance(n, ast.arg)]
    assert source.splitlines()[first - 1].startswith("NEEDS = ")
    assert first < min(annotated), "Python 2 has to stop at the line that says what is needed"


def test_two_set_ups_at_once_are_kept_apart(folder):
    command = [sys.executable, str(folder / "course.py"), "doctor"]
    first = subprocess.Popen(
        command, env=environment(folder, PIP_TAKES="3"), stdout=subprocess.PIPE, encoding="utf-8"
    )
    with first:
        assert first.stdout.readline().startswith("Installing")
        code, _, err = course(folder, "doctor")
        assert code == 1
        assert "Another set-up is at work here" in err
        assert "doctor" in first.stdout.read()
    assert first.returncode == 7
    assert course(folder, "doctor")[0] == 7


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without telling it")
def test_a_task_that_is_ended_takes_its_tool_with_it(folder):
    course(folder, "doctor")
    slow = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    (folder / "course_utils" / "doctor.py").write_text(slow, encoding="utf-8")
    command = [sys.executable, str(folder / "course.py"), "doctor"]
    with subprocess.Popen(command, env=environment(folder), stdout=subprocess.PIPE) as task:
        tool = int(task.stdout.readline())
        task.send_signal(signal.SIGTERM)
        assert task.wait(10) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(tool, 0)


def installed(monkeypatch, module, origin, versions):
    """Let the running Python have these packages, course-utils from the URL `origin`."""
    from importlib import metadata

    class Distribution:
        def read_text(self, name):
            return f'{{"url": "{origin}", "dir_info": {{"editable": true}}}}'

    monkeypatch.setattr(metadata, "distribution", lambda _: Distribution())
    monkeypatch.setattr(metadata, "version", versions.__getitem__)
    monkeypatch.setattr(module, "VENV", Path(sys.prefix).parent / "not this one")


def test_an_environment_that_has_this_folder_installed_as_tested_is_used(module, monkeypatch):
    pins = module.tested_versions()
    assert {"torch", "numpy", "nbval", "pytest"} <= pins.keys()
    versions = pins | {"torch": pins["torch"] + "+cpu"}
    installed(monkeypatch, module, ROOT.as_uri(), versions)
    assert module.serves()
    for other in (versions | {"torch": "2.12.0"}, versions | {"numpy": "2.1.0"}):
        installed(monkeypatch, module, ROOT.as_uri(), other)
        assert not module.serves()
    installed(monkeypatch, module, ROOT.parent.as_uri(), versions)
    assert not module.serves(), "another checkout"
    installed(monkeypatch, module, ROOT.as_uri(), versions)
    monkeypatch.setattr(module, "VENV", Path(sys.prefix))
    assert not module.serves(), ".venv itself is held to its stamp"

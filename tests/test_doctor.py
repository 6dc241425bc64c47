"""The doctor: what each check judges, how it says it, exit codes, the verdict.

That the cures cure is tested in test_cures.py, on things that are really broken.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_utils import data
from course_utils.tools import doctor

SECONDS = 10

PYPROJECT = '[project]\nname = "course-utils"\nrequires-python = "{}"\ndependencies = {}\n'


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A function that makes the doctor live in a checkout with these needs."""

    def make(python=">=3.11,<3.15", dependencies=(), constraints=None) -> Path:
        text = PYPROJECT.format(python, json.dumps(list(dependencies)))
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        if constraints is not None:
            (tmp_path / "constraints.txt").write_text(constraints, encoding="utf-8")
        monkeypatch.setattr(doctor, "_course_folder", lambda: tmp_path)
        return tmp_path

    return make


@pytest.fixture
def versions(monkeypatch):
    """Pretend that exactly these packages are installed."""
    installed = {"numpy": "2.1.5", "torch": "2.13.0+cpu"}
    monkeypatch.setattr(doctor, "_installed", installed.get)
    return installed


@pytest.fixture
def kernelspec(tmp_path, monkeypatch):
    """A function that makes python3 a kernel with this command."""

    def make(*argv: str) -> Path:
        folder = tmp_path / "kernels" / "python3"
        folder.mkdir(parents=True)
        spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
        return folder

    return make


def assert_broken(finding: doctor.Finding, culprit: str, cure: str) -> None:
    assert finding.status == "BROKEN"
    assert culprit in finding.what
    assert cure in finding.cure


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (">=3.11,<3.15", "ok"),
        (">=3.11", "ok"),
        ("<3.15,>=3.11", "ok"),
        (">=3.90,<3.99", "BROKEN"),
        (">=3.2,<3.8", "BROKEN"),
        ("<3.11", "BROKEN"),
    ],
)
def test_python_is_held_against_the_range(checkout, wanted, status):
    checkout(python=wanted)
    finding = doctor.check_python()
    assert finding.status == status
    if status == "BROKEN":
        assert_broken(finding, f"the course needs {wanted}", "course.py doctor`")


def test_python_range_comes_from_the_metadata_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_course_folder", lambda: tmp_path)
    metadata = {"Requires-Python": "<3.9,>=3.8"}
    monkeypatch.setattr(importlib.metadata, "metadata", {"course-utils": metadata}.get)
    assert_broken(doctor.check_python(), "<3.9,>=3.8", "course.py doctor`")


def test_packages_in_bounds_are_ok_with_and_without_constraints(checkout, versions):
    checkout(dependencies=["numpy>=2.1,<3", "torch>=2.6"])
    assert doctor.check_packages() == ("ok", "all 2 packages within bounds", "")
    checkout(dependencies=["numpy>=2.1"], constraints="# c\nnumpy==2.1.5  # via x\ntorch==2.13.0\n")
    assert doctor.check_packages() == ("ok", "all 1 packages of the tested versions", "")


def test_a_preview_of_a_package_counts_as_its_number(checkout, versions):
    versions["numpy"] = "2.2.0rc1"
    checkout(dependencies=["numpy>=2.1,<3"])
    assert doctor.check_packages().status == "ok"


def test_a_missing_package_is_named_with_its_cure(checkout, versions):
    checkout(dependencies=["numpy>=2.1", "pooch>=1.8"], constraints="pooch==1.8.2\n")
    assert_broken(doctor.check_packages(), "pooch is missing", "pip install")


def test_an_untested_version_within_bounds_is_a_note(checkout, versions):
    constraints = "numpy==2.4.6\ntorch==2.13.0\nabsent==1.0\ncolorama==1; sys_platform == 'no'\n"
    checkout(dependencies=["numpy>=2.1"], constraints=constraints)
    status, what, cure = doctor.check_packages()
    assert status == "note"
    assert what == "numpy is 2.1.5: within bounds, but not the tested version"
    assert cure.endswith("constraints.txt numpy==2.4.6`")


def test_a_long_list_of_culprits_stays_one_line(checkout, versions):
    checkout(dependencies=[f"missing-{i}" for i in range(9)])
    assert "missing-4 is missing, and 4 more" in doctor.check_packages().what


def test_bounds_come_from_the_metadata_outside_a_checkout(tmp_path, monkeypatch, versions):
    monkeypatch.setattr(doctor, "_course_folder", lambda: tmp_path)
    needs = ["numpy<2", "absent; extra == 'test'"]
    monkeypatch.setattr(importlib.metadata, "requires", {"course-utils": needs}.get)
    assert doctor.check_packages().what == "numpy is 2.1.5: outside the course's bounds"


def fake_distribution(monkeypatch, folder: Path, editable: bool) -> None:
    """Let the installed course be that of ``folder``."""
    origin = {"url": folder.as_uri(), "dir_info": {"editable": True}} if editable else {}
    site_packages = folder / "site-packages" if editable else folder
    distribution = SimpleNamespace(
        version="1.0.0",  # of whatever is asked for
        read_text=lambda _: json.dumps(origin),
        locate_file=lambda _: site_packages,
    )
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: distribution)


@pytest.mark.parametrize("editable", [True, False])
def test_course_installed_from_this_very_checkout_is_ok(checkout, monkeypatch, editable):
    here = checkout()
    (here / "notebooks").mkdir()
    monkeypatch.chdir(here / "notebooks")
    fake_distribution(monkeypatch, here, editable)
    assert doctor.check_course() == ("ok", f"the course is installed from {here}", "")


@pytest.mark.parametrize("editable", [True, False])
def test_course_installed_from_another_checkout_is_named(checkout, monkeypatch, editable):
    here = checkout()
    other = here / "größer other"
    other.mkdir()
    monkeypatch.chdir(here)
    fake_distribution(monkeypatch, other, editable)
    finding = doctor.check_course()
    assert_broken(finding, f"import the course from {other}", " -e ")
    assert f"you are in {here}" in finding.what
    assert str(here) in finding.cure
    assert str(other) not in finding.cure


def test_course_imported_from_elsewhere_than_installed_is_named(checkout, monkeypatch):
    here = checkout()
    outside = here.parent
    monkeypatch.chdir(outside)
    fake_distribution(monkeypatch, here / "installed", editable=True)
    finding = doctor.check_course()
    assert_broken(finding, f"imported from {here}, but", " -e ")
    assert str(here / "installed") in finding.what


def test_course_not_installed_is_named(checkout, monkeypatch):
    def absent(_):
        raise importlib.metadata.PackageNotFoundError

    here = checkout()
    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert_broken(doctor.check_course(), f"{here} is not installed for", f"-e {here}`")


def test_a_student_folder_far_from_any_checkout_is_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctor.check_course().status == "ok"


def test_reinstalling_asks_for_the_public_version_which_every_index_has(versions):
    assert doctor._reinstall("torch", "new").endswith("--no-deps torch==2.13.0 new`")


def test_the_real_kernel_is_this_python_and_answers():
    assert doctor._examine(doctor.check_kernel).status == "ok"


@pytest.mark.slow
def test_a_kernel_that_hangs_is_given_up_after_the_timeout(kernelspec):
    kernelspec(sys.executable, "-c", "import time; time.sleep(600)", "{connection_file}")
    start = time.monotonic()
    finding = doctor._examine(lambda: doctor.check_kernel(timeout=1))
    assert time.monotonic() - start < 30  # without the timeout: the client's own minute
    assert_broken(finding, "does not answer", "kernelspecapp remove -f python3")


@pytest.mark.parametrize("name", ["ista.json", "ista.npz"])
def test_damaged_results_are_named(monkeypatch, tmp_path, name):
    monkeypatch.setattr(data, "shared", lambda _: tmp_path)
    (tmp_path / "README.md").write_bytes(b"not a result")
    (tmp_path / "good.json").write_bytes(b"{}")
    assert doctor.check_results() == ("ok", "1 files with the results of full-size runs", "")
    (tmp_path / name).write_bytes(b"cut off")
    assert_broken(doctor.check_results(), f"{name} cannot be read", f"checkout -- {name}`")


def check_good() -> doctor.Finding:
    return doctor.Finding("ok", "good")


def check_noted() -> doctor.Finding:
    return doctor.Finding("note", "odd", "look")


def check_bad() -> doctor.Finding:
    return doctor.Finding("BROKEN", "numpy is\nmissing", "run pip")


def check_failing() -> doctor.Finding:
    raise ModuleNotFoundError("No module named 'torch'")


def test_exit_code_is_1_only_if_something_is_broken(capsys):
    assert doctor.main((check_good, check_noted)) == 0
    assert doctor.main((check_bad, check_good)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok     good      good",
        "note   noted     odd; look",
        "BROKEN bad       numpy is missing; run pip",
        "ok     good      good",
    ]


def test_a_check_that_fails_itself_is_broken_and_the_others_go_on(capsys):
    findings = doctor.report((check_failing, check_good))
    assert_broken(findings["failing"], "No module named 'torch'", "-m pip install ")
    assert findings["good"].status == "ok"
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_verdict_is_the_same_words_on_every_sound_machine(capsys):
    assert doctor.verdict(doctor.report((check_good, check_noted))) == "✓ this machine is ready"


def test_verdict_lists_only_what_is_broken(capsys):
    findings = doctor.report((check_good, check_bad, check_noted))
    assert doctor.verdict(findings) == "BROKEN bad       numpy is missing; run pip"


def test_the_command_prints_a_line_per_need_and_its_exit_code_agrees():
    command = [sys.executable, "-m", "course_utils.tools.doctor"]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment, check=False
    )
    lines = done.stdout.splitlines()
    names = [check.__name__.removeprefix("check_") for check in doctor.CHECKS]
    assert [line.split()[1] for line in lines] == names
    assert {line.split()[0] for line in lines} <= {"ok", "note", "BROKEN"}
    assert done.returncode == any(line.startswith("BROKEN") for line in lines)
    assert done.stderr == ""


def test_the_doctor_speaks_where_nothing_is_installed():
    """With neither site-packages nor the user's: it names what is missing and exits 1."""
    folder = str(Path(doctor.__file__).parents[2])
    code = f"import runpy, sys; sys.path.append({folder!r});"
    code += "runpy.run_module('course_utils.tools.doctor', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "BROKEN packages" in done.stdout.splitlines()[-1]
    assert "No module named 'packaging'" in done.stdout.splitlines()[-1]


def test_the_doctor_takes_nothing_behind_its_name():
    command = [sys.executable, "-m", "course_utils.tools.doctor", "nosuch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "usage: course.py doctor, without anything behind it\n"


def test_a_python_of_the_system_gets_an_environment_from_course_py(checkout, monkeypatch):
    """Where nothing of the course is installed and no environment runs: pip would not be let in."""
    here = checkout(constraints="")
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(doctor, "_installed", {}.get)
    assert doctor._install(here) == f"run `python3 {here / 'course.py'} doctor`"


def test_an_environment_without_pip_gets_it_first(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", {}.get)
    first, then = doctor._pip("tqdm").split(", then ")
    assert first == doctor._run("ensurepip")
    assert then.endswith(" tqdm`")


def test_commands_can_be_pasted_into_the_shells_of_windows(monkeypatch):
    monkeypatch.setattr(doctor.os, "name", "nt")
    monkeypatch.setattr(sys, "executable", r"C:\Users\Zoe\course\.venv\Scripts\python.exe")
    plain = r"run `C:\Users\Zoe\course\.venv\Scripts\python.exe -m pip install"
    assert doctor._run("pip", "install", "numpy<3,>=2") == f'{plain} "numpy<3,>=2"`'
    monkeypatch.setattr(sys, "executable", r"C:\Zoe Ek\python.exe")
    told = r'run `"C:\Zoe Ek\python.exe" -m pip` (in PowerShell with & and a space before it)'
    assert doctor._run("pip") == told


def test_nothing_is_said_after_a_root_that_is_broken(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "ROOTS", (check_bad,))
    assert list(doctor.report((check_good, check_bad, check_good))) == ["good", "bad"]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_two_variables_at_fault_are_both_named(monkeypatch):
    """Of all suspects, those are named without which the check is ok, and no others."""
    for name in ("MPLBACKEND", "JUPYTER_PATH", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "x")
    at_fault = {"MPLBACKEND", "OMP_NUM_THREADS"}
    monkeypatch.setattr(doctor, "_passes_without", lambda names, _: at_fault <= set(names))
    assert set(doctor._variables_at_fault(check_bad)) == at_fault
    assert "remove the variable " in doctor._diagnosed(check_bad).cure


@pytest.mark.parametrize(
    ("folder", "fits"),
    [
        ("br[a]ck", False),
        ("a[b/c]d", False),
        ("br[ack", True),
        ("br]a[ck", True),
        ("größe #1", True),
    ],
)
def test_a_pair_of_brackets_in_a_path_is_in_the_way(monkeypatch, tmp_path, folder, fits):
    monkeypatch.setattr(sys, "prefix", str(tmp_path / folder))
    assert (doctor.check_folder().status == "ok") == fits


def test_a_file_that_hides_nothing_may_have_any_name(tmp_path):
    for name in ("my_torch.py", "test.py", "notes.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "random").mkdir()  # no package: Python looks further
    hidden = doctor._hidden([str(tmp_path), *sys.path])
    assert [found for found in hidden if found[2] == str(tmp_path)] == []
    (tmp_path / "random.py").write_text("", encoding="utf-8")
    name, file, _ = doctor._hidden([str(tmp_path), *sys.path])[0]
    assert (name, file) == ("random", str(tmp_path / "random.py"))

"""The doctor: each check made to fail names its culprit and its cure; exit codes; the verdict."""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course_utils import data, doctor

PYPROJECT = '[project]\nname = "course-utils"\nrequires-python = "{}"\ndependencies = {}\n'


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A function that makes the doctor live in a checkout with these needs."""

    def make(python=">=3.11,<3.14", dependencies=(), constraints=None) -> Path:
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
        (">=3.11,<3.14", "ok"),
        (">=3.11", "ok"),
        ("<3.14,>=3.11", "ok"),
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
        assert_broken(finding, f"the course needs {wanted}", "python3 course.py lab")


def test_python_range_comes_from_the_metadata_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_course_folder", lambda: tmp_path)
    metadata = {"Requires-Python": "<3.9,>=3.8"}
    monkeypatch.setattr(importlib.metadata, "metadata", {"course-utils": metadata}.get)
    assert_broken(doctor.check_python(), "<3.9,>=3.8", "course.py lab")


def test_packages_in_bounds_are_ok_with_and_without_constraints(checkout, versions):
    checkout(dependencies=["numpy>=2.1,<3", "torch>=2.6"])
    assert doctor.check_packages() == ("ok", "all 2 packages within bounds", "")
    checkout(dependencies=["numpy>=2.1"], constraints="# c\nnumpy==2.1.5  # via x\ntorch==2.13.0\n")
    assert doctor.check_packages() == ("ok", "all 1 packages of the tested versions", "")


def test_a_package_out_of_bounds_is_named_with_its_cure(checkout, versions):
    checkout(dependencies=["numpy>=2.2,<3", "torch>=2.6"])
    assert_broken(doctor.check_packages(), "numpy is 2.1.5", "-m pip install ")
    assert "torch" not in doctor.check_packages().what
    assert "numpy<3,>=2.2" in doctor.check_packages().cure


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
    assert cure.endswith("-m pip install numpy==2.4.6`")


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
        read_text=lambda _: json.dumps(origin), locate_file=lambda _: site_packages
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
    assert_broken(finding, f"import the course from {other}", "-m pip install -e")
    assert f"you are in {here}" in finding.what
    assert str(here) in finding.cure
    assert str(other) not in finding.cure


def test_course_imported_from_elsewhere_than_installed_is_named(checkout, monkeypatch):
    here = checkout()
    outside = here.parent
    monkeypatch.chdir(outside)
    fake_distribution(monkeypatch, here / "installed", editable=True)
    finding = doctor.check_course()
    assert_broken(finding, f"imported from {here}, but", "-m pip install -e")
    assert str(here / "installed") in finding.what


def test_course_not_installed_is_named(checkout, monkeypatch):
    def absent(_):
        raise importlib.metadata.PackageNotFoundError

    here = checkout()
    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert_broken(doctor.check_course(), f"{here} is not installed for", "course.py lab")


def test_a_student_folder_far_from_any_checkout_is_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctor.check_course().status == "ok"


def test_torch_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert_broken(doctor.check_torch(), "torch does not work", "--no-deps torch==")


def test_torch_that_multiplies_wrongly_is_named(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "__matmul__", torch.Tensor.__add__)
    assert_broken(doctor.check_torch(), "multiplies wrongly", "--no-deps torch==")


def test_reinstalling_asks_for_the_public_version_which_every_index_has(versions):
    assert doctor._reinstall("torch", "new").endswith("--no-deps torch==2.13.0 new`")


def test_the_real_kernel_is_this_python_and_answers():
    assert doctor._examine(doctor.check_kernel).status == "ok"


def test_no_kernel_is_named(monkeypatch):
    from jupyter_client import kernelspec

    def none(_, name):
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", none)
    cure = "-m ipykernel install --sys-prefix --name python3"
    assert_broken(doctor.check_kernel(), "no kernel named python3", cure)


def test_a_kernelspec_to_a_python_that_is_gone_is_named(kernelspec, tmp_path):
    gone = str(tmp_path / "old" / "python")
    folder = kernelspec(gone, "-m", "ipykernel_launcher", "-f", "{connection_file}")
    finding = doctor.check_kernel()
    assert_broken(finding, "which is gone", "ipykernel install --sys-prefix --name python3")
    assert gone in finding.what
    assert str(folder) in finding.what


def test_a_kernel_that_dies_is_named(kernelspec):
    folder = kernelspec(sys.executable, "-c", "raise SystemExit(3)", "{connection_file}")
    finding = doctor._examine(doctor.check_kernel)
    assert_broken(finding, f"python3 ({folder}) does not answer", "--no-deps ipykernel==")


def test_a_kernel_that_hangs_is_given_up_after_the_timeout(kernelspec):
    kernelspec(sys.executable, "-c", "import time; time.sleep(600)", "{connection_file}")
    start = time.monotonic()
    finding = doctor._examine(lambda: doctor.check_kernel(timeout=1))
    assert time.monotonic() - start < 30  # without the timeout: the client's own minute
    assert_broken(finding, "does not answer", "ipykernel install")


ANSWERS = {"sum": "2", "prefix": repr(sys.prefix), "version": repr(sys.version.split()[0])}


@pytest.mark.parametrize(
    ("answer", "culprit"),
    [
        ({"prefix": "'/opt/other'"}, "of '/opt/other', not this Python"),
        ({"version": "'3.12.0'"}, "is Python '3.12.0'"),
        ({"sum": "3"}, "answers 3 to 1 + 1"),
    ],
)
def test_a_kernel_of_another_python_is_named(monkeypatch, answer, culprit):
    monkeypatch.setattr(doctor, "_ask_kernel", lambda _: ANSWERS | answer)
    assert_broken(doctor.check_kernel(), culprit, "ipykernel install --sys-prefix --name python3")


def test_widgets_that_cannot_be_imported_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert_broken(doctor.check_widgets(), "ipywidgets cannot be imported", "ipywidgets==")


def test_missing_lab_extension_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [str(tmp_path)])
    assert_broken(doctor.check_widgets(), "JupyterLab lacks", "jupyterlab_widgets==")


def test_switched_off_lab_extension_is_named(monkeypatch, tmp_path):
    (tmp_path / "labconfig").mkdir()
    off = {"disabledExtensions": {"@jupyter-widgets/jupyterlab-manager": True}}
    page = tmp_path / "labconfig" / "page_config.json"
    page.write_text(json.dumps(off), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    assert_broken(doctor.check_widgets(), "is switched off", "labextensions enable @jupyter")


@pytest.mark.parametrize(
    ("loader", "culprit", "cure"),
    [
        ("digits", "the digits", "scikit-learn=="),
        ("natural_images", "the photographs", "scikit-image=="),
    ],
)
def test_unreadable_data_is_named(monkeypatch, loader, culprit, cure):
    def damaged():
        raise SyntaxError("broken PNG file")  # what Pillow raises

    monkeypatch.setattr(data, "digits", list)
    monkeypatch.setattr(data, "natural_images", list)
    assert doctor.check_data().status == "ok"
    monkeypatch.setattr(data, loader, damaged)
    assert_broken(doctor.check_data(), f"{culprit} cannot be read (SyntaxError: broken", cure)


@pytest.mark.parametrize("name", ["ista.json", "ista.npz"])
def test_damaged_results_are_named(monkeypatch, tmp_path, name):
    monkeypatch.setattr(data, "shared", lambda _: tmp_path)
    (tmp_path / "README.md").write_bytes(b"not a result")
    (tmp_path / "good.json").write_bytes(b"{}")
    assert doctor.check_results() == ("ok", "1 files with the results of full-size runs", "")
    (tmp_path / name).write_bytes(b"cut off")
    assert_broken(doctor.check_results(), f"{name} cannot be read", f"git checkout -- {name}")


def test_absent_mnist_is_a_note_and_is_not_fetched(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setattr(data, "mnist_cache", lambda: tmp_path)
    monkeypatch.setattr(data, "mnist", lambda: pytest.fail("fetched"))
    finding = doctor.check_mnist()
    assert finding.status == "note"
    assert "no notebook needs it" in finding.cure


def test_mnist_in_the_cache_is_found(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setattr(data, "mnist_cache", lambda: tmp_path)
    for name in data.MNIST_SHA256:
        assert doctor.check_mnist().status == "note"
        (tmp_path / name).write_bytes(b"")
    assert doctor.check_mnist() == ("ok", f"MNIST is in {tmp_path}", "")


def test_course_data_without_mnist_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert_broken(doctor.check_mnist(), str(tmp_path), "unset COURSE_DATA")


@pytest.mark.parametrize(("free", "status"), [(8, "ok"), (1.5, "note"), (0.25, "BROKEN")])
def test_free_memory_is_judged(monkeypatch, tmp_path, free, status):
    psutil = pytest.importorskip("psutil")
    available = SimpleNamespace(available=int(free * doctor.GIB))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    finding = doctor.check_memory(tmp_path / "no limit")
    assert finding.status == status
    assert ("close other programs" in finding.cure) == (status != "ok")


@pytest.mark.parametrize(("limit", "status"), [("max\n", "ok"), (f"{doctor.GIB}\n", "note")])
def test_a_container_has_no_more_memory_than_its_limit(monkeypatch, tmp_path, limit, status):
    psutil = pytest.importorskip("psutil")
    available = SimpleNamespace(available=8 * doctor.GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    (tmp_path / "memory.max").write_text(limit, encoding="ascii")
    assert doctor.check_memory(tmp_path / "memory.max").status == status


def test_memory_without_psutil_is_a_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    finding = doctor.check_memory()
    assert finding.status == "note"
    assert "pip install psutil" in finding.cure


@pytest.mark.parametrize(("free", "status"), [(8, "ok"), (0.5, "note"), (0.05, "BROKEN")])
def test_free_disk_is_judged(monkeypatch, tmp_path, free, status):
    monkeypatch.chdir(tmp_path)
    usage = SimpleNamespace(free=int(free * doctor.GIB))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    finding = doctor.check_disk()
    assert finding.status == status
    assert str(tmp_path) in finding.what
    assert ("delete what you do not need" in finding.cure) == (status != "ok")


@pytest.mark.parametrize(
    ("asked", "threads", "culprit"),
    [("8", 8, "OMP_NUM_THREADS is 8"), ("", 8, "torch uses 8 threads"), ("x", 2, "")],
)
def test_more_threads_than_cores_is_a_note(monkeypatch, asked, threads, culprit):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    finding = doctor.check_threads()
    assert finding.status == ("note" if culprit else "ok")
    assert culprit in finding.what
    assert ("set OMP_NUM_THREADS to 2" in finding.cure) == bool(culprit)


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
    assert_broken(findings["failing"], "No module named 'torch'", "python3 course.py lab")
    assert findings["good"].status == "ok"
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_verdict_is_the_same_words_on_every_sound_machine(capsys):
    assert doctor.verdict(doctor.report((check_good, check_noted))) == "✓ this machine is ready"


def test_verdict_lists_only_what_is_broken(capsys):
    findings = doctor.report((check_good, check_bad, check_noted))
    assert doctor.verdict(findings) == "BROKEN bad       numpy is missing; run pip"


def test_the_command_prints_a_line_per_need_and_its_exit_code_agrees():
    command = [sys.executable, "-m", "course_utils.doctor"]
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
    """With neither site-packages nor the user's: it still names every need and exits 1."""
    command = [sys.executable, "-I", "-S", "-c", "import runpy, sys; sys.path.append(sys.argv[1]);"]
    command[-1] += "runpy.run_module('course_utils.doctor', run_name='__main__')"
    folder = str(Path(doctor.__file__).parents[1])
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert len(done.stdout.splitlines()) == len(doctor.CHECKS)
    assert "BROKEN course" in done.stdout
    assert "Traceback" not in done.stderr

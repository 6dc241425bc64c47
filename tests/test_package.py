"""What is published: source archive and wheel, built from the tracked files and used elsewhere."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from course_utils.tools.delivery import MANIFEST

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LITTER = (  # what may lie about in a folder that is used
    ".venv/lib/secret.py",
    "build/book/index.html",
    "class of 2026/ann/hw1.ipynb",
    "course_utils/__pycache__/data.pyc",
    "my_class/source/hw1/hw1.ipynb",
    "notebooks/.ipynb_checkpoints/01_ista-checkpoint.ipynb",
    "scratch.ipynb",
    "submissions/ann.ipynb",
)


def tracked() -> list[str]:
    """The paths of all files of the repository."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        if os.environ.get("CI"):
            raise
        pytest.skip("there is no git repository here that says what belongs to the course")
    return [name for name in listed.split("\0") if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder of what `python -m build` makes of the repository; the wheel from the archive."""
    checkout, made = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in [*tracked(), *LITTER]:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file() and name not in LITTER:
            shutil.copy(ROOT / name, checkout / name)
        else:
            (checkout / name).write_text("somebody's own")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made)]
    done = subprocess.run([*command, str(checkout)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def wheel(built) -> zipfile.ZipFile:
    with zipfile.ZipFile(*built.glob("*.whl")) as opened:
        yield opened


def test_the_source_archive_holds_the_repository_and_nothing_else(built):
    with tarfile.open(*built.glob("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == {*tracked(), "PKG-INFO"}


def placed(name: str) -> str | None:
    """Where a file of the repository lies in the wheel; None if it is not in it."""
    folder, _, file = name.rpartition("/")
    if name.startswith("course_utils/") and not name.startswith("course_utils/publish/"):
        return name
    if folder == "notebooks" and file.endswith(".ipynb"):
        return f"course_utils/_share/{name}"
    if folder == "data/results" and file != ".gitkeep":
        return f"course_utils/_share/results/{file}"
    return None


def test_the_wheel_holds_code_chapters_and_results_and_nothing_else(wheel):
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {placed(name) for name in tracked()} - {None}
    chapters = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {Path(name).name for name in names if name.endswith(".ipynb")} == chapters


def test_no_homework_and_no_page_for_lecturers_is_in_the_wheel_by_another_name(wheel):
    """A file of theirs, or an answer's code, wherever it might have been put."""
    secret = [*(ROOT / "notebooks/homework").glob("*"), *(ROOT / "notebooks/book").rglob("*.md")]
    closed = {path.read_bytes() for path in secret if path.is_file()}
    contents = [wheel.read(name) for name in wheel.namelist()]
    assert closed
    assert not closed & set(contents)
    assert not any(re.search(rb'"#+ BEGIN (SOLUTION|HIDDEN)', content) for content in contents)


def test_the_metadata_is_what_an_index_accepts(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    told = Metadata.from_email(wheel.read(name), validate=True)
    assert str(told.version) == PROJECT["version"]
    assert told.description_content_type == "text/markdown"
    assert told.description.strip() == (ROOT / PROJECT["readme"]).read_text("utf-8").strip()


def test_the_page_of_the_package_links_to_no_file_that_its_reader_lacks():
    assert re.findall(r"\]\((?!https://)", (ROOT / PROJECT["readme"]).read_text("utf-8")) == []


def test_the_code_on_the_page_of_the_package_runs(capsys, tmp_path):
    page = (ROOT / PROJECT["readme"]).read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "page.py").write_text(code, "utf-8")
    runpy.run_path(str(tmp_path / "page.py"))
    told = re.search(r"(\d+)% of the code is not zero; certified to (\S+)", capsys.readouterr().out)
    assert 1 <= int(told[1]) <= 50
    assert float(told[2]) <= 1e-4


def test_what_the_page_of_the_package_names_is_in_the_wheel(wheel):
    page = (ROOT / PROJECT["readme"]).read_text("utf-8")
    for dotted in set(re.findall(r"course_utils(?:\.\w+)+", page)):
        path = dotted.replace(".", "/")
        assert {f"{path}.py", f"{path}/__init__.py"} & set(wheel.namelist()), dotted


# Run in one process, for torch is slow to start: imports every module, and tries what a reader may
# type. What only extras bring is hidden: an empty environment holds what the wheel asks for.
READER = """
import contextlib, importlib, io, json, pkgutil, sys
import course_utils

class Hidden:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(name)

def tried(module, *arguments):
    task, said = importlib.import_module(f"course_utils.{module}").main, io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(None):
        return task(list(arguments)), said.getvalue()

sys.meta_path.insert(0, Hidden)
told = {"file": course_utils.__file__, "failed": {}}
for module in pkgutil.walk_packages(course_utils.__path__, "course_utils.", lambda name: None):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        told["failed"][module.name] = str(error)
told["student"] = tried("tools.student", "mine")
for task in ("tools.execute", "tools.matrix", "grading.homework"):
    told[task] = tried(task)
from course_utils.tools import doctor
told["doctor"] = [check().what for check in (doctor.check_course, doctor.check_results)]
print(json.dumps(told))
"""
HIDDEN = ("clarabel", "constriction", "cvxpy", "distributed", "nbdev", "nbgrader", "nbval")
HIDDEN += ("playwright", "pytest", "sphinx")


@pytest.fixture(scope="module")
def outside(built, tmp_path_factory) -> Path:
    """A reader's folder; beside it, in site, the wheel is installed and nothing else."""
    base = tmp_path_factory.mktemp("reader")
    (base / "outside").mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    command = [*pip, "--disable-pip-version-check", "--target", str(base / "site")]
    subprocess.run([*command, *built.glob("*.whl")], check=True)
    return base / "outside"


@pytest.fixture(scope="module")
def told(outside) -> dict:
    """What came of the reader's tries, with the wheel in front of this environment's packages."""
    env = os.environ | {"PYTHONPATH": str(outside.parent / "site")}
    command = [sys.executable, "-c", READER, *HIDDEN]
    done = subprocess.run(
        command, cwd=outside, env=env, check=False, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="grading needs Linux, or WSL 2")
def test_every_module_of_the_wheel_but_the_plugin_imports_without_the_extras(told, outside):
    assert Path(told["file"]).is_relative_to(outside.parent / "site"), "the wheel, not this folder"
    assert told["failed"] == {"course_utils.tools.nbval_plugin": "pytest"}


def test_a_student_gets_the_chapters_from_the_wheel_and_the_doctor_finds_it(told, outside):
    assert told["student"][0] == 0
    got = {path.name for path in (outside / "mine").iterdir()} - {MANIFEST}
    assert got == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    count = sum(path.suffix in (".json", ".npz") for path in (ROOT / "data/results").iterdir())
    site = outside.parent / "site"
    assert told["doctor"] == [
        f"the course is installed from {site}",
        f"{count} files with the results of full-size runs",
    ]


@pytest.mark.parametrize("task", ["tools.execute", "tools.matrix", "grading.homework"])
def test_what_needs_the_courses_folder_says_so_in_one_sentence(task, told):
    code, said = told[task]
    assert code == 2
    assert len(said.splitlines()) == 1
    assert "clone" in said

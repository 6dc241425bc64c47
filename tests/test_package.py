"""What is published: source archive and wheel, built from the tracked files and used elsewhere."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from course_utils.student import MANIFEST

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


@pytest.fixture(scope="module")
def site(built, tmp_path_factory) -> Path:
    """A folder that the wheel alone is installed into."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", str(folder), *built.glob("*.whl")], check=True)
    return folder


def ran(site: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run this Python outside of the repository, with the installed wheel before all else."""
    outside = site.parent / "outside"
    outside.mkdir(exist_ok=True)
    env = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=outside, env=env, check=False, capture_output=True, encoding="utf-8"
    )


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


def test_the_code_on_the_page_of_the_package_runs(capsys):
    page = (ROOT / PROJECT["readme"]).read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, PROJECT["readme"], "exec"), {})
    told = re.search(r"(\d+)% of the code is not zero; certified to (\S+)", capsys.readouterr().out)
    assert 1 <= int(told[1]) <= 50
    assert float(told[2]) <= 1e-4


def test_what_the_page_of_the_package_names_is_in_the_wheel(wheel):
    page = (ROOT / PROJECT["readme"]).read_text("utf-8")
    for dotted in set(re.findall(r"course_utils(?:\.\w+)+", page)):
        path = dotted.replace(".", "/")
        assert {f"{path}.py", f"{path}/__init__.py"} & set(wheel.namelist()), dotted



"""One environment, however it is made: pip, conda, constraints and workflows say the same."""

import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
COURSE = runpy.run_path(str(ROOT / "course.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = dict(line.split("==") for line in LINES if not line.startswith("#"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CONFIG = [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"]
YAML = [ROOT / "environment.yml", ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def conda_section() -> list[str]:
    """The lines that conda hands to pip, as they stand in environment.yml."""
    needs = read(ROOT / "environment.yml")["dependencies"]
    return next(need["pip"] for need in needs if isinstance(need, dict))


def test_conda_users_get_the_very_install_of_pip_users():
    install = COURSE["INSTALL"].partition(" -c ")
    assert " ".join(conda_section()) == install[1].lstrip() + install[2]
    assert "pip" in read(ROOT / "environment.yml")["dependencies"]


def test_condas_python_is_one_that_the_package_supports():
    (python,) = (
        need.removeprefix("python=")
        for need in read(ROOT / "environment.yml")["dependencies"]
        if isinstance(need, str) and need.startswith("python")
    )
    assert SpecifierSet(PROJECT["requires-python"]).contains(Version(python))


@pytest.mark.slow
def test_what_conda_would_install_is_what_is_here():
    """pip resolves the section as conda runs it: from a file beside environment.yml."""
    handle, name = tempfile.mkstemp(".requirements.txt", "condaenv.", ROOT)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(conda_section()))
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--retries=1"]
        command = [*pip, "--report=-", "-r", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    finally:
        os.unlink(name)
    if done.returncode and re.search(COURSE["OFFLINE"], done.stderr) and "CI" not in os.environ:
        pytest.skip("no package index answers, so pip cannot resolve environment.yml")
    assert done.returncode == 0, done.stderr
    would = [found["metadata"]["name"] for found in json.loads(done.stdout)["install"]]
    assert would == ["course-utils"]


def requirements() -> list[Requirement]:
    asked = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    return [Requirement(line) for line in asked]


@pytest.mark.parametrize("asked", requirements(), ids=lambda asked: asked.name)
def test_each_package_asked_for_is_pinned_within_its_bounds(asked):
    assert canonicalize_name(asked.name) == asked.name, "so that course.py finds its pin"
    assert asked.specifier.contains(PINS[asked.name])


def test_constraints_are_plain_pins_in_order_and_free_of_one_systems_packages():
    assert list(PINS) == sorted(PINS, key=lambda name: name)
    for name, version in PINS.items():
        assert name == canonicalize_name(name)
        assert Version(version).local is None, "a local version, such as +cpu, fits one index only"
        assert not re.match("nvidia|cuda|triton|pywin|colorama|appnope", name)


def test_what_is_installed_is_what_is_pinned():
    other = {}
    for name, pin in PINS.items():
        try:
            found = Version(metadata.version(name)).public
        except metadata.PackageNotFoundError:
            continue
        if found != pin:
            other[name] = f"{found}, pinned {pin}"
    assert not other, "`python -m pip install -c constraints.txt -e .[test]` brings the pinned ones"


def test_whatever_the_course_brings_with_it_is_pinned():
    """Walk from the package to all that it needs here; no version is left to chance."""
    todo, seen = {"course-utils[test]"}, set()
    while todo:
        asked = Requirement(todo.pop())
        seen.add(canonicalize_name(asked.name))
        for line in metadata.requires(asked.name) or []:
            need = Requirement(line)
            extras = asked.extras or {""}
            if need.marker and not any(need.marker.evaluate({"extra": e}) for e in extras):
                continue
            if canonicalize_name(need.name) not in seen:
                todo.add(re.sub("[;@].*|[<>=!~ ].*", "", str(need)))
    here_only = re.compile("course-utils|nvidia|cuda|triton|pywin|colorama|appnope|pyobjc")
    assert [name for name in seen - PINS.keys() if not here_only.match(name)] == []


@pytest.mark.parametrize("path", YAML + WORKFLOWS + CONFIG, ids=lambda path: path.name)
def test_yaml_files_can_be_read(path):
    assert isinstance(read(path), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_tasks_and_tests_that_there_are(path):
    jobs = read(path)["jobs"].values()
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    assert runs
    for task in re.findall(r"course\.py (\w+)", "\n".join(runs)):
        assert task in COURSE["TASKS"]
    for test in re.findall(r"test_environment\.py::(\w+)", "\n".join(runs)):
        assert test in globals()
    for job in jobs:
        for version in job["strategy"]["matrix"]["python"]:
            assert SpecifierSet(PROJECT["requires-python"]).contains(version)


def test_the_container_for_codespaces_and_vs_code_sets_the_course_up():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    version = container["image"].rpartition(":")[2]
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    python, script, task = container["postCreateCommand"].split()
    assert (python, script) == ("python3", "course.py")
    assert task in COURSE["TASKS"]
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == f"${{containerWorkspaceFolder}}/{COURSE['VENV'].name}/bin/python"
    for name in container["customizations"]["codespaces"]["openFiles"]:
        assert (ROOT / name).is_file()


def test_pre_commit_uses_the_pinned_ruff():
    revisions = {repo["repo"]: repo["rev"] for repo in read(YAML[1])["repos"]}
    (ruff,) = (rev for repo, rev in revisions.items() if repo.endswith("/ruff-pre-commit"))
    assert ruff == f"v{PINS['ruff']}"


def test_the_version_stands_in_one_place_and_the_newest_release_has_it():
    """pyproject.toml says it; a citation names none, and what is installed says the same."""
    releases = re.findall(r"(?m)^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert releases[0] == PROJECT["version"]
    assert metadata.version("course-utils") == PROJECT["version"]
    assert "version" not in read(ROOT / "CITATION.cff")
    assert [len(Version(release).release) for release in releases] == [3] * len(releases)


FORMS = sorted({*(ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")} - {*CONFIG})
PULL = ROOT / ".github" / "pull_request_template.md"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_for_issues_has_what_github_asks_for(path):
    """What GitHub's own check of a form wants: its page shows nothing of one that lacks it."""
    form = read(path)
    assert form.keys() <= {"name", "description", "title", "labels", "assignees", "body"}
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert fields
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[\w-]+", name) for name in ids)
    for field in form["body"]:
        wanted = {"markdown": "value", "dropdown": "options", "checkboxes": "options"}
        assert field["type"] in {*wanted, "input", "textarea"}
        assert field["attributes"][wanted.get(field["type"], "label")]
        assert "label" in field["attributes"] or field["type"] == "markdown"


def test_forms_ask_for_the_doctor_and_warn_of_what_everybody_can_read():
    text = {path.name: " ".join(path.read_text("utf-8").split()) for path in FORMS}
    assert "python3 course.py doctor" in text["broken.yml"]
    assert "Do not post solutions or hidden tests, nor names" in text["homework.yml"]
    names = {path.stem.split("_")[0] for path in (ROOT / "notebooks/homework").glob("hw*.ipynb")}
    (which,) = (f for f in read(FORMS[1])["body"] if f.get("id") == "which")
    assert {*which["attributes"]["options"]} == {*names, "all of them"}
    pull = PULL.read_text("utf-8")
    assert "`course_utils/built`" in pull
    assert "no solution, hidden test or model answer" in " ".join(pull.split())


@pytest.mark.parametrize("path", [*FORMS, PULL], ids=lambda path: path.name)
def test_forms_name_files_and_tasks_that_there_are(path):
    text = path.read_text("utf-8")
    for task in re.findall(r"course\.py (\w+)", text):
        assert task in COURSE["TASKS"]
    for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)+|[\w-]+\.md)`", text):
        assert (ROOT / name).exists(), name

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


@pytest.mark.parametrize("path", YAML + WORKFLOWS, ids=lambda path: path.name)
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


def test_pre_commit_uses_the_pinned_ruff():
    revisions = {repo["repo"]: repo["rev"] for repo in read(YAML[1])["repos"]}
    (ruff,) = (rev for repo, rev in revisions.items() if repo.endswith("/ruff-pre-commit"))
    assert ruff == f"v{PINS['ruff']}"


def test_citation_names_the_version_of_the_package():
    assert str(read(ROOT / "CITATION.cff")["version"]) == PROJECT["version"]

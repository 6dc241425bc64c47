"""What the notebooks built is exported from them, and nothing but that.

Also the rules of the house: who imports whom, and that an import does nothing else.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from making import notebook_of

from course_utils.tools.execute import export

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "course_utils"
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BUILT = sorted(file for file in (PACKAGE / "built").glob("*.py") if file.name != "__init__.py")
HELPERS = [file for file in PACKAGE.glob("*.py") if file.name != "__init__.py"]


def exported(chapters: list[Path], folder: Path) -> dict[str, bytes]:
    """The modules that chapters export, by name, made in a fresh folder laid out as the course."""
    lib = folder / "course_utils" / "built"
    lib.mkdir(parents=True)
    (folder / "notebooks").mkdir()
    for chapter in chapters:
        export(Path(shutil.copy(chapter, folder / "notebooks")), lib)
    return {file.name: file.read_bytes() for file in lib.iterdir()}


def on_file(lib: Path) -> dict[str, bytes]:
    """The modules in a folder, by name, but for its `__init__.py`."""
    return {f.name: f.read_bytes() for f in lib.glob("*.py") if f.name != "__init__.py"}


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Functions, and methods of classes, whose names do not begin with an underscore."""
    for node in tree.body:
        for function in [node, *getattr(node, "body", [])] if is_class(node) else [node]:
            if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
                yield function


def is_class(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef)


def undocumented(source: str) -> list[str]:
    """Public functions and classes without a docstring, a type of an argument or of the result."""
    tree, wrong = ast.parse(source), []
    for function in public_functions(tree):
        given = function.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        typed = [a.annotation for a in arguments if a is not None and a.arg not in ("self", "cls")]
        if not (ast.get_docstring(function) and function.returns and all(typed)):
            wrong.append(function.name)
    classes = [node for node in tree.body if is_class(node)]
    return wrong + [node.name for node in classes if not ast.get_docstring(node)]


def test_built_is_what_the_notebooks_export_byte_for_byte(tmp_path):
    fresh, stored = exported(CHAPTERS, tmp_path), on_file(PACKAGE / "built")
    changed = {name for name in fresh | stored if fresh.get(name) != stored.get(name)}
    assert changed == set(), "change the notebook, then: python3 course.py execute"


def test_a_built_file_edited_by_hand_or_left_behind_is_caught(tmp_path):
    chapter = tmp_path / "01_small.ipynb"
    nbformat.write(notebook_of("#| default_exp small", "#| export\nx = 1"), chapter)
    fresh = exported([chapter], tmp_path / "fresh")
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "__init__.py").touch()
    (lib / "small.py").write_bytes(fresh["small.py"])
    assert on_file(lib) == fresh
    (lib / "small.py").write_bytes(fresh["small.py"] + b"# by hand\n")
    assert on_file(lib) != fresh
    (lib / "small.py").write_bytes(fresh["small.py"])
    (lib / "old.py").touch()
    assert on_file(lib) != fresh


@pytest.mark.parametrize("module", BUILT, ids=lambda path: path.stem)
def test_a_built_module_is_narrow_documented_and_typed(module):
    source = module.read_text(encoding="utf-8")
    assert [line for line in source.splitlines() if len(line) > 100] == []
    assert undocumented(source) == []


def test_built_modules_pass_ruff():
    run = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "course_utils/built"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: int) -> int:\n    return x",
        'def f(x) -> int:\n    """Doc."""',
        'def f(x: int):\n    """Doc."""',
        'def f(x: int, *, y) -> int:\n    """Doc."""',
        'class A:\n    """Doc."""\n\n    def f(self, x) -> int:\n        """Doc."""',
        "class A:\n    x = 1",
    ],
)
def test_a_missing_docstring_or_type_is_found(source):
    assert undocumented(source)
    assert undocumented('def f(x: int, *y: int) -> int:\n    """Doc."""\n\ndef _g(x): ...') == []


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    """Hold the package in a folder against the contract in its pyproject.toml."""
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
    )


def test_the_three_floors_stand():
    run = lint_imports(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("plots.py", "from course_utils.built import ista"),
        ("training.py", "import course_utils.tools.files"),
        ("built/vae.py", "from ..exercises.vae import check_rate_of"),
        ("tools/student.py", "def f():\n    from course_utils.grading import release"),
        ("publish/slides.py", "from course_utils.reproduce import live"),
        ("stray.py", ""),
    ],
)
def test_an_import_against_the_rule_and_a_room_without_a_place_are_found(tmp_path, room, line):
    shutil.copytree(
        PACKAGE, tmp_path / "course_utils", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "course_utils" / room).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    run = lint_imports(tmp_path)
    assert run.returncode == 1
    assert f"course_utils.{room.removesuffix('.py').replace('/', '.')}" in run.stdout


def test_helpers_stay_small_together():
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in HELPERS)
    assert lines < 800


WATCH = """
import importlib, sys
import matplotlib, torch
before = torch.get_num_threads(), torch.get_default_dtype(), matplotlib.rcParams.copy()
seed = torch.random.initial_seed()
for name in sys.argv[1:]:
    importlib.import_module(name)
assert before[0] == torch.get_num_threads(), "the number of threads changed"
assert before[1] == torch.get_default_dtype(), "the default type changed"
assert before[2] == matplotlib.rcParams.copy(), "the style of plots changed"
assert seed == torch.random.initial_seed(), "torch was seeded"
"""


def watched(modules: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Import modules in another process that looks for what the imports changed."""
    return subprocess.run(
        [sys.executable, "-c", WATCH, *modules],
        check=False,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
    )


def test_imports_print_nothing_and_change_nothing():
    helpers = [f"course_utils.{file.stem}" for file in HELPERS]
    run = watched(helpers + [f"course_utils.built.{file.stem}" for file in BUILT], ROOT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_an_import_that_changes_something_is_seen(tmp_path):
    bad = "import torch\ntorch.set_default_dtype(torch.float64)\n"
    (tmp_path / "bad_module.py").write_text(bad, encoding="utf-8")
    assert "the default type changed" in watched(["bad_module"], tmp_path).stderr

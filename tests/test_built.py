"""What the notebooks built is exported from them, and nothing but that.

Also the rules of the house: who imports whom, and that an import does nothing else.
"""

import ast
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
HELPERS = [PACKAGE / f"{name}.py" for name in ("data", "training", "plots", "checks")]
ABOVE_BUILT = {"plots", "doctor", "student", "grading", "publish", "reproduce"}


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


def imported(source: str) -> set[str]:
    """The names that a module's imports, at any depth, take from `course_utils`.

    >>> imported("from course_utils.built.ista import fista")
    {'built'}
    """
    full = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            full |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            prefix = "course_utils." * bool(node.level) + (node.module or "")
            full |= {f"{prefix}.{alias.name}".replace("..", ".") for alias in node.names}
    parts = [name.split(".") for name in full]
    return {part[1] for part in parts if part[0] == "course_utils" and len(part) > 1}


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


@pytest.mark.parametrize("module", BUILT, ids=lambda path: path.stem)
def test_built_imports_nothing_above_it(module):
    assert not imported(module.read_text(encoding="utf-8")) & ABOVE_BUILT


@pytest.mark.parametrize("module", HELPERS, ids=lambda path: path.stem)
def test_helpers_know_nothing_of_what_is_built(module):
    assert not imported(module.read_text(encoding="utf-8")) & {"built", *ABOVE_BUILT} - {"plots"}


@pytest.mark.parametrize(
    "source",
    [
        "from course_utils.built.ista import fista",
        "from course_utils.built import ista",
        "from course_utils import built",
        "import course_utils.built.ista as ista",
        "from .built import ista",
        "from . import built",
        "def f():\n    from course_utils.built.ista import fista",
    ],
)
def test_each_way_to_import_is_seen(source):
    assert imported(source) == {"built"}


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

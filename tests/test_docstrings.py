"""What the API page promises of every function: shapes of all tensors, and errors.

After skglm's test of its docstrings: here a tensor's shape stands behind its name, "x (B, n)".
"""

import ast
import re
from pathlib import Path

import pytest
from test_built import public_functions

PACKAGE = Path(__file__).resolve().parents[1] / "course_utils"
BUILT = sorted(path for path in (PACKAGE / "built").glob("*.py") if path.name != "__init__.py")
# "see pack", "as in ista_iterates": another function of the module says it.
ELSEWHERE = re.compile(r"[Ss]ee \w+|as in \w+")


def shapeless(function: ast.FunctionDef) -> list[str]:
    """Return the arguments that are tensors and whose shapes the docstring does not tell."""
    text = " ".join((ast.get_docstring(function) or "").split())
    if ELSEWHERE.search(text) or "entry by entry" in text:
        return []
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    kinds = {a.arg: ast.unparse(a.annotation) for a in given if a.annotation}
    tensors = [name for name, kind in kinds.items() if "Tensor" in kind and "[" not in kind]
    return [name for name in tensors if not told(name, text)]


def told(name: str, text: str) -> bool:
    """Return whether a docstring says the shape of an argument, or that it is a number."""
    behind = rf"\b{name}\b(?:,? and \w+|,)?(?: [^.()]{{0,40}})? \((?:\w|\.\.\.|²|\*)[^)]*\)"
    return bool(re.search(behind, text) or re.search(rf"\b{name}\b[^.]{{0,30}}number", text))


def silent(function: ast.FunctionDef) -> bool:
    """Return whether a function raises, itself or by a guard, and its docstring does not say so."""
    text = " ".join((ast.get_docstring(function) or "").split())
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(function))
    guarded = any(
        isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("guard")
        for node in ast.walk(function)
    )
    return (raises or guarded) and not re.search(r"[Rr]aises? \w+Error|errors as in", text)


@pytest.mark.parametrize("module", BUILT, ids=lambda path: path.stem)
def test_docstrings_tell_the_shape_of_every_tensor_and_the_errors(module):
    functions = list(public_functions(ast.parse(module.read_text(encoding="utf-8"))))
    assert {f.name: shapeless(f) for f in functions if shapeless(f)} == {}
    assert [f.name for f in functions if silent(f)] == []

"""What the API page promises of every function: shapes of all tensors, errors, and sources.

After skglm's test of its docstrings: here a tensor's shape stands behind its name, "x (B, n)".
"""

import ast
import re
from pathlib import Path

import pytest
from test_built import public_functions

PACKAGE = Path(__file__).resolve().parents[1] / "course_utils"
BUILT = sorted(path for path in (PACKAGE / "built").glob("*.py") if path.name != "__init__.py")
HELPERS = sorted(path for path in PACKAGE.glob("*.py") if path.name != "__init__.py")
RUNS = sorted(path for path in (PACKAGE / "reproduce").glob("*.py") if path.name != "__main__.py")
# "see pack", "as in ista_iterates": another function of the module says it.
ELSEWHERE = re.compile(r"[Ss]ee \w+|as in \w+")


# "Rolfe & LeCun 2013", or "chapter 4", which names the sources of what it does.
SOURCE = re.compile(r"[A-Z]\w+ (?:et al\. )?\d{4}|[Cc]hapter \d")


def functions_of(module: Path) -> list[ast.FunctionDef]:
    """Return the public functions of a module."""
    return list(public_functions(ast.parse(module.read_text(encoding="utf-8"))))


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


@pytest.mark.parametrize("module", BUILT + HELPERS + RUNS, ids=lambda path: path.stem)
def test_docstrings_tell_the_shape_of_every_tensor_and_the_errors(module):
    functions = functions_of(module)
    assert {f.name: shapeless(f) for f in functions if shapeless(f)} == {}
    assert [f.name for f in functions if silent(f)] == []


@pytest.mark.parametrize("module", RUNS, ids=lambda path: path.stem)
def test_every_full_size_run_says_what_it_reproduces(module):
    runs = [f for f in functions_of(module) if f.name.endswith("_seed")]
    assert [f.name for f in runs if not SOURCE.search(ast.get_docstring(f))] == []


@pytest.mark.parametrize(
    "name",
    ["duality_gap", "code_bits", "code_tables", "surrogate", "pinwheels", "shrink", "greedy_step"],
)
def test_what_others_found_is_cited(name):
    found = [f for module in BUILT for f in functions_of(module) if f.name == name]
    assert SOURCE.search(ast.get_docstring(found[0]))


def test_what_a_docstring_leaves_out_is_found():
    def of(text: str) -> ast.FunctionDef:
        return ast.parse(
            f'def f(x: Tensor) -> Tensor:\n    """{text}"""\n    raise ValueError'
        ).body[0]

    assert shapeless(of("Return x.")) == ["x"]
    assert silent(of("Return x."))
    assert shapeless(of("Return x (B, n). Raises ValueError if it is bad.")) == []
    assert not silent(of("Return x (B, n). Raises ValueError if it is bad."))

"""A homework of two tasks and a written question, small enough to be graded many times."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NAME = "hw1_tiny"
ANSWERS = {
    "task1": 'def double(x: Tensor) -> Tensor:\n    """Return 2 x."""\n    return 2 * x\n',
    "task2": "def shrink(x: Tensor, t: float) -> Tensor:\n    return x.sign() * (x.abs() - t)"
    ".clamp(min=0)\n",
    "written": "Because it has to be so.",
}
STUB = 'raise NotImplementedError("put your code here, in place of this line")'
GIVEN = """import torch
from torch import Tensor

from course_utils.exercises.homework import known, require"""
CHECK1 = """known(double, [(torch.tensor([1.0, 2.0]),)], [[2.0, 4.0]],
      {"this is x itself: it has to be doubled": [[1.0, 2.0]]})"""
HIDDEN1 = """### BEGIN HIDDEN TESTS
SECRET1 = "the secret of task one"
require(double, lambda x: x + x, {"you squared x": lambda x: x * x}, [(torch.arange(5.0),)])
### END HIDDEN TESTS"""
CHECK2 = "known(shrink, [(torch.tensor([1.0, -2.0]), 1.5)], [[0.0, -0.5]], {})"
HIDDEN2 = """### BEGIN HIDDEN TESTS
SECRET2 = "the secret of task two"
require(shrink, lambda x, t: x - x.clamp(-t, t), {}, [(torch.linspace(-3, 3, 7), 0.7)])
### END HIDDEN TESTS"""


def source() -> NotebookNode:
    """The instructor's notebook, as if it had been run."""
    cells = [
        _text("title", "# Homework 1 · Tiny\n\nTwo tasks."),
        _code("setup", GIVEN, tags=["given"]),
        _text("task1-text", "## Task 1 · Double\n\n*3 points · easy · 1 minutes*"),
        _code("task1", _hidden(ANSWERS["task1"]), solution=True),
        _code("task1-check", CHECK1, points=1),
        _code("task1-hidden", HIDDEN1, points=2),
        _text("task2-text", "## Task 2 · Shrink\n\n*3 points · easy · 1 minutes*"),
        _code("task2", _hidden(ANSWERS["task2"]), solution=True),
        _code("task2-check", CHECK2, points=1),
        _code("task2-hidden", HIDDEN2, points=2),
        _code("task2-figure", "print(shrink(double(torch.ones(2)), 1.0))", tags=["expected"]),
        _text("written-text", "## Task 3 · Why\n\n*2 points · easy · 1 minutes*"),
        _text("written", ANSWERS["written"], solution=True, points=2),
    ]
    picture = {"image/png": "iVBORw0KGgo=", "text/plain": "Two ones, as a picture of a test."}
    cells[-3].outputs = [new_output("display_data", data=picture)]
    return new_notebook(cells=cells)


VARIANT = """def variant(rng):
    return {
        "task1-check": {"x1": torch.from_numpy(rng.integers(1, 9, 2) / 2)},
        "task1-hidden": {"count": int(rng.integers(3, 9))},
        "task1-broken": {"planted": str(rng.choice(["x + x + 1", "x * x", "-2 * x"]))},
    }"""


def varying() -> NotebookNode:
    """The instructor's notebook with a variant for each student, and an error to be found."""
    notebook = source()
    cells = {cell.id: cell for cell in notebook.cells}
    for ident, old, new in [
        ("task1-check", "known(double, [(torch.tensor([1.0, 2.0]),)]", "known(double, [(x1,)]"),
        ("task1-check", "known", "x1 = torch.tensor([1.0, 2.0])\nknown"),
        ("task1-hidden", "torch.arange(5.0)", "torch.arange(count).double()"),
        ("task1-hidden", "SECRET1", "count = 5\nSECRET1"),
        (
            "task1-hidden",
            '"you squared x"',
            '"this is x itself: it has to be doubled": lambda x: x, "you squared x"',
        ),
    ]:
        cells[ident].source = cells[ident].source.replace(old, new, 1)
    at = [cell.id for cell in notebook.cells].index("task2-text")
    notebook.cells.insert(at, _code("task1-broken", 'planted = "x + x + 1"  # what is wrong?'))
    notebook.cells.append(_code("variant", VARIANT, tags=["variant"]))
    return notebook


def _hidden(answer: str) -> str:
    head, body = answer.split("\n", 1)
    return f"{head}\n    ### BEGIN SOLUTION\n{body}    ### END SOLUTION\n"


def _mark(ident: str, points: int | None, solution: bool, tags: list[str]) -> dict:
    mark = {"grade_id": ident, "grade": points is not None, "solution": solution, "task": False}
    mark |= {"locked": not solution, "schema_version": 3}
    return {"nbgrader": mark | ({"points": points} if points is not None else {}), "tags": tags}


def _text(ident: str, text: str, *, points: int | None = None, solution: bool = False):
    return new_markdown_cell(text, id=ident, metadata=_mark(ident, points, solution, []))


def _code(ident: str, text: str, *, points=None, solution: bool = False, tags: list | None = None):
    metadata = _mark(ident, points, solution, tags or [])
    return new_code_cell(text, id=ident, metadata=metadata)


def put(folder: Path) -> None:
    """Write the instructor's notebook where the course has its homework."""
    folder.mkdir(parents=True)
    nbformat.write(source(), folder / f"{NAME}.ipynb")


def filled(released: NotebookNode, **answers: str) -> NotebookNode:
    """A student's notebook: the release with answers in it, the right ones where none is named."""
    for cell in released.cells:
        name = cell.id.replace("-", "_")
        if name in ANSWERS:
            cell.source = answers.get(name, ANSWERS[name])
    return released

"""Variants of a homework: drawn the same everywhere, equally hard, and without a secret in them."""

import ast
import contextlib
import importlib
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from homework import tiny
from nbformat import NotebookNode

release = pytest.importorskip("course_utils.grading.release")
from course_utils.grading import literals, trial, variants  # noqa: E402 - after what it needs

SECONDS = 60
VARYING = ("hw1", "hw6")
HOMEWORK = Path(__file__).parents[1] / "notebooks" / "homework"
NAME = re.compile(r"^def (\w+)\(", re.MULTILINE)


def source(name: str) -> NotebookNode:
    (path,) = HOMEWORK.glob(f"{name}_*.ipynb")
    return nbformat.read(path, as_version=4)


def texts(notebook: NotebookNode) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells}


def changed(ident: str, text: str) -> NotebookNode:
    """The tiny homework with another text in a cell."""
    notebook = tiny.varying()
    next(cell for cell in notebook.cells if cell.id == ident).source = text
    return notebook


# Values in cells


def test_values_take_the_place_of_what_a_cell_assigns():
    cell = "# θ is λ\nθ = 1  # kept\nx = torch.tensor(\n    [1.0,\n     2.0]\n)\nif θ:\n    y = x\n"
    new = literals.assigned(cell, {"θ": 2, "x": torch.tensor([[0.1, 3.0]])}, "hw1")
    assert new == "# θ is λ\nθ = 2  # kept\nx = torch.tensor([[0.1, 3.0]])\nif θ:\n    y = x\n"


@pytest.mark.parametrize(
    "value",
    [
        {"a \"quoted\" 'λ'": [[0.125, -3.0]] * 9, "b": (1,)},
        [list(range(40)), [True, None, "text"]],
        np.float64(0.1) + np.arange(3)[1],
        [],
    ],
)
def test_a_value_is_written_as_python_in_lines_that_can_be_read(value):
    text = literals.literal(value, indent=4, first=12)
    assert ast.literal_eval(text) == value
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool])
def test_a_tensor_is_written_as_it_is(dtype):
    value = (torch.arange(60).reshape(3, 20) / 7).to(dtype)
    again = eval(literals.literal(value), {"torch": torch})
    assert again.dtype == dtype
    assert again.equal(value)


def checked(notebook: NotebookNode) -> dict[str, tuple]:
    """Results and mistakes of each check that students see."""
    found, namespace = {}, {}
    for cell in trial.graded_parts(notebook):
        if "HIDDEN" not in cell.source:
            namespace["known"] = lambda answer, cases, *tables, at=cell.id: found.update(
                {at: tables}
            )
            exec(cell.source, namespace)  # noqa: S102 - that is what is tested
    return found


@pytest.mark.parametrize("name", VARYING)
def test_the_results_in_the_common_version_are_those_that_would_be_computed(name):
    common = variants.replaced(source(name), {}, name)
    before = checked(common)
    tried = trial.trials(common, set(trial.tasks_of(common).values()), name)
    assert not any(task.doubt for task in tried.values())
    assert checked(variants.followed(common, tried.values())) == before


# Drawing


def test_a_variant_has_its_numbers_and_results_that_follow():
    notebook = variants.varied(tiny.varying(), "hw1", "ana")
    check = texts(notebook)["task1-check"]
    x1 = eval(re.search(r"x1 = (.+)", check)[1], {"torch": torch})
    assert f"[{(2 * x1).tolist()}]" in check
    assert "variant" not in texts(notebook)
    assert "**This notebook is for ana.**" in texts(notebook)["title"]


def test_students_have_different_numbers_and_each_the_same_again():
    drawn = [texts(variants.varied(tiny.varying(), "hw1", name)) for name in ("ana", "bo", "ana")]
    assert drawn[0] == drawn[2]
    assert drawn[0]["task1-check"] != drawn[1]["task1-check"]


def test_a_planted_error_is_drawn_like_other_values():
    drawn = {
        texts(variants.varied(tiny.varying(), "hw1", f"student {k}"))["task1-broken"]
        for k in range(20)
    }
    errors = ("x + x + 1", "x * x", "-2 * x")
    assert drawn == {f'planted = "{error}"  # what is wrong?' for error in errors}


def test_the_drawing_is_the_same_on_every_machine_and_in_every_year():
    assert variants.seed("hw1", "ana") == 0
    assert variants.seed("hw1", "Zo\u00eb") == variants.seed("hw1", "Zoe\u0308")
    drawn = texts(variants.varied(source("hw1"), "hw1", "ana"))
    assert drawn["task1-check"].splitlines()[1:5] == []


def test_a_task_is_drawn_again_until_its_mistakes_are_told():
    first = "def variant(rng):\n    x = float(rng.integers(2)) * 3\n"
    text = first + '    return {"task1-check": {"x1": torch.tensor([x, x])}}'
    for student in map(str, range(8)):
        drawn = texts(variants.varied(changed("variant", text), "hw1", student))
        assert "x1 = torch.tensor([3.0, 3.0])" in drawn["task1-check"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "defines no function variant"),
        ("def variant(rng):\n    return 1 / 0", "raised ZeroDivisionError"),
        ("def variant(rng):\n    return [1]", "a dictionary for each cell"),
        ('def variant(rng):\n    return {"nowhere": {}}', "no code cell nowhere"),
        ('def variant(rng):\n    return {"title": {"x": 1}}', "no code cell title"),
        (
            'def variant(rng):\n    return {"task1-check": {"y": 1}}',
            "cell task1-check: nothing is assigned to y",
        ),
        (
            'def variant(rng):\n    return {"task1-check": {"x1": rng}}',
            "cell task1-check: a Generator cannot be written",
        ),
        (
            'def variant(rng):\n    return {"task1-check": {"x1": torch.zeros(2)}}',
            'no numbers for task1 .* does not tell "this is x itself',
        ),
        (
            'def variant(rng):\n    return {"task1-hidden": {"count": "four"}}',
            "no numbers for task1 .* the cell task1-hidden raised TypeError",
        ),
    ],
)
def test_an_author_is_told_what_is_wrong_with_the_function(text, said):
    with pytest.raises(ValueError, match=f"^hw1.*{said}"):
        variants.varied(changed("variant", text), "hw1", "ana")


def test_a_homework_without_variants_says_so():
    with pytest.raises(ValueError, match="hw1 has 0 cells tagged `variant`"):
        variants.varied(tiny.source(), "hw1", "ana")


def test_a_mistake_that_hidden_tests_do_not_know_is_refused():
    text = texts(tiny.varying())["task1-check"].replace("this is x itself", "this is new")
    with pytest.raises(ValueError, match='knows the mistake "this is new: it has to be doubled"'):
        variants.varied(changed("task1-check", text), "hw1", "ana")


def test_a_case_on_a_border_or_a_tie_is_seen():
    assert not trial.steady(torch.round, (torch.tensor([0.5, 0.2]),))
    assert trial.steady(torch.round, (torch.tensor([0.4, 0.0]),))
    assert not trial.steady(lambda x: x.argmax(1), (torch.tensor([[1.0, 3.0, -3.0]]).abs() + 0.1,))


# Equally hard


def asked(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """The graded cells below each answer in code."""
    found: dict[str, list] = {}
    for cell in notebook.cells:
        mark = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and mark.get("solution"):
            found[cell.id] = []
        elif cell.cell_type == "code" and mark.get("grade"):
            list(found.values())[-1].append(cell)
    return found


def reference(notebook: NotebookNode) -> dict:
    """What given cells and reference answers define."""
    namespace: dict = {"__name__": "homework"}
    for cell in notebook.cells:
        if "given" in cell.metadata.get("tags", []) or cell.id in asked(notebook):
            exec(trial.compiled(cell.source, cell.id), namespace)  # noqa: S102 - what is tested
    return namespace


def complaint(cell: NotebookNode, namespace: dict) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(cell.source, cell.id, "exec"), dict(namespace))  # noqa: S102 - what is tested
    except AssertionError as error:
        return str(error)
    return ""


def unequal(name: str, student: str) -> list[str]:
    """What in a student's variant is not as hard as it should be."""
    notebook = variants.varied(source(name), name, student)
    planted = importlib.import_module(f"homework.{name}").PLANTED
    namespace, found = reference(notebook), []
    sources = texts(notebook)
    for ident, cells in asked(notebook).items():
        answer = NAME.findall(sources[ident])[-1]
        found += [f"{student}: {c.id} says {s}" for c in cells if (s := complaint(c, namespace))]
        for message, wrong in planted[ident].items():
            said = complaint(cells[-1], namespace | {answer: wrong})
            if message not in said:
                found.append(f"{student}: {cells[-1].id} says of {message!r}: {said!r}")
    return found


@pytest.mark.parametrize("name", VARYING)
def test_a_variant_gives_right_answers_all_points_and_names_each_planted_mistake(name):
    assert [line for k in range(3) for line in unequal(name, f"student {k}")] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", VARYING)
def test_two_hundred_variants_are_equally_hard(name):
    assert [line for k in range(200) for line in unequal(name, f"student {k}")] == []

"""Variants of a homework: drawn the same everywhere, equally hard, and without a secret in them."""

import ast
import contextlib
import importlib
import io
import re
import shutil
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from homework import tiny
from homework.classroom import BOUNDS, grades, needs_sandbox
from nbformat import NotebookNode

from course_utils.grading import each, literals, processes, release, trial, variants
from course_utils.grading import homework as command
from course_utils.grading.answers import answers
from course_utils.grading.judge import Job, Limits

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
    assert variants.seed("hw1", "ana") == 45386341259417406852308074455864919393
    assert variants.seed("hw1", "Zo\u00eb") == variants.seed("hw1", "Zoe\u0308")
    drawn = texts(variants.varied(source("hw1"), "hw1", "ana"))
    assert drawn["task1-check"].splitlines()[1:5] == [
        "z = torch.tensor([[0.0, 0.0, 1.75], [0.75, -1.0, 0.0]]).double()",
        "x = torch.tensor([[1.25, -0.5], [0.5, 0.5]]).double()",
        "W = torch.tensor([[0.25, 0.5, 0.5], [-1.0, 0.5, 0.75]]).double()",
        "prices = [0.25, 0.625, 0.5]",
    ]
    assert "first = 1163\nshare = 0.103\n" in drawn["setup-inputs"]
    assert "seed = 679687\nsizes = [(10, 3, 11), (1, 4, 6), (10, 5, 8)]\n" in drawn["task5-hidden"]


def test_a_task_is_drawn_again_until_its_mistakes_are_told():
    first = "def variant(rng):\n    x = float(rng.integers(2)) * 3\n"
    text = first + '    return {"task1-check": {"x1": torch.tensor([x, x])}}'
    for student in map(str, range(8)):
        drawn = texts(variants.varied(changed("variant", text), "hw1", student))
        assert "x1 = torch.tensor([3.0, 3.0])" in drawn["task1-check"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "defines a function variant"),
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
    with pytest.raises(ValueError, match="hw1 has no cell tagged `variant`"):
        variants.varied(tiny.source(), "hw1", "ana")


def test_a_mistake_that_hidden_tests_do_not_know_is_refused():
    text = texts(tiny.varying())["task1-check"].replace("this is x itself", "this is new")
    with pytest.raises(ValueError, match='knows the mistake "this is new: it has to be doubled"'):
        variants.varied(changed("task1-check", text), "hw1", "ana")


def test_a_case_on_a_border_or_a_tie_is_seen():
    assert not trial.steady(torch.round, (torch.tensor([0.5, 0.2]),))
    assert trial.steady(torch.round, (torch.tensor([0.4, 0.0]),))
    best = torch.tensor([1.0, 2.0])
    assert not trial.steady(lambda x: (best * x).argmax(1), (torch.tensor([[3.0, 1.5]]),))
    assert trial.steady(lambda x: (best * x).argmax(1), (torch.tensor([[3.0, 1.4]]),))


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


def complaints(name: str, notebook: NotebookNode, kind: str) -> dict[tuple[str, str], list[str]]:
    """What each test of a task says in a variant, by task and answer; of PLANTED, the hidden one.

    kind: RIGHT or PLANTED, the answers in tests/homework, or "" for the reference.
    """
    namespace, sources, found = reference(notebook), texts(notebook), {}
    for ident, cells in asked(notebook).items():
        function = NAME.findall(sources[ident])[-1]
        group = getattr(importlib.import_module(f"homework.{name}"), kind)[ident] if kind else {}
        answers = group if kind == "PLANTED" else dict(enumerate(group))
        for key, answer in (answers if kind else {"reference": namespace[function]}).items():
            mine = namespace | {function: answer}
            asking = cells[-1:] if kind == "PLANTED" else cells
            found[ident, key] = [complaint(cell, mine) for cell in asking]
    return found


def unequal(name: str, students: range) -> list[tuple]:
    """What in the variants of these students is not as hard as it should be."""
    found = []
    for student in (f"student {number}" for number in students):
        notebook = variants.varied(source(name), name, student)
        right = complaints(name, notebook, "")
        found += [(student, *key, *said) for key, said in right.items() if any(said)]
        wrong = complaints(name, notebook, "PLANTED")
        found += [
            (student, *key, said[-1]) for key, said in wrong.items() if key[1] not in said[-1]
        ]
    return found


@pytest.mark.parametrize("name", VARYING)
def test_a_variant_accepts_the_reference_and_names_each_planted_mistake(name):
    assert unequal(name, range(3)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", VARYING)
def test_two_hundred_variants_are_equally_hard(name):
    assert unequal(name, range(200)) == []


@pytest.mark.parametrize("name", VARYING)
def test_a_variant_accepts_right_answers_written_in_other_ways(name):
    for student in ("ana", "bo"):
        notebook = variants.varied(source(name), name, student)
        assert not any(any(said) for said in complaints(name, notebook, "RIGHT").values())


# The release of a class


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lecturer's folder with a tiny homework that varies."""
    base = tmp_path_factory.mktemp("varying")
    (base / "homework").mkdir()
    nbformat.write(tiny.varying(), base / "homework" / f"{tiny.NAME}.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "HOMEWORK", base / "homework")
        release.renew(base / "course")
    return base / "course"


def master_for(folder: Path, student: str) -> NotebookNode:
    return each.master_of(folder, "hw1", each.own_source(folder, "hw1", student))


def test_what_draws_is_in_no_release_and_in_no_master(folder):
    common = nbformat.read(folder / "release" / "hw1" / f"{tiny.NAME}.ipynb", as_version=4)
    for notebook in (common, release.master(folder, "hw1"), master_for(folder, "a")):
        assert "variant" not in texts(notebook)
        assert "rng" not in str(notebook)
    assert "variant" in texts(release.sheets_of(folder, "hw1").source)


def test_each_student_gets_a_notebook_that_nbgrader_would_release(folder, monkeypatch, tmp_path):
    (place,) = each.release_each(folder, "hw1", ["Zo\u00eb/../<x> 1"])
    assert place == folder / "variants" / "hw1" / "Zo\u00eb%2F..%2F%3Cx%3E 1" / f"{tiny.NAME}.ipynb"
    mine = nbformat.read(place, as_version=4)
    own = variants.varied(release.sheets_of(folder, "hw1").source, "hw1", "Zo\u00eb/../<x> 1")
    nbformat.write(own, tmp_path / f"{tiny.NAME}.ipynb")
    monkeypatch.setattr(release, "HOMEWORK", tmp_path)
    release.renew(tmp_path / "theirs")
    (theirs,) = (tmp_path / "theirs" / "release" / "hw1").glob("*.ipynb")
    assert mine == nbformat.read(theirs, as_version=4)


def test_a_variant_says_whose_it_is_and_of_whom_the_pictures_are(folder):
    (place,) = each.release_each(folder, "hw1", ["an*a_<b>"])
    drawn = texts(nbformat.read(place, as_version=4))
    assert drawn["title"].endswith(
        "**This notebook is for an\\*a\\_\\<b\\>.** Its numbers are drawn for this name."
    )
    assert "with the numbers of the common version" in drawn["task2-figure-expected"]


def test_a_master_is_the_students_variant_with_its_hidden_tests(folder):
    (place,) = each.release_each(folder, "hw1", ["ana"])
    released, master = nbformat.read(place, as_version=4), master_for(folder, "ana")
    own = texts(variants.varied(release.sheets_of(folder, "hw1").source, "hw1", "ana"))
    differ = {i for i, text in texts(released).items() if text != texts(master)[i]}
    assert differ == {"task1-hidden", "task2-hidden"}
    assert all(texts(master)[ident] == own[ident] for ident in differ)
    assert master.metadata.name == tiny.NAME
    assert "put your code here" in texts(master)["task1"]


def handed_in(folder: Path, student: str, **answers: str) -> bytes:
    """What a student hands in: the variant with answers, the right ones where none is named."""
    (place,) = each.release_each(folder, "hw1", [student])
    released = nbformat.read(place, as_version=4)
    return nbformat.writes(tiny.filled(released, **answers)).encode()


def test_answers_in_a_variant_are_found_by_its_own_master(folder):
    found = answers(handed_in(folder, "ana"), master_for(folder, "ana"))
    assert {i: text.strip() for i, text in found.sources.items()} == {
        i: text.strip() for i, text in tiny.ANSWERS.items()
    }
    assert found.notes == []


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "points"), [(tiny.ANSWERS["task1"], 2), ("def double(x):\n    return x", 0)]
)
def test_a_variant_is_judged_by_its_own_tests(folder, answer, points):
    master = nbformat.writes(master_for(folder, "ana"))
    job = Job(master, handed_in(folder, "ana", task1=answer), Limits(), True)
    verdict = processes.in_a_fork(lambda: job)
    cells = {cell.id: cell for cell in nbformat.reads(verdict.notebook, as_version=4).cells}
    said = [cells[f"task1-{kind}"].outputs[0] for kind in ("check", "hidden")]
    assert [out.output_type for out in said].count("stream") == points
    assert "count = 5" not in cells["task1-hidden"].source


@needs_sandbox
@pytest.mark.slow
def test_a_class_with_variants_is_graded_each_by_its_own(folder, tmp_path, capsys):
    if sys.platform != "linux":
        pytest.skip("grading needs Linux")
    from course_utils.grading.__main__ import main

    (folder / "roster.csv").write_text("id,name\nana,Ana Bo\nbo,Bo Cy\ncy,Cy Do\n", "utf-8")
    for student, whose in (("ana", "ana"), ("bo", "ana")):
        (tmp_path / f"{student}.ipynb").write_bytes(handed_in(folder, whose))
    common = nbformat.read(folder / "release" / "hw1" / f"{tiny.NAME}.ipynb", as_version=4)
    nbformat.write(tiny.filled(common), tmp_path / "cy.ipynb")
    assert main(["hw1", str(tmp_path), "--course", str(folder), *BOUNDS]) == 0
    assert "Students: 3" in capsys.readouterr().out, "drawing in threads keeps what is printed"
    found = grades(folder)
    assert {row["tests"] for row in found.values()} == {"6"}
    assert found["ana"]["note"] == ""
    assert "It is the notebook of ana" in found["bo"]["note"]
    assert "No line in it says whose" in found["cy"]["note"]
    (folder / "roster.csv").write_text("id,name,email,section\n", "utf-8")


def test_a_variant_that_a_lecturer_changed_stays(folder):
    (place,) = each.release_each(folder, "hw1", ["bo"])
    place.write_text(place.read_text("utf-8").replace("Two tasks.", "Two long tasks."), "utf-8")
    each.release_each(folder, "hw1", ["bo"])
    assert "Two long tasks." in place.read_text("utf-8")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lecturer's folder with the homework that varies."""
    base = tmp_path_factory.mktemp("real")
    (base / "homework").mkdir()
    for name in VARYING:
        shutil.copy(*HOMEWORK.glob(f"{name}_*.ipynb"), base / "homework")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "HOMEWORK", base / "homework")
        release.renew(base / "course")
    return base / "course"


def hidden(notebook: NotebookNode) -> set[str]:
    """Lines of hidden tests and solutions that stand nowhere else."""
    parts = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END", re.DOTALL)
    lines, shown = set(), set()
    for text in texts(notebook).values():
        lines |= {line.strip() for part in parts.findall(text) for line in part[1].splitlines()}
        shown |= {line.strip() for line in parts.sub("", text).splitlines()}
    return {line for line in lines - shown if len(line) > 12}


@pytest.mark.parametrize("name", VARYING)
def test_no_variant_shows_a_line_of_a_solution_or_hidden_test(real, name):
    own = release.sheets_of(real, name).source
    author = [cell.source for cell in own.cells if variants.is_variant(cell)]
    secret = hidden(own) | {line.strip() for text in author for line in text.splitlines()}
    secret = {line for line in secret if len(line) > 12}
    for place in each.release_each(real, name, [f"student {k}" for k in range(3)]):
        drawn = nbformat.read(place, as_version=4)
        lines = {line.strip() for text in texts(drawn).values() for line in text.splitlines()}
        whole = variants.varied(own, name, place.parent.name)
        assert len(hidden(whole)) > 20
        assert not (hidden(whole) | secret) & lines
        assert not any(cell.get("outputs") for cell in drawn.cells)


def test_names_of_folders_are_safe_and_differ():
    names = ["a", "A b", "..", ".", "a/b", "a%2Fb", "x" * 300, "x" * 301, "con:", "a.", "\udcff"]
    folders = [each.folder_of(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all(re.fullmatch(r"(?!\.)[^/\\:<>]{1,130}(?<!\.)", folder) for folder in folders)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("id,name\nana,Ana\nbo,Bo\n", "2 lie in"),
        ("name\nAna\n", "a roster needs id"),
        ("id\n", "names nobody yet"),
        ("id\nana\nana\n", "the id ana stands twice"),
    ],
)
def test_the_command_releases_variants_to_a_list_of_students(
    folder, tmp_path, monkeypatch, capsys, rows, said
):
    monkeypatch.setattr(release, "HOMEWORK", folder.parent / "homework")
    (tmp_path / "students.csv").write_text(rows, "utf-8")
    arguments = ["--variants", "hw1", "--roster", str(tmp_path / "students.csv")]
    assert command.main([str(folder), *arguments]) == (0 if "lie" in said else 2)
    assert said in "".join(capsys.readouterr())

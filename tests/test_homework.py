"""Each homework: its source earns all points, and every test in it tells right from wrong.

`tests/homework/hwN.py` holds, by the id of an answer's cell, right answers written in other ways
(RIGHT) and wrong ones by the message that has to name the mistake (PLANTED).
"""

import contextlib
import csv
import importlib
import io
import itertools
import re
import shutil
from functools import cache
from html import unescape
from itertools import compress
from pathlib import Path

import nbformat
import pytest
import torch
from homework.classroom import needs_sandbox
from marks import slow_but
from nbformat import NotebookNode
from torch import Tensor

from course_utils.grading import trial

SECONDS = 15

SOURCES = {
    path.stem.split("_")[0]: path
    for path in sorted((Path(__file__).parents[1] / "notebooks" / "homework").glob("hw*.ipynb"))
}
HEADING = re.compile(
    r"^## Task \d+ · .+\n\n\*(\d+) points · .*(easy|medium|hard) · \d+ minutes\*", re.MULTILINE
)
MINUTES = re.compile(r"\*\*(\d+) to (\d+) minutes\*\*")
TASK_MINUTES = re.compile(r"^\*[^*\n]*?(\d+) minutes\*", re.MULTILINE)
STANDIN = re.compile(r"# (\w+) = (\w+)  # stuck")
NAME = re.compile(r"^def (\w+)\(", re.MULTILINE)


@cache
def source(name: str) -> NotebookNode:
    return nbformat.read(SOURCES[name], as_version=4)


@cache
def variants(name: str):
    return importlib.import_module(f"homework.{name}")


def mark(cell: NotebookNode) -> dict:
    return cell.metadata.get("nbgrader", {})


def answers(name: str) -> list[NotebookNode]:
    """The cells that a student writes code into."""
    cells = source(name).cells
    return [c for c in cells if c.cell_type == "code" and mark(c).get("solution")]


def graded_after(name: str, ident: str) -> list[NotebookNode]:
    """The graded cells between an answer and the next one."""
    found, inside = [], False
    for cell in source(name).cells:
        if mark(cell).get("solution"):
            inside = cell.id == ident
        elif inside and mark(cell).get("grade"):
            found.append(cell)
    return found


@cache
def reference(name: str) -> dict:
    """The names that the given cells and the reference answers define."""
    namespace: dict = {"__name__": "homework"}
    for cell in source(name).cells:
        if "given" in cell.metadata.get("tags", []) or cell in answers(name):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.source, cell.id, "exec"), namespace)  # noqa: S102 - that is what is tested
    return namespace


def complaints(name: str, ident: str, answer) -> list[str]:
    """What each graded cell of a task says of an answer: "" where it passes."""
    (cell,) = [c for c in answers(name) if c.id == ident]
    found = []
    for test in graded_after(name, ident):
        namespace = dict(reference(name)) | {NAME.findall(cell.source)[-1]: answer}
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(test.source, test.id, "exec"), namespace)  # noqa: S102 - that is what is tested
            found.append("")
        except AssertionError as error:
            found.append(str(error))
    return found


def every(kind: str) -> list:
    """Pairs or triples for pytest: homework, task, and the number or message of a variant."""
    found = []
    for name in SOURCES:
        for ident, group in getattr(variants(name), kind).items():
            keys = range(len(group)) if kind == "RIGHT" else group
            found += [(name, ident, key) for key in keys]
    return found


def not_written(*_, **__):
    raise NotImplementedError("write it")


@pytest.mark.parametrize(("name", "ident", "number"), every("RIGHT"))
def test_a_right_answer_earns_all_points(name, ident, number):
    assert not any(complaints(name, ident, variants(name).RIGHT[ident][number]))


@pytest.mark.parametrize(("name", "ident", "message"), every("PLANTED"))
def test_a_planted_mistake_is_refused_and_named(name, ident, message):
    said = complaints(name, ident, variants(name).PLANTED[ident][message])
    assert any(message in text for text in said)


@pytest.mark.parametrize(("name", "ident", "what"), every("TRIED"))
def test_a_wrong_answer_that_was_tried_loses_points(name, ident, what):
    assert any(complaints(name, ident, variants(name).TRIED[ident][what]))


@pytest.mark.parametrize("name", SOURCES)
def test_every_task_has_its_variants(name):
    ids = {cell.id for cell in answers(name)}
    assert 4 <= len(ids) <= 6
    right, planted = variants(name).RIGHT, variants(name).PLANTED
    assert ids == set(right) == set(planted) == set(variants(name).TRIED)
    assert min(map(len, variants(name).TRIED.values())) >= 3
    assert min(map(len, right.values())) >= 3
    assert min(map(len, planted.values())) >= 5


@pytest.mark.parametrize("name", SOURCES)
def test_the_reference_passes_and_an_empty_answer_earns_nothing(name):
    for cell in answers(name):
        mine = reference(name)[NAME.findall(cell.source)[-1]]
        assert not any(complaints(name, cell.id, mine)), cell.id
        assert all("not written yet: write it" in c for c in complaints(name, cell.id, not_written))


@pytest.mark.parametrize("name", SOURCES)
def test_the_check_that_students_see_names_half_of_the_mistakes(name):
    for ident, group in variants(name).PLANTED.items():
        shown = ["HIDDEN TESTS" not in cell.source for cell in graded_after(name, ident)]
        said = [
            " ".join(compress(complaints(name, ident, wrong), shown)) for wrong in group.values()
        ]
        named = sum(message in text for message, text in zip(group, said, strict=True))
        assert 2 * named >= len(group), (ident, said)


def seen() -> list:
    """Homework, task and message of each likely mistake that a visible check has to name."""
    return [
        (name, ident, message)
        for name in SOURCES
        for ident, group in getattr(variants(name), "SEEN", {}).items()
        for message in group
    ]


@pytest.mark.parametrize(("name", "ident", "message"), seen())
def test_a_likely_mistake_is_named_where_students_see_it(name, ident, message):
    (check,) = [c for c in graded_after(name, ident) if "HIDDEN TESTS" not in c.source]
    place = graded_after(name, ident).index(check)
    said = complaints(name, ident, variants(name).PLANTED[ident][message])
    assert message in said[place]


def in_precision(how, result):
    """Return a result in another precision: a tensor, or each of several; what counts stays."""
    if isinstance(result, tuple):
        return tuple(in_precision(how, part) for part in result)
    return how(result) if isinstance(result, Tensor) and result.is_floating_point() else result


@pytest.mark.parametrize("how", [Tensor.double, Tensor.float])
@pytest.mark.parametrize(("name", "ident"), [(n, c.id) for n in SOURCES for c in answers(n)])
def test_the_precision_of_a_right_answer_costs_no_points(name, ident, how):
    """Except where the result has to have the dtype of its arguments, which the check says."""
    (cell,) = [c for c in answers(name) if c.id == ident]
    right = reference(name)[NAME.findall(cell.source)[-1]]
    said = complaints(name, ident, lambda *a: in_precision(how, right(*a)))
    if (name, ident, how) == ("hw5", "task3", Tensor.float):
        assert "the result has the dtype of z and tied" in said[0]
    else:
        assert not any(said)


@pytest.mark.parametrize("name", SOURCES)
def test_points_in_the_text_are_those_of_the_cells(name):
    headed = [int(p) for c in source(name).cells for p, _ in HEADING.findall(c.source)]
    counted = []
    for cell in source(name).cells:
        if HEADING.search(cell.source):
            counted.append(0)
        counted[-1:] = [counted[-1] + mark(cell).get("points", 0)] if counted else []
    assert headed == counted


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_unit_that_is_the_same_number_on_the_whole_batch_has_slope_zero(dtype):
    """Its deviation is 0, and rounding the mean must not make a slope out of that (hw3)."""
    namespace = dict(reference("hw3"))
    for ident in ("task3-hidden", "task4-hidden"):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(by_id("hw3")[ident].source, ident, "exec"), namespace)  # noqa: S102 - that is what is tested
        named = namespace["right"] if ident == "task3-hidden" else namespace["slope_of"]
        for slope in (namespace["variance_slope"], named):
            for B, value in itertools.product((3, 5, 6, 7, 10, 250), (0.05, 0.1, 0.2, 0.3, 0.7)):
                z = torch.full((B, 2), value, dtype=dtype)
                assert not slope(z, 1.0).any(), (ident, B, value)


# What all homeworks have alike


def by_id(name: str) -> dict[str, NotebookNode]:
    return {cell.id: cell for cell in source(name).cells}


def test_all_homeworks_have_the_same_rules():
    texts = {by_id(name)["rules"].source for name in SOURCES}
    assert len(texts) == 1
    assert texts.pop().startswith("## The rules of all six homeworks")


@pytest.mark.parametrize("name", SOURCES)
def test_predictions_are_written_before_anything_is_run(name):
    cell = by_id(name)["predictions"]
    assert mark(cell)["solution"]
    assert mark(cell)["grade"]
    assert mark(cell)["points"] == 1
    ids = list(by_id(name))
    assert ids.index("predictions") < min(ids.index(answer.id) for answer in answers(name))


@pytest.mark.parametrize("name", SOURCES)
def test_points_of_the_whole_are_those_of_the_cells(name):
    (said,) = re.findall(r"points: \*\*(\d+)\*\*", source(name).cells[0].source)
    assert int(said) == sum(mark(cell).get("points", 0) for cell in source(name).cells)


@pytest.mark.parametrize("name", SOURCES)
def test_minutes_of_the_whole_begin_at_the_sum_of_the_tasks(name):
    low, high = map(int, MINUTES.findall(source(name).cells[0].source)[0])
    tasks = [int(m) for c in source(name).cells for m in TASK_MINUTES.findall(c.source)]
    assert low >= sum(tasks)
    assert low < high <= 1.6 * low


@pytest.mark.parametrize("name", SOURCES)
def test_what_checks_an_answer_is_folded(name):
    tests = [c for c in source(name).cells if c.cell_type == "code" and mark(c).get("grade")]
    for cell in tests:
        assert cell.metadata.get("jupyter", {}).get("source_hidden"), cell.id


@pytest.mark.parametrize("name", SOURCES)
def test_a_stand_in_does_for_the_figures_what_the_answer_does(name):
    """It agrees to three digits on the cases of the hidden tests that it can take."""
    for cell in [c for c in source(name).cells if c.id.endswith("-standin")]:
        task = cell.id.removesuffix("-standin")
        function, other = STANDIN.match(cell.source.splitlines()[-1]).groups()
        assert function == NAME.findall(by_id(name)[task].source)[-1]
        namespace = dict(reference(name))
        exec(compile(cell.source, cell.id, "exec"), namespace)  # noqa: S102 - that is what is tested
        standin, right = namespace[other], namespace[function]
        checks, _ = trial.checks_of(source(name), [task], name)
        cases = [case for check in checks[task] if check.solution for case in check.cases]
        agree = [near(standin, right, case) for case in cases]
        assert sum(agree) >= 1, (name, task, agree)


def test_what_asks_for_more_digits_than_a_stand_in_has_passes_it_over():
    """With the stand-in on, homework 1 runs on behind the claim that needs a step of one's own."""
    cells, namespace = by_id("hw1"), dict(reference("hw1"))
    for ident in ("task3-standin", "task3-sklearn"):
        exec(compile(cells[ident].source, ident, "exec"), namespace)  # noqa: S102 - that is what is tested
        namespace["greedy_path"] = namespace["standin_greedy_path"]


@pytest.mark.parametrize("name", SOURCES)
def test_students_are_told_to_write_their_numbers_into_the_answer(name):
    """Formgrader shows the answer, and not the runs that it speaks of."""
    assert "whoever grades sees the answer" in by_id(name)["written-text"].source
    assert "Formgrader shows the answer and not the runs" in by_id(name)["written"].source
    assert {"own-run", "own-runs"} & set(by_id(name))


def test_small_periods_have_the_ratios_that_the_rubric_of_homework_5_says():
    """The map has no sharp border: whoever sees one from p = 4 on has a run for it."""
    cells, namespace = by_id("hw5"), dict(reference("hw5"))
    given = ("setup-figures", "task2-proof", "task4-imports")
    for ident in (*given, "task5-imports", "task5-photographs", "task5-learn"):
        exec(compile(cells[ident].source, ident, "exec"), namespace)  # noqa: S102 - that is what is tested
    (told,) = re.findall(r"\(([\d., ]+) for p = 3 to 6", cells["written"].source)
    for period, ratio in zip(range(3, 7), map(float, told.split(", ")), strict=True):
        code = f"torus_ratio(orientations(learn_tied(photographs, pools, {period}, 0), 9)[None])"
        namespace["pools"] = namespace["gaussian_window"](5, 1.0)
        assert abs(eval(code, namespace).item() - ratio) < 0.1, period


def test_the_model_answer_of_homework_4_quotes_the_ranges_of_its_table():
    (table,) = [c.outputs[0].data["text/markdown"] for c in [by_id("hw4")["task4-fair-table"]]]
    answer = by_id("hw4")["written"].source.split("(4)")[1].split("**Rubric.**")[0]
    rows = [re.split(r" *\| *", line)[1:4] for line in table.splitlines()[2:]]
    said = [span for _, name, span in rows if name != "L1, λ = 1"]
    assert len(said) == 6
    assert all(span in answer for span in said)


def near(one, other, case) -> bool:
    """Tell if two functions give the same to three digits; False where a case is not theirs."""
    made = [trial.outcome(function, case) for function in (one, other)]
    if any(isinstance(value, Exception) for value in made):
        return False
    a, b = map(flat, made)
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-3)


def flat(value) -> Tensor:
    """All numbers of a result in one row."""
    parts = value if isinstance(value, tuple | list) else [value]
    return torch.cat([torch.as_tensor(part).double().flatten() for part in parts])


# The release


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """The lecturer's folder with all homework."""
    release = pytest.importorskip("course_utils.grading.release")
    folder = tmp_path_factory.mktemp("class")
    release.renew(folder)
    return folder


def secrets(name: str) -> set[str]:
    """Lines of solutions, hidden tests and of what draws variants that are found nowhere else."""
    found, shown, inside = set(), set(), False
    for cell in source(name).cells:
        for line in map(str.strip, cell.source.splitlines()):
            if re.fullmatch(r"### BEGIN (SOLUTION|HIDDEN TESTS)", line):
                inside = True
            elif re.fullmatch(r"### END (SOLUTION|HIDDEN TESTS)", line):
                inside = False
            elif (
                cell.id in ("written", "predictions")
                or "variant" in cell.metadata.get("tags", [])
                or inside
            ):
                found.add(line)
            else:
                shown.add(line)
    return {line for line in found - shown if len(line) > 12}


@pytest.mark.parametrize("name", SOURCES)
def test_no_line_of_a_solution_or_hidden_test_is_released(released, name):
    (path,) = (released / "release" / name).glob("*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    lines = {line.strip() for cell in notebook.cells for line in cell.source.splitlines()}
    assert len(secrets(name)) > 20
    assert not secrets(name) & lines
    assert not any("variant" in cell.metadata.get("tags", []) for cell in notebook.cells)
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("name", SOURCES)
def test_a_released_answer_says_that_it_is_to_be_written(released, name):
    (path,) = (released / "release" / name).glob("*.ipynb")
    cells = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}
    for cell in answers(name):
        assert 'raise NotImplementedError("put your code here' in cells[cell.id].source
    assert any(cell.get("attachments") for cell in cells.values()), "no expected figure"


@needs_sandbox
def test_no_chapter_is_taken_for_a_homework():
    from course_utils.grading.collect import known

    masters = {name: source(name) for name in SOURCES}
    for path in sorted(SOURCES["hw1"].parents[1].glob("*.ipynb")):
        assert known(path, masters)[0] == "", path
    assert all(known(path, masters)[0] == name for name, path in SOURCES.items())


@pytest.mark.parametrize("name", slow_but(("hw1",), SOURCES))
def test_a_class_of_two_is_graded_from_end_to_end(released, name, tmp_path):
    from course_utils.grading.__main__ import main

    (path,) = (released / "release" / name).glob("*.ipynb")
    shutil.copy(path, tmp_path / "untouched.ipynb")
    shutil.copy(SOURCES[name], tmp_path / "reference.ipynb")
    assert main([name, str(tmp_path), "--course", str(released)]) == 0
    with (released / "results" / name / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    marks = [mark(c) for c in source(name).cells if c.cell_type == "code"]
    assert float(rows["reference"]["tests"]) == sum(m.get("points", 0) for m in marks)
    assert float(rows["untouched"]["tests"]) == 0
    page = (released / "feedback" / "reference" / name / f"{path.stem}.html").read_text("utf-8")
    assert not hidden_lines(name) & {unescape(line).strip() for line in page.splitlines()}


def hidden_lines(name: str) -> set[str]:
    """Lines of the hidden tests alone, that no other cell has."""
    cells = source(name).cells
    tests = {c.id for c in cells if "BEGIN HIDDEN TESTS" in c.source}
    shown = {line.strip() for c in cells if c.id not in tests for line in c.source.splitlines()}
    lines = {line.strip() for c in cells if c.id in tests for line in c.source.splitlines()}
    return {line for line in lines - shown if len(line) > 12 and not line.startswith("#")}

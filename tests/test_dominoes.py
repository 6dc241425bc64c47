"""A task of a homework costs its own points and no other's: later tasks are tested with the
author's function in the place of one that is missing or wrong."""

import json
import time
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
import torch
from homework import tiny
from homework.classroom import needs_sandbox
from nbformat.v4 import new_code_cell
from test_homework import NAME, SOURCES, answers, mark, source

from course_utils.grading import release
from course_utils.grading.inside import pack
from course_utils.grading.judge import Court, Job, Limits, judge
from course_utils.grading.lending import Lender
from course_utils.grading.masters import of_the_author

NEGATED = """


def _turned(value):
    if isinstance(value, tuple):
        return tuple(map(_turned, value))
    if isinstance(value, __import__("torch").Tensor):
        return ~value if value.dtype == __import__("torch").bool else -value
    return not value if isinstance(value, bool) else -value


def {0}(*arguments, _right={0}):
    return _turned(_right(*arguments))
"""
STUB = "def {}(*_):\n    raise NotImplementedError('not written')"
SPOILT = {
    "missing": lambda cell: STUB.format(NAME.findall(cell.source)[-1]),
    "of the wrong sign": lambda cell: cell.source + NEGATED.format(NAME.findall(cell.source)[-1]),
}


def handed_in(name: str, changed: dict[str, str]) -> bytes:
    notebook = deepcopy(source(name))
    for cell in notebook.cells:
        cell.source = changed.get(cell.id, cell.source)
    return nbformat.writes(notebook).encode()


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("class")
    release.renew(folder)
    return folder


@needs_sandbox
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("name", SOURCES)
def test_a_task_costs_its_own_points_and_no_other(course, name, how, first):
    cells = answers(name)
    spoilt = {cell.id: SPOILT[how](cell) for cell in cells[first::2]}
    master = nbformat.writes(release.master(course, name))
    content = handed_in(name, spoilt)
    verdict = judge(Job(master, content, Limits(), True, of_the_author(source(name))))
    answer, failed = "", {}
    for cell in nbformat.reads(verdict.notebook, as_version=4).cells:
        if cell.cell_type == "code" and mark(cell).get("solution"):
            answer = cell.id
        elif cell.cell_type == "code" and mark(cell).get("grade"):
            failed |= {cell.id: (answer, [o for o in cell.outputs if o.output_type == "error"])}
    lost = {ident for ident, (_, errors) in failed.items() if errors}
    assert lost == {ident for ident, (answer, _) in failed.items() if answer in spoilt}


def said_of(verdict, idents: list[str]) -> list[str]:
    """What graded cells say in a verdict: "" where one passes."""
    cells = {cell.id: cell for cell in nbformat.reads(verdict.notebook, as_version=4).cells}
    errors = ([o.evalue for o in cells[i].outputs if o.output_type == "error"] for i in idents)
    return ["".join(found) for found in errors]


@needs_sandbox
@pytest.mark.parametrize("detached", [True, False])
def test_a_result_that_carries_a_graph_does_so_for_the_grader_too(course, detached):
    """The test of hw3's encoder asks for a plain tensor, and the result comes from a sandbox."""
    (answer,) = [cell for cell in answers("hw3") if cell.id == "task6"]
    changed = answer.source if detached else answer.source.replace(".detach()", "")
    assert (changed == answer.source) == detached
    master = nbformat.writes(release.master(course, "hw3"))
    verdict = judge(Job(master, handed_in("hw3", {"task6": changed}), Limits(), True))
    said = said_of(verdict, ["task6-check", "task6-hidden"])
    expected = "" if detached else "the result still carries its graph: detach it"
    assert said == [expected] * 2


@needs_sandbox
def test_an_answer_may_use_functions_of_every_cell_above_it(tmp_path):
    """What only defines functions is there when it is graded, whether a test needs it or not."""
    notebook = tiny.source()
    (place,) = [i for i, cell in enumerate(notebook.cells) if cell.id == "task1"]
    notebook.cells.insert(place, new_code_cell("def two():\n    return 2", id="more"))
    answer = "def double(x):\n    return two() * x"
    master = nbformat.writes(notebook)
    for cell in notebook.cells:
        cell.source = answer if cell.id == "task1" else cell.source
    verdict = judge(Job(master, nbformat.writes(notebook).encode(), Limits(), True))
    cells = nbformat.reads(verdict.notebook, as_version=4).cells
    after = next(c for c in cells[place + 1 :] if mark(c).get("grade"))
    assert not [output for output in after.outputs if output.output_type == "error"]


# What is lent


def asked(lender: Lender, *arguments: object, seconds: float = 5) -> list:
    question = json.dumps(["double", json.dumps(["tuple", [pack(arguments), pack({})]])])
    return json.loads(lender.reply(question, time.monotonic() + seconds))


def lender(body: str = "    return 2 * x") -> Lender:
    made = Lender([("given", "import torch"), ("task1", f"def double(x):\n{body}")])
    made.lend("double")
    return made


def test_a_lent_function_gives_what_the_author_gives():
    kind, value, _ = asked(lender(), torch.tensor([1.0, 2.0]))
    assert kind == "value"
    assert value == pack(torch.tensor([2.0, 4.0]))


@pytest.mark.parametrize(
    ("body", "argument", "said"),
    [
        ("    return x / 0", 1, "ZeroDivisionError"),
        ("    while True: pass", 1, "TimeoutError"),
        ("    return torch.ones(2_000_000_000).sum()", 1, "RuntimeError"),
        ("    return x", 10**9, "more than it can be asked for"),
        ("    return x", torch.ones(2_000_000), "more than it can be asked for"),
        ("    return x", {"a": [(torch.ones(2_000_000),)]}, "more than it can be asked for"),
    ],
)
def test_what_a_student_asks_for_is_bounded(body, argument, said):
    begun = time.monotonic()
    kind, *rest = asked(lender(body), argument, seconds=1)
    assert kind == "error"
    assert said in " ".join(rest)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("question", ["", "[]", '["double", "x"]', '["other", "[]"]', "{}", "7"])
def test_what_is_no_question_gets_an_error(question):
    kind, *_ = json.loads(lender().reply(question, time.monotonic() + 5))
    assert kind == "error"


def test_nothing_is_lent_where_there_is_no_author():
    assert not Lender(()).has("double")


@needs_sandbox
def test_lending_after_the_last_second_stops_no_grading():
    notebook = tiny.source()
    (first,) = [cell for cell in notebook.cells if cell.id == "task1"]
    author = of_the_author(notebook)
    court = Court(Job(nbformat.writes(notebook), b"", Limits(), True, author), [first])
    try:
        court.run(first)
        court.room.deadline = time.monotonic() - 1
        court.wrong.add("task1")
        court.lend()
        assert court.namespace["double"](torch.tensor([3.0])).tolist() == [6.0]
    finally:
        court.leave()


@needs_sandbox
def test_the_authors_code_is_not_in_the_sandbox(course):
    """What looks for it finds a function that asks, and no source."""
    name, (first, second, *_) = "hw2", answers("hw2")
    function = NAME.findall(first.source)[-1]
    spy = f"import inspect\nprint(inspect.getsource({function}))\n\n\n{second.source}"
    content = handed_in(name, {first.id: STUB.format(function), second.id: spy})
    master = nbformat.writes(release.master(course, name))
    verdict = judge(Job(master, content, Limits(), True, of_the_author(source(name))))
    cells = {cell.id: cell for cell in nbformat.reads(verdict.notebook, as_version=4).cells}
    printed = "".join(o.get("text", "") for o in cells[second.id].outputs)
    assert "raw_input" in printed
    lines = {line.strip() for line in first.source.splitlines() if len(line.strip()) > 12}
    assert not {line.strip() for line in printed.splitlines()} & lines

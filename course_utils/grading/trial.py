"""The tests of a homework, tried: does each tell the right answer from each mistake?

A homework whose numbers are drawn needs it. By chance two mistakes can agree on all cases, an
argmax can be a tie, or a value can lie on a border; then who is right depends on rounding.
"""

import contextlib
import io
import itertools
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

import torch
from nbformat import NotebookNode
from torch import Tensor

from course_utils.exercises.homework import known
from course_utils.grading.cells import mark

Function = Callable[..., Tensor]
NUDGE = 1e-5  # relative; a right answer that jumps for it stands on a border or on a tie
CLEAR = 1e-3  # a part of the largest entry, by which two results differ in all eyes


class Check(NamedTuple):
    """A call of `known` or `require` in a graded cell."""

    cell: str
    answer: Function  # the source's own
    cases: list[tuple]
    solution: Function | None  # None in `known`, which holds results instead
    mistakes: dict  # by message


class Outcomes(NamedTuple):
    """What each function makes of each case: a tensor, or the exception that it raised."""

    cases: list[tuple]
    answer: list
    right: list
    wrong: dict[str, list]  # by message


class Trial(NamedTuple):
    """The checks of a task, what came of each, and why they are of no use, or nothing."""

    checks: list[Check]
    made: list[Outcomes]
    doubt: str


# What is graded


def graded_parts(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells that grading runs: given ones, answers and tests."""

    def runs(cell: NotebookNode) -> bool:
        given = "given" in cell.metadata.get("tags", [])
        return given or bool(mark(cell).get("solution") or mark(cell).get("grade"))

    return [cell for cell in notebook.cells if cell.cell_type == "code" and runs(cell)]


def given_and_answers(notebook: NotebookNode) -> list[NotebookNode]:
    """Return what grading runs but for the tests."""
    return [cell for cell in graded_parts(notebook) if not mark(cell).get("grade")]


def tasks_of(notebook: NotebookNode) -> dict[str, str]:
    """Return, by cell, the task that it belongs to: the id of the last answer above it, or its own.

    What stands above the first answer belongs to none.
    """
    found, task = {}, ""
    for cell in notebook.cells:
        task = cell.id if cell.cell_type == "code" and mark(cell).get("solution") else task
        found[cell.id] = task
    return {cell: task for cell, task in found.items() if task}


def checks_of(
    notebook: NotebookNode, wanted: Collection[str], homework: str
) -> tuple[dict[str, list[Check]], dict[str, str]]:
    """Run what is graded of the wanted tasks, with all answers in it.

    Each graded cell sees the given cells and the answers above it, and no other graded cell.

    Returns:
        What would be checked, by task, and what is wrong with a task whose tests raise an error.
    """
    tasks = tasks_of(notebook)
    found: dict[str, list[Check]] = {task: [] for task in wanted}
    failed: dict[str, str] = {}
    namespace: dict = {"__name__": "homework"}
    for cell in graded_parts(notebook):
        task = tasks.get(cell.id, "")
        if not mark(cell).get("grade"):
            run(cell, namespace, [], homework)
        elif task in found:
            try:
                run(cell, dict(namespace), found[task], homework)
            except ValueError as error:
                failed[task] = str(error)
    return found, failed


@lru_cache(maxsize=256)
def compiled(source: str, name: str) -> CodeType:
    """Return a cell's code, which a class of students shares."""
    return compile(source, name, "exec")


def run(cell: NotebookNode, namespace: dict, found: list[Check], homework: str) -> None:
    """Run a cell; its calls of `known` and `require` are written down, and not made.

    Raises ValueError if the cell raises an error.
    """

    def known(answer, cases, results, mistakes):
        found.append(Check(cell.id, answer, list(cases), None, mistakes))

    def require(answer, solution, mistakes, cases):
        found.append(Check(cell.id, answer, list(cases), solution, mistakes))

    namespace |= {"known": known, "require": require}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compiled(cell.source, cell.id), namespace)  # noqa: S102 - the author's own
    except Exception as error:
        text = f"{homework}: the cell {cell.id} raised {type(error).__name__}: {error}"
        raise ValueError(text) from error


# What it would say


def trials(notebook: NotebookNode, wanted: Collection[str], homework: str) -> dict[str, Trial]:
    """Try the tests of the wanted tasks; return by task what came of it.

    Raises ValueError, with a sentence for the author, if another cell raises an error, or if a
    check names a mistake that no hidden test of its task can make.
    """
    checks, failed = checks_of(notebook, wanted, homework)
    return {
        task: Trial([], [], failed[task])
        if task in failed
        else judged(checks[task], f"{homework}, {task}")
        for task in wanted
    }


def judged(checks: list[Check], where: str) -> Trial:
    """Run the functions in the tests of a task; stop at the first cases that are of no use."""
    able = {m: f for check in checks if check.solution for m, f in check.mistakes.items()}
    for check in checks:
        for message in set(check.mistakes) - set(able):
            raise ValueError(
                f'{where}: the cell {check.cell} knows the mistake "{message}", and no hidden test'
                " has a function that makes it; give it there in the same words."
            )
    made: list[Outcomes] = []
    for check in checks:
        made.append(outcomes(check, able))
        if why := doubt(check, made[-1]):
            return Trial(checks, made, why)
    return Trial(checks, made, "")


def outcomes(check: Check, mistakes: dict[str, Function]) -> Outcomes:
    """Run the functions of a check; its mistakes, which may be results, are these functions."""
    answer = [outcome(check.answer, case) for case in check.cases]
    right = [outcome(check.solution, case) for case in check.cases] if check.solution else answer
    wrong = {
        message: [outcome(mistakes[message], case) for case in check.cases]
        for message in check.mistakes
    }
    return Outcomes(check.cases, answer, right, wrong)


def outcome(function: Function, case: tuple) -> Tensor | Exception:
    """Return what a function makes of a case, of which it gets copies."""
    copies = (a.clone() if isinstance(a, Tensor) else a for a in case)
    try:
        return function(*copies)
    except Exception as error:  # noqa: BLE001 - a mistake may raise anything
        return error


def doubt(check: Check, found: Outcomes) -> str:
    """Return why the cases of a check are of no use, or nothing."""
    if not all(isinstance(value, Tensor) for value in found.right):
        return f"the right answer fails in {check.cell}"
    tables = {message: recorded(values) for message, values in found.wrong.items()}
    complaint = said(found.answer, found, tables)
    if complaint:
        return f"{check.cell} refuses the answer in the source: {complaint}"
    if not all(map(steady, itertools.repeat(check.solution or check.answer), found.cases)):
        return f"a case of {check.cell} lies on a border or on a tie"
    for message, values in found.wrong.items():
        if message not in said(values, found, tables) or not clear(message, found):
            return f'{check.cell} does not tell "{message}"'
    return ""


def said(values: Sequence, found: Outcomes, tables: dict) -> str:
    """Return what is said of an answer that gives these values; nothing if it is right."""
    given = itertools.cycle(values)  # it is asked for float64, too

    def answer(*_) -> Tensor:
        value = next(given)
        if isinstance(value, Exception):
            raise value
        return value

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            known(answer, found.cases, recorded(found.right), tables)
    except AssertionError as error:
        return str(error)
    return ""


def recorded(values: Sequence) -> list:
    """Return values as nested lists; what is none becomes nan, which equals nothing."""
    return [v.tolist() if isinstance(v, Tensor) else float("nan") for v in values]


def steady(function: Function, case: tuple) -> bool:
    """Tell if a result stays where it is when all numbers of a case move a little.

    Equal numbers move alike, and 0 stays 0.
    """
    value = outcome(function, case)
    for step in (NUDGE, -NUDGE):
        moved = tuple(nudged(argument, step) for argument in case)
        if distance(outcome(function, moved), value) > CLEAR:
            return False
    return True


def nudged(argument: object, step: float) -> object:
    """Return a number or a tensor of numbers with each moved by about step times itself."""
    if isinstance(argument, Tensor) and argument.is_floating_point():
        return argument * (1 + step * torch.cos(1e4 * argument))
    return argument * (1 + step) if isinstance(argument, float) else argument


def clear(message: str, found: Outcomes) -> bool:
    """Tell if a mistake is far, each time in some case, from the right answer and from each mistake
    that is compared with before it."""
    before = itertools.takewhile(lambda other: other != message, found.wrong)
    others = [found.right, *(found.wrong[other] for other in before)]
    mine = found.wrong[message]
    return all(max(map(distance, mine, other)) > CLEAR for other in others)


def distance(a: object, b: object) -> float:
    """Return the largest difference, as a part of b's largest entry (of 1, if that is less).

    It is infinite for two results that cannot be compared.
    """
    if not isinstance(a, Tensor) or not isinstance(b, Tensor) or a.shape != b.shape:
        return float("inf")
    a, b = a.double(), b.double()
    if not (a.isfinite().all() and b.isfinite().all()):
        return float("inf")
    return ((a - b).abs().max() / b.abs().max().clamp(min=1)).item() if a.numel() else 0.0

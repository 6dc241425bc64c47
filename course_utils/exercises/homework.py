"""Checks of homework: those that students see, and hidden ones. An answer that is wrong raises.

They say what is likely wrong as the chapters' exercises do, and they hold students to the rules: an
answer stands on its own, works in float64, and derives by hand what is to be derived by hand.
"""

import ast
import dis
import linecache
import sys
import types
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from course_utils.checks import Function, verdict, verdict_by_number

DATA = (bool, int, float, complex, list, tuple, dict, set, np.ndarray, Tensor)  # what is no tool
DERIVING = {
    "autograd",
    "backward",
    "enable_grad",
    "functorch",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "requires_grad",
    "requires_grad_",
    "vjp",
}  # names by which torch differentiates, beside the modules below
MODULES = ("torch.autograd", "torch.func", "functorch", "jax", "autograd")


def require(
    answer: Function, solution: Function, mistakes: dict[str, Function], cases: Sequence[tuple]
) -> None:
    """Like `checks.exercise`, but raise AssertionError if the answer is not right.

    The error's text says what is likely wrong, as `exercise` would print it.
    """
    _demand(verdict(answer, solution, mistakes, cases))


def known(
    answer: Function,
    cases: Sequence[tuple],
    results: Sequence[Sequence],
    mistakes: dict[str, Sequence[Sequence]],
) -> None:
    """Like `require`, for checks that students may read: it holds results, and no solution.

    The answer is run as the grader runs it: on float64, too, and without the data of other cells.

    Args:
        answer: the student's function.
        cases: the inputs, a tuple of arguments each.
        results: the right result of each case, as nested lists with seven digits.
        mistakes: by message, the results of that mistake, one for each case.

    Raises ValueError if there is not one result for each case.
    """
    for message, values in [("the right answer", results), *mistakes.items()]:
        if len(values) != len(cases):
            raise ValueError(f"{len(values)} results for {len(cases)} cases: {message}")

    def recorded(values: Sequence) -> Function:
        return lambda number, *_: torch.tensor(values[number])

    caller = sys._getframe(1).f_code.co_filename
    for name in filter(None, map(foreign, students_functions(answer, caller))):
        _demand(
            f"✗ your function reads `{name}`, which another cell defines, and the grader runs it"
            " without that: take it from an argument, or define it in the answer's own cell"
        )
    wrong = {message: recorded(values) for message, values in mistakes.items()}
    said = verdict_by_number(answer, recorded(results), wrong, cases)
    if said.startswith("✓"):
        doubled = [tuple(map(_double, case)) for case in cases]
        precise = verdict_by_number(answer, recorded(results), {}, doubled)
        if not precise.startswith("✓"):
            said = f"{precise}. That was in float64, in which the grader calls it, too: make new"
            said += " tensors by torch.zeros_like(x) or x.new_zeros(...)"
    _demand(said)


def without_autograd(answer: Function) -> None:
    """Raise AssertionError if a function differentiates by torch, itself or in a helper beside it.

    For what is to be derived by hand. A function whose code cannot be read passes.
    """
    if name := derived(answer):
        _demand(f"✗ derive the slopes by hand: your code uses `{name}`")


def _demand(said: str) -> None:
    """Print a verdict that is good; raise AssertionError with one that is not."""
    if not said.startswith("✓"):
        raise AssertionError(said)
    print(said)


def _double(argument: object) -> object:
    """Return a float32 tensor as float64, and anything else as it is."""
    is_single = isinstance(argument, Tensor) and argument.dtype == torch.float32
    return argument.double() if is_single else argument


# What an answer is made of


def students_functions(answer: Function, check: str) -> list[Function]:
    """Return answer, or, where the check's own cell wraps it, what the wrapper calls.

    check is the file name of the check's code.
    """
    if getattr(getattr(answer, "__code__", None), "co_filename", None) != check:
        return [answer]
    values = map(answer.__globals__.get, sorted(_globals(answer, set())))
    return [v for v in values if getattr(v, "__globals__", None) is answer.__globals__]


def foreign(answer: Function) -> str:
    """Return the name of data that a function, or a helper of its cell, reads from another cell.

    Return "" if there is none; functions, classes and modules of other cells may be used.
    """
    if not isinstance(answer, types.FunctionType):
        return ""
    own = _defined(_cell(answer))
    there = answer.__globals__
    names = sorted(_globals(answer, set()) - own)
    return next((name for name in names if isinstance(there.get(name), DATA)), "")


def _globals(function: types.FunctionType, seen: set[types.CodeType]) -> set[str]:
    """Return the global names that a function reads, and what it calls of its own cell."""
    found, codes = set(), [function.__code__]
    for code in codes:
        seen.add(code)
        found |= {
            step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"
        }
        codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]
    for other in map(function.__globals__.get, sorted(found)):
        beside = isinstance(other, types.FunctionType) and other.__code__ not in seen
        if beside and other.__code__.co_filename == function.__code__.co_filename:
            found |= _globals(other, seen)
    return found


def derived(answer: Function) -> str:
    """Return a name by which a function, or a helper of its cell, lets torch differentiate.

    Return "" if there is none. A variable or a helper of the cell's own may have any name: one may
    call a Jacobian `jacobian`.
    """
    cell = _cell(answer)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(cell)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if f"{getattr(node, 'module', None) or alias.name}.".startswith(_dotted(MODULES))
    }
    reached = _reached(answer, cell)
    own = {name for node in reached for part in ast.walk(node) for name in _set(part)}
    own |= _defined(cell)
    for node in reached:
        for part in ast.walk(node):
            free = own - imported if isinstance(part, ast.Name) else set()
            for name in _named(part):
                if name not in free and (name in imported or name in (*DERIVING, *MODULES)):
                    return name
    return ""


def _set(node: ast.AST) -> Iterator[str]:
    """Yield the name that a piece of code gives a value: a variable, an argument, a function."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
            yield name


def _dotted(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}." for name in names)


def _named(node: ast.AST) -> Iterator[str]:
    """Yield the names that a piece of code uses: of variables, attributes, modules, and the one
    keyword by which torch is told to differentiate.
    """
    match node:
        case ast.Name(id=name) | ast.keyword(arg="requires_grad" as name):
            yield name
        case ast.Attribute(attr=name):
            yield from (name, ast.unparse(node))
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield from alias.name.split(".")
            yield from (getattr(node, "module", None) or "").split(".")


def _cell(answer: Function) -> ast.Module:
    """Return the cell, or the file, that a function stands in; an empty one if it is not known.

    What stands in the grader's sandbox says itself what its cell holds, as `source`.
    """
    source = getattr(answer, "source", None)
    if source is None and isinstance(answer, types.FunctionType):
        source = "".join(linecache.getlines(answer.__code__.co_filename))
    try:
        return ast.parse(source or "")
    except SyntaxError:
        return ast.parse("")


def _reached(answer: Function, cell: ast.Module) -> list[ast.AST]:
    """Return the statement of a cell that defines a function, and those that it leans on there."""
    definitions = {name: node for node in cell.body for name in _bound(node)}
    wanted, found = [answer.__name__], []
    if wanted == ["<lambda>"]:
        line = answer.__code__.co_firstlineno
        wanted = [n for n, node in definitions.items() if node.lineno <= line <= node.end_lineno]
    while wanted:
        node = definitions.pop(wanted.pop(), None)
        if node is not None:
            found.append(node)
            wanted += [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    return found


def _defined(cell: ast.Module) -> set[str]:
    """Return the names that the statements at the top of a cell define."""
    return {name for node in cell.body for name in _bound(node)}


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement at the top of a cell defines."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in names)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _stored(n))


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)

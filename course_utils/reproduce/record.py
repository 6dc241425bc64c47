"""Who made a stored result, and is it older than the code? A seed knows commit, code and machine.

The code of a seed is a hash of the definitions of the course that its function reaches by name,
wherever they stand, and of the cells of a notebook that ran. Comments, docstrings, what only
draws, what checks an exercise and code that was not reached do not count: a result is called old
only if what made it has changed.
"""

import ast
import hashlib
import inspect
import io
import platform
import subprocess
import tokenize
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch

from course_utils.tools.files import ROOT

COURSE = "course_utils"
# how a figure looks, and the checks of what a reader builds, change no number
ASIDE = ("course_utils.plots", "course_utils.exercises")
COMPREHENDED = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda


class Definition(NamedTuple):
    """A name at the top of a module, or the whole module where the name is empty."""

    module: str
    name: str


class Source(NamedTuple):
    """What a module defines, by name, and where the names that it imports come from."""

    text: str
    defined: dict[str, list[ast.stmt]]
    imported: dict[str, Definition]


def code_of(run: Callable, cells: str = "", also: Iterable[Definition] = ()) -> str:
    """Return 16 hexadecimal digits that change when the code of a function, or of cells, does.

    run: a function of the course, or a partial of one; cells: the source of a notebook's cells that
    it runs, all of which count; also: what it is handed.
    """
    while isinstance(run, partial):
        run = run.func
    start = Definition(inspect.getmodule(run).__name__, run.__name__)
    return _hash((start, *also), cells)


@cache
def _hash(starts: tuple[Definition, ...], cells: str) -> str:
    """Return code_of for functions and cells to start from."""
    todo, texts = list(starts), {}
    if cells:
        source = parsed(cells)
        statements = ast.parse(cells).body
        texts[Definition("cells", "")] = "\n".join(text_of(source.text, s) for s in statements)
        todo += [at for s in statements for at in reached(s, source, "cells")]
    while todo:
        at = todo.pop()
        if at in texts or at.module.startswith(ASIDE) or not at.module.startswith(COURSE):
            continue
        source = source_of(at.module)
        nodes = source.defined.get(at.name, []) if at.name else ast.parse(source.text).body
        texts[at] = "\n".join(text_of(source.text, node) for node in nodes)
        todo += [found for node in nodes for found in reached(node, source, at.module)]
        if at.name in source.imported:
            todo.append(source.imported[at.name])
    whole = "\n".join(f"{at.module} {at.name}\n{texts[at]}" for at in sorted(texts))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def reached(node: ast.AST, source: Source, module: str) -> Iterator[Definition]:
    """Yield what a statement of a module refers to: names at its top, and what it imports."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import | ast.ImportFrom):
            yield from (at for _, at in imports(part))
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            at = source.imported.get(part.value.id)
            if at is not None:
                yield from inside(at, part.attr)
        elif isinstance(part, ast.Name):
            if part.id in source.defined:
                yield Definition(module, part.id)
            elif part.id in source.imported:
                at = source.imported[part.id]
                if not is_module(f"{at.module}.{at.name}"):
                    yield at


def inside(at: Definition, attribute: str) -> Iterator[Definition]:
    """Yield what an attribute of an imported thing is: a name of a module, else the thing."""
    module = f"{at.module}.{at.name}" if at.name else at.module
    yield Definition(module, attribute) if is_module(module) else at


def imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Definition]]:
    """Yield the names that an import of the course binds, and what they stand for."""
    for alias in node.names:
        name = alias.asname or alias.name
        if isinstance(node, ast.Import) and alias.name.startswith(COURSE):
            yield name, Definition(alias.name, "")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(COURSE):
            yield name, Definition(node.module, alias.name)


def parsed(text: str) -> Source:
    """Return what a module, or cells, define and import at the top."""
    defined, imported = {}, {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported |= dict(imports(node))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.setdefault(node.name, []).append(node)
        else:
            for name in stored(node):
                defined.setdefault(name, []).append(node)
    return Source(text, defined, imported)


def stored(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement at the top of a module stores; those of a comprehension or
    of a lambda are its own."""
    if isinstance(node, COMPREHENDED):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from stored(child)


@cache
def source_of(module: str) -> Source:
    """Return what a module of the course defines and imports."""
    return parsed(Path(find_spec(module).origin).read_text(encoding="utf-8"))


@cache
def is_module(name: str) -> bool:
    """Return whether a name of the course is a module."""
    try:
        return name.startswith(COURSE) and find_spec(name) is not None
    except ModuleNotFoundError:  # what should be its package is a module, or there is none
        return False


def text_of(source: str, node: ast.AST) -> str:
    """Return the text of a statement without comments, docstrings and empty lines."""
    skipped = {line for part in ast.walk(node) for line in docstring_lines(part)}
    lines = source.splitlines()
    for row, column in comments(source):
        lines[row - 1] = lines[row - 1][:column]
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    kept = [n for n in range(first, node.end_lineno + 1) if n not in skipped]
    return "\n".join(lines[n - 1].rstrip() for n in kept if lines[n - 1].strip())


def docstring_lines(node: ast.AST) -> range:
    """Return the lines of a function's or a class's docstring."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or ast.get_docstring(node) is None:
        return range(0)
    return range(node.body[0].lineno, node.body[0].end_lineno + 1)


@cache
def comments(source: str) -> list[tuple[int, int]]:
    """Return line and column of each comment."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.start for token in tokens if token.type == tokenize.COMMENT]


def maker(code: str) -> dict:
    """Return what is stored beside a seed that was measured here and now, by code of this hash."""
    return {
        "commit": commit(),
        "code": code,
        "date": date.today().isoformat(),
        "machine": machine(),
    }


def machine() -> dict[str, str | int]:
    """Return processor, threads, device (a GPU only if something ran on it) and torch."""
    return {
        "cpu": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_initialized() else "cpu",
        "torch": torch.__version__.split("+")[0],
    }


def commit() -> str:
    """Return the commit of the course's code, "-dirty" behind it if it holds other changes than
    results; "unknown" outside a clone."""
    try:
        head = _git("rev-parse", "--short=7", "HEAD")
        return head + "-dirty" * bool(_git("status", "--porcelain", "-uno", "--", *CODE))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


CODE = (".", ":(exclude)data/results")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

"""Which stored results are older than the code that would make them today, and who leans on them.

`course.py reproduce --stale` writes the list; the book's page of verification shows it.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat

from course_utils.reproduce import Part
from course_utils.reproduce.record import code_of
from course_utils.tools.files import chapters

Run = tuple[dict[str, Part], dict]  # parts and settings


class Stale(NamedTuple):
    """A stored run whose code has changed since, or is not known; and the claims that lean on it:
    for each chapter the cells that hold them."""

    name: str
    why: str
    leaning: dict[str, list[str]]


def stale(runs: dict[str, Run], folder: Path) -> list[Stale]:
    """Return the runs stored in a folder that are older than today's code, by name."""
    found = []
    leaning = {path.stem: lean(path) for path in chapters()}
    for name, (parts, _) in runs.items():
        path = folder / f"{name}.json"
        if path.is_file() and (why := reason(parts, json.loads(path.read_text("utf-8")))):
            cells = {chapter: on[name] for chapter, on in leaning.items() if name in on}
            found.append(Stale(name, why, cells))
    return found


def reason(parts: dict[str, Part], stored: dict) -> str:
    """Return why what is stored is stale; "" if it is not."""
    today = {key: code_of(part.run, part.cells(), part.also) for key, part in parts.items()}
    unknown = {one["part"] for one in stored["made"] if one["code"] is None}
    changed = {one["part"] for one in stored["made"] if one["code"] != today.get(one["part"])}
    if unknown:
        return f"its code was not noted: {shown(unknown, parts)}"
    return f"its code has changed since: {shown(changed, parts)}" if changed else ""


def shown(some: set[str], parts: dict[str, Part]) -> str:
    """Return the names of parts, or "all of it"."""
    return "all of it" if some >= parts.keys() else ", ".join(sorted(some))


def lean(path: Path) -> dict[str, list[str]]:
    """Return, for each stored run, the ids of a chapter's cells whose claims or figures lean on it:
    those that read it, and those that use a name made of what was read."""
    holders: dict[str, set[str]] = {}  # which runs a name of the notebook was made of
    found: dict[str, list[str]] = {}
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type != "code":
            continue
        for statement in ast.parse(cell.source).body:
            runs = set(read_in(statement)).union(*(holders.get(n, ()) for n in loaded(statement)))
            for name in bound(statement):
                holders[name] = runs
            if says(statement):
                for run in runs:
                    if cell.id not in found.setdefault(run, []):
                        found[run].append(cell.id)
    return found


def read_in(node: ast.AST) -> Iterator[str]:
    """Yield the runs that a statement reads, by data.results("groups") or data.weights."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute):
            named = part.args and isinstance(part.args[0], ast.Constant)
            if part.func.attr in ("results", "weights") and named:
                yield part.args[0].value


def loaded(node: ast.AST) -> set[str]:
    """Return the names that a statement uses."""
    names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return {part.id for part in names if isinstance(part.ctx, ast.Load)}


def bound(node: ast.AST) -> set[str]:
    """Return the names that a statement binds."""
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} - loaded(node)
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        names.add(node.target.id)
    return names | ({node.name} if isinstance(node, ast.FunctionDef) else set())


def says(node: ast.AST) -> bool:
    """Return whether a statement claims, prints or shows something to the reader."""
    calls = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
    names = {getattr(func, "id", getattr(func, "attr", "")) for func in calls}
    return bool(names & {"claim", "print", "show", "table", "sliders"})


ABOUT = """\
# Stored results that are older than their code

A stored number is as good as the code that made it. Each seed carries a hash of the functions and \
cells that ran. Where this hash was not yet noted, or those functions have changed since in more \
than comments, the run stands here until it is made again. That it stands here does not say that \
its numbers are wrong; it says that nobody has checked since. (A commit that ends in *-dirty* had \
changes which were not committed yet.) `python3 course.py reproduce --stale` writes this page.
"""


def page(found: list[Stale]) -> str:
    """Return the list as a page of the book."""
    if not found:
        return f"{ABOUT}\nToday there is none.\n"
    lines = [ABOUT, "| stored run | why it is old | what leans on it |", "|---|---|---|"]
    for one in found:
        cells = "; ".join(f"{chapter}: {some(ids)}" for chapter, ids in one.leaning.items())
        lines.append(f"| `{one.name}` | {one.why} | {cells or 'no chapter'} |")
    return "\n".join(lines) + "\n"


def some(ids: list[str], most: int = 4) -> str:
    """Return the first few ids of cells, and how many more there are."""
    shown = ", ".join(f"`{one}`" for one in ids[:most])
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"

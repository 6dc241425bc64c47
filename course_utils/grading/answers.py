"""The answers in a student's notebook, found by what they define and by where they stand.

JupyterLab's *Split Cell* moves an id, *Merge* loses one, a copy has another, and some editors throw
all of them away. So a cell is recognised by its id, by nbgrader's name or by its text; an answer in
code by what it defines; a written answer by the question above it.
"""

import ast
import builtins
import re
import symtable
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course_utils.grading.cells import Cell, cells_of, mark

LONGEST = 100_000  # characters of one answer
LARGEST = 5_000_000  # characters of the pictures of one written answer
DEFINED = re.compile(r"^(?:async )?def (\w+)\(", re.MULTILINE)
ASSIGNED = re.compile(r"^([A-Za-z_]\w*)(?:: [^=\n]+)? = ", re.MULTILINE)
BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)  # what parsing raises


class Answers(NamedTuple):
    """What a student wrote, by the id of the master's cell, and what the lecturer should know."""

    sources: dict[str, str]
    attachments: dict[str, dict[str, dict[str, str]]]  # pictures in written answers
    notes: list[str]


def asked(cell: NotebookNode | Cell) -> list[str]:
    """Return the names that an answer's cell defines: functions, or, without one, values."""
    return DEFINED.findall(cell.source) or ASSIGNED.findall(cell.source)


def answers(content: bytes, master: NotebookNode) -> Answers:
    """Return the student's answers to the master's solution cells.

    Raises UnreadableError if content is not a notebook.
    """
    cells = cells_of(content)
    sheet = Sheet(master, cells, recognised(master, cells))
    sources, attachments, notes = {}, {}, []
    for wanted in master.cells:
        if not mark(wanted).get("solution"):
            continue
        if wanted.cell_type == "code":
            source, note = in_code(wanted, sheet)
        else:
            source, attachments[wanted.id], note = in_words(wanted, sheet)
        notes += [f"{wanted.id}: {note}."] if note else []
        if source is not None:
            sources[wanted.id] = source
    return Answers(sources, attachments, notes)


class Sheet(NamedTuple):
    """A student's cells, and which cell of the master each is, "" for the student's own."""

    master: NotebookNode
    cells: list[Cell]
    homes: list[str]


def recognised(master: NotebookNode, cells: Sequence[Cell]) -> list[str]:
    """Return the id of the master's cell that each of a student's cells is, or "" for none."""
    known = {cell.id for cell in master.cells}
    given = [cell for cell in master.cells if not mark(cell).get("solution")]
    texts = {cell.source.strip(): cell.id for cell in given if cell.source.strip()}
    homes = []
    for cell in cells:
        named = [name for name in (cell.ident, cell.grade_id) if name in known]
        homes.append(named[0] if named else texts.get(cell.source.strip(), ""))
    return homes


# Answers in code


def in_code(wanted: NotebookNode, sheet: Sheet) -> tuple[str | None, str]:
    """Return the code of an answer, None if its cell is missing, and a note on how it was found.

    What the notebook itself would use counts: the last definition. The other parts of the answer's
    cell go with it, and so do lines of the student's own that it needs.
    """
    names, answered = asked(wanted), {c.id for c in sheet.master.cells if mark(c).get("solution")}
    code = [i for i, cell in enumerate(sheet.cells) if cell.kind == "code"]
    mine = [i for i in code if sheet.homes[i] == wanted.id]
    written = [i for i in mine if is_written(sheet.cells[i].source, wanted.source)]
    free = [i for i in code if sheet.homes[i] in ("", wanted.id) or sheet.homes[i] in answered]
    defining = [
        i
        for i in free
        if names
        and names[-1] in asked(sheet.cells[i])
        and is_written(sheet.cells[i].source, wanted.source)
    ]
    if not written and not defining:
        if mine:
            return wanted.source, ""
        other = any(home == wanted.id for home in sheet.homes)
        kind = "is not a code cell any more" if other else "is missing"
        return None, f"the answer's cell {kind}; it counts as not written"
    last = defining[-1] if defining else written[-1]
    parts = sorted({i for i in written if i not in defining} | {last} | rest_of(last, sheet))
    source = "\n".join(sheet.cells[i].source for i in parts)
    if not defining and any(is_stub(sheet.cells[i].source, wanted) for i in free):
        return wanted.source, ""  # what was written above it is no answer yet
    if not parses(source) and parses(sheet.cells[last].source):
        parts, source = [last], sheet.cells[last].source
    if len(source) > LONGEST:
        return None, f"an answer of more than {LONGEST} characters is not run"
    return with_what_it_needs(source, parts, sheet), how_found(wanted, sheet, parts, defining)


def rest_of(last: int, sheet: Sheet) -> set[int]:
    """Return the cells right below an answer that were cut off it: they are indented, or no Python
    by themselves, and together with it they are."""
    found: list[int] = []
    for i in range(last + 1, len(sheet.cells)):
        cell = sheet.cells[i]
        is_rest = cell.source[:1].isspace() or not parses(cell.source)
        if sheet.homes[i] or cell.kind != "code" or not is_rest:
            break
        found.append(i)
    whole = "\n".join(sheet.cells[i].source for i in (last, *found))
    return set(found) if parses(whole) else set()


def how_found(wanted: NotebookNode, sheet: Sheet, parts: list[int], defining: list[int]) -> str:
    """Say what is odd about where an answer was found, or nothing."""
    told = []
    if len({sheet.cells[i].source.strip() for i in defining}) > 1:
        told.append(f"{len(defining)} cells define it; the last counts")
    if len(parts) > 1:
        told.append(f"it stands in {len(parts)} cells, which were joined")
    elif sheet.homes[parts[0]] != wanted.id:
        told.append(
            "its id was lost, or it stands in another cell; it was found by what it defines"
        )
    elif sheet.cells[parts[0]].ident != wanted.id:
        told.append("its id was lost, as a split or a copy does; it was found by nbgrader's name")
    return "; ".join(told)


def is_stub(source: str, wanted: NotebookNode) -> bool:
    """Tell if a cell holds the stub of an answer, and nothing of a student's in its place."""
    return bool(set(asked(wanted)) & set(DEFINED.findall(source))) and not is_written(
        source, wanted.source
    )


def is_written(source: str, stub: str) -> bool:
    """Tell if a cell holds code of a student's: not the stub, nor nothing but comments."""
    lines = (line.strip() for line in source.splitlines())
    return source.strip() != stub.strip() and any(x and not x.startswith("#") for x in lines)


@cache
def tree(source: str) -> ast.Module | None:
    """Return what IPython makes of a cell, parsed; None if it is not Python."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except BROKEN:
        return None


def parses(source: str) -> bool:
    """Tell if IPython would run a cell without a syntax error."""
    return tree(source) is not None


def with_what_it_needs(source: str, parts: list[int], sheet: Sheet) -> str:
    """Return an answer with the student's own definitions and imports that it uses, above it.

    They are looked for in cells that are the student's own, and in given ones that were changed. Of
    such a cell only the lines that define what is needed are taken: the rest is nobody's answer.
    """
    given = {cell.id: cell for cell in sheet.master.cells if not mark(cell).get("solution")}
    own = [
        statement
        for i, (cell, home) in enumerate(zip(sheet.cells, sheet.homes, strict=True))
        if cell.kind == "code" and i not in parts
        if not home or (home in given and cell.source.strip() != given[home].source.strip())
        for statement in definitions(cell.source)
    ]
    there = set(dir(builtins)) | {name for cell in given.values() for name in bound(cell.source)}
    there |= {name for cell in sheet.master.cells for name in asked(cell)}
    taken: list[str] = []
    whole = source
    while lacking := reads(whole) - there - bound(whole):
        found = [text for names, text in own if names & lacking and text not in taken]
        if not found:
            break
        taken.append(found[-1])
        whole = "\n".join([*reversed(taken), source])
    return whole


def only_defines(source: str) -> bool:
    """Tell if a cell holds imports and functions, and nothing else."""
    whole = tree(source)
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return whole is not None and bool(whole.body) and all(isinstance(n, kinds) for n in whole.body)


def definitions(source: str) -> Iterator[tuple[set[str], str]]:
    """Yield names and text of each import, function, class and assignment at a cell's top."""
    whole = tree(source)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    for node in whole.body if whole else ():
        if isinstance(node, (*kinds, ast.Assign, ast.AnnAssign)):
            text = ast.unparse(node)
            yield bound(text), text


def scopes(source: str) -> list[symtable.SymbolTable]:
    """Return the symbol tables of a cell, the top one first; none if it is not Python."""
    try:
        found = [symtable.symtable(TransformerManager().transform_cell(source), "cell", "exec")]
    except BROKEN:
        return []
    for scope in found:
        found += scope.get_children()
    return found


def bound(source: str) -> set[str]:
    """Return the names that a cell binds at its top."""
    top = scopes(source)[:1]
    return {
        s.get_name() for t in top for s in t.get_symbols() if s.is_assigned() or s.is_imported()
    }


def reads(source: str) -> set[str]:
    """Return the global names that a cell reads, in its functions, too."""
    return {
        symbol.get_name()
        for scope in scopes(source)
        for symbol in scope.get_symbols()
        if symbol.is_referenced() and (scope.get_type() == "module" or symbol.is_global())
    }


# Answers in words


def in_words(wanted: NotebookNode, sheet: Sheet) -> tuple[str | None, dict, str]:
    """Return all that a student wrote for a written question, its pictures, and a note.

    That is what stands between the question and the next given cell, in cells of any kind, what was
    merged into the question's own cell, and, below headings, text of the student's elsewhere.
    """
    here = region(wanted, sheet)
    regions = {i for cell in sheet.master.cells if by_hand(cell) for i in region(cell, sheet)}
    last = [cell.id for cell in sheet.master.cells if by_hand(cell)][-1]
    parts, pictures, taken = [], {}, 0
    for i, (cell, home) in enumerate(zip(sheet.cells, sheet.homes, strict=True)):
        text = own_words(wanted, sheet, i) if i in here or home == wanted.id else ""
        if wanted.id == last and not home and i not in regions and cell.kind != "code":
            text = (
                f"**Elsewhere, {near(sheet, i)}:**\n\n{cell.source}" if cell.source.strip() else ""
            )
        if text.strip() and text.strip() not in parts:
            attached = {f"{i}-{name}": forms for name, forms in cell.attachments.items()}
            for name in cell.attachments:
                text = text.replace(f"attachment:{name}", f"attachment:{i}-{name}")
            parts, pictures, taken = [*parts, text.strip()], pictures | attached, taken + 1
    whole = "\n\n".join(parts)
    if not whole:
        there = wanted.id in sheet.homes
        note = "" if there else "the answer's cell is missing; it counts as not written"
        return (wanted.source if there else None), {}, note
    note = f"it stands in {taken} cells, which were joined" if taken > 1 else ""
    if taken == 1 and wanted.id not in sheet.homes:
        note = "it stands in another cell, and was found there"
    if len(whole) > LONGEST:
        whole, note = whole[:LONGEST], f"only its first {LONGEST} characters are shown"
    if sum(len(data) for forms in pictures.values() for data in forms.values()) > LARGEST:
        pictures, note = {}, "its pictures are too large to be shown: look into the file"
    return whole, pictures, note


def by_hand(cell: NotebookNode) -> bool:
    """Tell if a cell of the master is for a written answer."""
    return cell.cell_type == "markdown" and bool(mark(cell).get("solution"))


def region(wanted: NotebookNode, sheet: Sheet) -> range:
    """Return the places of a student's cells from a question to the next cell that was given."""
    order = [cell.id for cell in sheet.master.cells]
    at = order.index(wanted.id)
    above, below = set(order[:at]), set(order[at + 1 :])
    start = max((i for i, home in enumerate(sheet.homes) if home in above), default=0)
    later = (i for i, home in enumerate(sheet.homes) if home in below and i > start)
    return range(start, min(later, default=len(sheet.homes)))


def own_words(wanted: NotebookNode, sheet: Sheet, i: int) -> str:
    """Return what a student wrote in a cell near a question; of a given cell what was added."""
    cell, home = sheet.cells[i], sheet.homes[i]
    if not home or home == wanted.id:
        text = cell.source.replace(wanted.source.strip(), "")
        if cell.kind != "code" or not text.strip():
            return text
        return "" if not home and parses(text) else f"```\n{text}\n```"  # a scratch cell, or words
    given = next(c for c in sheet.master.cells if c.id == home)
    if mark(given).get("solution") or cell.kind == "code":
        return ""
    if given.source.strip() in cell.source:
        return cell.source.replace(given.source.strip(), "", 1)
    if cell.source.split() == given.source.split():
        return ""
    return f"**The question's cell, which was changed:**\n\n{cell.source}"


def near(sheet: Sheet, i: int) -> str:
    """Say behind which given cell a cell of the student's own stands."""
    before = [home for home in sheet.homes[:i] if home]
    return f"below {before[-1]}" if before else "at the top"

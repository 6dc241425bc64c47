"""Which code of a chapter is folded: in JupyterLab and in the book, one click away.

The eye reads text and figures. Folded is code whose output speaks for it (a figure, a table, the ✓
lines of claims) and code that only makes ready (imports, checks of input, functions that draw into
axes). So are tests of homework, our version of a step that the reader has just been asked to write,
which the tag `ours` marks, and what only the next cells need, which the tag `aside` marks. Never
folded is what the reader shall read: what else is exported, and the cells of stubs, of exercises
and of "Find the error", whose ids say so.
"""

import ast

from nbformat import NotebookNode

from course_utils.tools.outputs import FORMS, VIEW

# What is folded, and what the book writes over it.
KINDS = {
    "imports": "What is imported here",
    "checks": "The check of the input",
    "drawing": "The function that draws this",
    "figure": "The code that draws this",
    "table": "The code of this table",
    "claims": "The code that proves this",
    "tests": "The tests of your answer",
    "ours": "Our version",
    "aside": "What the next cells use",
    "questions": "The code of these questions",
}
TO_READ = ("build", "exercise", "error")
IMPORTING = ast.Import | ast.ImportFrom | ast.Assign  # names of types stand beside imports


def fold(notebook: NotebookNode) -> None:
    """Mark each code cell of a notebook, in place, as folded or not, as JupyterLab does it."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("jupyter", None)
        if kind(cell):
            cell.metadata.jupyter = NotebookNode(source_hidden=True)


def kind(cell: NotebookNode) -> str | None:
    """Return for what a code cell is folded, one of KINDS; None if it is not."""
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:  # IPython's own: %timeit, !ls
        return None
    if cell.id.startswith(TO_READ):
        return None
    if cell.metadata.get("nbgrader", {}).get("grade"):
        return "tests"
    if cell.id.startswith("questions"):
        return "questions"
    for tag in ("ours", "aside"):
        if tag in cell.metadata.get("tags", []):
            return tag
    if tree.body and all(isinstance(node, IMPORTING) for node in tree.body):
        return "imports" if has(tree, ast.Import | ast.ImportFrom) else None
    if tree.body and all(isinstance(node, ast.FunctionDef) for node in tree.body):
        if all(node.name.endswith("guard") for node in tree.body):
            return "checks"
        if all(node.args.args and node.args.args[0].arg == "axes" for node in tree.body):
            return "drawing"
    return None if "#| export" in cell.source else by_output(cell, tree)


def has(tree: ast.Module, kinds: type) -> bool:
    """Return whether a statement at the top of a cell is of one of these kinds."""
    return any(isinstance(node, kinds) for node in tree.body)


def by_output(cell: NotebookNode, tree: ast.Module) -> str | None:
    """Return which kind of output speaks for a cell's code; None if there is none."""
    shown = {form for output in cell.outputs for form in output.get("data", {})}
    if shown & {*FORMS, VIEW}:
        return "figure"
    if "text/markdown" in shown:
        return "table"
    called = {getattr(node.func, "id", "") for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return "claims" if "claim" in called else None

"""A notebook's file: read if it is whole, and if not, one sentence says what is wrong with it."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.validator import iter_validate

KINDS = ("code", "markdown", "raw")
MENDS = "JupyterLab gives each cell an id of its own when it opens and saves the notebook"


def read(path: Path) -> NotebookNode:
    """Return a notebook. ValueError, with its path and what is wrong, if its file is damaged."""
    wrong = fault(path)
    if wrong:
        raise ValueError(f"{path} {wrong}")
    return nbformat.read(path, as_version=4)


def check(paths: Iterable[Path]) -> None:
    """Raise ValueError, with a sentence for each, if files of notebooks are damaged."""
    wrong = [f"{path} {told}" for path in paths if (told := fault(path))]
    if wrong:
        raise ValueError("\n".join(wrong))


def fault(path: Path) -> str:
    """Say why a notebook cannot be run as it is, in words that follow its name; "" if it can."""
    if path.is_dir():
        return "is a folder, and no notebook."
    try:
        text = path.read_text("utf-8")
        notebook = json.loads(text)
        json.dumps(notebook, ensure_ascii=False).encode()  # JSON can spell what UTF-8 cannot
    except OSError as error:
        return f"cannot be read: {error.strerror}."
    except UnicodeError:
        return "is no notebook: it holds what is no text in UTF-8."
    except RecursionError:
        return "is no notebook: its JSON is nested without end."
    except json.JSONDecodeError as error:
        if not text.strip():
            return "is empty."
        return f"is no whole notebook: its JSON breaks at line {error.lineno}."
    except ValueError as error:  # a number of a million digits, say
        return f"is no notebook: {error}."
    return misshapen(notebook)


def misshapen(notebook: object) -> str:
    """Say what JSON lacks to be a notebook of format 4, cells of known kinds in it, or nothing."""
    if not isinstance(notebook, dict) or not {"cells", "worksheets"} & notebook.keys():
        return "is JSON, but no notebook: it has no cells."
    version, minor = notebook.get("nbformat"), notebook.get("nbformat_minor")
    if not isinstance(version, int) or not isinstance(minor, int):
        return "is JSON, but no notebook: it does not number its format."
    if version != 4:
        return (
            f"is of format {version}, and not of format 4: JupyterLab brings an older notebook up"
            " to date when it opens and saves it."
        )
    if not isinstance(notebook.get("cells"), list):
        return "is JSON, but no notebook: its cells are no list."
    for number, cell in enumerate(notebook["cells"], 1):
        if not isinstance(cell, dict) or cell.get("cell_type") not in KINDS:
            return f"has a damaged cell, number {number}: it is neither code nor text."
    return nameless(notebook) or invalid(notebook) or odd_entry(notebook["metadata"])


def nameless(notebook: dict) -> str:
    """Say which cells of a notebook lack an id of their own, or nothing."""
    ids = [cell["id"] for cell in notebook["cells"] if isinstance(cell.get("id"), str)]
    doubled = [ident for ident, count in Counter(ids).items() if count > 1]
    lacking = sum("id" not in cell for cell in notebook["cells"])
    wrong = [f"without an id: {lacking}"] if lacking and notebook["nbformat_minor"] >= 5 else []
    wrong += [f"with the same id: {', '.join(doubled)}"] if doubled else []
    return f"has cells {'; '.join(wrong)}. {MENDS}." if wrong else ""


def invalid(notebook: dict) -> str:
    """Say where a notebook breaks the rules of its format, or nothing."""
    if not broken(notebook):
        return ""
    if wrong := broken(notebook | {"cells": []}):
        return f"is damaged: {wrong}."
    cells = enumerate(notebook["cells"], 1)
    number, wrong = next((n, w) for n, c in cells if (w := broken(notebook | {"cells": [c]})))
    return f"has a damaged cell, number {number}: {wrong}."


def broken(notebook: dict) -> str:
    """Return the first rule of its format that a notebook breaks, or nothing."""
    rules = {"version": 4, "version_minor": notebook["nbformat_minor"], "relax_add_props": True}
    for error in iter_validate(notebook, **rules):
        return ", ".join([*map(str, error.path), str(error.message)[:200]])
    return ""


def odd_entry(metadata: dict) -> str:
    """Say what is wrong with the course's own entry in a notebook's metadata, or nothing."""
    course = metadata.get("course", {})
    if isinstance(course, dict) and isinstance(course.get("seconds", 0), int | float):
        return ""
    return "is damaged: `course` in its metadata is not what `course.py execute` writes."

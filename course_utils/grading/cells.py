"""The cells of a notebook that was handed in, whatever its format and whatever became of it."""

import json
from typing import NamedTuple

from nbformat import NotebookNode

PICTURES = {"image/png", "image/jpeg", "image/gif", "image/webp"}


class UnreadableError(ValueError):
    """A file that is no notebook; the text says why, in a lecturer's words."""


class Cell(NamedTuple):
    """A cell as a student left it; nothing in it is to be trusted but its types."""

    kind: str  # "code", "markdown", "raw"
    source: str
    ident: str
    grade_id: str  # nbgrader's name for it
    attachments: dict[str, dict[str, str]]  # pictures by name, each by its type


def mark(cell: NotebookNode) -> dict:
    """Return what nbgrader knows of a cell of the master: grade, solution, points."""
    return cell.metadata.get("nbgrader", {})


def parsed(content: bytes) -> dict:
    """Return a notebook of any format without its outputs, which are most of its size.

    Raises UnreadableError if content is not a notebook.
    """
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnreadableError("The file is not a notebook: it is not text in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(
            f"The file is no whole notebook: its JSON breaks at line {error.lineno}, as after an"
            " upload that was cut off or an edit by hand."
        ) from None
    except RecursionError:
        raise UnreadableError(
            "The file is not a notebook: its JSON is nested without end."
        ) from None
    sheets = [notebook]
    if isinstance(notebook, dict) and isinstance(notebook.get("worksheets"), list):
        sheets = notebook["worksheets"]  # format 3
    cells = [s["cells"] for s in sheets if isinstance(s, dict) and isinstance(s.get("cells"), list)]
    if not cells:
        raise UnreadableError("The file is JSON, but not a notebook: it has no cells.")
    kept = [cell for group in cells for cell in group if isinstance(cell, dict)]
    for cell in kept:
        cell.pop("outputs", None)
    return {"cells": kept}


def cells_of(content: bytes) -> list[Cell]:
    """Return the cells of a notebook. Raises UnreadableError if content is not a notebook."""
    return [_cell(cell) for cell in parsed(content)["cells"]]


def _cell(cell: dict) -> Cell:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    metadata = cell.get("metadata")
    claimed = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    grade_id = claimed.get("grade_id") if isinstance(claimed, dict) else None
    return Cell(
        _text(cell.get("cell_type")),
        text.encode("utf-8", "replace").decode().replace("\0", ""),
        _text(cell.get("id")),
        _text(grade_id),
        _attachments(cell.get("attachments")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _attachments(found: object) -> dict[str, dict[str, str]]:
    kept = {}
    for name, forms in found.items() if isinstance(found, dict) else ():
        pictures = forms.items() if isinstance(forms, dict) else ()
        good = {kind: data for kind, data in pictures if kind in PICTURES and isinstance(data, str)}
        kept |= {str(name): good} if good else {}
    return kept

"""Notebooks made on the spot."""

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


def notebook_of(*cells: str | NotebookNode, header: str = "# A title") -> NotebookNode:
    """A notebook with a header and code cells, with ids that are the same each time."""
    code = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    notebook = new_notebook(cells=[new_markdown_cell(header), *code])
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata.slideshow = {"slide_type": "slide"}
    nbformat.validate(notebook)
    return notebook

"""How long a chapter takes to read: `python -m course_utils.tools.minutes`.

A minute for 200 words, for 12 lines of shown code, for a figure, a table, a prediction; two for a
formula on lines of its own, which wants to be followed, and for sliders. What unfolds on a click,
exercises, questions, summary and references are not counted. The command writes the counted minutes
into each chapter: in all at its top, and below each section's heading those so far.
"""

import math
import re
import sys

import nbformat
from nbformat import NotebookNode

from course_utils.tools.files import chapters
from course_utils.tools.outputs import VIEW, form_of

WORDS, LINES = 200, 12  # a minute
PREDICT = "**Predict"
UNFOLDS = re.compile(r"<details>.*?</details>", re.DOTALL)
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
SO_FAR = re.compile(r"\*\d+ minutes so far\*")
IN_ALL = re.compile(r"(Minutes to read: \*\*)\d+(\*\*)")
APART = ("exercise", "questions", "summary", "references")  # how the ids begin of what is not read


def minutes(cell: NotebookNode) -> float:
    """Return the minutes that a reader spends on a cell."""
    if cell.cell_type == "markdown":
        text = UNFOLDS.sub("", cell.source)
        words = len(PICTURE.sub("", text).split()) / WORDS
        return words + len(PICTURE.findall(text)) + text.count("$$") + text.count(PREDICT)
    kinds = [kind for output in cell.outputs for kind in output.get("data", {})]
    shown = sum(map(bool, map(form_of, cell.outputs))) + kinds.count("text/markdown")
    shown += 2 * kinds.count(VIEW)
    if cell.metadata.get("jupyter", {}).get("source_hidden"):
        return shown
    return shown + sum(1 for line in cell.source.splitlines() if line.strip()) / LINES


def counted(notebook: NotebookNode) -> NotebookNode:
    """Return a chapter with its minutes written into it."""
    spent, notebook = 0.0, nbformat.from_dict(notebook)
    for cell in notebook.cells:
        if cell.id.startswith(APART):
            continue
        if cell.cell_type == "markdown":
            cell.source = SO_FAR.sub(f"*{spent:.0f} minutes so far*", cell.source)
        spent += minutes(cell)
    in_all = 5 * math.ceil(spent / 5)
    notebook.cells[0].source = IN_ALL.sub(rf"\g<1>{in_all}\g<2>", notebook.cells[0].source)
    return notebook


def main() -> int:
    """Write the counted minutes into each chapter, and print those of the whole."""
    for path in chapters():
        notebook = counted(nbformat.read(path, as_version=4))
        nbformat.write(notebook, path)
        print(f"{path.stem}: {IN_ALL.search(notebook.cells[0].source)[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

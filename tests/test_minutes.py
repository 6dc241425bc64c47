"""Minutes to read are counted by one rule; those in a chapter are the counted ones."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.tools.files import chapters
from course_utils.tools.minutes import counted, minutes

FIGURE = new_output("display_data", {"image/svg+xml": "<svg/>"})
CELLS = {
    "words": (new_markdown_cell("word " * 300), 1.5),
    "a picture": (new_markdown_cell("![what it shows, in many words](attachment:a.png)"), 1),
    "what unfolds": (new_markdown_cell(f"two words <details>{'word ' * 500}</details>"), 2 / 200),
    "a formula and a prediction": (
        new_markdown_cell("$$\nE = 0\n$$\n\n**Predict, then run.** So?"),
        3 + 9 / 200,
    ),
    "code": (new_code_cell("x = 1\n\n" * 24), 2),
    "a figure": (new_code_cell("a = 1\n" * 6, outputs=[FIGURE]), 1.5),
    "a folded figure": (
        new_code_cell(
            "a = 1\n" * 60, outputs=[FIGURE], metadata={"jupyter": {"source_hidden": True}}
        ),
        1,
    ),
}


@pytest.mark.parametrize(("cell", "expected"), CELLS.values(), ids=CELLS)
def test_a_cell_takes_its_words_its_shown_lines_and_its_figures(cell, expected):
    assert minutes(cell) == pytest.approx(expected)


def test_minutes_are_written_at_the_top_and_below_each_heading():
    cells = [
        new_markdown_cell("Minutes to read: **99**", id="title"),
        new_markdown_cell("word " * 1400, id="text"),
        new_markdown_cell("word " * 9000, id="exercise-1"),
        new_markdown_cell("## 2 · Two\n\n*99 minutes so far*", id="two-section"),
    ]
    notebook = counted(new_notebook(cells=cells))
    assert notebook.cells[0].source == "Minutes to read: **10**"
    assert notebook.cells[3].source.endswith("*7 minutes so far*")


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_the_minutes_in_a_chapter_are_the_counted_ones(path):
    stored = nbformat.read(path, as_version=4)
    assert counted(stored) == stored, "python -m course_utils.tools.minutes"

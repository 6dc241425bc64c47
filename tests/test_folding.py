"""Code whose output speaks for it is folded, and nothing that the reader shall read."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from course_utils.tools.files import chapters
from course_utils.tools.folding import KINDS, fold, kind


def cell(source, shows=None, **more):
    outputs = [new_output("display_data", {shows: "…"})] if shows else []
    return new_code_cell(source, outputs=outputs, **more)


FOLDED = {
    "imports": cell("#| export\nimport torch\n\nProx = int"),
    "checks": cell('#| export\ndef guard(x):\n    """Raise ValueError."""'),
    "drawing": cell("def landscape(axes, step):\n    axes[0].plot([step])"),
    "figure": cell("fig, (ax,) = plots.figure()\nplots.show(fig)", "image/png"),
    "table": cell("plots.table(rows)", "text/markdown"),
    "claims": cell('z = ista(x, Wd, 0.1, 9)\nclaim(z.any(), "some")'),
    "tests": cell("known(shrink, cases, results, {})", metadata={"nbgrader": {"grade": True}}),
    "questions": cell("ask(one, two)", "text/html", id="questions-ask"),
    "ours": cell("#| export\ndef shrink(v, theta):\n    return v", metadata={"tags": ["ours"]}),
    "aside": cell("#| export\ndef risk(v):\n    return v", metadata={"tags": ["aside"]}),
}
OPEN = [
    cell("#| export\ndef shrink(v, theta):\n    return v"),
    cell("#| export\nBOUNDS = 1"),
    cell("Wd, history = learn_dictionary(x, 256, 0.1, 800, rng)"),
    cell('claim(False, "an error to be found")', id="error-half"),
    cell("def stub(axes):\n    raise NotImplementedError", id="exercise-1-stub"),
    cell("def my_step(axes):\n    raise NotImplementedError", id="build-step-stub"),
    cell("def descend(x, axes):\n    return x"),
    cell("print(3)", "text/plain"),
    cell("%timeit 1 + 1", "text/plain"),  # no Python
]


def test_each_kind_of_code_that_is_folded_is_known():
    assert {name: kind(one) for name, one in FOLDED.items()} == {name: name for name in KINDS}


@pytest.mark.parametrize("one", OPEN, ids=lambda one: one.source.splitlines()[-1][:30])
def test_what_the_reader_shall_read_stays_open(one):
    assert kind(one) is None


def test_folding_again_changes_nothing_and_opens_what_is_no_longer_folded():
    notebook = nbformat.v4.new_notebook(cells=[FOLDED["figure"].copy(), OPEN[0].copy()])
    notebook.cells[1].metadata.jupyter = {"source_hidden": True}
    for _ in range(2):
        fold(notebook)
        assert [one.metadata for one in notebook.cells] == [
            {"jupyter": {"source_hidden": True}},
            {},
        ]


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_stored_chapters_are_folded_by_this_rule(path):
    stored, again = nbformat.read(path, 4), nbformat.read(path, 4)
    fold(again)
    assert stored == again, "python3 course.py execute"

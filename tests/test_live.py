"""Live figures over seeds: the chapter's own cells, other random numbers, claims counted."""

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.reproduce import live

CELLS = {
    "imports": "import numpy as np\nfrom course_utils import plots\n"
    "from course_utils.checks import claim\nfrom ipywidgets import interact",
    "draw": "value = np.random.default_rng(3).random()",
    "claims": "claim(True, 'one is one')\nclaim(value < 0, 'a draw is below zero')",
    "picture": "fig, _ = plots.figure()\nplots.show(fig, 'empty')\ninteract(None, k=(1, 3))",
    "stored": "raise FileNotFoundError('these very results')",
    "last": "value = value + 1",
    "beyond": "raise RuntimeError('not reached')",
}


@pytest.fixture
def notebook(tmp_path):
    cells = [new_code_cell(source, id=name) for name, source in CELLS.items()]
    cells[list(CELLS).index("stored")].metadata["tags"] = ["stored"]
    path = tmp_path / "toy.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


WANTED = {"draw": lambda names: {"drawn": names["value"]}, "last": lambda n: {"sum": n["value"]}}


def test_seed_0_is_the_chapter_as_it_stands_and_others_differ(notebook):
    drawn = np.random.default_rng(3).random()
    runs = [live.figures(notebook, seed, WANTED) for seed in (0, 0, 1, 2)]
    assert runs[0] == runs[1] == {"drawn": drawn, "sum": drawn + 1, "broken_claims": 1}
    assert len({run["drawn"] for run in runs}) == 3


def test_a_claim_that_does_not_hold_is_told_and_stops_nothing(notebook, capsys):
    live.figures(notebook, 0, WANTED)
    assert "does not hold: a draw is below zero" in capsys.readouterr().out


def test_what_was_put_in_place_is_taken_back_even_after_an_error(notebook):
    from course_utils import checks, plots

    before = np.random.default_rng, checks.claim, plots.show
    with pytest.raises(RuntimeError, match="not reached"):
        live.figures(notebook, 1, {"beyond": lambda _: {}})
    assert (np.random.default_rng, checks.claim, plots.show) == before


def test_an_unknown_cell_is_refused_before_anything_runs(notebook):
    with pytest.raises(KeyError, match="has no code cell nosuch"):
        live.figures(notebook, 0, {"nosuch": lambda _: {}})


def test_generators_with_a_list_as_key_are_shifted_too():
    draws = [live.shifted(seed)([1, 2]).random() for seed in (0, 1)]
    assert draws[0] == np.random.default_rng([1, 2]).random() != draws[1]


def test_a_generator_in_place_of_a_key_is_handed_through():
    generator = np.random.default_rng(5)
    assert live.shifted(1)(generator) is generator

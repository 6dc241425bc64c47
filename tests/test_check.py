"""What a student sees of a homework before it is handed in: what was found, what the checks say."""

import json
from pathlib import Path

import nbformat
import pytest
from homework import tiny
from homework.classroom import RIGHT, needs_sandbox, released
from marks import slow_but
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.grading import check, release, sandbox
from course_utils.grading.answers import answers
from course_utils.grading.collect import content_of


@pytest.fixture
def repository(course, monkeypatch) -> Path:
    """A clone that holds the tiny homework, on a machine without a sandbox; a lecturer's folder."""
    monkeypatch.setattr(release, "HOMEWORK", course.parent / "homework")
    monkeypatch.setattr(sandbox, "check", missing)
    return course


def missing() -> None:
    raise sandbox.UnavailableError("bubblewrap is not installed")


def right(notebook: NotebookNode) -> NotebookNode:
    return notebook


def wrong(notebook: NotebookNode) -> NotebookNode:
    return tiny.filled(notebook, task1="def double(x):\n    return x")


def split(notebook: NotebookNode) -> NotebookNode:
    """JupyterLab's Split Cell, within the function."""
    upper, lower = RIGHT.rstrip().rsplit("\n", 1)
    at = next(n for n, cell in enumerate(notebook.cells) if cell.id == "task1")
    notebook.cells[at].source = lower
    notebook.cells.insert(at, new_code_cell(upper, metadata=notebook.cells[at].metadata))
    return notebook


def without_ids(notebook: NotebookNode) -> NotebookNode:
    for cell in notebook.cells:
        cell.pop("id")
        cell.metadata = {}
    return notebook


def without_an_answer(notebook: NotebookNode) -> NotebookNode:
    notebook.cells = [cell for cell in notebook.cells if cell.id != "task1"]
    return notebook


def raising(notebook: NotebookNode) -> NotebookNode:
    return tiny.filled(notebook, task1="print(unknown)\n" + RIGHT)


KINDS = {  # what became of a right notebook: the exit code, and what is said
    right: (0, ["Task 1 · Double", "task1: found, 3 lines", "written: found, 6 words"]),
    wrong: (1, ["task1-check: ✗", "this is x itself", "task2-check: ✓"]),
    split: (0, ["task1: it stands in 2 cells, which were joined", "task1-check: ✓"]),
    without_ids: (0, ["its id was lost", "task1-check: ✓"]),
    without_an_answer: (1, ["task1: nothing of yours", "the answer's cell is missing"]),
    raising: (1, ["While its cell ran: NameError: name 'unknown'", "task1-check: ✗"]),
}


def handed_in(course: Path, folder: Path, change=right) -> Path:
    """A right notebook, changed."""
    place = folder / "mine.ipynb"
    place.write_text(json.dumps(change(tiny.filled(released(course)))), "utf-8")
    return place


@pytest.mark.parametrize("kind", slow_but((split, wrong), KINDS), ids=lambda kind: kind.__name__)
def test_what_was_found_and_what_the_checks_say_is_told(repository, tmp_path, capsys, kind):
    place = handed_in(repository, tmp_path, kind)
    before = place.read_bytes()
    code, said = KINDS[kind]
    assert check.main([str(place)]) == code
    out = capsys.readouterr().out
    assert [text for text in said if text not in out] == []
    assert "There is no sandbox here" in out
    assert out.splitlines()[-1].startswith(
        "Not checked here: hidden tests on fresh data (4 points)"
    )
    assert "secret" not in out
    assert place.read_bytes() == before


@needs_sandbox
@pytest.mark.slow
def test_with_a_sandbox_the_code_runs_in_it(course, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(release, "HOMEWORK", course.parent / "homework")
    look = f"import os\nfound = os.path.exists({str(tmp_path)!r})\n"
    code = look + "def double(x):\n    return x if found else 2 * x"
    place = handed_in(course, tmp_path, lambda notebook: tiny.filled(notebook, task1=code))
    assert check.main([str(place)]) == 0
    assert "no sandbox" not in capsys.readouterr().out


def test_the_note_is_the_one_that_a_lecturer_would_see(repository, tmp_path):
    place = handed_in(repository, tmp_path, split)
    mine = answers(content_of(place), check.visible(check.of_the_repository()["hw1"])).notes
    assert mine == answers(content_of(place), release.master(repository, "hw1")).notes != []


# The homework as it was given


def test_what_is_made_of_the_sources_is_what_students_got(repository):
    made, given = check.of_the_repository()["hw1"], released(repository)
    assert [(c.id, c.source) for c in made.cells] == [(c.id, c.source) for c in given.cells]


def test_no_hidden_test_is_in_what_judges(repository):
    master = check.visible(check.of_the_repository()["hw1"])
    assert "task1-check" in {cell.id for cell in master.cells}
    assert not {cell.id for cell in master.cells} & {"task1-hidden", "task2-hidden"}
    assert "SECRET" not in nbformat.writes(master)


def test_without_the_sources_the_original_is_asked_for_and_used(
    repository, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(release, "HOMEWORK", tmp_path / "nowhere")
    place = handed_in(repository, tmp_path)
    assert check.main([str(place)]) == 2
    assert "--released ORIGINAL.ipynb" in capsys.readouterr().err
    original = repository / "release" / "hw1" / f"{tiny.NAME}.ipynb"
    assert check.main([str(place), "--released", str(original)]) == 0
    assert "task1-check: ✓" in capsys.readouterr().out


def test_an_original_that_is_none_is_refused(repository, tmp_path, capsys):
    place, other = handed_in(repository, tmp_path), tmp_path / "other.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A text")]), other)
    damaged = tmp_path / "damaged.ipynb"
    damaged.write_text('{"cells": [', "utf-8")
    said = {other: "has no cells for answers", place: "itself", damaged: "JSON breaks at line 1"}
    for original, why in said.items():
        assert check.main([str(place), "--released", str(original)]) == 2
        assert why in capsys.readouterr().err


# What cannot be checked


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("damaged.ipynb", '{"cells": [{"cell_type": "co', "JSON breaks at line 1"),
        ("another.ipynb", '{"cells": [{"source": "x = 1"}]}', "no cell of any homework"),
        ("essay.txt", "My answer.", "is not a notebook"),
        ("empty.ipynb", "", "is empty"),
        ("folder", None, "is not an ordinary file"),
        ("missing.ipynb", None, "There is no"),
    ],
)
def test_a_file_that_cannot_be_checked_gets_one_sentence(
    repository, tmp_path, capsys, name, content, said
):
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_text(content, "utf-8")
    assert check.main([str(tmp_path / name)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1

"""A notebook whose file is damaged gets a sentence, and costs no other one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from making import notebook_of

from course_utils.publish import assets, book, launch, slides
from course_utils.tools import execute, notebooks

CELL = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": ""}
WHOLE = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def of(*cells: object, **more: object) -> bytes:
    """A notebook with such cells, and other entries in place of its own."""
    return json.dumps({**WHOLE, "cells": list(cells), **more}).encode()


def without(name: str) -> dict:
    return {key: value for key, value in (CELL | {"id": "a"}).items() if key != name}


A = CELL | {"id": "a"}
DAMAGED = {  # what is in the file, and what is said of it
    "empty": (b" \n", "is empty."),
    "cut off": (of(A)[:90], "is no whole notebook: its JSON breaks at line 1."),
    "binary": (bytes(range(256)), "is no notebook: it holds what is no text in UTF-8."),
    "Latin-1": ("größer".encode("latin-1"), "is no notebook: it holds what is no text in UTF-8."),
    "half a character": (of(A | {"source": "'\ud800'"}), "it holds what is no text in UTF-8."),
    "nested": (b'{"cells":' + b"[" * 100_000, "is no notebook: its JSON is nested without end."),
    "a list": (b"[1]", "is JSON, but no notebook: it has no cells."),
    "nothing in it": (b"{}", "is JSON, but no notebook: it has no cells."),
    "no cells": (json.dumps(WHOLE).encode(), "is JSON, but no notebook: it has no cells."),
    "cells by name": (of(cells={"a": A}), "is JSON, but no notebook: its cells are no list."),
    "format 3": (of(nbformat=3, worksheets=[]), "is of format 3, and not of format 4: JupyterLab"),
    "format 5": (of(A, nbformat=5), "is of format 5, and not of format 4: JupyterLab"),
    "format four": (of(A, nbformat="four"), "it does not number its format."),
    "a cell of text": (of(A, "x = 1"), "has a damaged cell, number 2: it is neither code nor text"),
    "a film": (of(A | {"cell_type": "film"}), "has a damaged cell, number 1: it is neither code"),
    "no source": (of(without("source")), "number 1: 'source' is a required property."),
    "no metadata": (of(without("metadata")), "number 1: 'metadata' is a required property."),
    "no outputs": (of(without("outputs")), "number 1: 'outputs' is a required property."),
    "a number": (of(A | {"source": 7}), "has a damaged cell, number 1: source, 7 is not valid"),
    "a numbered cell": (of(A | {"id": 7}), "has a damaged cell, number 1: id, 7 is not"),
    "no id": (of(CELL, A), "has cells without an id: 1. JupyterLab gives each cell an id"),
    "an id twice": (of(A, A), "has cells with the same id: a. JupyterLab gives each cell an id"),
    "no entries": (of(A, metadata=None), "is damaged: metadata, None is not of type 'object'."),
    "odd entries": (of(A, metadata={"course": {"seconds": "x"}}), "is damaged: `course` in its"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path, kind):
    path = tmp_path / "a.ipynb"
    content, said = DAMAGED[kind]
    path.write_bytes(content)
    told = notebooks.fault(path)
    assert said in told
    assert told.endswith(".")
    assert "\n" not in told
    assert len(told) < 200
    with pytest.raises(ValueError, match=r"a\.ipynb (?:is|has) "):
        notebooks.read(path)


def test_what_is_no_file_is_one_sentence_too(tmp_path):
    for name, target in (("nowhere", "nothing"), ("round", "round")):
        (tmp_path / name).symlink_to(target)
        assert notebooks.fault(tmp_path / name).startswith("cannot be read: ")
    assert notebooks.fault(tmp_path) == "is a folder, and no notebook."


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="this user may read everything, or Windows"
)
def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path):
    (tmp_path / "a.ipynb").touch(mode=0)
    assert notebooks.fault(tmp_path / "a.ipynb") == "cannot be read: Permission denied."


def test_a_whole_notebook_of_an_older_minor_format_needs_no_ids(tmp_path):
    (tmp_path / "a.ipynb").write_bytes(of(CELL, CELL, nbformat_minor=4))
    assert notebooks.fault(tmp_path / "a.ipynb") == ""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of notebooks: all that are damaged, a folder named as one, and last a whole one."""
    for number, (content, _) in enumerate(DAMAGED.values()):
        (tmp_path / f"{number:02}_damaged.ipynb").write_bytes(content)
    (tmp_path / "98_folder.ipynb").mkdir()
    (tmp_path / "99_whole.ipynb").write_text(nbformat.writes(notebook_of("print(1)")), "utf-8")
    return tmp_path


def test_execute_names_what_is_damaged_and_runs_the_others(folder, capsys, monkeypatch):
    monkeypatch.setattr(execute, "calibration", lambda: 0.02)
    before = {path: path.read_bytes() for path in folder.glob("*_damaged.ipynb")}
    assert execute.main([str(path) for path in sorted(folder.glob("*.ipynb"))]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ... ")[2] for line in lines[:-1:2]] == ["failed"] * (len(DAMAGED) + 1)
    for (_, said), line in zip(DAMAGED.values(), lines[1::2], strict=False):
        assert said in line
    assert lines[-1].endswith("outputs stored")
    assert {path: path.read_bytes() for path in before} == before


def test_slides_name_what_is_damaged_and_show_the_others(folder, capsys, monkeypatch):
    monkeypatch.setattr(assets, "put", lambda *_: None)
    paths = [str(path) for path in sorted(folder.glob("*.ipynb"))]
    assert slides.main([*paths, "--to", str(folder / "slides")]) == 2
    out, err = capsys.readouterr()
    assert out == f"{folder / 'slides' / '99_whole.html'}\n"
    assert len(err.splitlines()) == len(DAMAGED) + 1
    assert "There is no deck of 00_damaged: " in err


def test_a_notebook_without_a_title_has_no_deck(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(assets, "put", lambda *_: None)
    path = tmp_path / "a.ipynb"
    path.write_bytes(of(A))
    assert slides.main([str(path), "--to", str(tmp_path / "slides")]) == 2
    assert "There is no deck of a: its first cell is no title" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "arguments"), [(book, []), (launch, ["https://github.com/you/course"])]
)
def test_what_needs_all_chapters_names_each_damaged_one(
    command, arguments, folder, capsys, monkeypatch
):
    monkeypatch.setattr(command, "chapters", lambda: sorted(folder.glob("*.ipynb")))
    assert command.main([*arguments, "--to", str(folder / "made")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == len(DAMAGED) + 1
    assert not (folder / "made").exists()


def test_full_size_runs_are_listed_without_reading_a_chapter():
    """A damaged one would stop whoever asks for another run, and all tests that import them."""
    code = "import nbformat\nnbformat.read = None\nimport course_utils.reproduce.__main__ as main\n"
    code += "assert 'ista_live' in main.RUNS"
    subprocess.run([sys.executable, "-c", code], check=True)

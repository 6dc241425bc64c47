"""What students really hand in: whose it is, which file counts, and where in it the answers are."""

import copy
import io
import json
import os
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from homework import tiny
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from course_utils.grading import collect, downloads
from course_utils.grading.answers import answers
from course_utils.grading.cells import UnreadableError

DOUBLE, SHRINK = tiny.ANSWERS["task1"], tiny.ANSWERS["task2"]
WORDS = "Because it has to be so."
PIXEL = "iVBORw0KGgo="


def released() -> NotebookNode:
    """The tiny homework as students get it."""
    notebook = tiny.source()
    notebook.cells = [cell for cell in notebook.cells if not cell.id.endswith("-hidden")]
    for cell in notebook.cells:
        if cell.metadata.nbgrader.solution:
            code = cell.cell_type == "code"
            head = cell.source.split("\n")[0]
            cell.source = (
                f"{head}\n    {tiny.STUB}" if code else "*Your answer, in place of this line.*"
            )
    return notebook


def solved(**changes: str) -> NotebookNode:
    """The release with all answers in it, some of them others."""
    notebook = released()
    for cell in notebook.cells:
        if cell.id in tiny.ANSWERS:
            cell.source = changes.get(cell.id, tiny.ANSWERS[cell.id])
    return notebook


def at(notebook: NotebookNode, ident: str) -> int:
    return next(n for n, cell in enumerate(notebook.cells) if cell.get("id") == ident)


def put(notebook: NotebookNode, ident: str, cell: NotebookNode, below: int = 1) -> NotebookNode:
    notebook.cells.insert(at(notebook, ident) + below, cell)
    return notebook


def twin(notebook: NotebookNode, ident: str, source: str) -> NotebookNode:
    """A cell with the metadata of another, as Split Cell and Copy make it."""
    cell = copy.deepcopy(notebook.cells[at(notebook, ident)])
    cell.update(id=os.urandom(4).hex(), source=source)
    return cell


def split(ident: str, upper: str, lower: str) -> NotebookNode:
    """JupyterLab's Split Cell: the last part keeps the id, the first takes the metadata."""
    notebook = solved(**{ident: lower})
    return put(notebook, ident, twin(notebook, ident, upper), below=0)


def bare(notebook: NotebookNode, *fields: str) -> NotebookNode:
    for cell in notebook.cells:
        for field in fields:
            cell.pop(field, None)
    return notebook


def found(notebook: NotebookNode):
    return answers(json.dumps(notebook).encode(), released())


def double_of(source: str):
    """What an answer's double makes of 3, run alone."""
    namespace = {"Tensor": object, "torch": __import__("torch")}
    exec(source, namespace)  # noqa: S102 - ours
    return namespace["double"](3)


HELPED = "def double(x):\n    return twice * x\n"


def with_helper(cell: NotebookNode, below: int = 0) -> NotebookNode:
    return put(solved(task1=HELPED), "task1", cell, below)


def pressed_m() -> NotebookNode:
    """The answer's cell made a text cell by a key, and written again below."""
    notebook = solved()
    place = at(notebook, "task1")
    notebook.cells[place] = new_markdown_cell(DOUBLE, id="task1")
    return put(notebook, "task1", new_code_cell(DOUBLE))


RIGHT = {  # kind: a notebook whose double is right, and a part of the note
    "split-rest-empty": (split("task1", DOUBLE, ""), "by nbgrader's name"),
    "split-rest-call": (split("task1", DOUBLE, "double(torch.ones(2)).shape"), "were joined"),
    "split-rest-comment": (split("task1", DOUBLE, "# done"), "by nbgrader's name"),
    "split-helper-above": (
        split("task1", "twice = 2\n", "def double(x):\n    return twice * x"),
        "joined",
    ),
    "split-within-the-function": (
        split("task1", "def double(x):\n    y = 2 * x", "    return y"),
        "2 cells, which were joined",
    ),
    "split-within-a-line": (split("task1", "def double(x):\n    return (2", "    * x)"), "joined"),
    "split-in-three": (
        put(
            split("task1", "import math", "def double(x):\n    return k * x"),
            "task1",
            twin(solved(), "task1", "k = math.floor(2.5)"),
            below=0,
        ),
        "3 cells",
    ),
    "function-below": (
        put(solved(task1="# my answer is below"), "task1", new_code_cell(DOUBLE)),
        "by what it defines",
    ),
    "function-at-the-end": (
        put(solved(task1=f"def double(x):\n    {tiny.STUB}"), "written", new_code_cell(DOUBLE)),
        "by what it defines",
    ),
    "function-above-the-stub": (
        put(
            solved(task1=released().cells[at(released(), "task1")].source),
            "task1",
            new_code_cell(DOUBLE),
            below=0,
        ),
        "by what it defines",
    ),
    "old-try-above": (
        put(solved(), "task1", new_code_cell("def double(x):\n    return x"), below=0),
        "2 cells define it; the last counts",
    ),
    "old-try-in-its-cell": (
        put(solved(task1="def double(x):\n    return x"), "task1", new_code_cell(DOUBLE)),
        "the last counts",
    ),
    "old-try-that-is-broken": (
        put(solved(), "task1", new_code_cell("def double(x:\n    return 2 **"), below=0),
        "the last counts",
    ),
    "no-ids-old-copy-above": (
        bare(
            put(
                solved(),
                "task1",
                twin(solved(), "task1", "def double(x):\n    return x"),
                below=0,
            ),
            "id",
        ),
        "the last counts",
    ),
    "ids-lost": (bare(solved(), "id"), "its id was lost"),
    "ids-and-metadata-lost": (bare(solved(), "id", "metadata"), "its id was lost"),
    "helper-in-a-cell-of-its-own": (with_helper(new_code_cell("twice = 2")), ""),
    "helper-below": (with_helper(new_code_cell("twice = 2"), below=1), ""),
    "helper-of-a-helper": (
        with_helper(
            new_code_cell("import math\ndef k():\n    return math.floor(2.5)\ntwice = k()")
        ),
        "",
    ),
    "helper-beside-what-never-ends": (
        with_helper(new_code_cell("twice = 2\nwhile True:\n    pass")),
        "",
    ),
    "import-in-the-first-cell": (
        solved(task1="def double(x):\n    return math.floor(2.5) * x"),
        "",
    ),
    "magic-above": (solved(task1=f"%matplotlib inline\n{DOUBLE}"), ""),
    "made-text-and-written-again": (pressed_m(), "by what it defines"),
    "name-of-a-lambda": (solved(task1="double = lambda x: 2 * x"), ""),
}
RIGHT["import-in-the-first-cell"][0].cells[1].source += "\nimport math"


@pytest.mark.parametrize("kind", RIGHT)
def test_a_right_answer_is_found_wherever_it_stands(kind):
    notebook, note = RIGHT[kind]
    sources, _, notes = found(notebook)
    source = "\n".join(x for x in sources["task1"].splitlines() if not x.startswith("%"))
    assert double_of(source) == 6
    assert "while True" not in source
    told = [text for text in notes if text.startswith("task1")]
    assert note in " ".join(told)
    assert bool(note) == bool(told)
    assert sources["task2"].strip() == SHRINK.strip()


def test_the_rest_of_a_function_is_found_without_its_metadata():
    head = DOUBLE.partition("\n")[0]
    notebook = solved(task1=head + "\n    y = 2 * x")
    notebook = put(notebook, "task1", new_code_cell("    return y"))
    sources, _, notes = found(notebook)
    assert double_of(sources["task1"]) == 6
    assert "it stands in 2 cells, which were joined" in " ".join(notes)


def test_what_was_not_written_is_the_stub_and_what_is_gone_is_told():
    sources, _, notes = found(released())
    assert tiny.STUB in sources["task1"]
    assert not notes
    stub = released()
    stub = stub.cells[at(stub, "task1")].source
    sources, _, notes = found(split("task1", "import math  # my thoughts", stub))
    assert sources["task1"] == stub, "what stands above a stub is no answer"
    assert not [text for text in notes if text.startswith("task1")]
    notebook = solved()
    del notebook.cells[at(notebook, "task1")]
    sources, _, notes = found(notebook)
    assert "task1" not in sources
    assert notes == ["task1: the answer's cell is missing; it counts as not written."]
    notebook = solved()
    notebook.cells[at(notebook, "task1")].cell_type = "raw"
    assert "is not a code cell any more" in found(notebook).notes[0]


# Written answers


def pasted() -> NotebookNode:
    notebook = solved(written=f"{WORDS}\n\n![drawn](attachment:image.png)")
    notebook.cells[at(notebook, "written")].attachments = {"image.png": {"image/png": PIXEL}}
    below = new_markdown_cell("![again](attachment:image.png)")
    below.attachments = {"image.png": {"image/png": PIXEL * 2, "text/html": "<script>"}}
    return put(notebook, "written", below)


def merged_upwards() -> NotebookNode:
    notebook = solved()
    notebook.cells[at(notebook, "written-text")].source += f"\n\n{WORDS}"
    del notebook.cells[at(notebook, "written")]
    return notebook


def changed_question() -> NotebookNode:
    notebook = released()
    notebook.cells[at(notebook, "written-text")].source = f"Task 3: {WORDS}"
    return notebook


def of_kind(kind: str) -> NotebookNode:
    notebook = solved()
    cell = (new_raw_cell if kind == "raw" else new_code_cell)(WORDS, id="written")
    notebook.cells[at(notebook, "written")] = cell
    return notebook


WRITTEN = {  # kind: a notebook that holds the words
    "in-its-cell": solved(),
    "in-a-cell-below": put(released(), "written", new_markdown_cell(WORDS)),
    "in-a-cell-above": put(released(), "written", new_markdown_cell(WORDS), below=0),
    "in-two-cells": put(solved(), "written", new_markdown_cell("My second paragraph.")),
    "made-raw": of_kind("raw"),
    "made-code": of_kind("code"),
    "merged-upwards": merged_upwards(),
    "below-the-stub": solved(written=f"*Your answer, in place of this line.*\n\n{WORDS}"),
    "question-changed": changed_question(),
    "ids-and-metadata-lost": bare(solved(), "id", "metadata"),
    "at-the-top-of-the-notebook": put(released(), "title", new_markdown_cell(WORDS)),
    "below-another-task": put(released(), "task1", new_markdown_cell(WORDS)),
    "all-given-cells-gone": nbformat.from_dict(
        {**solved(), "cells": [c for c in bare(solved(), "id").cells if c.source == WORDS]}
    ),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_was_written_reaches_who_reads_it(kind):
    sources, _, _ = found(WRITTEN[kind])
    assert WORDS in sources["written"]
    assert "Your answer, in place of" not in sources["written"]
    if kind == "in-two-cells":
        assert "My second paragraph." in sources["written"]


def test_an_answer_that_was_not_written_stays_the_stub():
    assert found(released()).sources["written"] == "*Your answer, in place of this line.*"


def test_pictures_pasted_into_an_answer_come_along_and_nothing_else_does():
    sources, attachments, _ = found(pasted())
    assert len(attachments["written"]) == 2
    for name, forms in attachments["written"].items():
        assert f"attachment:{name})" in sources["written"]
        assert set(forms) == {"image/png"}


def test_pictures_that_are_too_large_are_left_out_and_told():
    notebook = pasted()
    notebook.cells[at(notebook, "written")].attachments["image.png"]["image/png"] = "A" * 6_000_000
    _, attachments, notes = found(notebook)
    assert attachments["written"] == {}
    assert "look into the file" in " ".join(notes)


# Whose it is, and which file counts


def save(folder: Path, *place: str, notebook: NotebookNode | None = None, time: int = 0) -> Path:
    path = folder.joinpath(*place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(solved() if notebook is None else notebook), "utf-8")
    if time:
        os.utime(path, (time, time))
    return path


@pytest.fixture
def masters() -> dict[str, NotebookNode]:
    other = nbformat.from_dict(json.loads(json.dumps(released())))
    for cell in other.cells:
        cell.source = cell.source.replace("double", "triple").replace("shrink", "stretch") + "\n# 2"
    return {"hw1": released(), "hw2": other}


SCRATCH = nbformat.v4.new_notebook(cells=[new_code_cell("1 + 1")])


def canvas(folder: Path) -> None:
    save(folder, "doejane_12345_6789012_hw1_tiny.ipynb")
    (folder / "doejane_12345_6789013_notes.pdf").write_bytes(b"%PDF-1.4")
    save(folder, "roemax_LATE_12346_6789020_hw1_tiny-2.ipynb")


def moodle(folder: Path) -> None:
    save(folder, "Jane Doe_1001_assignsubmission_file_", "hw1_tiny.ipynb")
    save(folder, "Max O'Roe_1002_assignsubmission_file_hw1_tiny.ipynb")
    place = folder / "Jane Doe_1001_assignsubmission_onlinetext_"
    place.mkdir()
    (place / "onlinetext.html").write_text("<p>done</p>")


def blackboard(folder: Path) -> None:
    for stamp, notebook in (("20-10-00-00", released()), ("21-22-13-05", solved())):
        name = f"Homework 1_jdoe_attempt_2026-11-{stamp}"
        save(folder, f"{name}_hw1_tiny.ipynb", notebook=notebook)
        (folder / f"{name}.txt").write_text("Name: Jane Doe (jdoe)\n")


def exchange(folder: Path) -> None:
    for stamp, notebook in (("20 10:00:00", released()), ("21 22:13:05", solved())):
        time = f"2026-11-{stamp}.000000 UTC"
        path = save(folder, f"jdoe+hw1+{time}+abcd", "hw1_tiny.ipynb", notebook=notebook)
        path.with_name("timestamp.txt").write_text(time)
    save(folder, "jdoe+hw2+2026-11-30 10:00:00.000000 UTC+abcd", "hw2.ipynb")


def junk(folder: Path) -> None:
    save(folder, "anna", "hw1_tiny.ipynb")
    (folder / "__MACOSX" / "anna").mkdir(parents=True)
    for name in ("Thumbs.db", "desktop.ini", "index.html", "__MACOSX/anna/._hw1.ipynb"):
        (folder / name).write_bytes(b"x")


def nested(folder: Path) -> None:
    for name in ("doe", "roe", "sue"):
        save(folder, "Homework 1-download", f"{name}.ipynb")


def nested_canvas(folder: Path) -> None:
    (folder / "submissions").mkdir()
    canvas(folder / "submissions")


def one_student_with_copies(folder: Path) -> None:
    save(folder, "anna", "hw1_tiny.ipynb", time=1_795_000_000)
    save(folder, "anna", "hw1_tiny-Copy1.ipynb", notebook=released(), time=1_794_000_000)
    save(folder, "anna", "Untitled.ipynb", notebook=SCRATCH)


CLASSES = {  # kind: (how it lies there, the students who have a right answer)
    "canvas": (canvas, {"doejane_12345", "roemax_12346"}),
    "moodle": (moodle, {"Jane Doe", "Max O'Roe"}),
    "blackboard": (blackboard, {"jdoe"}),
    "exchange": (exchange, {"jdoe"}),
    "junk": (junk, {"anna"}),
    "nested": (nested, {"doe", "roe", "sue"}),
    "nested-canvas": (nested_canvas, {"doejane_12345", "roemax_12346"}),
    "one-student": (one_student_with_copies, {"anna"}),
}


def counted(folder: Path, masters: dict) -> dict[str, bool]:
    """Who handed in, and whether what counts is solved."""
    handed_in, _ = collect.submissions(folder, "hw1", masters)
    return {
        s.student: bool(s.path) and double_of(found_in(s.path).sources["task1"]) == 6
        for s in handed_in
    }


def found_in(path: Path):
    return answers(collect.content_of(path), released())


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("kind", CLASSES)
def test_a_download_is_one_row_a_person(tmp_path, masters, kind, packed):
    make, students = CLASSES[kind]
    place = tmp_path / "class"
    place.mkdir()
    make(place)
    if packed:
        place = Path(zipped(place))
    with downloads.opened(place) as folder:
        assert counted(folder, masters) == dict.fromkeys(students, True)


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def test_lateness_and_junk_are_told(tmp_path, masters):
    canvas(tmp_path)
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    handed_in, ignored = collect.submissions(tmp_path, "hw1", masters)
    notes = {s.student: " ".join(s.notes) for s in handed_in}
    assert "handed in late" in notes["roemax_12346"]
    assert "notes.pdf is not a notebook" in notes["doejane_12345"]
    assert ignored == ["Thumbs.db"]


NOW = 1_795_000_000
FILES = {  # kind: what lies in a student's folder besides or as the homework
    "scratch-is-newer": [("hw1_tiny.ipynb", None, NOW), ("Untitled.ipynb", SCRATCH, NOW + 60)],
    "same-time": [("hw1_tiny.ipynb", None, NOW), ("notes.ipynb", SCRATCH, NOW)],
    "named-hw2": [("hw2_jane.ipynb", None, NOW)],
    "upper-case": [("HW1.IPYNB", None, NOW)],
    "saved-by-safari": [("hw1_tiny.ipynb.txt", None, NOW)],
    "saved-by-a-browser": [("hw1_tiny.json", None, NOW)],
    "without-an-ending": [("hw1_tiny", None, NOW)],
    "hw2-is-newer": [("hw1_tiny.ipynb", None, NOW), ("other.ipynb", "hw2", NOW + 60)],
    "a-checkpoint": [("hw1.ipynb", None, NOW), (".ipynb_checkpoints/a.ipynb", SCRATCH, NOW + 9)],
    "an-older-try": [("b.ipynb", None, NOW), ("a.ipynb", released(), NOW - 60)],
}


@pytest.mark.parametrize("kind", FILES)
def test_the_file_that_holds_this_homework_counts_then_the_last(tmp_path, masters, kind):
    for name, notebook, when in FILES[kind]:
        notebook = masters["hw2"] if notebook == "hw2" else notebook
        save(tmp_path, "anna", *name.split("/"), notebook=notebook, time=when)
    save(tmp_path, "berta", "hw1_tiny.ipynb")  # a class of one folder may be one folder too many
    assert counted(tmp_path, masters) == {"anna": True, "berta": True}


def test_stored_figures_do_not_make_a_notebook_too_large(tmp_path, masters):
    notebook = solved()
    data = {"image/png": "A" * 25_000_000}
    output = nbformat.v4.new_output("display_data", data=data)
    notebook.cells[at(notebook, "task1")].outputs = [output]
    path = save(tmp_path, "anna.ipynb", notebook=notebook)
    assert counted(tmp_path, masters) == {"anna": True}
    assert len(collect.content_of(path)) < 100_000


def test_a_submission_without_an_answer_does_not_end_in_silence(tmp_path, masters):
    save(tmp_path, "anna.ipynb", notebook=SCRATCH)
    save(tmp_path, "berta.ipynb", notebook=masters["hw2"])
    (tmp_path / "carl.ipynb").write_text('{"cells": [')
    (tmp_path / "dora.docx").write_bytes(b"PK")
    handed_in, _ = collect.submissions(tmp_path, "hw1", masters)
    assert [s.path for s in handed_in] == [None] * 4
    said = [" ".join(s.notes) for s in handed_in]
    expected = ("holds no cell of any", "of hw2, not of hw1", "JSON breaks", "is not a notebook")
    assert all(part in text for part, text in zip(expected, said, strict=True))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-20 10:00:00 UTC", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20 10:00:00.000000 UTC", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20T10:00:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20 10:00:00 Europe/Berlin", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20-10-00-00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("2026-11-20 10:00:00", datetime(2026, 11, 20, 10, tzinfo=UTC)),
        ("yesterday", None),
        ("2026-11-20 10:00:00 Nowhere/Land", None),
        ("2026-13-45 10:00:00", None),
    ],
)
def test_a_time_is_read_with_its_zone(text, time):
    assert downloads.time_of(text) == time


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system's zone cannot be set")
def test_blackboard_s_time_is_that_of_this_machine(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1")  # an hour east, on every system
    time.tzset()
    try:
        found = downloads.time_of("2026-11-21-22-13-05")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == datetime(2026, 11, 21, 21, 13, 5, tzinfo=UTC)


# ZIP files that want to do harm


def packed(folder: Path, *entries: tuple[str, bytes]) -> Path:
    path = folder / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../out.ipynb", "/etc/out", "a/../../out", "..\\out.ipynb"])
def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    place = packed(tmp_path, (name, b"x"))
    with pytest.raises(ValueError, match="leads out of it"), downloads.opened(place):
        pytest.fail("it was opened")
    assert not (tmp_path.parent / "out.ipynb").exists()


def test_a_zip_that_is_too_large_or_damaged_is_refused(tmp_path, monkeypatch):
    place = packed(tmp_path, ("a.ipynb", b"x" * 1000), ("b.ipynb", b"x"))
    monkeypatch.setattr(downloads, "MOST_BYTES", 500)
    with pytest.raises(ValueError, match="would unpack to 2 files"), downloads.opened(place):
        pass
    broken = io.BytesIO(place.read_bytes())
    broken.seek(35)
    broken.write(b"\xff" * 20)
    place.write_bytes(broken.getvalue())
    monkeypatch.undo()
    with pytest.raises(ValueError, match="cannot be read"), downloads.opened(place):
        pass


def test_a_file_that_is_no_notebook_has_a_reason():
    for content, reason in ((b"\xff\xfe", "UTF-8"), (b"[1]", "no cells"), (b"{", "JSON breaks")):
        with pytest.raises(UnreadableError, match=reason):
            answers(content, released())

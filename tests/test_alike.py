"""The page of look-alikes: copies in disguise stand on it, and what everybody has does not."""

import random
import time
from itertools import combinations

import nbformat
import pytest
from homework import copied, tiny
from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from course_utils.grading import alike, pages
from course_utils.tools.files import NOTEBOOKS, chapters

SOURCES = {p.stem.split("_")[0]: p for p in sorted((NOTEBOOKS / "homework").glob("hw*.ipynb"))}
SENTENCE = "Coordinate descent pays wherever only seven of the hundred filters ever move."
HONEST = [
    "def double(x):\n    return x + x",
    "def double(x):\n    out = x.clone()\n    out += x\n    return out",
    "def double(x):\n    return torch.stack([x, x]).sum(0)",
]
RARE = """def double(x):
    parts = []
    shape = x.shape
    for row in x.reshape(-1, 1):
        half = row.cumsum(0) * 3 - row
        parts.append(half.roll(1, 0).flip(0).roll(-1, 0) ** 2 / half.clamp(min=1e-9))
    return torch.cat(parts).reshape(shape).to(x.dtype)
"""
COPY = """def double(x):
    # my own idea
    size = x.shape
    found = []
    for one in x.reshape(-1, 1):
        own = (
            one.cumsum(0) * 3 - one
        )
        found.append(
            own.roll(1, 0).flip(0).roll(-1, 0) ** 2 / own.clamp(min=1e-9),
        )
    return torch.cat(found).reshape(size).to(x.dtype)
"""


def in_code(texts: list[str], known: str = "") -> list[alike.Row]:
    """What is found in a class whose students are numbered, with one task."""
    answers = {f"s{number:02d}": text for number, text in enumerate(texts)}
    return alike.alike_in_code({"task1": answers}, [known], list(answers))[0]


def in_words(texts: list[str], known: str = "") -> list[alike.Row]:
    answers = {f"s{number:02d}": text for number, text in enumerate(texts)}
    return alike.alike_in_words({"written": answers}, [known], len(answers))


def pairs(rows: list[alike.Row]) -> set[frozenset[str]]:
    return {frozenset(pair) for row in rows for pair in combinations(row.students, 2)}


# Code


def test_a_copy_with_other_names_order_comments_and_layout_is_found():
    (row,) = in_code([*HONEST * 8, RARE, COPY])
    assert set(row.students) == {"s24", "s25"}
    assert row.pieces[0].share > 0.5


def test_the_lines_that_both_have_are_marked_as_they_were_written():
    (row,) = in_code([*HONEST * 8, RARE, COPY])
    sides = dict(zip(row.students, (row.pieces[0].left, row.pieces[0].right), strict=True))
    assert "\n".join(line for _, line in sides["s25"]) == COPY
    assert (True, "            one.cumsum(0) * 3 - one") in sides["s25"]
    assert (False, "    # my own idea") in sides["s25"]


def test_those_who_copied_of_the_same_answer_are_one_row():
    (row,) = in_code([*HONEST * 8, RARE, COPY, RARE.replace("row", "r")])
    assert set(row.students) == {"s24", "s25", "s26"}


def test_what_a_large_part_of_the_class_has_is_not_listed():
    assert in_code([*HONEST * 8, *[RARE] * 10]) == []


def test_what_the_reference_has_is_not_listed_but_counted():
    answers = {"task1": {"a": RARE, "b": COPY, "c": HONEST[1]}}
    rows, silent = alike.alike_in_code(answers, [RARE, COPY], ["a", "b", "c"])
    assert rows == []
    assert silent == {"task1": 2}


def test_in_a_class_of_two_a_copy_is_found():
    assert pairs(in_code([RARE, COPY])) == {frozenset(("s00", "s01"))}


@pytest.mark.parametrize("odd", ["", "def double(x)\n    return '", "\0", "(" * 5000, "%%bash\nls"])
def test_an_answer_that_is_no_python_is_compared_too(odd):
    assert len(in_code([*HONEST * 8, RARE, COPY, odd])) == 1


# Text


def test_a_sentence_that_two_share_is_found_whatever_stands_around_it():
    (row,) = in_words([f"First. {SENTENCE} Then.", "Nothing.", f"It is so:\n* {SENTENCE.upper()}"])
    assert row.students == ["s00", "s02"]
    assert row.pieces[0].left == [(True, SENTENCE)]


def test_a_sentence_with_a_word_changed_is_found():
    assert in_words([SENTENCE, SENTENCE.replace("hundred", "many")])


def test_a_short_sentence_or_another_one_is_not():
    assert in_words(["It needs no step size.", "It needs no step size."]) == []
    assert in_words([SENTENCE, "A sentence of about as many words that says something else."]) == []


def test_what_the_question_or_the_model_answer_has_is_taken_out():
    assert in_words([SENTENCE, SENTENCE], f"The question. {SENTENCE}") == []


def test_a_sentence_of_many_is_left_out():
    assert in_words([SENTENCE] * 6) == []
    assert len(in_words([SENTENCE] * 3)[0].students) == 3


# The page


def class_of_notebooks() -> alike.Found:
    """What is found in a class in which two copied both kinds of answers."""
    master = tiny.source()
    sheets = {}
    for name, code in {"<b>anna</b>": RARE, "berta": COPY, "carl": HONEST[1]}.items():
        words = f"{SENTENCE} <script>" if name != "carl" else "I do not know."
        sheets[name] = tiny.filled(tiny.source(), task1=code, written=words)
    return alike.look(sheets, master, tiny.source())


def test_code_and_text_of_notebooks_are_compared():
    found = class_of_notebooks()
    assert pairs(found.code) == pairs(found.text) == {frozenset(("<b>anna</b>", "berta"))}
    assert [piece.task for piece in found.code[0].pieces] == ["task1"]


def test_the_page_is_a_place_to_look_and_shows_what_students_wrote_as_text():
    page = alike.page(pages.templates(), "Tiny", class_of_notebooks(), {})
    assert "a place to look, not a verdict" in page
    assert "&lt;b&gt;anna&lt;/b&gt;" in page
    assert "<b>anna" not in page
    assert "<script" not in page
    assert "http" not in page


def test_a_class_in_which_nobody_is_alike_is_told_so():
    empty = alike.look({"anna": new_notebook()}, tiny.source(), tiny.source())
    page = alike.page(pages.templates(), "Tiny", empty, {})
    assert "Nobody's code is closer" in page
    assert "No sentence of eight words or more is shared" in page


# A class of 300, some of whom copied: tests/homework/copied.py


def source_of(name: str):
    return nbformat.read(SOURCES[name], as_version=4)


def found_among(name: str, size: int, families: list[int]) -> tuple[list[bool], float]:
    """Of each row whether all in it are of one family, and what part of the families is in rows."""
    source = source_of(name)
    planted = copied.a_class(name, source, size, families, seed=3)
    known = [*alike.chapters(), *(c.source for c in source.cells if c.cell_type == "code")]
    rows, _ = alike.alike_in_code(
        planted.answers, known, sorted(next(iter(planted.answers.values())))
    )
    truth = {pair for _, pair in planted.copies}
    return [pairs([row]) <= truth for row in rows], len(pairs(rows) & truth) / len(truth)


def test_in_a_class_of_forty_most_copies_are_listed_and_little_else():
    right, part = found_among("hw1", 40, [2] * 3)
    assert part >= 0.6
    assert sum(right) >= 2
    assert len(right) <= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [("hw1", 0.9, 0.7), ("hw4", 0.8, 0.6)],
)
def test_of_300_most_who_are_listed_copied(name, precision, recall):
    right, part = found_among(name, 300, [2] * 20 + [4] * 2)
    assert sum(right) >= precision * len(right)
    assert part >= recall


def prose() -> list[str]:
    """The sentences of the chapters."""
    cells = [c for path in chapters() for c in nbformat.read(path, as_version=4).cells]
    return [text for c in cells if c.cell_type == "markdown" for text in c.source.split(". ")]


def sheet_of(source: NotebookNode, answers: dict[str, str]) -> NotebookNode:
    """A notebook with some answers."""
    cells = [nbformat.from_dict(cell) for cell in source.cells]
    for cell in cells:
        cell.source = answers.get(cell.id, cell.source)
    return new_notebook(cells=cells)


@pytest.mark.slow
def test_300_submissions_are_compared_in_under_a_minute():
    source, dice, sentences = source_of("hw2"), random.Random(5), prose()
    planted = copied.a_class("hw2", source, 300, [2] * 20, seed=4)
    sheets = {}
    for student in sorted(next(iter(planted.answers.values()))):
        answers = {task: given[student] for task, given in planted.answers.items()}
        answers["written"] = ". ".join(dice.sample(sentences, 12))
        sheets[student] = sheet_of(source, answers)
    start = time.monotonic()
    found = alike.look(sheets, source, source)
    assert time.monotonic() - start < 60
    assert found.code

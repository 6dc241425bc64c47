"""What the lecturers' pages and talks quote from a chapter stands in that chapter."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from course_utils.tools.files import NOTEBOOKS, chapters

PACK = NOTEBOOKS / "book" / "lecturers"
QUOTED = ("misconceptions.md", *(f"talks/{path.stem}.md" for path in chapters()))
NUMBER = re.compile(r"(?<![\w.^])\d+(?:,\d{3})*\.\d+|\b\d{1,3}(?:,\d{3})+\b")
CHAPTER = re.compile(r"^##? (?:The talk to chapter )?(\d) · ")


def said(path: Path) -> str:
    """All that a chapter says: its text, its code and its outputs."""
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        texts.append(cell.source)
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *map(str, output.get("data", {}).values())]
    return "\n".join(texts)


@pytest.fixture(scope="module")
def chapter() -> dict[int, str]:
    return {int(path.stem[:2]): said(path) for path in chapters()}


def quoted(text: str) -> Iterator[tuple[str, set[int]]]:
    """The numbers of a page, and the chapters that they can be from: whose part it is, or named."""
    here = None
    for line in text.splitlines():
        found = CHAPTER.match(line)
        here = int(found[1]) if found else here
        named = {int(number) for number in re.findall(r"chapter (\d)", line)}
        yield from ((number, named | {here}) for number in NUMBER.findall(line))


def missing(text: str, chapter: dict[int, str]) -> list[str]:
    """The numbers of a page that stand in none of their chapters."""
    return [
        number
        for number, of in quoted(text)
        for form in [f"{re.escape(number)}|{number.replace(',', '')}"]
        if not any(re.search(rf"(?<![\d.])(?:{form})(?!\d)", chapter.get(n, "")) for n in of)
    ]


@pytest.mark.parametrize("name", QUOTED)
def test_a_number_that_a_page_quotes_stands_in_its_chapter(chapter, name):
    assert missing((PACK / name).read_text("utf-8"), chapter) == []


def test_a_number_of_no_chapter_is_found():
    page = "## 5 · Local\n\nIt has 3.16, 3,331 and 3.76; chapter 2 has 0.5.\n"
    assert missing(page, {5: "3.16 and 3331", 2: "0.5"}) == ["3.76"]
    assert missing("## 5 · Local\n\n1.25", {5: "11.25"}) == ["1.25"]

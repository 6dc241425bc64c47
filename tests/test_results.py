"""The page of results: written from the stored runs, and by nobody's hand."""

import json
import re
import shutil
from decimal import Decimal
from html import unescape

import pytest
from pybtex.database import parse_file

from course_utils.publish import book, results
from course_utils.reproduce.__main__ import RUNS

TABLES = [table for section in results.plan()["section"] for table in section.get("stored", [])]
WRITTEN = results.PAGE.read_text("utf-8")
CELLS = re.findall(r"(?<=\| )[^|\n]+(?= \|)", WRITTEN)
NUMBER = re.compile(r"−?\d+(\.\d+)?(e-\d+)?|–")


@pytest.fixture
def stored(tmp_path):
    """A copy of the stored runs."""
    for path in results.RESULTS.glob("*.json"):
        shutil.copy(path, tmp_path)
    return tmp_path


def changed(path, key, change):
    """Change the values of a figure that path holds."""
    held = json.loads(path.read_text("utf-8"))
    figure = held["figures"][key]
    figure["values"] = [change(value) for value in figure["values"]]
    path.write_text(json.dumps(held), "utf-8")


def test_the_page_is_what_the_command_writes_today():
    assert results.page(results.RESULTS) == WRITTEN, "python3 course.py results"


def test_the_picture_shows_the_numbers_of_today():
    told = re.search(r"<dc:description>(.*?)</dc:description>", results.PICTURE.read_text("utf-8"))
    assert unescape(told[1]) == results.described(results.panels(results.RESULTS))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["unit"])
def test_each_number_of_the_page_follows_its_file(table, stored):
    path = stored / f"{table['run']}.json"
    for row in table["rows"]:
        page, told = results.page(stored), results.described(results.panels(stored))
        changed(path, row["key"], lambda value: value + 1)
        lines = zip(page.split("\n"), results.page(stored).split("\n"), strict=True)
        told_anew = ("![", "Our ")  # the picture's text, and how ours stand beside published ones
        (before,) = [old for old, new in lines if old != new and not old.startswith(told_anew)]
        assert before.startswith(f"| {row['what']} |")
        assert (results.described(results.panels(stored)) != told) == ("short" in row)


def test_what_is_shown_is_middle_lowest_and_highest(stored):
    table = {"run": "drsae", "middle": "mean", "digits": 1, "rows": []}
    table["rows"] = [{"what": "error", "key": "test_error_percent.400x11"}]
    held = json.loads((stored / "drsae.json").read_text("utf-8"))
    held["figures"]["test_error_percent.400x11"]["values"] = [-1, -0.01, 4]
    (stored / "drsae.json").write_text(json.dumps(held), "utf-8")
    (row,) = results.rows_of(table, stored)
    assert (row.ours, row.runs) == (("1.0", "−1.0", "4.0"), 3)
    (row,) = results.rows_of({**table, "middle": "median"}, stored)
    assert row.ours[0] == "0.0"


def test_each_cell_holds_one_number_or_is_text():
    tables = [
        block.split("\n") for block in WRITTEN.strip().split("\n\n") if block.startswith("| ")
    ]
    assert tables
    for _, rule, *lines in tables:
        for line in lines:
            cells = zip(rule.split("|")[1:-1], line.split("|")[1:-1], strict=True)
            numbers = [cell.strip() for kind, cell in cells if kind.strip() == "---:"]
            assert numbers
            assert all(map(NUMBER.fullmatch, numbers)), line


def test_only_what_the_authors_printed_is_called_published_and_all_have_a_source():
    keys = book.labels(parse_file(book.PAGES / "references.bib"))
    for table in TABLES:
        for row in table["rows"]:
            if "known" in row:
                assert isinstance(row["known"], Decimal | int)
                borrowed = re.search("LM-FISTA|logs", row["source"])
                assert (table["beside"] == results.PUBLISHED) == (not borrowed)
                assert borrowed or book.cited(row["source"], keys) != row["source"]


def test_the_commands_of_the_page_are_there():
    commands = {cell for cell in CELLS if cell.startswith("`") and not cell.startswith("`sparse")}
    assert len(commands) > 8
    for command in commands:
        task, *what = command.strip("`").split()
        assert task in ("reproduce", "bench", "test")
        if task == "reproduce":
            assert what[0] in RUNS
        if task == "test":
            assert (results.NOTEBOOKS.parent / what[0]).is_file()


@pytest.mark.parametrize("broken", ["no file", "no figure", "no seed", "no JSON"])
def test_a_number_that_is_missing_is_one_sentence_and_the_page_stays(
    broken, stored, tmp_path, monkeypatch, capsys
):
    path = stored / "lista_depth_longer.json"
    held = json.loads(path.read_text("utf-8"))
    if broken == "no file":
        path.unlink()
    elif broken == "no figure":
        path.write_text(json.dumps(held | {"figures": {}}), "utf-8")
    elif broken == "no seed":
        held["figures"]["worth.lista.1"]["values"] = [None]
        path.write_text(json.dumps(held), "utf-8")
    else:
        path.write_text('{"figures"', "utf-8")
    page = tmp_path / "page" / "results.md"
    page.parent.mkdir()
    page.write_text("as it was")
    monkeypatch.setattr(results, "RESULTS", stored)
    monkeypatch.setattr(results, "PAGE", page)
    monkeypatch.setattr(results, "PICTURE", page.with_suffix(".svg"))
    assert results.main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "lista_depth_longer.json" in line
    assert page.read_text() == "as it was"
    assert not results.PICTURE.exists()


def test_the_command_writes_page_and_picture_and_takes_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "PAGE", tmp_path / "results.md")
    monkeypatch.setattr(results, "PICTURE", tmp_path / "images" / "results.svg")
    with pytest.raises(SystemExit) as stopped:
        results.main(["all"])
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err
    assert results.main([]) == 0
    assert results.PAGE.read_text("utf-8") == WRITTEN
    first = results.PICTURE.read_bytes()
    assert results.main([]) == 0
    assert results.PICTURE.read_bytes() == first


def test_in_the_book_the_page_leads_to_a_page_for_each_stored_run(tmp_path):
    shutil.copy(results.PAGE, tmp_path)
    book.results(tmp_path)
    page = (tmp_path / "results.md").read_text("utf-8")
    assert "](../" not in page
    assert "](02_lista.ipynb)" in page
    names = [path.stem for path in results.RESULTS.glob("*.json")]
    assert len(names) > 15
    for name in names:
        assert f"](runs/{name}.md)" in page
        held = json.loads((results.RESULTS / f"{name}.json").read_text("utf-8"))
        lines = (tmp_path / "runs" / f"{name}.md").read_text("utf-8").splitlines()
        assert sum(line.startswith("| `") for line in lines) == len(held["figures"])


def test_beside_published_errors_stands_who_does_better():
    (table,) = (
        table
        for section in results.plan()["section"]
        for table in section.get("stored", [])
        if table["run"] == "drsae" and table.get("beside") == results.PUBLISHED
    )
    easy = table | {"rows": [row | {"known": Decimal(9)} for row in table["rows"]]}
    hard = table | {"rows": [row | {"known": Decimal("0.1")} for row in table["rows"]]}
    assert "in 0 of these 3 rows; in 0 of them" in results.verdict(easy, results.RESULTS)
    assert "in 3 of these 3 rows; in 3 of them" in results.verdict(hard, results.RESULTS)
    assert results.verdict(table | {"beside": "in others' logs"}, results.RESULTS) == ""

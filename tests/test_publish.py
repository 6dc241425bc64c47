"""Slides and book: what a chapter becomes on its way to the browser."""

import os
import re
import shutil
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Error
from pybtex.database import parse_file

from course_utils.publish import assets, book, launch, slides, talks
from course_utils.tools.delivery import MANIFEST
from course_utils.tools.files import chapters
from course_utils.tools.outputs import form_of

PICTURE = new_output(
    "display_data",
    data={"image/png": "iVBORw0KGgo=", "text/plain": "A line."},
    metadata={"image/png": {"alt": "A line."}},
)


def placed(cell, kind="slide", **more):
    cell.metadata.slideshow = {"slide_type": kind, **more}
    return cell


def test_a_figure_stands_alone_and_code_without_one_stands_with_its_output():
    drawn = placed(new_code_cell("plot()", outputs=[PICTURE]))
    counted = placed(new_code_cell("1 + 1", outputs=[new_output("stream", text="2")]))
    only = placed(new_code_cell("1 + 1", outputs=[new_output("stream", text="2")]), show="code")
    notebook = new_notebook(cells=[new_markdown_cell("# A"), drawn, counted, only])
    placed(notebook.cells[0])
    laid_out = slides.deck(notebook).cells[1:]
    assert [cell.metadata.hide_code for cell in laid_out] == [True, False, False]
    assert [len(cell.outputs) for cell in laid_out] == [1, 1, 0]


def test_on_a_slide_a_docstring_is_its_first_line_and_directives_are_gone():
    source = '#| export\ndef f(x):\n    """Return x.\n\n    Raises nothing.\n    """\n    return x'
    notebook = new_notebook(cells=[placed(new_markdown_cell("# A")), placed(new_code_cell(source))])
    assert slides.deck(notebook).cells[1].source == 'def f(x):\n    """Return x."""\n    return x'


def test_a_short_text_takes_the_place_of_a_long_one_which_the_speaker_has():
    long = "## 1 · One\n\n*6 minutes so far*\n\nA long story."
    cell = placed(new_markdown_cell(long), short="## 1 · One\n\nShort.")
    notebook = new_notebook(cells=[placed(new_markdown_cell("# A")), cell])
    _, shown, notes = slides.deck(notebook).cells
    assert shown.source == "## 1 · One\n\nShort."
    assert notes.metadata.slideshow.slide_type == "notes"
    assert notes.source == "## 1 · One\n\n\nA long story."


TALK = """# The talk

Two lectures.

## Lecture 1 · Paws

### Cats

*`a`, 1 min*

Ask: whose cat?

### A line of paws

*`b`, 2.5 min*

Point at the line.

### Claws

*`c`*

## Lecture 2 · Tails

Last time it was paws.

### Tails

*`d`, 3 min*

Point at the tail.
"""


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "09_cats.md"
    path.write_text(TALK, encoding="utf-8")
    return talks.read(path)


def cats():
    """A chapter with a head, a figure, an extra below it and a section for a second lecture."""
    head = new_markdown_cell("# 9 · Cats\n\n![A cat.](attachment:a.webp)\n\nWords.", id="a")
    head.attachments = {"a.webp": {"image/webp": "AAAA"}}
    cells = [placed(head), placed(new_code_cell("plot()", id="b", outputs=[PICTURE]))]
    cells.append(placed(new_markdown_cell("A claw: $x$.", id="c"), "subslide", short="A claw."))
    cells.append(placed(new_markdown_cell("## 1 · Tails", id="d")))
    return new_notebook(cells=cells)


def test_a_talk_is_read_by_slide_with_the_minute_at_which_each_begins(talk):
    starts = {cell: (n.lecture, n.start, n.minutes) for cell, n in talk.items()}
    assert starts == {
        "a": (1, 0, 1),
        "b": (1, 1, 2.5),
        "c": (1, 3.5, 0),
        "lecture-2": (2, 0, 1),
        "d": (2, 1, 3),
    }
    assert talk["lecture-2"].words == "Last time it was paws."
    assert talk["b"].title == "A line of paws"
    assert talks.lasts(talk) == {1: 3.5, 2: 4}


def test_where_there_is_no_talk_nothing_is_said(tmp_path):
    assert talks.read(tmp_path / "none.md") == {}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("*`b`, 2.5 min*", "*b, 2.5 min*"), "09_cats.md: 'A line of paws' is not a heading"),
        (("*`d`, 3 min*", "*`b`, 3 min*"), "'Tails' is for a slide that has one"),
    ],
)
def test_an_entry_of_a_talk_that_cannot_be_read_is_named(tmp_path, change, fault):
    path = tmp_path / "09_cats.md"
    path.write_text(TALK.replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(fault)):
        talks.read(path)


def test_a_slide_gets_title_minutes_and_note_from_the_talk(talk):
    head, note, title, figure, said, claws, _, extra, *_ = slides.deck(cats(), talk).cells
    assert title.source == "## A line of paws"
    assert (title.metadata.slideshow.slide_type, figure.metadata.slideshow.slide_type) == (
        "slide",
        "-",
    )
    assert [cell.metadata.timing for cell in (head, title, claws)] == [60, 150, 0]
    assert note.source == "**Minute 0 of lecture 1, 1 min**\n\nAsk: whose cat?"
    assert said.source == "**Minute 1 of lecture 1, 2.5 min**\n\nPoint at the line."
    assert extra.source.startswith("**An extra, for questions**")
    assert 'data-timing="150"' in slides.page(cats(), talk)


def test_a_slide_with_a_heading_keeps_it(talk):
    sources = [cell.source for cell in slides.deck(cats(), talk).cells]
    assert sources.count("## 1 · Tails") == 1
    assert "## Tails" not in sources


def test_a_second_lecture_begins_with_what_the_first_was_about(talk):
    notebook = cats()
    notebook.cells.insert(1, placed(new_markdown_cell("## 0 · Paws", id="paws")))
    cells = slides.deck(notebook, talk).cells
    at = next(n for n, cell in enumerate(cells) if "Lecture 2" in cell.source)
    picture = "![A cat.](attachment:a.webp)"
    assert cells[at].source == f"# 9 · Cats\n\n{picture}\n\n**Lecture 2.** Last time:\n\n* 0 · Paws"
    assert cells[at].attachments == notebook.cells[0].attachments
    assert cells[at].metadata.timing == 60
    assert cells[at + 1].source.endswith("Last time it was paws.")
    assert cells[at + 2].source == "## 1 · Tails"


def test_a_note_for_no_slide_is_an_error(talk):
    notebook = cats()
    notebook.cells[1].metadata.slideshow.slide_type = "skip"
    with pytest.raises(ValueError, match="no slide begins with the cell 'b' of the talk"):
        slides.deck(notebook, talk)


def test_slides_after_a_heading_carry_it_and_what_is_skipped_is_not_there():
    cells = [new_markdown_cell("# A"), new_markdown_cell("## 1 · One"), new_markdown_cell("Text.")]
    placed(cells[0]), placed(cells[1]), placed(cells[2], "subslide")
    cells.append(placed(new_markdown_cell("Aside."), "skip"))
    laid_out = slides.deck(new_notebook(cells=cells)).cells
    assert [cell.metadata.running for cell in laid_out] == ["", "", "1 · One"]


def test_chapters_named_on_a_slide_are_links_to_their_decks():
    cells = [placed(new_markdown_cell("# A\n\nSee [chapter 2](02_lista.ipynb)."))]
    assert 'href="02_lista.html"' in slides.page(new_notebook(cells=cells))


def test_the_notebook_itself_is_not_changed():
    notebook = nbformat.read(slides.chapters()[1], as_version=4)
    before = nbformat.writes(notebook)
    slides.deck(notebook)
    book.chapter(notebook, "01_ista", {1: {1}}, {})
    assert nbformat.writes(notebook) == before


def test_npm_that_is_missing_is_named_with_its_cure(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(assets, "MODULES", tmp_path / "node_modules")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slides.main(["--to", str(tmp_path / "slides")]) == 2
    assert "install Node.js" in capsys.readouterr().err


def test_npm_that_fails_is_told_and_tried_again_the_next_time(monkeypatch, tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(assets, "MODULES", tmp_path / "build" / "node_modules")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for _ in range(2):
        with pytest.raises(OSError, match="no network"):
            assets.installed()


def test_the_lock_names_no_registry():
    lock = (assets.HERE / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert "http" not in lock


SECTIONS = {1: {1, 2}, 4: {3}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see chapter 4, section 3.", "see [chapter 4, section 3](#chapter-4-section-3)."),
        ("Chapter 4's section 3", "[Chapter 4's section 3](#chapter-4-section-3)"),
        ("in section 2 we", "in [section 2](#chapter-1-section-2) we"),
        ("of chapter 4", "of [chapter 4](#chapter-4)"),
        ("chapter 1 itself, section 9", "chapter 1 itself, section 9"),
        ("`chapter 4` and $chapter 4$", "`chapter 4` and $chapter 4$"),
        ("[chapter 4](04.ipynb)", "[chapter 4](04.ipynb)"),
    ],
)
def test_chapters_and_sections_become_links_where_they_exist(text, expected):
    assert book.linked(text, 1, SECTIONS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(Gregor & LeCun 2010)", "({cite:alp}`gregor2010`)"),
        ("Gregor & LeCun (2010) say", "{cite:t}`gregor2010` say"),
        ("(Ablin et al. 2019)", "({cite:alp}`ablin2019`)"),
        ("Nobody 2019", "Nobody 2019"),
        ("`Gregor & LeCun 2010`", "`Gregor & LeCun 2010`"),
    ],
)
def test_names_and_years_become_citations(text, expected):
    keys = book.labels(parse_file(book.PAGES / "references.bib"))
    assert book.cited(text, keys) == expected


def test_every_citation_of_the_course_is_in_the_bibliography():
    keys = book.labels(parse_file(book.PAGES / "references.bib"))
    name = r"[A-Z][\w'’-]+"
    citation = re.compile(rf"{name}(?: et al\.|(?:, {name})* & {name}) \(?(?:19|20)\d\d\)?")
    missing = set()
    for path in slides.chapters():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown" and "## References" not in cell.source:
                missing |= set(citation.findall(book.cited(cell.source, keys)))
    assert not missing


def test_a_figure_of_the_book_has_its_alternative_text_and_a_slider_its_excuse():
    view = new_output("display_data", data={book.VIEW: {"model_id": "1"}, "text/plain": "slider"})
    cells = [new_markdown_cell("# 1 · A"), new_code_cell("#| export\nplot()", outputs=[PICTURE])]
    cells.append(new_code_cell("interact()", outputs=[view]))
    made = book.chapter(new_notebook(cells=cells), "01_ista", {1: set()}, {}).cells
    assert made[2].metadata.mystnb.image.alt == "A line."
    assert made[2].source == "plot()"
    assert made[3].outputs == []
    assert "there is a slider" in made[4].source


def test_what_a_cell_of_the_book_shows_beside_a_figure_does_not_get_its_alternative_text():
    table = new_output("display_data", data={"text/html": "<table></table>"})
    other = new_output("display_data", PICTURE.data, metadata={"image/png": {"alt": "A dot."}})
    said = new_output("stream", text="one")
    cell = new_code_cell("plot()", outputs=[said, PICTURE, said, table, other])
    notebook = new_notebook(cells=[new_markdown_cell("# 1 · A"), cell])
    made = book.chapter(notebook, "01_ista", {1: set()}, {}).cells[2:]
    assert [part.outputs for part in made] == [[said, PICTURE, said], [table], [other]]
    alts = [part.metadata.get("mystnb", {}).get("image") for part in made]
    assert alts == [{"alt": "A line."}, None, {"alt": "A dot."}]
    assert ["remove-input" in part.metadata.get("tags", []) for part in made] == [False, True, True]


def test_a_caption_moves_into_its_figure_and_the_text_leads_there():
    drawn = new_code_cell("plot()", outputs=[PICTURE])
    caption = new_markdown_cell("**Figure 1.1.** A line, from left to right.\n\nRead it so.")
    text = new_markdown_cell("Figure 1.1 is a line; Figure 1.2 is not there, nor is `Figure 1.1`.")
    notebook = new_notebook(cells=[new_markdown_cell("# 1 · A"), drawn, caption, text])
    figure, rest, text = book.chapter(notebook, "01_ista", {1: set()}, {}).cells[2:]
    assert figure.metadata.mystnb.figure == {
        "caption": "**Figure 1.1.** A line, from left to right.",
        "name": "figure-1-1",
    }
    assert figure.metadata.mystnb.image == {"alt": "A line."}
    assert rest.source == "Read it so."
    linked = "[Figure 1.1](#figure-1-1) is a line; Figure 1.2 is not there, nor is `Figure 1.1`."
    assert text.source == linked


def test_a_chapter_of_the_book_needs_no_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    cells = [new_markdown_cell("# 1 · A"), new_code_cell("1 + 1")]
    box = book.chapter(new_notebook(cells=cells), "01_ista", {1: set()}, {}).cells[1]
    assert "Stored" not in box.source
    assert "All 1 code cells run" in box.source


@pytest.fixture
def small_book(monkeypatch):
    """A function that builds a book of the pages that are named, in place of the whole one."""

    def built(folder, *pages):
        def sphinx(arguments):
            for name in pages:
                page = Path(arguments[-1]) / name
                page.parent.mkdir(parents=True, exist_ok=True)
                page.write_text(f"the page {pages}")
            return 0

        monkeypatch.setattr(book, "lay_out", lambda source: None)
        monkeypatch.setattr(book, "sphinx_build", sphinx)
        return book.main(["--to", str(folder)])

    return built


def held_in(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in files(folder)}


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]


@pytest.mark.parametrize(
    "theirs",
    [
        ["html/index.html"],
        ["source/conf.py", "source/index.rst", "html/.doctrees/a.doctree", "html/index.html"],
        ["html/index.html/mine.txt"],
    ],
)
def test_a_folder_that_is_no_book_of_ours_is_left_as_it_is(theirs, tmp_path, capsys, small_book):
    for name in theirs:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("my own")
    assert small_book(tmp_path, "index.html", "new.html") == 2
    assert "holds a html/index.html that this command did not write" in capsys.readouterr().err
    assert held_in(tmp_path) == dict.fromkeys(theirs, "my own")


def test_a_new_book_replaces_ours_and_leaves_what_lies_beside_it(tmp_path, small_book):
    assert small_book(tmp_path, "index.html", "exam.html") == 0
    (tmp_path / "html" / "CNAME").write_text("my own")
    assert small_book(tmp_path, "index.html") == 0
    assert held_in(tmp_path) == {
        "html/CNAME": "my own",
        "html/index.html": "the page ('index.html',)",
    }


def test_a_page_of_the_book_that_was_edited_stays_and_so_do_all_others(tmp_path, small_book):
    assert small_book(tmp_path, "index.html", "exam.html") == 0
    (tmp_path / "html" / "exam.html").write_text("my own")
    before = held_in(tmp_path)
    assert small_book(tmp_path, "index.html", "new.html") == 2
    assert held_in(tmp_path) == before


def test_a_book_with_faults_leaves_the_one_that_is_there(tmp_path, small_book, monkeypatch, capsys):
    assert small_book(tmp_path, "index.html") == 0
    monkeypatch.setattr(book, "sphinx_build", lambda _: 1)
    assert book.main(["--to", str(tmp_path)]) == 1
    assert "is as it was" in capsys.readouterr().err
    assert list(held_in(tmp_path)) == ["html/index.html"]


@pytest.fixture
def quick_assets(monkeypatch):
    """What slides need of npm, in place of the real packages."""

    def put(package, folder):
        (folder / package).mkdir()
        (folder / package / "a.js").write_text(package)

    monkeypatch.setattr(assets, "put", put)


def test_slides_are_written_over_ours_and_over_nobody_elses(tmp_path, capsys, quick_assets):
    arguments = ["00_start_here", "--to", str(tmp_path)]
    assert slides.main(arguments) == 0
    (tmp_path / "01_ista.html").write_text("another deck")
    assert slides.main(arguments) == 0
    (tmp_path / "deck.css").write_text("my own")
    before = held_in(tmp_path)
    assert slides.main(arguments) == 2
    assert "holds a deck.css that this command did not write" in capsys.readouterr().err
    assert held_in(tmp_path) == before


def test_a_readers_book_holds_nothing_of_the_lecturers_pack_which_can_be_added(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(book.assets, "put", lambda *_: None)
    pack = sorted((book.PAGES / book.PACK).glob("*.md"))
    lines = {line for page in pack for line in page.read_text("utf-8").splitlines()}
    lines = {line for line in lines if len(line) > 60}
    folder = tmp_path / "source"
    folder.mkdir()
    book.lay_out(folder)
    text = "\n".join(page.read_text("utf-8") for page in folder.rglob("*.md"))
    assert len(lines) > 100
    assert not [line for line in lines if line in text]
    assert f"{book.PACK}/" not in text
    book.add_pack(folder)
    assert [page.name for page in sorted((folder / book.PACK).glob("*.md"))] == [
        page.name for page in pack
    ]
    home = (folder / "index.md").read_text("utf-8")
    assert {f"{book.PACK}/{page.stem}" for page in pack} <= set(home.splitlines())


LIBATOMIC = "error while loading shared libraries: libatomic.so.1: cannot open shared object file"


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for Node.js")
def test_a_driver_that_does_not_start_is_told_in_one_sentence_with_its_cure(monkeypatch, tmp_path):
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\necho 'node: {LIBATOMIC}' >&2\nexit 127\n")
    node.chmod(0o755)
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
    with pytest.raises(OSError, match=r"libatomic\.so\.1.*install libatomic1") as told:
        slides.chromium().__enter__()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("programs", "cause"),
    [((), "Chromium is missing"), (("python3", "python"), r"python\S* does not start")],
)
def test_without_a_browser_slides_say_what_to_install(monkeypatch, programs, cause):
    @contextmanager
    def playing():
        yield Mock(chromium=Mock(launch=Mock(side_effect=Error("it is not found"))))

    monkeypatch.setattr(slides, "check_driver", lambda: None)
    monkeypatch.setattr(slides, "sync_playwright", playing)
    monkeypatch.setattr(slides, "BROWSERS", programs)
    with pytest.raises(OSError, match=f"{cause}: .* install Google Chrome"), slides.chromium():
        pass


ADDRESS = "https://github.com/you/course"


def run_install(source, monkeypatch, found) -> list[str]:
    """Run an install cell where the course is found, or not; what it asks of %pip."""
    shell, asked = InteractiveShell(), []
    shell.register_magic_function(asked.append, "line", "pip")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: found)
    assert shell.run_cell(source).success
    return asked


def test_a_chapter_for_colab_installs_the_course_where_it_is_missing_only(tmp_path, monkeypatch):
    assert launch.main([ADDRESS, "--to", str(tmp_path)]) == 0
    made = sorted(tmp_path.glob("*.ipynb"))
    assert [path.name for path in made] == [path.name for path in slides.chapters()]
    for path in made:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert run_install(cells[0].source, monkeypatch, None) == [f"install --quiet git+{ADDRESS}"]
        assert run_install(cells[0].source, monkeypatch, object()) == []
    assert f"git+{ADDRESS}" in (tmp_path / "requirements.txt").read_text("utf-8")


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        f"{ADDRESS}/",
        f"{ADDRESS}.git",
        "https://gitlab.com/group/subgroup/deeper/course",
        "https://git.example.org:8443/you/course",
        "https://git.example.org/course.git",
        "https://github.com/you/my.course-2026",
    ],
)
def test_an_address_that_pip_can_install_from_is_taken(address):
    assert launch.repository(f" {address} ") == address.rstrip("/")


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        (f"{ADDRESS}/tree/main", ADDRESS),
        (f"{ADDRESS}/blob/main/notebooks/01_ista.ipynb", ADDRESS),
        (f"{ADDRESS}?tab=readme-ov-file", ADDRESS),
        (f"{ADDRESS}#two-commands", ADDRESS),
        (f"{ADDRESS}/issues/7", ADDRESS),
        (f"{ADDRESS}/settings", ADDRESS),
        (f"{ADDRESS}.git@v1", launch.FORM),
        (f"git+{ADDRESS}", ADDRESS),
        ("http://github.com/you/course", ADDRESS),
        ("github.com/you/course", ADDRESS),
        ("git@github.com:you/course.git", ADDRESS),
        ("ssh://git@github.com/you/course.git", ADDRESS),
        ("https://you:secret@github.com/you/course", ADDRESS),
        ("https://github.com/you", launch.FORM),
        ("https://github.com", launch.FORM),
        ("https://github.com/you/../course", launch.FORM),
        ("https://you.github.io/course/index.html", launch.FORM),
        ("https://colab.research.google.com/github/you/course/blob/main/a.ipynb", launch.FORM),
        ("https://raw.githubusercontent.com/you/course/main/README.md", launch.FORM),
        (
            "https://gitlab.com/group/sub/course/-/tree/main/notebooks",
            "https://gitlab.com/group/sub/course",
        ),
        ("https://codeberg.org/you/course/src/branch/main", "https://codeberg.org/you/course"),
        ("https://x.y/z", launch.FORM),
        (f"{ADDRESS} ; rm -rf /", ADDRESS),
        (f"{ADDRESS}{{x}}", launch.FORM),
        (f"{ADDRESS}$HOME", launch.FORM),
        ("course", launch.FORM),
        ("", launch.FORM),
    ],
)
def test_another_address_is_refused_with_the_one_that_was_meant(address, meant, tmp_path, capsys):
    assert launch.main([address, "--to", str(tmp_path / "launch")]) == 2
    told = capsys.readouterr().err
    assert told.endswith(f"that pip can install from: write {meant}\n")
    assert len(told.splitlines()) == 1
    assert not (tmp_path / "launch").exists()


def test_launch_writes_over_what_it_wrote_itself(tmp_path):
    assert launch.main([ADDRESS, "--to", str(tmp_path)]) == 0
    (tmp_path / "README.md").write_text("mine")  # beside it: a repository for Binder
    assert launch.main([f"{ADDRESS}2", "--to", str(tmp_path)]) == 0
    assert f"git+{ADDRESS}2" in (tmp_path / "requirements.txt").read_text("utf-8")
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["requirements.txt", "runtime.txt", "01_ista.ipynb"])
def test_launch_writes_over_nobody_elses_file(name, tmp_path, capsys):
    """Neither one that was there before, nor one of its own that was changed since."""
    for _ in range(2):
        (tmp_path / name).write_text("mine")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        assert launch.main([f"{ADDRESS}2", "--to", str(tmp_path)]) == 2
        assert f"holds a {name} that this command did not write" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        (tmp_path / name).unlink()
        assert launch.main([ADDRESS, "--to", str(tmp_path)]) == 0


def test_launch_into_the_chapters_own_folder_changes_nothing(tmp_path, capsys):
    for path in slides.chapters():
        shutil.copy(path, tmp_path)
    assert launch.main([ADDRESS, "--to", str(tmp_path)]) == 2
    assert "holds a 00_start_here.ipynb that this command did not write" in capsys.readouterr().err
    copies = [tmp_path / path.name for path in slides.chapters()]
    assert [c.read_bytes() for c in copies] == [p.read_bytes() for p in slides.chapters()]


def talk_of(path):
    return talks.read(slides.TALKS / f"{path.stem}.md")


@pytest.mark.parametrize("path", chapters()[1:], ids=lambda path: path.stem)
def test_each_chapter_is_two_lectures_of_45_minutes_with_half_its_slides_a_picture(path):
    notebook, talk = nbformat.read(path, as_version=4), talk_of(path)
    core, pictured = Counter(), Counter()
    for cells in slides.grouped(notebook):
        note = talk.get(cells[0].id)
        if slides.kind(cells[0]) == "slide":
            assert note, f"the slide of {cells[0].id} has no note"
            assert note.words, f"the slide of {cells[0].id} has no words"
            assert note.minutes, f"the slide of {cells[0].id} has no minutes"
            core[note.lecture] += 1
            pictured[note.lecture] += any(map(pictures_of, cells))
        elif any(map(pictures_of, cells)):
            assert note, f"the picture of {cells[0].id} has no note"
    assert set(core) == {1, 2}
    for lecture, minutes in talks.lasts(talk).items():
        assert 38 <= minutes <= 45
        assert 12 <= core[lecture] <= 20
        assert pictured[lecture] >= core[lecture] / 2


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_a_slide_has_the_number_of_its_section(path):
    numbered = re.compile(r"^## (\d+) · ", re.MULTILINE)
    for cell in nbformat.read(path, as_version=4).cells:
        short = cell.metadata.slideshow.get("short", "")
        if numbered.search(short):
            assert numbered.findall(short) == numbered.findall(cell.source), cell.id


def pictures_of(cell) -> bool:
    """Whether a cell of a deck shows a picture."""
    if cell.cell_type == "code":
        return any(map(form_of, cell.outputs)) and cell.metadata.slideshow.get("show") != "code"
    return bool(cell.get("attachments"))


def test_the_syllabus_gives_the_minutes_of_chapters_and_talks():
    table = (slides.TALKS.parent / "syllabus.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    rows = [row for row in rows if len(row) == 4]
    for path in chapters():
        head, minutes = (
            nbformat.read(path, as_version=4).cells[0].source,
            talks.lasts(talk_of(path)),
        )
        to_read = re.search(r"Minutes to read: \*\*(\d+)\*\*", head)[1]
        exercises = re.search(r"exercises: about (\d+) minutes", head)
        to_lecture = " and ".join(f"{minutes[lecture]:.0f}" for lecture in sorted(minutes))
        name, *cells = next(row for row in rows if row[0].startswith(f"{int(path.stem[:2])} · "))
        assert cells == [to_read, to_lecture, exercises[1] if exercises else "–"], name
    decks = [row for row in rows if " · " in row[0] and re.fullmatch(r"\d+", row[1])]
    parts = [[sum(map(int, re.findall(r"\d+", cell))) for cell in row[1:]] for row in decks]
    together = next(row for row in rows if row[0] == "together")
    assert [int(cell) for cell in together[1:]] == [sum(p) for p in zip(*parts, strict=True)]

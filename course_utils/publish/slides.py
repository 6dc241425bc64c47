"""Chapters as slides: `python3 course.py slides [CHAPTER ...]`, written to build/slides.

A cell's `slideshow` metadata says where it goes: `slide` begins a slide on the way of the lecture,
`subslide` an extra below it, `fragment` appears on a click, `-` joins the slide before, `skip` is
for readers. `short`, beside it, is what the slide says in place of a long text. `show`, of a code
cell, is "code", "output" or "both"; without it a cell with a figure shows that figure, any other
cell both. Titles, notes and minutes come from the talk: see `talks`.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbconvert.exporters import SlidesExporter
from nbconvert.filters import Highlight2HTML
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from playwright.sync_api import Browser, Error, sync_playwright
from pygments.formatters import HtmlFormatter

from course_utils.publish import assets, talks
from course_utils.publish.talks import Note
from course_utils.tools.delivery import files_in, outside, overwrite
from course_utils.tools.files import BUILD, ROOT, chapters, ending, notebook_named
from course_utils.tools.notebooks import read
from course_utils.tools.outputs import form_of

TALKS = ROOT / "notebooks" / "book" / "lecturers" / "talks"
TEMPLATES = Path(__file__).parent / "templates"
DIRECTIVE = re.compile(r"^#\|.*\n", re.MULTILINE)
HEADING = re.compile(r"^#{1,2} (.+)$", re.MULTILINE)
TITLE = re.compile(r"^#{1,3} .+$", re.MULTILINE)
NUMBERED = re.compile(r"^## (\d+ · .+)$", re.MULTILINE)
MINUTES = re.compile(r"^\*\d+ minutes so far\*\n", re.MULTILINE)
DETAILS = re.compile(r"</?(?:details|summary)>")
CHAPTER = re.compile(r'href="(\d\d_\w+)\.ipynb')  # its deck lies beside this one
ATTACHED = re.compile(r"!\[[^\]]*\]\(attachment:[^)]*\)")
DOCSTRING = re.compile(  # its first sentence, and the rest
    r'(^ +"""[^"]+?(?:\.(?=\s)|(?=\n\s*\n)|(?=""")))[^"]*"""', re.MULTILINE
)
STYLE = "a11y-high-contrast-light"  # of accessible-pygments
BEGINS = ("slide", "subslide")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without a window, and without a phone home of its own.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-component-update", "--disable-quic"]


def kind(cell: NotebookNode) -> str:
    """Return what a cell is on slides."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "-")


def grouped(notebook: NotebookNode) -> list[list[NotebookNode]]:
    """Return copies of the cells of each slide; what is for readers is left out."""
    groups = []
    for cell in map(nbformat.from_dict, notebook.cells):
        if kind(cell) == "skip":
            continue
        if kind(cell) in BEGINS or not groups:
            groups.append([])
        groups[-1].append(cell)
    return groups


def deck(notebook: NotebookNode, talk: dict[str, Note] | None = None) -> NotebookNode:
    """Return a notebook laid out for slides: code that draws is hidden, the talk is notes.

    Raises ValueError if the notebook has no title, or a note of the talk is for no slide.
    """
    if not (notebook.cells and HEADING.search(notebook.cells[0].source)):
        raise ValueError("its first cell is no title, which begins with `# `")
    head, left, lecture = notebook.cells[0], dict(talk or {}), 1
    laid_out, section, seen = [], "", []
    for cells in grouped(notebook):
        note = left.pop(cells[0].get("id"), None)
        if note and note.lecture > lecture:
            lecture = note.lecture
            laid_out += slide(second_title(head, seen), left.pop(f"lecture-{lecture}"), "")
        laid_out += slide(cells, note, section)
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        seen += NUMBERED.findall(text)
        section = next(iter(HEADING.findall(text)), section)
    if left:
        raise ValueError(f"no slide begins with the cell {next(iter(left))!r} of the talk")
    illustrate(laid_out[0], head)
    metadata = {"deck": {"title": HEADING.search(head.source)[1]}}
    return nbformat.from_dict({**notebook, "cells": laid_out, "metadata": metadata})


def slide(cells: list[NotebookNode], note: Note | None, section: str) -> list[NotebookNode]:
    """Return the cells of one slide as they are shown: with a title, and with what is said."""
    told = []
    for cell in cells:
        if cell.cell_type == "code":
            brief(cell)
        else:
            told += cut(cell)
    named = TITLE.search(cells[0].source) if cells[0].cell_type == "markdown" else None
    if note and note.title and not named:
        title = new_markdown_cell(f"## {note.title}")
        title.metadata.slideshow = cells[0].metadata.slideshow
        cells[0].metadata.slideshow = {**cells[0].metadata.slideshow, "slide_type": "-"}
        cells = [title, *cells]
    cells[0].metadata.running = "" if named and not named[0].startswith("###") else section
    cells[0].metadata.timing = round(60 * note.minutes) if note else 0
    said = said_with(note) if note else "\n\n".join(told)
    if said:
        cells = [*cells, new_markdown_cell(said, metadata={"slideshow": {"slide_type": "notes"}})]
    return cells


def cut(cell: NotebookNode) -> list[str]:
    """Cut a cell's text down to what its slide shows; return the long one, if it was cut."""
    short, cell.source = cell.metadata.slideshow.get("short"), MINUTES.sub("", cell.source)
    if short is None:
        return []
    long, cell.source = ATTACHED.sub("", DETAILS.sub("", cell.source)), short
    return [long]


def said_with(note: Note) -> str:
    """Return what the speaker sees of a note: when, how long, what."""
    when = f"Minute {note.start:.0f} of lecture {note.lecture}, {note.minutes:g} min"
    return f"**{when if note.minutes else 'An extra, for questions'}**\n\n{note.words}"


def second_title(head: NotebookNode, seen: list[str]) -> list[NotebookNode]:
    """Return the slide with which a second lecture begins: what the first was about."""
    sections = "\n".join(f"* {section}" for section in seen)
    words = f"# {HEADING.search(head.source)[1]}\n\n**Lecture 2.** Last time:\n\n{sections}"
    cell = new_markdown_cell(words, metadata={"slideshow": {"slide_type": "slide"}})
    cell.attachments = head.get("attachments", {})
    illustrate(cell, head)
    return [cell]


def illustrate(slide: NotebookNode, cell: NotebookNode) -> None:
    """Put the picture with which a chapter opens below the title of its first slide."""
    for picture in ATTACHED.findall(cell.source):
        if picture not in slide.source:
            slide.source = slide.source.replace("\n\n", f"\n\n{picture}\n\n", 1)


def brief(cell: NotebookNode) -> None:
    """Keep of a code cell what its slide shows; of a docstring the first sentence."""
    drawn = any(map(form_of, cell.outputs))
    show = cell.metadata.slideshow.get("show", "output" if drawn else "both")
    cell.metadata.hide_code = show == "output"
    cell.source = DOCSTRING.sub(r'\1"""', DIRECTIVE.sub("", cell.source))
    if show == "code":
        cell.outputs = []


def page(notebook: NotebookNode, talk: dict[str, Note] | None = None) -> str:
    """Return the deck of a notebook as one HTML page."""
    exporter = SlidesExporter(
        template_name="deck",
        exclude_anchor_links=True,
        extra_template_basedirs=[str(TEMPLATES)],
        filters={"highlight_code": Highlight2HTML(pygments_lexer="python3")},
    )
    resources = {"code_css": HtmlFormatter(style=STYLE).get_style_defs(".highlight")}
    made = exporter.from_notebook_node(deck(notebook, talk), resources)[0]
    return CHAPTER.sub(r'href="\1.html', made)


def write(paths: list[Path], folder: Path) -> list[Path]:
    """Write the decks of notebooks, and what they need, into a folder; return the decks.

    A notebook of which none can be made is named on stderr, and left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package in ("mathjax", "reveal.js"):
        assets.put(package, folder)
    shutil.copy(TEMPLATES / "deck.css", folder)
    made = []
    for path in paths:
        try:
            text = page(read(path), talks.read(TALKS / f"{path.stem}.md"))
        except ValueError as error:
            print(f"There is no deck of {path.stem}: {error}", file=sys.stderr)
            continue
        made.append(folder / f"{path.stem}.html")
        made[-1].write_text(text, encoding="utf-8")
    return made


def check_driver() -> None:
    """Raise OSError, with cause and cure, if Playwright's own Node.js does not start here."""
    command = [sys.executable, "-m", "playwright", "--version"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    if run.returncode:
        said = run.stderr.strip().splitlines() or ["it says nothing"]
        raise OSError(
            f"Playwright's Node.js, which drives the browser, does not start: {said[-1]} (Where a"
            " library is missing, most often `sudo apt install libatomic1` brings it.)"
        )


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window: Chromium or Chrome, as installed.

    OSError, with cause and cure, if there is none, or if it or what drives it does not start.
    """
    check_driver()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    # On macOS and Windows Chrome is not on the PATH; Playwright knows where it lies.
    which = {"executable_path": program} if program else {"channel": "chrome"}
    with sync_playwright() as play:
        try:
            started = play.chromium.launch(**which, args=QUIET)
        except Error as error:
            cure = "`sudo apt install chromium`, or install Google Chrome"
            cause = f"{program} does not start" if program else "Chromium is missing"
            raise OSError(f"{cause}: {cure}.") from error
        try:
            yield started
        finally:
            started.close()


def printed(browser: Browser, made: Path) -> Path:
    """Print a deck to a PDF beside it, a page for each slide."""
    page = browser.new_page()
    page.goto(f"{made.as_uri()}?print-pdf")
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    page.wait_for_selector(".pdf-page")
    page.pdf(path=made.with_suffix(".pdf"), prefer_css_page_size=True, print_background=True)
    page.close()
    return made.with_suffix(".pdf")


@ending(OSError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 and a sentence if a deck or something else is missing, or in the
    way."""
    parser = argparse.ArgumentParser(prog="course.py slides", description=__doc__)
    parser.add_argument(
        "chapters", nargs="*", type=notebook_named, help="01_ista, say; all of the course if none"
    )
    parser.add_argument("--to", type=Path, default=BUILD / "slides", metavar="FOLDER")
    parser.add_argument("--pdf", action="store_true", help="print each deck, too")
    wanted = parser.parse_args(arguments)
    folder, paths = outside(wanted.to), wanted.chapters or chapters()
    with tempfile.TemporaryDirectory(prefix="course-") as draft:
        decks = made = write(paths, Path(draft))
        if not decks:
            return 2
        if wanted.pdf:
            with chromium() as browser:
                made = [*decks, *(printed(browser, path) for path in decks)]
        overwrite(files_in(Path(draft)), folder)
    print(*(folder / path.name for path in made), sep="\n")
    return 0 if len(decks) == len(paths) else 2


if __name__ == "__main__":
    sys.exit(main())

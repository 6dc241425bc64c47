"""Chapters as slides: `python3 course.py slides [CHAPTER ...]`, written to build/slides.

A cell's `slideshow` metadata says where it goes: `slide` and `subslide` begin a slide, `fragment`
appears on a click, `-` joins the slide before, `notes` is for the speaker, `skip` is for readers.
`short`, beside it, is what the slide says in place of a long text, which goes into the notes.
`show`, of a code cell, is "code", "output" or "both"; without it a cell with a figure shows that
figure, any other cell both. `lecture`, of the section with which a second lecture begins, is 2.
"""

import argparse
import re
import shutil
import subprocess
import sys
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

from course_utils.publish import assets
from course_utils.tools.files import BUILD, chapters, ending, notebook_named
from course_utils.tools.outputs import form_of

TEMPLATES = Path(__file__).parent / "templates"
DIRECTIVE = re.compile(r"^#\|.*\n", re.MULTILINE)
HEADING = re.compile(r"^#{1,2} (.+)$", re.MULTILINE)
NUMBERED = re.compile(r"^## (\d+ · .+)$", re.MULTILINE)
MINUTES = re.compile(r"^\*(\d+ minutes) so far\*\n", re.MULTILINE)
DETAILS = re.compile(r"</?(?:details|summary)>")
CHAPTER = re.compile(r'href="(\d\d_\w+)\.ipynb')  # its deck lies beside this one
ATTACHED = re.compile(r"!\[[^\]]*\]\(attachment:[^)]*\)")
DOCSTRING = re.compile(  # its first sentence, and the rest
    r'(^ +"""[^"]+?(?:\.(?=\s)|(?=\n\s*\n)|(?=""")))[^"]*"""', re.MULTILINE
)
STYLE = "a11y-high-contrast-light"  # of accessible-pygments
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Without a window, and without a phone home of its own.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-component-update", "--disable-quic"]


def kind(cell: NotebookNode) -> str:
    """Return what a cell is on slides."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "-")


def deck(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook laid out for slides: code that draws is hidden, long texts are notes."""
    laid_out = nbformat.from_dict({**notebook, "cells": []})
    section, seen = "", []
    for cell in map(nbformat.from_dict, notebook.cells):
        if kind(cell) == "skip":
            continue
        if "lecture" in cell.metadata.get("slideshow", {}):
            laid_out.cells.append(second_title(notebook.cells[0], seen))
        seen += NUMBERED.findall(cell.source) if cell.cell_type == "markdown" else []
        found = HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        section = found[1] if found else section
        cell.metadata.running = "" if found else section
        laid_out.cells.append(cell)
        if cell.cell_type == "code":
            brief(cell)
        elif kind(cell) == "notes":
            cell.source = DETAILS.sub("", cell.source)
        else:
            laid_out.cells += spoken(cell)
    title = HEADING.search(notebook.cells[0].source)[1]
    illustrate(laid_out.cells[0], notebook.cells[0])
    laid_out.metadata.deck = {"title": title}
    return laid_out


def second_title(head: NotebookNode, seen: list[str]) -> NotebookNode:
    """Return the slide with which a second lecture begins: what the first was about."""
    sections = "\n".join(f"* {section}" for section in seen)
    words = f"# {HEADING.search(head.source)[1]}\n\n**Lecture 2.** Last time:\n\n{sections}"
    slide = new_markdown_cell(words)
    slide.metadata = NotebookNode(slideshow=NotebookNode(slide_type="slide"), running="")
    slide.attachments = head.get("attachments", {})
    illustrate(slide, head)
    return slide


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


def spoken(cell: NotebookNode) -> list[NotebookNode]:
    """Take what the speaker says out of a slide's text and return it as notes."""
    minutes, short = MINUTES.search(cell.source), cell.metadata.slideshow.get("short")
    told = [f"{minutes[1]} of reading so far"] if minutes else []
    cell.source = MINUTES.sub("", cell.source)
    if short is not None:
        told.append(ATTACHED.sub("", DETAILS.sub("", cell.source)))
        cell.source = short
    if not told:
        return []
    notes = new_markdown_cell("\n\n".join(told))
    notes.metadata.slideshow = {"slide_type": "notes"}
    return [notes]


def page(notebook: NotebookNode) -> str:
    """Return the deck of a notebook as one HTML page."""
    exporter = SlidesExporter(
        template_name="deck",
        exclude_anchor_links=True,
        extra_template_basedirs=[str(TEMPLATES)],
        filters={"highlight_code": Highlight2HTML(pygments_lexer="python3")},
    )
    resources = {"code_css": HtmlFormatter(style=STYLE).get_style_defs(".highlight")}
    made = exporter.from_notebook_node(deck(notebook), resources)[0]
    return CHAPTER.sub(r'href="\1.html', made)


def write(paths: list[Path], folder: Path) -> list[Path]:
    """Write the decks of notebooks, and what they need, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in ("mathjax", "reveal.js"):
        assets.put(package, folder)
    shutil.copy(TEMPLATES / "deck.css", folder)
    made = []
    for path in paths:
        made.append(folder / f"{path.stem}.html")
        made[-1].write_text(page(nbformat.read(path, as_version=4)), encoding="utf-8")
        print(made[-1])
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


@ending(OSError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 and a sentence if something is missing."""
    parser = argparse.ArgumentParser(prog="course.py slides", description=__doc__)
    parser.add_argument(
        "chapters", nargs="*", type=notebook_named, help="01_ista, say; all of the course if none"
    )
    parser.add_argument("--to", type=Path, default=BUILD / "slides", metavar="FOLDER")
    parser.add_argument("--pdf", action="store_true", help="print each deck, too")
    wanted = parser.parse_args(arguments)
    made = write(wanted.chapters or chapters(), wanted.to.resolve())
    if wanted.pdf:
        with chromium() as browser:
            for path in made:
                print(printed(browser, path))
    return 0


if __name__ == "__main__":
    sys.exit(main())

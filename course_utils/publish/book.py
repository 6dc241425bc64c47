"""The notebooks as a book: `python3 course.py book`, a static site in build/book/html.

Sphinx and MyST-NB build it from the outputs that are stored, which are the ones that the tests
compare. Before that, chapters get what only a book needs: a box that says what was verified,
links between chapters and to the bibliography, alternative texts where MyST-NB looks for them.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from codecs import decode
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median

import latexcodec  # noqa: F401 - brings the codec "ulatex"
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from pybtex.database import BibliographyData, parse_file
from sphinx.cmd.build import main as sphinx_build

from course_utils.publish import assets, pictures
from course_utils.publish.slides import DIRECTIVE
from course_utils.tools.delivery import check_ours, files_in, outside, overwrite, remembered
from course_utils.tools.execute import code_cells
from course_utils.tools.files import BUILD, NOTEBOOKS, RESULTS, ROOT, chapters, ending
from course_utils.tools.folding import KINDS, kind
from course_utils.tools.nbval_plugin import IGNORE
from course_utils.tools.notebooks import check
from course_utils.tools.outputs import VIEW, alt_of

PAGES = NOTEBOOKS / "book"
PACK = "lecturers"  # a folder in it
SITE = Path(__file__).parent / "site"
SECTION = re.compile(r"^## (\d+) · .+$", re.MULTILINE)
REFERENCE = re.compile(
    r"\bchapter (\d)(?:, section (\d+)|'s section (\d+))?|\bsection (\d+)\b", re.IGNORECASE
)
CAPTION = re.compile(r"\*\*Figure (?P<number>\d+\.\d+)\.\*\* .+?(?:\n\n|\Z)", re.DOTALL)
FIGURE = re.compile(r"\bFigure (\d+\.\d+)\b")
# Where a reference or a citation is not one: code, maths, links, headings, HTML.
LITERAL = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|\[[^\]]*\]\([^)]*\)|^#+ [^\n]*$|<[a-z/][^>\n]*>",
    re.MULTILINE | re.DOTALL,
)
SHOWN = ("python", "torch", "numpy", "matplotlib", "ipywidgets")


def prose(text: str, change: Callable[[str], str]) -> str:
    """Return text with all that is neither code, maths, link nor heading changed."""
    parts, end = [], 0
    for literal in LITERAL.finditer(text):
        parts += [change(text[end : literal.start()]), literal[0]]
        end = literal.end()
    return "".join([*parts, change(text[end:])])


def linked(text: str, here: int, sections: dict[int, set[int]]) -> str:
    """Turn "chapter 4", "chapter 4, section 3" and "section 3" into links.

    Args:
        text: of a cell.
        here: the number of its chapter; -1 on a page that is none.
        sections: the numbered sections of each chapter.
    """

    def link(found: re.Match) -> str:
        chapter = int(found[1] or here)
        section = int(found[2] or found[3] or found[4] or 0)
        if section and section in sections.get(chapter, ()):
            return f"[{found[0]}](#chapter-{chapter}-section-{section})"
        if not section and chapter in sections and chapter != here:
            return f"[{found[0]}](#chapter-{chapter})"
        return found[0]

    return prose(text, lambda part: REFERENCE.sub(link, part))


def labels(references: BibliographyData) -> dict[str, str]:
    """Return the keys of the bibliography by the names that texts give: "Gregor & LeCun 2010"."""
    found: dict[str, str] = {}
    for key, entry in references.entries.items():
        people = entry.persons["author"]
        names = [decode(" ".join([*p.prelast_names, *p.last_names]), "ulatex") for p in people]
        names = [re.sub(r"[{}]", "", name) for name in names]
        forms = {names[0]} if len(names) == 1 else {f"{', '.join(names[:-1])} & {names[-1]}"}
        if len(names) > 2 or "others" in names:
            forms.add(f"{names[0]} et al.")
        for form in forms:
            found.setdefault(f"{form} {entry.fields['year']}", key)
    return found


def cited(text: str, keys: dict[str, str]) -> str:
    """Turn "Gregor & LeCun 2010" and "Gregor & LeCun (2010)" into citations."""
    for label, key in sorted(keys.items(), key=lambda item: -len(item[0])):
        names, year = label.rsplit(" ", 1)
        inside = partial(re.sub, rf"\b{re.escape(names)} {year}\b", f"{{cite:alp}}`{key}`")
        outside = partial(re.sub, rf"\b{re.escape(names)} \({year}\)", f"{{cite:t}}`{key}`")
        text = prose(prose(text, outside), inside)
    return text


def box(notebook: NotebookNode, name: str) -> NotebookNode:
    """Return the cell that says what of a chapter was verified, and how to run it."""
    cells = code_cells(notebook)
    compared = [cell for cell in cells if IGNORE not in cell.metadata.get("tags", [])]
    outputs = sum(len(cell.outputs) for cell in compared)
    when = f"Stored {stored}. " if (stored := stored_on(name)) else ""
    pins = dict(re.findall(r"(?m)^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text("utf-8")))
    pins["python"] = f"{sys.version_info[0]}.{sys.version_info[1]}"
    versions = ", ".join(f"{package} {pins[package]}" for package in SHOWN)
    return new_markdown_cell(
        f":::{{container}} verified\n**Verified.** {when}All {len(cells)} code cells run on a fresh"
        f" kernel; the {outputs} outputs of {len(compared)} are [compared](verified.md) with"
        f" this page by the tests, with {versions}. {{download}}`Download the notebook"
        f" <stored/{name}.ipynb>`, or open it: `python3 course.py lab notebooks/{name}.ipynb`\n:::"
    )


def stored_on(name: str) -> str:
    """Return the day on which a chapter was committed, or nothing where git does not know it."""
    git = ["git", "-C", str(ROOT), "log", "-1", "--format=%cs", "--", f"notebooks/{name}.ipynb"]
    try:
        return subprocess.run(git, check=False, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def apart(cell: NotebookNode) -> list[NotebookNode]:
    """Return a code cell with the first picture or table it shows, and one for each further one.

    MyST-NB gives all that a cell shows one caption and alternative text. It leaves cells without
    code out; so the further ones keep theirs, hidden.
    """
    groups = [[]]
    for output in cell.outputs:
        if "data" in output and any("data" in before for before in groups[-1]):
            groups.append([])
        groups[-1].append(output)
    cell.outputs, *further = groups
    hidden = {"tags": ["remove-input"]}
    return [cell] + [
        new_code_cell(cell.source, id=f"{cell.id}-{n}", outputs=outputs, metadata=hidden)
        for n, outputs in enumerate(further, 2)
    ]


def illustrated(cell: NotebookNode) -> list[NotebookNode]:
    """Return a cell, its figure with alternative text; of a slider a word on why it is still."""
    for alt in filter(None, map(alt_of, cell.outputs)):
        cell.metadata.mystnb = cell.metadata.get("mystnb", {}) | {"image": {"alt": alt}}
    if any(VIEW in output.get("data", {}) for output in cell.outputs):
        cell.outputs = []
        return [cell, still()]
    return [cell]


def captioned(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Move each caption into the figure above it, and let "Figure 5.3" in the text lead there."""
    kept, figure, names = [], None, {}
    for cell in cells:
        found = CAPTION.match(cell.source) if cell.cell_type == "markdown" else None
        if found and figure:
            names[found["number"]] = name = f"figure-{found['number'].replace('.', '-')}"
            figure["figure"] = {"caption": found[0].strip(), "name": name}
            cell.source, figure = cell.source[found.end() :], None
        if cell.source or cell.cell_type == "code":
            kept.append(cell)
        figure = cell.metadata.mystnb if "image" in cell.metadata.get("mystnb", {}) else figure

    def link(found: re.Match) -> str:
        return f"[{found[0]}](#{names[found[1]]})" if found[1] in names else found[0]

    for cell in kept:
        if cell.cell_type == "markdown":
            cell.source = prose(cell.source, lambda part: FIGURE.sub(link, part))
    return kept


def folded(cell: NotebookNode) -> None:
    """Mark a cell that is folded in JupyterLab for MyST-NB, with a word on what is there."""
    if cell.metadata.get("jupyter", {}).get("source_hidden"):
        cell.metadata.setdefault("tags", []).append("hide-input")
        prompt = f"Show: {KINDS[kind(cell)]}"
        cell.metadata.mystnb = {"code_prompt_show": prompt, "code_prompt_hide": "Hide the code"}


def still() -> NotebookNode:
    """Return the cell that stands in a slider's place."""
    return new_markdown_cell(
        ":::{note}\nIn JupyterLab there is a slider here. This page does not compute; the figure"
        " above this note was drawn by the same function.\n:::"
    )


def chapter(notebook: NotebookNode, name: str, sections: dict, keys: dict) -> NotebookNode:
    """Return a notebook as a chapter of the book."""
    number, cells = int(name[:2]), []
    for cell in map(nbformat.from_dict, notebook.cells):
        if cell.cell_type == "code":
            folded(cell)
            cell.source = DIRECTIVE.sub("", cell.source)
            for part in apart(cell):
                cells += illustrated(part)
        else:
            cells.append(cell)
            text = cited(linked(cell.source, number, sections), keys)
            cell.source = SECTION.sub(rf"(chapter-{number}-section-\g<1>)=\n\g<0>", text)
    cells = captioned(cells)
    shown = cells[0].source.replace(f"attachment:{pictures.OPENING}", f"images/{name}.webp")
    cells[0].source = f"(chapter-{number})=\n{shown}"
    cells[0].pop("attachments", None)
    book = nbformat.from_dict({**notebook, "cells": [cells[0], box(notebook, name), *cells[1:]]})
    book.metadata.pop("widgets", None)
    return book


def numbered_sections() -> dict[int, set[int]]:
    """Return the numbered sections of each chapter."""
    found = {}
    for path in chapters():
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        found[int(path.stem[:2])] = {int(number) for number in SECTION.findall(text)}
    return found


def run_page(held: dict) -> str:
    """Return the page of a stored run: what made it, and each of its figures."""
    lines = [f"# {held['name']}", "", f"`{held['command']}`", ""]
    lines += ["What the names mean stands in the chapter and in the module of"]
    lines[-1] += " `course_utils/reproduce`. Who made what:"
    lines += ["", "| seeds | date | commit | code | machine |", "|---|---|---|---|---|"]
    for maker, seeds in makers(held).items():
        lines.append(f"| {', '.join(seeds)} | {' | '.join(maker)} |")
    lines += ["", "| figure | median | lowest | highest | seeds |", "|---|---:|---:|---:|---:|"]
    for name, figure in held["figures"].items():
        values = [value for value in figure["values"] if value is not None]
        spread = [median(values), min(values), max(values)] if values else ["–"] * 3
        shown = " | ".join(f"{v:.4g}" if values else v for v in spread)
        lines.append(f"| `{name}` | {shown} | {len(figure['values'])} |")
    return "\n".join(lines) + "\n"


def makers(held: dict) -> dict[tuple[str, ...], list[str]]:
    """Return which seeds of a stored run each commit, code and machine made, by date."""
    found: dict[tuple[str, ...], list[str]] = {}
    for one in held["made"]:
        machine = ", ".join(f"{k} {v}" for k, v in one["machine"].items())
        maker = one["date"], one["commit"], one["code"] or "unknown", machine
        found.setdefault(maker, []).append(f"{one['part']} {one['seed']}")
    return dict(sorted(found.items()))


def every_run(runs: list[dict]) -> str:
    """Return the section of the page of results that leads to the pages of all stored runs."""
    lines = ["", "## Every stored run", ""]
    lines.append(
        "The tables above show the figures that matter most. Each run stored more, and has a page"
        " of its own with all of them; those that end in *live* ran the cells of a chapter with"
        " ten different seeds.\n"
    )
    lines += ["| run | seeds | figures | made |", "|---|---:|---:|---|"]
    for held in runs:
        counts = f"{len(held['settings']['seeds'])} | {len(held['figures'])}"
        last = max(one["date"] for one in held["made"])
        lines.append(f"| [{held['name']}](runs/{held['name']}.md) | {counts} | {last} |")
    names = [f"runs/{held['name']}" for held in runs]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *names, "```", ""])


def results(folder: Path) -> None:
    """Add to the page of results a page for each stored run."""
    (folder / "runs").mkdir()
    stored = sorted(RESULTS.glob("*.json"))
    runs = [json.loads(path.read_text("utf-8")) for path in stored]
    for held in runs:
        (folder / "runs" / f"{held['name']}.md").write_text(run_page(held), "utf-8")
    page = folder / "results.md"
    text = page.read_text("utf-8").replace("](../", "](")  # here chapters lie beside the page
    page.write_text(text + every_run(runs), "utf-8")


MODULES = {
    "what the notebooks built": [
        "built.ista",
        "built.lista",
        "built.drsae",
        "built.groups",
        "built.local",
        "built.vae",
    ],
    "helpers": ["data", "training", "plots", "checks"],
    "full-size runs": ["reproduce", "reproduce.record", "tools.cluster"],
}


API = """\
Every function says the shapes of its tensors, what it raises, and whose the idea is where it is \
not ours. Angles are in radians, codes in units of the input; bits and decibels are called so."""


def api(folder: Path) -> None:
    """Write the pages of the API reference, one for each module."""
    folder.mkdir()
    lines = ["# API reference", "", API, ""]
    for group, modules in MODULES.items():
        lines += [f"## {group.capitalize()}", "", "```{toctree}", ":maxdepth: 1", "", *modules]
        lines += ["```", ""]
        for name in modules:
            body = f"```{{eval-rst}}\n.. automodule:: course_utils.{name}\n   :members:\n```"
            (folder / f"{name}.md").write_text(f"# course_utils.{name}\n\n{body}\n", "utf-8")
    (folder / "index.md").write_text("\n".join(lines), "utf-8")


def refer(pages: Iterable[Path], sections: dict, keys: dict) -> None:
    """Turn what pages say of chapters, sections and papers into links."""
    for page in pages:
        text = linked(page.read_text("utf-8"), -1, sections)
        page.write_text(cited(text, keys), "utf-8")


def add_pack(folder: Path) -> None:
    """Add the lecturers' pack, whose exam pages hold the answers, to a book that is laid out."""
    pack = folder / PACK
    shutil.copytree(PAGES / PACK, pack)
    refer(pack.rglob("*.md"), numbered_sections(), labels(parse_file(PAGES / "references.bib")))
    names = [f"{PACK}/{name}" for name in ("index", "syllabus", "misconceptions", "exam")]
    names += sorted(f"{PACK}/talks/{path.stem}" for path in (pack / "talks").glob("*.md"))
    lines = ["", "```{toctree}", ":hidden:", ":caption: For lecturers", "", *names, "```", ""]
    with (folder / "index.md").open("a", encoding="utf-8") as home:
        home.write("\n".join(lines))


def lay_out(folder: Path) -> None:
    """Write all that Sphinx builds a reader's book from into an empty folder."""
    shutil.copy(SITE / "conf.py", folder)
    shutil.copytree(PAGES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(PACK))
    # HTML that stands in Markdown shows pictures, too, and Sphinx does not look into it.
    shutil.copytree(folder / "images", folder / "extra" / "images")
    (folder / "_static").mkdir()
    (folder / "stored").mkdir()  # chapters as they are, to download
    for name in ("book.css", "book.js", "search.js", "favicon.svg"):
        shutil.copy(SITE / name, folder / "_static")
    shutil.copytree(SITE / "templates", folder / "_templates")
    for package in ("mathjax", "minisearch"):
        assets.put(package, folder / "_static")
    sections, keys = numbered_sections(), labels(parse_file(PAGES / "references.bib"))
    for path in chapters():
        book = chapter(nbformat.read(path, as_version=4), path.stem, sections, keys)
        nbformat.write(book, folder / path.name)
        shutil.copy(path, folder / "stored")
    refer(folder.glob("*.md"), sections, keys)
    results(folder)
    api(folder / "api")


def build(draft: Path, lecturer: bool) -> int:
    """Let Sphinx build the book in draft/html from what is laid out beside it; its exit code."""
    source = draft / "source"
    source.mkdir()
    lay_out(source)
    if lecturer:
        add_pack(source)
    strict = ["-n", "-W", "--keep-going", "-q", "-E", "-b", "html"]
    doctrees = ["-d", str(draft / "doctrees")]  # Sphinx's own notes: not to be published
    return sphinx_build([*strict, *doctrees, str(source), str(draft / "html")])


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="course.py book", description=__doc__)
    parser.add_argument("--to", type=Path, default=BUILD / "book", metavar="FOLDER")
    parser.add_argument("--pictures", action="store_true", help="first draw those of the door anew")
    parser.add_argument("--lecturer", action="store_true", help="add the pack with exam questions")
    parser.add_argument("--address", default="", metavar="URL", help="where the site will be")
    parser.add_argument(
        "--repository", default="", metavar="URL", help="where the course's code is"
    )
    return parser


@ending(OSError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0; 2 and a sentence if something is missing or in the way; else Sphinx's own
    code, and the folder is as it was."""
    wanted = parser().parse_args(arguments)
    folder = outside(wanted.to)
    check(chapters())
    before = [name for name in remembered(folder) if name.startswith("html/")]
    check_ours(folder, ["html/index.html", *before])  # now, for to build takes minutes
    os.environ.update(BOOK_ADDRESS=wanted.address, BOOK_REPOSITORY=wanted.repository)
    if wanted.pictures:
        pictures.draw(pictures.IMAGES)
        pictures.open_chapters(pictures.IMAGES)
    with tempfile.TemporaryDirectory(prefix="course-") as draft:
        code = build(Path(draft), wanted.lecturer)
        if code:
            print(f"The book has faults, named above: {folder} is as it was.", file=sys.stderr)
            return code
        # Pages of before that are no more would be published.
        overwrite(files_in(Path(draft, "html"), "html"), folder, gone=before)
    print(folder / "html" / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())

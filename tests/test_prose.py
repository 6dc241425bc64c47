"""What is written: spelling, and links that lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
GIT = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]


def listed() -> list[str]:
    """The names of the course's files; OSError, with the reason, where git does not know them."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        raise OSError("git, or a clone, is missing: it knows which files are the course's")
    run = subprocess.run(GIT, check=False, capture_output=True, encoding="utf-8")
    if run.returncode:
        raise OSError(f"git does not say which files are the course's: {run.stderr.strip()}")
    return run.stdout.splitlines()


try:
    TRACKED = [ROOT / name for name in listed()]
except OSError as missing:
    if os.environ.get("CI"):
        raise
    pytest.skip(str(missing), allow_module_level=True)
PROSE = [p for p in TRACKED if p.suffix in (".md", ".ipynb", ".cff") and p.is_file()]
CODE = [p for p in TRACKED if p.suffix in (".py", ".toml", ".yml", ".css", ".j2") and p.is_file()]
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)


def words(path: Path) -> str:
    """The text of a file; of a notebook all cells and what they print, without pictures."""
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = nbformat.read(path, as_version=4).cells
    parts = [cell.source for cell in cells]
    parts += [cell.metadata.get("slideshow", {}).get("short", "") for cell in cells]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    parts += [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join(parts)


def markdown(path: Path) -> str:
    """What of a file is Markdown."""
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a file."""
    titles = HEADING.findall(markdown(path))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def misspelt(texts: dict[str, str], folder: Path) -> str:
    """What codespell has to say of texts by name."""
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), "."]
    run = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    return run.stdout


def test_nothing_is_misspelt(tmp_path):
    texts = {
        "-".join(path.relative_to(ROOT).parts): words(path)
        for path in [*PROSE, *CODE]
        if path != Path(__file__)
    }
    assert not misspelt(texts, tmp_path)


def test_a_misspelt_word_is_found(tmp_path):
    assert "recieve ==> receive" in misspelt({"page": "They recieve it."}, tmp_path)


def broken(path: Path) -> list[str]:
    """The links of a file into the repository that lead nowhere."""
    found = []
    for target in LINK.findall(FENCE.sub("", markdown(path))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = unquote(target).partition("#")
        there = (path.parent / place).resolve() if place else path
        if path.parent.name == "book" and place[:1].isdigit():
            there = (path.parents[1] / place).resolve()  # the book lays the notebooks beside them
        if not there.exists() or (anchor and there.is_file() and anchor not in anchors(there)):
            found.append(target)
    return found


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_links_into_the_repository_lead_somewhere(path):
    generated = {"api/index.md"} if path.parent.name == "book" else set()
    assert not set(broken(path)) - generated


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One\n\n[a](nowhere.md) [b](page.md#one) [c](#two) [d](https://x.y)", "utf-8")
    assert broken(page) == ["nowhere.md", "#two"]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_headings_begin_with_one_title_and_skip_no_level(path):
    text = re.sub(r"```.*?```", "", markdown(path), flags=re.DOTALL)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    if path.suffix == ".cff":
        return
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))

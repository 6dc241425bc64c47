"""Chapters for Colab and Binder: `python3 course.py launch ADDRESS`, written to build/launch.

The notebooks of the course hold no line about where they run. The copies made here begin with a
cell that installs the course from your repository where it is missing, as on Colab; beside them lie
the two files that Binder reads. Put the folder under version control anywhere, and open it there.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_utils.tools.delivery import outside, overwrite
from course_utils.tools.files import BUILD, chapters, ending
from course_utils.tools.notebooks import check

FORM = "https://github.com/YOU/COURSE"
ADDRESS = re.compile(r"https://(?P<host>[\w.-]+)(?::\d+)?(?P<path>(?:/[\w.~+-]+)+)/?", re.ASCII)
FLAT = ("github.com", "bitbucket.org", "codeberg.org")  # OWNER/NAME; elsewhere groups have groups
# Hosts that show what lies in repositories, and hold none.
VIEWERS = (".github.io", "githubusercontent.com", "colab.research.google.com", "mybinder.org")
VIEWERS += ("nbviewer.org",)
# What follows a repository's name in the address of one of its pages.
PAGE = re.compile(r"[?#\s]|/(?:-|tree|blob|raw|src|commits?|issues|pulls?|releases|wiki)(?:/|$)")
INSTALL = """\
# Where the course is missing, on Colab for example, this installs it; elsewhere it does nothing
from importlib.util import find_spec

if find_spec("course_utils") is None:
    %pip install --quiet {wanted}
"""
# PyTorch without CUDA, on machines that have no GPU.
REQUIREMENTS = "--extra-index-url https://download.pytorch.org/whl/cpu\n{wanted}\n"


def installs(address: str) -> bool:
    """Whether an address is, by its form, that of a repository which pip can install from."""
    found = ADDRESS.fullmatch(address)
    if not found or PAGE.search(address) or found["host"].endswith(VIEWERS):
        return False
    parts = found["path"].strip("/").split("/")
    if {".", ".."} & set(parts):
        return False
    if found["host"].removeprefix("www.") in FLAT:
        return len(parts) == 2
    return len(parts) > 1 or parts[0].endswith(".git")


def meant(address: str) -> str:
    """Return the repository that an address of another kind probably means, else the form."""
    bare = re.sub(r"^(?:git\+)?(?:\w+://)?(?:[^@/]*@)?", "", address)
    parts = [part for part in re.split("[/:]", PAGE.split(bare)[0]) if part]
    if parts and parts[0].removeprefix("www.") in FLAT:
        parts = parts[:3]
    likely = "https://" + "/".join(parts).removesuffix(".git")
    return likely if installs(likely) else FORM


def repository(address: str) -> str:
    """Return the address of a repository as pip wants it; ValueError if it is none."""
    address = address.strip()
    if not installs(address):
        raise ValueError(
            f"{address or 'Nothing'} is no address of a repository that pip can install from:"
            f" write {meant(address)}"
        )
    return address.rstrip("/")


def with_install(notebook: NotebookNode, address: str) -> NotebookNode:
    """Return a notebook whose first code cell installs the course where it is missing.

    Outputs stay; the new cell has none, and is not part of any slide.
    """
    cell = new_code_cell(INSTALL.format(wanted=f"git+{address}"), id="install")
    cell.metadata.slideshow = {"slide_type": "skip"}
    first = next(n for n, old in enumerate(notebook.cells) if old.cell_type == "code")
    cells = [*notebook.cells[:first], cell, *notebook.cells[first:]]
    return nbformat.from_dict({**notebook, "cells": cells})


def made(address: str) -> dict[str, str]:
    """Return the texts of all files, by name: copies of the chapters, and what Binder needs."""
    texts = {
        path.name: nbformat.writes(with_install(nbformat.read(path, as_version=4), address)) + "\n"
        for path in chapters()
    }
    texts["requirements.txt"] = REQUIREMENTS.format(wanted=f"git+{address}")
    texts["runtime.txt"] = "python-3.11\n"
    return texts


@ending(OSError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 and a sentence if the address is none or work would be lost."""
    parser = argparse.ArgumentParser(prog="course.py launch", description=__doc__)
    parser.add_argument("address", help=f"of your repository, {FORM}")
    parser.add_argument("--to", type=Path, default=BUILD / "launch", metavar="FOLDER")
    wanted = parser.parse_args(arguments)
    folder = outside(wanted.to)
    check(chapters())
    texts = made(repository(wanted.address))
    overwrite({name: text.encode() for name, text in texts.items()}, folder)
    print(f"{len(texts) - 2} chapters and two files for Binder: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

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

from course_utils.execute import NOTEBOOKS
from course_utils.publish import assets
from course_utils.publish.slides import chapters

ADDRESS = re.compile(r"https://[\w.-]+/[\w./-]+?(\.git)?/?")
INSTALL = """\
# Where the course is missing, on Colab for example, this installs it; elsewhere it does nothing
from importlib.util import find_spec

if find_spec("course_utils") is None:
    %pip install --quiet {wanted}
"""
# PyTorch without CUDA, on machines that have no GPU.
REQUIREMENTS = "--extra-index-url https://download.pytorch.org/whl/cpu\n{wanted}\n"


def with_install(notebook: NotebookNode, address: str) -> NotebookNode:
    """Return a notebook whose first code cell installs the course where it is missing.

    Outputs stay; the new cell has none, and is not part of any slide.
    """
    cell = new_code_cell(INSTALL.format(wanted=f"git+{address}"), id="install")
    cell.metadata.slideshow = {"slide_type": "skip"}
    first = next(n for n, old in enumerate(notebook.cells) if old.cell_type == "code")
    cells = [*notebook.cells[:first], cell, *notebook.cells[first:]]
    return nbformat.from_dict({**notebook, "cells": cells})


def write(address: str, folder: Path) -> None:
    """Write copies of all chapters, and what Binder needs, into a folder.

    Raises ValueError if the address is none of a repository on the web.
    """
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"{address} is no address like https://github.com/YOU/COURSE")
    folder.mkdir(parents=True, exist_ok=True)
    for path in chapters():
        made = with_install(nbformat.read(path, as_version=4), address)
        nbformat.write(made, folder / path.name)
    requirements = REQUIREMENTS.format(wanted=f"git+{address}")
    (folder / "requirements.txt").write_text(requirements, "utf-8")
    (folder / "runtime.txt").write_text("python-3.11\n", "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 and a sentence if the address is none."""
    parser = argparse.ArgumentParser(prog="course.py launch", description=__doc__)
    parser.add_argument("address", help="of your repository, https://github.com/YOU/COURSE")
    parser.add_argument("--to", type=Path, default=assets.BUILD / "launch", metavar="FOLDER")
    wanted = parser.parse_args(arguments)
    try:
        write(wanted.address, wanted.to)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(chapters())} chapters of {NOTEBOOKS.name} and two files for Binder: {wanted.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A student's own copy of the course, and its updates: `course.py student FOLDER`.

The first run copies the notebooks into FOLDER; each later run brings what is new in the course.
Whatever the student wrote stays:

* a notebook nobody touched is replaced by the new version;
* one that was only run is moved into FOLDER/replaced first;
* one the student changed is left alone, and the new version is put beside it, once;
* one the student deleted comes back.

FOLDER/.course.json remembers what was delivered.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from course_utils.data import shared
from course_utils.tools import delivery
from course_utils.tools.files import ROOT


def deliver(source: Path, folder: Path) -> list[str]:
    """Copy the notebooks of the course into a student's folder, or bring their updates.

    Args:
        source: the course's notebooks; only the ``*.ipynb`` right in it are delivered, so nothing
            of ``homework/``, which holds solutions.
        folder: the student's folder; made if it is not there.

    Returns:
        A line for each file that changed, so an empty list if there was nothing new.

    Raises:
        ValueError: if ``folder`` is a file or lies in the course, a link or a file is in the way,
            or ``source`` has no notebook.
        OSError: if ``folder`` cannot be written; nothing is lost, and a later run completes.
    """
    notebooks = sorted(source.glob("*.ipynb"))
    if not notebooks:
        raise ValueError(f"There is no notebook of the course in {source}; install it again.")
    folder = delivery.outside(folder, source)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {notebook.name: notebook.read_bytes() for notebook in notebooks}
    return [*delivery.deliver(contents, folder).values()]


def _start_command(folder: str) -> str:
    """What to type, from anywhere, to open ``folder``: to course.py, where there is one."""
    course = ROOT / "course.py"
    python = "py" if os.name == "nt" else "python3"
    by_course, by_package = [python, str(course), "lab"], [sys.executable, "-m", "jupyterlab"]
    command = [*(by_course if course.is_file() else by_package), os.path.abspath(folder)]
    return subprocess.list2cmdline(command) if os.name == "nt" else shlex.join(command)


def main(arguments: list[str] | None = None, source: Path | None = None) -> int:
    """Run the command; return 0, or 2 after one sentence about what went wrong.

    Args:
        arguments: of the command line, default ``sys.argv[1:]``.
        source: the course's notebooks, default those of the installed course.
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.tools.student",
        description="Make your own copy of the course's notebooks, or bring it up to date.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="your folder, made if it is not there")
    folder = parser.parse_args(arguments).folder
    try:
        lines = deliver(source or shared("notebooks"), Path(folder))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        cure = "free some space or name a folder you can write to, then run this again"
        print(f"{where}{error.strerror or error}; {cure}. Nothing is lost.", file=sys.stderr)
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(*lines or ["nothing new"], sep="\n")
    print(f"Start with: {_start_command(folder)}")
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # old Windows consoles
    sys.exit(main())

"""What commands share: where the course lies, a file whole or not at all, a sentence at the end."""

import argparse
import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parents[2]  # of a clone; beside an installed package lies nothing
PACKAGE = ROOT / "course_utils"
NOTEBOOKS = ROOT / "notebooks"
RESULTS = ROOT / "data" / "results"
BUILD = ROOT / "build"
ELSEWHERE = (
    "This works in the course's own folder, a clone or its unpacked archive; the installed package"
    " holds only what students get."
)

Main = Callable[..., int]


def chapters() -> list[Path]:
    """Return the notebooks of the course, in order."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def notebook_named(text: str) -> Path:
    """Return the notebook or folder that a command line names: a path, or a chapter by its name.

    Raises argparse.ArgumentTypeError if there is none.
    """
    for path in (Path(text), NOTEBOOKS / text, NOTEBOOKS / f"{text}.ipynb"):
        if path.exists():
            return path
    names = ", ".join(path.stem for path in chapters())
    raise argparse.ArgumentTypeError(f"there is no notebook {text!r}; the chapters are {names}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of path once the block has ended without an error; until
    then, and after an error, path is as it was. Raises OSError if it cannot be written."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".course-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(draft, _mode(path))
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def _mode(path: Path) -> int:
    """The permissions of path; if it is not there, those of any new file."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)  # there is no other way to read it
    os.umask(mask)
    return 0o666 & ~mask


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text in UTF-8, with the same line ends on every system."""
    with replacing(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def ending(*errors: type[Exception]) -> Callable[[Main], Main]:
    """Return what makes a command end with one sentence, and 2, where it would raise an error."""

    def decorated(main: Main) -> Main:
        @functools.wraps(main)
        def ends(*arguments: object, **more: object) -> int:
            try:
                return main(*arguments, **more)
            except errors as error:
                print(error, file=sys.stderr)
                return 2

        return ends

    return decorated

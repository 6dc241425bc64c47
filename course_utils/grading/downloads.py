"""Whose file is it, and from when? As Canvas, Moodle, Blackboard and nbgrader name what they hand
out, as a folder or as the very ZIP file.

Canvas writes `name[_LATE]_USER_NUMBER_FILE[-TRY].ipynb`; Moodle `Full Name_NUMBER_assignsubmission_
file_`, a folder or the beginning of a file's name, with another number each time; Blackboard
`Homework_user_attempt_TIME[_FILE]`; nbgrader's exchange `user+homework+TIME+code`.
"""

import os
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zoneinfo import ZoneInfo

FORMS = {
    "canvas": re.compile(
        r"(?P<student>[^_]+)(?P<late>_LATE)?_(?P<number>\d+)_\d+_(?P<file>.+?)"
        r"(?:-(?P<attempt>\d+))?(?P<end>\.[A-Za-z.]+)"
    ),
    "moodle": re.compile(
        r"(?P<student>.+?)_(?P<number>\d+)_assignsubmission_(?P<kind>file|onlinetext)(?:_.*)?"
    ),
    "blackboard": re.compile(
        r".+?_(?P<student>[^_]+)_attempt_(?P<time>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)"
        r"(?P<receipt>\.txt)?(?:_.+)?"
    ),
    "exchange": re.compile(r"(?P<student>[^+]+)\+(?P<homework>[^+]+)\+(?P<time>[^+]+)(?:\+.*)?"),
}
JUNK = {"__macosx", "thumbs.db", "desktop.ini", "index.html", "timestamp.txt"}
MOST_FILES, MOST_BYTES, LARGEST = 20_000, 4_000_000_000, 64_000_000


class Owner(NamedTuple):
    """What the name of an entry at the top of a download tells."""

    student: str  # by which the same person is known in another download, as far as can be
    name: str = ""
    number: str = ""  # by which the system knows the person: Canvas always, Moodle this time
    system: str = ""
    time: datetime | None = None
    late: bool = False
    attempt: int = 0
    homework: str = ""  # if the name tells
    counts: bool = True  # False for what a system adds: receipts, text typed into a form


def owner(name: str, is_folder: bool) -> Owner:
    """Return whose entry it is, by its name."""
    for system, form in FORMS.items():
        if found := form.fullmatch(name):
            told = found.groupdict()
            student, number = told["student"].strip(), told.get("number") or ""
            return Owner(
                f"{student}_{number}" if system == "canvas" else student,
                student,
                number,
                system,
                time_of(told.get("time") or ""),
                bool(told.get("late")),
                int(told.get("attempt") or 0),
                told.get("homework") or "",
                not told.get("receipt") and told.get("kind") != "onlinetext",
            )
    student = name if is_folder else stem(name)
    return Owner(student, student)


def stem(name: str) -> str:
    """Return a file's name without the endings that browsers and systems give a notebook."""
    return re.sub(r"(?i)(?:\.(?:ipynb|json|txt|zip|pdf|html))+$", "", name) or name


def is_junk(name: str) -> bool:
    """Tell if a file or folder is what systems leave behind, and nobody's work."""
    return name.startswith((".", "._")) or name.lower() in JUNK


def time_of(text: str) -> datetime | None:
    """Return the time in a text, in UTC where it names no zone; None if there is none.

    Blackboard, which writes no zone, means its own clock: that is taken for this machine's.
    """
    text, zone_of_none = text.strip(), UTC
    if found := re.fullmatch(r"(\d{4}-\d\d-\d\d)-(\d\d)-(\d\d)-(\d\d)", text):
        text, zone_of_none = "{} {}:{}:{}".format(*found.groups()), None
    zone = re.search(r" ([A-Z][\w/+-]+)$", text)
    try:
        time = datetime.fromisoformat(text.removesuffix(zone[0]) if zone else text)
        named = _zone(zone[1]) if zone else zone_of_none
    except (ValueError, KeyError, OSError):
        return None
    if time.tzinfo:
        return time
    return time.replace(tzinfo=named) if named else time.astimezone()


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


@contextmanager
def opened(place: Path) -> Iterator[Path]:
    """A folder of what was handed in: the folder itself, or a ZIP file unpacked for a while.

    Raises ValueError if the ZIP is damaged, or holds too much or what leads out of it.
    """
    if not zipfile.is_zipfile(place):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="course-") as folder:
        try:
            with zipfile.ZipFile(place) as archive:
                unpack(archive, Path(folder), place.name)
        except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{place} is a ZIP file that cannot be read: {error}.") from None
        yield Path(folder)


def unpack(archive: zipfile.ZipFile, folder: Path, name: str) -> None:
    """Unpack an archive, times kept, within bounds. Raises ValueError where they are exceeded."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    whole = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_FILES or whole > MOST_BYTES:
        raise ValueError(
            f"{name} would unpack to {len(entries)} files of {whole / 1e6:.0f} MB; at most"
            f" {MOST_FILES} of {MOST_BYTES / 1e6:.0f} MB are read. Unpack it yourself, and look."
        )
    for entry in entries:
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        leads_out = not parts or ".." in parts or parts[0] == "/"
        if leads_out or stat.S_ISLNK(entry.external_attr >> 16):
            raise ValueError(
                f"{name} holds {entry.filename!r}, which leads out of it: nothing is graded."
            )
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, target.open("wb") as file:
            shutil.copyfileobj(_Bounded(packed), file)
        _set_time(target, entry)


class _Bounded:
    """A packed file that ends after LARGEST bytes, whatever its header says."""

    def __init__(self, packed) -> None:
        self.packed, self.left = packed, LARGEST + 1

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        some = self.packed.read(min(size, self.left) if size > 0 else self.left)
        self.left -= len(some)
        return some


def _set_time(target: Path, entry: zipfile.ZipInfo) -> None:
    try:
        time = datetime(*entry.date_time).timestamp()
    except ValueError:
        return
    os.utime(target, (time, time))

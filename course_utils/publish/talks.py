"""What the speaker says: notebooks/book/lecturers/talks/CHAPTER.md, an entry for each slide.

An entry is a heading, the slide's title; below it in italics the cell that begins the slide and
the minutes of the lecture that it takes; then the note. A slide without minutes is an extra: it
lies below the way of the lecture, for questions. `## Lecture 2` begins the second lecture; what
stands right below it is the note of its first slide.
"""

import re
from pathlib import Path
from typing import NamedTuple

LECTURE = re.compile(r"^## Lecture (\d)\b.*\n", re.MULTILINE)
ENTRY = re.compile(r"^### ", re.MULTILINE)
FORM = re.compile(r"(?P<title>.+)\n\n\*`(?P<cell>[\w-]+)`(?:, (?P<minutes>[\d.]+) min)?\*\n")
HEADING = "a heading, an empty line, then *`cell`, 3 min* in a line of its own"


class Note(NamedTuple):
    """What is said to one slide: its title, minutes of this lecture before it and on it, words."""

    title: str
    lecture: int
    start: float
    minutes: float
    words: str


def read(path: Path) -> dict[str, Note]:
    """Return the notes of a talk, by the cell that begins the slide; none if there is no such file.

    The note of a second lecture's first slide is called "lecture-2", and takes a minute. Raises
    ValueError if an entry has not the form that is asked for, or if two are for one slide.
    """
    notes: dict[str, Note] = {}
    _, *parts = LECTURE.split(path.read_text("utf-8")) if path.is_file() else [""]
    for lecture, text in zip(map(int, parts[::2]), parts[1::2], strict=True):
        opening, *entries = ENTRY.split(text)
        now = 0.0
        if lecture > 1:
            notes[f"lecture-{lecture}"] = Note("", lecture, now, 1.0, opening.strip())
            now = 1.0
        for entry in entries:
            found = FORM.match(entry)
            if found is None or found["cell"] in notes:
                fault = "is not " + HEADING if found is None else "is for a slide that has one"
                raise ValueError(f"{path.name}: {entry.splitlines()[0]!r} {fault}")
            minutes = float(found["minutes"] or 0)
            words = entry[found.end() :].strip()
            notes[found["cell"]] = Note(found["title"], lecture, now, minutes, words)
            now += minutes
    return notes


def lasts(notes: dict[str, Note]) -> dict[int, float]:
    """Return the minutes of each lecture of a talk."""
    ends = [(note.lecture, note.start + note.minutes) for note in notes.values()]
    return {lecture: max(end for of, end in ends if of == lecture) for lecture, _ in ends}

"""Who is in the class: `roster.csv` in the course's folder, ours or what Canvas or Moodle exports.

A roster makes one person one row, under one id all term, whatever a system calls a file; and it
tells who handed in nothing.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from course_utils.tools.files import write

NAME = "roster.csv"
COLUMNS = ["id", "name", "email", "section"]
# What other systems call a column, in the order in which it is asked for.
IDS = ("id", "sis login id", "username", "id number", "student id", "sis user id")
NAMES = ("name", "student", "full name", "student name")
EMAILS = ("email", "e-mail", "email address", "e-mail address")
ENCODINGS = ("utf-8-sig", "utf-16", "cp1252")


class Person(NamedTuple):
    """Somebody on the roster; what is not known is empty."""

    id: str
    name: str = ""
    email: str = ""
    section: str = ""
    number: str = ""  # by which a system's downloads name a person


def template(course: Path) -> None:
    """Write a roster without people into a course's folder that has none."""
    if not (course / NAME).exists():
        write(course / NAME, ",".join(COLUMNS) + "\n")


def of_course(course: Path, named: Path | None) -> list[Person]:
    """Return the class: that of a named table, or of a course's folder; [] if there is none.

    Raises FileNotFoundError for a table that was named and is not there, and see `read`.
    """
    if named is None:
        template(course)
    return read(named or course / NAME)


def read(path: Path) -> list[Person]:
    """Return the people of a roster: our own columns (id, name, email, section), or an export.

    Canvas's gradebook, Moodle's participants and Moodle's grading worksheet are understood. Raises
    ValueError if a row has no id, two have the same, or the columns are none of these.
    """
    header, rows = table(path)
    columns = {name.strip().lower(): i for i, name in enumerate(header)}
    is_canvas = {"student", "id", "section"} <= columns.keys()
    ids = [name for name in IDS if name in columns and not (is_canvas and name == "id")]
    ids += [name for name in EMAILS if name in columns] + ["id"] * is_canvas
    if not any(name in columns for name in ids):
        raise ValueError(
            f"{path} has the columns {', '.join(header) or '(none)'}; a roster needs"
            f" {', '.join(COLUMNS)}, or is what Canvas or Moodle exports. Only `id` must be filled."
        )
    people: dict[str, Person] = {}
    for line, row in enumerate(rows, 2):
        found = {name: row[i].strip() for name, i in columns.items() if i < len(row)}
        if is_canvas and is_no_person(found):
            continue
        person = person_of(found, ids, is_canvas)
        if not person.id:
            raise ValueError(f"{path}, line {line}: this row has no id ({', '.join(ids)}).")
        if person.id in people:
            raise ValueError(f"{path}, line {line}: the id {person.id} stands twice.")
        people[person.id] = person
    return list(people.values())


def person_of(row: dict[str, str], ids: Iterable[str], is_canvas: bool) -> Person:
    """Return the person in a row, whose values stand under their columns' names."""

    def first(*names: str) -> str:
        return next((row[name] for name in names if row.get(name)), "")

    parts = [first("first name"), first("last name", "surname")]
    name = first(*NAMES) or " ".join(filter(None, parts))
    number = row["id"] if is_canvas else ""
    return Person(first(*ids), name, first(*EMAILS), first("section", "groups"), number)


def is_no_person(row: dict[str, str]) -> bool:
    """Tell if a row of Canvas's gradebook is one that it adds: points, or its test student."""
    return "Points Possible" in row["student"] or row["student"] in ("", "Student, Test")


def table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV file, as Excel and other systems write it.

    Raises ValueError if it is not a table; OSError if it cannot be read.
    """
    text = decoded(path.read_bytes(), path)
    first = text.lstrip().partition("\n")[0]
    mark = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=mark, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV file: {error}.") from None
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise ValueError(f"{path} is empty: it needs a line with {','.join(COLUMNS)}.")
    return rows[0], rows[1:]


def decoded(content: bytes, path: Path) -> str:
    """Return a text in one of the encodings that spreadsheets write. ValueError if it is none."""
    if not content.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in content:
        raise ValueError(f"{path} is not a CSV file: save the table as CSV, and name that.")
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeError:
            continue
    raise ValueError(f"{path} is not a CSV file in UTF-8: save the table again as CSV (UTF-8).")


def folded(text: str) -> str:
    """Return the letters and digits of a name, small and without accents."""
    plain = unicodedata.normalize("NFKD", text)
    return re.sub(r"[\W_]", "", "".join(c for c in plain if not unicodedata.combining(c))).lower()


def handles(person: Person) -> set[str]:
    """Return all that a system may call a person, folded: id, e-mail, and the name both ways."""
    last, comma, first = person.name.partition(",")
    words = f"{first} {last}".split() if comma else person.name.split()
    turned = [[*words[i:], *words[:i]] for i in range(len(words))]
    names = [folded("".join(order)) for order in turned]
    return {folded(person.id), folded(person.email), folded(person.email.partition("@")[0]), *names}


class Roster(NamedTuple):
    """The class, to look people up in."""

    people: list[Person]
    by_handle: dict[str, list[Person]]

    def named(self, name: str, number: str = "") -> tuple[Person | None, str]:
        """Return whose name this is, and, if that is not clear, a note that says why.

        number is the system's for the person, which decides where it is known.
        """
        for person in self.people:
            if number and number == person.number:
                return person, ""
            if name == person.id:
                return person, ""
        found = self.by_handle.get(folded(name), [])
        if len(found) == 1:
            return found[0], ""
        if found:
            ids = ", ".join(person.id for person in found)
            return None, f"{name} may be each of {ids}, and gets a row of its own."
        return None, f"{name} is not on the roster."


def roster(people: list[Person]) -> Roster:
    """Return people with an index of what they may be called."""
    by_handle: dict[str, list[Person]] = {}
    for person in people:
        for handle in handles(person) - {""}:
            by_handle.setdefault(handle, []).append(person)
    return Roster(people, by_handle)

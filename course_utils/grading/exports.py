"""Grades and feedback in the forms that Canvas and Moodle take back, and a table over a term.

The columns are those of Canvas's gradebook (`gradebook_exporter.rb` and `gradebook_importer.rb`)
and of Moodle's offline grading worksheet (`mod/assign/feedback/offline`); the folders in the ZIP
are those of `mod/assign/feedback/file`.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from course_utils.grading import roster
from course_utils.grading.roster import Person
from course_utils.tools.files import replacing

POINTS = "    Points Possible"
CANVAS = ["Student", "ID", "SIS Login ID", "Section"]
MOODLE = [
    "Identifier",
    "Full name",
    "Email address",
    "Status",
    "Grade",
    "Maximum Grade",
    "Grade can be changed",
    "Last modified (grade)",
    "Feedback comments",
]


class Row(NamedTuple):
    """What is written about one person."""

    person: Person
    total: float | None  # None if nothing was handed in
    comments: str = ""
    canvas: str = ""  # its number for the person
    moodle: str = ""  # its number for the person, this time


def canvas(title: str, most: float, rows: Iterable[Row], export: Path | None) -> str:
    """Return grades as Canvas's gradebook takes them (Grades, Import), one assignment.

    Args:
        title: of the assignment, where the export has none that is it.
        most: all points of the homework.
        rows: one a person; who handed in nothing has an empty grade.
        export: the gradebook as Canvas exported it, whose columns and rows are kept.
    """
    found = from_canvas(export) if export else None
    header, lines = found or (CANVAS, [])
    at = column_of(title, header)
    info = header[: header.index("Section") + 1]
    possible = next((line for line in lines if POINTS.strip() in line[0]), [])
    theirs = number(possible[at]) if at is not None and at < len(possible) else None
    factor = (theirs or most) / most
    table = [[*info, title if at is None else header[at]]]
    table.append([POINTS, *[""] * (len(info) - 1), f"{theirs or most:g}"])
    kept = {line[info.index("ID")]: line[: len(info)] for line in lines} if found else {}
    for row in rows:
        person = row.person
        ours = [plain(person.name or person.id), row.canvas, person.id, person.section]
        line = kept.get(row.canvas, padded(ours, info))
        table.append([*line, points(row.total, factor)])
    return as_csv(table)


def from_canvas(path: Path) -> tuple[list[str], list[list[str]]] | None:
    """Return header and rows of a gradebook that Canvas exported; None if it is another table."""
    header, rows = roster.table(path)
    is_canvas = {"Student", "ID", "Section"} <= set(header)
    return (header, [row + [""] * (len(header) - len(row)) for row in rows]) if is_canvas else None


def padded(ours: list[str], info: list[str]) -> list[str]:
    """Return what we know of a person under the columns that an export has."""
    known = dict(zip(CANVAS, ours, strict=True))
    return [known.get(name, "") for name in info]


def column_of(title: str, header: list[str]) -> int | None:
    """Return the column of an assignment by its number (Homework 1, HW1, …); None if none is it."""
    wanted = re.search(r"\d+", title)[0]
    named = re.compile(rf"(?i)\b(?:hw|homework|assignment|exercise)\s*[-_#]?\s*0*{wanted}\b")
    found = [i for i, name in enumerate(header) if named.search(name)]
    return found[0] if len(found) == 1 else None


def moodle(most: float, rows: Iterable[Row]) -> str:
    """Return a grading worksheet of those whom Moodle's download named by a number."""
    table = [MOODLE]
    for row in rows:
        if row.moodle:
            name = plain(row.person.name or row.person.id)
            who = [f"Participant {row.moodle}", name, row.person.email]
            table.append(
                [*who, "", points(row.total, 1), f"{most:g}", "Yes", "-", row.comments],
            )
    return as_csv(table)


class Worksheet(NamedTuple):
    """Moodle's grading worksheet of one assignment, as it was downloaded."""

    header: list[str]
    lines: list[list[str]]

    def cell(self, line: list[str], name: str) -> str:
        """Return what stands in a column of a line, "" where there is no such column."""
        return line[self.header.index(name)] if name in self.header else ""

    def number(self, line: list[str]) -> str:
        """Return the number of a line's participant."""
        return re.sub(r"\D", "", self.cell(line, "Identifier"))


def worksheet(path: Path) -> Worksheet:
    """Read Moodle's grading worksheet. Raises ValueError if it is something else."""
    header, lines = roster.table(path)
    header = [name.strip() for name in header]
    missing = [n for n in ("Identifier", "Grade", "Last modified (grade)") if n not in header]
    if missing:
        raise ValueError(
            f"{path} is not Moodle's grading worksheet in English: it has no column"
            f" {' and no '.join(missing)}. Switch Moodle to English, and download it again."
        )
    return Worksheet(header, [line + [""] * (len(header) - len(line)) for line in lines])


def lateness(sheet: Worksheet) -> dict[str, str]:
    """Return what Moodle says of those who were late, by their numbers."""
    status = {sheet.number(line): sheet.cell(line, "Status") for line in sheet.lines}
    return {number: text for number, text in status.items() if "late" in text.lower()}


def numbered(people: list[Person], sheet: Worksheet) -> list[Person]:
    """Return the people with a worksheet's numbers; those of the worksheet if there are none."""
    known = roster.roster(people)
    numbers, more = {}, []
    for line in sheet.lines:
        name, email = sheet.cell(line, "Full name"), sheet.cell(line, "Email address")
        person = known.named(email)[0] or known.named(name)[0]
        if person:
            numbers[person.id] = sheet.number(line)
        elif not people:
            ident = email or name or sheet.cell(line, "Identifier")  # the last if marking is blind
            more.append(Person(ident, name, email, number=sheet.number(line)))
    return [p._replace(number=numbers.get(p.id, "")) for p in people] + more


def filled(sheet: Worksheet, most: float, rows: Iterable[Row]) -> tuple[str, float]:
    """Return a worksheet with its grades filled in, and by what the points were multiplied.

    Moodle's own maximum may be another than ours. What else stands in the worksheet stays.
    """
    by_number = {row.moodle: row for row in rows if row.moodle}
    largest = [number(sheet.cell(line, "Maximum Grade")) for line in sheet.lines]
    factor = next((value for value in largest if value), most) / most
    grade, table = sheet.header.index("Grade"), [sheet.header]
    for line in sheet.lines:
        row, new = by_number.get(sheet.number(line)), list(line)
        if row and row.total is not None:
            new[grade] = points(row.total, factor)
            if row.comments and "Feedback comments" in sheet.header:
                new[sheet.header.index("Feedback comments")] = row.comments
        table.append(new)
    return as_csv(table), factor


def feedback_zip(place: Path, pages: dict[str, Path], rows: Iterable[Row]) -> int:
    """Write the feedback pages as Moodle takes them (Upload multiple feedback files in a zip).

    Returns how many are in it: those of people whom Moodle's download named by a number. pages are
    the files by the person's id.
    """
    there = [row for row in rows if row.moodle and row.person.id in pages]
    with replacing(place) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for row in there:
            name = re.sub(r"[_/\\:]", " ", row.person.name or row.person.id)
            folder = f"{name}_{row.moodle}_assignsubmission_file_"
            archive.write(pages[row.person.id], f"{folder}/feedback_{pages[row.person.id].name}")
    return len(there)


def term(homeworks: dict[str, tuple[float, dict[str, float | None]]], people: list[Person]) -> str:
    """Return a table over a term: a person a line, the points of each homework, their sum.

    homeworks has, by name, all points and the total of each person; who is missing there, or has
    None, handed in nothing, which counts as 0 in the sum.
    """
    most = sum(points for points, _ in homeworks.values())
    table = [["student", "name", "section", *homeworks, "total"]]
    table.append(["of", "", "", *(f"{p:g}" for p, _ in homeworks.values()), f"{most:g}"])
    for person in people:
        got = [totals.get(person.id) for _, totals in homeworks.values()]
        texts = ["" if value is None else f"{value:g}" for value in got]
        whole = f"{sum(filter(None, got)):g}" if any(texts) else ""
        line = [person.id, person.name, person.section, *texts, whole]
        table.append([plain(text) for text in line])
    return as_csv(table)


def points(total: float | None, factor: float) -> str:
    """Return points as a system takes them; nothing for who handed in nothing."""
    return "" if total is None else f"{round(total * factor, 2):g}"


def number(text: str) -> float | None:
    """Return the number in a cell; None if it holds none."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def as_csv(table: list[list[str]]) -> str:
    """Return a table as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


def plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text

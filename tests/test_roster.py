"""A class from its roster to the tables that Canvas and Moodle take back.

What a table has to hold is checked by the rules of the importers themselves, retold here: Canvas's
`lib/gradebook_importer.rb`, Moodle's `mod/assign/feedback/offline` and `…/feedback/file`.
"""

import csv
import io
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from homework import tiny
from homework.classroom import BOUNDS, a_course, grades, needs_sandbox, released

from course_utils.grading import exports, roster
from course_utils.grading.exports import Row
from course_utils.grading.roster import Person

if sys.platform != "linux":
    pytest.skip("grading needs Linux", allow_module_level=True)

from course_utils.grading.__main__ import main

CLASS = [  # id, name, e-mail, section, Canvas's number, Moodle's number this time
    ("jdoe", "Jane Doe", "jane.doe@u.example", "A", "101", "7001"),
    ("maxr", "Max O'Roe", "max@u.example", "A", "102", "7002"),
    ("ale1", "Anna Lee", "anna.lee@u.example", "A", "103", "7003"),
    ("ale2", "Anna Lee", "anna.lee2@u.example", "B", "104", "7004"),
    ("zbor", "Zoë Børge-Ñuñez", "zoe@u.example", "B", "105", "7005"),
    ("lwei", "李伟", "wei@u.example", "B", "106", "7006"),
    ("gone", "Nobody There", "nobody@u.example", "B", "107", "7007"),
]
HANDED_IN = [person for person in CLASS if person[0] != "gone"]


def sortable(name: str) -> str:
    first, _, last = name.rpartition(" ")
    return f"{last}, {first}" if first else last


def our_roster() -> str:
    return "id,name,email,section\n" + "".join(",".join(p[:4]) + "\n" for p in CLASS)


def canvas_export(title: str = "Homework 1 (4711)") -> str:
    lines = [f"Student,ID,SIS User ID,SIS Login ID,Section,{title},Final Score"]
    lines.append("    Points Possible,,,,,8.00,(read only)")
    for ident, name, _, section, number, _ in CLASS:
        lines.append(f'"{sortable(name)}",{number},S{number},{ident},{section},,')
    lines.append('"Student, Test",999,,,A,,')
    return "\ufeff" + "\n".join(lines) + "\n"


def moodle_sheet(most: float = 8) -> str:
    head = "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,"
    lines = [head + '"Last modified (submission)","Last modified (grade)","Feedback comments"']
    for _, name, email, _, _, number in CLASS:
        status = "Submitted for grading" + " - 2 hours late" * (number == "7002")
        cells = [f"Participant {number}", name, email, status, "", f"{most:.2f}", "Yes"]
        lines.append(",".join(cells) + ',"Sunday, 29 November 2026, 10:00 AM",-,')
    return "\n".join(lines) + "\n"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# The roster


ROSTERS = {
    "ours": our_roster(),
    "for-excel-in-europe": our_roster().replace(",", ";"),
    "with-tabs-and-spaces": our_roster().replace(",", "\t").replace("id\t", " ID \t"),
    "canvas": canvas_export(),
    "moodle-participants": "First name,Last name,ID number,Email address,Groups\n"
    + "".join(
        f"{p[1].rpartition(' ')[0]},{p[1].rpartition(' ')[2]},{p[0]},{p[2]},\n" for p in CLASS
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("kind", ROSTERS)
def test_a_roster_is_read_in_the_forms_that_there_are(tmp_path, kind, encoding):
    path = tmp_path / "roster.csv"
    path.write_bytes(ROSTERS[kind].lstrip("\ufeff").encode(encoding))
    people = roster.read(path)
    assert [person.id for person in people] == [person[0] for person in CLASS]
    assert {roster.folded(p.name) for p in people} <= {
        order for c in CLASS for order in (roster.folded(c[1]), roster.folded(sortable(c[1])))
    }


def test_a_roster_that_excel_saved_without_unicode_is_read(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_bytes("id;name\r\nzbor;Zoë Börge\r\n".encode("cp1252"))
    assert roster.read(path) == [Person("zbor", "Zoë Börge")]


BAD_ROSTERS = {
    "name,email\nJane,\n": "",  # an e-mail serves as an id, so this row alone is at fault
    "name,points\nJane,3\n": "needs id, name, email, section",
    "id,name\njdoe,Jane\njdoe,Max\n": "line 3: the id jdoe stands twice",
    "id,name\n,Jane\n": "line 2: this row has no id",
    "": "is empty",
    'id,name\njdoe,"Jane\n': "is not a CSV file",
    "PK\3\4\0\0xl/workbook.xml": "save the table as CSV",
}


@pytest.mark.parametrize("text", BAD_ROSTERS)
def test_a_roster_that_cannot_be_read_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode())
    with pytest.raises(ValueError, match=BAD_ROSTERS[text] or "line 2: this row has no id"):
        roster.read(path)


def test_a_template_is_written_once_and_holds_nobody(tmp_path):
    assert roster.of_course(tmp_path, None) == []
    assert (tmp_path / "roster.csv").read_text() == "id,name,email,section\n"
    (tmp_path / "roster.csv").write_text("id\nanna\n")
    assert roster.of_course(tmp_path, None) == [Person("anna")]


NAMES = {
    "jdoe": "jdoe",
    "doejane": "jdoe",
    "Jane Doe": "jdoe",
    "Doe, Jane": "jdoe",
    "jane.doe@u.example": "jdoe",
    "jane.doe": "jdoe",
    "Max ORoe": "maxr",
    "oroemax": "maxr",
    "zoe børge nunez": "zbor",
    "李伟": "lwei",
    "Anna Lee": None,
    "Jane": None,
    "": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_person_is_known_by_id_mail_and_name_and_never_by_a_guess(tmp_path, name):
    people = [Person(*row[:5]) for row in CLASS]
    found, note = roster.roster(people).named(name)
    assert (found and found.id) == NAMES[name]
    assert bool(note) == (found is None)


def test_a_number_decides_between_two_of_one_name():
    people = [Person(*row[:5]) for row in CLASS]
    assert roster.roster(people).named("leeanna", "104")[0].id == "ale2"
    assert "ale1, ale2" in roster.roster(people).named("leeanna")[1]


# The tables


def rows() -> list[Row]:
    people = [Person(*p[:4]) for p in CLASS]
    totals = [8, 7.5, 0, 3.25, 6, 1, None]
    return [
        Row(person, total, "Well done." * (i == 0), canvas=line[4], moodle=line[5])
        for i, (person, total, line) in enumerate(zip(people, totals, CLASS, strict=True))
    ]


def taken_by_canvas(text: str) -> dict[str, str]:
    """Read a gradebook as Canvas does: the grade of each of its users, by its number for them."""
    header, possible, *lines = list(csv.reader(io.StringIO(text)))
    assert len(header) > 3
    assert "Student" in header[0]
    assert "ID" in header[1]
    columns = 3
    if "SIS Login ID" in header[2]:
        columns = 4
    elif "SIS User ID" in header[2] and "SIS Login ID" in header[3]:
        columns = 5
    assert "Section" in header[columns - 1], "the last column on the student"
    assert "Points Possible" in possible[0]
    assert all(len(line) == len(header) for line in [possible, *lines])
    users, found = {p[4]: p for p in CLASS}, {}
    for line in lines:
        user = users.get(line[1]) or next(p for p in CLASS if p[0] == line[columns - 2])
        found[user[0]] = line[columns].strip()
    return found


def test_canvas_takes_its_own_gradebook_back_with_one_column_filled(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(canvas_export(), "utf-8")
    text = exports.canvas("Homework 1", 8, rows(), path)
    assert text.splitlines()[0].endswith("Section,Homework 1 (4711)")
    assert '"Doe, Jane",101,S101,jdoe,A,8' in text
    assert taken_by_canvas(text)["gone"] == "", "who handed in nothing has no grade"
    assert taken_by_canvas(text)["ale2"] == "3.25"


def test_canvas_takes_a_gradebook_that_was_made_without_its_own():
    text = exports.canvas("Homework 1", 8, rows(), None)
    assert taken_by_canvas(text)["maxr"] == "7.5"
    bare = [row._replace(canvas="") for row in rows()]
    assert taken_by_canvas(exports.canvas("Homework 1", 8, bare, None))["maxr"] == "7.5"


def test_points_are_scaled_to_what_canvas_says_an_assignment_is_worth(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(canvas_export("HW 01 (4711)").replace("8.00", "100"), "utf-8")
    assert taken_by_canvas(exports.canvas("Homework 1", 8, rows(), path))["maxr"] == "93.75"


TITLES = {"Homework 1 (5)": 1, "HW1": 1, "hw-01: coordinate descent (77)": 1, "Homework 11 (5)": 0}


@pytest.mark.parametrize("name", TITLES)
def test_an_assignment_is_known_by_its_number(name):
    assert bool(exports.column_of("Homework 1", ["Student", name])) == bool(TITLES[name])
    assert exports.column_of("Homework 1", ["Homework 1 (5)", "hw1"]) is None, "two may be it"


def taken_by_moodle(text: str) -> dict[str, str]:
    """Read a worksheet as Moodle's importer does: the grade by its number for a participant."""
    found = {}
    for line in rows_of(text):
        assert {"Identifier", "Grade", "Last modified (grade)"} <= set(line)
        assert line["Identifier"].startswith("Participant ")
        found[line["Identifier"][len("Participant ") :]] = line["Grade"]
    return found


def test_moodle_takes_its_own_worksheet_back(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text(moodle_sheet(), "utf-8")
    text, factor = exports.filled(exports.worksheet(path), 8, rows())
    assert factor == 1
    assert taken_by_moodle(text) == taken_by_moodle(moodle_sheet()) | {
        "7001": "8",
        "7002": "7.5",
        "7003": "0",
        "7004": "3.25",
        "7005": "6",
        "7006": "1",
    }
    assert rows_of(text)[0]["Feedback comments"] == "Well done."
    assert rows_of(text)[6]["Status"] == rows_of(moodle_sheet())[6]["Status"]


def test_a_worksheet_says_who_is_who_of_two_of_one_name_and_is_a_roster_itself(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text(moodle_sheet(), "utf-8")
    people = [Person(*p[:4]) for p in CLASS]
    numbers = {p.id: p.number for p in exports.numbered(people, exports.worksheet(path))}
    assert numbers == {person[0]: person[5] for person in CLASS}
    alone = exports.numbered([], exports.worksheet(path))
    assert [p.id for p in alone] == [person[2] for person in CLASS]


def test_a_worksheet_of_blind_marking_has_numbers_alone(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("Identifier,Status,Grade,Last modified (grade)\nParticipant 12,,,-\n", "utf-8")
    sheet = exports.worksheet(path)
    assert exports.numbered([], sheet) == [Person("Participant 12", number="12")]
    assert exports.numbered([Person("jdoe")], sheet) == [Person("jdoe")]
    text, _ = exports.filled(sheet, 8, [Row(Person("Participant 12"), 3, moodle="12")])
    assert taken_by_moodle(text) == {"12": "3"}


def test_points_are_scaled_to_moodles_maximum(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text(moodle_sheet(100), "utf-8")
    text, factor = exports.filled(exports.worksheet(path), 8, rows())
    assert factor == 12.5
    assert taken_by_moodle(text)["7002"] == "93.75"


def test_moodle_takes_a_worksheet_that_was_made_from_its_download():
    assert taken_by_moodle(exports.moodle(8, rows()))["7004"] == "3.25"


def test_a_worksheet_in_another_language_is_refused_with_a_way_out(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("ID,Vollständiger Name,Bewertung\nTeilnehmer/in1,Jane,\n", "utf-8")
    with pytest.raises(ValueError, match="Switch Moodle to English"):
        exports.worksheet(path)


def taken_by_moodles_zip(place: Path) -> dict[str, str]:
    """Read a ZIP of feedback as Moodle does: the files by its number for a participant."""
    found = {}
    for name in zipfile.ZipFile(place).namelist():
        folder, _, file = name.partition("/")
        info = folder.split("_", 4)
        assert len(info) >= 4
        assert info[1].isdigit()
        assert info[2:4] == ["assignsubmission", "file"]
        assert not file.startswith((".", "~"))
        found[info[1]] = file
    return found


def test_moodle_takes_the_feedback_of_all_in_one_zip(tmp_path):
    pages = {}
    for person in HANDED_IN:
        pages[person[0]] = tmp_path / f"{person[0]}.html"
        pages[person[0]].write_text(person[1], "utf-8")
    count = exports.feedback_zip(tmp_path / "all.zip", pages, rows())
    found = taken_by_moodles_zip(tmp_path / "all.zip")
    assert count == len(found) == len(HANDED_IN)
    assert found["7002"] == "feedback_maxr.html"


def test_a_name_of_somebody_else_makes_no_formula_and_no_folder(tmp_path):
    row = Row(Person("x", "=HYPERLINK(1)_7_assign/../.."), 1, "", "1", "2")
    assert "'=HYPERLINK" in exports.canvas("Homework 1", 8, [row], None)
    (tmp_path / "p.html").write_text("x")
    exports.feedback_zip(tmp_path / "all.zip", {"x": tmp_path / "p.html"}, [row])
    assert taken_by_moodles_zip(tmp_path / "all.zip") == {"2": "feedback_p.html"}


def test_a_term_is_a_line_a_person_and_nothing_is_empty():
    people = [Person("jdoe", "Jane Doe", section="A"), Person("gone")]
    homeworks = {"hw1": (8.0, {"jdoe": 7.5}), "hw2": (10.0, {"jdoe": None})}
    assert exports.term(homeworks, people).splitlines() == [
        "student,name,section,hw1,hw2,total",
        "of,,,8,10,18",
        "jdoe,Jane Doe,A,7.5,,7.5",
        "gone,,,,,",
    ]


# A class as a system hands it out


def canvas(course: Path, folder: Path) -> None:
    for ident, name, _, _, number, _ in HANDED_IN:
        late = "_LATE" if ident == "maxr" else ""
        stem = "".join(c for c in sortable(name).lower() if c.isalnum())
        save(course, folder / f"{stem}{late}_{number}_90{number}_hw1_tiny-1.ipynb")


def moodle(course: Path, folder: Path) -> None:
    for _, name, _, _, _, number in HANDED_IN:
        save(course, folder / f"{name}_{number}_assignsubmission_file_" / "hw1_tiny.ipynb")


def blackboard(course: Path, folder: Path) -> None:
    for ident, *_ in HANDED_IN:
        stem = f"Homework 1_{ident}_attempt_2026-11-20-10-00-00"
        save(course, folder / f"{stem}_hw1_tiny.ipynb")
        (folder / f"{stem}.txt").write_text(f"Name: {ident}\n")


def save(course: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(tiny.filled(released(course)), place)


def packed(folder: Path) -> Path:
    place = folder.with_suffix(".zip")
    with zipfile.ZipFile(place, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder))
    return place


SYSTEMS = {
    "canvas": (canvas, canvas_export(), []),
    "moodle": (moodle, our_roster(), ["--worksheet"]),
    "blackboard": (blackboard, our_roster(), []),
}


@needs_sandbox
@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_class_goes_from_its_system_and_back(course, tmp_path, monkeypatch, capsys, system):
    make, people, more = SYSTEMS[system]
    mine = a_course(course, tmp_path / "course")
    (mine / "roster.csv").write_text(people, "utf-8")
    (tmp_path / "sheet.csv").write_text(moodle_sheet(), "utf-8")
    (tmp_path / "in").mkdir()
    make(mine, tmp_path / "in")
    if system == "moodle":  # an answer that was not written: nbgrader's own word is nobody's
        place = next((tmp_path / "in").rglob("Jane Doe*/*.ipynb"))
        nbformat.write(tiny.filled(released(mine), written=""), place)
    more = [part for option in more for part in (option, str(tmp_path / "sheet.csv"))]
    place = packed(tmp_path / "in")
    assert main(["hw1", str(place), "--course", str(mine), *more, *BOUNDS]) == 0
    table = grades(mine)
    assert set(table) == {person[0] for person in CLASS}
    assert {row["tests"] for s, row in table.items() if s != "gone"} == {"6"}
    assert table["gone"]["total"] == ""
    told = {row["handed in"] for row in table.values()}
    assert told == {"", "2026-11-20 10:00:00 UTC"} if system == "blackboard" else told == {""}
    assert table["gone"]["note"] == "Nothing was handed in."
    assert "1 of the roster handed in nothing" in capsys.readouterr().out
    results = mine / "results" / "hw1"
    assert taken_by_canvas((results / "canvas.csv").read_text("utf-8")) == {
        person[0]: "" if person[0] == "gone" else "6" for person in CLASS
    }
    assert (results / "moodle.csv").exists() == (system == "moodle")
    if system == "moodle":
        assert table["maxr"]["note"] == "Moodle says: Submitted for grading - 2 hours late."
        assert set(taken_by_moodle((results / "moodle.csv").read_text("utf-8")).values()) == {
            "",
            "6",
        }
        assert "No response" not in (results / "moodle.csv").read_text("utf-8")
        assert len(taken_by_moodles_zip(results / "moodle-feedback.zip")) == len(HANDED_IN)
    term = rows_of((mine / "results" / "term.csv").read_text("utf-8"))
    assert {row["student"]: row["hw1"] for row in term}["gone"] == ""


@needs_sandbox
@pytest.mark.slow
def test_a_second_batch_keeps_the_rows_of_the_first_and_a_term_is_graded_at_once(
    course, tmp_path, capsys
):
    mine = a_course(course, tmp_path / "course")
    (mine / "roster.csv").write_text(our_roster(), "utf-8")
    save(mine, tmp_path / "first" / "jdoe.ipynb")
    save(mine, tmp_path / "term" / "hw1" / "Max O'Roe.ipynb")
    assert main(["hw1", str(tmp_path / "first"), "--course", str(mine), *BOUNDS]) == 0
    assert main(["--all", str(tmp_path / "term"), "--course", str(mine), *BOUNDS]) == 0
    table = grades(mine)
    assert (table["jdoe"]["tests"], table["maxr"]["tests"]) == ("6", "6")
    assert sum(row["note"] == "Nothing was handed in." for row in table.values()) == 5
    assert main(["--all", str(tmp_path / "first"), "--course", str(mine)]) == 2
    assert "named hw1, hw2" in capsys.readouterr().err


@needs_sandbox
def test_a_term_is_read_in_any_letters_and_what_is_no_homework_is_told(course, tmp_path, capsys):
    mine = a_course(course, tmp_path / "course")
    save(mine, tmp_path / "in" / "jdoe.ipynb")
    (tmp_path / "term" / "notes").mkdir(parents=True)
    packed(tmp_path / "in").rename(tmp_path / "term" / "HW1.ZIP")
    assert main(["--all", str(tmp_path / "term"), "--course", str(mine), *BOUNDS]) == 0
    assert "left out: notes." in capsys.readouterr().out
    assert grades(mine)["jdoe"]["tests"] == "6"


@needs_sandbox
def test_what_a_lecturer_should_know_is_said_on_the_screen(course, tmp_path, capsys):
    mine = a_course(course, tmp_path / "course")
    canvas(mine, tmp_path / "in" / "a class of its own")
    save(mine, tmp_path / "in" / "jdoe.ipynb")
    command = ["hw1", str(tmp_path / "in"), "--course", str(mine), *BOUNDS]
    assert main(command) == 0
    assert "a class of its own: is this a class" in capsys.readouterr().out
    canvas(mine, tmp_path / "canvas")
    (tmp_path / "canvas.csv").write_text(canvas_export(), "utf-8")
    more = ["--due", "2026-11-30T23:59", "--roster", str(tmp_path / "canvas.csv")]
    command = ["hw1", str(tmp_path / "canvas"), "--course", str(mine), *more, *BOUNDS]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "6 of 6 have no time of handing in" in said
    assert "neither here nor on the roster: a class of its own." in said


def test_a_wrong_place_is_refused_before_anything_is_made(course, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("course_utils.grading.sandbox.check", lambda: None)
    (tmp_path / "in").mkdir()
    assert main(["hw1", str(tmp_path / "in"), "--course", str(tmp_path / "nope")]) == 2
    assert "There is no course in" in capsys.readouterr().err
    assert not (tmp_path / "nope").exists()
    with pytest.raises(SystemExit):
        main(["hw1", str(tmp_path / "in"), "--due", "1.12.2026"])
    assert "write it like 2026-12-01T23:59, not 1.12.2026" in capsys.readouterr().err

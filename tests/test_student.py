"""A student's copy: every branch of an update, and that no byte of a student's is ever lost."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course_utils.data import shared
from course_utils.tools import delivery, files, student

CHAPTER = "01_ista.ipynb"


def notebook(*sources: str, output: str = "") -> bytes:
    """A small notebook with code cells, as JupyterLab would save it."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": [output]}] if output else []
    cells = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{i}",
            "metadata": {},
            "outputs": outputs,
            "source": source.splitlines(keepends=True),
        }
        for i, source in enumerate(sources)
    ]
    whole = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


V1, V2, V3 = (notebook("import torch", f"version = {i}") for i in (1, 2, 3))
RUN = notebook("import torch", "version = 1", output="a run of mine")
EDITED = notebook("import torch", "version = 1\nmine = 'größer'")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "course" / "notebooks"
    folder.mkdir(parents=True)
    (folder / CHAPTER).write_bytes(V1)
    (folder / "00_start_here.ipynb").write_bytes(notebook("print('hello')"))
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return tmp_path / "my course"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under ``folder`` but the manifest, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / delivery.MANIFEST
    }


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_first_run_makes_the_folder_and_copies_byte_for_byte(course, mine):
    (course / CHAPTER).write_bytes(V1.replace(b"\n", b"\r\n"))
    lines = student.deliver(course, mine / "deeper")
    assert contents(mine / "deeper") == contents(course)
    assert lines == ["copied: 00_start_here.ipynb", f"copied: {CHAPTER}"]


def test_second_run_says_nothing_new_and_touches_nothing(course, mine, capsys):
    assert student.main([str(mine)], course) == 0
    before, bytes_before = stamps(mine), contents(mine)
    capsys.readouterr()
    assert student.main([str(mine)], course) == 0
    assert capsys.readouterr().out.startswith("nothing new\n")
    assert (stamps(mine), contents(mine)) == (before, bytes_before)


def test_untouched_notebook_is_updated(course, mine):
    student.deliver(course, mine)
    (course / CHAPTER).write_bytes(V2)
    assert student.deliver(course, mine) == [f"updated: {CHAPTER}"]
    assert contents(mine) == contents(course)


def test_a_chapter_new_in_the_course_arrives(course, mine):
    student.deliver(course, mine)
    (course / "02_lista.ipynb").write_bytes(V3)
    assert student.deliver(course, mine) == ["copied: 02_lista.ipynb"]


def test_a_chapter_gone_from_the_course_stays_with_the_student(course, mine):
    student.deliver(course, mine)
    (course / CHAPTER).unlink()
    assert student.deliver(course, mine) == []
    assert (mine / CHAPTER).read_bytes() == V1
    (course / CHAPTER).write_bytes(V2)  # and if the course takes it up again, it is known
    assert student.deliver(course, mine) == [f"updated: {CHAPTER}"]


def test_deleted_notebook_comes_back_and_is_said_so(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).unlink()
    assert student.deliver(course, mine) == [f"came back: {CHAPTER}"]
    assert (mine / CHAPTER).read_bytes() == V1


def test_notebook_that_was_only_run_is_set_aside_and_updated(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(RUN)
    (course / CHAPTER).write_bytes(V2)
    (line,) = student.deliver(course, mine)
    (aside,) = (mine / "replaced").iterdir()
    assert aside.read_bytes() == RUN
    assert f"replaced/{aside.name}" in line
    assert (mine / CHAPTER).read_bytes() == V2


def test_what_was_set_aside_is_never_overwritten(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(RUN)
    (course / CHAPTER).write_bytes(V2)
    student.deliver(course, mine)
    (aside,) = (mine / "replaced").iterdir()
    aside.write_bytes(b"edited there")
    (course / CHAPTER).write_bytes(V1)
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(RUN)  # the same bytes, so the same name in "replaced"
    (course / CHAPTER).write_bytes(V3)
    student.deliver(course, mine)
    assert {b"edited there", RUN, V3} <= set(contents(mine).values())


def test_notebook_that_was_only_run_stays_while_the_course_has_nothing_new(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(RUN)
    assert student.deliver(course, mine) == []
    assert (mine / CHAPTER).read_bytes() == RUN


def test_changed_notebook_stays_while_the_course_has_nothing_new(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(EDITED)
    assert student.deliver(course, mine) == []
    assert (mine / CHAPTER).read_bytes() == EDITED


def test_changed_notebook_stays_and_the_update_is_put_beside_it_once(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(EDITED)
    (course / CHAPTER).write_bytes(V2)
    (line,) = student.deliver(course, mine)
    (beside,) = mine.glob("* (update *).ipynb")
    assert line == f'yours kept: {CHAPTER} (new version: "{beside.name}")'
    assert (mine / CHAPTER).read_bytes() == EDITED
    assert beside.read_bytes() == V2
    beside.unlink()  # the student has seen it
    assert student.deliver(course, mine) == []
    assert not beside.exists()


def test_each_newer_version_is_put_beside_a_changed_notebook(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(EDITED)
    for version in (V2, V3):
        (course / CHAPTER).write_bytes(version)
        student.deliver(course, mine)
    assert {V2, V3} <= set(contents(mine).values())


def test_a_file_of_the_student_with_the_name_of_the_update_is_not_overwritten(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(EDITED)
    (course / CHAPTER).write_bytes(V2)
    taken = mine / f"01_ista (update {delivery.sha(V2)[:8]}).ipynb"
    taken.write_bytes(b"mine too")
    student.deliver(course, mine)
    assert {b"mine too", EDITED, V2} <= set(contents(mine).values())


def test_student_who_goes_back_to_the_delivered_version_gets_updates_again(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(EDITED)
    (course / CHAPTER).write_bytes(V2)
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(V1)
    assert student.deliver(course, mine) == [f"updated: {CHAPTER}"]
    assert (mine / CHAPTER).read_bytes() == V2


def test_student_who_takes_the_update_gets_updates_again(course, mine):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(EDITED)
    (course / CHAPTER).write_bytes(V2)
    student.deliver(course, mine)
    os.replace(next(mine.glob("* (update *).ipynb")), mine / CHAPTER)
    assert student.deliver(course, mine) == []
    (course / CHAPTER).write_bytes(V3)
    assert student.deliver(course, mine) == [f"updated: {CHAPTER}"]


def test_a_file_that_stood_there_first_is_never_overwritten(course, mine):
    mine.mkdir()
    (mine / CHAPTER).write_bytes(b"my own notes")
    student.deliver(course, mine)
    (course / CHAPTER).write_bytes(V2)
    student.deliver(course, mine)
    assert (mine / CHAPTER).read_bytes() == b"my own notes"
    assert {V1, V2} <= set(contents(mine).values())


@pytest.mark.parametrize(
    "broken",
    [
        notebook("import torch", "version = 1").replace(b'"code"', b'"markdown"', 1),
        b"{ cut off in the mid",
        b"\xff\xfe not even text",
        b'["a list"]',
        b'{"cells": [{"source": 7}]}',
        b'{"cells": [{"cell_type": "code", "source": null}]}',
    ],
)
def test_whatever_the_student_made_of_a_notebook_is_kept(course, mine, broken):
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(broken)
    (course / CHAPTER).write_bytes(V2)
    student.deliver(course, mine)
    assert (mine / CHAPTER).read_bytes() == broken
    assert V2 in contents(mine).values()


def test_an_image_pasted_into_a_cell_counts_as_a_change(course, mine):
    student.deliver(course, mine)
    pasted = json.loads(V1)
    pasted["cells"][0]["attachments"] = {"image.png": {"image/png": "aGFuZCBkcmF3bg=="}}
    (mine / CHAPTER).write_text(json.dumps(pasted), encoding="utf-8")
    (course / CHAPTER).write_bytes(V2)
    (line,) = student.deliver(course, mine)
    assert line.startswith("yours kept")


def test_a_course_file_that_is_no_notebook_never_counts_as_only_run(course, mine):
    (course / CHAPTER).write_bytes(b"not json")
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(b"not json either")
    (course / CHAPTER).write_bytes(V2)
    student.deliver(course, mine)
    assert (mine / CHAPTER).read_bytes() == b"not json either"


@pytest.mark.parametrize(
    "corrupt", [b"", b"{", b"\xff", b"[]", b'{"files": 1}', b'{"files": {"a": {"b": 1}}}']
)
def test_corrupt_manifest_is_said_and_everything_is_taken_for_the_students(course, mine, corrupt):
    student.deliver(course, mine)
    (mine / delivery.MANIFEST).write_bytes(corrupt)
    (course / CHAPTER).write_bytes(V2)  # so the untouched V1 is not recognised any more
    lines = student.deliver(course, mine)
    assert delivery.MANIFEST in lines[0]
    assert "your own work" in lines[0]
    assert (mine / CHAPTER).read_bytes() == V1
    assert {V2, corrupt} <= set(contents(mine).values())
    assert student.deliver(course, mine) == []


def test_homework_with_its_solutions_is_never_copied(course, mine):
    (course / "homework").mkdir()
    (course / "homework" / "01_ista.ipynb").write_bytes(notebook("solution = 42"))
    (course / "notes.md").write_text("for the teacher", encoding="utf-8")
    student.deliver(course, mine)
    assert sorted(contents(mine)) == ["00_start_here.ipynb", CHAPTER]


@pytest.mark.parametrize("name", ["größer Übung α λ.ipynb", f"{'long name ' * 15}.ipynb"])
def test_names_with_spaces_other_letters_and_great_length(course, mine, name):
    (course / name).write_bytes(V1)
    student.deliver(course, mine)
    (mine / name).write_bytes(RUN)
    (course / name).write_bytes(V2)
    student.deliver(course, mine)
    (mine / name).write_bytes(EDITED)
    (course / name).write_bytes(V3)
    student.deliver(course, mine)
    assert {RUN, EDITED, V3} <= set(contents(mine).values())


def test_a_file_as_folder_is_one_sentence_and_exit_2(course, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_bytes(b"mine")
    assert student.main([str(taken)], course) == 2
    assert capsys.readouterr().err == f"{taken.resolve()} is a file; name a folder.\n"
    assert taken.read_bytes() == b"mine"


@pytest.mark.parametrize("inside", [".", "my copy/deep"])
def test_a_folder_inside_the_course_is_refused_and_not_made(course, capsys, inside):
    before = sorted(course.iterdir())
    assert student.main([str(course / inside)], course) == 2
    assert "name a folder outside it" in capsys.readouterr().err
    assert sorted(course.iterdir()) == before


def test_a_course_without_notebooks_is_refused(tmp_path, mine, capsys):
    assert student.main([str(mine)], tmp_path / "nowhere") == 2
    assert "install it again" in capsys.readouterr().err
    assert not mine.exists()


def test_a_full_disk_leaves_no_half_written_file(course, mine, capsys, monkeypatch):
    student.deliver(course, mine)
    (course / CHAPTER).write_bytes(V2)
    before = contents(mine)

    def full(place, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(files.os, "replace", full)
    assert student.main([str(mine)], course) == 2
    error = capsys.readouterr().err
    assert "No space left on device; free some space" in error
    assert error.count("\n") == 1
    assert contents(mine) == before


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere, or Windows"
)
def test_a_folder_that_cannot_be_written_is_one_sentence(course, mine, capsys):
    mine.mkdir(mode=0o555)
    assert student.main([str(mine)], course) == 2
    assert "name a folder you can write to" in capsys.readouterr().err


def test_a_folder_that_may_not_be_made_is_one_sentence(course, mine, capsys, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert student.main([str(mine)], course) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{mine.resolve()}: Permission denied; ")
    assert "name a folder you can write to" in error


def interrupt(monkeypatch, after: int) -> None:
    """Let os.replace work ``after`` times, then fail for good."""
    replace, left = os.replace, [after]

    def failing(source, target):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(5, "Input/output error", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)


@pytest.mark.parametrize("after", range(6))
def test_an_interrupted_update_loses_nothing_and_the_next_run_completes_it(
    course, mine, monkeypatch, after
):
    for name in ("02_lista.ipynb", "03_drsae.ipynb"):
        (course / name).write_bytes(V1)
    student.deliver(course, mine)
    (mine / CHAPTER).write_bytes(EDITED)
    (mine / "02_lista.ipynb").write_bytes(RUN)
    for path in course.iterdir():
        path.write_bytes(V2)
    with monkeypatch.context() as patch:
        interrupt(patch, after)
        assert student.main([str(mine)], course) == 2
    assert {EDITED, RUN} <= set(contents(mine).values())
    assert not list(mine.rglob("*.tmp"))
    assert student.main([str(mine)], course) == 0
    final = contents(mine)
    assert {EDITED, RUN} <= set(final.values())
    assert final[CHAPTER] == EDITED
    assert all(final[n] == V2 for n in ("00_start_here.ipynb", "02_lista.ipynb", "03_drsae.ipynb"))
    assert list(final.values()).count(V2) == 4  # three chapters and one update put beside
    assert student.deliver(course, mine) == []


class Walk:
    """A student and a course that change at random; every byte written is new and remembered."""

    names = ("00.ipynb", "01 α.ipynb", "02.ipynb", "03.ipynb")

    def __init__(self, seed: int, folder: Path):
        self.random = np.random.default_rng(seed)
        self.course, self.mine = folder / "course", folder / "mine"
        self.written, self.published = 0, set()
        self.course.mkdir(parents=True)
        self.mine.mkdir()
        self.publish(self.names[0])

    def new(self) -> str:
        self.written += 1
        return f"text {self.written}"

    def publish(self, name: str) -> None:
        content = notebook("import torch", self.new())
        self.published.add(content)
        (self.course / name).write_bytes(content)

    def a_file(self) -> Path | None:
        files = [p for p in sorted(self.mine.rglob("*")) if p.is_file() and p.suffix == ".ipynb"]
        return files[self.random.integers(len(files))] if files else None

    def edit(self) -> None:
        place = self.a_file() or self.mine / self.names[0]
        place.write_bytes(notebook("import torch", self.new(), output=self.new()))

    def run(self) -> None:
        place = self.a_file()
        if place:
            ran = json.loads(place.read_bytes())
            stream = {"output_type": "stream", "name": "stdout", "text": [self.new()]}
            ran["cells"][-1]["outputs"] = [stream]
            place.write_text(json.dumps(ran), encoding="utf-8")

    def delete(self) -> None:
        place = self.a_file()
        if place:
            place.unlink()

    def rename(self) -> None:
        place = self.a_file()
        if place:
            target = self.mine / self.names[self.random.integers(len(self.names))]
            if not target.exists():
                place.rename(target)

    def spoil_the_manifest(self) -> None:
        (self.mine / delivery.MANIFEST).write_bytes(self.new().encode())

    def course_moves(self) -> None:
        self.publish(self.names[self.random.integers(len(self.names))])

    def own(self) -> set[bytes]:
        return set(contents(self.mine).values()) - self.published

    def step(self) -> None:
        moves = (self.edit, self.run, self.delete, self.rename, self.course_moves)
        odds = (0.25, 0.25, 0.1, 0.1, 0.25)
        i = self.random.choice(len(moves) + 1, p=[*odds, 1 - sum(odds)])
        (*moves, self.spoil_the_manifest)[i]()


@pytest.mark.parametrize("seed", range(20))
def test_on_random_walks_every_byte_of_the_student_is_still_somewhere(tmp_path, monkeypatch, seed):
    walk = Walk(seed, tmp_path)
    for _ in range(25):
        for _ in range(walk.random.integers(1, 5)):
            walk.step()
        own = walk.own()
        with monkeypatch.context() as patch:
            if walk.random.random() < 0.3:
                interrupt(patch, int(walk.random.integers(4)))
            finished = student.main([str(walk.mine)], walk.course) == 0
        assert own <= set(contents(walk.mine).values())
        if finished:
            assert student.deliver(walk.course, walk.mine) == []
            latest = {path.read_bytes() for path in walk.course.iterdir()}
            seen = json.loads((walk.mine / delivery.MANIFEST).read_bytes())["files"].values()
            got = {entry["whole"] for entry in seen} | {entry["offered"] for entry in seen}
            assert {delivery.sha(content) for content in latest} <= got


def test_the_command_copies_the_real_course_and_says_how_to_start(mine):
    command = [sys.executable, "-m", "course_utils.tools.student", str(mine)]
    names = sorted(path.name for path in shared("notebooks").glob("*.ipynb"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if names else 2), done.stderr  # 2: the course is still empty
    assert sorted(contents(mine)) == names
    assert ("Start with:" in done.stdout) == bool(names)
    assert done.stdout.rstrip().endswith(f"course.py lab {shlex.quote(str(mine.resolve()))}")

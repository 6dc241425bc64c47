"""One rule for what commands write into somebody's folder: what is not ours stays as it is."""

import json
import os
from pathlib import Path

import pytest

from course_utils.grading import homework
from course_utils.publish import book, launch, slides
from course_utils.tools import delivery, student
from course_utils.tools.files import NOTEBOOKS, ROOT

ONE, TWO = {"a/b.txt": b"one", "c.txt": b"one"}, {"a/b.txt": b"two", "c.txt": b"two"}


def seen(folder: Path) -> dict[str, bytes | str]:
    """All that lies in a folder but the manifest: bytes of files, and where links lead."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file() and path.name != delivery.MANIFEST:
            found[name] = path.read_bytes()
    return found


def a_file(folder: Path) -> None:
    (folder / "a" / "b.txt").write_bytes(b"mine")


def a_read_only_file(folder: Path) -> None:
    a_file(folder)
    (folder / "a" / "b.txt").chmod(0o444)


def a_folder(folder: Path) -> None:
    (folder / "a" / "b.txt").mkdir()
    (folder / "a" / "b.txt" / "mine").write_bytes(b"mine")


def a_link_to_what_we_wrote(folder: Path) -> None:
    (folder / "mine.txt").write_bytes(b"one")
    (folder / "a" / "b.txt").symlink_to(folder / "mine.txt")


def a_link_to_nowhere(folder: Path) -> None:
    (folder / "a" / "b.txt").symlink_to("nowhere")


IN_THE_WAY = [a_file, a_read_only_file, a_folder, a_link_to_what_we_wrote, a_link_to_nowhere]


def with_theirs(folder: Path, theirs) -> dict:
    """Put something of somebody's in the place of a/b.txt; return what lies in the folder."""
    (folder / "a" / "b.txt").unlink(missing_ok=True)
    (folder / "a").mkdir(exist_ok=True)
    theirs(folder)
    return seen(folder)


@pytest.mark.parametrize("ours_first", [False, True])
@pytest.mark.parametrize("theirs", IN_THE_WAY)
def test_over_somebody_elses_nothing_is_written_at_all(tmp_path, theirs, ours_first):
    if ours_first:
        delivery.overwrite(ONE, tmp_path)
    before = with_theirs(tmp_path, theirs)
    with pytest.raises(ValueError, match=r"holds a a/b\.txt that this command did not write"):
        delivery.overwrite(TWO, tmp_path)
    assert seen(tmp_path) == before


@pytest.mark.parametrize("ours_first", [False, True])
@pytest.mark.parametrize("theirs", IN_THE_WAY)
def test_somebody_elses_work_is_kept_and_what_is_new_is_put_beside_it(tmp_path, theirs, ours_first):
    if ours_first:
        delivery.deliver(ONE, tmp_path)
    before = with_theirs(tmp_path, theirs)
    line = delivery.deliver(TWO, tmp_path, aside="new")["a/b.txt"]
    beside = f"new/a/b (update {delivery.sha(b'two')[:8]}).txt"
    assert line == f'yours kept: a/b.txt (new version: "{beside}")'
    assert seen(tmp_path) == before | {beside: b"two", "c.txt": b"two"}
    assert delivery.deliver(TWO, tmp_path, aside="new") == {}


@pytest.mark.parametrize("written", [delivery.deliver, delivery.overwrite])
def test_nothing_is_written_through_a_link_to_another_folder(tmp_path, written):
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir(), elsewhere.mkdir()
    (folder / "a").symlink_to(elsewhere)
    with pytest.raises(ValueError, match="a is a link, and nothing is written through one"):
        written(ONE, folder)
    assert seen(tmp_path) == {"folder/a": str(elsewhere)}


@pytest.mark.parametrize("written", [delivery.deliver, delivery.overwrite])
def test_a_file_in_the_place_of_a_folder_stays(tmp_path, written):
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(ValueError, match="a is a file where a folder belongs"):
        written(ONE, tmp_path)
    assert seen(tmp_path) == {"a": b"mine"}


def test_what_was_written_is_written_over_and_what_lies_beside_it_stays(tmp_path):
    delivery.overwrite(ONE, tmp_path)
    (tmp_path / "a" / "mine.txt").write_bytes(b"mine")
    delivery.overwrite(TWO, tmp_path)
    assert seen(tmp_path) == TWO | {"a/mine.txt": b"mine"}


def test_what_shall_go_goes_if_it_is_ours(tmp_path):
    delivery.overwrite(ONE, tmp_path)
    delivery.overwrite({"c.txt": b"two"}, tmp_path, gone=["a/b.txt", "c.txt"])
    assert seen(tmp_path) == {"c.txt": b"two"}
    (tmp_path / "c.txt").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"holds a c\.txt"):
        delivery.overwrite({"d.txt": b"new"}, tmp_path, gone=["c.txt"])
    assert seen(tmp_path) == {"c.txt": b"mine"}


def test_a_second_time_nothing_is_touched(tmp_path):
    delivery.overwrite(ONE, tmp_path)
    before = (tmp_path / "c.txt").stat().st_mtime_ns
    delivery.overwrite(ONE, tmp_path)
    assert (tmp_path / "c.txt").stat().st_mtime_ns == before


@pytest.mark.parametrize("after", range(5))
def test_what_an_interrupted_run_wrote_is_known_as_ours(tmp_path, monkeypatch, after):
    delivery.overwrite(ONE, tmp_path)
    replace, left = os.replace, [after]

    def failing(source, target):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("no space left")
        replace(source, target)

    for version in (b"two", b"three"):  # interrupted twice, each time with other files
        left[0] = after
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", failing)
            if after < 4:
                with pytest.raises(OSError, match="no space left"):
                    delivery.overwrite(dict.fromkeys(ONE, version), tmp_path)
    delivery.overwrite(TWO, tmp_path)
    assert seen(tmp_path) == TWO


@pytest.mark.parametrize("name", ["../victim", "a/../../victim", "..\\victim", "/{}/victim"])
def test_a_manifest_that_names_what_lies_outside_is_not_believed(tmp_path, name):
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_bytes(b"mine"), folder.mkdir()
    name = name.format(tmp_path.as_posix().strip("/"))
    manifest = {"files": {name: {"whole": delivery.sha(b"mine")}}}
    (folder / delivery.MANIFEST).write_text(json.dumps(manifest))
    delivery.overwrite(ONE, folder, gone=list(manifest["files"]))
    assert victim.read_bytes() == b"mine"


def test_a_list_of_another_program_stays(tmp_path):
    (tmp_path / delivery.MANIFEST).write_text('{"theme": "dark"}')
    with pytest.raises(ValueError, match="is not the course's list of what it wrote"):
        delivery.overwrite(ONE, tmp_path)
    assert (tmp_path / delivery.MANIFEST).read_text() == '{"theme": "dark"}'
    assert seen(tmp_path) == {}


@pytest.mark.parametrize("folder", [ROOT, NOTEBOOKS])
@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (book.main, ["--to"]),
        (slides.main, ["--to"]),
        (launch.main, ["https://github.com/you/course", "--to"]),
        (homework.main, []),
        (student.main, []),
    ],
)
def test_every_command_refuses_the_course_s_own_folders(main, arguments, folder, capsys):
    before = sorted(folder.iterdir())
    assert main([*arguments, str(folder)]) == 2
    said = f"{folder} is where the course itself lives; name a folder outside it.\n"
    assert capsys.readouterr().err == said
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("inside", [ROOT, NOTEBOOKS, NOTEBOOKS / "new" / "deeper", ROOT / "tests"])
def test_nothing_is_delivered_into_the_course_itself(inside):
    with pytest.raises(ValueError, match="where the course itself lives; name a folder outside it"):
        delivery.outside(inside)


def test_a_folder_is_named_by_a_link_to_it_and_not_by_a_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert delivery.outside(tmp_path / "link" / "new") == tmp_path.resolve() / "new"
    assert delivery.outside(ROOT / "my_course") == ROOT / "my_course"
    (tmp_path / "file").touch()
    for name in ("file", "file/new"):
        with pytest.raises(ValueError, match="file is a file; name a folder"):
            delivery.outside(tmp_path / name)

"""What commands share: files whole or not at all, a sentence at the end, where the course lies."""

import os
import sys

import pytest

from course_utils.tools import files


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "toy.json"
    path.write_text("old", encoding="utf-8")

    def breaks():
        with files.replacing(path) as file:
            file.write(b"new, but")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        breaks()
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["toy.json"]


def test_a_file_takes_its_place_only_at_the_end(tmp_path):
    path = tmp_path / "toy.txt"
    path.write_text("old", encoding="utf-8")
    with files.replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_text(encoding="utf-8") == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["toy.txt"]


def test_text_is_utf_8_with_the_same_line_ends_everywhere(tmp_path):
    files.write(tmp_path / "toy.txt", "λ\nμ\n")
    assert (tmp_path / "toy.txt").read_bytes() == "λ\nμ\n".encode()
    files.write(tmp_path / "toy.txt", b"\r\n")
    assert (tmp_path / "toy.txt").read_bytes() == b"\r\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664])
def test_a_file_keeps_its_permissions_and_a_new_one_has_those_of_any_new_file(tmp_path, mode):
    old, new, any_new = (tmp_path / name for name in ("old", "new", "any"))
    for path in (old, any_new):
        path.touch()
    old.chmod(mode)
    for path in (old, new):
        files.write(path, "text")
    assert old.stat().st_mode & 0o777 == mode
    assert new.stat().st_mode == any_new.stat().st_mode


def test_a_command_ends_with_its_sentence_and_2_where_it_would_raise(capsys):
    @files.ending(OSError)
    def main(error: Exception | None = None) -> int:
        """Do something."""
        if error:
            raise error
        return 0

    assert main() == 0
    assert main(OSError("the disk is full")) == 2
    assert capsys.readouterr().err == "the disk is full\n"
    with pytest.raises(ValueError, match="a mistake of ours"):
        main(ValueError("a mistake of ours"))
    assert main.__doc__ == "Do something."


def test_a_chapter_is_found_by_its_name_and_another_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "NOTEBOOKS", tmp_path)
    (tmp_path / "01_small.ipynb").touch()
    assert files.notebook_named("01_small") == tmp_path / "01_small.ipynb"
    assert files.notebook_named(sys.executable).samefile(sys.executable)
    with pytest.raises(files.argparse.ArgumentTypeError, match="the chapters are 01_small"):
        files.notebook_named("02_other")

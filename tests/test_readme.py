"""README.md fits a screen, begins with a picture, and what it tells its readers to do works."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CODE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
TASKS = runpy.run_path(str(ROOT / "course.py"))["TASKS"]


def words(text: str) -> int:
    """The number of words that a reader sees: no code blocks, tags or addresses of links."""
    text = re.sub(r"\]\([^)]*\)", "]", CODE.sub("", text))
    return len(re.sub(r"<[^>]*>|[|#*`-]", " ", text).split())


def test_it_has_the_words_of_one_screen():
    assert words("# A title\n\n| a | [b](c) |\n```\nnot these\n```\n<img alt='x y'> d") == 5
    assert words(README) <= 500


def test_a_picture_with_a_text_that_stands_for_it_comes_first():
    after_the_title = README.split("\n", 1)[1]
    pictures = re.findall(r"<img\b[^>]*>", README)
    assert after_the_title.lstrip().startswith(("<p", "<picture", "<img"))
    for picture in pictures:
        assert re.search(r'alt="[^"]{15,}"', picture), picture
        source = re.search(r'src="([^"]+)"', picture)[1]
        assert (ROOT / source).is_file(), source
    for source in re.findall(r'srcset="([^"]+)"', README):
        assert (ROOT / source).is_file(), source


def test_each_chapter_has_its_row_with_a_picture():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        row = next(line for line in README.splitlines() if f"(notebooks/{path.name})" in line)
        assert "<img" in row, path.name


def test_the_tasks_named_are_there_and_no_variable_is_needed():
    named = re.findall(r"course\.py (\w+)", README)
    assert {"lab", "test", "student", "doctor", "slides"} <= set(named)
    assert set(named) <= TASKS.keys()
    assert not re.search(r"\b[A-Z]+_[A-Z_]+=", README)


def test_the_lines_for_engineers_run_and_print_what_they_promise():
    (code,) = (body for kind, body in CODE.findall(README) if kind == "python")
    assert len([line for line in code.splitlines() if line]) <= 10
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    active, gap = re.search(r"([\d.]+)% active.* by ([\de.-]+) at most", done.stdout).groups()
    assert 0 < float(active) < 20
    assert float(gap) <= 1e-4

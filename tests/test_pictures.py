"""The pictures of the door: drawn from what is stored, readable as orientation, small, and told."""

import json
import re
from base64 import b64decode
from itertools import combinations
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image, ImageDraw, ImageSequence

from course_utils import data
from course_utils.built.ista import orientation_moment
from course_utils.publish import book, maps, pictures, results, thumbnails
from course_utils.tools.outputs import alt_of, form_of

ROOT = Path(__file__).parents[1]
ALTS = json.loads((pictures.IMAGES / pictures.ALTS).read_text("utf-8"))
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
PAGES = [ROOT / "README.md", ROOT / "notebooks" / "book" / "index.md"]
TAG = re.compile(r"<(?:img|source)\b[^>]*>")
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')


def luminance(rgb):
    """Relative luminance, 0 to 1, of sRGB from 0 to 255, as WCAG 2 defines it."""
    c = rgb / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]


def test_the_film_does_not_flash():
    """WCAG 2.3.1: a flash changes a quarter of what is seen by a tenth of the light, and back; more
    than three in a second are forbidden. Only where the film begins again may one be."""
    L = np.stack([luminance(frame) for frame in pictures.frames().values()])
    changed = np.abs(np.diff(L, axis=0)) >= 0.1
    assert changed.mean((1, 2)).max() < 0.05


def test_colours_go_round_once_in_pi_are_told_apart_and_fade_to_grey():
    theta = torch.arange(8) * torch.pi / 8
    key = maps.colours(theta)
    assert np.abs(key.astype(int) - maps.colours(theta + torch.pi)).max() <= 1
    assert min(np.linalg.norm(a.astype(int) - b) for a, b in combinations(key, 2)) > 30
    assert np.ptp(maps.colours(theta, 0.0), axis=1).max() <= 1


@pytest.mark.parametrize("theta", [-1.2, 0.0, 0.4, torch.pi / 2])
def test_a_stroke_of_the_key_lies_as_the_edges_do_that_have_its_colour(theta):
    edge = Image.new("L", (40, 40))
    end = 60 * np.array(maps.along(theta))
    ImageDraw.Draw(edge).line([tuple(20 - end), tuple(20 + end)], 255, 3)
    moment = orientation_moment(torch.from_numpy(np.array(edge)).float().reshape(-1, 1), 40)
    apart = moment.angle() - 2 * theta
    assert abs(torch.polar(torch.ones(1), apart).angle().item()) < 0.1


def test_the_film_shows_the_stored_steps_at_a_gentle_pace_and_goes_round():
    shown = pictures.frames()
    with Image.open(pictures.IMAGES / pictures.FILM) as film:
        assert film.info["loop"] == 0
        assert film.n_frames == len(shown) >= 50
        time, half = [], pictures.UNIT // 2
        for frame, step in zip(ImageSequence.Iterator(film), shown.values(), strict=True):
            drawn = np.asarray(frame.convert("RGBA"))[half :: pictures.UNIT, half :: pictures.UNIT]
            drawn = drawn[: len(step)]  # beneath are the words
            assert (drawn[..., :3] == step)[drawn[..., 3] > 0].all()
            time.append(frame.info["duration"])
    assert min(time) >= 100
    assert time[-1] == 2000
    assert 6000 <= sum(time) <= 10_000


def test_the_film_begins_grey_and_ends_in_colour():
    first, *_, last = pictures.frames().values()
    assert np.ptp(first, axis=-1).mean() < np.ptp(last, axis=-1).mean() / 3
    film = data.weights("local_film")
    known = maps.colours(film["theta"][-1], film["selectivity"][-1]).astype(int)
    assert np.abs(last.reshape(-1, 3) - known).mean() < 8  # fewer colours, a smaller file


def test_pictures_are_small():
    sizes = {name: (pictures.IMAGES / name).stat().st_size for name in ALTS}
    assert sizes[pictures.FILM] <= 2_000_000
    assert max(sizes[f"{path.stem}.webp"] for path in CHAPTERS) <= 60_000
    assert sum(sizes.values()) <= 3_500_000
    others = {pictures.ALTS, results.PICTURE.name}
    assert {path.name for path in pictures.IMAGES.iterdir()} == {*sizes, *others}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_thumbnail_is_what_would_be_drawn_today(path, tmp_path):
    picture, alt = thumbnails.draw(path)
    assert alt == ALTS[f"{path.stem}.webp"]
    picture.save(tmp_path / "drawn.webp", quality=90)  # with the losses of what is stored
    with (
        Image.open(pictures.IMAGES / f"{path.stem}.webp") as stored,
        Image.open(tmp_path / "drawn.webp") as drawn,
    ):
        assert stored.size == drawn.size == thumbnails.SIZE
        assert apart(stored, drawn) < 1


def apart(a, b):
    """How far two pictures are from each other, per entry, from 0 to 255."""
    a, b = (np.asarray(picture.convert("RGB")).astype(int) for picture in (a, b))
    return np.abs(a - b).mean()


@pytest.mark.parametrize(
    ("name", "drawing"), [(pictures.STILLS, pictures.four), (pictures.FINAL, pictures.final)]
)
def test_a_still_is_what_would_be_drawn_today(name, drawing):
    picture, alt = drawing()
    assert alt == ALTS[name]
    with Image.open(pictures.IMAGES / name) as stored:
        assert apart(stored, picture) < 1


def test_the_film_is_told_with_the_numbers_of_the_run():
    alt = pictures.film()[1]
    assert alt == ALTS[pictures.FILM]
    ratio = data.results("local_film")["figures"]["map_smoothness_ratio.1000"]["values"][0]
    assert f"{100 * ratio:.0f} %" in alt


def test_dots_stand_where_all_colours_meet():
    there = torch.arange(9.0) - 4.5
    F = torch.complex(there.expand(9, 9), there[:, None].expand(9, 9))  # turns once
    made = np.asarray(maps.wheels(F, 10, 9))
    white = (made == 255).all(-1).nonzero()
    assert [round(float(place.mean())) for place in white] == [50, 50]
    assert (np.asarray(maps.wheels(F.conj().resolve_conj(), 10, 9))[50, 50] == 0).all()


def test_a_chapter_without_a_drawing_gets_its_first_figure(tmp_path):
    stored = nbformat.read(CHAPTERS[1], as_version=4)
    picture = next(
        output
        for cell in stored.cells
        for output in cell.get("outputs", [])
        if form_of(output) == "image/png"  # lines are no pixels
    )
    cells = [new_code_cell("1", outputs=[new_output("stream", text="1")])]
    path = tmp_path / "99_new.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    with pytest.raises(ValueError, match=r"99_new\.ipynb shows no figure"):
        thumbnails.draw(path)
    cells.append(new_code_cell("plot()", outputs=[picture]))
    nbformat.write(new_notebook(cells=cells), path)
    made, alt = thumbnails.draw(path)
    assert made.size == thumbnails.SIZE
    assert alt == alt_of(picture)


def test_all_are_drawn_by_one_command_before_the_book_is_built(tmp_path, monkeypatch):
    shown = pictures.frames()
    monkeypatch.setattr(pictures, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(pictures, "frames", lambda: {k: shown[k] for k in (0, 99, 302, 1000)})
    monkeypatch.setattr(book, "lay_out", lambda _: (_ for _ in ()).throw(OSError("no npm")))
    assert book.main(["--pictures", "--to", str(tmp_path / "book")]) == 2
    made = {path.name for path in pictures.IMAGES.iterdir()}
    assert made == {*ALTS, pictures.ALTS}
    with Image.open(pictures.IMAGES / pictures.FILM) as film:
        assert film.n_frames == 4


def named(page):
    """The tags of a page's own pictures: name of the file, attributes."""
    found = []
    for tag in TAG.findall(page.read_text("utf-8")):
        attributes = dict(ATTRIBUTE.findall(tag))
        source = attributes.get("src", attributes.get("srcset"))
        if not source.startswith("http"):
            assert (page.parent / source).resolve().parent == pictures.IMAGES
            found.append((Path(source).name, attributes))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_pictures_that_are_there_with_their_alternative_texts(page):
    for name, attributes in named(page):
        assert (pictures.IMAGES / name).is_file()
        assert attributes.get("alt", ALTS[name]) == ALTS[name]
        assert "alt" in attributes or attributes["media"] == "(prefers-reduced-motion: reduce)"


def test_the_first_page_of_the_book_shows_all():
    assert {name for name, _ in named(PAGES[1])} == set(ALTS)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_opens_with_its_picture_and_carries_it_along(path):
    head, name = nbformat.read(path, as_version=4).cells[0], f"{path.stem}.webp"
    title, picture, _ = head.source.split("\n\n", 2)
    assert title.startswith("# ")
    assert picture == f"![{ALTS[name]}](attachment:{pictures.OPENING})"
    stored = head.attachments[pictures.OPENING]["image/webp"]
    assert b64decode(stored) == (pictures.IMAGES / name).read_bytes()


def test_a_new_picture_takes_the_place_of_the_old_one():
    notebook = new_notebook(cells=[new_markdown_cell("# A title\n\nWords.\n\nMore.")])
    for alt in ("A dot.", "A line."):
        pictures.open_with(notebook, b"picture", alt)
        said = f"# A title\n\n![{alt}](attachment:opening.webp)\n\nWords.\n\nMore."
        assert notebook.cells[0].source == said


def test_the_number_beside_a_picture_is_the_picture_s():
    page = PAGES[1]  # README has one screen, and no room for them
    rows = re.findall(r'\| \[<img src="\S+/(\w+\.webp)"[^|]*\| ([^|]*) \|', page.read_text("utf-8"))
    assert len(rows) == len(list(pictures.NOTEBOOKS.glob("[0-9]*.ipynb")))
    for name, text in rows:
        numbers = re.findall(r"\d+(?:\.\d+)?", re.search(r"\*(.+)\*", text)[1])
        assert numbers
        assert set(numbers) <= set(re.findall(r"\d+(?:\.\d+)?", ALTS[name]))

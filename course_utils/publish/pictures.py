"""The pictures of README and of the book's first page: `python3 course.py book --pictures`.

All are drawn from what is stored: the film of chapter 5's map as it learns (`reproduce
local_film`), the map that it ends as, with its pinwheels, and a thumbnail of each chapter. What
each shows is said by a sentence computed with it, its alternative text, kept beside the pictures in
ALTS.
"""

import json
import re
from base64 import b64encode
from pathlib import Path

import nbformat
import numpy as np
import torch
from nbformat import NotebookNode
from PIL import Image, ImageDraw

from course_utils import data, plots
from course_utils.built.local import pinwheels
from course_utils.publish import maps, thumbnails
from course_utils.publish.thumbnails import Drawn
from course_utils.tools.files import NOTEBOOKS, chapters, write

IMAGES = NOTEBOOKS / "book" / "images"
ALTS = "pictures.json"
OPENING = "opening.webp"  # the name of its picture in a chapter
FILM, STILLS, FINAL = "map_learns.webp", "map_in_four.webp", "pinwheels.webp"
UNIT = 8  # pixels along each side of a unit: four on the page, twice as many for sharp screens
STRIP = 112  # pixels beneath the map, for words and key
HUE, STRENGTH = np.pi / 32, plots.FULL / 6  # steps of orientation and selectivity: a smaller file
FRAME, HOLD = 110, 2000  # milliseconds of a frame, and of the first and the last


def card(top: Image.Image, heading: str, words: str) -> Image.Image:
    """Return a picture above a strip with two lines of words and the key to its colours."""
    width, height = top.size
    made = Image.new("RGB", (width, height + STRIP), maps.PAPER)
    made.paste(top)
    pen = ImageDraw.Draw(made)
    pen.text((24, height + 14), heading, maps.INK, maps.font(34))
    pen.text((24, height + 64), words, maps.FAINT, maps.font(24))
    for k in range(8):
        theta, centre = k * np.pi / 8, np.array([width - 42 * (8 - k), height + STRIP // 2])
        ends = [tuple(centre + way * 16 * np.array(maps.along(theta))) for way in (-1, 1)]
        pen.line(ends, tuple(maps.colours(torch.tensor(theta)).tolist()), 9)
    return maps.rounded(made, 24)


def ratio(step: int) -> str:
    """Return how much neighbours differ, over random pairs, at a step of the film: "42 %"."""
    figure = data.results("local_film")["figures"][f"map_smoothness_ratio.{step}"]
    return f"{100 * figure['values'][0]:.0f} %"


def frames() -> dict[int, np.ndarray]:
    """Return the map at each step of the film, in colours: (side, side, 3)."""
    film, steps = data.weights("local_film"), data.results("local_film")["settings"]["watched"]
    side = round(film["theta"].shape[1] ** 0.5)
    theta = (film["theta"] / HUE).round() * HUE
    strength = (film["selectivity"] / STRENGTH).round() * STRENGTH
    shown = maps.colours(theta, strength).reshape(-1, side, side, 3)
    return dict(zip(steps, shown, strict=True))


def film() -> tuple[list[Image.Image], str]:
    """Return the map as it learns, a picture for each step that was watched, and what they show."""
    words = "neighbours differ {} of chance".format
    shown = frames()
    made = [
        card(maps.blocks(map_, UNIT), f"step {step}", words(ratio(step)))
        for step, map_ in shown.items()
    ]
    first, last = min(shown), max(shown)
    return made, (
        f"Orientations of {shown[last][..., 0].size:,} filters, a coloured square each, over {last}"
        " steps of learning: out of grey noise, where neighbours differ as random pairs do"
        f" ({ratio(first)}), come patches of one colour, until they differ {ratio(last)} of that."
    )


def four() -> Drawn:
    """Return four steps of the film in one picture, for those who want nothing to move."""
    shown = frames()
    steps = [min(shown, key=lambda step, near=near: abs(step - near)) for near in (0, 100, 300)]
    steps.append(max(shown))
    numbers = ", ".join(map(str, steps))
    top = thumbnails.mosaic(np.stack([shown[step] for step in steps]), 2, UNIT // 2, UNIT)
    words = f"neighbours differ {ratio(steps[-1])} of chance"
    return card(top, f"steps {numbers}", words), f"Four steps of that learning: {numbers}."


def final() -> Drawn:
    """Return the last step of the film, smoothed, with its pinwheels, and what it shows."""
    film = data.weights("local_film")
    F = maps.field(film["theta"][-1], film["selectivity"][-1])
    turns = pinwheels(F)
    count, one_way = turns.abs().sum().item(), (turns > 0).sum().item()
    words = "white: clockwise, black: reverse"
    return card(maps.wheels(F, UNIT, 6), f"{count} pinwheels", words), (
        f"The map that it ends as, smoothed: orientation turns through all colours round {count}"
        f" pinwheels, {one_way} clockwise (white dots), {count - one_way} in reverse (black dots)."
    )


def open_with(notebook: NotebookNode, picture: bytes, alt: str) -> None:
    """Let a chapter begin, below its title, with a picture, which its first cell carries along."""
    head = notebook.cells[0]
    title, text = re.sub(rf"!\[[^\]]*\]\(attachment:{OPENING}\)\n\n", "", head.source).split(
        "\n\n", 1
    )
    head.source = f"{title}\n\n![{alt}](attachment:{OPENING})\n\n{text}"
    head.attachments = {OPENING: {"image/webp": b64encode(picture).decode()}}


def open_chapters(folder: Path) -> None:
    """Let all chapters begin with the pictures of them in a folder; write those that change."""
    alts = json.loads((folder / ALTS).read_text("utf-8"))
    for path in chapters():
        notebook, name = nbformat.read(path, as_version=4), f"{path.stem}.webp"
        open_with(notebook, (folder / name).read_bytes(), alts[name])
        write(path, nbformat.writes(notebook) + "\n")


def draw(folder: Path) -> None:
    """Write all pictures, and ALTS, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    alts = {}
    (first, *rest), alts[FILM] = film()
    time = [HOLD // 2, *[FRAME] * (len(rest) - 1), HOLD]
    moving = {"save_all": True, "append_images": rest, "duration": time, "loop": 0, "method": 4}
    first.save(folder / FILM, lossless=True, **moving)
    for name, drawing in ((STILLS, four), (FINAL, final)):
        picture, alts[name] = drawing()
        picture.save(folder / name, lossless=True)
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        picture, alts[f"{path.stem}.webp"] = thumbnails.draw(path)
        picture.save(folder / f"{path.stem}.webp", quality=90)
    text = json.dumps(alts, indent=1, ensure_ascii=False) + "\n"
    (folder / ALTS).write_text(text, encoding="utf-8")

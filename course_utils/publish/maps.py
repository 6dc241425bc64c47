"""Maps of orientations in colour, and the paper that pictures of the door are drawn on."""

from functools import cache

import numpy as np
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import interpolate

from course_utils import data
from course_utils.built.local import pinwheels, smoothed
from course_utils.plots import orientation_colours

# Pictures bring their own paper, and so look the same on a white page and on a dark one.
PAPER, INK, FAINT = "#161b22", "#e6edf3", "#9aa5b1"


def colours(theta: Tensor, selectivity: Tensor | float = 1.0) -> np.ndarray:
    """Return the colours of orientations theta, see plots.orientation_colours, as whole numbers:
    (..., 3), from 0 to 255."""
    return (255 * orientation_colours(theta, selectivity)).round().astype(np.uint8)


def along(theta: float) -> tuple[float, float]:
    """Return the direction (right, down) of the edges that a filter of orientation theta likes:
    theta is that of its frequency, across them."""
    return float(-np.sin(theta)), float(np.cos(theta))


def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the letters that matplotlib brings, at a size in pixels."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def blocks(shown: np.ndarray, unit: int) -> Image.Image:
    """Return colours (h, w, 3) as a picture, a block of unit * unit pixels for each."""
    return Image.fromarray(shown.repeat(unit, 0).repeat(unit, 1))


def field(theta: Tensor, selectivity: Tensor) -> Tensor:
    """Return selectivity · exp(2iθ) of the units of chapter 5's sheet (side²,), smoothed as there:
    (side, side)."""
    moment, side = torch.polar(selectivity, 2 * theta), round(len(theta) ** 0.5)
    return smoothed(moment.reshape(side, side), data.results("local")["settings"]["smooth"])


def between(F: Tensor, unit: int) -> Tensor:
    """Return the field F (h, w) on unit * unit pixels for each of its points, linear between."""
    parts = torch.view_as_real(F).permute(2, 0, 1)[None]
    return torch.complex(*interpolate(parts, scale_factor=unit, mode="bilinear")[0])


def wheels(F: Tensor, unit: int, radius: int) -> Image.Image:
    """Return the orientations of a field F (h, w) in colour, unit pixels a unit, its pinwheels as
    dots: white where the orientation turns clockwise as one goes round it so, black elsewhere."""
    made = Image.fromarray(colours(between(F, unit).angle() / 2))
    pen, turns = ImageDraw.Draw(made), pinwheels(F)
    for row, column in turns.nonzero().tolist():
        ink, rim = ("white", "black") if turns[row, column] > 0 else ("black", "white")
        pen.circle(((column + 1) * unit, (row + 1) * unit), radius, ink, rim, radius // 3)
    return made


def rounded(made: Image.Image, radius: int) -> Image.Image:
    """Return a picture with rounded corners, clear outside them."""
    made = made.convert("RGBA")
    made.putalpha(_corners(made.size, radius))
    return made


@cache
def _corners(size: tuple[int, int], radius: int) -> Image.Image:
    large = Image.new("L", [4 * side for side in size])
    ImageDraw.Draw(large).rounded_rectangle([(0, 0), large.size], 4 * radius, 255)
    return large.resize(size, Image.Resampling.LANCZOS)

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

# Pictures bring their own paper, and so look the same on a white page and on a dark one.
PAPER, INK, FAINT = "#161b22", "#e6edf3", "#9aa5b1"
FULL = 0.6  # selectivity from which on a colour is full

# OKLab to the cones' answers, and these to linear light in red, green, blue: B. Ottosson 2020.
TO_CONES = ((1, 0.3963377774, 0.2158037573), (1, -0.1055613458, -0.0638541728))
TO_CONES += ((1, -0.0894841775, -1.2914855480),)
TO_LIGHT = ((4.0767416621, -3.3077115913, 0.2309699292),)
TO_LIGHT += ((-1.2684380046, 2.6097574011, -0.3413193965),)
TO_LIGHT += ((-0.0041960863, -0.7034186147, 1.7076147010),)


def rgb(L: Tensor, a: Tensor, b: Tensor) -> np.ndarray:
    """Return colours of OKLab (any shape) in sRGB, whole numbers from 0 to 255: (…, 3)."""
    cones = torch.stack([L, a, b], -1) @ torch.tensor(TO_CONES).T
    light = (cones**3 @ torch.tensor(TO_LIGHT).T).clamp(0, 1)
    encoded = torch.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * encoded).round().byte().numpy()


def colours(theta: Tensor, selectivity: Tensor | float = 1.0) -> np.ndarray:
    """Return the colours of orientations theta, in radians mod π: (…, 3), from 0 to 255.

    The hue goes round once in π, at even lightness and chroma, so that no orientation stands out;
    it fades to grey with selectivity. Vertical edges, theta = 0, are orange, horizontal ones blue.
    """
    hue = 2 * theta + np.pi / 3
    chroma = 0.125 * (torch.as_tensor(selectivity) / FULL).clamp(max=1)
    return rgb(torch.full_like(theta, 0.76), chroma * hue.cos(), chroma * hue.sin())


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

"""A thumbnail of each chapter: its most telling picture, drawn small out of what is stored.

A chapter that has no drawing of its own here gets the first figure that its notebook shows.
"""

import io
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import torch
from matplotlib.axes import Axes
from PIL import Image, ImageColor, ImageDraw, ImageOps
from torch import Tensor

from course_utils import data
from course_utils.built import drsae, groups, ista, local
from course_utils.publish import maps
from course_utils.publish.maps import FAINT, INK, PAPER
from course_utils.tools.outputs import alt_of, form_of

SIZE = WIDTH, HEIGHT = 480, 300
SKY, ORANGE = "#56B4E9", "#E69F00"  # two of Okabe & Ito's, which all can tell apart
STYLE = {
    "axes.edgecolor": FAINT,
    "axes.facecolor": PAPER,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": PAPER,
    "axes.titlepad": 14,
    "axes.titlesize": 28,
    "font.size": 28,
    "lines.linewidth": 5,
    "lines.markersize": 12,
    "text.color": INK,
    "xtick.bottom": False,
    "ytick.left": False,
}

Drawn = tuple[Image.Image, str]  # a picture, and the sentence that says what it shows


def draw(notebook: Path) -> Drawn:
    """Return the thumbnail of a chapter, and its alternative text."""
    made, alt = DRAWINGS.get(notebook.stem, lambda: first_figure(notebook))()
    return maps.rounded(ImageOps.pad(made.convert("RGB"), SIZE, color=PAPER), 18), alt


def first_figure(notebook: Path) -> Drawn:
    """Return the first figure of pixels with an alternative text that a notebook shows.

    Raises ValueError if there is none.
    """
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            alt = alt_of(output)
            if alt and form_of(output) == "image/png":
                figure = Image.open(io.BytesIO(b64decode(output.data["image/png"])))
                return ImageOps.pad(figure.convert("RGB"), SIZE, color="white"), alt
    raise ValueError(f"{notebook.name} shows no figure of pixels with an alternative text")


@plt.rc_context(STYLE)
def plotted(plot: Callable[..., str], panels: int = 1) -> Drawn:
    """Return what plot draws into so many axes, side by side, and the sentence that it returns."""
    fig, axes = plt.subplots(1, panels, figsize=(4.8, 3), dpi=100, sharey=True, squeeze=False)
    alt = plot(*axes[0])
    for ax in axes[0]:
        ax.tick_params(which="both", labelbottom=False, labelleft=False, left=False, bottom=False)
    fig.tight_layout(pad=0.8)
    fig.canvas.draw()
    made = Image.fromarray(np.asarray(fig.canvas.buffer_rgba()))
    plt.close(fig)
    return made, alt


def tinted(tiles: Tensor, ink: str | Tensor = "#ffffff", paper: str = PAPER) -> np.ndarray:
    """Return pictures (count, h, w), entries from 0 to 1, in colour from paper to ink, from 0 to
    255: (count, h, w, 3). Ink is one colour, or one for each picture, (count, 3)."""
    low, high = (
        torch.tensor(ImageColor.getrgb(c)) if isinstance(c, str) else c for c in (paper, ink)
    )
    high = high.reshape(-1, 1, 1, 3)
    return (low + tiles.clamp(0, 1)[..., None] * (high - low)).round().byte().numpy()


def mosaic(tiles: np.ndarray, columns: int, unit: int, gap: int) -> Image.Image:
    """Return pictures (count, h, w, 3) in rows on paper, unit pixels an entry, gap pixels apart."""
    count, h, w, _ = tiles.shape
    right, down = w * unit + gap, h * unit + gap
    rows = -(-count // columns)
    made = Image.new("RGB", (columns * right - gap, rows * down - gap), PAPER)
    for k, tile in enumerate(tiles):
        made.paste(maps.blocks(tile, unit), (k % columns * right, k // columns * down))
    return made


def filters(Wd: Tensor, size: int) -> Tensor:
    """Return filters (size², m) as pictures (m, size, size): zero is 1/2, the largest 0 or 1."""
    tiles = Wd.T.reshape(-1, size, size)
    return 0.5 + 0.5 * tiles / tiles.abs().amax((1, 2), keepdim=True)


def placed(*parts: tuple[Image.Image, tuple[int, int]]) -> Image.Image:
    """Return pictures with their centres at places (x, y) on one paper."""
    made = Image.new("RGB", SIZE, PAPER)
    for part, (x, y) in parts:
        made.paste(part, (x - part.width // 2, y - part.height // 2))
    return made


def start_here() -> Drawn:
    """The digit of the course and the learned strokes that it is made of."""
    x, strokes = data.the_digit(), data.weights("ista")["digits"]
    z = ista.fista(x, strokes, 0.1, 1000, prox=ista.shrink_nonneg)[0]
    six = z.argsort(descending=True)[:6]
    left = (x[0] - strokes[:, six] @ z[six]).square().sum() / x.square().sum()
    dark = "#26303c"
    digit = mosaic(tinted(x.reshape(1, 8, 8), paper=dark), 1, 20, 0)
    tiles = 2 * filters(strokes[:, six], 8) - 1  # none has an entry below zero
    sum_of = mosaic(tinted(tiles, SKY, dark), 3, 9, 8)
    made = placed((digit, (98, 150)), (sum_of, (346, 150)))
    ImageDraw.Draw(made).text((204, 150), "≈", INK, maps.font(48), "mm")
    return made, (
        f"A handwritten 3 is about the weighted sum of six learned strokes: {100 * left:.0f} % of"
        " it is left."
    )


def edges() -> Drawn:
    """Filters learned from photographs."""
    Wd = data.weights("ista")["patches"]
    share = 100 * (ista.orientation_selectivity(Wd, 12) > 0.5).float().mean()
    return mosaic(tinted(filters(Wd[:, :54], 12)), 9, 4, 2), (
        f"54 of {Wd.shape[1]} filters learned from photographs: small edges; {share:.0f} % of all"
        " have an orientation."
    )


def layers() -> Drawn:
    """How far from the lowest energy learned layers are, steps of FISTA of a tuned length, and
    sweeps of coordinate descent."""
    learned, rivals = (data.results(f"lista_{run}")["figures"] for run in ("depth_longer", "tuned"))
    depths, curves = (1, 2, 4, 7, 14), {}
    for name, run, key in (
        ("FISTA", rivals, "kept_percent.tuned_fista"),
        ("LISTA", learned, "above_percent.lista"),
        ("CD", rivals, "above_percent.sweeps"),
    ):
        curves[name] = [median(run[f"{key}.{depth}"]["values"]) for depth in depths]

    def plot(ax: Axes) -> str:
        colours, places = (SKY, ORANGE, INK), ((2.6, 14), (1.1, 1.3), (4.4, 0.06))
        for (name, curve), colour, place in zip(curves.items(), colours, places, strict=True):
            ax.plot(depths, curve, "o-", color=colour)
            ax.text(*place, name, color=colour)
        ax.set(xscale="log", yscale="log")
        least = min(curves, key=lambda name: curves[name][3])
        return (
            "Energy above its minimum against depth: two steps of FISTA with a tuned step leave"
            f" {curves['FISTA'][1]:.0f} %, two sweeps of coordinate descent (CD)"
            f" {curves['CD'][1]:.0f} %, two learned layers of LISTA {curves['LISTA'][1]:.0f} %;"
            f" at seven, {least} leaves least."
        )

    return plotted(plot)


def prototypes() -> Drawn:
    """For each digit the categorical-unit that speaks for it most, and the busiest part-units."""
    stored = data.weights("drsae_descent")
    net = drsae.DrSAE(stored["Wd"], 0.018, 11, 10).requires_grad_(False)
    net.load_state_dict({name: stored[name] for name in net.state_dict()})
    angle, alive = drsae.unit_angles(net), stored["on"] > 0
    whole, parts = alive & (angle > 0.7), alive & (angle < 0.5)
    speaks = net.Wc.masked_fill(~whole, -torch.inf).argmax(1)
    busy = stored["on"].masked_fill(~parts, -torch.inf).argsort(descending=True)[:5]
    rows = tinted(filters(net.Wd[:, speaks], 28)), tinted(filters(net.Wd[:, busy], 28), SKY)
    return mosaic(np.concatenate(rows), 5, 3, 6), (
        f"Columns of a DrSAE's decoder: one of its {whole.sum()} categorical-units for each digit"
        f" from 0 to 9; below, the five of its {parts.sum()} part-units that are on most often."
    )


def oriented() -> Drawn:
    """Chapter 4's map: filters in the colour of their orientation."""
    Wd = data.weights("groups")["map"]
    theta, selectivity = groups.orientations(Wd, 12), ista.orientation_selectivity(Wd, 12)
    ink = torch.from_numpy(maps.colours(theta, selectivity))
    ratio = data.results("groups")["figures"]["map_smoothness_ratio.pools"]["values"][0]
    return mosaic(tinted(filters(Wd, 12), ink)[:240], 20, 2, 0), (
        "240 filters of a map of 20 by 20, in the colour of their orientation: neighbours differ"
        f" {100 * ratio:.0f} % as much as random pairs."
    )


def pinwheels() -> Drawn:
    """A part of chapter 5's map, from near."""
    stored = data.weights("local")
    F = maps.field(stored["theta_local"], stored["selectivity_local"])[20:45, 30:70]
    count = local.pinwheels(F).abs().sum().item()
    return maps.wheels(F, 12, 9), (
        f"A part of a map of 100 by 100 units, in the colour of their orientation: {count}"
        " pinwheels (dots), round which it turns through all colours."
    )


def bits() -> Drawn:
    """Bits of three codes over those of a Gaussian code of equal distortion, against distortion."""
    held, said = data.results("noise_bits"), {}

    def median_of(figure: str, name: str, way: str) -> list[float]:
        prices = held["settings"]["noisy" if way == "noisy" else "sparse"][name]
        keys = [f"{figure}.{name}.{way}.{price}" for price in prices]
        return [median(held["figures"][key]["values"]) for key in keys]

    def plot(*axes: Axes) -> str:
        for ax, name, title in zip(axes, ("digits", "patches"), ("digits", "photos"), strict=True):
            for way, colour in (("noisy", SKY), ("sparse", ORANGE), ("contrast_null", FAINT)):
                over = median_of("over_line", name, way)
                ax.plot(median_of("distortion", name, way), over, "o-", color=colour)
                said[name, way] = f"{min(over):.2f} to {max(over):.2f}"
            ax.axhline(1, color=FAINT, ls="--", lw=2)
            ax.set(title=title, yscale="log")
        axes[0].text(0.36, 0.33, "noise", color=SKY, transform=axes[0].transAxes)
        axes[0].text(0.06, 0.82, "sparse", color=ORANGE, transform=axes[0].transAxes)
        return (
            "Bits of a code over those of a Gaussian code as exact: of digits with noise"
            f" {said['digits', 'noisy']}, sparse {said['digits', 'sparse']}; of photographs with"
            f" noise {said['patches', 'noisy']}, sparse {said['patches', 'sparse']}, by contrast"
            f" alone {said['patches', 'contrast_null']}."
        )

    return plotted(plot, 2)


DRAWINGS: dict[str, Callable[[], Drawn]] = {
    "00_start_here": start_here,
    "01_ista": edges,
    "02_lista": layers,
    "03_drsae": prototypes,
    "04_group_sparsity": oriented,
    "05_local_filters": pinwheels,
    "06_noise_or_sparsity": bits,
}

"""What you look at: filters, patches and curves, each with a sentence that says what it shows.

Every figure ends with `show(fig, sentence)`. The sentence is computed, not written by hand: it is
the figure's alternative text for readers who cannot see it, and the text that nbval compares, so
that what a figure shows is verified like everything else.
"""

import gc
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape
from io import BytesIO
from statistics import median

import matplotlib.pyplot as plt
import numpy as np
from IPython.core.pylabtools import print_figure
from IPython.display import Markdown, display
from ipywidgets import HTML, ValueWidget, VBox
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image
from tabulate import tabulate
from torch import Tensor
from torch.nn.functional import pad

# Okabe & Ito's colours, which colour-blind readers can tell apart; white paper in every theme.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Orientations from 0 to π: the hue goes round once at nearly even lightness. That it rises a little
# towards blue-green keeps eight orientations apart for colour-blind readers, too.
ROUND = ("#ce7924", "#c49004", "#b1a728", "#93bc55", "#6acc82", "#31d3ad", "#00d2d2", "#00c8ed")
ROUND += ("#48b7fb", "#73a1fa", "#928bec", "#a878d3", "#b968b2", "#c55f8f", "#cd5e6b", "#d06848")
ROUND = LinearSegmentedColormap.from_list("orientation", [*ROUND, ROUND[0]], N=1024)
VALLEY = LinearSegmentedColormap.from_list("valley", ["#6baed6", "#deebf7", "#ffffff"])
GREY, FULL = 0.7, 0.6  # where there is no orientation; the selectivity from which colours are full
# While JupyterLab's kernel is busy, a picture may be that of an earlier position: it is pale.
PALE = (
    "<style>.jp-NotebookPanel:has(.jp-Notebook-ExecutionIndicator[data-status=busy])"
    " .course-sliders img {opacity: 0.3; transition: opacity 0s 0.3s}</style>"
)
# For screen readers: the handles have no names of their own, their labels stand before them.
NAMED = (
    "let tries = 0; const name = () => {"
    " const box = this.closest('.course-sliders');"
    " const handles = box ? box.querySelectorAll('[role=slider]') : [];"
    " handles.forEach(handle => handle.ariaLabel ="
    " handle.closest('.widget-inline-hbox').firstChild.textContent);"
    " if (!handles.length ? tries++ < 50 : false) setTimeout(name, 100); }; name()"
)
STYLE = {
    "axes.grid": True,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "axes.titley": 1.0,  # where they stand anyhow; else each drawing measures the ticks first
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 11,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


@plt.rc_context(STYLE)
def figure(columns: int = 1, *, rows: int = 1, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    """Return a figure, wide as the page and height inches a row, and its list of empty axes."""
    fig, axes = plt.subplots(rows, columns, figsize=(9, height * rows), squeeze=False)
    return fig, list(axes.flat)


def show(fig: Figure, alt: str) -> None:
    """Display fig with alt, a sentence that says what it shows, and close it.

    Lines stay lines (SVG); what holds a picture is drawn in twice the pixels (PNG).
    Raises ValueError if alt is empty.
    """
    if not alt.strip():
        raise ValueError("a figure needs a sentence that says what it shows")
    pictured = any(ax.images for ax in fig.axes)
    form, drawn = ("image/png", _png(fig)) if pictured else ("image/svg+xml", _svg(fig, alt))
    plt.close(fig)
    more = {"alt": alt} | ({"width": round(90 * fig.get_figwidth())} if pictured else {})
    display({form: drawn, "text/plain": alt}, raw=True, metadata={form: more})


def _png(fig: Figure) -> str:
    return b64encode(print_figure(fig, dpi=180)).decode()


@plt.rc_context({"svg.hashsalt": "course"})
def _svg(fig: Figure, alt: str) -> str:
    for ax in fig.axes:  # a cloud of dots is a picture: as so many shapes it would be heavy
        for dots in ax.collections:
            dots.set_rasterized(len(dots.get_offsets()) > 500)
        for line in ax.lines:
            line.set_rasterized(line.get_marker() != "None" and len(line.get_xdata()) > 500)
    drawn = print_figure(fig, "svg", dpi=180, metadata={"Date": None})
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)


def still(draw: Callable[..., str], columns: int = 1, *, height: float = 3.2, **values) -> None:
    """Show what `sliders` shows of draw, for one choice of values, where nothing can be moved."""
    fig, axes = figure(columns, height=height)
    show(fig, draw(axes, **values))


def sliders(
    draw: Callable[..., str], columns: int = 1, *, height: float = 3.2, **controls: ValueWidget
) -> None:
    """Display controls, and beneath them a figure that draw fills anew when one of them moves.

    The figure keeps the layout of the first time, so that nothing jumps.

    Args:
        draw: gets the figure's empty axes, a list, and the controls' values by name; it returns the
            sentence that says what it drew. An error that it raises later is shown in its place.
        columns: how many axes stand side by side.
        height: of the figure, in inches.
        controls: sliders, by the name of draw's argument.
    """
    shown, (fig, axes) = HTML(), figure(columns, height=height)
    plt.close(fig)  # which takes its canvas away
    canvas = FigureCanvasAgg(fig)
    fig.set_dpi(90)

    def follow() -> None:
        with plt.rc_context(STYLE):
            for ax in axes:
                _empty(ax)
            alt = escape(draw(axes, **{name: control.value for name, control in controls.items()}))
        canvas.draw()
        pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        pixels.save(png := BytesIO(), "png", compress_level=1)
        source = f'src="data:image/png;base64,{b64encode(png.getvalue()).decode()}"'
        image = f'<img alt="{alt}" {source} style="max-width: 100%" onload="{NAMED}">'
        shown.value = f"{PALE}{image}<p>{alt}</p>"

    def moved(_: dict) -> None:
        collects = gc.isenabled()
        gc.disable()  # or it may look through all of a long notebook in the midst of a move
        try:
            follow()
        except Exception as error:  # noqa: BLE001 - nobody sees what a callback raises
            shown.value = f"<pre>{escape(f'{type(error).__name__}: {error}')}</pre>"
        finally:
            if collects:
                gc.enable()

    follow()
    fig.set_layout_engine("none")  # from now on nothing jumps, and nothing is measured again
    for ax in axes:
        below = ax.xaxis.label.get_position()[1]  # in pixels
        ax.xaxis.set_label_coords(0.5, ax.transAxes.inverted().transform((0, below))[1])
    for name, control in controls.items():
        control.description = control.description or name
        control.observe(moved, "value")
    display(VBox([*controls.values(), shown], _dom_classes=["course-sliders"]))


def _empty(ax: Axes) -> None:
    """Make ax as a new one, in a quarter of the time of `ax.clear()`: an axis is dear to make."""
    legend = ax.get_legend()
    drawn = (
        *ax.lines,
        *ax.collections,
        *ax.patches,
        *ax.images,
        *ax.texts,
        *ax.artists,
        *ax.child_axes,
    )
    for artist in drawn if legend is None else (*drawn, legend):
        artist.remove()
    ax.containers.clear()
    ax.set_prop_cycle(None)
    ax.relim()
    ax.set(title="", xlabel="", ylabel="", aspect="auto", xscale="linear", yscale="linear")
    ax.set_xlim(0, 1, auto=True)
    ax.set_ylim(0, 1, auto=True)
    ax.locator_params(nbins=4)  # each tick takes a millisecond
    ax.set_axis_on()
    ax.grid(visible=True)


def picture(ax: Axes, x: Tensor, shape: tuple[int, int], title: str = "") -> None:
    """Draw a vector x (h * w,) as a grey picture of shape (h, w), zero is mid-grey."""
    limit = float(x.abs().max()) or 1.0
    image = x.reshape(shape).detach().numpy(force=True)
    ax.imshow(image, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set(title=title, xticks=[], yticks=[])
    ax.grid(visible=False)


def filters(
    ax: Axes, Wd: Tensor, shape: tuple[int, int], *, columns: int = 16, title: str = ""
) -> None:
    """Draw the columns of Wd (h * w, m) as a mosaic of pictures of shape (h, w), in reading order.

    Each filter is scaled by its own largest entry: grey is zero, white and black are that entry.
    """
    h, w = shape
    tiles = Wd.T.detach().cpu().reshape(-1, h, w)
    tiles = tiles / tiles.abs().amax((1, 2), keepdim=True).clamp(min=1e-12)
    tiles = pad(tiles, (0, 1, 0, 1), value=1.0)  # a white line between neighbours
    empty = -len(tiles) % columns
    tiles = pad(tiles, (0, 0, 0, 0, 0, empty), value=1.0).reshape(-1, columns, h + 1, w + 1)
    mosaic = tiles.permute(0, 2, 1, 3).reshape(-1, columns * (w + 1))
    ax.imshow(mosaic.numpy(), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_title(title)
    ax.set_axis_off()


def orientation_colours(theta: Tensor, selectivity: Tensor | float = 1.0) -> np.ndarray:
    """Return the colours of orientations theta (...), in radians mod π, faded to grey where
    selectivity (...) is low: (..., 3), from 0 to 1."""
    colour = np.asarray(ROUND(np.mod(theta.numpy(force=True) / np.pi, 1)))[..., :3]
    strength = np.clip(np.asarray(selectivity, dtype=float) / FULL, 0, 1)[..., None]
    return strength * colour + (1 - strength) * GREY


def orientation_map(
    ax: Axes, theta: Tensor, selectivity: Tensor | float = 1.0, title: str = ""
) -> None:
    """Draw a sheet of orientations theta (h, w); selectivity (h, w): see orientation_colours."""
    ax.imshow(orientation_colours(theta, selectivity), interpolation="nearest")
    ax.set(title=title, xticks=[], yticks=[])
    ax.grid(visible=False)


def orientation_key(ax: Axes) -> None:
    """Draw beside ax what its colours mean: bars as the edges lie that a filter of this orientation
    likes, which are at right angles to it."""
    key = ax.inset_axes((1.02, 0, 0.1, 1), xlim=(-0.6, 0.6), ylim=(7.6, -0.6), aspect="equal")
    key.set_axis_off()
    for k, angle in enumerate(np.arange(8) * np.pi / 8):
        right, down = -0.4 * np.sin(angle), 0.4 * np.cos(angle)
        ends = [-right, right], [k - down, k + down]
        key.plot(*ends, color=ROUND(k / 8), linewidth=4, solid_capstyle="round")


def energy_map(ax: Axes, E: Tensor, reach: float, top: float) -> None:
    """Draw energies E (k, k) over the square from -reach to reach: low is blue, a valley; from top
    on all is white. E[i, j] stands at the i-th place to the right, the j-th upwards."""
    heights, side = E.T.numpy(force=True), np.linspace(-reach, reach, len(E))
    ax.imshow(heights, cmap=VALLEY, origin="lower", extent=(-reach, reach) * 2, vmax=top)
    ax.contour(side, side, heights, np.linspace(0, top, 6)[1:], colors="0.6", linewidths=0.5)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)


@plt.rc_context(STYLE)
def curves(
    ax: Axes, series: dict[str, Sequence[float]], *, x: Sequence[float] | None = None, **labels
) -> None:
    """Draw each named series over x (default 0, 1, 2 …) as a line; labels go to ax.set."""
    styles = ("-", "--", ":", "-.")  # told apart without colour, too
    for i, (name, values) in enumerate(series.items()):
        over = range(len(values)) if x is None else x
        ax.plot(over, values, styles[i % len(styles)], label=name)
    ax.set(**labels)
    ax.legend()


def table(headers: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Display rows under headers as a table: floats with four significant digits, text as it is."""
    shown = [[f"{v:#.4g}" if isinstance(v, float) else v for v in row] for row in rows]
    display(Markdown(tabulate(shown, headers, tablefmt="github", disable_numparse=True)))


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return the median of values over seeds and their range: "2.0 (1.5 to 3.1)"."""
    low, middle, high = (f"{f(values):z.{digits}f}" for f in (min, median, max))  # z: no "-0"
    return f"{middle} ({low} to {high})"
